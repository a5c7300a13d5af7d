//! Where trials fail: a Gaussian process classifier.

use super::model::{BLOCK, dot};
use super::objective::kernel_parameters;
use super::{GaussianProcess, GpOptions, InputWarps};
use crate::kernel::{Embedded, Kernel, KernelParameters};
use crate::{Layout, MeanVariance, PointGradient, Posterior, SurrogateError};
use boxwood_numeric::{
    Cholesky, DMatrix, Rows, log_normal_cdf, log_normal_cdf_slope, mix_seed, normal_cdf, normal_quantile,
};

/// Most rows of a classifier; a half at most is left to failures when there are more.
const MOST_ROWS: usize = 400;
/// Prior variances of the latent function that are compared by their marginal likelihood.
const SIGNAL_VARIANCES: [f64; 3] = [0.5, 2.0, 8.0];
/// Newton steps at most; the probit likelihood is log-concave, so few are needed.
const STEPS: usize = 30;

/// The probability that a point fails, learned from points that did and did not.
///
/// Classification with a probit likelihood by Laplace's approximation (Rasmussen and Williams, 2006, algorithms 3.1 and
/// 3.2). Length scales come from a regression on the labels, the prior variance from the approximate marginal likelihood
/// over a small grid, and the prior mean is the quantile of the smoothed share of failures, so that far from all data
/// the answer is that share.
///
/// As a [`Posterior`] it predicts the latent score plus the probit's unit noise; `P[score <= 0]` is the probability of
/// success, which is what a feasibility acquisition with the limit zero takes.
#[derive(Debug, Clone)]
pub struct FailureModel {
    layout: Layout,
    prior_mean: f64,
    /// Nothing while all points failed or none did.
    fitted: Option<Fitted>,
}

#[derive(Debug, Clone)]
struct Fitted {
    kernel: Kernel,
    parameters: KernelParameters,
    inputs: Embedded,
    laplace: Laplace,
}

/// The mode of the latent function and the curvature there.
#[derive(Debug, Clone)]
struct Laplace {
    /// Inverse covariance times the mode.
    weights: Vec<f64>,
    /// Square roots of the negative second derivatives of the log likelihood.
    roots: Vec<f64>,
    /// Factor of `I + W^1/2 K W^1/2`.
    factor: Cholesky,
    log_marginal_likelihood: f64,
}

impl FailureModel {
    /// Fits `(n, d)` rows and whether each failed.
    ///
    /// # Errors
    /// `Empty`, `Shape`, `InvalidValue` for unusable observations, `Numeric` when the linear algebra fails.
    pub fn fit(
        layout: &Layout,
        rows: &Rows,
        failed: &[bool],
        options: &GpOptions,
        seed: u64,
    ) -> Result<Self, SurrogateError> {
        let labels: Vec<f64> = failed.iter().map(|&failed| if failed { 1.0 } else { 0.0 }).collect();
        crate::layout::check_observations(layout, rows, &labels)?;
        let failures = labels.iter().sum::<f64>();
        let share = (failures + 1.0) / (labels.len() as f64 + 2.0);
        let prior_mean = normal_quantile(share);
        if failures == 0.0 || failures == labels.len() as f64 {
            return Ok(Self { layout: layout.clone(), prior_mean, fitted: None });
        }
        let kept = balanced_rows(failed, MOST_ROWS, seed);
        let part = rows.select(&kept);
        let part_labels: Vec<f64> = kept.iter().map(|&index| labels[index]).collect();
        let plain =
            GpOptions { warp_targets: false, warp_inputs: InputWarps::Off, starts: 1, ..options.clone() };
        let regression = GaussianProcess::fit(layout, &part, &part_labels, &plain, seed)?;
        let kernel = Kernel::new(layout, options);
        let mut parameters = kernel_parameters(&kernel, regression.hyperparameters());
        parameters.signal_variance = 1.0;
        let inputs = kernel.embed(&part, &parameters);
        let unit = kernel.covariance(&inputs, &parameters);
        let signs: Vec<f64> = part_labels.iter().map(|label| 2.0 * label - 1.0).collect();
        let mut best: Option<(f64, Laplace)> = None;
        for variance in SIGNAL_VARIANCES {
            let found = laplace(&(&unit * variance), &signs, prior_mean)?;
            let better = best
                .as_ref()
                .is_none_or(|(_, known)| found.log_marginal_likelihood > known.log_marginal_likelihood);
            if better {
                best = Some((variance, found));
            }
        }
        let fitted = best.map(|(variance, laplace)| {
            let parameters = KernelParameters { signal_variance: variance, ..parameters };
            Fitted { kernel, parameters, inputs, laplace }
        });
        Ok(Self { layout: layout.clone(), prior_mean, fitted })
    }

    /// The probability that each of `(m, d)` rows fails.
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for rows that do not fit.
    pub fn failure_probability(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        let prediction = self.predict(rows)?;
        let pairs = prediction.mean.iter().zip(&prediction.variance);
        Ok(pairs.map(|(mean, variance)| normal_cdf(mean / variance.sqrt())).collect())
    }
}

impl Posterior for FailureModel {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        self.layout.check(rows)?;
        let Some(fitted) = &self.fitted else {
            return Ok(MeanVariance {
                mean: vec![self.prior_mean; rows.len()],
                variance: vec![1.0; rows.len()],
            });
        };
        let points = fitted.kernel.embed(rows, &fitted.parameters);
        let (mut mean, mut variance) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for start in (0..rows.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(rows.len());
            let mut cross = fitted.kernel.cross(&fitted.inputs, &points, start, end, &fitted.parameters);
            for mut column in cross.column_iter_mut() {
                mean.push(self.prior_mean + dot(column.as_slice(), &fitted.laplace.weights));
                for (value, root) in column.iter_mut().zip(&fitted.laplace.roots) {
                    *value *= root;
                }
            }
            fitted.laplace.factor.solve_lower_block(&mut cross)?;
            for column in cross.column_iter() {
                let explained = dot(column.as_slice(), column.as_slice());
                variance.push(1.0 + (fitted.parameters.signal_variance - explained).max(0.0));
            }
        }
        Ok(MeanVariance { mean, variance })
    }

    fn predict_gradient(&self, row: &[f64]) -> Result<Option<PointGradient>, SurrogateError> {
        self.layout.check_row(0, row)?;
        let Some(fitted) = &self.fitted else {
            return Ok(Some(PointGradient {
                mean: self.prior_mean,
                variance: 1.0,
                mean_gradient: vec![0.0; row.len()],
                variance_gradient: vec![0.0; row.len()],
            }));
        };
        let mut here = Embedded::default();
        fitted.kernel.embed_row(row, &fitted.parameters, &mut here);
        let (column, slopes) = fitted.kernel.column_with_slope(&fitted.inputs, &here, &fitted.parameters);
        let mean = self.prior_mean + dot(&column, &fitted.laplace.weights);
        let roots = &fitted.laplace.roots;
        let mut solved: Vec<f64> = column.iter().zip(roots).map(|(value, root)| value * root).collect();
        fitted.laplace.factor.solve_lower(&mut solved)?;
        let left = fitted.parameters.signal_variance - dot(&solved, &solved);
        fitted.laplace.factor.solve_upper(&mut solved)?;
        for (value, root) in solved.iter_mut().zip(roots) {
            *value *= root;
        }
        let gradient = |weights: &[f64]| {
            fitted.kernel.row_gradient(&fitted.inputs, row, &here, &slopes, weights, &fitted.parameters)
        };
        let free = if left > 0.0 { -2.0 } else { 0.0 };
        Ok(Some(PointGradient {
            mean,
            variance: 1.0 + left.max(0.0),
            mean_gradient: gradient(&fitted.laplace.weights),
            variance_gradient: gradient(&solved).iter().map(|part| free * part).collect(),
        }))
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        loss
    }

    fn to_loss(&self, value: f64) -> f64 {
        value
    }
}

/// At most `limit` indices, drawn within each class, the smaller class whole where it fits into a half.
fn balanced_rows(failed: &[bool], limit: usize, seed: u64) -> Vec<usize> {
    if failed.len() <= limit {
        return (0..failed.len()).collect();
    }
    let of_class = |class: bool| {
        let mut members: Vec<usize> = (0..failed.len()).filter(|&index| failed[index] == class).collect();
        members.sort_by_key(|&index| (mix_seed(seed, index as u64), index));
        members
    };
    let (mut bad, mut good) = (of_class(true), of_class(false));
    let half = limit / 2;
    let bad_count = if bad.len() <= half {
        bad.len()
    } else if good.len() <= half {
        limit - good.len()
    } else {
        half
    };
    bad.truncate(bad_count);
    good.truncate(limit - bad.len());
    bad.extend(good);
    bad.sort_unstable();
    bad
}

/// Finds the mode by damped Newton steps; `signs` are plus one for failures and minus one otherwise.
fn laplace(covariance: &DMatrix<f64>, signs: &[f64], prior_mean: f64) -> Result<Laplace, SurrogateError> {
    let count = signs.len();
    let likelihood = |latent: &[f64]| -> f64 {
        latent.iter().zip(signs).map(|(value, sign)| log_normal_cdf(sign * (prior_mean + value))).sum()
    };
    let mut weights = vec![0.0; count];
    let mut latent = vec![0.0; count];
    let mut height = likelihood(&latent);
    let mut last = None;
    for _ in 0..STEPS {
        let (mut slopes, mut curvatures) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (value, sign) in latent.iter().zip(signs) {
            let z = sign * (prior_mean + value);
            let ratio = log_normal_cdf_slope(z);
            slopes.push(sign * ratio);
            curvatures.push((ratio * (ratio + z)).max(1e-12));
        }
        let roots: Vec<f64> = curvatures.iter().map(|value| value.sqrt()).collect();
        let mut inner = DMatrix::from_fn(count, count, |i, j| roots[i] * covariance[(i, j)] * roots[j]);
        for k in 0..count {
            inner[(k, k)] += 1.0;
        }
        let factor = Cholesky::factorize(&inner)?;
        let right: Vec<f64> = (0..count).map(|k| curvatures[k] * latent[k] + slopes[k]).collect();
        let mut solved = times(covariance, &right);
        for (value, root) in solved.iter_mut().zip(&roots) {
            *value *= root;
        }
        factor.solve(&mut solved)?;
        let goal: Vec<f64> = (0..count).map(|k| right[k] - roots[k] * solved[k]).collect();
        last = Some((roots, factor));
        // The objective is concave along the step; halving guards against overshooting.
        let mut share = 1.0;
        let mut moved = false;
        while share > 1e-3 {
            let tried: Vec<f64> =
                weights.iter().zip(&goal).map(|(old, new)| old + share * (new - old)).collect();
            let tried_latent = times(covariance, &tried);
            let value = likelihood(&tried_latent) - 0.5 * dot(&tried, &tried_latent);
            if value > height + 1e-9 {
                (weights, latent, height, moved) = (tried, tried_latent, value, true);
                break;
            }
            share *= 0.5;
        }
        if !moved {
            break;
        }
    }
    let Some((roots, factor)) = last else { return Err(SurrogateError::Empty) };
    let log_marginal_likelihood = height - 0.5 * factor.log_determinant();
    Ok(Laplace { weights, roots, factor, log_marginal_likelihood })
}

fn times(matrix: &DMatrix<f64>, vector: &[f64]) -> Vec<f64> {
    // Symmetric, so columns serve as rows.
    matrix.column_iter().map(|column| dot(column.as_slice(), vector)).collect()
}
