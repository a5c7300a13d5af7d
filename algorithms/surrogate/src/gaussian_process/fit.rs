//! From observations to a fitted model.

use super::inference::{Inferred, infer};
use super::model::GpModel;
use super::{GpOptions, Hyperparameters, InputWarps};
use crate::kernel::Kernel;
use crate::layout::check_observations;
use crate::warp::{self, TargetScale, Warp};
use crate::{Layout, SurrogateError};
use boxwood_numeric::{Rows, mix_seed, normal_cdf};

/// Rows on which output warps are compared.
const WARP_ROWS: usize = 64;
/// Fewest observations from which output warps are compared.
const WARP_FROM: usize = 6;
/// By how much another warp must beat the identity, in nats over all compared rows.
const WARP_MARGIN: f64 = 1.0;

/// Gaussian process regression: Matern-5/2 with one length scale per column, categories and arcs included.
///
/// Fits are pure functions of layout, observations, options and seed.
pub struct GaussianProcess;

impl GaussianProcess {
    /// Chooses the output warp, fits hyperparameters by maximum a posteriori and factorizes all rows.
    ///
    /// `rows` is `(n, d)`; `targets` are n finite losses.
    ///
    /// # Errors
    /// `Empty`, `Shape`, `TargetNotFinite`, `InvalidValue` for unusable observations; `Numeric` when no start of the
    /// fit gives a covariance that can be factorized.
    pub fn fit(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &GpOptions,
        seed: u64,
    ) -> Result<GpModel, SurrogateError> {
        let Prepared { kernel, scale, inferred } = prepare(layout, rows, targets, options, seed)?;
        let mut model = GpModel::condition(kernel, layout, rows, targets, inferred.mode, scale, options)?;
        model.draws = inferred.draws;
        Ok(model)
    }

    /// Factorizes the rows with given hyperparameters; targets are standardized, not warped.
    ///
    /// # Errors
    /// As [`GaussianProcess::fit`]; `Shape` also when the hyperparameters do not fit the layout.
    pub fn with_hyperparameters(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        hyperparameters: Hyperparameters,
        options: &GpOptions,
    ) -> Result<GpModel, SurrogateError> {
        check_observations(layout, rows, targets)?;
        let warps = hyperparameters.input_warps.len();
        let warps = if warps == 0 { layout.len() } else { warps };
        for found in [hyperparameters.length_scales.len(), hyperparameters.arc_angles.len(), warps] {
            if found != layout.len() {
                return Err(SurrogateError::Shape { what: "hyperparameters", expected: layout.len(), found });
            }
        }
        let scale = TargetScale::standardize(Warp::Identity, targets);
        let kernel = Kernel::new(layout, options);
        GpModel::condition(kernel, layout, rows, targets, hyperparameters, scale, options)
    }
}

/// What a fit knows before it factorizes all rows.
struct Prepared {
    kernel: Kernel,
    scale: TargetScale,
    inferred: Inferred,
}

/// Chooses the output warp and infers the hyperparameters, on at most `fit_rows` of the rows.
fn prepare(
    layout: &Layout,
    rows: &Rows,
    targets: &[f64],
    options: &GpOptions,
    seed: u64,
) -> Result<Prepared, SurrogateError> {
    check_observations(layout, rows, targets)?;
    let kernel = Kernel::new(layout, options);
    let chosen = if options.warp_targets {
        choose_warp(&kernel, rows, targets, options, seed)?
    } else {
        Warp::Identity
    };
    let scale = TargetScale::standardize(chosen, targets);
    let values: Vec<f64> = targets.iter().map(|&target| scale.to_model(target)).collect();
    let inferred = match fit_subset(targets, options.fit_rows.max(2), seed) {
        None => infer(&kernel, rows, &values, options, options.starts, seed)?,
        Some(indices) => {
            let part: Vec<f64> = indices.iter().map(|&index| values[index]).collect();
            infer(&kernel, &rows.select(&indices), &part, options, options.starts, seed)?
        }
    };
    Ok(Prepared { kernel, scale, inferred })
}

/// The warp whose leave-one-out predictions describe the better half of the losses best.
///
/// The score is the censored likelihood of Diks, Panchenko and van Dijk (Journal of Econometrics, 2011): the log
/// predictive density of a loss up to the median, in units of the loss (with the Jacobian of the warp), and the log
/// probability of lying above the median for the others. It is a proper score, it looks where the optimum is, and it
/// does not need a derivative of the rank transform. Of violations that spread over decades the signed logarithms are warped.
fn choose_warp(
    kernel: &Kernel,
    rows: &Rows,
    targets: &[f64],
    options: &GpOptions,
    seed: u64,
) -> Result<Warp, SurrogateError> {
    if options.violations
        && let Some(scale) = warp::signed_log_scale(targets)
    {
        let images = warp::signed_logs(targets, scale);
        let options = GpOptions { violations: false, ..options.clone() };
        let then = Box::new(choose_warp(kernel, rows, &images, &options, seed)?);
        return Ok(Warp::SignedLog { scale, then });
    }
    if targets.len() >= 3 && warp::has_extreme_outlier(targets) {
        return Ok(warp::half_rank(targets).unwrap_or(Warp::Identity));
    }
    if targets.len() < WARP_FROM {
        return Ok(Warp::Identity);
    }
    let indices = even_ranks(targets, WARP_ROWS);
    let part_rows = rows.select(&indices);
    let part: Vec<f64> = indices.iter().map(|&index| targets[index]).collect();
    let short = GpOptions {
        iterations: options.iterations.min(15),
        warp_inputs: InputWarps::Off,
        posterior_draws: 0,
        ..options.clone()
    };
    let mut best: Option<(f64, Warp)> = None;
    for candidate in warp::candidates(targets) {
        let scale = TargetScale::standardize(candidate.clone(), &part);
        let values: Vec<f64> = part.iter().map(|&target| scale.to_model(target)).collect();
        let Inferred { mode, .. } = infer(kernel, &part_rows, &values, &short, 1, seed)?;
        let layout = Layout::default();
        let model = GpModel::condition(kernel.clone(), &layout, &part_rows, &part, mode, scale, options);
        let Ok(model) = model else { continue };
        let margin = if candidate == Warp::Identity { WARP_MARGIN } else { 0.0 };
        let score = censored_score(&model, &part) + margin;
        if score.is_finite() && best.as_ref().is_none_or(|(value, _)| score > *value) {
            best = Some((score, candidate));
        }
    }
    Ok(best.map_or(Warp::Identity, |(_, chosen)| chosen))
}

/// Sum of the censored leave-one-out scores.
fn censored_score(model: &GpModel, targets: &[f64]) -> f64 {
    let threshold = warp::median(targets);
    let scale = model.target_scale();
    let cut = scale.to_model(threshold);
    let left_out = model.leave_one_out();
    targets
        .iter()
        .zip(left_out.mean.iter().zip(&left_out.variance))
        .map(|(&target, (&mean, &variance))| {
            let deviation = variance.sqrt();
            if target <= threshold {
                let z = (scale.to_model(target) - mean) / deviation;
                -0.5 * z * z - deviation.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
                    + scale.log_slope(target)
            } else {
                normal_cdf((mean - cut) / deviation).max(1e-300).ln()
            }
        })
        .sum()
}

/// At most `count` indices, evenly spaced by rank of the target, both extremes included.
fn even_ranks(targets: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..targets.len()).collect();
    if targets.len() <= count {
        return order;
    }
    order.sort_by(|&a, &b| targets[a].total_cmp(&targets[b]).then(a.cmp(&b)));
    (0..count).map(|k| order[k * (targets.len() - 1) / (count - 1)]).collect()
}

/// The rows that hyperparameters are fitted on when there are too many: the best quarter and a drawn rest.
fn fit_subset(targets: &[f64], limit: usize, seed: u64) -> Option<Vec<usize>> {
    if targets.len() <= limit {
        return None;
    }
    let mut order: Vec<usize> = (0..targets.len()).collect();
    order.sort_by(|&a, &b| targets[a].total_cmp(&targets[b]).then(a.cmp(&b)));
    let best = limit / 4;
    order[best..].sort_by_key(|&index| (mix_seed(seed, index as u64), index));
    order.truncate(limit);
    order.sort_unstable();
    Some(order)
}
