//! A stack of Gaussian processes in which each learns what the ones below it left over (SGPR).

use crate::warp::{TargetScale, Warp};
use crate::{
    GaussianProcess, GpModel, GpOptions, Layout, MeanVariance, PointGradient, Posterior, SurrogateError,
};
use boxwood_numeric::{Rows, mix_seed};

/// How much a level's own data count against those of the level below in its deviation.
const LEVEL_WEIGHT: f64 = 0.95;

/// Sources in order, then the target, each a process on the residuals of the stack below.
///
/// Golovin et al., "Google Vizier: a service for black-box optimization" (KDD 2017), section 3.3: the mean is the sum of
/// all means; deviations combine from the bottom as `sigma = sigma_i^b sigma_below^(1 - b)` with
/// `b = 0.95 n_i / (0.95 n_i + n_below)`. Losses are standardized per study; the target, too, is fitted to residuals, not
/// to its losses (`OpenBox` counts the stack below it twice).
#[derive(Debug, Clone)]
pub struct StackedTransfer {
    levels: Vec<Level>,
    scale: TargetScale,
}

#[derive(Debug, Clone)]
struct Level {
    model: GpModel,
    /// Power of this level's deviation; one at the bottom.
    power: f64,
}

impl StackedTransfer {
    /// Fits the sources in the given order, `(n, d)` rows and n losses each, and the target on top.
    ///
    /// # Errors
    /// As [`GaussianProcess::fit`], for any level.
    pub fn fit(
        layout: &Layout,
        sources: &[(Rows, Vec<f64>)],
        rows: &Rows,
        losses: &[f64],
        options: &GpOptions,
        seed: u64,
    ) -> Result<Self, SurrogateError> {
        let options = GpOptions { warp_targets: false, ..options.clone() };
        let scale = TargetScale::standardize(Warp::Identity, losses);
        let mut stack = Self { levels: Vec::with_capacity(sources.len() + 1), scale };
        let mut below = 0.0;
        let studies = sources.iter().map(|(rows, losses)| (rows, losses.as_slice()));
        for (index, (rows, losses)) in studies.chain([(rows, losses)]).enumerate() {
            crate::layout::check_observations(layout, rows, losses)?;
            let own = TargetScale::standardize(Warp::Identity, losses);
            let expected = stack.predict_mean(rows)?;
            let residuals: Vec<f64> =
                losses.iter().zip(&expected).map(|(&loss, mean)| own.to_model(loss) - mean).collect();
            let level_seed = mix_seed(seed, index as u64);
            let model = GaussianProcess::fit(layout, rows, &residuals, &options, level_seed)?;
            let count = LEVEL_WEIGHT * losses.len() as f64;
            stack.levels.push(Level { model, power: count / (count + below) });
            below = losses.len() as f64;
        }
        Ok(stack)
    }
}

impl Level {
    /// The linear map from the model's own scale to residuals: offset and factor.
    fn residual_scale(&self) -> (f64, f64) {
        let offset = self.model.to_loss(0.0);
        (offset, self.model.to_loss(1.0) - offset)
    }
}

impl Posterior for StackedTransfer {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        let (mut mean, mut log_variance) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        for level in &self.levels {
            let (offset, factor) = level.residual_scale();
            let part = level.model.predict(rows)?;
            for k in 0..rows.len() {
                mean[k] += offset + factor * part.mean[k];
                let own = (factor * factor * part.variance[k]).ln();
                log_variance[k] = level.power * own + (1.0 - level.power) * log_variance[k];
            }
        }
        Ok(MeanVariance { mean, variance: log_variance.into_iter().map(f64::exp).collect() })
    }

    fn predict_mean(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        let mut mean = vec![0.0; rows.len()];
        for level in &self.levels {
            let (offset, factor) = level.residual_scale();
            for (sum, part) in mean.iter_mut().zip(level.model.predict_mean(rows)?) {
                *sum += offset + factor * part;
            }
        }
        Ok(mean)
    }

    fn predict_gradient(&self, row: &[f64]) -> Result<Option<PointGradient>, SurrogateError> {
        let (mut mean, mut log_variance) = (0.0, 0.0);
        let (mut mean_gradient, mut log_gradient) = (vec![0.0; row.len()], vec![0.0; row.len()]);
        for level in &self.levels {
            let (offset, factor) = level.residual_scale();
            let part = level.model.point_gradient(row)?;
            mean += offset + factor * part.mean;
            let own = (factor * factor * part.variance).ln();
            log_variance = level.power * own + (1.0 - level.power) * log_variance;
            for k in 0..row.len() {
                mean_gradient[k] += factor * part.mean_gradient[k];
                log_gradient[k] = level.power * part.variance_gradient[k] / part.variance
                    + (1.0 - level.power) * log_gradient[k];
            }
        }
        let variance = log_variance.exp();
        let variance_gradient = log_gradient.iter().map(|part| variance * part).collect();
        Ok(Some(PointGradient { mean, variance, mean_gradient, variance_gradient }))
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        self.scale.to_model(loss)
    }

    fn to_loss(&self, value: f64) -> f64 {
        self.scale.to_loss(value)
    }
}
