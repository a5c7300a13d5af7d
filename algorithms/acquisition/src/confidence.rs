//! Lower confidence bound.

use crate::moments::{MomentScore, score_gradient, score_rows};
use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::Rows;
use boxwood_surrogate::Posterior;

/// `-(mu - multiplier sigma)` on the model scale: optimism in the face of uncertainty, to be maximized.
///
/// The score is linear in the loss, not a logarithm; it can be combined with log probabilities only with care.
pub struct LowerConfidenceBound<'a> {
    posterior: &'a dyn Posterior,
    multiplier: f64,
}

impl<'a> LowerConfidenceBound<'a> {
    /// A bound `multiplier` deviations below the mean.
    pub fn new(posterior: &'a dyn Posterior, multiplier: f64) -> Self {
        Self { posterior, multiplier }
    }

    /// The multiplier `sqrt(2 ln(d n^2 / p))`, p = 1, that `OpenBox` takes from Srinivas et al. (2010): it grows with
    /// the number of observations n and of dimensions d.
    pub fn scheduled(posterior: &'a dyn Posterior, dimensions: usize, observations: usize) -> Self {
        let count = (observations.max(1) as f64).powi(2) * dimensions.max(1) as f64;
        Self::new(posterior, (2.0 * count.ln()).max(0.0).sqrt())
    }

    fn score(&self, mean: f64, deviation: f64) -> MomentScore {
        MomentScore {
            value: self.multiplier * deviation - mean,
            by_mean: -1.0,
            by_deviation: self.multiplier,
        }
    }
}

impl Acquisition for LowerConfidenceBound<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        score_rows(self.posterior, rows, |mean, deviation| self.score(mean, deviation))
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        score_gradient(self.posterior, row, |mean, deviation| self.score(mean, deviation))
    }
}
