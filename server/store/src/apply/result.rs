//! Reports and finishes.

use boxwood_study::{
    CurvePoint, Finish, FinishDecision, FinishEffect, FinishOutcome, LeaseKey, Report, ReportAnswer,
    ReportDecision, StudyState, TrialState, decide_finish, decide_report, failure_reason, quarantine_rule,
};

use crate::StoreResult;
use crate::tables::{Tables, count};

pub(super) fn report(tables: &mut Tables, reports: &[(LeaseKey, Report)]) -> Vec<StoreResult<ReportAnswer>> {
    reports.iter().map(|(key, report)| one_report(tables, *key, report)).collect()
}

fn one_report(tables: &mut Tables, key: LeaseKey, report: &Report) -> StoreResult<ReportAnswer> {
    let row = tables.trial(key.trial)?;
    let study = row.record.study;
    let existing = tables.reports.get(&(key.trial, key.epoch, report.step));
    let problem = tables.spec(study)?.problem.clone();
    match decide_report(row, &problem, key, report, existing.map(|point| &point.report))? {
        ReportDecision::Repeated(verdict) => {
            let change = existing.map_or_else(|| tables.study(study).map(|s| s.change), |p| Ok(p.change))?;
            Ok(ReportAnswer { verdict, change })
        }
        ReportDecision::Store(verdict) => {
            let change = tables.bump(study)?;
            let at = tables.now;
            let point = CurvePoint { trial: key.trial, epoch: key.epoch, report: report.clone(), change, at };
            tables.put_report(point);
            Ok(ReportAnswer { verdict, change })
        }
    }
}

pub(super) fn finish(tables: &mut Tables, key: LeaseKey, finish: &Finish) -> StoreResult<FinishOutcome> {
    let row = tables.trial(key.trial)?;
    let study = tables.study(row.record.study)?;
    let known = match &finish.result {
        Some(result) => tables.reports.get(&(key.trial, key.epoch, result.step)),
        None => tables.last_report(key.trial, key.epoch),
    };
    let known = known.map(|point| &point.report);
    let checked = tables.spec(study.id)?;
    let decision = decide_finish(row, &checked, study.state, key, finish, known, tables.now)?;
    let worker = row.record.lease.as_ref().filter(|_| row.holds(key)).map(|lease| lease.worker.clone());
    match decision {
        FinishDecision::Repeated(outcome) => Ok(outcome),
        FinishDecision::Superseded => {
            Ok(FinishOutcome { state: row.record.state, accepted: false, change: study.change })
        }
        FinishDecision::Accepted(effect) => {
            let worker = worker.map(|name| (study.project, name));
            accept(tables, key, finish, *effect, worker)
        }
    }
}

fn accept(
    tables: &mut Tables,
    key: LeaseKey,
    finish: &Finish,
    effect: FinishEffect,
    worker: Option<(boxwood_study::ProjectId, boxwood_study::WorkerName)>,
) -> StoreResult<FinishOutcome> {
    let FinishEffect { mut row, point, resource, seconds, sign } = effect;
    let (study, now) = (row.record.study, tables.now);
    let change = tables.bump(study)?;
    let state = row.record.state;
    let outcome = FinishOutcome { state, accepted: true, change };
    row.finish = Some(FinishEffect::mark(key, finish, outcome.clone()));
    tables.put_trial(row, change)?;
    if let Some(report) = point {
        tables.put_report(CurvePoint { trial: key.trial, epoch: key.epoch, report, change, at: now });
    }
    let record = tables.study_mut(study)?;
    record.resource_used += resource;
    record.training_seconds += seconds;
    if state == TrialState::Failed
        && record.state == StudyState::Active
        && let Some(reason) = failure_reason(&record.spec.failure_limit, &record.counts)
    {
        record.state = StudyState::Paused;
        record.state_reason = Some(reason);
    }
    let results = [TrialState::Paused, TrialState::Completed, TrialState::Pruned];
    let has_results = results.into_iter().any(|state| count(record, state) > 0);
    if let Some(worker) = worker
        && let Some(row) = tables.workers.get_mut(&worker)
    {
        let before = row.clone();
        quarantine_rule(row, sign, key.trial, has_results, now);
        if *row != before {
            tables.written.workers.insert(worker);
        }
    }
    Ok(outcome)
}
