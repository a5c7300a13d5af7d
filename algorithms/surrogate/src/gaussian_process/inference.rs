//! Hyperparameters from data: the most probable ones, and draws around them.

use super::objective::Objective;
use super::{GpOptions, Hyperparameters, InputWarps};
use crate::SurrogateError;
use crate::kernel::Kernel;
use boxwood_numeric::{DMatrix, MinimizeOptions, Rows, minimize, mix_seed, normal_quantile, sobol_rows};

/// By how much the log posterior density must be higher with input warps.
const INPUT_WARP_MARGIN: f64 = 2.0;
/// Observations up to which hyperparameters are drawn; with more of them the posterior is narrow.
const DRAWS_UP_TO: usize = 200;
/// Step of the difference quotients of the gradient, in logarithms.
const CURVATURE_STEP: f64 = 1e-3;
/// Least curvature of the normal approximation: about that of the widest prior, which data cannot make wider.
const LEAST_CURVATURE: f64 = 0.2;
/// A draw whose density is further below the approximation's, relative to the mode, is left out.
const LEAST_LOG_WEIGHT: f64 = -7.0;
/// Largest weight of a draw beside the mode's own of one.
const LARGEST_WEIGHT: f64 = 2.0;

/// What is known about the hyperparameters.
pub(super) struct Inferred {
    /// Where their posterior density is highest among the ends of the fit.
    pub(super) mode: Hyperparameters,
    /// Draws from the posterior around the mode, with weights relative to the mode's of one.
    pub(super) draws: Vec<(Hyperparameters, f64)>,
}

/// An end of the fit: the negative log posterior density per observation, and where.
struct End {
    value: f64,
    theta: Vec<f64>,
}

/// The best end from a fixed set of starts, with or without input warps as the options and the data say, and draws.
pub(super) fn infer(
    kernel: &Kernel,
    rows: &Rows,
    values: &[f64],
    options: &GpOptions,
    starts: usize,
    seed: u64,
) -> Result<Inferred, SurrogateError> {
    let plain = Objective::new(kernel, rows, values, options);
    let warped = plain.warped().filter(|_| options.warp_inputs != InputWarps::Off);
    let start = |objective: &Objective<'_>| objective.starts(starts.max(1), seed);
    let (objective, end) = match warped {
        Some(warped) if options.warp_inputs == InputWarps::On => {
            let end = best_end(&warped, &start(&warped)?, options);
            (warped, end)
        }
        Some(warped) => {
            let without = best_end(&plain, &start(&plain)?, options);
            let with = best_end(&warped, &[warped.with_identity(&without.theta)], options);
            let margin = INPUT_WARP_MARGIN / rows.len() as f64;
            if with.value < without.value - margin { (warped, with) } else { (plain, without) }
        }
        None => {
            let end = best_end(&plain, &start(&plain)?, options);
            (plain, end)
        }
    };
    let draws = if rows.len() <= DRAWS_UP_TO {
        draws(&objective, &end, options.posterior_draws, mix_seed(seed, 1))?
    } else {
        Vec::new()
    };
    Ok(Inferred { mode: objective.unpack(&end.theta), draws })
}

/// The best end from at least one start; of equally good ones the first.
fn best_end(objective: &Objective<'_>, starts: &[Vec<f64>], options: &GpOptions) -> End {
    let limits = MinimizeOptions {
        iterations: options.iterations,
        evaluations: 2 * options.iterations as usize + 10,
        gradient_tolerance: 1e-3,
        // A hundredth of a nat over all observations.
        value_tolerance: 0.01 / objective.observations() as f64,
        first_step: 1.0,
        memory: 10,
    };
    let mut best = End { value: f64::INFINITY, theta: starts.first().cloned().unwrap_or_default() };
    for start in starts {
        let minimum = minimize(|theta| objective.evaluate(theta), start, None, &limits);
        if minimum.value < best.value - 1e-9 {
            best = End { value: minimum.value, theta: minimum.point };
        }
    }
    best
}

/// Draws from the normal approximation at the mode (Laplace's), weighted by how far the posterior's density exceeds the
/// approximation's. The curvature comes from differences of the gradient, one evaluation per hyperparameter.
fn draws(
    objective: &Objective<'_>,
    end: &End,
    count: usize,
    seed: u64,
) -> Result<Vec<(Hyperparameters, f64)>, SurrogateError> {
    let width = end.theta.len();
    if count == 0 || !end.value.is_finite() {
        return Ok(Vec::new());
    }
    let observations = objective.observations() as f64;
    let (_, gradient) = objective.evaluate(&end.theta);
    let mut curvature = DMatrix::zeros(width, width);
    for column in 0..width {
        let mut moved = end.theta.clone();
        moved[column] += CURVATURE_STEP;
        let (_, there) = objective.evaluate(&moved);
        for row in 0..width {
            curvature[(row, column)] = observations * (there[row] - gradient[row]) / CURVATURE_STEP;
        }
    }
    let symmetric = 0.5 * (&curvature + curvature.transpose());
    if !symmetric.iter().all(|value| value.is_finite()) {
        return Ok(Vec::new());
    }
    let axes = symmetric.symmetric_eigen();
    let mut found = Vec::with_capacity(count);
    for uniform in sobol_rows(count, width, seed)?.iter() {
        let mut theta = end.theta.clone();
        let mut squared = 0.0;
        for (axis, &number) in uniform.iter().enumerate() {
            let normal = normal_quantile(number.clamp(0.005, 0.995));
            squared += normal * normal;
            let step = normal / axes.eigenvalues[axis].max(LEAST_CURVATURE).sqrt();
            for (part, direction) in theta.iter_mut().zip(axes.eigenvectors.column(axis).iter()) {
                *part += step * direction;
            }
        }
        let log_weight = observations * (end.value - objective.evaluate(&theta).0) + 0.5 * squared;
        if log_weight > LEAST_LOG_WEIGHT {
            found.push((objective.unpack(&theta), log_weight.exp().min(LARGEST_WEIGHT)));
        }
    }
    Ok(found)
}
