//! A leased trial, without `async`.

use std::ops::Deref;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::error::Error;
use crate::model::{Finished, Verdict};

/// See [`crate::Trial`], whose readers it has by dereference.
#[derive(Debug)]
pub struct Trial {
    inner: crate::Trial,
    // Declared last: the trial gives itself back before its runtime may end.
    runtime: Arc<Runtime>,
}

impl Deref for Trial {
    type Target = crate::Trial;

    fn deref(&self) -> &crate::Trial {
        &self.inner
    }
}

impl Trial {
    pub(super) fn new(inner: crate::Trial, runtime: Arc<Runtime>) -> Self {
        Self { inner, runtime }
    }

    pub(super) fn into_inner(self) -> crate::Trial {
        self.inner
    }

    /// Names the checkpoint that the end of this trial will leave.
    pub fn set_checkpoint(&mut self, uri: impl Into<String>) {
        self.inner.set_checkpoint(uri);
    }

    /// Reports metrics at a step and returns what to do next.
    pub fn report<K: Into<String>>(
        &mut self,
        step: u64,
        metrics: impl IntoIterator<Item = (K, f64)>,
    ) -> Result<Verdict, Error> {
        self.runtime.block_on(self.inner.report(step, metrics))
    }

    /// Ends the trial with its result at the target.
    pub fn finish<K: Into<String>>(
        self,
        metrics: impl IntoIterator<Item = (K, f64)>,
    ) -> Result<Finished, Error> {
        self.runtime.block_on(self.inner.finish(metrics))
    }

    /// Ends the trial after a stop verdict.
    pub fn stop(self) -> Result<Finished, Error> {
        self.runtime.block_on(self.inner.stop())
    }

    /// Gives the trial back.
    pub fn give_back(self) -> Result<Finished, Error> {
        self.runtime.block_on(self.inner.give_back())
    }

    /// Ends the attempt as failed.
    pub fn fail(self, reason: impl Into<String>) -> Result<Finished, Error> {
        self.runtime.block_on(self.inner.fail(reason))
    }

    /// Ends the trial: its point cannot be evaluated.
    pub fn infeasible(self, reason: impl Into<String>) -> Result<Finished, Error> {
        self.runtime.block_on(self.inner.infeasible(reason))
    }
}
