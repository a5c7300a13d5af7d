//! Loads the rows that a group of operations needs, with locks in one order: studies, trials, workers.
//!
//! Everything that changes a trial's state first locks its study's row, so the changes of a study have one order and a
//! trial is claimed once, whichever server asks.

use std::collections::{BTreeMap, BTreeSet};

use boxwood_core::Move;
use boxwood_study::{
    DuplicatePolicy, LeaseEpoch, ProjectId, StudyEvent, StudyId, Timestamp, TrialId, WorkerName,
};

use super::columns::{self, PLAN, REPORT, STUDY, TOKEN, TRIAL, WORKER};
use super::engine::{Engine, clock, failed};
use super::link::{Arg, Link, Row};
use super::text::{padded, placeholders, value_rows};
use crate::operation::Operation;
use crate::tables::{ReportKey, RequestRow, Tables};
use crate::{AcquireRequest, ProjectRecord, StoreError, StoreResult};

/// Studies looked at when a worker asks for any.
const CANDIDATES: i64 = 500;

/// What a group of operations needs.
#[derive(Debug, Default)]
struct Needs {
    /// Studies to lock.
    studies: BTreeSet<StudyId>,
    /// Studies of which the specification is enough.
    specs: BTreeSet<StudyId>,
    names: BTreeSet<(ProjectId, String)>,
    trials: BTreeSet<TrialId>,
    /// Studies whose open trials are all needed.
    open: BTreeSet<StudyId>,
    hashes: BTreeMap<StudyId, BTreeSet<String>>,
    reports: BTreeSet<ReportKey>,
    last_reports: BTreeSet<TrialId>,
    /// Trials whose workers are needed.
    finishing: BTreeSet<TrialId>,
    workers: BTreeSet<(ProjectId, WorkerName)>,
    requests: BTreeSet<(ProjectId, String)>,
    tokens: BTreeSet<i64>,
    projects: bool,
    /// Queued trials wanted by study.
    queue: BTreeMap<StudyId, u64>,
    new_studies: usize,
    new_projects: usize,
    new_tokens: usize,
    reap: u32,
}

/// Loads the rows.
pub(crate) async fn load(engine: &Engine, link: &mut Link, operations: &[Operation]) -> StoreResult<Tables> {
    let mut needs = Needs::default();
    for operation in operations {
        needs.gather(operation);
    }
    let mut tables = Tables::default();
    needs.discover_expired(link).await?;
    needs.discover_candidates(link, operations).await?;
    load_specs(engine, link, &needs, &mut tables).await?;
    needs.gather_by_spec(engine, operations);
    needs.load_admin(link, &mut tables).await?;
    needs.load_studies(engine, link, &mut tables).await?;
    let text = format!("SELECT {}", clock(link.is_postgres()));
    let mut rows = link.fetch("clock", text, Vec::new()).await.map_err(failed)?;
    tables.now = Timestamp(rows.first_mut().ok_or(StoreError::Busy)?.integer()?);
    needs.load_trials(link, &mut tables).await?;
    needs.load_reports(link, &mut tables).await?;
    needs.load_workers(link, &mut tables).await?;
    needs.load_requests(link, &mut tables).await?;
    Ok(tables)
}

impl Needs {
    /// What the operation itself names.
    fn gather(&mut self, operation: &Operation) {
        match operation {
            Operation::CreateProject(_) => {
                self.projects = true;
                self.new_projects += 1;
            }
            Operation::CreateToken(_) => self.new_tokens += 1,
            Operation::RevokeToken(id) => {
                self.tokens.insert(id.0);
            }
            Operation::CreateStudy(new) => {
                self.projects = true;
                self.new_studies += 1;
                self.names.insert((new.body.project, new.body.study.spec.name.clone()));
                self.request(new.body.project, new.id.as_ref());
            }
            Operation::PatchStudy(id, patch) => {
                self.studies.insert(*id);
                let closes = matches!(patch.body.event, Some(StudyEvent::Complete | StudyEvent::Cancel));
                if closes || patch.body.withdraws_queued {
                    self.open.insert(*id);
                }
            }
            Operation::CommitPlan(plan) => {
                self.studies.insert(plan.study);
                self.trials.extend(&plan.replaces);
                for (step, _) in &plan.moves {
                    if let Move::Resume { trial, .. } = step {
                        self.trials.insert(TrialId::of(plan.study, trial.0));
                    }
                }
            }
            Operation::Enqueue(id, _) => {
                self.studies.insert(*id);
            }
            Operation::Acquire(request) => {
                self.worker(&request.body.worker);
                self.request(request.body.worker.project, request.id.as_ref());
                if let Some(id) = request.body.study {
                    self.studies.insert(id);
                    *self.queue.entry(id).or_default() += u64::from(request.body.slots);
                }
            }
            Operation::Heartbeat(hello, keys) => {
                self.worker(hello);
                for key in keys {
                    self.trials.insert(key.trial);
                    self.specs.insert(key.trial.study());
                }
            }
            Operation::Report(reports) => {
                for (key, report) in reports {
                    self.trial(key.trial);
                    self.reports.insert((key.trial, key.epoch, report.step));
                }
            }
            Operation::Finish(key, finish) => {
                self.trial(key.trial);
                self.finishing.insert(key.trial);
                match &finish.result {
                    Some(result) => {
                        self.reports.insert((key.trial, key.epoch, result.step));
                    }
                    None => {
                        self.last_reports.insert(key.trial);
                    }
                }
            }
            Operation::Reap(limit) => self.reap = self.reap.max(*limit),
            Operation::CancelTrial(id, _) | Operation::RetryTrial(id) => self.trial(*id),
            Operation::DrainWorker(project, name) => {
                self.workers.insert((*project, name.clone()));
            }
        }
    }

    fn trial(&mut self, id: TrialId) {
        self.trials.insert(id);
        self.studies.insert(id.study());
    }

    fn worker(&mut self, hello: &crate::WorkerHello) {
        self.workers.insert((hello.project, hello.name.clone()));
    }

    fn request(&mut self, project: ProjectId, id: Option<&String>) {
        if let Some(id) = id {
            self.requests.insert((project, id.clone()));
        }
    }

    /// What can be named once the specifications are known: point hashes, and requests under a study's project.
    fn gather_by_spec(&mut self, engine: &Engine, operations: &[Operation]) {
        for operation in operations {
            match operation {
                Operation::PatchStudy(id, patch) => {
                    if let Some(founding) = engine.founding(*id) {
                        self.request(founding.project, patch.id.as_ref());
                    }
                }
                Operation::Enqueue(id, points) => {
                    let Some(founding) = engine.founding(*id) else { continue };
                    self.request(founding.project, points.id.as_ref());
                    let admitted = points.body.iter().filter_map(|p| founding.checked.admit(p, "").ok());
                    self.hashes.entry(*id).or_default().extend(admitted.map(|(_, hash)| hash));
                }
                Operation::CommitPlan(plan) => {
                    let Some(founding) = engine.founding(plan.study) else { continue };
                    let space = founding.checked.problem.space();
                    let hashes = self.hashes.entry(plan.study).or_default();
                    for (step, hash) in &plan.moves {
                        if let Move::Start { point, .. } = step {
                            hashes.insert(hash.clone().unwrap_or_else(|| space.point_hash(point)));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    async fn discover_expired(&mut self, link: &mut Link) -> StoreResult<()> {
        if self.reap == 0 {
            return Ok(());
        }
        let text = format!(
            "SELECT id FROM trials WHERE state = 'leased' AND lease_expires_at <= {} \
             ORDER BY lease_expires_at LIMIT $1",
            clock(link.is_postgres())
        );
        for mut row in link.fetch("trial", text, vec![i64::from(self.reap).into()]).await.map_err(failed)? {
            self.trial(TrialId(row.integer()?));
        }
        Ok(())
    }

    /// Studies for workers that take any: at most as many as slots, in the order in which they would be served.
    async fn discover_candidates(&mut self, link: &mut Link, operations: &[Operation]) -> StoreResult<()> {
        let mut projects: BTreeMap<ProjectId, Vec<&AcquireRequest>> = BTreeMap::new();
        for operation in operations {
            if let Operation::Acquire(request) = operation
                && request.body.study.is_none()
            {
                projects.entry(request.body.worker.project).or_default().push(&request.body);
            }
        }
        for (project, requests) in projects {
            let text = "SELECT id, program, requires FROM studies WHERE state = 'active' AND project_id = $1 \
                AND archived = 0 AND queued > 0 AND program IS NOT NULL \
                ORDER BY priority DESC, leased, id LIMIT $2";
            let arguments = vec![project.0.into(), CANDIDATES.into()];
            let mut candidates = Vec::new();
            for mut row in link.fetch("study", text.into(), arguments).await.map_err(failed)? {
                let id = StudyId(row.integer()?);
                let program = row.text()?;
                let requires: BTreeMap<String, String> = row.json()?;
                candidates.push((id, program, requires));
            }
            for request in requests {
                let worker = &request.worker;
                let fits = candidates.iter().filter(|(_, program, requires)| {
                    worker.programs.contains(program)
                        && requires.iter().all(|(label, value)| worker.labels.get(label) == Some(value))
                });
                for (id, ..) in fits.take(request.slots as usize) {
                    self.studies.insert(*id);
                    *self.queue.entry(*id).or_default() += u64::from(request.slots);
                }
            }
        }
        Ok(())
    }

    async fn load_admin(&self, link: &mut Link, tables: &mut Tables) -> StoreResult<()> {
        if self.projects {
            for project in projects(link).await? {
                tables.projects.insert(project.id, project);
            }
        }
        if !self.tokens.is_empty() {
            let ids: Vec<i64> = self.tokens.iter().copied().collect();
            for row in &mut by_ids(link, "token", "tokens", "id", &TOKEN, &ids, "").await? {
                let token = columns::token(row)?;
                tables.tokens.insert(token.record.id, token);
            }
        }
        tables.fresh.projects = fresh(link, "projects", self.new_projects).await?;
        tables.fresh.tokens = fresh(link, "tokens", self.new_tokens).await?;
        tables.fresh.studies = fresh(link, "studies", self.new_studies).await?;
        Ok(())
    }

    async fn load_studies(&self, engine: &Engine, link: &mut Link, tables: &mut Tables) -> StoreResult<()> {
        let lock = if link.is_postgres() { " FOR UPDATE" } else { "" };
        let ids: Vec<i64> = self.studies.iter().map(|id| id.0).collect();
        let mut rows = by_ids(link, "study", "studies", "id", &STUDY, &ids, lock).await?;
        for (project, name) in &self.names {
            let text =
                format!("SELECT {} FROM studies WHERE project_id = $1 AND name = $2", STUDY.join(", "));
            let arguments = vec![project.0.into(), name.as_str().into()];
            rows.extend(link.fetch("study", text, arguments).await.map_err(failed)?);
        }
        for row in &mut rows {
            let id = StudyId(row.integer()?);
            let founding = founding(engine, link, id).await?;
            tables.specs.insert(id, founding.checked.clone());
            tables.load_study(columns::study(row, id, &founding.checked)?);
        }
        Ok(())
    }

    async fn load_trials(&mut self, link: &mut Link, tables: &mut Tables) -> StoreResult<()> {
        let postgres = link.is_postgres();
        let lock = if postgres { " FOR UPDATE" } else { "" };
        let columns = TRIAL.join(", ");
        let ids: Vec<i64> = self.trials.iter().map(|id| id.0).collect();
        let mut rows = by_ids(link, "trial", "trials", "id", &TRIAL, &ids, lock).await?;
        for study in &self.open {
            let text = format!(
                "SELECT {columns} FROM trials WHERE study_id = $1 AND state IN ('queued', 'leased', 'paused') \
                 ORDER BY id{lock}"
            );
            rows.extend(link.fetch("trial", text, vec![study.0.into()]).await.map_err(failed)?);
        }
        let skip = if postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        for (study, want) in &self.queue {
            let text = format!(
                "SELECT {columns} FROM trials WHERE study_id = $1 AND state = 'queued' \
                 ORDER BY queue_rank, number LIMIT $2{skip}"
            );
            let arguments = vec![study.0.into(), (*want as i64).into()];
            rows.extend(link.fetch("trial", text, arguments).await.map_err(failed)?);
        }
        for (study, hashes) in &self.hashes {
            let hashes: Vec<&String> = hashes.iter().collect();
            for chunk in hashes.chunks(super::text::LIST) {
                let mut arguments: Vec<Arg> = chunk.iter().map(|hash| hash.as_str().into()).collect();
                let last = arguments[arguments.len() - 1].clone();
                arguments.resize(chunk.len().next_power_of_two(), last);
                let text = format!(
                    "SELECT {columns} FROM trials WHERE point_hash IN ({}) AND study_id = ${}",
                    placeholders(1, arguments.len()),
                    arguments.len() + 1
                );
                arguments.push(study.0.into());
                rows.extend(link.fetch("trial", text, arguments).await.map_err(failed)?);
            }
        }
        for row in &mut rows {
            tables.load_trial(columns::trial(row)?);
        }
        for id in &self.finishing {
            if let Ok(row) = tables.trial(*id)
                && let Some(lease) = &row.record.lease
                && let Ok(study) = tables.study(row.record.study)
            {
                self.workers.insert((study.project, lease.worker.clone()));
            }
        }
        Ok(())
    }

    async fn load_reports(&self, link: &mut Link, tables: &mut Tables) -> StoreResult<()> {
        let columns: Vec<String> = REPORT.iter().map(|column| format!("r.{column}")).collect();
        let columns = columns.join(", ");
        let keys: Vec<ReportKey> = self.reports.iter().copied().collect();
        let mut rows = Vec::new();
        for chunk in keys.chunks(super::text::LIST) {
            let mut padded = chunk.to_vec();
            padded.resize(chunk.len().next_power_of_two(), chunk[chunk.len() - 1]);
            let arguments = padded
                .iter()
                .flat_map(|(trial, LeaseEpoch(epoch), step)| {
                    [trial.0, *epoch as i64, *step as i64].map(Arg::from)
                })
                .collect();
            let text = format!(
                "SELECT DISTINCT {columns} FROM (VALUES {}) AS k JOIN reports r \
                 ON r.trial_id = k.column1 AND r.epoch = k.column2 AND r.step = k.column3",
                value_rows(padded.len(), 3)
            );
            rows.extend(link.fetch("report", text, arguments).await.map_err(failed)?);
        }
        let last: Vec<i64> = self.last_reports.iter().map(|id| id.0).collect();
        for arguments in padded(&last) {
            let text = format!(
                "SELECT {columns} FROM reports r WHERE r.trial_id IN ({}) AND r.step = \
                 (SELECT MAX(m.step) FROM reports m WHERE m.trial_id = r.trial_id AND m.epoch = r.epoch)",
                placeholders(1, arguments.len())
            );
            rows.extend(link.fetch("report", text, arguments).await.map_err(failed)?);
        }
        // The reuse of a point's results copies the curve of the first trial.
        let reused: Vec<i64> = self
            .hashes
            .iter()
            .filter(|(id, _)| tables.study(**id).is_ok_and(|s| s.spec.duplicates == DuplicatePolicy::Reuse))
            .flat_map(|(id, hashes)| hashes.iter().flat_map(|hash| tables.same_point(*id, hash)))
            .map(|row| row.record.id.0)
            .collect();
        rows.extend(by_ids(link, "report", "reports", "trial_id", &REPORT, &reused, "").await?);
        for row in &mut rows {
            let point = columns::report(row)?;
            tables.reports.insert((point.trial, point.epoch, point.report.step), point);
        }
        Ok(())
    }

    async fn load_workers(&self, link: &mut Link, tables: &mut Tables) -> StoreResult<()> {
        let keys: Vec<(ProjectId, &str)> =
            self.workers.iter().map(|(project, name)| (*project, name.0.as_str())).collect();
        for row in &mut by_pairs(link, "worker", "workers", "name", &WORKER, &keys).await? {
            let worker = columns::worker(row)?;
            tables.workers.insert((worker.record.project, worker.record.name.clone()), worker);
        }
        Ok(())
    }

    async fn load_requests(&self, link: &mut Link, tables: &mut Tables) -> StoreResult<()> {
        let keys: Vec<(ProjectId, &str)> =
            self.requests.iter().map(|(project, id)| (*project, id.as_str())).collect();
        let columns = ["project_id", "request_id", "payload", "response", "at"];
        for row in &mut by_pairs(link, "request", "requests", "request_id", &columns, &keys).await? {
            let key = (ProjectId(row.integer()?), row.text()?);
            let request =
                RequestRow { payload: row.text()?, response: row.text()?, at: Timestamp(row.integer()?) };
            tables.requests.insert(key, request);
        }
        Ok(())
    }
}

/// Rows by a list of ids, in the order of the ids.
pub(crate) async fn by_ids(
    link: &mut Link,
    what: &'static str,
    table: &str,
    key: &str,
    columns: &[&str],
    ids: &[i64],
    lock: &str,
) -> StoreResult<Vec<Row>> {
    let mut rows = Vec::new();
    for arguments in padded(ids) {
        let text = format!(
            "SELECT {} FROM {table} WHERE {key} IN ({}) ORDER BY {key}{lock}",
            columns.join(", "),
            placeholders(1, arguments.len())
        );
        rows.extend(link.fetch(what, text, arguments).await.map_err(failed)?);
    }
    Ok(rows)
}

/// Rows by pairs of a project and a text.
async fn by_pairs(
    link: &mut Link,
    what: &'static str,
    table: &str,
    key: &str,
    columns: &[&str],
    keys: &[(ProjectId, &str)],
) -> StoreResult<Vec<Row>> {
    let mut rows = Vec::new();
    for chunk in keys.chunks(super::text::LIST) {
        let mut padded = chunk.to_vec();
        padded.resize(chunk.len().next_power_of_two(), chunk[chunk.len() - 1]);
        let arguments =
            padded.iter().flat_map(|(project, text)| [Arg::from(project.0), Arg::from(*text)]).collect();
        let selected: Vec<String> = columns.iter().map(|column| format!("r.{column}")).collect();
        let text = format!(
            "SELECT DISTINCT {} FROM (VALUES {}) AS k JOIN {table} r \
             ON r.project_id = k.column1 AND r.{key} = k.column2",
            selected.join(", "),
            value_rows(padded.len(), 2)
        );
        rows.extend(link.fetch(what, text, arguments).await.map_err(failed)?);
    }
    Ok(rows)
}

/// Every project by name.
pub(crate) async fn projects(link: &mut Link) -> StoreResult<Vec<ProjectRecord>> {
    let text = "SELECT id, name FROM projects ORDER BY name";
    let mut rows = link.fetch("project", text.into(), Vec::new()).await.map_err(failed)?;
    rows.iter_mut()
        .map(|row| Ok(ProjectRecord { id: ProjectId(row.integer()?), name: row.text()? }))
        .collect()
}

/// New ids of a table, the smallest last. On SQLite the one writer may count on; on PostgreSQL a sequence is shared.
async fn fresh(link: &mut Link, table: &str, count: usize) -> StoreResult<Vec<i64>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let (text, arguments) = if link.is_postgres() {
        let text = format!("SELECT nextval('{table}_ids') FROM generate_series(1, $1)");
        (text, vec![Arg::from(count as i64)])
    } else {
        (format!("SELECT COALESCE(MAX(id), 0) + 1 FROM {table}"), Vec::new())
    };
    let mut ids = Vec::with_capacity(count);
    for mut row in link.fetch("id", text, arguments).await.map_err(failed)? {
        ids.push(row.integer()?);
    }
    if !link.is_postgres() {
        let first = ids[0];
        ids = (first..first + count as i64).collect();
    }
    ids.reverse();
    Ok(ids)
}

async fn load_specs(engine: &Engine, link: &mut Link, needs: &Needs, tables: &mut Tables) -> StoreResult<()> {
    let all: Vec<StudyId> = needs.studies.union(&needs.specs).copied().collect();
    let missing: Vec<i64> = all.iter().filter(|id| engine.founding(**id).is_none()).map(|id| id.0).collect();
    read_foundings(engine, link, &missing).await?;
    for id in all {
        if let Some(founding) = engine.founding(id) {
            tables.specs.insert(id, founding.checked);
        }
    }
    Ok(())
}

pub(crate) async fn read_foundings(engine: &Engine, link: &mut Link, ids: &[i64]) -> StoreResult<()> {
    let columns = ["id", "project_id", "spec"];
    for row in &mut by_ids(link, "study", "studies", "id", &columns, ids, "").await? {
        let (id, founding) = columns::founding(row)?;
        engine.keep_founding(id, founding);
    }
    Ok(())
}

/// The specification of a study that is known to exist.
pub(crate) async fn founding(
    engine: &Engine,
    link: &mut Link,
    id: StudyId,
) -> StoreResult<columns::Founding> {
    if engine.founding(id).is_none() {
        read_foundings(engine, link, &[id.0]).await?;
    }
    engine.founding(id).ok_or(StoreError::NotFound { what: "study" })
}

/// Committed plans of a study.
pub(crate) fn plan_columns() -> String {
    PLAN.join(", ")
}
