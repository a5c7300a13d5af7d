//! Look at one trial with its curve.

use boxwood_store::{Role, Store, TrialRows};
use boxwood_study::TrialId;

use crate::error::AppError;
use crate::{App, Principal};

impl<S: Store> App<S> {
    /// One trial with its curve.
    pub async fn trial(&self, caller: &Principal, id: TrialId) -> Result<TrialRows, AppError> {
        caller.require(Role::Viewer)?;
        self.check_trial(caller, id).await?;
        Ok(self.inner.store.trial(id).await?)
    }
}
