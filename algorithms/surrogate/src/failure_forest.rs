//! Where trials fail: a random forest, for strongly conditional spaces and long histories.

use crate::{Forest, ForestOptions, Layout, MeanVariance, Posterior, SurrogateError};
use boxwood_numeric::{Rows, normal_quantile};

/// The probability that a point fails, as the mean of a forest grown on zeros and ones.
///
/// As a [`Posterior`] it predicts `Phi^-1(p)` with unit variance, so that `P[score <= 0]` is the probability of success,
/// like [`crate::FailureModel`]. Probabilities stay within those of one imagined success and failure beside the data.
#[derive(Debug, Clone)]
pub struct FailureForest {
    forest: Forest,
    margin: f64,
}

impl FailureForest {
    /// Grows the forest on `(n, d)` rows and whether each failed.
    ///
    /// # Errors
    /// As [`Forest::fit`].
    pub fn fit(
        layout: &Layout,
        rows: &Rows,
        failed: &[bool],
        options: &ForestOptions,
        seed: u64,
    ) -> Result<Self, SurrogateError> {
        let labels: Vec<f64> = failed.iter().map(|&failed| if failed { 1.0 } else { 0.0 }).collect();
        let forest = Forest::fit(layout, rows, &labels, options, seed)?;
        Ok(Self { forest, margin: 1.0 / (labels.len() as f64 + 2.0) })
    }

    /// The probability that each of `(m, d)` rows fails.
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for rows that do not fit.
    pub fn failure_probability(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        let means = self.forest.predict_mean(rows)?;
        let clamp = |mean: f64| self.forest.to_loss(mean).clamp(self.margin, 1.0 - self.margin);
        Ok(means.into_iter().map(clamp).collect())
    }
}

impl Posterior for FailureForest {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        let mean = self.failure_probability(rows)?.into_iter().map(normal_quantile).collect();
        Ok(MeanVariance { mean, variance: vec![1.0; rows.len()] })
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        loss
    }

    fn to_loss(&self, value: f64) -> f64 {
        value
    }
}
