//! Wait for points of one study and lease them: for scripts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use boxwood_core::Change;
use boxwood_store::{AcquireRequest, Grant, Requested, Role, Store, WorkerHello};
use boxwood_study::{Freshness, Refusal, StudyId, StudyState};
use tokio::time::Instant;

use crate::error::AppError;
use crate::hub::Hub;
use crate::{App, Principal};

/// Longest wait of one call.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How often a waiting call looks without being woken: another server may have queued something.
pub(crate) const POLL: Duration = Duration::from_secs(1);

/// What a suggest brings.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// Leased trials; empty when the wait was over first.
    pub grants: Vec<Grant>,
    /// The study has ended: no more points will come.
    pub closed: bool,
}

/// Shortest wait: a planner that is asked has to see the ask.
pub(crate) const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// A wait in seconds, within the shortest and the longest one.
pub(crate) fn wait_of(seconds: f64) -> Result<Duration, AppError> {
    if seconds.is_finite() && seconds >= 0.0 {
        Ok(Duration::from_secs_f64(seconds.min(LONGEST_WAIT.as_secs_f64())).max(SHORTEST_WAIT))
    } else {
        Err(AppError::invalid("wait_seconds", "it must be finite and not negative"))
    }
}

impl<S: Store> App<S> {
    /// Leases up to `count` trials of a study to the caller, waiting up to `wait_seconds` for a plan.
    ///
    /// Under `freshness = latest` a trial that was planned before a result that is known now is not handed out.
    pub async fn suggest(
        &self,
        caller: &Principal,
        study: StudyId,
        worker: WorkerHello,
        count: u32,
        wait_seconds: f64,
        request_id: Option<String>,
    ) -> Result<Suggestion, AppError> {
        caller.require(Role::Worker)?;
        self.check_study(caller, study).await?;
        self.check_worker(&worker, count, "count")?;
        if self.project_of(study).await? != worker.project {
            return Err(AppError::NotFound { what: "study" });
        }
        let deadline = Instant::now() + wait_of(wait_seconds)?;
        let hub = self.hub(study);
        let (floor, latest) = self.floor(&hub).await?;
        let request = AcquireRequest { worker, slots: count, study: Some(study) };
        let timeouts = hub.timeouts.load(Ordering::Acquire);
        let mut ready = hub.ready.subscribe();
        loop {
            ready.mark_unchanged();
            if !latest || self.is_fresh(&hub, floor).await? {
                let request = Requested { id: request_id.clone(), body: request.clone() };
                let grants = self.inner.store.acquire(request).await?;
                if !grants.is_empty() {
                    self.granted(&grants);
                    return Ok(Suggestion { grants, closed: false });
                }
            }
            if *self.inner.closing.borrow() {
                return Ok(Suggestion { grants: Vec::new(), closed: false });
            }
            let state = self.inner.store.study(study).await?.state;
            if matches!(state, StudyState::Completed | StudyState::Cancelled) {
                return Ok(Suggestion { grants: Vec::new(), closed: true });
            }
            let _ask = hub.ask(count);
            self.plan_soon(&hub);
            let next = deadline.min(Instant::now() + POLL);
            tokio::select! {
                _ = ready.changed() => {}
                () = tokio::time::sleep_until(next) => {}
            }
            if hub.timeouts.load(Ordering::Acquire) != timeouts {
                return Err(AppError::SolverTimeout { seconds: self.inner.settings.plan_deadline_seconds });
            }
            if Instant::now() >= deadline {
                return Ok(Suggestion { grants: Vec::new(), closed: false });
            }
        }
    }

    /// The newest result now, and whether it matters to this study's asks. A study whose solver is blind or whose asks
    /// are eager is not looked at again.
    async fn floor(&self, hub: &Arc<Hub>) -> Result<(Change, bool), AppError> {
        if hub.low_water.load(Ordering::Relaxed) != i64::MAX {
            return Ok((Change(0), false));
        }
        let seen = self.sync(hub).await?;
        let latest = seen.study.spec.freshness == Freshness::Latest && !seen.model.is_blind();
        Ok((seen.last_result, latest))
    }

    /// Whether no queued trial was planned before `floor`, or nothing better can be had.
    async fn is_fresh(&self, hub: &Hub, floor: Change) -> Result<bool, AppError> {
        if hub.accepted.load(Ordering::Acquire) >= floor.0 {
            return Ok(true);
        }
        let seen = self.sync(hub).await?;
        Ok(seen.queued_starts.iter().all(|start| start.change >= floor))
    }

    /// Notes what was leased.
    pub(crate) fn granted(&self, grants: &[Grant]) {
        self.inner.counters.add_leases(grants.len());
        for grant in grants {
            let hub = self.hub(grant.trial.study);
            hub.queued.fetch_sub(1, Ordering::Relaxed);
            hub.leased.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Refuses a worker that asks for nothing or for too much.
    pub(crate) fn check_worker(&self, worker: &WorkerHello, count: u32, field: &str) -> Result<(), AppError> {
        let limit = self.inner.settings.limits.open_leases_per_worker;
        if worker.name.0.trim().is_empty() || worker.name.0.len() > 200 {
            return Err(AppError::invalid("worker.name", "it must have 1 to 200 characters"));
        }
        if count == 0 {
            return Err(AppError::invalid(field, "it must be at least 1"));
        }
        if count > limit {
            return Err(Refusal::Limit { what: "open leases of one worker", limit: u64::from(limit) }.into());
        }
        Ok(())
    }
}
