//! Decisions on reports and heartbeats.

use std::collections::BTreeMap;

use boxwood_core::{Metrics, Problem, Verdict};

use crate::ids::{LeaseKey, TrialId};
use crate::record::{CurvePoint, Report};
use crate::refusal::Refusal;
use crate::row::TrialRow;
use crate::state::TrialState;

/// What becomes of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum ReportDecision {
    /// It is stored.
    Store(Verdict),
    /// It was stored before with equal values.
    Repeated(Verdict),
}

/// Refuses metrics and seconds that are not finite; the store never sees them.
pub(crate) fn check_report(report: &Report) -> Result<(), Refusal> {
    check_metrics(&report.metrics)?;
    if report.step == 0 {
        return Err(Refusal::Invalid { field: "step".into(), reason: "it must be at least 1".into() });
    }
    match report.seconds {
        Some(seconds) if !seconds.is_finite() || seconds < 0.0 => Err(Refusal::Invalid {
            field: "seconds".into(),
            reason: "it must be finite and not negative".into(),
        }),
        _ => Ok(()),
    }
}

fn check_metrics(metrics: &Metrics) -> Result<(), Refusal> {
    metrics.check().map_err(|(metric, _)| Refusal::NotFinite { metric })
}

/// Decides a report. `existing` is the stored report of the same trial, epoch and step.
///
/// An equal repeat is accepted whatever became of the lease. The verdict is `Continue` below the target, `Yield` at it,
/// `Stop` once a stop was requested; a solver's judgement is laid over it by the caller.
///
/// # Errors
/// Values that are not finite, a conflict with the stored report, a lost lease, a finished trial.
pub fn decide_report(
    row: &TrialRow,
    problem: &Problem,
    key: LeaseKey,
    report: &Report,
    existing: Option<&Report>,
) -> Result<ReportDecision, Refusal> {
    check_report(report)?;
    let holds = row.holds(key);
    match existing {
        Some(existing) if existing != report => Err(Refusal::ReportConflict { step: report.step }),
        Some(_) if !holds => Ok(ReportDecision::Repeated(Verdict::Stop("the lease has ended".into()))),
        Some(_) => Ok(ReportDecision::Repeated(verdict(row, problem, report.step))),
        None if holds => Ok(ReportDecision::Store(verdict(row, problem, report.step))),
        None if row.record.state.is_finished() && row.record.epoch == key.epoch => {
            Err(Refusal::TrialFinished(row.record.state))
        }
        None => Err(Refusal::LeaseLost),
    }
}

fn verdict(row: &TrialRow, problem: &Problem, step: u64) -> Verdict {
    if row.record.stop_requested {
        Verdict::Stop("a stop was requested".into())
    } else if step >= problem.ladder().resource(row.record.target).0 {
        Verdict::Yield
    } else {
        Verdict::Continue
    }
}

/// What becomes of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatDecision {
    /// The lease is renewed.
    Renew,
    /// The lease is renewed and the worker is told to end the trial.
    RenewAndStop,
    /// The trial was withdrawn: the worker is told to end it, nothing is renewed.
    Stop,
    /// The lease is lost.
    Lost,
}

/// Decides a heartbeat. A lease whose time is over but that nobody has reaped goes on.
pub fn decide_heartbeat(row: &TrialRow, key: LeaseKey) -> HeartbeatDecision {
    let stop = row.record.stop_requested;
    if row.holds(key) {
        if stop { HeartbeatDecision::RenewAndStop } else { HeartbeatDecision::Renew }
    } else if stop && row.record.state == TrialState::Cancelled && row.record.epoch == key.epoch {
        HeartbeatDecision::Stop
    } else {
        HeartbeatDecision::Lost
    }
}

/// The points of a trial's curve that count: where several epochs reported a step, the newest one; by rising step.
pub fn counted_curve(curve: &[CurvePoint], trial: TrialId) -> Vec<&CurvePoint> {
    let mut counted: BTreeMap<u64, &CurvePoint> = BTreeMap::new();
    for point in curve.iter().filter(|point| point.trial == trial) {
        let slot = counted.entry(point.report.step).or_insert(point);
        if point.epoch > slot.epoch {
            *slot = point;
        }
    }
    counted.into_values().collect()
}
