//! List workers and ask one to drain.

use boxwood_store::{Role, Store};
use boxwood_study::{ProjectId, WorkerName, WorkerRecord};

use crate::error::AppError;
use crate::hub::lock;
use crate::{App, Principal};

impl<S: Store> App<S> {
    /// Workers of a project seen in the last day.
    pub async fn workers(
        &self,
        caller: &Principal,
        project: ProjectId,
    ) -> Result<Vec<WorkerRecord>, AppError> {
        caller.require(Role::Viewer)?;
        if !caller.sees(project) {
            return Err(AppError::NotFound { what: "project" });
        }
        Ok(self.inner.store.workers(project).await?)
    }

    /// Asks a worker to finish what it runs, take nothing new and leave.
    pub async fn drain_worker(
        &self,
        caller: &Principal,
        project: ProjectId,
        name: WorkerName,
    ) -> Result<(), AppError> {
        caller.require(Role::Operator)?;
        if !caller.sees(project) {
            return Err(AppError::NotFound { what: "worker" });
        }
        self.inner.store.drain_worker(project, name.clone()).await?;
        lock(&self.inner.draining).workers.insert((project, name));
        Ok(())
    }
}
