//! Pause, resume, cancel or archive a study; change its budget and stop rules.

use boxwood_store::{Requested, Role, Store, StudyPatch};
use boxwood_study::{Budget, StopPatch, StudyEvent, StudyId, StudyRecord};

use crate::error::AppError;
use crate::{App, Principal};

/// A change of a study by a person; absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdateStudy {
    /// Pause, resume or cancel.
    pub event: Option<StudyEvent>,
    /// Why, for people.
    pub reason: Option<String>,
    /// New budget in full.
    pub budget: Option<Budget>,
    /// Stop rules to set or clear.
    pub stop: Option<StopPatch>,
    /// New archive flag.
    pub archived: Option<bool>,
}

impl<S: Store> App<S> {
    /// Applies a change to a study.
    pub async fn update_study(
        &self,
        caller: &Principal,
        id: StudyId,
        update: UpdateStudy,
        request_id: Option<String>,
    ) -> Result<StudyRecord, AppError> {
        caller.require(Role::Operator)?;
        self.check_study(caller, id).await?;
        if update == UpdateStudy::default() {
            return Err(AppError::invalid("action", "the request changes nothing"));
        }
        let UpdateStudy { event, reason, budget, stop, archived } = update;
        if budget.is_some() || stop.is_some() {
            let mut spec = self.inner.store.study(id).await?.spec;
            spec.budget = budget.clone().unwrap_or(spec.budget);
            spec.stop = stop.as_ref().map_or_else(|| spec.stop.clone(), |stop| stop.apply(&spec.stop));
            (self.inner.build)(&spec)?.check_stop()?;
        }
        let patch = StudyPatch { event, reason, budget, stop, archived, ..StudyPatch::default() };
        let study = self.inner.store.patch_study(id, Requested { id: request_id, body: patch }).await?;
        self.touched(id);
        Ok(study)
    }
}
