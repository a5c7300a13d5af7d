//! Creating, listing and changing studies.

use boxwood_core::Change;
use boxwood_store::*;
use boxwood_study::*;
use serde_json::json;

use super::*;

pub async fn names_are_unique_in_a_project(db: &Database) {
    let study = spec("a", json!({})).check().unwrap();
    let new = |study: &CheckedStudy| NewStudy { project: PROJECT, study: study.clone() };
    let first = db.store.create_study(Requested::once(new(&study))).await.unwrap();
    assert!(!first.existed);
    assert_eq!((first.study.state, first.study.change), (StudyState::Active, Change(1)));
    let again = db.other.create_study(Requested::once(new(&study))).await.unwrap();
    assert!(again.existed);
    assert_eq!(again.study, first.study);
    let other = spec("a", json!({"seed": 8})).check().unwrap();
    let refused = refusal(db.store.create_study(Requested::once(new(&other))).await);
    assert_eq!(refused, Refusal::StudyExists { name: "a".into() });
    let nowhere = NewStudy { project: ProjectId(99), study: study.clone() };
    let missing = db.store.create_study(Requested::once(nowhere)).await.unwrap_err();
    assert_eq!(missing, StoreError::NotFound { what: "project" });
    let second = db.store.create_project(NewProject { name: "second".into() }).await.unwrap();
    let there = NewStudy { project: second.id, study };
    assert!(!db.store.create_study(Requested::once(there)).await.unwrap().existed);
    assert_eq!(db.store.study(first.study.id).await.unwrap(), first.study);
    assert_eq!(db.store.study_by_name(PROJECT, "a").await.unwrap(), Some(first.study));
    assert_eq!(db.store.study_by_name(PROJECT, "b").await.unwrap(), None);
    assert_eq!(db.store.study(StudyId(99)).await.unwrap_err(), StoreError::NotFound { what: "study" });
}

pub async fn request_ids_repeat_the_first_answer(db: &Database) {
    let new = |name: &str| Requested {
        id: Some("r1".into()),
        body: NewStudy { project: PROJECT, study: spec(name, json!({})).check().unwrap() },
    };
    let first = db.store.create_study(new("a")).await.unwrap();
    assert_eq!(db.other.create_study(new("a")).await.unwrap(), first);
    assert_eq!(refusal(db.store.create_study(new("b")).await), Refusal::RequestConflict);
    let id = first.study.id;
    let points = Requested { id: Some("r2".into()), body: vec![point(1.0)] };
    let enqueued = db.store.enqueue(id, points.clone()).await.unwrap();
    assert_eq!(db.other.enqueue(id, points.clone()).await.unwrap(), enqueued);
    let changed = Requested { body: vec![point(2.0)], ..points };
    assert_eq!(refusal(db.store.enqueue(id, changed).await), Refusal::RequestConflict);
    let request = Requested { id: Some("r3".into()), body: ask("w", 1) };
    let grants = db.store.acquire(request.clone()).await.unwrap();
    assert_eq!(grants.len(), 1);
    assert_eq!(db.other.acquire(request.clone()).await.unwrap(), grants);
    let two = Requested { body: ask("w", 2), ..request };
    assert_eq!(refusal(db.store.acquire(two).await), Refusal::RequestConflict);
    let patch = StudyPatch { event: Some(StudyEvent::Pause), ..StudyPatch::default() };
    let patch = Requested { id: Some("r4".into()), body: patch };
    let paused = db.store.patch_study(id, patch.clone()).await.unwrap();
    let resume = StudyPatch { event: Some(StudyEvent::Resume), ..StudyPatch::default() };
    db.store.patch_study(id, Requested::once(resume)).await.unwrap();
    assert_eq!(db.store.patch_study(id, patch).await.unwrap(), paused);
    assert_eq!(db.store.study(id).await.unwrap().state, StudyState::Active);
    // An empty answer is not remembered.
    let empty = Requested { id: Some("r5".into()), body: ask("w", 1) };
    assert_eq!(db.store.acquire(empty.clone()).await.unwrap(), []);
    db.store.enqueue(id, Requested::once(vec![point(3.0)])).await.unwrap();
    assert_eq!(db.store.acquire(empty).await.unwrap().len(), 1);
}

pub async fn closing_ends_open_trials(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    let trials = commit(&db.store, study.id, vec![start(1.0, 0), start(2.0, 0), start(3.0, 0)]).await;
    let grants = acquire(&db.store, "w", 2).await;
    end(&db.store, &grants[0], reached(1, 0.5)).await;
    let patch = StudyPatch {
        event: Some(StudyEvent::Cancel),
        reason: Some("enough".into()),
        ..StudyPatch::default()
    };
    let closed = db.store.patch_study(study.id, Requested::once(patch.clone())).await.unwrap();
    assert_eq!((closed.state, closed.state_reason.as_deref()), (StudyState::Cancelled, Some("enough")));
    assert!(closed.finished_at.is_some());
    assert_eq!(record(&db.store, trials[0].id).await.state, TrialState::Pruned);
    assert_eq!(record(&db.store, trials[2].id).await.state, TrialState::Cancelled);
    let leased = record(&db.store, trials[1].id).await;
    assert_eq!((leased.state, leased.stop_requested), (TrialState::Leased, true));
    let answers = db.store.heartbeat(hello("w"), vec![key(&grants[1])]).await.unwrap();
    assert!(matches!(answers[0], HeartbeatAnswer::Held { command: LeaseCommand::Stop, .. }));
    let stopped = end(&db.store, &grants[1], finish(EndingKind::Stopped, Some(report(1, 0.4)))).await;
    assert_eq!(stopped.state, TrialState::Pruned);
    // The same again changes nothing; a closed study takes no points and no retries.
    let again = db.store.patch_study(study.id, Requested::once(patch)).await.unwrap();
    assert_eq!(again.state, StudyState::Cancelled);
    let refused = refusal(db.store.enqueue(study.id, Requested::once(vec![point(9.0)])).await);
    assert_eq!(refused, Refusal::StudyClosed(StudyState::Cancelled));
    let resume = StudyPatch { event: Some(StudyEvent::Resume), ..StudyPatch::default() };
    let refused = refusal(db.store.patch_study(study.id, Requested::once(resume)).await);
    assert_eq!(refused, Refusal::StudyClosed(StudyState::Cancelled));
    let planned = db.store.commit_plan(plan(&again, vec![start(4.0, 0)])).await.unwrap();
    assert_eq!(planned, PlanResult::Conflict);
}

pub async fn a_raised_budget_reopens_a_completed_study(db: &Database) {
    let study = create(&db.store, "a", json!({"budget": {"trials": 1}})).await;
    commit(&db.store, study.id, vec![start(1.0, 2)]).await;
    let grants = acquire(&db.store, "w", 5).await;
    assert_eq!(end(&db.store, &grants[0], reached(9, 0.5)).await.state, TrialState::Completed);
    let now = db.store.study(study.id).await.unwrap();
    assert_eq!(now.resource_used, 9);
    let over = db.store.commit_plan(plan(&now, vec![start(2.0, 0)])).await.unwrap();
    assert_eq!(over, PlanResult::Conflict, "the budget is spent");
    let refused = refusal(db.store.enqueue(study.id, Requested::once(vec![point(5.0)])).await);
    assert!(matches!(refused, Refusal::Limit { .. }));
    let patch = |patch| db.store.patch_study(study.id, Requested::once(patch));
    let complete = StudyPatch { event: Some(StudyEvent::Complete), ..StudyPatch::default() };
    assert_eq!(patch(complete).await.unwrap().state, StudyState::Completed);
    let resume = StudyPatch { event: Some(StudyEvent::Resume), ..StudyPatch::default() };
    assert_eq!(refusal(patch(resume).await), Refusal::StudyClosed(StudyState::Completed));
    let budget = |trials| Budget { trials: Some(trials), ..Budget::default() };
    let same = StudyPatch { budget: Some(budget(1)), ..StudyPatch::default() };
    assert_eq!(patch(same).await.unwrap().state, StudyState::Completed);
    let wrong = StudyPatch { budget: Some(budget(0)), ..StudyPatch::default() };
    assert!(matches!(refusal(patch(wrong).await), Refusal::Invalid { .. }));
    let more = StudyPatch { budget: Some(budget(3)), ..StudyPatch::default() };
    let open = patch(more).await.unwrap();
    assert_eq!((open.state, open.spec.budget.trials, open.finished_at), (StudyState::Active, Some(3), None));
    assert_eq!(db.other.study(study.id).await.unwrap(), open);
    commit(&db.store, study.id, vec![start(2.0, 0)]).await;
    assert_eq!(acquire(&db.store, "w", 5).await.len(), 1);
}

pub async fn stop_rules_can_be_changed(db: &Database) {
    let rules = json!({"no_improvement": {"trials": 3}, "training_seconds": 1.0});
    let study = create(&db.store, "a", json!({"stop": rules})).await;
    let change = |json: serde_json::Value| StudyPatch {
        stop: Some(serde_json::from_value(json).unwrap()),
        ..StudyPatch::default()
    };
    let patch = |patch| db.store.patch_study(study.id, Requested::once(patch));
    let cleared = patch(change(json!({"no_improvement": null}))).await.unwrap();
    assert_eq!((&cleared.spec.stop.no_improvement, cleared.spec.stop.training_seconds), (&None, Some(1.0)));
    assert_eq!(db.other.study(study.id).await.unwrap(), cleared);
    let wrong = change(json!({"regret_bound": {"below": 0.0, "proposals": 1}}));
    let refused = refusal(patch(wrong).await);
    assert!(
        matches!(&refused, Refusal::Invalid { field, .. } if field == "stop.regret_bound.below"),
        "{refused:?}"
    );
    // The same request again gives the first answer; another rule under its id is another request.
    let raised = Requested { id: Some("r1".into()), body: change(json!({"training_seconds": 2.0})) };
    let first = db.store.patch_study(study.id, raised.clone()).await.unwrap();
    assert_eq!(db.other.patch_study(study.id, raised.clone()).await.unwrap(), first);
    let other = Requested { body: change(json!({"training_seconds": 3.0})), ..raised };
    assert_eq!(refusal(db.store.patch_study(study.id, other).await), Refusal::RequestConflict);
    // A study that a rule ended goes on, and what it has measured counts towards no rule any more.
    commit(&db.store, study.id, vec![start(1.0, 2)]).await;
    let grant = acquire(&db.store, "w", 1).await.remove(0);
    end(&db.store, &grant, reached(9, 0.5)).await;
    let complete = StudyPatch { event: Some(StudyEvent::Complete), ..StudyPatch::default() };
    let resume = StudyPatch { event: Some(StudyEvent::Resume), ..StudyPatch::default() };
    let done = patch(complete.clone()).await.unwrap();
    assert_eq!((done.state, done.reopened), (StudyState::Completed, Change(0)));
    let same = patch(change(json!({"training_seconds": 2.0}))).await.unwrap();
    assert_eq!(same.state, StudyState::Completed, "nothing has changed");
    let spent = patch(change(json!({"training_seconds": 1.5}))).await.unwrap();
    assert_eq!(spent.state, StudyState::Completed, "1.5 seconds were trained");
    assert_eq!(refusal(patch(resume.clone()).await), Refusal::StudyClosed(StudyState::Completed));
    let open = patch(change(json!({"training_seconds": 5.0}))).await.unwrap();
    assert_eq!((open.state, open.finished_at), (StudyState::Active, None));
    assert_eq!(open.reopened, spent.change);
    assert_eq!(db.other.study(study.id).await.unwrap(), open);
    // So does one that is told to by name; a pause and its end are no reopening.
    let done = patch(complete).await.unwrap();
    assert_eq!(patch(resume.clone()).await.unwrap().reopened, done.change);
    let pause = StudyPatch { event: Some(StudyEvent::Pause), ..StudyPatch::default() };
    patch(pause).await.unwrap();
    assert_eq!(patch(resume).await.unwrap().reopened, done.change);
}

pub async fn queued_trials_can_be_withdrawn(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    let first = commit(&db.store, study.id, vec![start(1.0, 0)]).await.remove(0);
    let grant = acquire(&db.store, "w", 1).await.remove(0);
    end(&db.store, &grant, reached(1, 0.5)).await;
    let moves = vec![resume(&first, 1), start(2.0, 0), start(3.0, 0), start(4.0, 0)];
    let trials = commit(&db.store, study.id, moves).await;
    let points = Requested::once(vec![point(5.0)]);
    let user = db.store.enqueue(study.id, points).await.unwrap().trials.remove(0);
    let leased = acquire(&db.store, "w", 3).await;
    assert_eq!(leased.len(), 3, "the user's point, the promoted one, the first new one");
    let withdraw = StudyPatch { withdraws_queued: true, ..StudyPatch::default() };
    let after = db.store.patch_study(study.id, Requested::once(withdraw.clone())).await.unwrap();
    assert_eq!(db.other.study(study.id).await.unwrap(), after);
    for trial in [first.id, user.id, trials[1].id] {
        assert_eq!(record(&db.store, trial).await.state, TrialState::Leased, "what runs goes on");
    }
    for trial in &trials[2..] {
        assert_eq!(record(&db.store, trial.id).await.state, TrialState::Cancelled);
    }
    let again = db.store.patch_study(study.id, Requested::once(withdraw)).await.unwrap();
    assert_eq!(again, after, "there is nothing left");
}

pub async fn notices_tell_of_changes(db: &Database) {
    let mut here = db.store.notices();
    let mut there = db.other.notices();
    let study = create(&db.store, "a", json!({})).await;
    for receiver in [&mut here, &mut there] {
        let wait = async { while receiver.recv().await.unwrap() != StoreNotice::Study(study.id) {} };
        // The listener of a second server may connect after the write; then it says so and the next write is heard.
        let patience = std::time::Duration::from_secs(20);
        let mut x = 0.0;
        let write = async {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                x += 1.0;
                db.store.enqueue(study.id, Requested::once(vec![point(x)])).await.unwrap();
            }
        };
        tokio::select! {
            () = wait => {}
            () = write => {}
            () = tokio::time::sleep(patience) => panic!("no notice"),
        }
    }
}
