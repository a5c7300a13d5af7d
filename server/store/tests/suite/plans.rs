//! Plans, user points and duplicates.

use boxwood_core::{Change, Origin, PlanEnd, Rung};
use boxwood_store::*;
use boxwood_study::*;
use serde_json::json;

use super::*;

pub async fn plans_are_committed_in_order(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    let first = plan(&study, vec![start(1.0, 0), start(2.0, 1)]);
    let PlanResult::Committed(trials) = db.store.commit_plan(first.clone()).await.unwrap() else {
        panic!("a conflict")
    };
    assert_eq!(
        trials.iter().map(|t| (t.number, t.target, t.state)).collect::<Vec<_>>(),
        [(1, Rung(0), TrialState::Queued), (2, Rung(1), TrialState::Queued)]
    );
    assert_eq!(trials[0].id, TrialId::of(study.id, 1));
    assert_eq!(
        db.other.commit_plan(first.clone()).await.unwrap(),
        PlanResult::Conflict,
        "the number is taken"
    );
    let now = db.store.study(study.id).await.unwrap();
    assert_eq!((now.plan, now.trials, now.change), (PlanNumber(1), 2, Change(2)));
    assert_eq!((now.plan_change, now.counts[&TrialState::Queued]), (study.change, 2));
    let equal = db.store.commit_plan(plan(&now, vec![start(1.0, 0)])).await.unwrap();
    assert_eq!(equal, PlanResult::Conflict, "the point was tried");
    let twice = db.store.commit_plan(plan(&now, vec![start(5.0, 0), start(5.0, 0)])).await.unwrap();
    assert_eq!(twice, PlanResult::Conflict, "the point comes twice");
    let empty = NewPlan { end: PlanEnd::NotNow, ..plan(&now, Vec::new()) };
    assert_eq!(db.store.commit_plan(empty).await.unwrap(), PlanResult::Committed(Vec::new()));
    let after = db.store.study(study.id).await.unwrap();
    assert_eq!((after.plan, after.plan_end), (PlanNumber(2), Some(PlanEnd::NotNow)));
    assert_eq!(after.change, now.change, "an empty plan is no change");
    let plans = db.store.plans(study.id, PlanNumber(1), 10).await.unwrap();
    assert_eq!(plans.len(), 2);
    assert_eq!(plans[0].moves, first.moves.iter().map(|(m, _)| m.clone()).collect::<Vec<_>>());
    assert_eq!((plans[0].change, plans[0].want, plans[0].seconds), (first.change, 2, 0.25));
    assert_eq!(db.store.plans(study.id, PlanNumber(2), 1).await.unwrap().len(), 1);
    assert!(db.store.plans(StudyId(77), PlanNumber(1), 1).await.is_err());
}

pub async fn resumes_go_up_once(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    let trials = commit(&db.store, study.id, vec![start(1.0, 0), start(2.0, 0)]).await;
    let grants = acquire(&db.store, "w", 1).await;
    let early = plan(&db.store.study(study.id).await.unwrap(), vec![resume(&trials[0], 1)]);
    assert_eq!(db.store.commit_plan(early).await.unwrap(), PlanResult::Conflict, "it is not paused");
    assert_eq!(end(&db.store, &grants[0], reached(1, 0.5)).await.state, TrialState::Paused);
    let now = db.store.study(study.id).await.unwrap();
    let same = db.store.commit_plan(plan(&now, vec![resume(&trials[0], 0)])).await.unwrap();
    assert_eq!(same, PlanResult::Conflict, "it has reached that rung");
    let twice = plan(&now, vec![resume(&trials[0], 1), resume(&trials[0], 2)]);
    assert_eq!(db.store.commit_plan(twice).await.unwrap(), PlanResult::Conflict);
    let unknown = TrialRecord { number: 99, ..trials[0].clone() };
    assert_eq!(
        db.store.commit_plan(plan(&now, vec![resume(&unknown, 1)])).await.unwrap(),
        PlanResult::Conflict
    );
    let resumed = commit(&db.store, study.id, vec![resume(&trials[0], 1)]).await;
    assert_eq!((resumed[0].state, resumed[0].target), (TrialState::Queued, Rung(1)));
    let grants = acquire(&db.store, "w", 1).await;
    assert_eq!(grants[0].trial.id, trials[0].id, "resumed trials come before new ones");
    assert_eq!((grants[0].from, grants[0].to, grants[0].trial.epoch), (1, 3, LeaseEpoch(2)));
    assert_eq!(grants[0].rungs, [1, 3]);
    assert_eq!(grants[0].trial.checkpoint.as_deref(), Some("file:///checkpoint"));
}

pub async fn plans_replace_what_nobody_has_leased(db: &Database) {
    let study = create(&db.store, "a", json!({"budget": {"trials": 2}})).await;
    let trials = commit(&db.store, study.id, vec![start(1.0, 0), start(2.0, 0)]).await;
    let now = db.store.study(study.id).await.unwrap();
    let new = NewPlan { replaces: vec![trials[1].id], ..plan(&now, vec![start(3.0, 0)]) };
    assert!(matches!(db.store.commit_plan(new).await.unwrap(), PlanResult::Committed(_)));
    assert_eq!(record(&db.store, trials[1].id).await.state, TrialState::Cancelled);
    assert_eq!(acquire(&db.store, "w", 1).await[0].trial.number, 1);
    let now = db.store.study(study.id).await.unwrap();
    let late = NewPlan { replaces: vec![trials[0].id], ..plan(&now, vec![start(4.0, 0)]) };
    assert_eq!(db.store.commit_plan(late).await.unwrap(), PlanResult::Conflict, "it was leased");
}

pub async fn user_points_come_first_and_are_checked(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    commit(&db.store, study.id, vec![start(1.0, 0)]).await;
    let points = Requested::once(vec![point(2.0), point(3.0)]);
    let enqueued = db.store.enqueue(study.id, points).await.unwrap().trials;
    assert_eq!(
        enqueued.iter().map(|t| (t.number, t.origin)).collect::<Vec<_>>(),
        [(2, Origin::User), (3, Origin::User)]
    );
    assert_eq!(enqueued[0].target, Rung(2), "points of a user are measured in full");
    let outside = refusal(db.store.enqueue(study.id, Requested::once(vec![point(4.0), point(-1.0)])).await);
    assert!(matches!(outside, Refusal::Invalid { field, .. } if field == "points[1]"));
    let equal = refusal(db.store.enqueue(study.id, Requested::once(vec![point(1.0)])).await);
    assert_eq!(equal, Refusal::DuplicatePoint { number: 1 });
    let missing = db.store.enqueue(StudyId(55), Requested::once(vec![point(1.0)])).await.unwrap_err();
    assert_eq!(missing, StoreError::NotFound { what: "study" });
    let numbers: Vec<u32> = acquire(&db.store, "w", 8).await.iter().map(|g| g.trial.number).collect();
    assert_eq!(numbers, [2, 3, 1]);
    // A withdrawn point may come again.
    db.store.cancel_trial(enqueued[0].id, "changed my mind".into()).await.unwrap();
    db.store.enqueue(study.id, Requested::once(vec![point(2.0)])).await.unwrap();
}

pub async fn duplicates_follow_the_policy(db: &Database) {
    let one = || Requested::once(vec![point(1.0)]);
    let reuse = create(&db.store, "reuse", json!({"duplicates": "reuse"})).await;
    commit(&db.store, reuse.id, vec![start(1.0, 2)]).await;
    let open = refusal(db.store.enqueue(reuse.id, one()).await);
    assert_eq!(open, Refusal::DuplicatePoint { number: 1 }, "there is nothing to reuse yet");
    let grants = acquire(&db.store, "w", 1).await;
    db.store.report(vec![(key(&grants[0]), report(3, 0.3))]).await.unwrap();
    end(&db.store, &grants[0], reached(9, 0.5)).await;
    let copy = db.store.enqueue(reuse.id, one()).await.unwrap().trials.remove(0);
    assert_eq!((copy.state, copy.value, copy.reached), (TrialState::Completed, Some(0.5), Some(Rung(2))));
    let curve = db.store.trial(copy.id).await.unwrap().curve;
    assert_eq!(curve.iter().map(|p| p.report.step).collect::<Vec<_>>(), [3, 9]);
    assert_eq!(db.store.study(reuse.id).await.unwrap().counts, [(TrialState::Completed, 2)].into());

    let two = create(&db.store, "replicate", json!({"duplicates": {"replicate": 2}})).await;
    db.store.enqueue(two.id, one()).await.unwrap();
    db.store.enqueue(two.id, one()).await.unwrap();
    assert_eq!(refusal(db.store.enqueue(two.id, one()).await), Refusal::DuplicatePoint { number: 1 });
    let three = Requested::once(vec![point(2.0), point(2.0), point(2.0)]);
    assert!(matches!(refusal(db.store.enqueue(two.id, three).await), Refusal::DuplicatePoint { .. }));
}
