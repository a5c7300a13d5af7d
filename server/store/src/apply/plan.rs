//! Commits of plans, and points of a user.

use boxwood_core::{Change, Move, Origin, Point, Provenance, Rung};
use boxwood_study::{
    DuplicatePolicy, LeaseEpoch, MAX_TRIALS, PlanRecord, Refusal, StudyId, TrialId, TrialRecord, TrialRow,
    TrialState, budget_left,
};
use serde_json::json;

use super::RequestKey;
use crate::tables::Tables;
use crate::{Enqueued, NewPlan, PlanResult, Requested, StoreError, StoreResult};

/// What a new point becomes under the study's policy.
enum Admission {
    /// A trial in the queue.
    Run,
    /// A trial that is finished at once with the results of this one.
    Copy(TrialId),
}

/// Judges a point; `more` counts equal points accepted earlier in the same request.
fn admit(tables: &Tables, study: StudyId, hash: &str, more: u32) -> StoreResult<Result<Admission, Refusal>> {
    let same = tables.same_point(study, hash);
    let number = same.first().map_or(0, |row| row.record.number);
    let refused = || Err(Refusal::DuplicatePoint { number });
    Ok(match tables.study(study)?.spec.duplicates {
        _ if same.is_empty() && more == 0 => Ok(Admission::Run),
        DuplicatePolicy::Reuse => {
            let done = same.iter().find(|row| row.record.state == TrialState::Completed);
            done.map_or_else(refused, |row| Ok(Admission::Copy(row.record.id)))
        }
        DuplicatePolicy::Replicate(most) if same.len() as u32 + more < most => Ok(Admission::Run),
        DuplicatePolicy::Forbid | DuplicatePolicy::Replicate(_) => refused(),
    })
}

fn new_row(
    tables: &Tables,
    id: TrialId,
    point: Point,
    hash: String,
    origin: Origin,
    why: Provenance,
    target: Rung,
) -> TrialRow {
    TrialRow {
        record: TrialRecord {
            id,
            study: id.study(),
            number: id.number(),
            point,
            origin,
            provenance: why,
            state: TrialState::Queued,
            target,
            reached: None,
            epoch: LeaseEpoch(0),
            lease: None,
            failed_attempts: 0,
            lost_leases: 0,
            checkpoint: None,
            metrics: None,
            value: None,
            seconds: 0.0,
            reason: None,
            stop_requested: false,
            created_change: Change(0),
            updated_change: Change(0),
            created_at: tables.now,
            started_at: None,
            finished_at: None,
        },
        point_hash: hash,
        memory_failures: 0,
        checkpoint_step: 0,
        finish: None,
        lost: None,
        history: Vec::new(),
    }
}

/// Writes a new trial under the study's next number.
fn add_trial(
    tables: &mut Tables,
    mut row: TrialRow,
    admission: &Admission,
    change: Change,
) -> StoreResult<TrialRecord> {
    let now = tables.now;
    let study = tables.study_mut(row.record.study)?;
    study.trials += 1;
    let id = TrialId::of(study.id, study.trials);
    row.record.id = id;
    row.record.number = id.number();
    row.record.created_change = change;
    if let Admission::Copy(source) = admission {
        let first = tables.trial(*source)?.clone();
        let curve: Vec<_> = tables.curve(*source).cloned().collect();
        row.record.state = first.record.state;
        row.record.target = first.record.target;
        row.record.reached = first.record.reached;
        row.record.metrics = first.record.metrics;
        row.record.value = first.record.value;
        row.record.reason = Some(format!("results of trial {} were reused", first.record.number));
        row.record.finished_at = Some(now);
        for point in curve {
            tables.put_report(boxwood_study::CurvePoint { trial: id, change, at: now, ..point });
        }
    }
    tables.put_trial(row, change)?;
    Ok(tables.trial(id)?.record.clone())
}

pub(super) fn commit_plan(tables: &mut Tables, new: &NewPlan) -> StoreResult<PlanResult> {
    let Some(checked) = check_plan(tables, new)? else { return Ok(PlanResult::Conflict) };
    // A plan that moves nothing is no change for solvers: counting it would call for the next plan.
    let change = if new.moves.is_empty() && new.replaces.is_empty() {
        tables.study(new.study)?.change
    } else {
        tables.bump(new.study)?
    };
    let now = tables.now;
    for id in &new.replaces {
        let row = tables.trial(*id)?.cancelled(format!("replaced by plan {}", new.number), now)?;
        tables.put_trial(row, change)?;
    }
    let mut trials = Vec::with_capacity(new.moves.len());
    for ((step, _), checked) in new.moves.iter().zip(checked) {
        trials.push(match checked {
            Checked::Start(row, admission) => add_trial(tables, *row, &admission, change)?,
            Checked::Resume(row) => {
                let rung = match step {
                    Move::Resume { rung, .. } | Move::Start { rung, .. } => *rung,
                };
                tables.written.promotions.insert((row.record.id, rung, new.number));
                let id = row.record.id;
                tables.put_trial(*row, change)?;
                tables.trial(id)?.record.clone()
            }
        });
    }
    let study = tables.study_mut(new.study)?;
    study.plan = new.number;
    study.plan_end = Some(new.end.clone());
    study.plan_change = new.change;
    let record = PlanRecord {
        study: new.study,
        number: new.number,
        change: new.change,
        want: new.want,
        starts_left: new.starts_left,
        moves: new.moves.iter().map(|(step, _)| step.clone()).collect(),
        end: new.end.clone(),
        diagnostics: new.diagnostics.clone(),
        seconds: new.seconds,
        at: now,
    };
    tables.plans.insert((new.study, new.number), record);
    tables.written.plans.insert((new.study, new.number));
    Ok(PlanResult::Committed(trials))
}

/// A move that may be made.
enum Checked {
    Start(Box<TrialRow>, Admission),
    Resume(Box<TrialRow>),
}

/// Checks a plan against the present rows; `None` is a conflict.
fn check_plan(tables: &Tables, new: &NewPlan) -> StoreResult<Option<Vec<Checked>>> {
    let study = tables.study(new.study)?;
    if study.state.is_closed() || new.number.0 != study.plan.0 + 1 {
        return Ok(None);
    }
    let replaceable = |id: &TrialId| {
        tables.trial(*id).is_ok_and(|row| {
            row.record.study == new.study
                && row.record.state == TrialState::Queued
                && row.record.epoch.0 == 0
                && row.record.origin == Origin::Solver
        })
    };
    if !new.replaces.iter().all(replaceable) {
        return Ok(None);
    }
    let starts = new.moves.iter().filter(|(step, _)| matches!(step, Move::Start { .. })).count();
    check_limit(study.trials, starts)?;
    let left = budget_left(study, tables.now).starts;
    if left.is_some_and(|left| starts as u64 > left + new.replaces.len() as u64) {
        return Ok(None);
    }
    let spec = tables.spec(new.study)?;
    let mut checked: Vec<Checked> = Vec::with_capacity(new.moves.len());
    for (step, hash) in &new.moves {
        match step {
            Move::Start { point, rung, provenance } => {
                let hash = hash.clone().unwrap_or_else(|| spec.problem.space().point_hash(point));
                let equal = |c: &&Checked| matches!(c, Checked::Start(row, _) if row.point_hash == hash);
                let more = checked.iter().filter(equal).count() as u32;
                let Ok(admission) = admit(tables, new.study, &hash, more)? else { return Ok(None) };
                let id = TrialId::of(new.study, 0);
                let rung = (*rung).min(spec.problem.ladder().top());
                let row = new_row(tables, id, point.clone(), hash, Origin::Solver, provenance.clone(), rung);
                checked.push(Checked::Start(Box::new(row), admission));
            }
            Move::Resume { trial, rung, .. } => {
                let Ok(row) = tables.trial(TrialId::of(new.study, trial.0)) else { return Ok(None) };
                let again = |c: &Checked| matches!(c, Checked::Resume(r) if r.record.id == row.record.id);
                match row.resumed((*rung).min(spec.problem.ladder().top())) {
                    Ok(resumed) if !checked.iter().any(again) => {
                        checked.push(Checked::Resume(Box::new(resumed)));
                    }
                    _ => return Ok(None),
                }
            }
        }
    }
    Ok(Some(checked))
}

fn check_limit(trials: u32, more: usize) -> Result<(), StoreError> {
    let limit = u64::from(MAX_TRIALS);
    if u64::from(trials) + more as u64 > limit {
        return Err(Refusal::Limit { what: "the number of trials of a study", limit }.into());
    }
    Ok(())
}

pub(super) fn enqueue(
    tables: &mut Tables,
    id: StudyId,
    points: &Requested<Vec<Point>>,
) -> StoreResult<Enqueued> {
    let study = tables.study(id)?;
    let key = RequestKey::new(points.id.as_deref(), study.project, "enqueue", &json!([id, points.body]));
    if let Some(answer) = key.answered(tables)? {
        return Ok(answer);
    }
    if study.state.is_closed() {
        return Err(Refusal::StudyClosed(study.state).into());
    }
    check_limit(study.trials, points.body.len())?;
    if let (Some(left), Some(limit)) = (budget_left(study, tables.now).starts, study.spec.budget.trials)
        && points.body.len() as u64 > left
    {
        return Err(Refusal::Limit { what: "the study's budget of trials", limit }.into());
    }
    let spec = tables.spec(id)?;
    // A point of a user is measured in full: no solver decides how far it goes.
    let target = spec.problem.ladder().top();
    let provenance = Provenance { solver: "user".into(), sampler: "user".into(), ..Provenance::default() };
    let mut rows: Vec<(TrialRow, Admission)> = Vec::with_capacity(points.body.len());
    for (index, point) in points.body.iter().enumerate() {
        let (point, hash) = spec.admit(point, &format!("points[{index}]"))?;
        let more = rows.iter().filter(|(row, _)| row.point_hash == hash).count() as u32;
        let admission = admit(tables, id, &hash, more)??;
        let row = new_row(tables, TrialId::of(id, 0), point, hash, Origin::User, provenance.clone(), target);
        rows.push((row, admission));
    }
    let mut trials = Vec::with_capacity(rows.len());
    if !rows.is_empty() {
        let change = tables.bump(id)?;
        for (row, admission) in rows {
            trials.push(add_trial(tables, row, &admission, change)?);
        }
    }
    let answer = Enqueued { trials };
    key.remember(tables, &answer);
    Ok(answer)
}
