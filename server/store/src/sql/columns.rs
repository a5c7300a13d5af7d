//! Columns of each table, and rows to and from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use boxwood_core::{Change, Metrics, Origin, Rung};
use boxwood_study::{
    Budget, CheckedStudy, CurvePoint, LeaseEpoch, LeaseRecord, PlanNumber, PlanRecord, ProjectId, Report,
    StopRules, StudyId, StudyRecord, StudySpec, StudyState, Timestamp, TokenId, TrialId, TrialRecord,
    TrialRow, TrialState, WorkerName, WorkerRecord, WorkerRow,
};
use serde::Serialize;

use super::link::{Arg, Row};
use crate::tables::{TokenRow, count};
use crate::{Role, StoreResult, TokenRecord};

/// Columns of `studies` that a row is read from; the specification is read once and kept.
pub(crate) const STUDY: [&str; 29] = [
    "id",
    "project_id",
    "name",
    "spec_hash",
    "budget",
    "stop",
    "max_open_leases",
    "state",
    "state_reason",
    "archived",
    "change",
    "plan",
    "plan_end",
    "plan_change",
    "queued",
    "leased",
    "paused",
    "completed",
    "pruned",
    "infeasible",
    "failed",
    "cancelled",
    "trials",
    "resource_used",
    "training_seconds",
    "reopened",
    "created_at",
    "budget_from",
    "finished_at",
];
pub(crate) const TRIAL: [&str; 33] = [
    "id",
    "study_id",
    "number",
    "state",
    "queue_rank",
    "point",
    "point_hash",
    "origin",
    "provenance",
    "target",
    "reached",
    "epoch",
    "lease_worker",
    "lease_granted_at",
    "lease_expires_at",
    "failed_attempts",
    "lost_leases",
    "memory_failures",
    "checkpoint",
    "checkpoint_step",
    "metrics",
    "value",
    "seconds",
    "reason",
    "stop_requested",
    "created_change",
    "updated_change",
    "created_at",
    "started_at",
    "finished_at",
    "finish",
    "lost",
    "history",
];
/// Columns of a trial that never change.
pub(crate) const TRIAL_FIXED: [&str; 9] = [
    "id",
    "study_id",
    "number",
    "point",
    "point_hash",
    "origin",
    "provenance",
    "created_change",
    "created_at",
];
pub(crate) const REPORT: [&str; 8] =
    ["trial_id", "epoch", "step", "study_id", "metrics", "seconds", "change", "at"];
pub(crate) const PLAN: [&str; 10] = [
    "study_id",
    "number",
    "change",
    "want",
    "starts_left",
    "moves",
    "plan_end",
    "diagnostics",
    "seconds",
    "at",
];
pub(crate) const WORKER: [&str; 11] = [
    "project_id",
    "name",
    "slots",
    "labels",
    "programs",
    "crashes",
    "crash_trial",
    "crash_several",
    "quarantined_until",
    "draining",
    "seen_at",
];
pub(crate) const TOKEN: [&str; 9] =
    ["id", "hash", "prefix", "name", "project_id", "role", "created_at", "expires_at", "revoked"];

pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("stored values have text keys and finite numbers")
}

fn real(value: f64) -> Arg {
    Arg::Real(Some(value))
}

fn time(value: Option<Timestamp>) -> Arg {
    Arg::Integer(value.map(|time| time.0))
}

/// A study's specification and project: what never changes.
#[derive(Debug, Clone)]
pub(crate) struct Founding {
    pub project: ProjectId,
    pub checked: Arc<CheckedStudy>,
}

pub(crate) fn founding(row: &mut Row) -> StoreResult<(StudyId, Founding)> {
    let id = StudyId(row.integer()?);
    let project = ProjectId(row.integer()?);
    let spec: StudySpec = row.json()?;
    let checked = spec.check().map_err(|_| row.corrupt())?;
    Ok((id, Founding { project, checked: Arc::new(checked) }))
}

/// A study from its row and its specification as created.
pub(crate) fn study(row: &mut Row, id: StudyId, checked: &CheckedStudy) -> StoreResult<StudyRecord> {
    let project = ProjectId(row.integer()?);
    row.text()?;
    let spec_hash = row.text()?;
    let budget: Budget = row.json()?;
    // Absent in rows of the first schema: the rules could not be changed.
    let stop: Option<StopRules> = row.optional_json()?;
    let stop = stop.unwrap_or_else(|| checked.spec.stop.clone());
    let most = row.optional_integer()?.map(|most| most as u32);
    let state = StudyState::from_name(&row.text()?).ok_or_else(|| row.corrupt())?;
    let state_reason = row.optional_text()?;
    let archived = row.flag()?;
    let change = Change(row.unsigned()?);
    let plan = PlanNumber(row.unsigned()?);
    let plan_end = row.optional_json()?;
    let plan_change = Change(row.unsigned()?);
    let mut counts = BTreeMap::new();
    for state in TrialState::ALL {
        counts.insert(state, row.unsigned()?);
    }
    counts.retain(|_, count| *count > 0);
    Ok(StudyRecord {
        id,
        project,
        spec: StudySpec { budget, stop, max_open_leases: most, ..checked.spec.clone() },
        spec_hash,
        state,
        state_reason,
        archived,
        change,
        plan,
        plan_end,
        plan_change,
        counts,
        trials: row.small()?,
        resource_used: row.unsigned()?,
        training_seconds: row.real()?,
        reopened: Change(row.unsigned()?),
        created_at: Timestamp(row.integer()?),
        budget_from: Timestamp(row.integer()?),
        finished_at: row.optional_integer()?.map(Timestamp),
    })
}

/// The columns of a study that change, with their values.
pub(crate) fn study_changes(study: &StudyRecord) -> Vec<(&'static str, Arg)> {
    let mut changes: Vec<(&'static str, Arg)> = vec![
        ("budget", json(&study.spec.budget).into()),
        ("stop", json(&study.spec.stop).into()),
        ("max_open_leases", Arg::Integer(study.spec.max_open_leases.map(i64::from))),
        ("state", study.state.name().into()),
        ("state_reason", Arg::Text(study.state_reason.clone())),
        ("archived", i64::from(study.archived).into()),
        ("change", (study.change.0 as i64).into()),
        ("plan", (study.plan.0 as i64).into()),
        ("plan_end", Arg::Text(study.plan_end.as_ref().map(json))),
        ("plan_change", (study.plan_change.0 as i64).into()),
        ("trials", i64::from(study.trials).into()),
        ("resource_used", (study.resource_used as i64).into()),
        ("training_seconds", real(study.training_seconds)),
        ("reopened", (study.reopened.0 as i64).into()),
        ("budget_from", study.budget_from.0.into()),
        ("finished_at", time(study.finished_at)),
    ];
    changes.extend(TrialState::ALL.map(|state| (state.name(), (count(study, state) as i64).into())));
    changes
}

/// The columns of a study that are written once.
pub(crate) fn study_founding(study: &StudyRecord, checked: &CheckedStudy) -> Vec<(&'static str, Arg)> {
    vec![
        ("id", study.id.0.into()),
        ("project_id", study.project.0.into()),
        ("name", study.spec.name.as_str().into()),
        ("spec", json(&checked.spec).into()),
        ("spec_hash", study.spec_hash.as_str().into()),
        ("program", Arg::Text(study.spec.program.as_ref().map(|program| program.name.clone()))),
        ("requires", json(&study.spec.requires).into()),
        ("priority", i64::from(study.spec.priority).into()),
        ("created_at", study.created_at.0.into()),
    ]
}

fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Solver => "solver",
        Origin::User => "user",
    }
}

pub(crate) fn trial(row: &mut Row) -> StoreResult<TrialRow> {
    let id = TrialId(row.integer()?);
    let study = StudyId(row.integer()?);
    let number = row.small()?;
    let state = TrialState::from_name(&row.text()?).ok_or_else(|| row.corrupt())?;
    row.integer()?;
    let point = row.json()?;
    let point_hash = row.text()?;
    let origin = match row.text()?.as_str() {
        "solver" => Origin::Solver,
        "user" => Origin::User,
        _ => return Err(row.corrupt()),
    };
    let provenance = row.json()?;
    let target = Rung(row.small()?);
    let reached = row.optional_integer()?.map(|rung| Rung(rung as u32));
    let epoch = LeaseEpoch(row.unsigned()?);
    let lease = (row.optional_text()?, row.optional_integer()?, row.optional_integer()?);
    let lease = match lease {
        (Some(worker), Some(granted), Some(expires)) => Some(LeaseRecord {
            worker: WorkerName(worker),
            granted_at: Timestamp(granted),
            expires_at: Timestamp(expires),
        }),
        _ => None,
    };
    let failed_attempts = row.small()?;
    let lost_leases = row.small()?;
    let memory_failures = row.small()?;
    let checkpoint = row.optional_text()?;
    let checkpoint_step = row.unsigned()?;
    let metrics = row.optional_json()?;
    let record = TrialRecord {
        id,
        study,
        number,
        point,
        origin,
        provenance,
        state,
        target,
        reached,
        epoch,
        lease,
        failed_attempts,
        lost_leases,
        checkpoint,
        metrics,
        value: row.optional_real()?,
        seconds: row.real()?,
        reason: row.optional_text()?,
        stop_requested: row.flag()?,
        created_change: Change(row.unsigned()?),
        updated_change: Change(row.unsigned()?),
        created_at: Timestamp(row.integer()?),
        started_at: row.optional_integer()?.map(Timestamp),
        finished_at: row.optional_integer()?.map(Timestamp),
    };
    let finish = row.optional_json()?;
    let lost = row.optional_json()?;
    let history = row.json()?;
    Ok(TrialRow { record, point_hash, memory_failures, checkpoint_step, finish, lost, history })
}

pub(crate) fn trial_arguments(row: &TrialRow) -> Vec<Arg> {
    let r = &row.record;
    let lease = r.lease.as_ref();
    vec![
        r.id.0.into(),
        r.study.0.into(),
        i64::from(r.number).into(),
        r.state.name().into(),
        i64::from(row.queue_rank()).into(),
        json(&r.point).into(),
        row.point_hash.as_str().into(),
        origin_name(r.origin).into(),
        json(&r.provenance).into(),
        i64::from(r.target.0).into(),
        Arg::Integer(r.reached.map(|rung| i64::from(rung.0))),
        (r.epoch.0 as i64).into(),
        Arg::Text(lease.map(|lease| lease.worker.0.clone())),
        time(lease.map(|lease| lease.granted_at)),
        time(lease.map(|lease| lease.expires_at)),
        i64::from(r.failed_attempts).into(),
        i64::from(r.lost_leases).into(),
        i64::from(row.memory_failures).into(),
        Arg::Text(r.checkpoint.clone()),
        (row.checkpoint_step as i64).into(),
        Arg::Text(r.metrics.as_ref().map(json)),
        Arg::Real(r.value),
        real(r.seconds),
        Arg::Text(r.reason.clone()),
        i64::from(r.stop_requested).into(),
        (r.created_change.0 as i64).into(),
        (r.updated_change.0 as i64).into(),
        r.created_at.0.into(),
        time(r.started_at),
        time(r.finished_at),
        Arg::Text(row.finish.as_ref().map(json)),
        Arg::Text(row.lost.as_ref().map(json)),
        json(&row.history).into(),
    ]
}

pub(crate) fn report(row: &mut Row) -> StoreResult<CurvePoint> {
    let trial = TrialId(row.integer()?);
    let epoch = LeaseEpoch(row.unsigned()?);
    let step = row.unsigned()?;
    row.integer()?;
    let metrics: Metrics = row.json()?;
    let seconds = row.optional_real()?;
    let report = Report { step, metrics, seconds };
    Ok(CurvePoint { trial, epoch, report, change: Change(row.unsigned()?), at: Timestamp(row.integer()?) })
}

pub(crate) fn report_arguments(point: &CurvePoint) -> Vec<Arg> {
    vec![
        point.trial.0.into(),
        (point.epoch.0 as i64).into(),
        (point.report.step as i64).into(),
        point.trial.study().0.into(),
        json(&point.report.metrics).into(),
        Arg::Real(point.report.seconds),
        (point.change.0 as i64).into(),
        point.at.0.into(),
    ]
}

pub(crate) fn plan(row: &mut Row) -> StoreResult<PlanRecord> {
    Ok(PlanRecord {
        study: StudyId(row.integer()?),
        number: PlanNumber(row.unsigned()?),
        change: Change(row.unsigned()?),
        want: row.small()?,
        starts_left: row.optional_integer()?.map(|left| left as u64),
        moves: row.json()?,
        end: row.json()?,
        diagnostics: row.json()?,
        seconds: row.real()?,
        at: Timestamp(row.integer()?),
    })
}

pub(crate) fn plan_arguments(plan: &PlanRecord) -> Vec<Arg> {
    vec![
        plan.study.0.into(),
        (plan.number.0 as i64).into(),
        (plan.change.0 as i64).into(),
        i64::from(plan.want).into(),
        Arg::Integer(plan.starts_left.map(|left| left as i64)),
        json(&plan.moves).into(),
        json(&plan.end).into(),
        json(&plan.diagnostics).into(),
        real(plan.seconds),
        plan.at.0.into(),
    ]
}

pub(crate) fn worker(row: &mut Row) -> StoreResult<WorkerRow> {
    let project = ProjectId(row.integer()?);
    let name = WorkerName(row.text()?);
    let slots = row.small()?;
    let labels = row.json()?;
    let programs = row.json()?;
    let crashes = row.small()?;
    let crash_trial = row.optional_integer()?.map(TrialId);
    let crash_several = row.flag()?;
    let record = WorkerRecord {
        project,
        name,
        slots,
        labels,
        programs,
        crashes,
        quarantined_until: row.optional_integer()?.map(Timestamp),
        draining: row.flag()?,
        seen_at: Timestamp(row.integer()?),
        leases: 0,
    };
    Ok(WorkerRow { record, crash_trial, crash_several })
}

pub(crate) fn worker_arguments(row: &WorkerRow) -> Vec<Arg> {
    let r = &row.record;
    vec![
        r.project.0.into(),
        r.name.0.as_str().into(),
        i64::from(r.slots).into(),
        json(&r.labels).into(),
        json(&r.programs).into(),
        i64::from(r.crashes).into(),
        Arg::Integer(row.crash_trial.map(|trial| trial.0)),
        i64::from(row.crash_several).into(),
        time(r.quarantined_until),
        i64::from(r.draining).into(),
        r.seen_at.0.into(),
    ]
}

const ROLES: [(Role, &str); 4] = [
    (Role::Viewer, "viewer"),
    (Role::Worker, "worker"),
    (Role::Operator, "operator"),
    (Role::Admin, "admin"),
];

pub(crate) fn token(row: &mut Row) -> StoreResult<TokenRow> {
    let id = TokenId(row.integer()?);
    let hash = row.text()?;
    let prefix = row.text()?;
    let name = row.text()?;
    let project = row.optional_integer()?.map(ProjectId);
    let role = row.text()?;
    let role = ROLES.into_iter().find(|(_, name)| *name == role).ok_or_else(|| row.corrupt())?.0;
    let created_at = Timestamp(row.integer()?);
    let expires_at = row.optional_integer()?.map(Timestamp);
    let revoked = row.flag()?;
    Ok(TokenRow {
        record: TokenRecord { id, prefix, name, project, role, created_at, expires_at },
        hash,
        revoked,
    })
}

pub(crate) fn token_arguments(row: &TokenRow) -> Vec<Arg> {
    let r = &row.record;
    let role = ROLES.into_iter().find(|(role, _)| *role == r.role).expect("every role has a name").1;
    vec![
        r.id.0.into(),
        row.hash.as_str().into(),
        r.prefix.as_str().into(),
        r.name.as_str().into(),
        Arg::Integer(r.project.map(|project| project.0)),
        role.into(),
        r.created_at.0.into(),
        time(r.expires_at),
        i64::from(row.revoked).into(),
    ]
}
