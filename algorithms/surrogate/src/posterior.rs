//! The common face of fitted models.

use crate::SurrogateError;
use boxwood_numeric::Rows;

/// Predictions for m rows: two columns of length m.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanVariance {
    /// Expected loss, smaller is better.
    pub mean: Vec<f64>,
    /// Variance (not standard deviation) of the noise-free loss; positive.
    pub variance: Vec<f64>,
}

/// A prediction at one row with its derivatives by the encoded values.
///
/// Derivatives are zero in categorical and in inactive dimensions; integers and ordinals are differentiated as
/// numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PointGradient {
    /// Expected loss.
    pub mean: f64,
    /// Variance of the noise-free loss.
    pub variance: f64,
    /// Derivative of the mean, length d.
    pub mean_gradient: Vec<f64>,
    /// Derivative of the variance, length d.
    pub variance_gradient: Vec<f64>,
}

/// A fitted, immutable model of a loss.
///
/// Predictions are on the MODEL SCALE: an increasing transform of the loss, standardized to about zero mean and unit
/// variance, on which the model's uncertainty is close to normal. [`Posterior::to_model_scale`] brings losses there.
/// Acquisition functions and ensembles work on this scale. Calls are pure and may come from any thread.
pub trait Posterior: Send + Sync {
    /// Mean and variance at `(m, d)` rows, on the model scale.
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError>;

    /// The means of [`Posterior::predict`] alone, which many models give much faster.
    fn predict_mean(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        Ok(self.predict(rows)?.mean)
    }

    /// Prediction with derivatives at one row, or nothing when the model is not differentiable.
    fn predict_gradient(&self, row: &[f64]) -> Result<Option<PointGradient>, SurrogateError> {
        let _ = row;
        Ok(None)
    }

    /// A loss on the model scale; increasing.
    fn to_model_scale(&self, loss: f64) -> f64;

    /// A value of the model scale as a loss; the inverse of [`Posterior::to_model_scale`] where that has one.
    fn to_loss(&self, value: f64) -> f64;
}

/// A posterior that knows how its values at several rows move together.
pub trait JointPosterior: Posterior {
    /// Joint draws of the noise-free function at `(m, d)` rows: `(count, m)` values on the model scale. Equal seeds give
    /// equal draws.
    fn sample_joint(&self, rows: &Rows, count: usize, seed: u64) -> Result<Rows, SurrogateError>;
}
