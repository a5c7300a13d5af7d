//! Handle of a study, without `async`.

use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use super::Trial;
use crate::analysis::Analysis;
use crate::error::Error;
use crate::model::{StudyChange, StudyInfo, TrialFilter, TrialInfo};
use crate::optimize::{Evaluation, conclude};

/// See [`crate::Study`].
#[derive(Debug, Clone)]
pub struct Study {
    inner: crate::Study,
    runtime: Arc<Runtime>,
}

impl Study {
    pub(super) fn new(inner: crate::Study, runtime: Arc<Runtime>) -> Self {
        Self { inner, runtime }
    }

    /// Id.
    pub fn id(&self) -> i64 {
        self.inner.id()
    }

    /// Name.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// The study as it is now.
    pub fn info(&self) -> Result<StudyInfo, Error> {
        self.runtime.block_on(self.inner.info())
    }

    /// Best feasible trial so far.
    pub fn best(&self) -> Result<Option<TrialInfo>, Error> {
        self.runtime.block_on(self.inner.best())
    }

    /// The next point to try; `None` when the study has ended.
    pub fn suggest(&self) -> Result<Option<Trial>, Error> {
        let trial = self.runtime.block_on(self.inner.suggest())?;
        Ok(trial.map(|trial| Trial::new(trial, Arc::clone(&self.runtime))))
    }

    /// One to `count` points at once; none when the study has ended.
    pub fn suggest_up_to(&self, count: u32) -> Result<Vec<Trial>, Error> {
        let trials = self.runtime.block_on(self.inner.suggest_up_to(count))?;
        Ok(trials.into_iter().map(|trial| Trial::new(trial, Arc::clone(&self.runtime))).collect())
    }

    /// Evaluates up to `count` points and returns how many were evaluated, see [`crate::Study::optimize`].
    pub fn optimize<T: Into<Evaluation>, E: Display>(
        &self,
        count: u64,
        mut evaluate: impl FnMut(&mut Trial) -> Result<T, E>,
    ) -> Result<u64, Error> {
        for done in 0..count {
            let Some(mut trial) = self.suggest()? else { return Ok(done) };
            let outcome = evaluate(&mut trial).map(Into::into).map_err(|error| error.to_string());
            self.runtime.block_on(conclude(trial.into_inner(), outcome))?;
        }
        Ok(count)
    }

    /// Adds points to the front of the queue.
    pub fn enqueue(
        &self,
        points: impl IntoIterator<Item = Map<String, Value>>,
    ) -> Result<Vec<TrialInfo>, Error> {
        self.runtime.block_on(self.inner.enqueue(points))
    }

    /// Grants no new lease until it is resumed.
    pub fn pause(&self, reason: &str) -> Result<StudyInfo, Error> {
        self.runtime.block_on(self.inner.pause(reason))
    }

    /// Lets the study go on.
    pub fn resume(&self) -> Result<StudyInfo, Error> {
        self.runtime.block_on(self.inner.resume())
    }

    /// Ends the study.
    pub fn cancel(&self, reason: &str) -> Result<StudyInfo, Error> {
        self.runtime.block_on(self.inner.cancel(reason))
    }

    /// Replaces the budget, given as in a specification.
    pub fn set_budget(&self, budget: &Value) -> Result<StudyInfo, Error> {
        self.runtime.block_on(self.inner.set_budget(budget))
    }

    /// Changes stop rules, see [`crate::Study::set_stop`].
    pub fn set_stop(&self, rules: &Value) -> Result<StudyInfo, Error> {
        self.runtime.block_on(self.inner.set_stop(rules))
    }

    /// What the solver learned.
    pub fn explain(&self) -> Result<Value, Error> {
        self.runtime.block_on(self.inner.explain())
    }

    /// What the results say, see [`crate::Study::analyze`].
    pub fn analyze(&self, analysis: impl Into<Analysis>) -> Result<Value, Error> {
        self.runtime.block_on(self.inner.analyze(analysis))
    }

    /// Trials in order, read page by page. After an error the iterator ends.
    pub fn trials(&self, filter: TrialFilter) -> impl Iterator<Item = Result<TrialInfo, Error>> {
        let (runtime, mut trials) = (Arc::clone(&self.runtime), self.inner.trials(filter));
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let next = runtime.block_on(trials.next()).transpose();
            failed = matches!(next, Some(Err(_)));
            next
        })
    }

    /// Changes as they come, the current state first. Ends with the study, or after an error.
    pub fn watch(&self) -> impl Iterator<Item = Result<StudyChange, Error>> {
        let (runtime, mut watch) = (Arc::clone(&self.runtime), self.inner.watch());
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let next = runtime.block_on(watch.next()).transpose();
            failed = matches!(next, Some(Err(_)));
            next
        })
    }
}
