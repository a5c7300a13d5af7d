//! Counts of what the planner and the reaper did since the start, for metrics.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Told the seconds of each committed plan.
pub(crate) struct PlanObserver(pub(crate) Box<dyn Fn(f64) + Send + Sync>);

impl std::fmt::Debug for PlanObserver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PlanObserver")
    }
}

/// Counts since the start; each number only rises.
#[derive(Debug, Default)]
pub struct Counters {
    plans: AtomicU64,
    moves: AtomicU64,
    conflicts: AtomicU64,
    failed: AtomicU64,
    /// Told the seconds of each committed plan.
    on_plan: OnceLock<PlanObserver>,
    leases: AtomicU64,
    reports: AtomicU64,
    finishes: AtomicU64,
    reaped: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Committed plans.
    pub plans: u64,
    /// Moves of committed plans.
    pub moves: u64,
    /// Plans thrown away because another came first.
    pub conflicts: u64,
    /// Plans that were not made: a deadline, a fault of a solver.
    pub failed: u64,
    /// Granted leases.
    pub leases: u64,
    /// Accepted reports.
    pub reports: u64,
    /// Accepted ends of leases.
    pub finishes: u64,
    /// Leases that ran out.
    pub reaped: u64,
    /// Queued trials of the studies that this server plans for.
    pub queued: u64,
    /// Leased trials of the same studies.
    pub leased: u64,
    /// Studies that this server plans for.
    pub planning: u64,
}

impl Counters {
    pub(crate) fn add_plan(&self, moves: u64, seconds: f64) {
        self.plans.fetch_add(1, Ordering::Relaxed);
        self.moves.fetch_add(moves, Ordering::Relaxed);
        if let Some(observer) = self.on_plan.get() {
            (observer.0)(seconds);
        }
    }

    pub(crate) fn observe(&self, observer: PlanObserver) {
        // The first observer stays.
        let _ = self.on_plan.set(observer);
    }

    pub(crate) fn add_conflict(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_leases(&self, count: usize) {
        self.leases.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_reports(&self, count: usize) {
        self.reports.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_finish(&self) {
        self.finishes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_reaped(&self, count: usize) {
        self.reaped.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            plans: get(&self.plans),
            moves: get(&self.moves),
            conflicts: get(&self.conflicts),
            failed: get(&self.failed),
            leases: get(&self.leases),
            reports: get(&self.reports),
            finishes: get(&self.finishes),
            reaped: get(&self.reaped),
            ..Counts::default()
        }
    }
}
