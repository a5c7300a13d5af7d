//! Look at one study.

use boxwood_core::RungResult;
use boxwood_store::{Role, Store};
use boxwood_study::{ProjectId, StudyId, StudyRecord, TrialId, TrialRecord};

use crate::error::AppError;
use crate::{App, Principal};

/// The best feasible trial so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// The trial.
    pub trial: TrialRecord,
    /// Its result at the highest rung that any trial has reached.
    pub result: RungResult,
}

/// A study with its best trial.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyDetail {
    /// The study.
    pub study: StudyRecord,
    /// The best trial; absent before the first result.
    pub best: Option<Best>,
}

impl<S: Store> App<S> {
    /// One study by id.
    pub async fn study(&self, caller: &Principal, id: StudyId) -> Result<StudyDetail, AppError> {
        caller.require(Role::Viewer)?;
        self.check_study(caller, id).await?;
        self.detail(id).await
    }

    /// One study by name.
    pub async fn study_by_name(
        &self,
        caller: &Principal,
        project: ProjectId,
        name: &str,
    ) -> Result<StudyDetail, AppError> {
        caller.require(Role::Viewer)?;
        if !caller.sees(project) {
            return Err(AppError::NotFound { what: "study" });
        }
        let found = self.inner.store.study_by_name(project, name).await?;
        self.detail(found.ok_or(AppError::NotFound { what: "study" })?.id).await
    }

    async fn detail(&self, id: StudyId) -> Result<StudyDetail, AppError> {
        let hub = self.hub(id);
        let seen = self.sync(&hub).await?;
        let best = match seen.view.best() {
            Some((trial, result)) => {
                let rows = self.inner.store.trial(TrialId::of(id, trial.number.0)).await?;
                Some(Best { trial: rows.trial, result: result.clone() })
            }
            None => None,
        };
        Ok(StudyDetail { study: (*seen.study).clone(), best })
    }
}
