//! Decisions on the last message under a lease.

use boxwood_core::{Metrics, Problem, Resource};
use sha2::{Digest, Sha256};

use crate::decide::check_report;
use crate::ids::{LeaseEpoch, LeaseKey, Timestamp};
use crate::record::{EndingKind, Finish, FinishOutcome, Report};
use crate::refusal::Refusal;
use crate::row::TrialRow;
use crate::spec::{CheckedStudy, StudySpec};
use crate::state::{StudyState, TrialEvent};

/// Retries of a trial that ran out of memory before it counts as infeasible.
const MEMORY_RETRIES: u32 = 1;
/// Longest reason that is kept, in bytes.
const REASON_BYTES: usize = 8_192;

/// What a finish says about the worker that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerSign {
    /// It brought a result.
    Result,
    /// Its program crashed.
    Crash,
    /// Neither.
    Nothing,
}

/// What becomes of a finish.
#[derive(Debug, Clone, PartialEq)]
pub enum FinishDecision {
    /// The same message had been accepted; this is its answer.
    Repeated(FinishOutcome),
    /// The trial was decided by another message; nothing changes and the worker is told so politely.
    Superseded,
    /// It counts.
    Accepted(Box<FinishEffect>),
}

/// The effect of an accepted finish.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishEffect {
    /// The trial afterwards; the store stamps its change and its mark.
    pub row: TrialRow,
    /// A point of the curve to store.
    pub point: Option<Report>,
    /// Resource units that this lease trained.
    pub resource: u64,
    /// Seconds of training that the study counts for it, beyond those counted when the lease was lost.
    pub seconds: f64,
    /// What it says about the worker.
    pub sign: WorkerSign,
}

/// Digest of a finish, to recognize an equal repeat.
pub(crate) fn digest(finish: &Finish) -> String {
    let text = serde_json::to_vec(finish).expect("a finish has text keys only");
    Sha256::digest(&text)[..16].iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Decides a finish.
///
/// `known` is the report stored under this lease at the step of `finish.result`, or the lease's last report when the
/// finish holds no result. The first terminal result of a trial wins. A result of a superseded epoch counts while the
/// trial is queued or leased; its failures do not.
///
/// # Errors
/// Values that are not finite; a result that reaches the target without an objective or constraint; a result that differs
/// from the stored report of its step. Nothing is lost by a refusal: the lease goes on.
pub fn decide_finish(
    row: &TrialRow,
    study: &CheckedStudy,
    state: StudyState,
    key: LeaseKey,
    finish: &Finish,
    known: Option<&Report>,
    now: Timestamp,
) -> Result<FinishDecision, Refusal> {
    if !finish.seconds.is_finite() || finish.seconds < 0.0 {
        return Err(invalid("seconds", "it must be finite and not negative"));
    }
    if let Some(result) = &finish.result {
        check_report(result)?;
    }
    if key.epoch.0 == 0 || key.epoch > row.record.epoch {
        return Err(Refusal::LeaseLost);
    }
    if let Some(mark) = &row.finish
        && mark.epoch == key.epoch
        && mark.digest == digest(finish)
    {
        return Ok(FinishDecision::Repeated(mark.outcome.clone()));
    }
    let late = !row.holds(key);
    let open = matches!(row.record.state, crate::TrialState::Queued | crate::TrialState::Leased);
    let counts_late =
        matches!(finish.ending.kind, EndingKind::Reached | EndingKind::Stopped | EndingKind::Infeasible);
    if late && !(open && counts_late) {
        return Ok(FinishDecision::Superseded);
    }
    if let (Some(result), Some(known)) = (&finish.result, known)
        && known.metrics.0.iter().any(|(name, value)| result.metrics.get(name).is_some_and(|v| v != *value))
    {
        return Err(Refusal::ReportConflict { step: result.step });
    }
    let case = Case {
        row,
        spec: &study.spec,
        problem: &study.problem,
        closed: state.is_closed(),
        late,
        epoch: key.epoch,
        finish,
        known,
        now,
    };
    case.decide()
}

fn invalid(field: &str, reason: &str) -> Refusal {
    Refusal::Invalid { field: field.into(), reason: reason.into() }
}

struct Case<'a> {
    row: &'a TrialRow,
    spec: &'a StudySpec,
    problem: &'a Problem,
    closed: bool,
    late: bool,
    epoch: LeaseEpoch,
    finish: &'a Finish,
    known: Option<&'a Report>,
    now: Timestamp,
}

impl Case<'_> {
    /// The result that counts: the one sent, or the last report of the lease.
    fn result(&self) -> Option<&Report> {
        self.finish.result.as_ref().or(self.known)
    }

    fn decide(&self) -> Result<FinishDecision, Refusal> {
        let record = &self.row.record;
        let reason = self.finish.ending.reason.as_deref().map(cut);
        let (row, sign) = match self.finish.ending.kind {
            EndingKind::Reached => match self.reached()? {
                Some(row) => (row, WorkerSign::Result),
                None => return Ok(FinishDecision::Superseded),
            },
            EndingKind::Stopped => {
                let mut row = self.measured(self.row.moved(TrialEvent::Prune)?.ended(reason, self.now));
                self.keep_checkpoint(&mut row);
                (row, WorkerSign::Result)
            }
            EndingKind::Infeasible => (
                self.measured(self.row.moved(TrialEvent::Reject)?.ended(reason, self.now)),
                WorkerSign::Result,
            ),
            EndingKind::ProgramFailed => {
                let attempts = record.failed_attempts + 1;
                let mut row = if attempts < self.spec.max_attempts {
                    self.requeue(reason)?
                } else {
                    self.row.moved(TrialEvent::Fail)?.ended(reason, self.now)
                };
                row.record.failed_attempts = attempts;
                (row, WorkerSign::Crash)
            }
            EndingKind::OutOfMemory => {
                let mut row = if self.row.memory_failures < MEMORY_RETRIES {
                    self.requeue(reason)?
                } else {
                    let reason = Some(reason.unwrap_or_else(|| "out of memory twice".into()));
                    self.row.moved(TrialEvent::Reject)?.ended(reason, self.now)
                };
                row.memory_failures += 1;
                (row, WorkerSign::Nothing)
            }
            EndingKind::Preempted => {
                let lost = record.lost_leases + 1;
                let mut row = self.row.returned(lost, self.closed, self.now)?;
                row.record.lost_leases = lost;
                self.keep_checkpoint(&mut row);
                (row, WorkerSign::Nothing)
            }
        };
        Ok(FinishDecision::Accepted(Box::new(self.effect(row, sign))))
    }

    /// Another attempt, unless nothing may be started any more.
    fn requeue(&self, reason: Option<String>) -> Result<TrialRow, Refusal> {
        if self.closed || self.row.record.stop_requested {
            return self.row.closed("its study has ended", self.now);
        }
        let mut row = self.row.moved(TrialEvent::Requeue)?;
        row.record.reason = reason;
        Ok(row)
    }

    /// The trial measured up to its target; `None` for a late result that brings nothing new.
    fn reached(&self) -> Result<Option<TrialRow>, Refusal> {
        let ladder = self.problem.ladder();
        let missing = || Refusal::MissingMetric { metric: self.problem.objectives()[0].metric.clone() };
        let result = self.result().ok_or_else(missing)?;
        let not_finite = |error: boxwood_core::NotFinite| invalid("result.metrics", &error.to_string());
        for check in [self.problem.losses(&result.metrics), self.problem.violations(&result.metrics)] {
            check.map_err(not_finite)?.map_err(|metric| Refusal::MissingMetric { metric })?;
        }
        let target = ladder.resource(self.row.record.target);
        if result.step < target.0 {
            if self.late {
                return Ok(None);
            }
            let reason = format!(
                "step {} is below the target of {} {}",
                result.step,
                target.0,
                ladder.resource_name()
            );
            return Err(invalid("result.step", &reason));
        }
        let rung = ladder.rung_at(Resource(result.step)).unwrap_or(self.row.record.target);
        if self.row.record.reached.is_some_and(|reached| reached >= rung) {
            return Ok(None);
        }
        let event = if rung >= ladder.top() {
            TrialEvent::Complete
        } else if self.closed || self.row.record.stop_requested {
            TrialEvent::Prune
        } else {
            TrialEvent::Yield
        };
        let row = self.row.moved(event)?.ended(self.finish.ending.reason.as_deref().map(cut), self.now);
        let mut row = self.measured(row);
        self.keep_checkpoint(&mut row);
        Ok(Some(row))
    }

    /// What was measured counts: metrics, value and rung of the result.
    fn measured(&self, mut row: TrialRow) -> TrialRow {
        if let Some(result) = self.result() {
            if let Some(rung) = self.problem.ladder().rung_at(Resource(result.step)) {
                row.record.reached = row.record.reached.max(Some(rung));
            }
            row.record.value = result.metrics.get(&self.problem.objectives()[0].metric).or(row.record.value);
            row.record.metrics = Some(Metrics(result.metrics.0.clone()));
        }
        row
    }

    fn keep_checkpoint(&self, row: &mut TrialRow) {
        if let Some(checkpoint) = &self.finish.checkpoint {
            row.record.checkpoint = Some(checkpoint.clone());
            if let Some(result) = self.result() {
                row.checkpoint_step = row.checkpoint_step.max(result.step);
            }
        }
    }

    fn effect(&self, mut row: TrialRow, sign: WorkerSign) -> FinishEffect {
        if sign != WorkerSign::Crash {
            row.record.seconds += self.finish.seconds;
        }
        let trained = self.result().map_or(0, |result| result.step.saturating_sub(self.row.resumes_from()));
        let point = match (&self.finish.result, self.known) {
            (Some(result), None) => Some(result.clone()),
            (Some(_), Some(_)) | (None, _) => None,
        };
        let lost = self.row.lost.filter(|lost| self.late && lost.epoch == self.epoch);
        // A late result takes the trial away from the worker that holds it now.
        let taken = if self.late { self.row.leased_seconds(self.now) } else { 0.0 };
        let seconds = (self.finish.seconds - lost.map_or(0.0, |lost| lost.seconds)).max(0.0) + taken;
        FinishEffect { row, point, resource: trained, seconds, sign }
    }
}

impl FinishEffect {
    /// The finish to remember with the trial, once its change is known.
    pub fn mark(key: LeaseKey, finish: &Finish, outcome: FinishOutcome) -> crate::FinishMark {
        crate::FinishMark { epoch: key.epoch, digest: digest(finish), outcome }
    }
}

/// The end of a long reason: the last lines of a log say more than the first.
fn cut(reason: &str) -> String {
    let mut start = reason.len().saturating_sub(REASON_BYTES);
    while !reason.is_char_boundary(start) {
        start += 1;
    }
    reason[start..].to_owned()
}
