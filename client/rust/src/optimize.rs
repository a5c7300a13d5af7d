//! The loop of a tuning script.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::error::Error;
use crate::model::Verdict;
use crate::study::Study;
use crate::trial::Trial;

/// What evaluating a point led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Evaluation {
    /// Metrics at the target.
    Measured(BTreeMap<String, f64>),
    /// Ended early because a report's verdict said so; what was reported counts.
    Stopped,
    /// The point cannot be evaluated, for this reason.
    Infeasible(String),
}

impl<K: Into<String>, const N: usize> From<[(K, f64); N]> for Evaluation {
    fn from(metrics: [(K, f64); N]) -> Self {
        Self::Measured(metrics.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl Study {
    /// Evaluates up to `count` points, one after the other, and returns how many were evaluated: fewer when the study
    /// ended. An error of `evaluate` fails that trial, not the loop; NaN and infinity make it infeasible.
    pub async fn optimize<T: Into<Evaluation>, E: Display>(
        &self,
        count: u64,
        mut evaluate: impl AsyncFnMut(&mut Trial) -> Result<T, E>,
    ) -> Result<u64, Error> {
        for done in 0..count {
            let Some(mut trial) = self.suggest().await? else { return Ok(done) };
            let outcome = evaluate(&mut trial).await.map(Into::into).map_err(|error| error.to_string());
            conclude(trial, outcome).await?;
        }
        Ok(count)
    }
}

/// Ends a trial as its evaluation says. Losing the lease is no error: somebody else has the trial.
pub(crate) async fn conclude(trial: Trial, outcome: Result<Evaluation, String>) -> Result<(), Error> {
    let ended = match outcome {
        Ok(Evaluation::Measured(metrics)) => match metrics.iter().find(|(_, value)| !value.is_finite()) {
            Some((name, value)) => {
                let reason = format!("metric {name} is {value} at step {}", trial.to());
                trial.infeasible(reason).await
            }
            None => trial.finish(metrics).await,
        },
        Ok(Evaluation::Stopped) if trial.verdict() == Verdict::Stop => trial.stop().await,
        Ok(Evaluation::Stopped) => trial.give_back().await,
        Ok(Evaluation::Infeasible(reason)) => trial.infeasible(reason).await,
        Err(_) if trial.is_lost() => return Ok(()),
        Err(reason) => trial.fail(reason).await,
    };
    match ended {
        Ok(_) => Ok(()),
        Err(error) if error.is_lease_lost() => {
            tracing::info!(%error, "a trial was lost");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
