//! Reports, finishes, late messages and reaping.

use boxwood_core::{Rung, Verdict};
use boxwood_store::*;
use boxwood_study::*;
use serde_json::json;

use super::*;

async fn one_report(db: &Database, key: LeaseKey, report: Report) -> StoreResult<ReportAnswer> {
    db.store.report(vec![(key, report)]).await.unwrap().remove(0)
}

pub async fn reports_are_kept_once(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    commit(&db.store, study.id, vec![start(1.0, 1)]).await;
    let grant = acquire(&db.store, "w", 1).await.remove(0);
    let key = key(&grant);
    let first = one_report(db, key, report(1, 0.25)).await.unwrap();
    assert_eq!(first.verdict, Verdict::Continue);
    let again = db.other.report(vec![(key, report(1, 0.25))]).await.unwrap().remove(0).unwrap();
    assert_eq!(again, first);
    let unknown = LeaseKey { trial: TrialId::of(study.id, 99), ..key };
    let stale = LeaseKey { epoch: LeaseEpoch(0), ..key };
    let batch = vec![
        (key, report(1, 0.75)),
        (key, report(2, f64::NAN)),
        (unknown, report(1, 0.5)),
        (stale, report(2, 0.5)),
        (key, report(0, 0.5)),
        (key, report(3, 0.5)),
    ];
    let answers = db.store.report(batch).await.unwrap();
    assert_eq!(answers[0], Err(Refusal::ReportConflict { step: 1 }.into()));
    assert_eq!(answers[1], Err(Refusal::NotFinite { metric: "auc".into() }.into()));
    assert_eq!(answers[2], Err(StoreError::NotFound { what: "trial" }));
    assert_eq!(answers[3], Err(Refusal::LeaseLost.into()));
    assert!(matches!(answers[4], Err(StoreError::Refused(Refusal::Invalid { .. }))));
    let last = answers[5].as_ref().unwrap();
    assert_eq!(last.verdict, Verdict::Yield);
    assert!(last.change > first.change);
    let curve = db.store.trial(grant.trial.id).await.unwrap().curve;
    assert_eq!(curve.iter().map(|p| &p.report).collect::<Vec<_>>(), [&report(1, 0.25), &report(3, 0.5)]);
    assert_eq!(db.store.curves(vec![grant.trial.id, grant.trial.id]).await.unwrap(), curve);
}

pub async fn finishes_are_decided_once(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    commit(&db.store, study.id, vec![start(1.0, 0), start(2.0, 2)]).await;
    let grants = acquire(&db.store, "w", 2).await;
    let bare = Finish { result: None, ..reached(1, 0.0) };
    let refused = refusal(db.store.finish(key(&grants[0]), bare).await);
    assert_eq!(refused, Refusal::MissingMetric { metric: "auc".into() });
    let paused = end(&db.store, &grants[0], reached(1, 0.5)).await;
    assert_eq!((paused.state, paused.accepted), (TrialState::Paused, true));
    let again = db.other.finish(key(&grants[0]), reached(1, 0.5)).await.unwrap();
    assert_eq!(again, paused);
    let trial = record(&db.store, grants[0].trial.id).await;
    assert_eq!((trial.reached, trial.value, trial.seconds), (Some(Rung(0)), Some(0.5), 1.5));
    assert_eq!(trial.lease, None);
    // A finish without a result takes the last report of its lease.
    db.store.report(vec![(key(&grants[1]), report(9, 0.75))]).await.unwrap();
    let done = end(&db.store, &grants[1], Finish { result: None, ..reached(9, 0.0) }).await;
    assert_eq!(done.state, TrialState::Completed);
    let trial = record(&db.store, grants[1].trial.id).await;
    assert_eq!((trial.value, trial.finished_at.is_some()), (Some(0.75), true));
    let other = end(&db.store, &grants[1], reached(9, 0.1)).await;
    assert_eq!((other.state, other.accepted), (TrialState::Completed, false));
    let unknown = LeaseKey { trial: TrialId::of(study.id, 9), ..key(&grants[0]) };
    let missing = db.store.finish(unknown, reached(1, 0.5)).await.unwrap_err();
    assert_eq!(missing, StoreError::NotFound { what: "trial" });
    let after = one_report(db, key(&grants[1]), report(10, 0.5)).await;
    assert_eq!(after, Err(Refusal::TrialFinished(TrialState::Completed).into()));
    let counts = db.store.study(study.id).await.unwrap().counts;
    assert_eq!(
        counts.into_iter().filter(|(_, n)| *n > 0).collect::<Vec<_>>(),
        [(TrialState::Paused, 1), (TrialState::Completed, 1)]
    );
}

pub async fn attempts_are_counted(db: &Database) {
    let study = create(&db.store, "a", json!({"max_attempts": 2})).await;
    let trial = commit(&db.store, study.id, vec![start(1.0, 0)]).await.remove(0);
    for (kind, state) in [
        (EndingKind::Preempted, TrialState::Queued),
        (EndingKind::OutOfMemory, TrialState::Queued),
        (EndingKind::ProgramFailed, TrialState::Queued),
        (EndingKind::ProgramFailed, TrialState::Failed),
    ] {
        let grants = acquire(&db.store, "w", 1).await;
        assert_eq!(end(&db.store, &grants[0], finish(kind, None)).await.state, state, "{kind:?}");
    }
    let failed = record(&db.store, trial.id).await;
    assert_eq!((failed.failed_attempts, failed.lost_leases, failed.epoch), (2, 1, LeaseEpoch(4)));
    assert_eq!(failed.reason.as_deref(), Some("because"));
    let retried = db.store.retry_trial(trial.id).await.unwrap();
    assert_eq!((retried.state, retried.failed_attempts), (TrialState::Queued, 0));
    assert!(matches!(refusal(db.store.retry_trial(trial.id).await), Refusal::TrialState { .. }));
    let grants = acquire(&db.store, "w", 1).await;
    end(&db.store, &grants[0], finish(EndingKind::OutOfMemory, None)).await;
    let grants = acquire(&db.store, "w", 1).await;
    let rejected = end(&db.store, &grants[0], finish(EndingKind::OutOfMemory, None)).await;
    assert_eq!(rejected.state, TrialState::Infeasible);
}

pub async fn expired_leases_return_and_late_results_count(db: &Database) {
    let study = create(&db.store, "a", json!({"lease_seconds": 0.2})).await;
    commit(&db.store, study.id, (1..=4).map(|x| start(f64::from(x), 0)).collect()).await;
    let old = acquire(&db.store, "old", 4).await;
    assert_eq!(db.store.reap(10).await.unwrap().requeued, []);
    let_leases_end(&db.store).await;
    // A lease that nobody has reaped goes on.
    let held = db.store.heartbeat(hello("old"), vec![key(&old[3])]).await.unwrap();
    assert!(matches!(held[0], HeartbeatAnswer::Held { command: LeaseCommand::Continue, .. }));
    let two = db.other.reap(2).await.unwrap();
    assert_eq!(two.requeued.len(), 2);
    let rest = db.store.reap(10).await.unwrap();
    assert!(rest.requeued.len() == 1 || rest.requeued.len() == 2, "the renewed one may have expired too");
    let queued = record(&db.store, old[0].trial.id).await;
    assert_eq!((queued.state, queued.lost_leases, queued.failed_attempts), (TrialState::Queued, 1, 0));
    let stale = one_report(db, key(&old[0]), report(1, 0.5)).await;
    assert_eq!(stale, Err(Refusal::LeaseLost.into()));
    // A late result of a queued trial.
    let late = end(&db.store, &old[0], reached(1, 0.5)).await;
    assert_eq!((late.state, late.accepted), (TrialState::Paused, true));
    // A late result of a trial that another worker has.
    let new = acquire(&db.store, "new", 1).await.remove(0);
    let before = old.iter().find(|grant| grant.trial.id == new.trial.id).unwrap();
    assert!(new.trial.epoch > before.trial.epoch);
    assert_eq!(new.seed, before.seed, "equal for every attempt");
    let failure = end(&db.store, before, finish(EndingKind::ProgramFailed, None)).await;
    assert!(!failure.accepted, "late failures do not count");
    assert!(end(&db.store, before, reached(1, 0.25)).await.accepted);
    let lost = db.store.heartbeat(hello("new"), vec![key(&new)]).await.unwrap();
    assert_eq!(lost, [HeartbeatAnswer::Lost { key: key(&new) }]);
    let slow = end(&db.store, &new, reached(1, 0.75)).await;
    assert_eq!((slow.state, slow.accepted), (TrialState::Paused, false));
    assert_eq!(record(&db.store, new.trial.id).await.value, Some(0.25));
}

pub async fn cancelled_trials_tell_their_worker(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    let trials = commit(&db.store, study.id, vec![start(1.0, 0), start(2.0, 0)]).await;
    let grant = acquire(&db.store, "w", 1).await.remove(0);
    let cancelled = db.store.cancel_trial(trials[0].id, "no".into()).await.unwrap();
    assert_eq!((cancelled.state, cancelled.reason.as_deref()), (TrialState::Cancelled, Some("no")));
    let change = db.store.study(study.id).await.unwrap().change;
    assert_eq!(db.store.cancel_trial(trials[0].id, "again".into()).await.unwrap(), cancelled);
    assert_eq!(db.store.study(study.id).await.unwrap().change, change);
    let answers = db.store.heartbeat(hello("w"), vec![key(&grant)]).await.unwrap();
    assert!(matches!(answers[0], HeartbeatAnswer::Held { command: LeaseCommand::Stop, .. }));
    let late = end(&db.store, &grant, reached(1, 0.5)).await;
    assert_eq!((late.state, late.accepted), (TrialState::Cancelled, false));
    db.store.cancel_trial(trials[1].id, "no".into()).await.unwrap();
    assert_eq!(acquire(&db.store, "w", 1).await, []);
    assert!(db.store.cancel_trial(TrialId::of(study.id, 9), "no".into()).await.is_err());
}

pub async fn many_failures_pause_the_study(db: &Database) {
    let limit = json!({"max_attempts": 1, "failure_limit": {"after_trials": 3, "share": 0.5}});
    let study = create(&db.store, "a", limit).await;
    commit(&db.store, study.id, (1..=4).map(|x| start(f64::from(x), 0)).collect()).await;
    for failed in 1..=3 {
        let grants = acquire(&db.store, "w", 1).await;
        end(&db.store, &grants[0], finish(EndingKind::ProgramFailed, None)).await;
        let now = db.store.study(study.id).await.unwrap();
        let expected = if failed < 3 { StudyState::Active } else { StudyState::Paused };
        assert_eq!(now.state, expected);
        assert_eq!(now.state_reason.is_some(), failed == 3);
    }
    assert_eq!(acquire(&db.store, "w", 1).await, []);
}

pub async fn all_training_seconds_are_counted(db: &Database) {
    let study = create(&db.store, "a", json!({"lease_seconds": 0.2, "max_attempts": 2})).await;
    commit(&db.store, study.id, (1..=4).map(|x| start(f64::from(x), 0)).collect()).await;
    let counted = async || db.other.study(study.id).await.unwrap().training_seconds;
    let grants = acquire(&db.store, "w", 4).await;
    end(&db.store, &grants[0], reached(1, 0.5)).await;
    assert_eq!(counted().await, 1.5);
    end(&db.store, &grants[0], reached(1, 0.5)).await;
    assert_eq!(counted().await, 1.5, "a repeat counts once");
    end(&db.store, &grants[1], finish(EndingKind::ProgramFailed, None)).await;
    assert_eq!(counted().await, 3.0);
    assert_eq!(record(&db.store, grants[1].trial.id).await.seconds, 0.0, "the trial starts over");
    db.store.heartbeat(hello("w"), vec![key(&grants[2])]).await.unwrap();
    db.store.cancel_trial(grants[3].trial.id, "no".into()).await.unwrap();
    let cancelled = counted().await;
    assert!(cancelled > 3.0, "{cancelled}");
    let_leases_end(&db.store).await;
    db.store.reap(10).await.unwrap();
    let reaped = counted().await;
    assert!(reaped > cancelled && reaped < cancelled + 0.2, "from the grant to the heartbeat: {reaped}");
    // The result comes late and says 1.5 seconds; what was counted for its lease is a part of them.
    end(&db.store, &grants[2], reached(1, 0.5)).await;
    let late = counted().await;
    assert!((late - cancelled - 1.5).abs() < 1e-9, "{late}");
}
