//! Pure exploration for the later points of a batch (UCB-PE).

use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::Rows;
use boxwood_surrogate::Posterior;

/// Multiplier of the bound that says where exploring may pay (Song et al., 2024).
const PROMISING_MULTIPLIER: f64 = 0.5;
/// Weight of leaving the promising region (Song et al., 2024).
const LEAVING_WEIGHT: f64 = 10.0;

/// `sigma'(x) - 10 max(0, mu(x) - 0.5 sigma(x) - threshold)`: the deviation given pending points, inside the region that
/// may still hold the optimum.
///
/// Gaussian process UCB with pure exploration (Contal et al., ECML 2013) in the form of Song et al., "The Vizier Gaussian
/// process bandit algorithm" (2024), turned to losses: the first point of a batch minimizes a lower confidence bound
/// ([`crate::LowerConfidenceBound`]), each later one maximizes this. `sigma'` is that of the model which believes the
/// pending points, `mu` and `sigma` are the original ones. The score is not a logarithm.
pub struct PureExploration<'a> {
    posterior: &'a dyn Posterior,
    believing: &'a dyn Posterior,
    threshold: f64,
}

impl<'a> PureExploration<'a> {
    /// `observed` are evaluated rows; the threshold is the mean at the one with the least lower confidence bound of
    /// `multiplier` deviations, or infinite without any.
    ///
    /// # Errors
    /// Whatever the model reports.
    pub fn new(
        posterior: &'a dyn Posterior,
        believing: &'a dyn Posterior,
        observed: &Rows,
        multiplier: f64,
    ) -> Result<Self, AcquisitionError> {
        let prediction = posterior.predict(observed)?;
        let pairs = prediction.mean.iter().zip(&prediction.variance);
        let bounds = pairs.map(|(&mean, variance)| (mean - multiplier * variance.sqrt(), mean));
        let best = bounds.min_by(|(a, _), (b, _)| a.total_cmp(b));
        Ok(Self { posterior, believing, threshold: best.map_or(f64::INFINITY, |(_, mean)| mean) })
    }

    /// The mean that a promising point's optimistic value must not exceed.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }
}

impl Acquisition for PureExploration<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let plain = self.posterior.predict(rows)?;
        let believing = self.believing.predict(rows)?;
        let values = (0..rows.len()).map(|k| {
            let optimistic = plain.mean[k] - PROMISING_MULTIPLIER * plain.variance[k].sqrt();
            let beyond = optimistic - self.threshold;
            believing.variance[k].sqrt() - if beyond <= 0.0 { 0.0 } else { LEAVING_WEIGHT * beyond }
        });
        crate::acquisition::check_values(values.collect())
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let Some(plain) = self.posterior.predict_gradient(row)? else { return Ok(None) };
        let Some(believing) = self.believing.predict_gradient(row)? else { return Ok(None) };
        let (deviation, explored) = (plain.variance.sqrt(), believing.variance.sqrt());
        let beyond = plain.mean - PROMISING_MULTIPLIER * deviation - self.threshold;
        let mut value = explored;
        let mut gradient: Vec<f64> =
            believing.variance_gradient.iter().map(|part| part / (2.0 * explored)).collect();
        if beyond > 0.0 {
            value -= LEAVING_WEIGHT * beyond;
            let by_variance = PROMISING_MULTIPLIER / (2.0 * deviation);
            for (sum, (mean, variance)) in
                gradient.iter_mut().zip(plain.mean_gradient.iter().zip(&plain.variance_gradient))
            {
                *sum -= LEAVING_WEIGHT * (mean - by_variance * variance);
            }
        }
        crate::acquisition::check_values(vec![value])?;
        Ok(Some((value, gradient)))
    }
}
