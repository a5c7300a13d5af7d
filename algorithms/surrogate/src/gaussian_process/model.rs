//! A fitted Gaussian process.

use super::objective::{FittedTargets, kernel_parameters, solve_targets};
use super::{GpOptions, Hyperparameters, MeanFunction};
use crate::kernel::{Embedded, Kernel, KernelParameters};
use crate::layout::check_observations;
use crate::warp::{TargetScale, variance_in_losses};
use crate::{JointPosterior, Layout, MeanVariance, PointGradient, Posterior, SurrogateError};
use boxwood_numeric::{Cholesky, DMatrix, Rows, mix_seed};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::sync::Arc;

/// Rows predicted at a time, so that the cross covariance stays in cache.
pub(super) const BLOCK: usize = 256;
/// Floor of a predicted variance relative to the prior variance.
const VARIANCE_FLOOR: f64 = 1e-12;

/// A Gaussian process conditioned on observations; immutable.
///
/// The model scale is the warped and standardized loss (see [`Posterior`]); `..._in_losses` methods speak the
/// caller's units.
#[derive(Debug, Clone)]
pub struct GpModel {
    pub(super) layout: Arc<Layout>,
    pub(super) kernel: Kernel,
    pub(super) hyperparameters: Hyperparameters,
    pub(super) parameters: KernelParameters,
    pub(super) mean_function: MeanFunction,
    pub(super) warps: bool,
    pub(super) inputs: Embedded,
    pub(super) factor: Cholesky,
    pub(super) scale: TargetScale,
    /// Targets on the model scale.
    pub(super) values: Vec<f64>,
    pub(super) fitted: FittedTargets,
    /// The rows before they are embedded.
    pub(super) rows: Rows,
    /// Other hyperparameters that the data allow, with weights relative to the model's own of one.
    pub(super) draws: Vec<(Hyperparameters, f64)>,
}

/// The covariance of rows under hyperparameters, noise included: its parameters, the embedded rows and its factor.
fn factorize(
    kernel: &Kernel,
    rows: &Rows,
    hyperparameters: &Hyperparameters,
) -> Result<(KernelParameters, Embedded, Cholesky), SurrogateError> {
    let parameters = kernel_parameters(kernel, hyperparameters);
    let inputs = kernel.embed(rows, &parameters);
    let mut covariance = kernel.covariance(&inputs, &parameters);
    for k in 0..rows.len() {
        covariance[(k, k)] += hyperparameters.noise_variance;
    }
    let factor = Cholesky::factorize(&covariance)?;
    Ok((parameters, inputs, factor))
}

impl GpModel {
    /// Factorizes the rows and solves for the targets.
    pub(crate) fn condition(
        kernel: Kernel,
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        hyperparameters: Hyperparameters,
        scale: TargetScale,
        options: &GpOptions,
    ) -> Result<Self, SurrogateError> {
        let (parameters, inputs, factor) = factorize(&kernel, rows, &hyperparameters)?;
        let values: Vec<f64> = targets.iter().map(|&target| scale.to_model(target)).collect();
        let fitted = solve_targets(&factor, &values, options.mean)?;
        Ok(Self {
            layout: Arc::new(layout.clone()),
            kernel,
            hyperparameters,
            parameters,
            mean_function: options.mean,
            warps: options.warp_targets,
            inputs,
            factor,
            scale,
            values,
            fitted,
            rows: rows.clone(),
            draws: Vec::new(),
        })
    }

    /// The model with further observations, hyperparameters unchanged: O(n^2 k) for k new rows.
    ///
    /// `targets` are ALL losses, old ones first: the warp keeps its kind, but its parameters and the standardization
    /// follow all of them, and an extreme outlier brings the half-rank warp if warps are allowed at all.
    pub fn extend(&self, rows: &Rows, targets: &[f64]) -> Result<Self, SurrogateError> {
        let expected = self.values.len() + rows.len();
        if targets.len() != expected {
            return Err(SurrogateError::Shape { what: "targets", expected, found: targets.len() });
        }
        let mut model = if rows.is_empty() {
            self.clone()
        } else {
            check_observations(&self.layout, rows, &targets[self.values.len()..])?;
            self.extend_inputs(rows, self.hyperparameters.noise_variance)?
        };
        model.scale = self.scale.refit(targets, self.warps);
        model.values = targets.iter().map(|&target| model.scale.to_model(target)).collect();
        model.fitted = solve_targets(&model.factor, &model.values, self.mean_function)?;
        Ok(model)
    }

    /// The same hyperparameters on other rows of the same layout; the warp keeps its kind, O(n^3).
    pub(super) fn condition_anew(
        &self,
        rows: &Rows,
        targets: &[f64],
        options: &GpOptions,
    ) -> Result<Self, SurrogateError> {
        let scale = self.scale.refit(targets, self.warps);
        let (kernel, hyperparameters) = (self.kernel.clone(), self.hyperparameters.clone());
        Self::condition(kernel, &self.layout, rows, targets, hyperparameters, scale, options)
    }

    /// The model with one more observation of the given loss; the scale and the prior mean stay, O(n^2).
    pub fn append(&self, row: &[f64], target: f64) -> Result<Self, SurrogateError> {
        if !target.is_finite() {
            return Err(SurrogateError::TargetNotFinite { row: self.values.len() });
        }
        self.append_value(row, self.scale.to_model(target))
    }

    /// As [`GpModel::append`], for a value that is already on the model scale (a fantasy).
    pub fn append_value(&self, row: &[f64], value: f64) -> Result<Self, SurrogateError> {
        self.layout.check_row(0, row)?;
        let mut model =
            self.extend_inputs(&Rows::from_rows(row.len(), &[row])?, self.hyperparameters.noise_variance)?;
        model.values.push(value);
        let mut alpha: Vec<f64> = model.values.iter().map(|value| value - self.fitted.mean).collect();
        model.factor.solve(&mut alpha)?;
        model.fitted.alpha = alpha;
        Ok(model)
    }

    /// The model with pending rows believed to return their posterior mean, one after the other (the "kriging
    /// believer" of Ginsbourger et al., 2010): variance shrinks there, the mean stays.
    pub fn append_believed(&self, rows: &Rows) -> Result<Self, SurrogateError> {
        self.layout.check(rows)?;
        if rows.is_empty() {
            return Ok(self.clone());
        }
        let believed = self.predict_mean(rows)?;
        let mut model = self.extend_inputs(rows, self.hyperparameters.noise_variance)?;
        model.values.extend(believed);
        let mut alpha: Vec<f64> = model.values.iter().map(|value| value - self.fitted.mean).collect();
        model.factor.solve(&mut alpha)?;
        model.fitted.alpha = alpha;
        Ok(model)
    }

    /// Grows inputs and factor by rows with the given noise variance; targets are left to the caller.
    pub(super) fn extend_inputs(&self, rows: &Rows, noise_variance: f64) -> Result<Self, SurrogateError> {
        let added = self.kernel.embed(rows, &self.parameters);
        let cross = self.kernel.cross(&self.inputs, &added, 0, added.len(), &self.parameters);
        let mut block = self.kernel.covariance(&added, &self.parameters);
        for k in 0..added.len() {
            block[(k, k)] += noise_variance;
        }
        let mut inputs = self.inputs.clone();
        let mut all = self.rows.clone();
        all.push_rows(rows)?;
        for row in rows.iter() {
            self.kernel.embed_row(row, &self.parameters, &mut inputs);
        }
        Ok(Self {
            layout: Arc::clone(&self.layout),
            kernel: self.kernel.clone(),
            hyperparameters: self.hyperparameters.clone(),
            parameters: self.parameters.clone(),
            mean_function: self.mean_function,
            warps: self.warps,
            inputs,
            factor: self.factor.extend(&cross, &block)?,
            scale: self.scale.clone(),
            values: self.values.clone(),
            fitted: self.fitted.clone(),
            rows: all,
            draws: self.draws.clone(),
        })
    }

    /// The same data under each of the hyperparameters that the fit drew from their posterior, with weights relative to this
    /// model's of one; O(n^3) each. None without [`GpOptions::posterior_draws`].
    ///
    /// An expectation over models rather than one model is what an acquisition should be averaged over (Snoek et al.,
    /// "Practical Bayesian optimization of machine learning algorithms", 2012, equation 5).
    ///
    /// # Errors
    /// `Numeric` when a covariance cannot be factorized.
    pub fn alternatives(&self) -> Result<Vec<(Self, f64)>, SurrogateError> {
        self.draws.iter().map(|(drawn, weight)| Ok((self.under(drawn.clone())?, *weight))).collect()
    }

    fn under(&self, hyperparameters: Hyperparameters) -> Result<Self, SurrogateError> {
        let (parameters, inputs, factor) = factorize(&self.kernel, &self.rows, &hyperparameters)?;
        let fitted = solve_targets(&factor, &self.values, self.mean_function)?;
        Ok(Self { hyperparameters, parameters, inputs, factor, fitted, draws: Vec::new(), ..self.clone() })
    }

    /// Number of observations, n.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no observation; never true for a fitted model.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The columns of the inputs.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Fitted hyperparameters, on the model scale.
    pub fn hyperparameters(&self) -> &Hyperparameters {
        &self.hyperparameters
    }

    /// One length scale per column.
    pub fn length_scales(&self) -> &[f64] {
        &self.hyperparameters.length_scales
    }

    /// Log marginal likelihood of the targets on the model scale, at the fitted hyperparameters.
    pub fn log_marginal_likelihood(&self) -> f64 {
        self.fitted.log_marginal_likelihood
    }

    /// The map between losses and the model scale.
    pub fn target_scale(&self) -> &TargetScale {
        &self.scale
    }

    /// Observed values on the model scale, in the order of the observations.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Predictions in the units of the losses.
    ///
    /// Exact for an affine scale. Under a warp the "mean" is the median and the variance the square of half the span
    /// between the images of one standard deviation below and above, within the range of floats.
    pub fn predict_in_losses(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        let prediction = self.predict(rows)?;
        let (mut mean, mut variance) = (Vec::new(), Vec::new());
        for (&center, &spread) in prediction.mean.iter().zip(&prediction.variance) {
            mean.push(self.scale.to_loss(center));
            variance.push(variance_in_losses(&self.scale, center, spread.sqrt()));
        }
        Ok(MeanVariance { mean, variance })
    }

    /// Predictions with derivatives at one row, on the model scale, O(n^2).
    pub fn point_gradient(&self, row: &[f64]) -> Result<PointGradient, SurrogateError> {
        self.layout.check_row(0, row)?;
        let mut here = Embedded::default();
        self.kernel.embed_row(row, &self.parameters, &mut here);
        let (column, slopes) = self.kernel.column_with_slope(&self.inputs, &here, &self.parameters);
        let mean = self.fitted.mean + dot(&column, &self.fitted.alpha);
        let mut solved = column;
        self.factor.solve_lower(&mut solved)?;
        let variance = self.floor_variance(dot(&solved, &solved));
        self.factor.solve_upper(&mut solved)?;
        let gradient = |weights: &[f64]| {
            self.kernel.row_gradient(&self.inputs, row, &here, &slopes, weights, &self.parameters)
        };
        let mean_gradient = gradient(&self.fitted.alpha);
        let mut variance_gradient = gradient(&solved);
        for part in &mut variance_gradient {
            *part *= -2.0;
        }
        Ok(PointGradient { mean, variance, mean_gradient, variance_gradient })
    }

    /// Leave-one-out predictions of the observed values, noise included, on the model scale.
    ///
    /// Rasmussen and Williams (2006), equation 5.12; the prior mean stays at its fitted value.
    pub fn leave_one_out(&self) -> MeanVariance {
        let inverse = self.factor.inverse();
        let (mut mean, mut variance) = (Vec::new(), Vec::new());
        for (k, (value, alpha)) in self.values.iter().zip(&self.fitted.alpha).enumerate() {
            let precision = inverse[(k, k)];
            mean.push(value - alpha / precision);
            variance.push(1.0 / precision);
        }
        MeanVariance { mean, variance }
    }

    /// Joint posterior draws at `(m, d)` rows: `(count, m)` noise-free values on the model scale, O(m^3).
    pub fn sample(&self, rows: &Rows, count: usize, seed: u64) -> Result<Rows, SurrogateError> {
        self.layout.check(rows)?;
        let points = self.kernel.embed(rows, &self.parameters);
        let mut half = self.kernel.cross(&self.inputs, &points, 0, points.len(), &self.parameters);
        let mean = self.means(&half);
        self.factor.solve_lower_block(&mut half)?;
        let prior = self.kernel.covariance(&points, &self.parameters);
        let mut posterior = prior - half.transpose() * &half;
        for k in 0..posterior.nrows() {
            posterior[(k, k)] = posterior[(k, k)].max(0.0) + 1e-10 * self.parameters.signal_variance;
        }
        let factor = Cholesky::factorize(&posterior)?;
        let mut draws = Rows::new(rows.len());
        for draw in 0..count {
            let mut rng = ChaCha8Rng::seed_from_u64(mix_seed(seed, draw as u64));
            let noise: Vec<f64> = (0..rows.len()).map(|_| StandardNormal.sample(&mut rng)).collect();
            let values: Vec<f64> = (0..rows.len())
                .map(|i| mean[i] + (0..=i).map(|j| factor.lower()[(i, j)] * noise[j]).sum::<f64>())
                .collect();
            draws.push_row(&values)?;
        }
        Ok(draws)
    }

    fn means(&self, cross: &DMatrix<f64>) -> Vec<f64> {
        cross
            .column_iter()
            .map(|column| self.fitted.mean + dot(column.as_slice(), &self.fitted.alpha))
            .collect()
    }

    pub(super) fn floor_variance(&self, explained: f64) -> f64 {
        let prior = self.parameters.signal_variance;
        (prior - explained).max(VARIANCE_FLOOR * prior)
    }
}

impl JointPosterior for GpModel {
    fn sample_joint(&self, rows: &Rows, count: usize, seed: u64) -> Result<Rows, SurrogateError> {
        self.sample(rows, count, seed)
    }
}

impl Posterior for GpModel {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        self.layout.check(rows)?;
        let points = self.kernel.embed(rows, &self.parameters);
        let mut prediction =
            MeanVariance { mean: Vec::with_capacity(rows.len()), variance: Vec::with_capacity(rows.len()) };
        for start in (0..rows.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(rows.len());
            let mut cross = self.kernel.cross(&self.inputs, &points, start, end, &self.parameters);
            prediction.mean.extend(self.means(&cross));
            self.factor.solve_lower_block(&mut cross)?;
            let explained = cross.column_iter().map(|column| dot(column.as_slice(), column.as_slice()));
            prediction.variance.extend(explained.map(|value| self.floor_variance(value)));
        }
        Ok(prediction)
    }

    fn predict_mean(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        self.layout.check(rows)?;
        let points = self.kernel.embed(rows, &self.parameters);
        let mut means = Vec::with_capacity(rows.len());
        for start in (0..rows.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(rows.len());
            means.extend(self.means(&self.kernel.cross(&self.inputs, &points, start, end, &self.parameters)));
        }
        Ok(means)
    }

    fn predict_gradient(&self, row: &[f64]) -> Result<Option<PointGradient>, SurrogateError> {
        self.point_gradient(row).map(Some)
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        self.scale.to_model(loss)
    }

    fn to_loss(&self, value: f64) -> f64 {
        self.scale.to_loss(value)
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
