//! The store in memory: for tests and experiments; nothing survives the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use boxwood_core::{Change, Point};
use boxwood_study::{
    CurvePoint, Finish, FinishOutcome, LeaseKey, PlanNumber, PlanRecord, ProjectId, Report, ReportAnswer,
    StudyId, StudyRecord, Timestamp, TokenId, TrialId, TrialRecord, TrialState, WorkerName, WorkerRecord,
};
use tokio::sync::broadcast;

use crate::apply::apply;
use crate::operation::{Answer, Operation, take};
use crate::rows::{DAY_SECONDS, compare, idle_studies, is_news, page, page_size, study_rows};
use crate::tables::{Tables, Written};
use crate::{
    AcquireRequest, Created, Enqueued, Grant, HeartbeatAnswer, NewPlan, NewProject, NewStudy, NewToken, Page,
    PlanResult, ProjectRecord, Reaped, Requested, Store, StoreNotice, StoreResult, StudyFilter, StudyPatch,
    StudyRows, TokenRecord, TrialFilter, TrialRows, WorkerHello,
};

/// Notices that a slow receiver may lag behind.
pub(crate) const NOTICES: usize = 1_024;

/// A store that holds everything in memory. Clones share their contents.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    /// Every row; each method holds the lock for its whole transaction and never across an await.
    tables: Arc<Mutex<Tables>>,
    notices: broadcast::Sender<StoreNotice>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store with the project `default`.
    pub fn new() -> Self {
        let mut tables = Tables::default();
        tables.projects.insert(ProjectId(1), ProjectRecord { id: ProjectId(1), name: "default".into() });
        Self { tables: Arc::new(Mutex::new(tables)), notices: broadcast::channel(NOTICES).0 }
    }

    /// The rows, with the clock moved on. A panic under the lock cannot leave a half-made change that matters more than
    /// the panic itself, so a poisoned lock is used on.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
        tables.now = tables.now.max(Timestamp(clock));
        tables
    }

    fn submit(&self, operation: &Operation) -> StoreResult<Answer> {
        let (answer, written) = {
            let mut guard = self.tables();
            let tables = &mut *guard;
            let next = |last: Option<i64>| vec![last.unwrap_or(0) + 1];
            tables.fresh.projects = next(tables.projects.keys().next_back().map(|id| id.0));
            tables.fresh.tokens = next(tables.tokens.keys().next_back().map(|id| id.0));
            let studies = next(tables.studies().next_back().map(|study| study.id.0));
            tables.fresh.studies = studies;
            let answer = apply(tables, operation);
            (answer, std::mem::take(&mut tables.written))
        };
        self.notify(&written);
        answer
    }

    fn notify(&self, written: &Written) {
        for study in &written.notices {
            // Nobody listening is no error.
            let _ = self.notices.send(StoreNotice::Study(*study));
        }
    }
}

impl Store for MemoryStore {
    async fn migrate(&self) -> StoreResult<()> {
        Ok(())
    }

    async fn now(&self) -> StoreResult<Timestamp> {
        Ok(self.tables().now)
    }

    fn notices(&self) -> broadcast::Receiver<StoreNotice> {
        self.notices.subscribe()
    }

    async fn create_project(&self, new: NewProject) -> StoreResult<ProjectRecord> {
        take!(self.submit(&Operation::CreateProject(new))?, Project)
    }

    async fn projects(&self) -> StoreResult<Vec<ProjectRecord>> {
        let mut projects: Vec<_> = self.tables().projects.values().cloned().collect();
        projects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(projects)
    }

    async fn create_token(&self, new: NewToken) -> StoreResult<TokenRecord> {
        take!(self.submit(&Operation::CreateToken(new))?, Token)
    }

    async fn token_by_hash(&self, hash: &str) -> StoreResult<Option<TokenRecord>> {
        let tables = self.tables();
        let mut rows = tables.tokens.values().filter(|row| row.hash == hash && !row.revoked);
        Ok(rows
            .find(|row| row.record.expires_at.is_none_or(|end| end > tables.now))
            .map(|r| r.record.clone()))
    }

    async fn tokens(&self) -> StoreResult<Vec<TokenRecord>> {
        Ok(self.tables().tokens.values().filter(|row| !row.revoked).map(|row| row.record.clone()).collect())
    }

    async fn revoke_token(&self, id: TokenId) -> StoreResult<()> {
        self.submit(&Operation::RevokeToken(id)).map(drop)
    }

    async fn create_study(&self, new: Requested<NewStudy>) -> StoreResult<Created> {
        take!(self.submit(&Operation::CreateStudy(Box::new(new)))?, Created).map(|created| *created)
    }

    async fn study(&self, id: StudyId) -> StoreResult<StudyRecord> {
        self.tables().study(id).cloned()
    }

    async fn study_by_name(&self, project: ProjectId, name: &str) -> StoreResult<Option<StudyRecord>> {
        Ok(self.tables().study_by_name(project, name).cloned())
    }

    async fn studies(&self, filter: StudyFilter) -> StoreResult<Page<StudyRecord>> {
        let tables = self.tables();
        let size = page_size(filter.limit);
        let shown = |study: &&StudyRecord| {
            study.project == filter.project
                && (filter.states.is_empty() || filter.states.contains(&study.state))
                && filter.name_contains.as_ref().is_none_or(|part| study.spec.name.contains(part.as_str()))
                && (filter.archived || !study.archived)
                && filter.before.is_none_or(|before| study.id < before)
        };
        Ok(page(tables.studies().rev().filter(shown).take(size + 1).cloned().collect(), size))
    }

    async fn patch_study(&self, id: StudyId, patch: Requested<StudyPatch>) -> StoreResult<StudyRecord> {
        take!(self.submit(&Operation::PatchStudy(id, patch))?, Study).map(|study| *study)
    }

    async fn rows_since(&self, id: StudyId, since: Change) -> StoreResult<StudyRows> {
        let tables = self.tables();
        let study = tables.study(id)?.clone();
        let trials = tables.trials_of(id).filter(|row| is_news(row.record.updated_change, since));
        let curves = tables.reports_of(id).filter(|point| is_news(point.change, since));
        Ok(study_rows(study, trials.cloned().collect(), curves.cloned().collect()))
    }

    async fn commit_plan(&self, plan: NewPlan) -> StoreResult<PlanResult> {
        take!(self.submit(&Operation::CommitPlan(Box::new(plan)))?, Plan)
    }

    async fn plans(&self, id: StudyId, from: PlanNumber, limit: u32) -> StoreResult<Vec<PlanRecord>> {
        let tables = self.tables();
        tables.study(id)?;
        let plans = tables.plans.range((id, from)..(StudyId(id.0 + 1), PlanNumber(0)));
        Ok(plans.take(page_size(limit)).map(|(_, plan)| plan.clone()).collect())
    }

    async fn enqueue(&self, id: StudyId, points: Requested<Vec<Point>>) -> StoreResult<Enqueued> {
        take!(self.submit(&Operation::Enqueue(id, points))?, Enqueued)
    }

    async fn acquire(&self, request: Requested<AcquireRequest>) -> StoreResult<Vec<Grant>> {
        take!(self.submit(&Operation::Acquire(request))?, Grants)
    }

    async fn heartbeat(&self, hello: WorkerHello, keys: Vec<LeaseKey>) -> StoreResult<Vec<HeartbeatAnswer>> {
        take!(self.submit(&Operation::Heartbeat(hello, keys))?, Heartbeats)
    }

    async fn report(&self, reports: Vec<(LeaseKey, Report)>) -> StoreResult<Vec<StoreResult<ReportAnswer>>> {
        take!(self.submit(&Operation::Report(reports))?, Reports)
    }

    async fn finish(&self, key: LeaseKey, finish: Finish) -> StoreResult<FinishOutcome> {
        take!(self.submit(&Operation::Finish(key, Box::new(finish)))?, Finished)
    }

    async fn reap(&self, limit: u32) -> StoreResult<Reaped> {
        let reaped = take!(self.submit(&Operation::Reap(limit))?, Reaped)?;
        let tables = self.tables();
        Ok(Reaped { studies: idle_studies(tables.studies(), tables.now), ..reaped })
    }

    async fn trial(&self, id: TrialId) -> StoreResult<TrialRows> {
        let tables = self.tables();
        let trial = tables.trial(id)?.record.clone();
        Ok(TrialRows { trial, curve: tables.curve(id).cloned().collect() })
    }

    async fn trials(&self, filter: TrialFilter) -> StoreResult<Page<TrialRecord>> {
        let tables = self.tables();
        let goal = tables.study(filter.study)?.spec.objectives[0].goal;
        let after = filter.after.map(|id| tables.trial(id)).transpose()?;
        let size = page_size(filter.limit);
        let mut rows: Vec<_> = tables
            .trials_of(filter.study)
            .map(|row| &row.record)
            .filter(|trial| filter.states.is_empty() || filter.states.contains(&trial.state))
            .filter(|trial| after.is_none_or(|a| compare(&a.record, trial, filter.order, goal).is_lt()))
            .collect();
        rows.sort_by(|a, b| compare(a, b, filter.order, goal));
        Ok(page(rows.into_iter().take(size + 1).cloned().collect(), size))
    }

    async fn curves(&self, trials: Vec<TrialId>) -> StoreResult<Vec<CurvePoint>> {
        let tables = self.tables();
        let mut trials = trials;
        trials.sort_unstable();
        trials.dedup();
        Ok(trials.into_iter().flat_map(|id| tables.curve(id).cloned().collect::<Vec<_>>()).collect())
    }

    async fn cancel_trial(&self, id: TrialId, reason: String) -> StoreResult<TrialRecord> {
        take!(self.submit(&Operation::CancelTrial(id, reason))?, Trial).map(|trial| *trial)
    }

    async fn retry_trial(&self, id: TrialId) -> StoreResult<TrialRecord> {
        take!(self.submit(&Operation::RetryTrial(id))?, Trial).map(|trial| *trial)
    }

    async fn workers(&self, project: ProjectId) -> StoreResult<Vec<WorkerRecord>> {
        let tables = self.tables();
        let oldest = tables.now.plus_seconds(-DAY_SECONDS);
        let of_project = tables.workers.values().filter(|row| row.record.project == project);
        let holds = |name: &WorkerName| {
            let held = tables.all_trials().filter(|row| {
                row.record.state == TrialState::Leased
                    && row.record.lease.as_ref().is_some_and(|lease| lease.worker == *name)
                    && tables.study(row.record.study).is_ok_and(|study| study.project == project)
            });
            held.count() as u32
        };
        let seen = of_project.filter(|row| row.record.seen_at >= oldest);
        Ok(seen.map(|row| WorkerRecord { leases: holds(&row.record.name), ..row.record.clone() }).collect())
    }

    async fn drain_worker(&self, project: ProjectId, name: WorkerName) -> StoreResult<()> {
        self.submit(&Operation::DrainWorker(project, name)).map(drop)
    }
}
