//! Log posterior of the hyperparameters and its gradient.

use super::{GpOptions, Hyperparameters, MeanFunction, Priors};
use crate::SurrogateError;
use crate::input_warp::Kumaraswamy;
use crate::kernel::{Kernel, KernelParameters};
use boxwood_numeric::{Cholesky, Rows, mix_seed, normal_quantile, sobol_rows};

/// Standard deviation of the log length scales (Hvarfner et al., 2024).
const LENGTH_LOG_DEVIATION: f64 = 1.732_050_807_568_877_2;
/// Standard deviation of the logs of variances and squared length scales in wide priors.
const WIDE_LOG_DEVIATION: f64 = 7.071_067_811_865_475;
/// Widest deviation by which a start of the fit is drawn.
const START_DEVIATION: f64 = 2.0;
/// Standard deviation of the log decay of a category. Wide enough for a category that decides everything beside ones that
/// do nothing: on `mixed8` after 60 trials the median gap fell from 0.33 to 0.24 (24 seeds) against a deviation of one,
/// and nothing changed clearly on the other mixed and conditional problems.
const CATEGORY_LOG_DEVIATION: f64 = 2.0;
/// Standard deviation of the log exponents of input warps.
const WARP_LOG_DEVIATION: f64 = 0.5;
/// Observations per dimension from which inputs are warped.
const WARP_FROM_PER_DIMENSION: usize = 3;
/// Floor of the noise variance on standardized targets: keeps the factor well conditioned.
const NOISE_FLOOR: f64 = 1e-9;

/// The negative log posterior per observation, as a function of
/// `theta = (ln noise, ln signal, ln length per column, logit angle per arc, ln a and ln b per warped column,
/// logit w of a mixture)`. With
/// one length for all numbers the first of the lengths is theirs, and those of the categories follow.
///
/// Priors are densities of the natural parameters, as in the papers: `LogNormal(m, s)` contributes
/// `-(theta - m)^2 / (2 s^2) - theta`, so its mode is `exp(m - s^2)`. Length scales of numbers and arcs:
/// `LogNormal(sqrt 2 + ln(d) / 2, sqrt 3)`, Hvarfner et al., "Vanilla Bayesian optimization performs great in high
/// dimensions" (2024). Categories: `ln l ~ Normal(1/2 + ln c, 2)` for c categorical columns, so that two rows which
/// differ in all of them correlate alike for every c. Angles and the weight of the product: `logit ~ Normal(0, 1)`. Exponents of input warps:
/// `ln a, ln b ~ Normal(0, 1/2)`, whose mode is the identity (Snoek et al., "Input warping for Bayesian optimization of
/// non-stationary functions", 2014).
pub(crate) struct Objective<'a> {
    kernel: &'a Kernel,
    rows: &'a Rows,
    targets: &'a [f64],
    options: &'a GpOptions,
    /// Which of the `lengths` parameters each column uses.
    length_of: Vec<usize>,
    lengths: usize,
    warped: &'a [usize],
}

impl<'a> Objective<'a> {
    pub(crate) fn new(
        kernel: &'a Kernel,
        rows: &'a Rows,
        targets: &'a [f64],
        options: &'a GpOptions,
    ) -> Self {
        let columns = rows.width();
        let (length_of, lengths) = if options.isotropic {
            let mut count = usize::from((0..columns).any(|column| !kernel.is_category(column)));
            let mut length_of = vec![0; columns];
            for column in (0..columns).filter(|&column| kernel.is_category(column)) {
                length_of[column] = count;
                count += 1;
            }
            (length_of, count)
        } else {
            ((0..columns).collect(), columns)
        };
        Self { kernel, rows, targets, options, length_of, lengths, warped: &[] }
    }

    /// The same with input warps, where there are enough observations and numbers for them.
    pub(crate) fn warped(&self) -> Option<Self> {
        let enough = self.rows.len() >= WARP_FROM_PER_DIMENSION * self.columns();
        let warped = self.kernel.warpable();
        let length_of = self.length_of.clone();
        (enough && !warped.is_empty()).then_some(Self { length_of, warped, ..*self })
    }

    /// A point of the parameters without warps as one with identity warps.
    pub(crate) fn with_identity(&self, theta: &[f64]) -> Vec<f64> {
        let at = 2 + self.lengths + self.kernel.arcs();
        let identity = vec![0.0; 2 * self.warped.len()];
        [&theta[..at], &identity, &theta[at..]].concat()
    }

    pub(crate) fn observations(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> usize {
        self.rows.width()
    }

    /// Mean and standard deviation of each normal prior, and whether the log-normal term `-theta` belongs to it.
    fn priors(&self) -> Vec<(f64, f64, bool)> {
        let category_mean = 0.5 + (self.kernel.categories().max(1) as f64).ln();
        let (mut priors, number) = match self.options.priors {
            Priors::ByDimension => {
                let noise = (self.options.noise_log_mean, self.options.noise_log_deviation, true);
                let length_mean = 2.0_f64.sqrt() + 0.5 * (self.columns().max(1) as f64).ln();
                let signal = (0.0, self.options.signal_log_deviation, true);
                (vec![noise, signal], (length_mean, LENGTH_LOG_DEVIATION, true))
            }
            Priors::Wide => {
                let wide = |center: f64| (center.ln(), WIDE_LOG_DEVIATION, false);
                (vec![wide(0.0039), wide(0.039)], (0.5 * 0.5_f64.ln(), 0.5 * WIDE_LOG_DEVIATION, false))
            }
        };
        for length in 0..self.lengths {
            let column = self.length_of.iter().position(|&index| index == length);
            priors.push(if column.is_some_and(|column| self.kernel.is_category(column)) {
                (category_mean, CATEGORY_LOG_DEVIATION, false)
            } else {
                number
            });
        }
        priors.extend(std::iter::repeat_n((0.0, 1.0, false), self.kernel.arcs()));
        priors.extend(std::iter::repeat_n((0.0, WARP_LOG_DEVIATION, false), 2 * self.warped.len()));
        priors.extend(self.kernel.is_mixed().then_some((0.0, 1.0, false)));
        priors
    }

    /// Starts of the fit: the prior's mode, then Sobol draws of one prior deviation, at most 2, around it.
    pub(crate) fn starts(&self, count: usize, seed: u64) -> Result<Vec<Vec<f64>>, SurrogateError> {
        let priors = self.priors();
        let mode: Vec<f64> = priors
            .iter()
            .map(|&(mean, deviation, natural)| if natural { mean - deviation * deviation } else { mean })
            .collect();
        let mut starts = vec![mode.clone()];
        let draws = sobol_rows(count.saturating_sub(1), priors.len(), mix_seed(seed, 0))?;
        for draw in draws.iter() {
            let start = draw.iter().zip(&priors).zip(&mode);
            starts.push(
                start
                    .map(|((&u, &(_, deviation, _)), &mode)| {
                        mode + deviation.min(START_DEVIATION) * normal_quantile(u.clamp(0.05, 0.95))
                    })
                    .collect(),
            );
        }
        Ok(starts)
    }

    pub(crate) fn unpack(&self, theta: &[f64]) -> Hyperparameters {
        let columns = self.columns();
        let mut arc_angles = vec![f64::NAN; columns];
        for (column, angle) in arc_angles.iter_mut().enumerate() {
            if let Some(arc) = self.kernel.arc_of(column) {
                *angle = logistic(theta[2 + self.lengths + arc]);
            }
        }
        let mut input_warps = Vec::new();
        if !self.warped.is_empty() {
            input_warps = vec![Kumaraswamy::default(); columns];
            let exponents = &theta[2 + self.lengths + self.kernel.arcs()..];
            for (&column, pair) in self.warped.iter().zip(exponents.chunks_exact(2)) {
                input_warps[column] = Kumaraswamy { first: pair[0].exp(), second: pair[1].exp() };
            }
        }
        Hyperparameters {
            noise_variance: NOISE_FLOOR + theta[0].exp(),
            signal_variance: theta[1].exp(),
            length_scales: self.length_of.iter().map(|&length| theta[2 + length].exp()).collect(),
            arc_angles,
            input_warps,
            product_weight: if self.kernel.is_mixed() {
                theta.last().map_or(1.0, |w| logistic(*w))
            } else {
                1.0
            },
        }
    }

    /// Value and gradient; infinite where the covariance cannot be factorized.
    pub(crate) fn evaluate(&self, theta: &[f64]) -> (f64, Vec<f64>) {
        self.try_evaluate(theta).unwrap_or_else(|_| (f64::INFINITY, vec![0.0; theta.len()]))
    }

    fn try_evaluate(&self, theta: &[f64]) -> Result<(f64, Vec<f64>), SurrogateError> {
        let hyperparameters = self.unpack(theta);
        let parameters = kernel_parameters(self.kernel, &hyperparameters);
        let n = self.rows.len();
        let inputs = self.kernel.embed(self.rows, &parameters);
        let (covariance, slope) = self.kernel.covariance_with_slope(&inputs, &parameters);
        let mut noisy = covariance.clone();
        for k in 0..n {
            noisy[(k, k)] += hyperparameters.noise_variance;
        }
        let factor = Cholesky::factorize(&noisy)?;
        let fitted = solve_targets(&factor, self.targets, self.options.mean)?;
        let mut value = -fitted.log_marginal_likelihood;
        if self.options.mean == MeanFunction::Constant {
            value += 0.5 * fitted.mean * fitted.mean;
        }

        // d(value) = -1/2 sum_ij (alpha_i alpha_j - inverse_ij) dK_ij (Rasmussen and Williams, 2006, equation 5.9).
        // The constant mean is at its optimum, so its own derivative vanishes.
        let mut weights = factor.inverse();
        for j in 0..n {
            for i in j..n {
                weights[(i, j)] -= fitted.alpha[i] * fitted.alpha[j];
            }
        }
        let trace: f64 = weights.diagonal().sum();
        let mut by_signal = 0.5 * parameters.signal_variance * trace;
        for j in 0..n {
            for i in j + 1..n {
                by_signal += weights[(i, j)] * covariance[(i, j)];
            }
        }
        let by_kernel =
            self.kernel.parameter_gradient(self.rows, &inputs, &covariance, &slope, &weights, &parameters);
        let mut gradient = vec![0.5 * trace * theta[0].exp(), by_signal];
        let mut by_length = vec![0.0; self.lengths];
        for (&length, part) in self.length_of.iter().zip(&by_kernel.log_length_scales) {
            by_length[length] += part;
        }
        gradient.extend(by_length);
        gradient
            .extend(by_kernel.arc_angles.iter().zip(&parameters.arc_angles).map(|(g, a)| g * a * (1.0 - a)));
        gradient.extend(by_kernel.log_warps.iter().flatten());
        if self.kernel.is_mixed() {
            let weight = parameters.product_weight;
            gradient.push(by_kernel.product_weight * weight * (1.0 - weight));
        }
        for ((part, &(mean, deviation, natural)), &parameter) in
            gradient.iter_mut().zip(&self.priors()).zip(theta)
        {
            let z = (parameter - mean) / deviation;
            value += 0.5 * z * z + if natural { parameter } else { 0.0 };
            *part += z / deviation + if natural { 1.0 } else { 0.0 };
        }
        let share = 1.0 / n as f64;
        for part in &mut gradient {
            *part *= share;
        }
        Ok((value * share, gradient))
    }
}

/// The kernel's part of the hyperparameters.
pub(crate) fn kernel_parameters(kernel: &Kernel, hyperparameters: &Hyperparameters) -> KernelParameters {
    KernelParameters {
        signal_variance: hyperparameters.signal_variance,
        length_scales: hyperparameters.length_scales.clone(),
        arc_angles: (0..hyperparameters.length_scales.len())
            .filter(|&column| kernel.arc_of(column).is_some())
            .map(|column| hyperparameters.arc_angles[column])
            .collect(),
        input_warps: hyperparameters.input_warps.clone(),
        product_weight: hyperparameters.product_weight,
    }
}

/// Targets seen through a factor: the mean, the weights `alpha = K^-1 (y - mean)` and the likelihood.
#[derive(Debug, Clone)]
pub(crate) struct FittedTargets {
    pub(crate) mean: f64,
    pub(crate) alpha: Vec<f64>,
    pub(crate) log_marginal_likelihood: f64,
}

/// Solves for the targets (Rasmussen and Williams, 2006, algorithm 2.1).
pub(crate) fn solve_targets(
    factor: &Cholesky,
    targets: &[f64],
    mean: MeanFunction,
) -> Result<FittedTargets, SurrogateError> {
    let mut alpha = targets.to_vec();
    factor.solve(&mut alpha)?;
    let mean = match mean {
        MeanFunction::Zero => 0.0,
        MeanFunction::Constant => {
            let mut ones = vec![1.0; targets.len()];
            factor.solve(&mut ones)?;
            // The maximum of the likelihood times a standard normal prior of the constant.
            let constant = alpha.iter().sum::<f64>() / (ones.iter().sum::<f64>() + 1.0);
            for (weight, one) in alpha.iter_mut().zip(&ones) {
                *weight -= constant * one;
            }
            constant
        }
    };
    let quadratic: f64 = targets.iter().zip(&alpha).map(|(y, a)| (y - mean) * a).sum();
    let normalizer = targets.len() as f64 * (2.0 * std::f64::consts::PI).ln();
    let log_marginal_likelihood = -0.5 * (quadratic + factor.log_determinant() + normalizer);
    Ok(FittedTargets { mean, alpha, log_marginal_likelihood })
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
