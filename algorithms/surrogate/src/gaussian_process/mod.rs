//! Gaussian process regression with priors, scheduled refits and analytic gradients.

mod classify;
mod draws;
mod fit;
mod inference;
mod local;
mod model;
mod objective;
mod schedule;
#[cfg(test)]
mod tests;

pub use classify::FailureModel;
pub use draws::{DrawsGradient, DrawsPrediction, GpDraws};
pub use fit::GaussianProcess;
pub use local::local_rows;
pub use model::GpModel;
pub use schedule::{GpCache, refit_length};

use crate::input_warp::Kumaraswamy;

/// The prior mean of the process on the standardized targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeanFunction {
    /// Zero.
    Zero,
    /// A constant with a standard normal prior, at its conditional maximum: what most of the space looks like need
    /// not be the average of points that an optimizer chose.
    Constant,
}

/// How the covariance of numbers falls with their distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KernelFunction {
    /// Matern-5/2, twice differentiable.
    #[default]
    Matern52,
    /// Squared exponential, infinitely differentiable.
    SquaredExponential,
}

/// How numbers and categories meet in the covariance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CategoryKernel {
    /// Their product: rows of other categories tell less about everything.
    #[default]
    Product,
    /// A mixture of product and sum with a fitted weight (Ru et al., "Bayesian optimisation over multiple continuous and
    /// categorical inputs", 2020).
    Mixture,
}

/// Whether numbers that are always active pass through Kumaraswamy warps before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputWarps {
    /// Never.
    #[default]
    Off,
    /// From 3 d observations on, where the posterior density of the hyperparameters is clearly higher with warps.
    Auto,
    /// From 3 d observations on.
    On,
}

/// Priors of noise, signal and the length scales of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priors {
    /// Length scales that grow with the number of columns, noise and signal as the options say.
    #[default]
    ByDimension,
    /// The wide ones of the Vizier GP bandit (Song et al., "The Vizier Gaussian process bandit algorithm", 2024), which
    /// know no dimension: normal on the logarithm of the signal variance around 0.039, of the noise variance around 0.0039 and of the
    /// squared length scales around 1/2, each with the variance 50.
    Wide,
}

/// How a Gaussian process is fitted.
///
/// | name | default | meaning |
/// |---|---|---|
/// | `warp_targets` | true | choose an output warp; otherwise standardize only |
/// | `violations` | false | targets are violations of a bound at zero: over decades they get their signed logarithm |
/// | `mean` | `Constant` | prior mean |
/// | `starts` | 3 | starts of the fit: the prior's mode and Sobol draws from the prior |
/// | `iterations` | 40 | L-BFGS steps per start |
/// | `fit_rows` | 300 | hyperparameters are fitted on at most this many rows, the best ones and an even rest |
/// | `priors` | `ByDimension` | priors of noise, signal and the length scales of numbers; the next three belong to the default |
/// | `noise_log_mean`, `noise_log_deviation` | -4, 2 | log-normal prior of the noise variance |
/// | `signal_log_deviation` | 0.25 | log-normal prior of the signal variance around one |
/// | `kernel` | `Matern52` | fall of the covariance with distance |
/// | `categories` | `Product` | how numbers and categories meet |
/// | `isotropic` | false | numbers share one length scale; with the squared exponential this is `OpenBox`'s `gp_rbf` |
/// | `warp_inputs` | `Off` | Kumaraswamy warps of numbers that are always active |
/// | `posterior_draws` | 0 | draws of the hyperparameters kept by a fit on at most 200 rows, see [`GpModel::alternatives`] |
/// | `local_rows` | 768 | rows kept by [`GaussianProcess::fit_local`] |
///
/// The noise prior is wider than the published `LogNormal(-4, 1)` and the signal variance is not fixed at one: over
/// 12 seeds each this took the median gap on Branin (50 trials) and Hartmann-6 (60 trials) below 2e-5 without more
/// runs ending in a local minimum; narrower signal priors explore more and converge worse.
///
/// Input warps took the median gap on a function of two numbers given on the wrong scale from 0.8 to 0.13 (4 seeds, 30
/// trials). Chosen by the data they cost 8 % of a suggestion and had the mean rank 1.45 against 1.55 without them over the
/// 19 problems of the suite `single` (8 seeds that nothing else was chosen on), so `bo` does that. Averages over
/// eight draws of the hyperparameters were level on nine problems of it (mean rank 1.44 against 1.56, 8 seeds) and take three
/// times the time, so they are an option. The isotropic squared exponential was worse on Branin, median gap 7e-3 against
/// 1.1e-3 (the `process_options` example of the acquisition crate).
#[derive(Debug, Clone, PartialEq)]
pub struct GpOptions {
    /// Whether an output warp is chosen.
    pub warp_targets: bool,
    /// Whether the targets are violations: at most zero where a constraint holds.
    pub violations: bool,
    /// Prior mean.
    pub mean: MeanFunction,
    /// Starts of the hyperparameter fit, at least one.
    pub starts: usize,
    /// L-BFGS steps per start.
    pub iterations: u64,
    /// Most rows used to fit hyperparameters.
    pub fit_rows: usize,
    /// Priors of noise, signal and the length scales of numbers.
    pub priors: Priors,
    /// Mean of the log noise variance, standardized targets.
    pub noise_log_mean: f64,
    /// Standard deviation of the log noise variance.
    pub noise_log_deviation: f64,
    /// Standard deviation of the log signal variance, whose mean is zero.
    pub signal_log_deviation: f64,
    /// Fall of the covariance with distance.
    pub kernel: KernelFunction,
    /// How numbers and categories meet.
    pub categories: CategoryKernel,
    /// Whether numbers share one length scale.
    pub isotropic: bool,
    /// Whether numbers are warped before they are compared.
    pub warp_inputs: InputWarps,
    /// Rows that a local model keeps.
    pub local_rows: usize,
    /// Draws of the hyperparameters that a fit on few rows keeps.
    pub posterior_draws: usize,
}

impl Default for GpOptions {
    fn default() -> Self {
        Self {
            warp_targets: true,
            violations: false,
            mean: MeanFunction::Constant,
            starts: 3,
            iterations: 40,
            fit_rows: 300,
            priors: Priors::ByDimension,
            noise_log_mean: -4.0,
            noise_log_deviation: 2.0,
            signal_log_deviation: 0.25,
            kernel: KernelFunction::Matern52,
            categories: CategoryKernel::Product,
            isotropic: false,
            warp_inputs: InputWarps::Off,
            local_rows: 768,
            posterior_draws: 0,
        }
    }
}

/// Kernel and noise parameters on the scale of the standardized targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Hyperparameters {
    /// Variance of the observation noise.
    pub noise_variance: f64,
    /// Prior variance of the process.
    pub signal_variance: f64,
    /// One length scale per column: in the unit cube for numbers, inverse radius for arcs, and the decay
    /// `exp(-1 / l)` per differing choice for categories.
    pub length_scales: Vec<f64>,
    /// Share of a half turn that the unit interval spans, in (0, 1), per column; `NAN` where the column is no arc.
    pub arc_angles: Vec<f64>,
    /// Input warps, one per column (identity where a column has none); empty when inputs are not warped.
    pub input_warps: Vec<Kumaraswamy>,
    /// Weight of the product of numbers and categories beside their sum, in (0, 1]; one without a mixture.
    pub product_weight: f64,
}
