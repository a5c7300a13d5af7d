//! Acquire, heartbeat and reap.

use std::cmp::Reverse;

use boxwood_core::Seed;
use boxwood_study::{
    CheckedStudy, HeartbeatDecision, LeaseKey, StudyRecord, StudyState, TrialRow, TrialState,
    decide_heartbeat,
};

use super::admin::touch_worker;
use super::{RequestKey, acquire_payload};
use crate::rows::DAY_SECONDS;
use crate::tables::{Tables, count};
use crate::{
    AcquireRequest, Grant, HeartbeatAnswer, LeaseCommand, Reaped, Requested, StoreError, StoreResult,
    WorkerHello,
};

/// Whether a worker may lease trials of a study that is active: project, program (unless the study was named) and labels.
pub(crate) fn fits(study: &StudyRecord, request: &AcquireRequest) -> bool {
    let worker = &request.worker;
    let program = match request.study {
        Some(id) => id == study.id,
        None => study.spec.program.as_ref().is_some_and(|program| worker.programs.contains(&program.name)),
    };
    let labels = study.spec.requires.iter().all(|(label, value)| worker.labels.get(label) == Some(value));
    study.project == worker.project
        && study.state == StudyState::Active
        && !study.archived
        && program
        && labels
}

fn has_room(study: &StudyRecord) -> bool {
    study.spec.max_open_leases.is_none_or(|most| count(study, TrialState::Leased) < u64::from(most))
}

pub(super) fn acquire(tables: &mut Tables, request: &Requested<AcquireRequest>) -> StoreResult<Vec<Grant>> {
    let body = &request.body;
    let key = RequestKey::new(request.id.as_deref(), body.worker.project, "acquire", &acquire_payload(body));
    if let Some(grants) = key.answered(tables)? {
        return Ok(grants);
    }
    if let Some(id) = body.study
        && tables.study(id)?.project != body.worker.project
    {
        return Err(StoreError::NotFound { what: "study" });
    }
    let now = tables.now;
    if !touch_worker(tables, &body.worker).takes_leases(now) {
        return Ok(Vec::new());
    }
    let mut grants = Vec::new();
    while grants.len() < body.slots as usize {
        let ready = tables
            .studies()
            .filter(|study| fits(study, body) && has_room(study) && tables.first_queued(study.id).is_some());
        let next = ready
            .min_by_key(|study| (Reverse(study.spec.priority), count(study, TrialState::Leased), study.id));
        let Some(study) = next.map(|study| study.id) else { break };
        let Some(row) = tables.first_queued(study) else { break };
        let checked = tables.spec(study)?;
        let row = row.leased(body.worker.name.clone(), now, checked.spec.lease_seconds)?;
        let id = row.record.id;
        let change = tables.bump(study)?;
        tables.put_trial(row, change)?;
        grants.push(grant(&checked, tables.trial(id)?));
    }
    // An empty answer is not kept: asking again under the same id may bring something.
    if !grants.is_empty() {
        key.remember(tables, &grants);
    }
    Ok(grants)
}

fn grant(study: &CheckedStudy, row: &TrialRow) -> Grant {
    let problem = &study.problem;
    let ladder = problem.ladder();
    let target = row.record.target;
    let objectives = problem.objectives().iter().map(|objective| &objective.metric);
    let constraints = problem.constraints().iter().map(|constraint| &constraint.metric);
    Grant {
        study_name: study.spec.name.clone(),
        program: study.spec.program.clone(),
        resource: ladder.resource_name().to_owned(),
        from: row.resumes_from(),
        to: ladder.resource(target).0,
        rungs: ladder.rungs().take_while(|(rung, _)| *rung <= target).map(|(_, units)| units.0).collect(),
        seed: Seed(problem.seed()).derive("trial", u64::from(row.record.number)).0,
        lease_seconds: study.spec.lease_seconds,
        metrics: objectives.chain(constraints).cloned().collect(),
        arm_parameter: problem.space().arm_parameter().map(str::to_owned),
        trial: row.record.clone(),
    }
}

pub(super) fn heartbeat(
    tables: &mut Tables,
    hello: &WorkerHello,
    keys: &[LeaseKey],
) -> StoreResult<Vec<HeartbeatAnswer>> {
    touch_worker(tables, hello);
    let now = tables.now;
    let mut answers = Vec::with_capacity(keys.len());
    for key in keys {
        let Ok(row) = tables.trial(key.trial) else {
            answers.push(HeartbeatAnswer::Lost { key: *key });
            continue;
        };
        let decision = decide_heartbeat(row, *key);
        let expires_at = now.plus_seconds(tables.spec(key.trial.study())?.spec.lease_seconds);
        let held = |expires_at, command| HeartbeatAnswer::Held { key: *key, expires_at, command };
        answers.push(match decision {
            HeartbeatDecision::Renew => held(expires_at, LeaseCommand::Continue),
            HeartbeatDecision::RenewAndStop => held(expires_at, LeaseCommand::Stop),
            HeartbeatDecision::Stop => held(now, LeaseCommand::Stop),
            HeartbeatDecision::Lost => HeartbeatAnswer::Lost { key: *key },
        });
        if matches!(decision, HeartbeatDecision::Renew | HeartbeatDecision::RenewAndStop) {
            tables.renew(key.trial, expires_at);
        }
    }
    Ok(answers)
}

pub(super) fn reap(tables: &mut Tables, limit: u32) -> StoreResult<Reaped> {
    let now = tables.now;
    let mut expired: Vec<_> = tables
        .all_trials()
        .filter(|row| row.record.state == TrialState::Leased)
        .filter_map(|row| row.record.lease.as_ref().map(|lease| (lease.expires_at, row.record.id)))
        .filter(|(expires_at, _)| *expires_at <= now)
        .collect();
    expired.sort_unstable();
    tables.written.forget_before = Some(now.plus_seconds(-DAY_SECONDS));
    tables.requests.retain(|_, row| row.at >= now.plus_seconds(-DAY_SECONDS));
    let mut reaped = Reaped::default();
    for (_, id) in expired.into_iter().take(limit as usize) {
        let row = tables.trial(id)?;
        let study = tables.study(row.record.study)?;
        let row = row.reaped(study.spec.lease_seconds, study.state.is_closed(), now)?;
        match row.record.state {
            TrialState::Queued => reaped.requeued.push(id),
            TrialState::Failed => reaped.failed.push(id),
            _ => {}
        }
        let change = tables.bump(row.record.study)?;
        let lost = row.lost.map_or(0.0, |lost| lost.seconds);
        tables.study_mut(row.record.study)?.training_seconds += lost;
        tables.put_trial(row, change)?;
    }
    Ok(reaped)
}
