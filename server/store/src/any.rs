//! A store chosen by URL.

use std::path::Path;

use boxwood_core::{Change, Point};
use boxwood_study::{
    CurvePoint, Finish, FinishOutcome, LeaseKey, PlanNumber, PlanRecord, ProjectId, Report, ReportAnswer,
    StudyId, StudyRecord, Timestamp, TokenId, TrialId, TrialRecord, WorkerName, WorkerRecord,
};
use tokio::sync::broadcast;

use crate::{
    AcquireRequest, Created, Durability, Enqueued, Grant, HeartbeatAnswer, MemoryStore, NewPlan, NewProject,
    NewStudy, NewToken, Page, PlanResult, ProjectRecord, Reaped, Requested, SqlStore, Store, StoreError,
    StoreNotice, StoreResult, StudyFilter, StudyPatch, StudyRows, TokenRecord, TrialFilter, TrialRows,
    WorkerHello,
};

/// A store of any engine.
#[derive(Debug, Clone)]
pub enum AnyStore {
    /// In memory.
    Memory(MemoryStore),
    /// SQLite or PostgreSQL.
    Sql(SqlStore),
}

/// Opens the store of a URL: `memory:`, `sqlite:PATH` (`sqlite:PATH?synchronous=normal` waits for the disk less often) or
/// `postgres://...`. The schema is brought up to date by [`Store::migrate`].
///
/// # Errors
/// [`StoreError::Backend`] with a text for the operator: an unknown scheme, a file that another server has open, a
/// PostgreSQL that does not answer.
pub async fn connect(url: &str) -> StoreResult<AnyStore> {
    if url == "memory:" {
        return Ok(AnyStore::Memory(MemoryStore::new()));
    }
    if let Some(rest) = url.strip_prefix("sqlite:") {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.strip_prefix("//").unwrap_or(path);
        let durability = match query {
            "" | "synchronous=full" => Durability::Full,
            "synchronous=normal" => Durability::Normal,
            other => {
                return Err(StoreError::Backend {
                    reason: format!(
                        "`{other}` is not an option of a SQLite URL; known is synchronous=full|normal"
                    ),
                });
            }
        };
        if path.is_empty() {
            return Err(StoreError::Backend { reason: "the SQLite URL names no file".into() });
        }
        return SqlStore::open_sqlite(Path::new(path), durability).await.map(AnyStore::Sql);
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return SqlStore::open_postgres(url).await.map(AnyStore::Sql);
    }
    let scheme = url.split(':').next().unwrap_or_default();
    Err(StoreError::Backend {
        reason: format!(
            "`{scheme}` is not a known kind of store; use memory:, sqlite:PATH or postgres://..."
        ),
    })
}

impl AnyStore {
    /// Closes the database and gives up the lock on its file. Every later call answers [`StoreError::Busy`].
    pub async fn close(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Sql(store) => store.close().await,
        }
    }
}

/// Hands every method to the store inside.
macro_rules! delegate {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)+) => {
        impl Store for AnyStore {
            fn notices(&self) -> broadcast::Receiver<StoreNotice> {
                match self {
                    Self::Memory(store) => store.notices(),
                    Self::Sql(store) => store.notices(),
                }
            }

            $(async fn $name(&self, $($argument: $kind),*) -> StoreResult<$answer> {
                match self {
                    Self::Memory(store) => store.$name($($argument),*).await,
                    Self::Sql(store) => store.$name($($argument),*).await,
                }
            })+
        }
    };
}

delegate! {
    migrate() -> ();
    now() -> Timestamp;
    create_project(new: NewProject) -> ProjectRecord;
    projects() -> Vec<ProjectRecord>;
    create_token(new: NewToken) -> TokenRecord;
    token_by_hash(hash: &str) -> Option<TokenRecord>;
    tokens() -> Vec<TokenRecord>;
    revoke_token(id: TokenId) -> ();
    create_study(new: Requested<NewStudy>) -> Created;
    study(id: StudyId) -> StudyRecord;
    study_by_name(project: ProjectId, name: &str) -> Option<StudyRecord>;
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
