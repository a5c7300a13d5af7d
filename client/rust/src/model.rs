//! Studies, trials and workers as the server describes them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use boxwood_wire::v1;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::error::Error;
use crate::point::Point;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident, $field:literal, $wire:ident { $($(#[$item:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$item])* $variant,)*
        }

        impl $name {
            /// Reads the value on the wire; unspecified and unknown ones are refused.
            pub fn from_wire(value: i32) -> Result<Self, Error> {
                match v1::$wire::try_from(value) {
                    $(Ok(v1::$wire::$variant) => Ok(Self::$variant),)*
                    Ok(v1::$wire::Unspecified) | Err(_) => {
                        Err(Error::Answer { field: $field, reason: format!("{value} is not known") })
                    }
                }
            }

            /// The value on the wire.
            pub fn to_wire(self) -> v1::$wire {
                match self { $(Self::$variant => v1::$wire::$variant,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.serialize(formatter)
            }
        }
    };
}

states! {
    /// State of a study.
    StudyState, "study state", StudyState {
        /// Plans are made and trials are leased.
        Active,
        /// No new lease is granted.
        Paused,
        /// Done.
        Completed,
        /// Ended by a person.
        Cancelled,
    }
}

states! {
    /// State of a trial.
    TrialState, "trial state", TrialState {
        /// Waiting for a worker.
        Queued,
        /// Held by a worker.
        Leased,
        /// Measured at a rung, waiting for promotion.
        Paused,
        /// Measured at its last rung.
        Completed,
        /// Ended early on purpose.
        Pruned,
        /// The point cannot be evaluated.
        Infeasible,
        /// Its program failed until the attempts were used up.
        Failed,
        /// Withdrawn by a person.
        Cancelled,
    }
}

impl TrialState {
    /// Whether nothing will change any more, unless a person retries it.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Pruned | Self::Infeasible | Self::Failed | Self::Cancelled)
    }
}

states! {
    /// What to do after a report. The later in this list, the stronger.
    Verdict, "verdict", VerdictKind {
        /// Train on.
        Continue,
        /// Keep the checkpoint and give the trial back.
        Yield,
        /// End the trial; what it measured counts.
        Stop,
    }
}

states! {
    /// How a lease ends.
    Ending, "ending", Ending {
        /// The target was reached.
        Reached,
        /// Stopped by a verdict or command before the target.
        Stopped,
        /// The point cannot be evaluated.
        Infeasible,
        /// The program failed by its own fault.
        ProgramFailed,
        /// The program ran out of memory.
        OutOfMemory,
        /// The worker was told to leave; no attempt is used up.
        Preempted,
    }
}

states! {
    /// Order of a list of trials.
    TrialOrder, "order", TrialOrder {
        /// By rising number.
        Number,
        /// By falling number.
        Newest,
        /// Best value of the first objective first.
        Best,
    }
}

/// A study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyInfo {
    /// Id.
    pub id: i64,
    /// Project.
    pub project: String,
    /// Name.
    pub name: String,
    /// Specification in normal form.
    pub spec: Value,
    /// Hash of the specification.
    pub spec_hash: String,
    /// State.
    pub state: StudyState,
    /// Why it is in that state; empty where there is nothing to say.
    pub state_reason: String,
    /// Hidden from lists.
    pub archived: bool,
    /// Newest change.
    pub change: u64,
    /// Plans committed.
    pub plan: u64,
    /// Trials by state.
    pub counts: BTreeMap<String, u64>,
    /// Trials created.
    pub trials: u32,
    /// Resource units trained.
    pub resource_used: u64,
    /// Seconds that workers have trained in all leases, whatever became of them.
    pub training_seconds: f64,
    /// Created at.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: Option<SystemTime>,
    /// Finished at.
    #[serde(serialize_with = "rfc3339")]
    pub finished_at: Option<SystemTime>,
    /// Best feasible trial so far.
    pub best: Option<TrialInfo>,
}

/// A trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialInfo {
    /// Id.
    pub id: i64,
    /// Id of its study.
    pub study: i64,
    /// Number in the study, from 1.
    pub number: u32,
    /// Point.
    pub point: Point,
    /// `solver` or `user`.
    pub origin: String,
    /// Why it was proposed.
    pub provenance: Value,
    /// State.
    pub state: TrialState,
    /// Rung that it is meant for.
    pub target_rung: u32,
    /// Highest rung measured in full.
    pub reached_rung: Option<u32>,
    /// Epoch of the newest lease.
    pub epoch: u64,
    /// Worker that holds it, or empty.
    pub worker: String,
    /// Attempts that ended by a fault of the program.
    pub failed_attempts: u32,
    /// Leases lost or preempted.
    pub lost_leases: u32,
    /// Checkpoint, or empty.
    pub checkpoint: String,
    /// Metrics of the last result.
    pub metrics: BTreeMap<String, f64>,
    /// Value of the first objective.
    pub value: Option<f64>,
    /// Seconds trained.
    pub seconds: f64,
    /// Why it ended as it did, or empty.
    pub reason: String,
    /// Created at.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: Option<SystemTime>,
    /// First leased at.
    #[serde(serialize_with = "rfc3339")]
    pub started_at: Option<SystemTime>,
    /// Finished at.
    #[serde(serialize_with = "rfc3339")]
    pub finished_at: Option<SystemTime>,
}

/// One report of a trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurveInfo {
    /// Epoch of the lease.
    pub epoch: u64,
    /// Step in units of the resource.
    pub step: u64,
    /// Metrics.
    pub metrics: BTreeMap<String, f64>,
    /// Seconds trained so far.
    pub seconds: Option<f64>,
    /// Stored at.
    #[serde(serialize_with = "rfc3339")]
    pub at: Option<SystemTime>,
}

/// A trial with its curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialCurve {
    /// The trial.
    #[serde(flatten)]
    pub trial: TrialInfo,
    /// Its reports in order.
    pub curve: Vec<CurveInfo>,
}

/// What changed in a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyChange {
    /// The study now.
    pub study: StudyInfo,
    /// Trials that changed since the last message.
    pub trials: Vec<TrialInfo>,
}

/// Result of recomputing every plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayInfo {
    /// Plans recomputed.
    pub plans: u64,
    /// Moves compared.
    pub moves: u64,
    /// One line per difference.
    pub differences: Vec<String>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerInfo {
    /// Name.
    pub name: String,
    /// Slots.
    pub slots: u32,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Programs that it can run.
    pub programs: Vec<String>,
    /// Crashes in a row.
    pub crashes: u32,
    /// No leases until then.
    #[serde(serialize_with = "rfc3339")]
    pub quarantined_until: Option<SystemTime>,
    /// Asked to leave.
    pub draining: bool,
    /// Seen at.
    #[serde(serialize_with = "rfc3339")]
    pub seen_at: Option<SystemTime>,
    /// Leases that it holds.
    pub leases: u32,
}

/// What became of a finished trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Finished {
    /// State of the trial now.
    pub state: TrialState,
    /// False when an earlier result had been accepted.
    pub accepted: bool,
}

/// Which studies to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StudyFilter {
    /// Only these states; all when empty.
    pub states: Vec<StudyState>,
    /// Only names that contain this.
    pub name_contains: String,
    /// Also archived ones.
    pub archived: bool,
}

/// Which trials to list, and in what order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialFilter {
    /// Only these states; all when empty.
    pub states: Vec<TrialState>,
    /// Order.
    pub order: TrialOrder,
    /// Trials per page, 1 to 1000.
    pub page: u32,
}

impl Default for TrialFilter {
    fn default() -> Self {
        Self { states: Vec::new(), order: TrialOrder::Number, page: 100 }
    }
}

impl TryFrom<v1::Study> for StudyInfo {
    type Error = Error;

    fn try_from(study: v1::Study) -> Result<Self, Error> {
        Ok(Self {
            id: study.id,
            project: study.project,
            name: study.name,
            spec: json("spec_json", &study.spec_json)?,
            spec_hash: study.spec_hash,
            state: StudyState::from_wire(study.state)?,
            state_reason: study.state_reason,
            archived: study.archived,
            change: study.change,
            plan: study.plan,
            counts: study.counts.into_iter().collect(),
            trials: study.trials,
            resource_used: study.resource_used,
            training_seconds: study.training_seconds,
            created_at: time(study.created_at),
            finished_at: time(study.finished_at),
            best: study.best.map(TrialInfo::try_from).transpose()?,
        })
    }
}

impl TryFrom<v1::Trial> for TrialInfo {
    type Error = Error;

    fn try_from(trial: v1::Trial) -> Result<Self, Error> {
        Ok(Self {
            id: trial.id,
            study: trial.study,
            number: trial.number,
            point: Point::parse(&trial.point_json)?,
            origin: trial.origin,
            provenance: json("provenance_json", &trial.provenance_json)?,
            state: TrialState::from_wire(trial.state)?,
            target_rung: trial.target_rung,
            reached_rung: trial.reached_rung,
            epoch: trial.epoch,
            worker: trial.worker,
            failed_attempts: trial.failed_attempts,
            lost_leases: trial.lost_leases,
            checkpoint: trial.checkpoint,
            metrics: trial.metrics.into_iter().collect(),
            value: trial.value,
            seconds: trial.seconds,
            reason: trial.reason,
            created_at: time(trial.created_at),
            started_at: time(trial.started_at),
            finished_at: time(trial.finished_at),
        })
    }
}

impl TryFrom<v1::TrialWithCurve> for TrialCurve {
    type Error = Error;

    fn try_from(message: v1::TrialWithCurve) -> Result<Self, Error> {
        let trial = message.trial.ok_or_else(|| missing("trial"))?.try_into()?;
        let curve = message.curve.into_iter().map(|point| CurveInfo {
            epoch: point.epoch,
            step: point.step,
            metrics: point.metrics.into_iter().collect(),
            seconds: point.seconds,
            at: time(point.at),
        });
        Ok(Self { trial, curve: curve.collect() })
    }
}

impl TryFrom<v1::StudyChange> for StudyChange {
    type Error = Error;

    fn try_from(change: v1::StudyChange) -> Result<Self, Error> {
        Ok(Self {
            study: change.study.ok_or_else(|| missing("study"))?.try_into()?,
            trials: change.trials.into_iter().map(TrialInfo::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<v1::Worker> for WorkerInfo {
    fn from(worker: v1::Worker) -> Self {
        Self {
            name: worker.name,
            slots: worker.slots,
            labels: worker.labels.into_iter().collect(),
            programs: worker.programs,
            crashes: worker.crashes,
            quarantined_until: time(worker.quarantined_until),
            draining: worker.draining,
            seen_at: time(worker.seen_at),
            leases: worker.leases,
        }
    }
}

pub(crate) fn missing(field: &'static str) -> Error {
    Error::Answer { field, reason: "it is missing".into() }
}

fn json(field: &'static str, text: &str) -> Result<Value, Error> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|error| Error::Answer { field, reason: error.to_string() })
}

fn time(timestamp: Option<prost_types::Timestamp>) -> Option<SystemTime> {
    timestamp.and_then(|timestamp| SystemTime::try_from(timestamp).ok())
}

#[allow(clippy::ref_option)] // The signature that serde asks for.
fn rfc3339<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| prost_types::Timestamp::from(time).to_string()).serialize(serializer)
}
