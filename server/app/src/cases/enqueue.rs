//! Add points of a person to the front of the queue.

use boxwood_core::Point;
use boxwood_store::{Requested, Role, Store};
use boxwood_study::{Refusal, StudyId, TrialRecord};

use crate::error::AppError;
use crate::{App, Principal};

impl<S: Store> App<S> {
    /// Adds points under the study's duplicate policy; the trials come back in their order.
    ///
    /// # Errors
    /// `Invalid` names the point and the parameter that is wrong.
    pub async fn enqueue(
        &self,
        caller: &Principal,
        study: StudyId,
        points: Vec<Point>,
        request_id: Option<String>,
    ) -> Result<Vec<TrialRecord>, AppError> {
        caller.require(Role::Operator)?;
        self.check_study(caller, study).await?;
        if points.is_empty() {
            return Err(AppError::invalid("points", "at least one point is required"));
        }
        let most = self.inner.settings.limits.page as usize;
        if points.len() > most {
            return Err(Refusal::Limit { what: "points of one request", limit: most as u64 }.into());
        }
        self.check_room(study, points.len()).await?;
        let enqueued = self.inner.store.enqueue(study, Requested { id: request_id, body: points }).await?;
        self.touched(study);
        Ok(enqueued.trials)
    }

    /// Refuses new trials beyond the server's limit.
    async fn check_room(&self, study: StudyId, count: usize) -> Result<(), AppError> {
        let limit = self.inner.settings.limits.trials_per_study;
        let trials = u64::from(self.inner.store.study(study).await?.trials);
        if trials + count as u64 <= limit {
            Ok(())
        } else {
            Err(Refusal::Limit { what: "trials of one study", limit }.into())
        }
    }
}
