//! One background task per client that keeps the leases of its trials alive and receives the server's commands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boxwood_wire::v1;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::model::Verdict;
use crate::retry::RetryPolicy;
use crate::transport::Transport;

/// What is known about a held lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signal {
    /// The server gave the trial to somebody else or closed it.
    pub(crate) lost: bool,
    /// Strongest command so far.
    pub(crate) command: Verdict,
}

type Key = (i64, u64);

#[derive(Debug)]
struct Held {
    lease_seconds: f64,
    signal: watch::Sender<Signal>,
}

/// Leases by trial and epoch. Shared by the client's trials (which add and remove) and the heartbeat task (which sends
/// them and writes the signals).
#[derive(Debug, Default)]
struct Leases {
    held: Mutex<BTreeMap<Key, Held>>,
    changed: Notify,
}

/// Handle of the task; dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Keeper {
    leases: Arc<Leases>,
    task: AbortHandle,
}

impl Keeper {
    /// Starts the task on the current runtime.
    pub(crate) fn start(transport: &Transport, hello: v1::WorkerHello) -> Self {
        let leases = Arc::new(Leases::default());
        let task = tokio::spawn(run(transport.clone(), hello, Arc::clone(&leases))).abort_handle();
        Self { leases, task }
    }

    /// Keeps a lease alive until it is removed.
    pub(crate) fn add(&self, key: Key, lease_seconds: f64) -> watch::Receiver<Signal> {
        let (signal, receiver) = watch::channel(Signal { lost: false, command: Verdict::Continue });
        self.leases.lock().insert(key, Held { lease_seconds, signal });
        self.leases.changed.notify_one();
        receiver
    }

    /// Lets a lease go.
    pub(crate) fn remove(&self, key: Key) {
        self.leases.lock().remove(&key);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Leases {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Held>> {
        // Every change under the lock is a single map operation: a panic elsewhere leaves it whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interval(&self) -> Option<Duration> {
        let shortest = self.lock().values().map(|held| held.lease_seconds).min_by(f64::total_cmp)?;
        Some(
            Duration::try_from_secs_f64(shortest / 3.0)
                .unwrap_or(MAX_INTERVAL)
                .clamp(MIN_INTERVAL, MAX_INTERVAL),
        )
    }

    fn apply(&self, statuses: Vec<v1::LeaseStatus>) {
        let mut held = self.lock();
        for status in statuses {
            let Some(key) = status.lease.map(|key| (key.trial, key.epoch)) else { continue };
            if !status.held {
                if let Some(lost) = held.remove(&key) {
                    lost.signal.send_modify(|signal| signal.lost = true);
                }
            } else if let (Some(entry), Ok(command)) = (held.get(&key), Verdict::from_wire(status.command)) {
                entry.signal.send_modify(|signal| signal.command = signal.command.max(command));
            }
        }
    }
}

const MIN_INTERVAL: Duration = Duration::from_millis(20);
const MAX_INTERVAL: Duration = Duration::from_mins(1);

async fn run(transport: Transport, hello: v1::WorkerHello, leases: Arc<Leases>) {
    let mut last_beat = Instant::now();
    loop {
        let Some(interval) = leases.interval() else {
            leases.changed.notified().await;
            last_beat = Instant::now();
            continue;
        };
        // A new lease may be shorter than the ones at hand: its arrival computes the wait anew, from the same start.
        tokio::select! {
            () = tokio::time::sleep_until(last_beat + interval) => {}
            () = leases.changed.notified() => continue,
        }
        last_beat = Instant::now();
        let keys: Vec<_> =
            leases.lock().keys().map(|&(trial, epoch)| v1::LeaseKey { trial, epoch }).collect();
        if keys.is_empty() {
            continue;
        }
        let attempt = interval.max(Duration::from_secs(1));
        let once = transport.with_retry(RetryPolicy { attempt, ..transport.retry() }.once());
        match once.heartbeat(v1::HeartbeatRequest { worker: Some(hello.clone()), leases: keys }).await {
            Ok(answer) => leases.apply(answer.leases),
            // The next beat tries again; whether the leases survived is then the server's word.
            Err(error) if error.is_unreachable() => tracing::debug!(%error, "send heartbeat"),
            Err(error) => tracing::warn!(%error, "send heartbeat"),
        }
    }
}
