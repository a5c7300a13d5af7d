//! Between messages and domain types. An unspecified value of an enumeration is refused where one is required.

use std::collections::BTreeMap;

use boxwood_app::StudyDetail;
use boxwood_core::{Metrics, Origin, Point, Verdict};
use boxwood_store::{Grant, LeaseCommand, TrialOrder, WorkerHello};
use boxwood_study::{
    CurvePoint, EndingKind, LeaseEpoch, LeaseKey, ProjectId, Report, StudyEvent, StudyRecord, StudyState,
    Timestamp, TrialId, TrialRecord, TrialState, WorkerName, WorkerRecord,
};
use boxwood_wire::v1;

use crate::failure::Failure;
use crate::json;

pub(super) fn time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.0.div_euclid(1_000_000),
        nanos: (at.0.rem_euclid(1_000_000) * 1_000) as i32,
    }
}

pub(super) fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn study_state(state: StudyState) -> v1::StudyState {
    match state {
        StudyState::Active => v1::StudyState::Active,
        StudyState::Paused => v1::StudyState::Paused,
        StudyState::Completed => v1::StudyState::Completed,
        StudyState::Cancelled => v1::StudyState::Cancelled,
    }
}

pub(super) fn study_states(states: &[i32]) -> Result<Vec<StudyState>, Failure> {
    let state = |value: &i32| match v1::StudyState::try_from(*value) {
        Ok(v1::StudyState::Active) => Ok(StudyState::Active),
        Ok(v1::StudyState::Paused) => Ok(StudyState::Paused),
        Ok(v1::StudyState::Completed) => Ok(StudyState::Completed),
        Ok(v1::StudyState::Cancelled) => Ok(StudyState::Cancelled),
        Ok(v1::StudyState::Unspecified) | Err(_) => {
            Err(Failure::invalid("states", "unspecified or unknown state"))
        }
    };
    states.iter().map(state).collect()
}

pub(super) fn trial_state(state: TrialState) -> v1::TrialState {
    match state {
        TrialState::Queued => v1::TrialState::Queued,
        TrialState::Leased => v1::TrialState::Leased,
        TrialState::Paused => v1::TrialState::Paused,
        TrialState::Completed => v1::TrialState::Completed,
        TrialState::Pruned => v1::TrialState::Pruned,
        TrialState::Infeasible => v1::TrialState::Infeasible,
        TrialState::Failed => v1::TrialState::Failed,
        TrialState::Cancelled => v1::TrialState::Cancelled,
    }
}

pub(super) fn trial_states(states: &[i32]) -> Result<Vec<TrialState>, Failure> {
    let state = |value: &i32| match v1::TrialState::try_from(*value) {
        Ok(v1::TrialState::Queued) => Ok(TrialState::Queued),
        Ok(v1::TrialState::Leased) => Ok(TrialState::Leased),
        Ok(v1::TrialState::Paused) => Ok(TrialState::Paused),
        Ok(v1::TrialState::Completed) => Ok(TrialState::Completed),
        Ok(v1::TrialState::Pruned) => Ok(TrialState::Pruned),
        Ok(v1::TrialState::Infeasible) => Ok(TrialState::Infeasible),
        Ok(v1::TrialState::Failed) => Ok(TrialState::Failed),
        Ok(v1::TrialState::Cancelled) => Ok(TrialState::Cancelled),
        Ok(v1::TrialState::Unspecified) | Err(_) => {
            Err(Failure::invalid("states", "unspecified or unknown state"))
        }
    };
    states.iter().map(state).collect()
}

pub(super) fn trial_order(order: i32) -> Result<TrialOrder, Failure> {
    match v1::TrialOrder::try_from(order) {
        Ok(v1::TrialOrder::Unspecified | v1::TrialOrder::Number) => Ok(TrialOrder::Number),
        Ok(v1::TrialOrder::Newest) => Ok(TrialOrder::Newest),
        Ok(v1::TrialOrder::Best) => Ok(TrialOrder::Best),
        Err(_) => Err(Failure::invalid("order", "unknown order")),
    }
}

pub(super) fn action(action: i32) -> Result<Option<StudyEvent>, Failure> {
    match v1::StudyAction::try_from(action) {
        Ok(v1::StudyAction::Unspecified) => Ok(None),
        Ok(v1::StudyAction::Pause) => Ok(Some(StudyEvent::Pause)),
        Ok(v1::StudyAction::Resume) => Ok(Some(StudyEvent::Resume)),
        Ok(v1::StudyAction::Cancel) => Ok(Some(StudyEvent::Cancel)),
        Err(_) => Err(Failure::invalid("action", "unknown action")),
    }
}

pub(super) fn ending(ending: i32) -> Result<EndingKind, Failure> {
    match v1::Ending::try_from(ending) {
        Ok(v1::Ending::Reached) => Ok(EndingKind::Reached),
        Ok(v1::Ending::Stopped) => Ok(EndingKind::Stopped),
        Ok(v1::Ending::Infeasible) => Ok(EndingKind::Infeasible),
        Ok(v1::Ending::ProgramFailed) => Ok(EndingKind::ProgramFailed),
        Ok(v1::Ending::OutOfMemory) => Ok(EndingKind::OutOfMemory),
        Ok(v1::Ending::Preempted) => Ok(EndingKind::Preempted),
        Ok(v1::Ending::Unspecified) | Err(_) => {
            Err(Failure::invalid("ending", "unspecified or unknown ending"))
        }
    }
}

pub(super) fn verdict(verdict: Verdict) -> (v1::VerdictKind, String) {
    match verdict {
        Verdict::Continue => (v1::VerdictKind::Continue, String::new()),
        Verdict::Yield => (v1::VerdictKind::Yield, String::new()),
        Verdict::Stop(reason) => (v1::VerdictKind::Stop, reason),
    }
}

pub(super) fn command(command: &LeaseCommand) -> v1::VerdictKind {
    match command {
        LeaseCommand::Continue => v1::VerdictKind::Continue,
        LeaseCommand::Stop => v1::VerdictKind::Stop,
        LeaseCommand::Yield => v1::VerdictKind::Yield,
    }
}

/// A study without its best trial.
pub(super) fn study(record: StudyRecord, project: String) -> Result<v1::Study, Failure> {
    let counts =
        record.counts.iter().map(|(state, count)| (json::trial_state(*state).to_owned(), *count)).collect();
    Ok(v1::Study {
        id: record.id.0,
        project,
        name: record.spec.name.clone(),
        spec_json: json::text(&record.spec)?,
        spec_hash: record.spec_hash,
        state: study_state(record.state).into(),
        state_reason: record.state_reason.unwrap_or_default(),
        archived: record.archived,
        change: record.change.0,
        plan: record.plan.0,
        counts,
        trials: record.trials,
        resource_used: record.resource_used,
        training_seconds: record.training_seconds,
        created_at: Some(time(record.created_at)),
        finished_at: record.finished_at.map(time),
        best: None,
    })
}

/// A study with its best trial.
pub(super) fn detail(detail: StudyDetail, project: String) -> Result<v1::Study, Failure> {
    let best = detail.best.map(|best| trial(best.trial)).transpose()?;
    Ok(v1::Study { best, ..study(detail.study, project)? })
}

pub(super) fn trial(record: TrialRecord) -> Result<v1::Trial, Failure> {
    let origin = match record.origin {
        Origin::Solver => "solver",
        Origin::User => "user",
    };
    Ok(v1::Trial {
        id: record.id.0,
        study: record.study.0,
        number: record.number,
        point_json: json::text(&record.point)?,
        origin: origin.into(),
        provenance_json: json::text(&record.provenance)?,
        state: trial_state(record.state).into(),
        target_rung: record.target.0,
        reached_rung: record.reached.map(|rung| rung.0),
        epoch: record.epoch.0,
        worker: record.lease.map(|lease| lease.worker.0).unwrap_or_default(),
        failed_attempts: record.failed_attempts,
        lost_leases: record.lost_leases,
        checkpoint: record.checkpoint.unwrap_or_default(),
        metrics: record.metrics.map(|metrics| metrics.0.into_iter().collect()).unwrap_or_default(),
        value: record.value,
        seconds: record.seconds,
        reason: record.reason.unwrap_or_default(),
        created_at: Some(time(record.created_at)),
        started_at: record.started_at.map(time),
        finished_at: record.finished_at.map(time),
    })
}

pub(super) fn curve_point(point: CurvePoint) -> v1::CurvePoint {
    v1::CurvePoint {
        epoch: point.epoch.0,
        step: point.report.step,
        metrics: point.report.metrics.0.into_iter().collect(),
        seconds: point.report.seconds,
        at: Some(time(point.at)),
    }
}

pub(super) fn lease(grant: Grant) -> Result<v1::Lease, Failure> {
    let (program, arguments_json) = match &grant.program {
        Some(program) => (program.name.clone(), json::text(&program.arguments)?),
        None => (String::new(), "{}".to_owned()),
    };
    Ok(v1::Lease {
        trial: grant.trial.id.0,
        epoch: grant.trial.epoch.0,
        study: grant.trial.study.0,
        study_name: grant.study_name,
        number: grant.trial.number,
        point_json: json::text(&grant.trial.point)?,
        program,
        arguments_json,
        resource: grant.resource,
        from: grant.from,
        to: grant.to,
        rungs: grant.rungs,
        seed: grant.seed,
        checkpoint: grant.trial.checkpoint.unwrap_or_default(),
        lease_seconds: grant.lease_seconds,
        metrics: grant.metrics,
        arm_parameter: grant.arm_parameter.unwrap_or_default(),
        seconds: grant.trial.seconds,
    })
}

pub(super) fn worker(record: WorkerRecord) -> v1::Worker {
    v1::Worker {
        name: record.name.0,
        slots: record.slots,
        labels: record.labels.into_iter().collect(),
        programs: record.programs,
        crashes: record.crashes,
        quarantined_until: record.quarantined_until.map(time),
        draining: record.draining,
        seen_at: Some(time(record.seen_at)),
        leases: record.leases,
    }
}

/// Who asks, within the project that the caller may see.
pub(super) fn hello(hello: v1::WorkerHello, project: ProjectId) -> WorkerHello {
    WorkerHello {
        project,
        name: WorkerName(hello.name),
        slots: hello.slots,
        labels: hello.labels.into_iter().collect::<BTreeMap<_, _>>(),
        programs: hello.programs,
    }
}

pub(super) fn required_hello(hello: Option<v1::WorkerHello>) -> Result<v1::WorkerHello, Failure> {
    hello.ok_or_else(|| Failure::invalid("worker", "it is required"))
}

pub(super) fn key(key: Option<v1::LeaseKey>) -> Result<LeaseKey, Failure> {
    let key = key.ok_or_else(|| Failure::invalid("lease", "it is required"))?;
    Ok(LeaseKey { trial: TrialId(key.trial), epoch: LeaseEpoch(key.epoch) })
}

pub(super) fn wire_key(key: LeaseKey) -> v1::LeaseKey {
    v1::LeaseKey { trial: key.trial.0, epoch: key.epoch.0 }
}

pub(super) fn report(entry: v1::ReportEntry) -> Report {
    Report { step: entry.step, metrics: Metrics(entry.metrics.into_iter().collect()), seconds: entry.seconds }
}

pub(super) fn points(points: &[String]) -> Result<Vec<Point>, Failure> {
    let read = |(index, text): (usize, &String)| json::point(text, &format!("points_json[{index}]"));
    points.iter().enumerate().map(read).collect()
}
