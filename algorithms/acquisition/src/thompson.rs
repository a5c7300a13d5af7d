//! Thompson sampling by joint posterior draws over a set of candidates.

use crate::AcquisitionError;
use crate::hypervolume::check_objectives;
use boxwood_numeric::{Rows, mix_seed};
use boxwood_surrogate::JointPosterior;

/// A modelled constraint of Thompson sampling: the model and its limit on the model scale.
pub type SampledConstraint<'a> = (&'a dyn JointPosterior, f64);

/// Up to `count` distinct candidates, each the best one under a joint posterior draw of its own.
///
/// With constraints, the best is the least drawn loss among the rows whose drawn constraints hold, or the row of least
/// total violation when none holds (Eriksson and Poloczek, "Scalable constrained Bayesian optimization", AISTATS 2021);
/// violations are in units of the constraints' model scales. A draw whose best row was taken already yields its next
/// best. O(c^3) for c candidates.
///
/// # Errors
/// Whatever a model reports.
pub fn thompson_choices(
    objective: &dyn JointPosterior,
    constraints: &[SampledConstraint<'_>],
    candidates: &Rows,
    count: usize,
    seed: u64,
) -> Result<Vec<usize>, AcquisitionError> {
    let count = count.min(candidates.len());
    if count == 0 {
        return Ok(Vec::new());
    }
    let losses = objective.sample_joint(candidates, count, mix_seed(seed, 0))?;
    let mut limited = Vec::with_capacity(constraints.len());
    for (index, (model, limit)) in constraints.iter().enumerate() {
        limited.push((model.sample_joint(candidates, count, mix_seed(seed, 1 + index as u64))?, *limit));
    }
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    for draw in 0..count {
        let violation = |row: usize| -> f64 {
            limited.iter().map(|(values, limit)| (values.row(draw)[row] - limit).max(0.0)).sum()
        };
        let score = |row: usize| (violation(row), losses.row(draw)[row]);
        let best = (0..candidates.len()).filter(|row| !chosen.contains(row)).map(|row| (score(row), row));
        let best = best.min_by(|((v, x), _), ((w, y), _)| v.total_cmp(w).then(x.total_cmp(y)));
        chosen.extend(best.map(|(_, row)| row));
    }
    Ok(chosen)
}

/// Up to `count` distinct candidates for several objectives: each is the least random augmented Chebyshev scalar of a
/// joint draw of all objectives (Paria, Kandasamy and Poczos, "A flexible framework for multi-objective Bayesian
/// optimization using random scalarizations", UAI 2019).
///
/// # Errors
/// Whatever a model reports.
pub fn thompson_choices_multi(
    objectives: &[&dyn JointPosterior],
    candidates: &Rows,
    count: usize,
    seed: u64,
) -> Result<Vec<usize>, AcquisitionError> {
    let count = count.min(candidates.len());
    if objectives.is_empty() {
        check_objectives(1, 0)?;
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let draws: Result<Vec<Rows>, _> = objectives
        .iter()
        .enumerate()
        .map(|(k, model)| model.sample_joint(candidates, count, mix_seed(seed, 2 * k as u64)))
        .collect();
    let draws = draws?;
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    for draw in 0..count {
        let mut losses = Rows::new(objectives.len());
        for row in 0..candidates.len() {
            losses.push_row(&draws.iter().map(|part| part.row(draw)[row]).collect::<Vec<f64>>())?;
        }
        let weights = crate::chebyshev_weights(objectives.len(), mix_seed(seed, 2 * draw as u64 + 1));
        let scalars = crate::AugmentedChebyshev::new(weights, &losses)?.scalars(&losses);
        let best = (0..candidates.len())
            .filter(|row| !chosen.contains(row))
            .min_by(|&a, &b| scalars[a].total_cmp(&scalars[b]));
        chosen.extend(best);
    }
    Ok(chosen)
}
