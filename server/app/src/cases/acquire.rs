//! Wait for trials of any study that fits a worker.

use boxwood_store::{AcquireRequest, Grant, Requested, Role, Store, WorkerHello};
use tokio::time::Instant;

use super::suggest::{POLL, wait_of};
use crate::error::AppError;
use crate::hub::{WaitingWorker, lock, next_registration};
use crate::{App, Principal};

/// A worker that waits; the registration ends when it is dropped.
struct WorkerGuard<'a, S: Store> {
    app: &'a App<S>,
    id: u64,
}

impl<S: Store> Drop for WorkerGuard<'_, S> {
    fn drop(&mut self) {
        lock(&self.app.inner.waiting).remove(&self.id);
    }
}

impl<S: Store> App<S> {
    /// Leases up to `slots` trials of any study whose program and labels fit, waiting up to `wait_seconds`.
    pub async fn acquire(
        &self,
        caller: &Principal,
        worker: WorkerHello,
        slots: u32,
        wait_seconds: f64,
        request_id: Option<String>,
    ) -> Result<Vec<Grant>, AppError> {
        caller.require(Role::Worker)?;
        self.check_worker(&worker, slots, "slots")?;
        let deadline = Instant::now() + wait_of(wait_seconds)?;
        let waiting = WaitingWorker {
            project: worker.project,
            labels: worker.labels.clone(),
            programs: worker.programs.clone(),
            slots,
        };
        let request = AcquireRequest { worker, slots, study: None };
        let mut ready = self.inner.ready.subscribe();
        loop {
            ready.mark_unchanged();
            let request = Requested { id: request_id.clone(), body: request.clone() };
            let grants = self.inner.store.acquire(request).await?;
            if !grants.is_empty() {
                self.granted(&grants);
                return Ok(grants);
            }
            if *self.inner.closing.borrow() || Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            let _guard = self.wait_as_worker(waiting.clone());
            let next = deadline.min(Instant::now() + POLL);
            tokio::select! {
                _ = ready.changed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    fn wait_as_worker(&self, waiting: WaitingWorker) -> WorkerGuard<'_, S> {
        let id = next_registration();
        lock(&self.inner.waiting).insert(id, waiting);
        for hub in self.hubs() {
            if hub.planning.load(std::sync::atomic::Ordering::Acquire) {
                self.plan_soon(&hub);
            }
        }
        WorkerGuard { app: self, id }
    }
}
