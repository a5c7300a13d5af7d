//! Use cases, planner, reaper and change feed. Names no database and no status code.
//!
//! [`App`] is what the front ends call: one method per use case, each in its own file under `cases`. It is generic over
//! the [`Store`], which is the only memory: whatever an `App` holds can be dropped at any time and is built again.

mod cases;
mod counters;
mod error;
mod history;
mod hub;
mod model;
mod planner;
mod principal;
mod reaper;
mod settings;
mod snapshot;

pub use cases::{
    Analysis, AnalysisKind, AnalysisRequest, ArmSummary, Best, Explanation, FeedItem, HeartbeatReply,
    IssuedToken, ListStudies, ListTrials, NewTokenRequest, PlanSummary, ReplayReport, StudyDetail,
    Suggestion, UpdateStudy,
};
pub use counters::{Counters, Counts};
pub use error::{AppError, role_by_name, role_name};
pub use model::Model;
pub use principal::Principal;
pub use settings::{Limits, Settings};

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use boxwood_store::{Store, StoreNotice, StudyFilter};
use boxwood_study::{ProjectId, StudyId, StudySpec, StudyState, TrialId, TrialState, WorkerName};
use tokio::sync::{Semaphore, broadcast, watch};

use crate::cases::TokenCache;
use crate::hub::{Hub, WaitingWorker, lock};
use crate::snapshot::{Seen, Snapshot};

/// Builds the model of a study; tests put their own solvers here.
pub type ModelBuilder = dyn Fn(&StudySpec) -> Result<Model, AppError> + Send + Sync;

/// The use cases of a server over one store. Clones share everything.
pub struct App<S> {
    pub(crate) inner: Arc<Inner<S>>,
}

impl<S> Clone for App<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S> std::fmt::Debug for App<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("App").finish_non_exhaustive()
    }
}

/// What all clones share.
pub(crate) struct Inner<S> {
    pub(crate) store: S,
    pub(crate) settings: Settings,
    pub(crate) counters: Counters,
    pub(crate) build: Box<ModelBuilder>,
    /// Studies in memory, by id.
    hubs: Mutex<HashMap<StudyId, Arc<Hub>>>,
    /// Project of each study: never changes.
    projects: Mutex<HashMap<StudyId, ProjectId>>,
    /// Project ids by name.
    pub(crate) project_names: Mutex<HashMap<String, ProjectId>>,
    /// Workers that wait for a trial of any study, by registration.
    pub(crate) waiting: Mutex<HashMap<u64, WaitingWorker>>,
    /// Bumped when a trial of any study may be leased.
    pub(crate) ready: watch::Sender<u64>,
    /// True once the server is closing: long polls return, tasks end.
    pub(crate) closing: watch::Sender<bool>,
    /// Places for plans that are computed at once.
    pub(crate) pool: Arc<Semaphore>,
    /// The turn of one analysis: looking at a study holds up no plan.
    pub(crate) analyses: Arc<Semaphore>,
    /// Tokens seen in the last seconds.
    pub(crate) tokens: TokenCache,
    /// Reports of running trials, for the limit.
    pub(crate) reports: Mutex<HashMap<TrialId, u64>>,
    /// Projects whose workers sent a heartbeat lately, and the workers that drain.
    pub(crate) draining: Mutex<Draining>,
}

/// Which workers have been asked to leave.
#[derive(Debug, Default)]
pub(crate) struct Draining {
    pub(crate) projects: BTreeSet<ProjectId>,
    pub(crate) workers: BTreeSet<(ProjectId, WorkerName)>,
}

impl<S: Store> App<S> {
    /// An app over a migrated store. [`App::start`] begins its background work.
    pub fn new(store: S, settings: Settings) -> Self {
        Self::with_models(store, settings, Box::new(Model::new))
    }

    /// The same with another way to build models: for tests with scripted solvers.
    pub fn with_models(store: S, settings: Settings, build: Box<ModelBuilder>) -> Self {
        let pool = Arc::new(Semaphore::new(settings.planners.max(1)));
        Self {
            inner: Arc::new(Inner {
                store,
                settings,
                counters: Counters::default(),
                build,
                hubs: Mutex::default(),
                projects: Mutex::default(),
                project_names: Mutex::default(),
                waiting: Mutex::default(),
                ready: watch::Sender::new(0),
                closing: watch::Sender::new(false),
                pool,
                analyses: Arc::new(Semaphore::new(1)),
                tokens: TokenCache::default(),
                reports: Mutex::default(),
                draining: Mutex::default(),
            }),
        }
    }

    /// Starts the background tasks on the current runtime: the listener for notices, the reaper, and a planner for each
    /// active study.
    pub async fn start(&self) -> Result<(), AppError> {
        let notices = self.inner.store.notices();
        tokio::spawn(listen(self.clone(), notices));
        tokio::spawn(reaper::run(self.clone()));
        self.wake_active().await
    }

    /// Ends the background tasks and lets long polls return. The store stays open for calls in flight.
    pub fn close(&self) {
        self.inner.closing.send_replace(true);
        self.inner.ready.send_modify(|version| *version += 1);
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Whether the store answers.
    pub async fn is_ready(&self) -> bool {
        !*self.inner.closing.borrow() && self.inner.store.now().await.is_ok()
    }

    /// Tells `observer` the seconds of each plan that is committed from now on. Only the first observer is kept.
    pub fn observe_plans(&self, observer: Box<dyn Fn(f64) + Send + Sync>) {
        self.inner.counters.observe(counters::PlanObserver(observer));
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        let mut counts = self.inner.counters.counts();
        for hub in lock(&self.inner.hubs).values().filter(|hub| hub.planning.load(Ordering::Relaxed)) {
            counts.planning += 1;
            counts.queued += hub.queued.load(Ordering::Relaxed).max(0) as u64;
            counts.leased += hub.leased.load(Ordering::Relaxed).max(0) as u64;
        }
        counts
    }

    /// The study in memory.
    pub(crate) fn hub(&self, study: StudyId) -> Arc<Hub> {
        let hub =
            Arc::clone(lock(&self.inner.hubs).entry(study).or_insert_with(|| Arc::new(Hub::new(study))));
        *lock(&hub.used) = std::time::Instant::now();
        hub
    }

    pub(crate) fn hubs(&self) -> Vec<Arc<Hub>> {
        lock(&self.inner.hubs).values().cloned().collect()
    }

    /// Forgets studies that nobody uses.
    pub(crate) fn drop_idle(&self, older_than: std::time::Duration) {
        lock(&self.inner.hubs).retain(|_, hub| {
            let unused = Arc::strong_count(hub) == 1 && hub.is_idle();
            !unused || hub.changed.receiver_count() > 0 || lock(&hub.used).elapsed() < older_than
        });
    }

    /// Tells workers that wait for any study to look again.
    pub(crate) fn announce_to_workers(&self) {
        self.inner.ready.send_modify(|version| *version += 1);
    }

    /// Something in a study changed by a call of this server.
    pub(crate) fn touched(&self, study: StudyId) {
        let hub = self.hub(study);
        hub.changed.send_modify(|version| *version += 1);
        self.plan_soon(&hub);
    }

    /// Brings the cached snapshot up to date and returns what a planner reads.
    pub(crate) async fn sync(&self, hub: &Hub) -> Result<Seen, AppError> {
        let mut cache = hub.cache.lock().await;
        let since = cache.as_ref().map_or_else(Default::default, Snapshot::change);
        let rows = self.inner.store.rows_since(hub.study, since).await?;
        let result = match cache.as_mut() {
            Some(snapshot) if snapshot.outgrown_by(&rows) => {
                (self.inner.build)(&rows.study.spec).and_then(|model| snapshot.apply(rows, Some(model)))
            }
            Some(snapshot) => snapshot.apply(rows, None),
            None => (self.inner.build)(&rows.study.spec)
                .and_then(|model| Snapshot::new(model, rows))
                .map(|snapshot| *cache = Some(snapshot)),
        };
        if let Err(error) = result {
            *cache = None;
            return Err(error);
        }
        let seen = cache.as_ref().map(Snapshot::seen).expect("the snapshot was made above");
        hub.queued.store(seen.count(TrialState::Queued) as i64, Ordering::Relaxed);
        hub.leased.store(seen.count(TrialState::Leased) as i64, Ordering::Relaxed);
        hub.judged_steps.get_or_init(|| {
            let rungs = seen.model.problem().ladder().rungs();
            if seen.model.is_blind() { Vec::new() } else { rungs.map(|(_, resource)| resource.0).collect() }
        });
        let milliseconds = (seen.study.spec.lease_seconds * 1e3) as u64;
        hub.lease_milliseconds.store(milliseconds, Ordering::Relaxed);
        Ok(seen)
    }

    /// Project of a study.
    pub(crate) async fn project_of(&self, study: StudyId) -> Result<ProjectId, AppError> {
        if let Some(project) = lock(&self.inner.projects).get(&study) {
            return Ok(*project);
        }
        let project = self.inner.store.study(study).await?.project;
        lock(&self.inner.projects).insert(study, project);
        Ok(project)
    }

    /// Refuses a study of another project as if it were not there.
    pub(crate) async fn check_study(&self, caller: &Principal, study: StudyId) -> Result<(), AppError> {
        if caller.project.is_none() || caller.sees(self.project_of(study).await?) {
            Ok(())
        } else {
            Err(AppError::NotFound { what: "study" })
        }
    }

    /// Refuses a trial of another project as if it were not there.
    pub(crate) async fn check_trial(&self, caller: &Principal, trial: TrialId) -> Result<(), AppError> {
        if caller.project.is_none() {
            return Ok(());
        }
        match self.check_study(caller, trial.study()).await {
            Err(AppError::NotFound { .. }) => Err(AppError::NotFound { what: "trial" }),
            other => other,
        }
    }

    /// Wakes the planner of every active study.
    async fn wake_active(&self) -> Result<(), AppError> {
        for project in self.inner.store.projects().await? {
            let mut filter = StudyFilter {
                project: project.id,
                states: vec![StudyState::Active],
                name_contains: None,
                archived: true,
                before: None,
                limit: 500,
            };
            loop {
                let page = self.inner.store.studies(filter.clone()).await?;
                filter.before = page.items.last().map(|study| study.id);
                for study in page.items {
                    self.touched(study.id);
                }
                if !page.more || filter.before.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Turns the store's notices into wake-ups.
async fn listen<S: Store>(app: App<S>, mut notices: broadcast::Receiver<StoreNotice>) {
    let mut closing = app.inner.closing.subscribe();
    loop {
        let notice = tokio::select! {
            notice = notices.recv() => notice,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match notice {
            Ok(StoreNotice::Study(study)) => {
                let hub = app.hub(study);
                hub.changed.send_modify(|version| *version += 1);
                let short = hub.queued.load(Ordering::Relaxed) < hub.low_water.load(Ordering::Relaxed);
                if short || !hub.asks().is_empty() {
                    app.plan_soon(&hub);
                }
            }
            Ok(StoreNotice::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => {
                if let Err(error) = app.wake_active().await {
                    tracing::warn!(%error, "cannot list active studies after missed notices");
                }
                for hub in app.hubs() {
                    hub.changed.send_modify(|version| *version += 1);
                }
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
