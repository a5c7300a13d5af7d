//! Bodies of requests and answers. Times are RFC 3339 in UTC; unknown fields of a request are refused.

use std::collections::BTreeMap;

use boxwood_app::{Best, StudyDetail};
use boxwood_core::{Metrics, Origin, Point, Verdict};
use boxwood_store::{Grant, HeartbeatAnswer, LeaseCommand, WorkerHello};
use boxwood_study::{
    Budget, CurvePoint, EndingKind, LeaseEpoch, LeaseKey, ProjectId, StopPatch, StudyRecord, StudySpec,
    StudyState, Timestamp, TrialId, TrialRecord, TrialState, WorkerName, WorkerRecord,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::json;

/// A time as RFC 3339.
pub(super) fn time(at: Timestamp) -> String {
    let time = prost_types::Timestamp {
        seconds: at.0.div_euclid(1_000_000),
        nanos: (at.0.rem_euclid(1_000_000) * 1_000) as i32,
    };
    time.to_string()
}

/// A study.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StudyBody {
    /// Id.
    id: i64,
    /// Project.
    project: String,
    /// Name, unique in the project.
    name: String,
    /// Specification in normal form.
    #[schema(value_type = Object)]
    spec: StudySpec,
    /// Hash of the specification at creation.
    spec_hash: String,
    /// State.
    #[schema(value_type = String, example = "active")]
    state: StudyState,
    /// Why it is in that state.
    state_reason: Option<String>,
    /// Hidden from lists.
    archived: bool,
    /// Newest change.
    change: u64,
    /// Committed plans.
    plan: u64,
    /// Trials by state.
    counts: BTreeMap<&'static str, u64>,
    /// Trials ever created.
    trials: u32,
    /// Resource units trained.
    resource_used: u64,
    /// Seconds that workers have trained in all leases, whatever became of them.
    training_seconds: f64,
    /// Created at.
    created_at: String,
    /// Finished at.
    finished_at: Option<String>,
    /// Best feasible trial so far; only where one study was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<BestBody>,
}

/// The best feasible trial.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BestBody {
    /// The trial.
    trial: TrialBody,
    /// Rung of its best result: the highest that any trial has reached.
    rung: u32,
}

impl StudyBody {
    pub(super) fn new(record: StudyRecord, project: String) -> Self {
        Self {
            id: record.id.0,
            project,
            name: record.spec.name.clone(),
            spec_hash: record.spec_hash,
            state: record.state,
            state_reason: record.state_reason,
            archived: record.archived,
            change: record.change.0,
            plan: record.plan.0,
            counts: record.counts.iter().map(|(state, n)| (json::trial_state(*state), *n)).collect(),
            trials: record.trials,
            resource_used: record.resource_used,
            training_seconds: record.training_seconds,
            created_at: time(record.created_at),
            finished_at: record.finished_at.map(time),
            best: None,
            spec: record.spec,
        }
    }

    pub(super) fn detail(detail: StudyDetail, project: String) -> Self {
        let best = |best: Best| BestBody { trial: best.trial.into(), rung: best.result.rung.0 };
        Self { best: detail.best.map(best), ..Self::new(detail.study, project) }
    }
}

/// A trial.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialBody {
    id: i64,
    study: i64,
    /// Number in the study, from 1.
    number: u32,
    #[schema(value_type = Object)]
    point: Point,
    /// `solver` or `user`.
    origin: &'static str,
    /// Why the point was proposed.
    #[schema(value_type = Object)]
    provenance: boxwood_core::Provenance,
    #[schema(value_type = String, example = "completed")]
    state: TrialState,
    target_rung: u32,
    reached_rung: Option<u32>,
    /// Epoch of the newest lease.
    epoch: u64,
    /// Worker that holds it.
    worker: Option<String>,
    failed_attempts: u32,
    lost_leases: u32,
    checkpoint: Option<String>,
    #[schema(value_type = BTreeMap<String, f64>)]
    metrics: Option<Metrics>,
    /// Native value of the first objective.
    value: Option<f64>,
    seconds: f64,
    reason: Option<String>,
    created_change: u64,
    updated_change: u64,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
}

impl From<TrialRecord> for TrialBody {
    fn from(record: TrialRecord) -> Self {
        Self {
            id: record.id.0,
            study: record.study.0,
            number: record.number,
            point: record.point,
            origin: match record.origin {
                Origin::Solver => "solver",
                Origin::User => "user",
            },
            provenance: record.provenance,
            state: record.state,
            target_rung: record.target.0,
            reached_rung: record.reached.map(|rung| rung.0),
            epoch: record.epoch.0,
            worker: record.lease.map(|lease| lease.worker.0),
            failed_attempts: record.failed_attempts,
            lost_leases: record.lost_leases,
            checkpoint: record.checkpoint,
            metrics: record.metrics,
            value: record.value,
            seconds: record.seconds,
            reason: record.reason,
            created_change: record.created_change.0,
            updated_change: record.updated_change.0,
            created_at: time(record.created_at),
            started_at: record.started_at.map(time),
            finished_at: record.finished_at.map(time),
        }
    }
}

/// A page of trials or studies.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StudyPage {
    pub(super) studies: Vec<StudyBody>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// A page of trials.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialPage {
    pub(super) trials: Vec<TrialBody>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// A point of a learning curve.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CurveBody {
    epoch: u64,
    step: u64,
    #[schema(value_type = BTreeMap<String, f64>)]
    metrics: Metrics,
    seconds: Option<f64>,
    at: String,
}

impl From<CurvePoint> for CurveBody {
    fn from(point: CurvePoint) -> Self {
        Self {
            epoch: point.epoch.0,
            step: point.report.step,
            metrics: point.report.metrics,
            seconds: point.report.seconds,
            at: time(point.at),
        }
    }
}

/// A trial with its curve.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialWithCurve {
    pub(super) trial: TrialBody,
    pub(super) curve: Vec<CurveBody>,
}

/// A worker's introduction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hello {
    /// Project; the token's own, or `default`, when absent.
    #[serde(default)]
    pub(super) project: String,
    /// Name, unique in the project.
    name: String,
    /// Slots in all.
    #[serde(default = "one")]
    slots: u32,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    programs: Vec<String>,
}

pub(super) fn one() -> u32 {
    1
}

impl Hello {
    pub(super) fn within(self, project: ProjectId) -> WorkerHello {
        WorkerHello {
            project,
            name: WorkerName(self.name),
            slots: self.slots,
            labels: self.labels,
            programs: self.programs,
        }
    }
}

/// The right of a worker to run a trial.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyBody {
    trial: i64,
    epoch: u64,
}

impl From<KeyBody> for LeaseKey {
    fn from(key: KeyBody) -> Self {
        Self { trial: TrialId(key.trial), epoch: LeaseEpoch(key.epoch) }
    }
}

impl From<LeaseKey> for KeyBody {
    fn from(key: LeaseKey) -> Self {
        Self { trial: key.trial.0, epoch: key.epoch.0 }
    }
}

/// A lease with everything that a worker needs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeaseBody {
    trial: i64,
    epoch: u64,
    study: i64,
    study_name: String,
    number: u32,
    #[schema(value_type = Object)]
    point: Point,
    /// Program; absent for studies driven by a script.
    program: Option<String>,
    #[schema(value_type = Object)]
    arguments: Map<String, Json>,
    resource: String,
    /// Resource units already trained.
    from: u64,
    /// Resource units to train to.
    to: u64,
    rungs: Vec<u64>,
    /// Seed of the trial, as text: it has 64 bits.
    seed: String,
    checkpoint: Option<String>,
    lease_seconds: f64,
    /// Metrics that a result must hold.
    metrics: Vec<String>,
    arm_parameter: Option<String>,
    /// Seconds trained before this lease.
    seconds: f64,
}

impl From<Grant> for LeaseBody {
    fn from(grant: Grant) -> Self {
        let (program, arguments) = match grant.program {
            Some(program) => (Some(program.name), program.arguments),
            None => (None, Map::new()),
        };
        Self {
            trial: grant.trial.id.0,
            epoch: grant.trial.epoch.0,
            study: grant.trial.study.0,
            study_name: grant.study_name,
            number: grant.trial.number,
            point: grant.trial.point,
            program,
            arguments,
            resource: grant.resource,
            from: grant.from,
            to: grant.to,
            rungs: grant.rungs,
            seed: grant.seed.to_string(),
            checkpoint: grant.trial.checkpoint,
            lease_seconds: grant.lease_seconds,
            metrics: grant.metrics,
            arm_parameter: grant.arm_parameter,
            seconds: grant.trial.seconds,
        }
    }
}

/// Leases.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Leases {
    pub(super) leases: Vec<LeaseBody>,
    /// The study has ended: no more points will come.
    pub(super) closed: bool,
}

/// The server's word about one lease.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeaseStatus {
    lease: KeyBody,
    /// False: drop the work.
    held: bool,
    /// `continue`, `yield` or `stop`.
    command: &'static str,
}

impl From<HeartbeatAnswer> for LeaseStatus {
    fn from(answer: HeartbeatAnswer) -> Self {
        match answer {
            HeartbeatAnswer::Held { key, command, .. } => {
                let command = match command {
                    LeaseCommand::Continue => "continue",
                    LeaseCommand::Stop => "stop",
                    LeaseCommand::Yield => "yield",
                };
                Self { lease: key.into(), held: true, command }
            }
            HeartbeatAnswer::Lost { key } => Self { lease: key.into(), held: false, command: "stop" },
        }
    }
}

/// A verdict with its reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerdictBody {
    /// `continue`, `yield` or `stop`.
    verdict: &'static str,
    reason: Option<String>,
}

impl From<Verdict> for VerdictBody {
    fn from(verdict: Verdict) -> Self {
        let (verdict, reason) = match verdict {
            Verdict::Continue => ("continue", None),
            Verdict::Yield => ("yield", None),
            Verdict::Stop(reason) => ("stop", Some(reason)),
        };
        Self { verdict, reason }
    }
}

/// A report under an epoch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportBody {
    /// Epoch of the lease.
    pub(super) epoch: u64,
    /// In units of the resource, at least 1.
    pub(super) step: u64,
    /// Finite numbers.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub(super) metrics: Map<String, Json>,
    /// Seconds of training since the start of the trial.
    #[serde(default)]
    pub(super) seconds: Option<f64>,
}

/// The final result of a lease.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResultBody {
    /// In units of the resource.
    pub(super) step: u64,
    /// Finite numbers.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub(super) metrics: Map<String, Json>,
    /// Seconds of training since the start of the trial.
    #[serde(default)]
    pub(super) seconds: Option<f64>,
}

/// The end of a lease.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FinishBody {
    /// Epoch of the lease.
    pub(super) epoch: u64,
    /// `reached`, `stopped`, `infeasible`, `program_failed`, `out_of_memory` or `preempted`.
    #[schema(value_type = String)]
    pub(super) ending: EndingKind,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) result: Option<ResultBody>,
    #[serde(default)]
    pub(super) checkpoint: Option<String>,
    /// Seconds that this lease trained.
    #[serde(default)]
    pub(super) seconds: f64,
}

/// What a finish did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FinishAnswer {
    #[schema(value_type = String)]
    pub(super) state: TrialState,
    /// False when an earlier result had been accepted.
    pub(super) accepted: bool,
}

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkerBody {
    name: String,
    slots: u32,
    labels: BTreeMap<String, String>,
    programs: Vec<String>,
    crashes: u32,
    quarantined_until: Option<String>,
    draining: bool,
    seen_at: String,
    leases: u32,
}

impl From<WorkerRecord> for WorkerBody {
    fn from(record: WorkerRecord) -> Self {
        Self {
            name: record.name.0,
            slots: record.slots,
            labels: record.labels,
            programs: record.programs,
            crashes: record.crashes,
            quarantined_until: record.quarantined_until.map(time),
            draining: record.draining,
            seen_at: time(record.seen_at),
            leases: record.leases,
        }
    }
}

/// A change of a study; absent fields stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBody {
    /// `pause`, `resume` or `cancel`.
    #[serde(default)]
    pub(super) action: Option<ActionBody>,
    #[serde(default)]
    pub(super) reason: Option<String>,
    /// New budget in full.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) budget: Option<Budget>,
    /// Stop rules to change: null removes a rule, absent ones stay.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) stop: Option<StopPatch>,
    #[serde(default)]
    pub(super) archived: Option<bool>,
    #[serde(default)]
    pub(super) request_id: Option<String>,
}

/// What a person does to a study.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActionBody {
    Pause,
    Resume,
    Cancel,
}
