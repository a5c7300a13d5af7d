//! Create a study, or find the one of that name with an equal specification.

mod sources;

use boxwood_store::{Created, NewStudy, Requested, Role, Store};
use boxwood_study::{ProjectId, StudySpec};

use crate::error::AppError;
use crate::{App, Principal};

impl<S: Store> App<S> {
    /// Freezes the results of the studies that it learns from, checks a specification, asks its solver whether it can
    /// serve it and feed its stop rules, and creates the study.
    ///
    /// # Errors
    /// The first field that is wrong; `StudyExists` when the name is taken by another specification.
    pub async fn create_study(
        &self,
        caller: &Principal,
        project: ProjectId,
        spec: StudySpec,
        request_id: Option<String>,
    ) -> Result<Created, AppError> {
        caller.require(Role::Operator)?;
        let spec = self.with_sources(project, spec).await?;
        let model = (self.inner.build)(&spec)?;
        model.check_stop()?;
        let study = (*model.checked).clone();
        let new = Requested { id: request_id, body: NewStudy { project, study } };
        let created = self.inner.store.create_study(new).await?;
        self.touched(created.study.id);
        Ok(created)
    }
}
