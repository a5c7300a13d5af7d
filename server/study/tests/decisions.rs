//! Decisions on reports, finishes, heartbeats, leases and budgets.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use boxwood_core::{Change, Metrics, Origin, Point, Provenance, Rung, Verdict};
use boxwood_study::*;
use serde_json::json;

fn study() -> CheckedStudy {
    let spec = json!({
        "name": "s", "space": {"parameters": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}]},
        "objectives": [{"metric": "auc", "goal": "maximize"}],
        "constraints": [{"metric": "memory", "bound": {"at_most": 5.0}}],
        "fidelity": {"resource": "epochs", "rungs": [1, 3, 9]}, "max_attempts": 2
    });
    StudySpec::from_value(spec).unwrap().check().unwrap()
}

const NOW: Timestamp = Timestamp(5_000_000);

fn queued() -> TrialRow {
    let id = TrialId::of(StudyId(3), 7);
    TrialRow {
        record: TrialRecord {
            id,
            study: id.study(),
            number: id.number(),
            point: Point::default(),
            origin: Origin::Solver,
            provenance: Provenance::default(),
            state: TrialState::Queued,
            target: Rung(0),
            reached: None,
            epoch: LeaseEpoch(0),
            lease: None,
            failed_attempts: 0,
            lost_leases: 0,
            checkpoint: None,
            metrics: None,
            value: None,
            seconds: 0.0,
            reason: None,
            stop_requested: false,
            created_change: Change(1),
            updated_change: Change(1),
            created_at: NOW,
            started_at: None,
            finished_at: None,
        },
        point_hash: String::new(),
        memory_failures: 0,
        checkpoint_step: 0,
        finish: None,
        lost: None,
        history: Vec::new(),
    }
}

fn lease(row: &TrialRow) -> (TrialRow, LeaseKey) {
    let row = row.leased(WorkerName("w".into()), NOW, 30.0).unwrap();
    let key = LeaseKey { trial: row.record.id, epoch: row.record.epoch };
    (row, key)
}

fn report(step: u64, auc: f64) -> Report {
    Report { step, metrics: Metrics::from([("auc", auc), ("memory", 1.0)]), seconds: Some(2.0) }
}

fn finish(kind: EndingKind, result: Option<Report>) -> Finish {
    Finish {
        ending: Ending { kind, reason: None },
        result,
        checkpoint: Some("file:///c".into()),
        seconds: 2.0,
    }
}

fn decide(row: &TrialRow, state: StudyState, key: LeaseKey, f: &Finish) -> Result<FinishDecision, Refusal> {
    decide_finish(row, &study(), state, key, f, None, NOW)
}

fn accepted(row: &TrialRow, key: LeaseKey, f: &Finish) -> FinishEffect {
    match decide(row, StudyState::Active, key, f).unwrap() {
        FinishDecision::Accepted(effect) => *effect,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_carry_their_study() {
    let id = TrialId::of(StudyId(12), 345);
    assert_eq!((id.0, id.study(), id.number()), (120_000_345, StudyId(12), 345));
}

#[test]
fn a_trial_climbs_its_rungs() {
    let (row, key) = lease(&queued());
    let effect = accepted(&row, key, &finish(EndingKind::Reached, Some(report(1, 0.7))));
    let row = effect.row;
    assert_eq!(
        (row.record.state, row.record.reached, effect.resource),
        (TrialState::Paused, Some(Rung(0)), 1)
    );
    assert_eq!(
        (row.record.value, effect.sign, effect.point.is_some()),
        (Some(0.7), WorkerSign::Result, true)
    );
    assert!(row.resumed(Rung(0)).is_err(), "no rung twice");
    let (row, key) = lease(&row.resumed(Rung(2)).unwrap());
    assert_eq!((key.epoch, row.resumes_from()), (LeaseEpoch(2), 1));
    let effect = accepted(&row, key, &finish(EndingKind::Reached, Some(report(9, 0.8))));
    assert_eq!((effect.row.record.state, effect.resource), (TrialState::Completed, 8));
    assert_eq!(effect.row.record.finished_at, Some(NOW));
}

#[test]
fn a_result_must_hold_the_objective_and_reach_the_target() {
    let (row, key) = lease(&queued());
    let mut bare = report(1, 0.7);
    bare.metrics.0.remove("memory");
    let refusal = decide(&row, StudyState::Active, key, &finish(EndingKind::Reached, Some(bare)));
    assert_eq!(refusal, Err(Refusal::MissingMetric { metric: "memory".into() }));
    let refusal = decide(&row, StudyState::Active, key, &finish(EndingKind::Reached, None));
    assert_eq!(refusal, Err(Refusal::MissingMetric { metric: "auc".into() }));
    let known = report(1, 0.7);
    let f = finish(EndingKind::Reached, None);
    let last = decide_finish(&row, &study(), StudyState::Active, key, &f, Some(&known), NOW).unwrap();
    assert!(
        matches!(last, FinishDecision::Accepted(e) if e.row.record.value == Some(0.7) && e.point.is_none())
    );
    let f = finish(EndingKind::Reached, Some(report(1, 0.9)));
    let conflict = decide_finish(&row, &study(), StudyState::Active, key, &f, Some(&known), NOW);
    assert_eq!(conflict, Err(Refusal::ReportConflict { step: 1 }));
    let nan = decide(&row, StudyState::Active, key, &finish(EndingKind::Stopped, Some(report(1, f64::NAN))));
    assert_eq!(nan, Err(Refusal::NotFinite { metric: "auc".into() }));
    let mut high = row;
    high.record.target = Rung(1);
    assert!(matches!(
        decide(&high, StudyState::Active, key, &finish(EndingKind::Reached, Some(report(2, 0.7)))),
        Err(Refusal::Invalid { .. })
    ));
}

#[test]
fn failures_use_attempts_and_other_ends_do_not() {
    let (row, key) = lease(&queued());
    let failed = accepted(&row, key, &finish(EndingKind::ProgramFailed, None));
    assert_eq!((failed.row.record.state, failed.sign), (TrialState::Queued, WorkerSign::Crash));
    let (row, key) = lease(&failed.row);
    let failed = accepted(&row, key, &finish(EndingKind::ProgramFailed, None)).row;
    assert_eq!((failed.record.state, failed.record.failed_attempts), (TrialState::Failed, 2));
    assert_eq!(failed.retried().unwrap().record.failed_attempts, 0);

    let (row, key) = lease(&queued());
    let once = accepted(&row, key, &finish(EndingKind::OutOfMemory, None)).row;
    assert_eq!(once.record.state, TrialState::Queued);
    let (row, key) = lease(&once);
    let twice = accepted(&row, key, &finish(EndingKind::OutOfMemory, None)).row;
    assert_eq!((twice.record.state, twice.record.failed_attempts), (TrialState::Infeasible, 0));

    let (row, key) = lease(&queued());
    let row = accepted(&row, key, &finish(EndingKind::Preempted, None)).row;
    assert_eq!((row.record.state, row.record.lost_leases), (TrialState::Queued, 1));
    assert_eq!((row.record.failed_attempts, row.record.checkpoint.is_some()), (0, true));
    let (row, key) = lease(&row);
    let row = accepted(&row, key, &finish(EndingKind::Infeasible, None)).row;
    assert_eq!(row.record.state, TrialState::Infeasible);
}

#[test]
fn many_lost_leases_fail_a_trial() {
    let mut row = queued();
    for _ in 1..LOST_LEASE_LIMIT {
        row = lease(&row).0.reaped(30.0, false, NOW).unwrap();
        assert_eq!(row.record.state, TrialState::Queued);
    }
    assert_eq!(lease(&row).0.reaped(30.0, false, NOW).unwrap().record.state, TrialState::Failed);
}

#[test]
fn every_second_of_training_is_counted_once() {
    let (row, old) = lease(&queued());
    for kind in
        [EndingKind::Reached, EndingKind::ProgramFailed, EndingKind::OutOfMemory, EndingKind::Preempted]
    {
        let result = (kind == EndingKind::Reached).then(|| report(1, 0.7));
        assert_eq!(accepted(&row, old, &finish(kind, result)).seconds, 2.0, "{kind:?}");
    }
    // Renewed for the last time 1.5 seconds after the grant; the worker died at some time after that.
    let mut renewed = row;
    renewed.record.lease.as_mut().unwrap().expires_at = NOW.plus_seconds(31.5);
    let reaped = renewed.reaped(30.0, false, NOW.plus_seconds(40.0)).unwrap();
    assert_eq!(reaped.lost, Some(LostLease { epoch: old.epoch, seconds: 1.5 }));
    // It did not die: what its result says counts in full, less what was counted.
    let good = finish(EndingKind::Reached, Some(report(1, 0.7)));
    assert_eq!(accepted(&reaped, old, &good).seconds, 0.5);
    // Meanwhile another worker has trained for four seconds.
    let (again, _) = lease(&reaped);
    let now = NOW.plus_seconds(4.0);
    match decide_finish(&again, &study(), StudyState::Active, old, &good, None, now).unwrap() {
        FinishDecision::Accepted(effect) => assert_eq!(effect.seconds, 4.5),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_late_result_counts_while_the_trial_is_open() {
    let (row, old) = lease(&queued());
    let requeued = row.reaped(30.0, false, NOW).unwrap();
    let good = finish(EndingKind::Reached, Some(report(1, 0.7)));
    assert_eq!(accepted(&requeued, old, &good).row.record.state, TrialState::Paused);
    let (leased, new) = lease(&requeued);
    assert_eq!(accepted(&leased, old, &good).row.record.state, TrialState::Paused);
    let failure = finish(EndingKind::ProgramFailed, None);
    assert_eq!(decide(&leased, StudyState::Active, old, &failure), Ok(FinishDecision::Superseded));
    assert_eq!(decide_heartbeat(&leased, old), HeartbeatDecision::Lost);
    let decided = accepted(&leased, old, &good).row;
    assert_eq!(decide_heartbeat(&decided, new), HeartbeatDecision::Lost);
    assert_eq!(decide(&decided, StudyState::Active, new, &good), Ok(FinishDecision::Superseded));
    let ahead = LeaseKey { epoch: LeaseEpoch(9), ..new };
    assert_eq!(decide(&leased, StudyState::Active, ahead, &good), Err(Refusal::LeaseLost));
    let report = decide_report(&leased, &study().problem, old, &report(1, 0.1), None);
    assert_eq!(report, Err(Refusal::LeaseLost));
}

#[test]
fn an_equal_finish_gets_the_first_answer() {
    let (row, key) = lease(&queued());
    let message = finish(EndingKind::Reached, Some(report(1, 0.7)));
    let mut row = accepted(&row, key, &message).row;
    let outcome = FinishOutcome { state: TrialState::Paused, accepted: true, change: Change(4) };
    row.finish = Some(FinishEffect::mark(key, &message, outcome.clone()));
    let (row, newer) = lease(&row.resumed(Rung(1)).unwrap());
    assert_eq!(decide(&row, StudyState::Active, key, &message), Ok(FinishDecision::Repeated(outcome)));
    let other = finish(EndingKind::Reached, Some(report(1, 0.6)));
    assert_eq!(decide(&row, StudyState::Active, key, &other), Ok(FinishDecision::Superseded));
    assert!(row.holds(newer));
}

#[test]
fn nothing_returns_to_the_queue_of_a_closed_study() {
    let (row, key) = lease(&queued());
    for (kind, state) in [
        (EndingKind::ProgramFailed, TrialState::Cancelled),
        (EndingKind::Preempted, TrialState::Cancelled),
        (EndingKind::OutOfMemory, TrialState::Cancelled),
        (EndingKind::Reached, TrialState::Pruned),
        (EndingKind::Stopped, TrialState::Pruned),
    ] {
        let result = matches!(kind, EndingKind::Reached | EndingKind::Stopped).then(|| report(1, 0.7));
        let decision = decide(&row, StudyState::Cancelled, key, &finish(kind, result)).unwrap();
        assert!(matches!(decision, FinishDecision::Accepted(e) if e.row.record.state == state), "{kind:?}");
    }
    assert_eq!(row.reaped(30.0, true, NOW).unwrap().record.state, TrialState::Cancelled);
}

#[test]
fn reports_answer_with_a_verdict() {
    let problem = study().problem;
    let (mut row, key) = lease(&queued());
    row.record.target = Rung(1);
    let decide =
        |row: &TrialRow, r: &Report, known: Option<&Report>| decide_report(row, &problem, key, r, known);
    assert_eq!(decide(&row, &report(1, 0.5), None), Ok(ReportDecision::Store(Verdict::Continue)));
    assert_eq!(decide(&row, &report(3, 0.5), None), Ok(ReportDecision::Store(Verdict::Yield)));
    let known = report(1, 0.5);
    assert_eq!(decide(&row, &known, Some(&known)), Ok(ReportDecision::Repeated(Verdict::Continue)));
    assert_eq!(decide(&row, &report(1, 0.6), Some(&known)), Err(Refusal::ReportConflict { step: 1 }));
    let not_finite = decide(&row, &report(1, f64::INFINITY), None);
    assert_eq!(not_finite, Err(Refusal::NotFinite { metric: "auc".into() }));
    row.record.stop_requested = true;
    assert!(matches!(decide(&row, &report(1, 0.5), None), Ok(ReportDecision::Store(Verdict::Stop(_)))));
    assert_eq!(decide_heartbeat(&row, key), HeartbeatDecision::RenewAndStop);
    let cancelled = row.cancelled("by hand".into(), NOW).unwrap();
    assert_eq!(decide_heartbeat(&cancelled, key), HeartbeatDecision::Stop);
    assert_eq!(decide(&cancelled, &report(2, 0.5), None), Err(Refusal::TrialFinished(TrialState::Cancelled)));
    assert!(matches!(
        decide(&cancelled, &known, Some(&known)),
        Ok(ReportDecision::Repeated(Verdict::Stop(_)))
    ));
}

#[test]
fn the_newest_epoch_of_a_step_counts() {
    let point = |epoch: u64, step: u64| CurvePoint {
        trial: TrialId(1),
        epoch: LeaseEpoch(epoch),
        report: report(step, epoch as f64),
        change: Change(1),
        at: NOW,
    };
    let curve = [point(1, 1), point(1, 2), point(2, 1)];
    let counted: Vec<_> =
        counted_curve(&curve, TrialId(1)).iter().map(|p| (p.report.step, p.epoch.0)).collect();
    assert_eq!(counted, [(1, 2), (2, 1)]);
}

#[test]
fn budgets_count_down() {
    let mut spec = study().spec;
    spec.budget = Budget { trials: Some(5), seconds: Some(10.0), resource: Some(100) };
    let mut record = StudyRecord {
        id: StudyId(1),
        project: ProjectId(1),
        spec,
        spec_hash: String::new(),
        state: StudyState::Active,
        state_reason: None,
        archived: false,
        change: Change(0),
        plan: PlanNumber(0),
        plan_end: None,
        plan_change: Change(0),
        counts: BTreeMap::from([(TrialState::Cancelled, 2), (TrialState::Queued, 2)]),
        trials: 4,
        resource_used: 30,
        training_seconds: 50.0,
        reopened: Change(0),
        created_at: Timestamp(0),
        budget_from: Timestamp(1_000_000),
        finished_at: None,
    };
    let left = budget_left(&record, NOW);
    assert_eq!((left.starts, left.seconds, left.resource), (Some(3), Some(6.0), Some(70)));
    assert!(!left.is_spent());
    record.spec.stop.training_seconds = Some(60.0);
    assert_eq!(budget_left(&record, NOW).training_seconds, Some(10.0));
    assert!(!budget_left(&record, NOW).is_spent());
    record.training_seconds = 60.5;
    assert!(budget_left(&record, NOW).is_time_or_resource_spent());
    record.spec.stop.training_seconds = None;
    record.resource_used = 100;
    assert!(budget_left(&record, NOW).is_spent());
}
