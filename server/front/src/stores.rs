//! The store that the configuration names: one enum over the engines, so that handlers are not generic.

use boxwood_core::{Change, Point};
use boxwood_store::{
    AcquireRequest, Created, Enqueued, Grant, HeartbeatAnswer, MemoryStore, NewPlan, NewProject, NewStudy, NewToken,
    Page, PlanResult, ProjectRecord, Reaped, Requested, Store, StoreError, StoreNotice, StoreResult, StudyFilter,
    StudyPatch, StudyRows, TokenRecord, TrialFilter, TrialRows, WorkerHello,
};
use boxwood_study::{
    CurvePoint, Finish, FinishOutcome, LeaseKey, PlanNumber, PlanRecord, ProjectId, Report, ReportAnswer, StudyId,
    StudyRecord, Timestamp, TokenId, TrialId, TrialRecord, WorkerName, WorkerRecord,
};
use tokio::sync::broadcast;

/// A store of any engine.
#[derive(Debug, Clone)]
pub enum AnyStore {
    /// In memory: nothing survives the process. For tests and experiments.
    Memory(MemoryStore),
}

/// Calls the same method of the engine behind the enum.
macro_rules! each {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Memory($store) => $call,
        }
    };
}

macro_rules! delegate {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(async fn $name(&self, $($argument: $type),*) -> StoreResult<$answer> {
            each!(self, store => store.$name($($argument),*).await)
        })*
    };
}

impl AnyStore {
    /// Opens the database of a URL: `sqlite:PATH`, `postgres://...` or `memory:`.
    ///
    /// # Errors
    /// [`StoreError::Backend`] says what is wrong with the URL or the database.
    pub async fn open(url: &str) -> StoreResult<Self> {
        if url == "memory:" {
            return Ok(Self::Memory(MemoryStore::new()));
        }
        let scheme = url.split(':').next().unwrap_or_default();
        Err(StoreError::Backend {
            reason: format!("there is no database engine `{scheme}`; use `sqlite:PATH` or `postgres://...`"),
        })
    }
}

impl Store for AnyStore {
    fn notices(&self) -> broadcast::Receiver<StoreNotice> {
        each!(self, store => store.notices())
    }

    async fn token_by_hash(&self, hash: &str) -> StoreResult<Option<TokenRecord>> {
        each!(self, store => store.token_by_hash(hash).await)
    }

    async fn study_by_name(&self, project: ProjectId, name: &str) -> StoreResult<Option<StudyRecord>> {
        each!(self, store => store.study_by_name(project, name).await)
    }

    delegate! {
        migrate() -> ();
        now() -> Timestamp;
        create_project(new: NewProject) -> ProjectRecord;
        projects() -> Vec<ProjectRecord>;
        create_token(new: NewToken) -> TokenRecord;
        tokens() -> Vec<TokenRecord>;
        revoke_token(id: TokenId) -> ();
        create_study(new: Requested<NewStudy>) -> Created;
        study(id: StudyId) -> StudyRecord;
        studies(filter: StudyFilter) -> Page<StudyRecord>;
        patch_study(id: StudyId, patch: Requested<StudyPatch>) -> StudyRecord;
        rows_since(id: StudyId, since: Change) -> StudyRows;
        commit_plan(plan: NewPlan) -> PlanResult;
        plans(id: StudyId, from: PlanNumber, limit: u32) -> Vec<PlanRecord>;
        enqueue(id: StudyId, points: Requested<Vec<Point>>) -> Enqueued;
        acquire(request: Requested<AcquireRequest>) -> Vec<Grant>;
        heartbeat(hello: WorkerHello, keys: Vec<LeaseKey>) -> Vec<HeartbeatAnswer>;
        report(reports: Vec<(LeaseKey, Report)>) -> Vec<StoreResult<ReportAnswer>>;
        finish(key: LeaseKey, finish: Finish) -> FinishOutcome;
        reap(limit: u32) -> Reaped;
        trial(id: TrialId) -> TrialRows;
        trials(filter: TrialFilter) -> Page<TrialRecord>;
        curves(trials: Vec<TrialId>) -> Vec<CurvePoint>;
        cancel_trial(id: TrialId, reason: String) -> TrialRecord;
        retry_trial(id: TrialId) -> TrialRecord;
        workers(project: ProjectId) -> Vec<WorkerRecord>;
        drain_worker(project: ProjectId, name: WorkerName) -> ();
    }
}
