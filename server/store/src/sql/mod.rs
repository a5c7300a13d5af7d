//! The store on SQLite and PostgreSQL.
//!
//! Reads go to a pool of connections. Mutations go to one writer task, which loads the rows that a group of them needs,
//! applies the same operations as the memory store and writes back what changed, in one transaction per group.

mod columns;
mod engine;
mod flush;
mod link;
mod listen;
mod load;
mod read;
mod text;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use boxwood_core::{Change, Point};
use boxwood_study::{
    CurvePoint, Finish, FinishOutcome, LeaseKey, PlanNumber, PlanRecord, ProjectId, Report, ReportAnswer,
    StudyId, StudyRecord, Timestamp, TokenId, TrialId, TrialRecord, WorkerName, WorkerRecord,
};
use tokio::sync::{broadcast, mpsc, oneshot};

pub use engine::Durability;

use crate::operation::{Answer, Operation, take};
use crate::{
    AcquireRequest, Created, Enqueued, Grant, HeartbeatAnswer, NewPlan, NewProject, NewStudy, NewToken, Page,
    PlanResult, ProjectRecord, Reaped, Requested, Store, StoreError, StoreNotice, StoreResult, StudyFilter,
    StudyPatch, StudyRows, TokenRecord, TrialFilter, TrialRows, WorkerHello,
};
use engine::{Engine, Pools};
use writer::{Job, write_loop};

/// Mutations that may wait for the writer; more wait for a place.
const WAITING: usize = 4_096;

/// A store on SQLite or PostgreSQL. Clones share the connections and the writer.
#[derive(Clone)]
pub struct SqlStore {
    engine: Arc<Engine>,
    jobs: mpsc::Sender<Job>,
}

impl std::fmt::Debug for SqlStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engine = if self.engine.is_postgres() { "PostgreSQL" } else { "SQLite" };
        formatter.debug_struct("SqlStore").field("engine", &engine).finish_non_exhaustive()
    }
}

impl SqlStore {
    /// Opens or creates a SQLite database. A second server on the same file is refused.
    pub async fn open_sqlite(path: &Path, durability: Durability) -> StoreResult<Self> {
        Engine::open_sqlite(path, durability).await.map(Self::start)
    }

    /// Opens a PostgreSQL database; many servers may share it.
    pub async fn open_postgres(url: &str) -> StoreResult<Self> {
        Engine::open_postgres(url).await.map(Self::start)
    }

    fn start(engine: Engine) -> Self {
        let engine = Arc::new(engine);
        let (jobs, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write_loop(engine.clone(), waiting));
        if let Pools::Postgres(pool) = &engine.pools {
            tokio::spawn(listen::listen(pool.clone(), engine.notices.clone(), engine.origin.clone()));
        }
        Self { engine, jobs }
    }

    /// Closes the database and gives up the lock on its file.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// SQL statements run so far, those that begin and end transactions not counted.
    pub fn statements(&self) -> u64 {
        self.engine.statements.load(Ordering::Relaxed)
    }

    /// Hands a mutation to the writer. It is carried out even when the caller hangs up.
    async fn submit(&self, operation: Operation) -> StoreResult<Answer> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { operation, reply }).await.map_err(|_| StoreError::Busy)?;
        answer.await.map_err(|_| StoreError::Busy)?
    }
}

impl Store for SqlStore {
    async fn migrate(&self) -> StoreResult<()> {
        self.engine.migrate().await
    }

    async fn now(&self) -> StoreResult<Timestamp> {
        read::now(&self.engine).await
    }

    fn notices(&self) -> broadcast::Receiver<StoreNotice> {
        self.engine.notices.subscribe()
    }

    async fn create_project(&self, new: NewProject) -> StoreResult<ProjectRecord> {
        take!(self.submit(Operation::CreateProject(new)).await?, Project)
    }

    async fn projects(&self) -> StoreResult<Vec<ProjectRecord>> {
        load::projects(&mut self.engine.read().await?).await
    }

    async fn create_token(&self, new: NewToken) -> StoreResult<TokenRecord> {
        take!(self.submit(Operation::CreateToken(new)).await?, Token)
    }

    async fn token_by_hash(&self, hash: &str) -> StoreResult<Option<TokenRecord>> {
        read::token_by_hash(&self.engine, hash).await
    }

    async fn tokens(&self) -> StoreResult<Vec<TokenRecord>> {
        read::tokens(&self.engine).await
    }

    async fn revoke_token(&self, id: TokenId) -> StoreResult<()> {
        self.submit(Operation::RevokeToken(id)).await.map(drop)
    }

    async fn create_study(&self, new: Requested<NewStudy>) -> StoreResult<Created> {
        take!(self.submit(Operation::CreateStudy(Box::new(new))).await?, Created).map(|created| *created)
    }

    async fn study(&self, id: StudyId) -> StoreResult<StudyRecord> {
        read::study(&self.engine, &mut self.engine.read().await?, id).await
    }

    async fn study_by_name(&self, project: ProjectId, name: &str) -> StoreResult<Option<StudyRecord>> {
        read::study_by_name(&self.engine, project, name).await
    }

    async fn studies(&self, filter: StudyFilter) -> StoreResult<Page<StudyRecord>> {
        read::studies(&self.engine, &filter).await
    }

    async fn patch_study(&self, id: StudyId, patch: Requested<StudyPatch>) -> StoreResult<StudyRecord> {
        take!(self.submit(Operation::PatchStudy(id, patch)).await?, Study).map(|study| *study)
    }

    async fn rows_since(&self, id: StudyId, since: Change) -> StoreResult<StudyRows> {
        read::rows_since(&self.engine, id, since).await
    }

    async fn commit_plan(&self, plan: NewPlan) -> StoreResult<PlanResult> {
        take!(self.submit(Operation::CommitPlan(Box::new(plan))).await?, Plan)
    }

    async fn plans(&self, id: StudyId, from: PlanNumber, limit: u32) -> StoreResult<Vec<PlanRecord>> {
        read::plans(&self.engine, id, from, limit).await
    }

    async fn enqueue(&self, id: StudyId, points: Requested<Vec<Point>>) -> StoreResult<Enqueued> {
        take!(self.submit(Operation::Enqueue(id, points)).await?, Enqueued)
    }

    async fn acquire(&self, request: Requested<AcquireRequest>) -> StoreResult<Vec<Grant>> {
        take!(self.submit(Operation::Acquire(request)).await?, Grants)
    }

    async fn heartbeat(&self, hello: WorkerHello, keys: Vec<LeaseKey>) -> StoreResult<Vec<HeartbeatAnswer>> {
        take!(self.submit(Operation::Heartbeat(hello, keys)).await?, Heartbeats)
    }

    async fn report(&self, reports: Vec<(LeaseKey, Report)>) -> StoreResult<Vec<StoreResult<ReportAnswer>>> {
        take!(self.submit(Operation::Report(reports)).await?, Reports)
    }

    async fn finish(&self, key: LeaseKey, finish: Finish) -> StoreResult<FinishOutcome> {
        take!(self.submit(Operation::Finish(key, Box::new(finish))).await?, Finished)
    }

    async fn reap(&self, limit: u32) -> StoreResult<Reaped> {
        let reaped = take!(self.submit(Operation::Reap(limit)).await?, Reaped)?;
        Ok(Reaped { studies: read::idle(&self.engine).await?, ..reaped })
    }

    async fn trial(&self, id: TrialId) -> StoreResult<TrialRows> {
        read::trial(&self.engine, id).await
    }

    async fn trials(&self, filter: TrialFilter) -> StoreResult<Page<TrialRecord>> {
        read::trials(&self.engine, &filter).await
    }

    async fn curves(&self, trials: Vec<TrialId>) -> StoreResult<Vec<CurvePoint>> {
        read::curves(&self.engine, &trials).await
    }

    async fn cancel_trial(&self, id: TrialId, reason: String) -> StoreResult<TrialRecord> {
        take!(self.submit(Operation::CancelTrial(id, reason)).await?, Trial).map(|trial| *trial)
    }

    async fn retry_trial(&self, id: TrialId) -> StoreResult<TrialRecord> {
        take!(self.submit(Operation::RetryTrial(id)).await?, Trial).map(|trial| *trial)
    }

    async fn workers(&self, project: ProjectId) -> StoreResult<Vec<WorkerRecord>> {
        read::workers(&self.engine, project).await
    }

    async fn drain_worker(&self, project: ProjectId, name: WorkerName) -> StoreResult<()> {
        self.submit(Operation::DrainWorker(project, name)).await.map(drop)
    }
}
