//! End a lease.

use boxwood_store::{Role, Store};
use boxwood_study::{Finish, FinishOutcome, LeaseKey, Refusal};

use crate::error::AppError;
use crate::hub::lock;
use crate::{App, Principal};

impl<S: Store> App<S> {
    /// Ends a lease. The first terminal result of a trial wins; a later one is answered politely.
    pub async fn finish(
        &self,
        caller: &Principal,
        key: LeaseKey,
        finish: Finish,
    ) -> Result<FinishOutcome, AppError> {
        caller.require(Role::Worker)?;
        self.check_trial(caller, key.trial).await?;
        if let Some(result) = &finish.result {
            result.metrics.check().map_err(|(metric, _)| Refusal::NotFinite { metric })?;
        }
        let outcome = self.inner.store.finish(key, finish).await?;
        lock(&self.inner.reports).remove(&key.trial);
        if outcome.accepted {
            self.inner.counters.add_finish();
        }
        self.ended(key.trial.study());
        Ok(outcome)
    }

    /// Wakes the planner after a result, where it has anything to do with it.
    fn ended(&self, study: boxwood_study::StudyId) {
        let hub = self.hub(study);
        let ordering = std::sync::atomic::Ordering::Relaxed;
        hub.leased.fetch_sub(1, ordering);
        if hub.queued.load(ordering) < hub.low_water.load(ordering) {
            self.plan_soon(&hub);
        }
    }
}
