//! Expected improvement and probability of improvement, in logarithms.

use crate::moments::{MomentScore, score_gradient, score_rows};
use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::{
    Rows, log_expected_improvement_kernel, log_expected_improvement_slope, log_normal_cdf,
    log_normal_cdf_slope,
};
use boxwood_surrogate::Posterior;

/// `ln E[max(incumbent - f(x), 0)]` on the model scale: `ln sigma + ln h((incumbent - mu) / sigma)`.
///
/// Ament et al., "Unexpected improvements to expected improvement for Bayesian optimization" (2023), equation 8.
/// It stays finite and differentiable where the improvement itself underflows.
pub struct LogExpectedImprovement<'a> {
    posterior: &'a dyn Posterior,
    incumbent: f64,
}

impl<'a> LogExpectedImprovement<'a> {
    /// The improvement below `incumbent`, a value on the model scale of the posterior.
    pub fn new(posterior: &'a dyn Posterior, incumbent: f64) -> Self {
        Self { posterior, incumbent }
    }

    fn score(&self, mean: f64, deviation: f64) -> MomentScore {
        let z = (self.incumbent - mean) / deviation;
        let slope = log_expected_improvement_slope(z);
        MomentScore {
            value: deviation.ln() + log_expected_improvement_kernel(z),
            by_mean: -slope / deviation,
            by_deviation: (1.0 - z * slope) / deviation,
        }
    }
}

impl Acquisition for LogExpectedImprovement<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        score_rows(self.posterior, rows, |mean, deviation| self.score(mean, deviation))
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        score_gradient(self.posterior, row, |mean, deviation| self.score(mean, deviation))
    }
}

/// `ln P[f(x) < incumbent - margin]` on the model scale.
///
/// Kushner (1964). A margin above zero asks for improvements worth having; at zero the maximum hugs the incumbent.
pub struct LogProbabilityOfImprovement<'a> {
    posterior: &'a dyn Posterior,
    target: f64,
}

impl<'a> LogProbabilityOfImprovement<'a> {
    /// The probability of falling below `incumbent - margin`, both on the model scale of the posterior.
    pub fn new(posterior: &'a dyn Posterior, incumbent: f64, margin: f64) -> Self {
        Self { posterior, target: incumbent - margin }
    }

    fn score(&self, mean: f64, deviation: f64) -> MomentScore {
        log_probability_below(self.target, mean, deviation)
    }
}

/// `ln Phi((target - mu) / sigma)` with derivatives.
pub(crate) fn log_probability_below(target: f64, mean: f64, deviation: f64) -> MomentScore {
    let z = (target - mean) / deviation;
    let slope = log_normal_cdf_slope(z);
    MomentScore {
        value: log_normal_cdf(z),
        by_mean: -slope / deviation,
        by_deviation: -z * slope / deviation,
    }
}

impl Acquisition for LogProbabilityOfImprovement<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        score_rows(self.posterior, rows, |mean, deviation| self.score(mean, deviation))
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        score_gradient(self.posterior, row, |mean, deviation| self.score(mean, deviation))
    }
}
