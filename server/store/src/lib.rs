//! Storage of studies: memory, SQLite and PostgreSQL behind one trait.
//!
//! Every method of [`Store`] is one transaction of use-case size. It loads the rows it needs under lock, asks
//! `boxwood-study` whether the transition is legal, writes and commits. Once a method has returned, what it wrote
//! survives the death of every process.

mod any;
mod apply;
mod error;
mod memory;
mod operation;
mod requests;
mod rows;
mod sql;
mod tables;
#[cfg(feature = "testing")]
pub mod testing;

pub use any::{AnyStore, connect};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use requests::{
    AcquireRequest, Created, Enqueued, Grant, HeartbeatAnswer, LeaseCommand, NewPlan, NewProject, NewStudy,
    NewToken, Page, PlanResult, ProjectRecord, Reaped, Requested, Role, StoreNotice, StudyFilter, StudyPatch,
    StudyRows, TokenRecord, TrialFilter, TrialOrder, TrialRows, WorkerHello,
};

pub use sql::{Durability, SqlStore};

use std::future::Future;

use boxwood_core::{Change, Point};
use boxwood_study::{
    CurvePoint, Finish, FinishOutcome, LeaseKey, PlanNumber, PlanRecord, ProjectId, Report, ReportAnswer,
    StudyId, StudyRecord, Timestamp, TokenId, TrialId, TrialRecord, WorkerName, WorkerRecord,
};
use tokio::sync::broadcast;

/// Result of a store method.
pub type StoreResult<T> = Result<T, StoreError>;

/// The only memory of a server.
///
/// Contract for every method: one transaction; safe to call from many tasks and many servers; times are the
/// database's; a mutating method that takes a [`Requested`] with an id may be repeated with the same id and payload and
/// returns the first answer ([`boxwood_study::Refusal::RequestConflict`] for another payload). Writes to an unknown id
/// give [`StoreError::NotFound`].
pub trait Store: Clone + Send + Sync + 'static {
    /// Brings the schema to the newest version. Called once before anything else; safe to repeat.
    fn migrate(&self) -> impl Future<Output = StoreResult<()>> + Send;

    /// The database's clock.
    fn now(&self) -> impl Future<Output = StoreResult<Timestamp>> + Send;

    /// Notices of changes, from this and (on PostgreSQL) every other server. May lag or drop; readers also poll.
    fn notices(&self) -> broadcast::Receiver<StoreNotice>;

    // Projects and tokens.

    /// Creates a project, or returns the one of that name. The project `default` exists after `migrate`.
    fn create_project(&self, new: NewProject) -> impl Future<Output = StoreResult<ProjectRecord>> + Send;
    /// Projects by name.
    fn projects(&self) -> impl Future<Output = StoreResult<Vec<ProjectRecord>>> + Send;
    /// Stores a token's hash.
    fn create_token(&self, new: NewToken) -> impl Future<Output = StoreResult<TokenRecord>> + Send;
    /// The token with this hash, unless revoked or expired.
    fn token_by_hash(&self, hash: &str) -> impl Future<Output = StoreResult<Option<TokenRecord>>> + Send;
    /// Tokens that are not revoked.
    fn tokens(&self) -> impl Future<Output = StoreResult<Vec<TokenRecord>>> + Send;
    /// Revokes a token.
    fn revoke_token(&self, id: TokenId) -> impl Future<Output = StoreResult<()>> + Send;

    // Studies.

    /// Creates a study. The same name with an equal specification hash returns the stored study; another one is
    /// [`boxwood_study::Refusal::StudyExists`].
    fn create_study(&self, new: Requested<NewStudy>) -> impl Future<Output = StoreResult<Created>> + Send;
    /// One study.
    fn study(&self, id: StudyId) -> impl Future<Output = StoreResult<StudyRecord>> + Send;
    /// One study by name.
    fn study_by_name(
        &self,
        project: ProjectId,
        name: &str,
    ) -> impl Future<Output = StoreResult<Option<StudyRecord>>> + Send;
    /// Studies of a project by falling id (seek pagination).
    fn studies(&self, filter: StudyFilter) -> impl Future<Output = StoreResult<Page<StudyRecord>>> + Send;
    /// Applies a patch: an event (pause, resume, cancel, complete), a new budget, the archive flag. Cancelling or completing
    /// a study ends its open trials: queued ones are cancelled, paused ones pruned, leased ones asked to stop.
    fn patch_study(
        &self,
        id: StudyId,
        patch: Requested<StudyPatch>,
    ) -> impl Future<Output = StoreResult<StudyRecord>> + Send;

    // Planning.

    /// The study, and its trials and curve points that changed after `since` (all for `Change(0)`), from one snapshot.
    fn rows_since(&self, id: StudyId, since: Change) -> impl Future<Output = StoreResult<StudyRows>> + Send;
    /// Commits a plan: creates queued trials and requeues resumed ones, in the order of the moves. `Conflict` when the
    /// study's plan number is not `number - 1`, or a resumed trial is no longer paused below that rung.
    fn commit_plan(&self, plan: NewPlan) -> impl Future<Output = StoreResult<PlanResult>> + Send;
    /// Committed plans from `from` on, by number, at most `limit`.
    fn plans(
        &self,
        id: StudyId,
        from: PlanNumber,
        limit: u32,
    ) -> impl Future<Output = StoreResult<Vec<PlanRecord>>> + Send;
    /// Adds points of a user to the front of the queue, under the study's duplicate policy.
    fn enqueue(
        &self,
        id: StudyId,
        points: Requested<Vec<Point>>,
    ) -> impl Future<Output = StoreResult<Enqueued>> + Send;

    // Data plane.

    /// Leases up to `slots` queued trials of active studies: user points first, resumed trials before new ones, then by
    /// number; by falling priority of the study, then fewest open leases. Repeating a request id returns the same grants.
    fn acquire(
        &self,
        request: Requested<AcquireRequest>,
    ) -> impl Future<Output = StoreResult<Vec<Grant>>> + Send;
    /// Renews leases of one worker and returns one answer per key, in order.
    fn heartbeat(
        &self,
        hello: WorkerHello,
        keys: Vec<LeaseKey>,
    ) -> impl Future<Output = StoreResult<Vec<HeartbeatAnswer>>> + Send;
    /// Stores reports, one answer each, in order; a refused one does not spoil the others. Equal repeats are accepted.
    fn report(
        &self,
        reports: Vec<(LeaseKey, Report)>,
    ) -> impl Future<Output = StoreResult<Vec<StoreResult<ReportAnswer>>>> + Send;
    /// Ends a lease. The first terminal result of a trial wins; a late one of a superseded epoch is accepted while the
    /// trial is open. Equal repeats get the first answer.
    fn finish(
        &self,
        key: LeaseKey,
        finish: Finish,
    ) -> impl Future<Output = StoreResult<FinishOutcome>> + Send;
    /// Returns expired leases to the queue, at most `limit`, and forgets old request ids.
    fn reap(&self, limit: u32) -> impl Future<Output = StoreResult<Reaped>> + Send;

    // Trials.

    /// One trial with its curve.
    fn trial(&self, id: TrialId) -> impl Future<Output = StoreResult<TrialRows>> + Send;
    /// Trials of a study (seek pagination).
    fn trials(&self, filter: TrialFilter) -> impl Future<Output = StoreResult<Page<TrialRecord>>> + Send;
    /// Curve points of several trials, by trial, epoch and step.
    fn curves(&self, trials: Vec<TrialId>) -> impl Future<Output = StoreResult<Vec<CurvePoint>>> + Send;
    /// Withdraws an open trial; a leased one is asked to stop and its late result is refused politely.
    fn cancel_trial(
        &self,
        id: TrialId,
        reason: String,
    ) -> impl Future<Output = StoreResult<TrialRecord>> + Send;
    /// Queues a failed trial again with fresh attempts.
    fn retry_trial(&self, id: TrialId) -> impl Future<Output = StoreResult<TrialRecord>> + Send;

    // Workers.

    /// Workers of a project seen in the last day.
    fn workers(&self, project: ProjectId) -> impl Future<Output = StoreResult<Vec<WorkerRecord>>> + Send;
    /// Asks a worker to drain.
    fn drain_worker(
        &self,
        project: ProjectId,
        name: WorkerName,
    ) -> impl Future<Output = StoreResult<()>> + Send;
}
