//! From observations to a fitted model.

use super::GpAverage;
use super::model::GpModel;
use super::objective::Objective;
use super::{GpOptions, Hyperparameters, InputWarps};
use crate::kernel::Kernel;
use crate::layout::check_observations;
use crate::warp::{self, TargetScale, Warp};
use crate::{Layout, SurrogateError};
use boxwood_numeric::{MinimizeOptions, Rows, minimize, mix_seed, normal_cdf};

/// Rows on which output warps are compared.
const WARP_ROWS: usize = 64;
/// Fewest observations from which output warps are compared.
const WARP_FROM: usize = 6;
/// Largest difference of a log hyperparameter between two ends of the fit that count as one mode.
const SAME_MODE: f64 = 0.5;
/// Modes with a smaller posterior relative to the best one are left out of an average.
const SMALLEST_MODE_WEIGHT: f64 = 1e-3;
/// By how much the log posterior density must be higher with input warps.
const INPUT_WARP_MARGIN: f64 = 2.0;
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
        let Prepared { kernel, scale, modes } = prepare(layout, rows, targets, options, seed)?;
        let best = modes.into_iter().next().ok_or(SurrogateError::Empty)?;
        let mut model =
            GpModel::condition(kernel, layout, rows, targets, best.hyperparameters, scale, options)?;
        model.alternatives = best.alternatives;
        Ok(model)
    }

    /// As [`GaussianProcess::fit`], but averages over the distinct local modes that the starts of the fit reach, weighted
    /// by their posterior density: a cheap step from the best hyperparameters toward all plausible ones.
    ///
    /// # Errors
    /// As [`GaussianProcess::fit`].
    pub fn fit_average(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &GpOptions,
        seed: u64,
    ) -> Result<GpAverage, SurrogateError> {
        let Prepared { kernel, scale, modes } = prepare(layout, rows, targets, options, seed)?;
        let highest = modes.first().map_or(0.0, |mode| mode.log_density);
        let mut members = Vec::with_capacity(modes.len());
        for mode in modes {
            let weight = (mode.log_density - highest).exp();
            if weight < SMALLEST_MODE_WEIGHT {
                continue;
            }
            let model = GpModel::condition(
                kernel.clone(),
                layout,
                rows,
                targets,
                mode.hyperparameters,
                scale.clone(),
                options,
            )?;
            members.push((model, weight));
        }
        GpAverage::new(members)
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

/// A local maximum of the hyperparameters' posterior.
struct Mode {
    hyperparameters: Hyperparameters,
    /// Log posterior density up to a constant, over all rows of the fit.
    log_density: f64,
    /// Where the fit ended.
    theta: Vec<f64>,
    /// Draws from the posterior around the mode, with their weights.
    alternatives: Vec<(Hyperparameters, f64)>,
}

/// What a fit knows before it factorizes all rows.
struct Prepared {
    kernel: Kernel,
    scale: TargetScale,
    /// Distinct modes, best first.
    modes: Vec<Mode>,
}

/// Chooses the output warp and finds the modes, on at most `fit_rows` of the rows.
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
    let modes = match fit_subset(targets, options.fit_rows.max(2), seed) {
        None => maximum_a_posteriori(&kernel, rows, &values, options, options.starts, seed)?,
        Some(indices) => {
            let part: Vec<f64> = indices.iter().map(|&index| values[index]).collect();
            maximum_a_posteriori(&kernel, &rows.select(&indices), &part, options, options.starts, seed)?
        }
    };
    Ok(Prepared { kernel, scale, modes })
}

/// Modes of the posterior over a fixed set of starts, best first; all of them with input warps or all without.
fn maximum_a_posteriori(
    kernel: &Kernel,
    rows: &Rows,
    values: &[f64],
    options: &GpOptions,
    starts: usize,
    seed: u64,
) -> Result<Vec<Mode>, SurrogateError> {
    let plain = Objective::new(kernel, rows, values, options);
    let warped = plain.warped().filter(|_| options.warp_inputs != InputWarps::Off);
    if let Some(warped) = warped.as_ref().filter(|_| options.warp_inputs == InputWarps::On) {
        return with_draws(
            warped,
            modes(warped, &warped.starts(starts.max(1), seed)?, options),
            options,
            seed,
        );
    }
    let found = modes(&plain, &plain.starts(starts.max(1), seed)?, options);
    if let Some((warped, best)) = warped.as_ref().zip(found.first()) {
        let with = modes(warped, &[warped.with_identity(&best.theta)], options);
        if with.first().is_some_and(|mode| mode.log_density > best.log_density + INPUT_WARP_MARGIN) {
            return with_draws(warped, with, options, seed);
        }
    }
    with_draws(&plain, found, options, seed)
}

fn with_draws(
    objective: &Objective<'_>,
    mut modes: Vec<Mode>,
    options: &GpOptions,
    seed: u64,
) -> Result<Vec<Mode>, SurrogateError> {
    if options.posterior_draws > 0 && objective.observations() <= 200 {
        if let Some(best) = modes.first_mut() {
            best.alternatives = laplace_draws(objective, &best.theta, options.posterior_draws, seed)?;
        }
    }
    Ok(modes)
}

fn laplace_draws(
    objective: &Objective<'_>,
    mode: &[f64],
    count: usize,
    seed: u64,
) -> Result<Vec<(Hyperparameters, f64)>, SurrogateError> {
    let n = objective.observations() as f64;
    let d = mode.len();
    let (value, gradient) = objective.evaluate(mode);
    let step = 1e-3;
    let mut curvature = boxwood_numeric::DMatrix::zeros(d, d);
    for j in 0..d {
        let mut moved = mode.to_vec();
        moved[j] += step;
        let (_, there) = objective.evaluate(&moved);
        for i in 0..d {
            curvature[(i, j)] = n * (there[i] - gradient[i]) / step;
        }
    }
    let curvature = 0.5 * (&curvature + curvature.transpose());
    let eigen = curvature.symmetric_eigen();
    let normals = boxwood_numeric::sobol_rows(count, d, mix_seed(seed, 77))?;
    let mut draws = Vec::new();
    for row in normals.iter() {
        let mut theta = mode.to_vec();
        let mut square = 0.0;
        for k in 0..d {
            let z = boxwood_numeric::normal_quantile(row[k].clamp(0.005, 0.995));
            square += z * z;
            let scale = z / eigen.eigenvalues[k].max(0.2).sqrt();
            for i in 0..d {
                theta[i] += scale * eigen.eigenvectors[(i, k)];
            }
        }
        let (there, _) = objective.evaluate(&theta);
        let log_weight = (-n * (there - value) + 0.5 * square).min(0.7);
        if log_weight > -7.0 {
            draws.push((objective.unpack(&theta), log_weight.exp()));
        }
    }
    Ok(draws)
}

/// Distinct ends of the fit from these starts, best first.
fn modes(objective: &Objective<'_>, starts: &[Vec<f64>], options: &GpOptions) -> Vec<Mode> {
    let count = objective.observations() as f64;
    let limits = MinimizeOptions {
        iterations: options.iterations,
        evaluations: 2 * options.iterations as usize + 10,
        gradient_tolerance: 1e-3,
        // A hundredth of a nat over all observations.
        value_tolerance: 0.01 / count,
        first_step: 1.0,
        memory: 10,
    };
    let mut found: Vec<(f64, Vec<f64>)> = Vec::new();
    for start in starts {
        let minimum = minimize(|theta| objective.evaluate(theta), start, None, &limits);
        // An earlier start that is as good stays in front.
        let place = found.partition_point(|(value, _)| *value <= minimum.value + 1e-9);
        found.insert(place, (minimum.value, minimum.point));
    }
    let mut modes: Vec<Mode> = Vec::new();
    for (value, theta) in found {
        let far = |other: &Mode| other.theta.iter().zip(&theta).any(|(a, b)| (a - b).abs() > SAME_MODE);
        if modes.iter().all(far) {
            let hyperparameters = objective.unpack(&theta);
            modes.push(Mode {
                hyperparameters,
                log_density: -count * value,
                theta,
                alternatives: Vec::new(),
            });
        }
    }
    modes
}

/// The warp whose leave-one-out predictions describe the better half of the losses best.
///
/// The score is the censored likelihood of Diks, Panchenko and van Dijk (Journal of Econometrics, 2011): the log
/// predictive density of a loss up to the median, in units of the loss (with the Jacobian of the warp), and the log
/// probability of lying above the median for the others. It is a proper score, it looks where the optimum is, and it
/// does not need a derivative of the rank transform.
fn choose_warp(
    kernel: &Kernel,
    rows: &Rows,
    targets: &[f64],
    options: &GpOptions,
    seed: u64,
) -> Result<Warp, SurrogateError> {
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
        let modes = maximum_a_posteriori(kernel, &part_rows, &values, &short, 1, seed)?;
        let Some(Mode { hyperparameters, .. }) = modes.into_iter().next() else { continue };
        let layout = Layout::default();
        let model =
            GpModel::condition(kernel.clone(), &layout, &part_rows, &part, hyperparameters, scale, options);
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
