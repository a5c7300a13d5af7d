//! Queue a failed trial again.

use boxwood_store::{Role, Store};
use boxwood_study::{TrialId, TrialRecord};

use crate::error::AppError;
use crate::{App, Principal};

impl<S: Store> App<S> {
    /// Queues a failed trial again with fresh attempts.
    pub async fn retry_trial(&self, caller: &Principal, id: TrialId) -> Result<TrialRecord, AppError> {
        caller.require(Role::Operator)?;
        self.check_trial(caller, id).await?;
        let trial = self.inner.store.retry_trial(id).await?;
        self.touched(trial.study);
        Ok(trial)
    }
}
