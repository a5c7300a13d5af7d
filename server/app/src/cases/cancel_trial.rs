//! Withdraw an open trial.

use boxwood_store::{Role, Store};
use boxwood_study::{TrialId, TrialRecord};

use crate::error::AppError;
use crate::{App, Principal};

impl<S: Store> App<S> {
    /// Withdraws an open trial; the worker of a leased one is told with its next heartbeat.
    pub async fn cancel_trial(
        &self,
        caller: &Principal,
        id: TrialId,
        reason: String,
    ) -> Result<TrialRecord, AppError> {
        caller.require(Role::Operator)?;
        self.check_trial(caller, id).await?;
        let trial = self.inner.store.cancel_trial(id, reason).await?;
        self.touched(trial.study);
        Ok(trial)
    }
}
