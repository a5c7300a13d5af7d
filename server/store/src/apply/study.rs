//! Studies, and what a person does to a trial.

use std::collections::BTreeMap;
use std::sync::Arc;

use boxwood_core::{Change, Origin};
use boxwood_study::{
    PlanNumber, Refusal, SpecError, StudyEvent, StudyId, StudyRecord, StudyState, Timestamp, TrialId,
    TrialRecord, TrialRow, TrialState, budget_left,
};
use serde_json::json;

use super::{RequestKey, create_payload, patch_payload};
use crate::tables::Tables;
use crate::{Created, NewStudy, Requested, StoreError, StoreResult, StudyPatch};

pub(super) fn create_study(tables: &mut Tables, new: &Requested<NewStudy>) -> StoreResult<Created> {
    let NewStudy { project, study } = &new.body;
    let key = RequestKey::new(new.id.as_deref(), *project, "create_study", &create_payload(&new.body));
    if let Some(answer) = key.answered(tables)? {
        return Ok(answer);
    }
    if !tables.projects.contains_key(project) {
        return Err(StoreError::NotFound { what: "project" });
    }
    if let Some(found) = tables.study_by_name(*project, &study.spec.name) {
        if found.spec_hash != study.hash {
            return Err(Refusal::StudyExists { name: study.spec.name.clone() }.into());
        }
        let answer = Created { study: found.clone(), existed: true };
        key.remember(tables, &answer);
        return Ok(answer);
    }
    let now = tables.now;
    let record = StudyRecord {
        id: StudyId(tables.fresh.studies.pop().expect("an id was taken for every new study")),
        project: *project,
        spec: study.spec.clone(),
        spec_hash: study.hash.clone(),
        state: StudyState::Active,
        state_reason: None,
        archived: false,
        change: Change(1),
        plan: PlanNumber(0),
        plan_end: None,
        plan_change: Change(0),
        counts: BTreeMap::new(),
        trials: 0,
        resource_used: 0,
        training_seconds: 0.0,
        reopened: Change(0),
        created_at: now,
        budget_from: now,
        finished_at: None,
    };
    tables.add_study(record.clone(), Arc::new(study.clone()));
    let answer = Created { study: record, existed: false };
    key.remember(tables, &answer);
    Ok(answer)
}

pub(super) fn patch_study(
    tables: &mut Tables,
    id: StudyId,
    patch: &Requested<StudyPatch>,
) -> StoreResult<StudyRecord> {
    let before = tables.study(id)?.clone();
    let payload = json!([id, patch_payload(&patch.body)]);
    let key = RequestKey::new(patch.id.as_deref(), before.project, "patch_study", &payload);
    if let Some(answer) = key.answered(tables)? {
        return Ok(answer);
    }
    let mut record = before.clone();
    patched(&mut record, &patch.body, tables.now)?;
    if record != before {
        let closes = record.state.is_closed() && !before.state.is_closed();
        *tables.study_mut(id)? = record;
        let change = tables.bump(id)?;
        if closes {
            close_trials(tables, id, change)?;
        }
    }
    if patch.body.withdraws_queued {
        withdraw_queued(tables, id)?;
    }
    let answer = tables.study(id)?.clone();
    key.remember(tables, &answer);
    Ok(answer)
}

/// The record after a patch; nothing else is touched.
fn patched(record: &mut StudyRecord, patch: &StudyPatch, now: Timestamp) -> StoreResult<()> {
    if let Some(archived) = patch.archived {
        record.archived = archived;
    }
    if let Some(most) = patch.max_open_leases {
        record.spec.max_open_leases = most;
    }
    if let Some(budget) = &patch.budget {
        record.spec.budget = budget.clone();
    }
    let stop = patch.stop.as_ref().map(|stop| stop.apply(&record.spec.stop));
    let new_rules = stop.as_ref().is_some_and(|stop| *stop != record.spec.stop);
    record.spec.stop = stop.unwrap_or_else(|| record.spec.stop.clone());
    if patch.budget.is_some() || patch.stop.is_some() || patch.max_open_leases.is_some() {
        record.spec.check().map_err(refusal)?;
    }
    if (patch.budget.is_some() || new_rules) && record.state == StudyState::Completed {
        let budget_from = if patch.budget.is_some() { now } else { record.budget_from };
        let restarted = StudyRecord { budget_from, ..record.clone() };
        if !budget_left(&restarted, now).is_spent() {
            *record = restarted;
            reopen(record, StudyState::Active);
        }
    }
    let Some(event) = patch.event else { return Ok(()) };
    let state = record.state.after(event)?;
    if state == record.state {
        return Ok(());
    }
    if event == StudyEvent::Resume && record.state.is_closed() && budget_left(record, now).is_spent() {
        return Err(Refusal::StudyClosed(record.state).into());
    }
    if state.is_closed() {
        record.state = state;
        record.finished_at = Some(now);
    } else {
        reopen(record, state);
    }
    record.state_reason.clone_from(&patch.reason);
    Ok(())
}

fn refusal(error: SpecError) -> Refusal {
    match error {
        SpecError::Field { field, reason } => Refusal::Invalid { field, reason },
        SpecError::Problem(error) => Refusal::Invalid { field: "patch".into(), reason: error.to_string() },
    }
}

/// Back to work. A study that had ended goes on whatever its rules say of the results that it has.
fn reopen(record: &mut StudyRecord, state: StudyState) {
    if record.state.is_closed() {
        record.plan_end = None;
        record.finished_at = None;
        record.reopened = record.change;
    }
    record.state = state;
    record.state_reason = None;
}

/// Ends the open trials of a closed study: leased ones are asked to stop, the others end now.
fn close_trials(tables: &mut Tables, id: StudyId, change: Change) -> StoreResult<()> {
    let now = tables.now;
    let open: Vec<_> = tables.trials_of(id).filter(|row| !row.record.state.is_finished()).cloned().collect();
    for row in open {
        let row = if row.record.state == TrialState::Leased {
            let mut row = row;
            row.record.stop_requested = true;
            row
        } else {
            row.closed("its study has ended", now)?
        };
        tables.put_trial(row, change)?;
    }
    Ok(())
}

/// Cancels the trials that plans have started and nobody has leased; what a person enqueued and what was promoted stays.
fn withdraw_queued(tables: &mut Tables, id: StudyId) -> StoreResult<()> {
    let unleased = |row: &&TrialRow| {
        row.record.state == TrialState::Queued
            && row.record.epoch.0 == 0
            && row.record.origin == Origin::Solver
    };
    let rows: Vec<_> = tables.trials_of(id).filter(unleased).cloned().collect();
    if rows.is_empty() {
        return Ok(());
    }
    let (change, now) = (tables.bump(id)?, tables.now);
    for row in rows {
        tables.put_trial(row.cancelled("the study is about to end".into(), now)?, change)?;
    }
    Ok(())
}

pub(super) fn cancel_trial(tables: &mut Tables, id: TrialId, reason: &str) -> StoreResult<TrialRecord> {
    let row = tables.trial(id)?;
    if row.record.state == TrialState::Cancelled {
        return Ok(row.record.clone());
    }
    let seconds = row.leased_seconds(tables.now);
    let row = row.cancelled(reason.to_owned(), tables.now)?;
    let change = tables.bump(row.record.study)?;
    tables.study_mut(row.record.study)?.training_seconds += seconds;
    tables.put_trial(row, change)?;
    Ok(tables.trial(id)?.record.clone())
}

pub(super) fn retry_trial(tables: &mut Tables, id: TrialId) -> StoreResult<TrialRecord> {
    let row = tables.trial(id)?;
    let study = tables.study(row.record.study)?;
    if study.state.is_closed() {
        return Err(Refusal::StudyClosed(study.state).into());
    }
    let row = row.retried()?;
    let change = tables.bump(row.record.study)?;
    tables.put_trial(row, change)?;
    Ok(tables.trial(id)?.record.clone())
}
