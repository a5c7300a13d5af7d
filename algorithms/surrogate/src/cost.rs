//! What a trial costs: a Gaussian process on log seconds.

use crate::{
    GaussianProcess, GpModel, GpOptions, Layout, MeanVariance, PointGradient, Posterior, SurrogateError,
};
use boxwood_numeric::Rows;

/// Shorter trials count as this many seconds: a clock's resolution, and a logarithm that exists.
const SHORTEST_SECONDS: f64 = 1e-3;

/// A model of the LOGARITHM of a trial's cost, without output warp, so that its model scale is linear in it.
///
/// What [`Posterior`] means by a loss is `ln` of the seconds here.
#[derive(Debug, Clone)]
pub struct CostModel {
    model: GpModel,
}

impl CostModel {
    /// Fits `(n, d)` rows and their measured seconds.
    ///
    /// # Errors
    /// As [`GaussianProcess::fit`].
    pub fn fit(
        layout: &Layout,
        rows: &Rows,
        seconds: &[f64],
        options: &GpOptions,
        seed: u64,
    ) -> Result<Self, SurrogateError> {
        if let Some(row) = seconds.iter().position(|value| !value.is_finite()) {
            return Err(SurrogateError::TargetNotFinite { row });
        }
        let logs: Vec<f64> = seconds.iter().map(|value| value.max(SHORTEST_SECONDS).ln()).collect();
        let options = GpOptions { warp_targets: false, ..options.clone() };
        Ok(Self { model: GaussianProcess::fit(layout, rows, &logs, &options, seed)? })
    }

    /// Expected seconds at `(m, d)` rows: the mean `exp(mu + sigma^2 / 2)` of a log-normal variable.
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for rows that do not fit.
    pub fn expected_seconds(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        let prediction = self.model.predict_in_losses(rows)?;
        let pairs = prediction.mean.iter().zip(&prediction.variance);
        Ok(pairs.map(|(mean, variance)| (mean + 0.5 * variance).min(700.0).exp()).collect())
    }
}

impl Posterior for CostModel {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        self.model.predict(rows)
    }

    fn predict_mean(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        self.model.predict_mean(rows)
    }

    fn predict_gradient(&self, row: &[f64]) -> Result<Option<PointGradient>, SurrogateError> {
        self.model.predict_gradient(row)
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        self.model.to_model_scale(loss)
    }

    fn to_loss(&self, value: f64) -> f64 {
        self.model.to_loss(value)
    }
}
