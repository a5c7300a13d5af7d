//! Reads. One statement each where possible; several from one snapshot otherwise.

use boxwood_core::{Change, Goal};
use boxwood_study::{
    CurvePoint, PlanNumber, PlanRecord, ProjectId, StudyId, StudyRecord, Timestamp, TrialId, TrialRecord,
    WorkerRecord,
};

use super::columns::{self, REPORT, STUDY, TOKEN, TRIAL, WORKER};
use super::engine::{Engine, clock, failed};
use super::link::{Arg, Link, Row};
use super::load::{by_ids, founding, plan_columns};
use super::text::placeholders;
use crate::rows::{DAY_SECONDS, idle_studies, page, page_size, study_rows};
use crate::{
    Page, StoreError, StoreResult, StudyFilter, StudyRows, TokenRecord, TrialFilter, TrialOrder, TrialRows,
};

/// Conditions of a query with their arguments.
#[derive(Default)]
struct Conditions {
    texts: Vec<String>,
    arguments: Vec<Arg>,
}

impl Conditions {
    /// Adds `{left}$n{right}`.
    fn add(&mut self, left: &str, argument: impl Into<Arg>, right: &str) {
        self.arguments.push(argument.into());
        self.texts.push(format!("{left}${}{right}", self.arguments.len()));
    }

    /// Adds `column IN (...)` unless the list is empty.
    fn one_of(&mut self, column: &str, names: Vec<&str>) {
        if !names.is_empty() {
            let marks = placeholders(self.arguments.len() + 1, names.len());
            self.texts.push(format!("{column} IN ({marks})"));
            self.arguments.extend(names.into_iter().map(Arg::from));
        }
    }

    fn text(&self) -> String {
        self.texts.join(" AND ")
    }
}

pub(super) async fn now(engine: &Engine) -> StoreResult<Timestamp> {
    let mut link = engine.read().await?;
    clock_of(&mut link).await
}

async fn clock_of(link: &mut Link) -> StoreResult<Timestamp> {
    let text = format!("SELECT {}", clock(link.is_postgres()));
    let mut rows = link.fetch("clock", text, Vec::new()).await.map_err(failed)?;
    Ok(Timestamp(rows.first_mut().ok_or(StoreError::Busy)?.integer()?))
}

async fn study_records(engine: &Engine, link: &mut Link, rows: Vec<Row>) -> StoreResult<Vec<StudyRecord>> {
    let mut records = Vec::with_capacity(rows.len());
    for mut row in rows {
        let id = StudyId(row.integer()?);
        let founding = founding(engine, link, id).await?;
        records.push(columns::study(&mut row, id, &founding.checked)?);
    }
    Ok(records)
}

pub(super) async fn study(engine: &Engine, link: &mut Link, id: StudyId) -> StoreResult<StudyRecord> {
    let rows = by_ids(link, "study", "studies", "id", &STUDY, &[id.0], "").await?;
    study_records(engine, link, rows).await?.pop().ok_or(StoreError::NotFound { what: "study" })
}

pub(super) async fn study_by_name(
    engine: &Engine,
    project: ProjectId,
    name: &str,
) -> StoreResult<Option<StudyRecord>> {
    let mut link = engine.read().await?;
    let text = format!("SELECT {} FROM studies WHERE project_id = $1 AND name = $2", STUDY.join(", "));
    let arguments = vec![project.0.into(), name.into()];
    let rows = link.fetch("study", text, arguments).await.map_err(failed)?;
    Ok(study_records(engine, &mut link, rows).await?.pop())
}

pub(super) async fn studies(engine: &Engine, filter: &StudyFilter) -> StoreResult<Page<StudyRecord>> {
    let size = page_size(filter.limit);
    let mut link = engine.read().await?;
    let mut conditions = Conditions::default();
    conditions.add("project_id = ", filter.project.0, "");
    conditions.one_of("state", filter.states.iter().map(|state| state.name()).collect());
    if let Some(part) = &filter.name_contains {
        let find = if link.is_postgres() { "strpos(name, " } else { "instr(name, " };
        conditions.add(find, part.as_str(), ") > 0");
    }
    if !filter.archived {
        conditions.add("archived = ", 0, "");
    }
    if let Some(before) = filter.before {
        conditions.add("id < ", before.0, "");
    }
    let text = format!(
        "SELECT {} FROM studies WHERE {} ORDER BY id DESC LIMIT {}",
        STUDY.join(", "),
        conditions.text(),
        size + 1
    );
    let rows = link.fetch("study", text, conditions.arguments).await.map_err(failed)?;
    Ok(page(study_records(engine, &mut link, rows).await?, size))
}

pub(super) async fn idle(engine: &Engine) -> StoreResult<Vec<StudyId>> {
    let mut link = engine.read().await?;
    let text = format!("SELECT {} FROM studies WHERE state = 'active' AND archived = 0", STUDY.join(", "));
    let rows = link.fetch("study", text, Vec::new()).await.map_err(failed)?;
    let studies = study_records(engine, &mut link, rows).await?;
    let now = clock_of(&mut link).await?;
    Ok(idle_studies(studies.iter(), now))
}

pub(super) async fn rows_since(engine: &Engine, id: StudyId, since: Change) -> StoreResult<StudyRows> {
    let mut link = engine.snapshot().await?;
    let study = study(engine, &mut link, id).await?;
    // Change 0 asks for everything; every row has a change of at least 1.
    let arguments = || vec![id.0.into(), (since.0 as i64).into()];
    let text = format!("SELECT {} FROM trials WHERE study_id = $1 AND updated_change > $2", TRIAL.join(", "));
    let mut rows = link.fetch("trial", text, arguments()).await.map_err(failed)?;
    let trials = rows.iter_mut().map(columns::trial).collect::<StoreResult<_>>()?;
    let text = format!("SELECT {} FROM reports WHERE study_id = $1 AND change > $2", REPORT.join(", "));
    let mut rows = link.fetch("report", text, arguments()).await.map_err(failed)?;
    let curves = rows.iter_mut().map(columns::report).collect::<StoreResult<_>>()?;
    link.commit().await.map_err(failed)?;
    Ok(study_rows(study, trials, curves))
}

pub(super) async fn plans(
    engine: &Engine,
    id: StudyId,
    from: PlanNumber,
    limit: u32,
) -> StoreResult<Vec<PlanRecord>> {
    let mut link = engine.read().await?;
    let text = format!(
        "SELECT {} FROM plans WHERE study_id = $1 AND number >= $2 ORDER BY number LIMIT {}",
        plan_columns(),
        page_size(limit)
    );
    let arguments = vec![id.0.into(), (from.0 as i64).into()];
    let mut rows = link.fetch("plan", text, arguments).await.map_err(failed)?;
    if rows.is_empty() {
        study(engine, &mut link, id).await?;
    }
    rows.iter_mut().map(columns::plan).collect()
}

pub(super) async fn trial(engine: &Engine, id: TrialId) -> StoreResult<TrialRows> {
    let mut link = engine.snapshot().await?;
    let mut rows = by_ids(&mut link, "trial", "trials", "id", &TRIAL, &[id.0], "").await?;
    let row = rows.first_mut().ok_or(StoreError::NotFound { what: "trial" })?;
    let trial = columns::trial(row)?.record;
    let curve = curves_of(&mut link, &[id]).await?;
    link.commit().await.map_err(failed)?;
    Ok(TrialRows { trial, curve })
}

pub(super) async fn curves(engine: &Engine, trials: &[TrialId]) -> StoreResult<Vec<CurvePoint>> {
    let mut trials = trials.to_vec();
    trials.sort_unstable();
    trials.dedup();
    curves_of(&mut engine.read().await?, &trials).await
}

async fn curves_of(link: &mut Link, trials: &[TrialId]) -> StoreResult<Vec<CurvePoint>> {
    let ids: Vec<i64> = trials.iter().map(|id| id.0).collect();
    let mut rows = by_ids(link, "report", "reports", "trial_id", &REPORT, &ids, "").await?;
    let mut curve: Vec<CurvePoint> = rows.iter_mut().map(columns::report).collect::<StoreResult<_>>()?;
    curve.sort_by_key(|point| (point.trial, point.epoch, point.report.step));
    Ok(curve)
}

pub(super) async fn trials(engine: &Engine, filter: &TrialFilter) -> StoreResult<Page<TrialRecord>> {
    let size = page_size(filter.limit);
    let mut link = engine.snapshot().await?;
    let study = study(engine, &mut link, filter.study).await?;
    let after = match filter.after {
        Some(id) => {
            let mut rows = by_ids(&mut link, "trial", "trials", "id", &TRIAL, &[id.0], "").await?;
            let row = rows.first_mut().ok_or(StoreError::NotFound { what: "trial" })?;
            Some(columns::trial(row)?.record)
        }
        None => None,
    };
    let mut conditions = Conditions::default();
    conditions.add("study_id = ", filter.study.0, "");
    conditions.one_of("state", filter.states.iter().map(|state| state.name()).collect());
    let (direction, better) = match study.spec.objectives[0].goal {
        Goal::Minimize => ("ASC", ">"),
        Goal::Maximize => ("DESC", "<"),
    };
    let order = match filter.order {
        TrialOrder::Number => "number".to_owned(),
        TrialOrder::Newest => "number DESC".to_owned(),
        TrialOrder::Best => format!("CASE WHEN value IS NULL THEN 1 ELSE 0 END, value {direction}, number"),
    };
    if let Some(after) = after {
        let number = i64::from(after.number);
        match (filter.order, after.value) {
            (TrialOrder::Number, _) => conditions.add("number > ", number, ""),
            (TrialOrder::Newest, _) => conditions.add("number < ", number, ""),
            (TrialOrder::Best, None) => conditions.add("value IS NULL AND number > ", number, ""),
            (TrialOrder::Best, Some(value)) => {
                let first = conditions.arguments.len() + 1;
                conditions.arguments.push(Arg::Real(Some(value)));
                conditions.arguments.push(number.into());
                conditions.texts.push(format!(
                    "(value IS NULL OR value {better} ${first} OR (value = ${first} AND number > ${}))",
                    first + 1
                ));
            }
        }
    }
    let text = format!(
        "SELECT {} FROM trials WHERE {} ORDER BY {order} LIMIT {}",
        TRIAL.join(", "),
        conditions.text(),
        size + 1
    );
    let mut rows = link.fetch("trial", text, conditions.arguments).await.map_err(failed)?;
    let trials: Vec<_> =
        rows.iter_mut().map(|row| columns::trial(row).map(|row| row.record)).collect::<StoreResult<_>>()?;
    link.commit().await.map_err(failed)?;
    Ok(page(trials, size))
}

pub(super) async fn token_by_hash(engine: &Engine, hash: &str) -> StoreResult<Option<TokenRecord>> {
    let mut link = engine.read().await?;
    let text = format!(
        "SELECT {} FROM tokens WHERE hash = $1 AND revoked = 0 AND (expires_at IS NULL OR expires_at > {})",
        TOKEN.join(", "),
        clock(link.is_postgres())
    );
    let mut rows = link.fetch("token", text, vec![hash.into()]).await.map_err(failed)?;
    rows.first_mut().map(|row| columns::token(row).map(|token| token.record)).transpose()
}

pub(super) async fn tokens(engine: &Engine) -> StoreResult<Vec<TokenRecord>> {
    let mut link = engine.read().await?;
    let text = format!("SELECT {} FROM tokens WHERE revoked = 0 ORDER BY id", TOKEN.join(", "));
    let mut rows = link.fetch("token", text, Vec::new()).await.map_err(failed)?;
    rows.iter_mut().map(|row| columns::token(row).map(|token| token.record)).collect()
}

pub(super) async fn workers(engine: &Engine, project: ProjectId) -> StoreResult<Vec<WorkerRecord>> {
    let mut link = engine.read().await?;
    let columns: Vec<String> = WORKER.iter().map(|column| format!("w.{column}")).collect();
    let text = format!(
        "SELECT {}, (SELECT COUNT(*) FROM trials t JOIN studies s ON s.id = t.study_id \
         WHERE t.state = 'leased' AND t.lease_worker = w.name AND s.project_id = w.project_id) \
         FROM workers w WHERE w.project_id = $1 AND w.seen_at >= {} - $2 ORDER BY w.name",
        columns.join(", "),
        clock(link.is_postgres())
    );
    let arguments = vec![project.0.into(), ((DAY_SECONDS * 1e6) as i64).into()];
    let mut rows = link.fetch("worker", text, arguments).await.map_err(failed)?;
    rows.iter_mut()
        .map(|row| {
            let worker = columns::worker(row)?;
            Ok(WorkerRecord { leases: row.small()?, ..worker.record })
        })
        .collect()
}
