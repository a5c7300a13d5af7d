//! Renew leases; the answer is the control channel.

use boxwood_store::{HeartbeatAnswer, Role, Store, WorkerHello};
use boxwood_study::LeaseKey;

use crate::error::AppError;
use crate::hub::lock;
use crate::{App, Principal};

/// The server's word to a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatReply {
    /// One answer per lease, in order.
    pub leases: Vec<HeartbeatAnswer>,
    /// Finish what runs, take nothing new, leave.
    pub drain: bool,
}

impl<S: Store> App<S> {
    /// Renews leases of one worker. A trial of another project is lost, as if it were not there.
    pub async fn heartbeat(
        &self,
        caller: &Principal,
        worker: WorkerHello,
        keys: Vec<LeaseKey>,
    ) -> Result<HeartbeatReply, AppError> {
        caller.require(Role::Worker)?;
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX).max(1);
        self.check_worker(&worker, count, "leases")?;
        let drain = {
            let mut draining = lock(&self.inner.draining);
            draining.projects.insert(worker.project);
            draining.workers.contains(&(worker.project, worker.name.clone()))
        };
        let mut own = Vec::with_capacity(keys.len());
        for key in &keys {
            own.push(match self.project_of(key.trial.study()).await {
                Ok(project) => project == worker.project,
                Err(AppError::NotFound { .. }) => false,
                Err(error) => return Err(error),
            });
        }
        let known = keys.iter().zip(&own).filter(|(_, own)| **own).map(|(key, _)| *key).collect();
        let mut answers = self.inner.store.heartbeat(worker, known).await?.into_iter();
        let lost = |key: LeaseKey| HeartbeatAnswer::Lost { key };
        let leases = keys
            .into_iter()
            .zip(own)
            .map(|(key, own)| if own { answers.next().unwrap_or(lost(key)) } else { lost(key) })
            .collect();
        Ok(HeartbeatReply { leases, drain })
    }
}
