//! Rows as the stores hold them, and the messages of the data plane.

use std::collections::BTreeMap;

use boxwood_core::{Change, Diagnostics, Metrics, Move, Origin, PlanEnd, Point, Provenance, Rung, Verdict};
use serde::{Deserialize, Serialize};

use crate::ids::{LeaseEpoch, PlanNumber, ProjectId, StudyId, Timestamp, TrialId, WorkerName};
use crate::spec::StudySpec;
use crate::state::{StudyState, TrialState};

/// A study as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyRecord {
    /// Id.
    pub id: StudyId,
    /// Project that it belongs to.
    pub project: ProjectId,
    /// Specification in normal form (its budget and stop rules may have been changed since creation).
    pub spec: StudySpec,
    /// Hash of the specification at creation.
    pub spec_hash: String,
    /// State.
    pub state: StudyState,
    /// Why it is in that state, where there is a reason to give.
    pub state_reason: Option<String>,
    /// Hidden from lists.
    pub archived: bool,
    /// Newest change.
    pub change: Change,
    /// Number of the newest committed plan, 0 before the first.
    pub plan: PlanNumber,
    /// End of the newest plan.
    pub plan_end: Option<PlanEnd>,
    /// Change that the newest plan had seen.
    pub plan_change: Change,
    /// Trials by state.
    pub counts: BTreeMap<TrialState, u64>,
    /// Number of the last created trial.
    pub trials: u32,
    /// Resource units trained so far.
    pub resource_used: u64,
    /// Seconds that workers have trained in all leases, whatever became of them: also in attempts that failed and leases
    /// that were cancelled. A lost lease counts up to the worker's last heartbeat, unless its result still comes.
    pub training_seconds: f64,
    /// Change at which the study was last reopened, 0 when it never was: results up to it count towards no stop rule.
    pub reopened: Change,
    /// Created at.
    pub created_at: Timestamp,
    /// Start of the budget in seconds.
    pub budget_from: Timestamp,
    /// Finished at.
    pub finished_at: Option<Timestamp>,
}

/// A lease on a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Worker that holds it.
    pub worker: WorkerName,
    /// Granted at.
    pub granted_at: Timestamp,
    /// Ends at, unless renewed.
    pub expires_at: Timestamp,
}

/// A trial as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Id in the database.
    pub id: TrialId,
    /// Study.
    pub study: StudyId,
    /// Number in the study, from 1.
    pub number: u32,
    /// Canonical point.
    pub point: Point,
    /// Who proposed it.
    pub origin: Origin,
    /// Why.
    pub provenance: Provenance,
    /// State.
    pub state: TrialState,
    /// Rung that it is queued or leased for, or the last one asked for.
    pub target: Rung,
    /// Highest rung measured in full.
    pub reached: Option<Rung>,
    /// Epoch of the newest lease; 0 before the first.
    pub epoch: LeaseEpoch,
    /// Current lease, only while leased.
    pub lease: Option<LeaseRecord>,
    /// Attempts that ended by a fault of the program.
    pub failed_attempts: u32,
    /// Leases lost or preempted; they do not use up attempts.
    pub lost_leases: u32,
    /// Checkpoint of the highest rung reached.
    pub checkpoint: Option<String>,
    /// Final metrics, or those of the last result.
    pub metrics: Option<Metrics>,
    /// Native value of the first objective in `metrics`.
    pub value: Option<f64>,
    /// Seconds trained in all attempts that counted.
    pub seconds: f64,
    /// Why it ended as it did.
    pub reason: Option<String>,
    /// A person asked that it be stopped while it was leased; the next heartbeat tells the worker.
    pub stop_requested: bool,
    /// Change at which it was created.
    pub created_change: Change,
    /// Change at which it last changed.
    pub updated_change: Change,
    /// Created at.
    pub created_at: Timestamp,
    /// First leased at.
    pub started_at: Option<Timestamp>,
    /// Finished at.
    pub finished_at: Option<Timestamp>,
}

/// A report of a worker: metrics at a step under an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Step in units of the resource, at least 1.
    pub step: u64,
    /// Finite metrics.
    pub metrics: Metrics,
    /// Seconds of training since the start of the trial, over all its leases that counted.
    pub seconds: Option<f64>,
}

/// A stored report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Trial.
    pub trial: TrialId,
    /// Epoch that reported it.
    pub epoch: LeaseEpoch,
    /// The report.
    pub report: Report,
    /// Change at which it became visible.
    pub change: Change,
    /// Stored at.
    pub at: Timestamp,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportAnswer {
    /// What to do next.
    pub verdict: Verdict,
    /// Change at which the report is visible.
    pub change: Change,
}

/// How a worker ends its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndingKind {
    /// The target rung was reached; the server decides between paused and completed.
    Reached,
    /// A verdict or a command stopped it before the target; what it measured counts.
    Stopped,
    /// The point cannot be evaluated.
    Infeasible,
    /// The program failed by its own fault: an exception, a bad exit code.
    ProgramFailed,
    /// The program ran out of memory.
    OutOfMemory,
    /// The worker was told to leave: no attempt is used up.
    Preempted,
}

/// How and why a lease ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// Kind.
    pub kind: EndingKind,
    /// For people: the last lines of the log, the exit code.
    pub reason: Option<String>,
}

/// The last message under a lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// How it ended.
    pub ending: Ending,
    /// Final result, reported as one more point of the curve where present.
    pub result: Option<Report>,
    /// Checkpoint to resume from, where one was kept.
    pub checkpoint: Option<String>,
    /// Seconds that this lease trained.
    pub seconds: f64,
}

/// What a finish did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishOutcome {
    /// State of the trial now.
    pub state: TrialState,
    /// Whether this message decided it; false when an earlier result had already been accepted.
    pub accepted: bool,
    /// Change after it.
    pub change: Change,
}

/// A committed plan, kept for replay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// Study.
    pub study: StudyId,
    /// Number in the study.
    pub number: PlanNumber,
    /// Change that it had seen.
    pub change: Change,
    /// Moves asked for.
    pub want: u32,
    /// New trials that the budget allowed.
    pub starts_left: Option<u64>,
    /// The moves.
    pub moves: Vec<Move>,
    /// End.
    pub end: PlanEnd,
    /// How it was made.
    pub diagnostics: Diagnostics,
    /// Seconds that it took.
    pub seconds: f64,
    /// Committed at.
    pub at: Timestamp,
}

/// A worker process as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Project.
    pub project: ProjectId,
    /// Name.
    pub name: WorkerName,
    /// Slots.
    pub slots: u32,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Programs that its configuration knows.
    pub programs: Vec<String>,
    /// Crashes in a row; reset by a result.
    pub crashes: u32,
    /// No leases until then.
    pub quarantined_until: Option<Timestamp>,
    /// Asked to finish its trials and leave.
    pub draining: bool,
    /// Seen at.
    pub seen_at: Timestamp,
    /// Leases that it holds.
    pub leases: u32,
}
