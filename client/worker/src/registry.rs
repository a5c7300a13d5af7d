//! The leases of a worker and what the server has said about each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use boxwood_client::Verdict;
use boxwood_wire::v1;
use tokio::sync::{Notify, watch};

use crate::shutdown::Leave;

/// Trial and epoch.
pub(crate) type Key = (i64, u64);

pub(crate) fn wire_key(key: Key) -> v1::LeaseKey {
    v1::LeaseKey { trial: key.0, epoch: key.1 }
}

/// What a running trial is told. Every field only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Strongest verdict so far.
    pub(crate) verdict: Verdict,
    /// The lease is lost: kill the child, discard the work.
    pub(crate) lost: bool,
    /// The worker leaves.
    pub(crate) leave: Leave,
}

#[derive(Debug)]
struct Entry {
    lease_seconds: f64,
    orders: watch::Sender<Orders>,
}

/// Leases from their grant until their finish is acknowledged. Written by the acquire loop (adds), the outbox (answers,
/// removes), the heartbeat task and the shutdown switch (orders); read by the heartbeat task and each running trial.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    entries: Mutex<BTreeMap<Key, Entry>>,
    pub(crate) changed: Notify,
}

impl Registry {
    pub(crate) fn add(&self, key: Key, lease_seconds: f64) -> watch::Receiver<Orders> {
        let (orders, receiver) =
            watch::channel(Orders { verdict: Verdict::Continue, lost: false, leave: Leave::Stay });
        self.lock().insert(key, Entry { lease_seconds, orders });
        self.changed.notify_waiters();
        receiver
    }

    pub(crate) fn remove(&self, key: Key) {
        self.lock().remove(&key);
        self.changed.notify_waiters();
    }

    pub(crate) fn lose(&self, key: Key) {
        self.tell(key, |orders| orders.lost = true);
    }

    pub(crate) fn command(&self, key: Key, verdict: Verdict) {
        self.tell(key, |orders| orders.verdict = orders.verdict.max(verdict));
    }

    pub(crate) fn leave(&self, leave: Leave) {
        for entry in self.lock().values() {
            entry.orders.send_modify(|orders| orders.leave = orders.leave.max(leave));
        }
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.lock().keys().copied().collect()
    }

    /// A third of the shortest lease.
    pub(crate) fn heartbeat_interval(&self) -> Option<Duration> {
        let shortest = self.lock().values().map(|entry| entry.lease_seconds).min_by(f64::total_cmp)?;
        Duration::try_from_secs_f64(shortest / 3.0).ok()
    }

    fn tell(&self, key: Key, change: impl FnOnce(&mut Orders)) {
        if let Some(entry) = self.lock().get(&key) {
            entry.orders.send_modify(change);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        // Every change under the lock is a single map operation: a panic elsewhere leaves it whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
