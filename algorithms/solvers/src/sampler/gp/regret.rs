//! How much better than the best result the best possible one may still be.

use boxwood_acquisition::{AcquisitionError, Budget, LowerConfidenceBound, maximize};
use boxwood_core::Seed;
use boxwood_surrogate::Posterior;

use super::models::Models;
use crate::sampler::model::Candidates;

/// Probability that the bounds fail, and the factor by which the squared multiplier is lowered: both as in the paper,
/// which follows Srinivas et al. (2010).
const FAILURE_PROBABILITY: f64 = 0.1;
const SCALE: f64 = 0.2;
/// Share of the work of a proposal that the search for the least lower bound takes: one in so many. A search that falls
/// short gives a bound that is too low; the rule that reads it therefore asks for several in a row, each from other
/// candidates.
const SHARE: usize = 24;

/// Bound on the simple regret of the best result, in units of the loss: the least upper confidence bound among the best
/// observed rows, less the least lower confidence bound in the space (Makarova et al., "Automatic termination for
/// hyperparameter optimization", 2022, equation 3). Nothing where the model has no bound that is a loss.
///
/// The multiplier is `sqrt(SCALE * 2 ln(d n^2 pi^2 / (6 p)))` for n results, d dimensions and the failure probability p.
/// `whole` is the work of the proposal beside which the bound is computed.
pub(super) fn regret_bound(
    models: &Models,
    space: &Candidates<'_>,
    whole: &Budget,
    seed: Seed,
) -> Option<f64> {
    bound(models, space, whole, seed).ok().flatten()
}

fn bound(
    models: &Models,
    space: &Candidates<'_>,
    whole: &Budget,
    seed: Seed,
) -> Result<Option<f64>, AcquisitionError> {
    let Some(model) = models.plain.first() else { return Ok(None) };
    let search = Budget {
        candidates: (whole.candidates / SHARE).max(12),
        refined: 1,
        gradient_evaluations: (whole.refined * whole.gradient_evaluations / SHARE).max(4),
        exchange_rounds: 1,
        results: 1,
    };
    let starts = models.observations.starts();
    let starts = starts.slice(0, starts.len().min(search.candidates / 6));
    let count = (models.observations.measured.max(1) as f64).powi(2) * space.layout().len().max(1) as f64;
    let squared = 2.0 * (count * std::f64::consts::PI.powi(2) / (6.0 * FAILURE_PROBABILITY)).ln();
    let multiplier = (SCALE * squared).sqrt();
    let seen = model.predict(&starts)?;
    let upper =
        seen.mean.iter().zip(&seen.variance).map(|(mean, variance)| mean + multiplier * variance.sqrt());
    let Some(upper) = upper.reduce(f64::min) else { return Ok(None) };
    let lowest = LowerConfidenceBound::new(model, multiplier);
    let found = maximize(&lowest, space, &starts, &search, seed.derive("regret", 0).0)?;
    let Some(lower) = found.first().map(|candidate| -candidate.value) else { return Ok(None) };
    let bound = model.to_loss(upper) - model.to_loss(lower.min(upper));
    Ok(bound.is_finite().then_some(bound))
}
