//! What a server keeps in memory for one study: its cached snapshot, who waits for it, how to wake them.
//!
//! Nothing here is needed to go on after a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use boxwood_study::{ProjectId, StudyId, StudySpec};
use tokio::sync::{Notify, watch};

use crate::snapshot::Snapshot;

/// Locks a mutex whose data stays whole even when a holder panicked: every critical section here is one statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One study in memory.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) study: StudyId,
    /// Bumped when queued trials may be there or the study may have ended; waiting asks look again.
    pub(crate) ready: watch::Sender<u64>,
    /// Bumped at each notice; change feeds look again.
    pub(crate) changed: watch::Sender<u64>,
    /// Wakes the planner; only the planner's task waits on it.
    pub(crate) wake: Notify,
    /// Set with each wake; a planner that ends looks at it once more.
    pub(crate) woken: AtomicBool,
    /// Whether a planner's task runs.
    pub(crate) planning: AtomicBool,
    /// The cached view. Held while rows are read from the store, never while a plan is computed.
    pub(crate) cache: tokio::sync::Mutex<Option<Snapshot>>,
    /// Asks that wait now, by registration: number of trials wanted.
    asks: Mutex<HashMap<u64, u32>>,
    /// Queued trials as last seen, less those leased through this server since.
    pub(crate) queued: AtomicI64,
    /// Leased trials as last seen.
    pub(crate) leased: AtomicI64,
    /// Notices wake the planner only while fewer trials than this are queued; `i64::MAX` wakes it always.
    pub(crate) low_water: AtomicI64,
    /// Newest result up to which queued trials are as fresh as the solver can make them.
    pub(crate) accepted: AtomicU64,
    /// Why the last plan was not made, for asks that wait and for people.
    pub(crate) trouble: Mutex<Option<Trouble>>,
    /// Plans given up at their deadline: an ask that sees this rise while it waits is told so.
    pub(crate) timeouts: AtomicU64,
    /// Steps at which the study's solver judges running trials; known after the first look at the study.
    pub(crate) judged_steps: std::sync::OnceLock<Vec<u64>>,
    /// Length of the study's leases, in milliseconds; 0 before it is known.
    pub(crate) lease_milliseconds: AtomicU64,
    /// Last use, for dropping the caches of idle studies.
    pub(crate) used: Mutex<std::time::Instant>,
}

/// Why no plan was made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trouble {
    /// It took too long.
    Timeout {
        /// The deadline.
        seconds: f64,
    },
    /// The solver has nothing until a pending trial reports.
    Waiting,
    /// The solver has nothing more, ever.
    Exhausted(String),
}

/// Numbers registrations of asks and of workers.
static REGISTRATIONS: AtomicU64 = AtomicU64::new(1);

/// A number that no other registration of this process has.
pub(crate) fn next_registration() -> u64 {
    REGISTRATIONS.fetch_add(1, Ordering::Relaxed)
}

impl Hub {
    pub(crate) fn new(study: StudyId) -> Self {
        Self {
            study,
            ready: watch::Sender::new(0),
            changed: watch::Sender::new(0),
            wake: Notify::new(),
            woken: AtomicBool::new(false),
            planning: AtomicBool::new(false),
            cache: tokio::sync::Mutex::new(None),
            asks: Mutex::new(HashMap::new()),
            queued: AtomicI64::new(0),
            leased: AtomicI64::new(0),
            low_water: AtomicI64::new(i64::MAX),
            accepted: AtomicU64::new(0),
            trouble: Mutex::new(None),
            timeouts: AtomicU64::new(0),
            judged_steps: std::sync::OnceLock::new(),
            lease_milliseconds: AtomicU64::new(0),
            used: Mutex::new(std::time::Instant::now()),
        }
    }

    /// Tells waiting asks to look again.
    pub(crate) fn announce(&self) {
        self.ready.send_modify(|version| *version += 1);
    }

    /// Registers an ask that waits; the registration ends when the guard is dropped.
    pub(crate) fn ask(&self, count: u32) -> AskGuard<'_> {
        let id = next_registration();
        lock(&self.asks).insert(id, count);
        AskGuard { hub: self, id }
    }

    /// Asks that wait now.
    pub(crate) fn asks(&self) -> BTreeMap<u64, u32> {
        lock(&self.asks).iter().map(|(id, count)| (*id, *count)).collect()
    }

    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.asks).is_empty() && !self.planning.load(Ordering::Acquire)
    }
}

/// A waiting ask.
pub(crate) struct AskGuard<'a> {
    hub: &'a Hub,
    id: u64,
}

impl Drop for AskGuard<'_> {
    fn drop(&mut self) {
        lock(&self.hub.asks).remove(&self.id);
    }
}

/// A worker that waits for a trial of any study that fits.
#[derive(Debug, Clone)]
pub(crate) struct WaitingWorker {
    pub(crate) project: ProjectId,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) programs: Vec<String>,
    pub(crate) slots: u32,
}

impl WaitingWorker {
    /// Whether it could run trials of this study.
    pub(crate) fn fits(&self, project: ProjectId, spec: &StudySpec) -> bool {
        let program = spec.program.as_ref().is_some_and(|program| self.programs.contains(&program.name));
        let labels = spec.requires.iter().all(|(label, value)| self.labels.get(label) == Some(value));
        self.project == project && program && labels
    }
}
