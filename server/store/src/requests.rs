//! Arguments and answers of the store's methods.

use std::collections::BTreeMap;

use boxwood_core::{Change, Diagnostics, Move, PlanEnd, Rung};
use boxwood_study::{
    Budget, CheckedStudy, CurvePoint, LeaseKey, PlanNumber, ProgramSpec, ProjectId, StopPatch, StudyEvent,
    StudyId, StudyRecord, StudyState, Timestamp, TokenId, TrialId, TrialRecord, TrialState, WorkerName,
};
use serde::{Deserialize, Serialize};

/// A mutating request with the id that makes it repeatable.
#[derive(Debug, Clone, PartialEq)]
pub struct Requested<T> {
    /// Made by the client, unique in the project; `None` gives up repeatability.
    pub id: Option<String>,
    /// The request.
    pub body: T,
}

impl<T> Requested<T> {
    /// A request without an id.
    pub fn once(body: T) -> Self {
        Self { id: None, body }
    }
}

/// What changed, for planners, waiting asks and change feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreNotice {
    /// Something in this study changed.
    Study(StudyId),
    /// The receiver may have missed notices; look at everything.
    Resync,
}

/// A new project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// Name, unique.
    pub name: String,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRecord {
    /// Id.
    pub id: ProjectId,
    /// Name.
    pub name: String,
}

/// What a token may do, each including the ones before: view; operate studies; (workers stand apart) run trials; administer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, and runs trials: acquire, heartbeat, report, finish.
    Worker,
    /// Everything on studies and trials.
    Operator,
    /// Tokens and projects too.
    Admin,
}

/// A token to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// SHA-256 of the secret, hexadecimal.
    pub hash: String,
    /// First characters of the secret, to tell tokens apart.
    pub prefix: String,
    /// For people.
    pub name: String,
    /// Project it is valid for; `None` is every project.
    pub project: Option<ProjectId>,
    /// Role.
    pub role: Role,
    /// Not valid after.
    pub expires_at: Option<Timestamp>,
}

/// A stored token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Id.
    pub id: TokenId,
    /// First characters of the secret.
    pub prefix: String,
    /// For people.
    pub name: String,
    /// Project it is valid for; `None` is every project.
    pub project: Option<ProjectId>,
    /// Role.
    pub role: Role,
    /// Created at.
    pub created_at: Timestamp,
    /// Not valid after.
    pub expires_at: Option<Timestamp>,
}

/// A study to create.
#[derive(Debug, Clone)]
pub struct NewStudy {
    /// Project.
    pub project: ProjectId,
    /// The checked specification.
    pub study: CheckedStudy,
}

/// A created or found study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The study.
    pub study: StudyRecord,
    /// Whether it was there before.
    pub existed: bool,
}

/// Which studies to list.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyFilter {
    /// Project.
    pub project: ProjectId,
    /// Only these states; all when empty.
    pub states: Vec<StudyState>,
    /// Only names that contain this.
    pub name_contains: Option<String>,
    /// Whether archived ones are shown.
    pub archived: bool,
    /// Only ids below this one (seek).
    pub before: Option<StudyId>,
    /// Page size.
    pub limit: u32,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Items in order.
    pub items: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

/// A change of a study by a person or the planner.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StudyPatch {
    /// Event to apply.
    pub event: Option<StudyEvent>,
    /// Reason for the event.
    pub reason: Option<String>,
    /// New budget; a completed study becomes active again when the new budget allows more.
    pub budget: Option<Budget>,
    /// New stop rules; a completed study becomes active again when they differ and its budget allows more.
    pub stop: Option<StopPatch>,
    /// New most open leases: `Some(None)` lifts the limit.
    pub max_open_leases: Option<Option<u32>>,
    /// New archive flag.
    pub archived: Option<bool>,
    /// Cancels what plans have queued and nobody has leased yet.
    pub withdraws_queued: bool,
}

/// A study with rows that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRows {
    /// The study.
    pub study: StudyRecord,
    /// Trials that changed, by number, each with its state history.
    pub trials: Vec<TrialRecord>,
    /// Every state that the trials went through, as (trial, change, state), by change: what replay needs.
    pub history: Vec<(TrialId, Change, TrialState)>,
    /// Every target rung that the trials were queued for, as (trial, change, rung), by change.
    pub targets: Vec<(TrialId, Change, Rung)>,
    /// Curve points that became visible, by change.
    pub curves: Vec<CurvePoint>,
}

/// A trial with its curve.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRows {
    /// The trial.
    pub trial: TrialRecord,
    /// Its curve by epoch and step.
    pub curve: Vec<CurvePoint>,
}

/// A plan to commit.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPlan {
    /// Study.
    pub study: StudyId,
    /// Its number: the study's plan number plus one.
    pub number: PlanNumber,
    /// Change that it had seen.
    pub change: Change,
    /// Moves asked for.
    pub want: u32,
    /// New trials that the budget allowed.
    pub starts_left: Option<u64>,
    /// The moves, provenance complete, with the hash of each started point.
    pub moves: Vec<(Move, Option<String>)>,
    /// Queued, never leased solver trials that this plan replaces (freshness); they become cancelled.
    pub replaces: Vec<TrialId>,
    /// End.
    pub end: PlanEnd,
    /// How it was made.
    pub diagnostics: Diagnostics,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Whether a plan was committed.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanResult {
    /// Committed; the trials of its moves, in order.
    Committed(Vec<TrialRecord>),
    /// Another plan or a change came first: throw this one away and plan again.
    Conflict,
}

/// What became of enqueued points, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enqueued {
    /// The trials.
    pub trials: Vec<TrialRecord>,
}

/// A worker's introduction, sent with every acquire and heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerHello {
    /// Project.
    pub project: ProjectId,
    /// Name.
    pub name: WorkerName,
    /// Slots in all.
    pub slots: u32,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Programs that it can run; studies without a program are leased only by name of the study.
    pub programs: Vec<String>,
}

/// A request for leases.
#[derive(Debug, Clone, PartialEq)]
pub struct AcquireRequest {
    /// Who asks.
    pub worker: WorkerHello,
    /// Free slots.
    pub slots: u32,
    /// Only trials of this study (scripts); otherwise any study whose program and labels fit.
    pub study: Option<StudyId>,
}

/// A granted lease with everything that the worker needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// The trial, leased.
    pub trial: TrialRecord,
    /// Name of its study.
    pub study_name: String,
    /// What to run.
    pub program: Option<ProgramSpec>,
    /// Name of the resource.
    pub resource: String,
    /// Resource units already trained (of the checkpoint).
    pub from: u64,
    /// Resource units to train to.
    pub to: u64,
    /// Resource units of every rung up to the target: where to report at least.
    pub rungs: Vec<u64>,
    /// Seed of the trial, equal for every attempt.
    pub seed: u64,
    /// Length of the lease in seconds.
    pub lease_seconds: f64,
    /// Names of the metrics that a result must hold.
    pub metrics: Vec<String>,
    /// Name of the arm parameter of a CASH space.
    pub arm_parameter: Option<String>,
}

/// The control channel: the server's word to a worker about one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseCommand {
    /// Train on.
    Continue,
    /// End the trial and report it as stopped.
    Stop,
    /// Keep a checkpoint and give the trial back.
    Yield,
}

/// Answer to one key of a heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub enum HeartbeatAnswer {
    /// The lease goes on.
    Held {
        /// The lease.
        key: LeaseKey,
        /// Its new end.
        expires_at: Timestamp,
        /// What to do.
        command: LeaseCommand,
    },
    /// The lease is lost: drop the work.
    Lost {
        /// The lease.
        key: LeaseKey,
    },
}

/// What a reaper did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Trials returned to the queue.
    pub requeued: Vec<TrialId>,
    /// Trials that had lost too many leases and failed.
    pub failed: Vec<TrialId>,
    /// Studies whose budget in seconds has run out or that have nothing open: for the planner to look at.
    pub studies: Vec<StudyId>,
}

/// Order of a list of trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialOrder {
    /// By rising number.
    Number,
    /// By falling number.
    Newest,
    /// Best value of the first objective first, trials without one last.
    Best,
}

/// Which trials to list.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialFilter {
    /// Study.
    pub study: StudyId,
    /// Only these states; all when empty.
    pub states: Vec<TrialState>,
    /// Order.
    pub order: TrialOrder,
    /// Seek: items after this trial in the order.
    pub after: Option<TrialId>,
    /// Page size.
    pub limit: u32,
}
