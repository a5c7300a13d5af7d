//! Ensembles over models of earlier studies (transfer learning): RGPE, TST, POGPE, `TransBO`, and SGPR's stack.
//!
//! A source is a fitted [`Posterior`] of another study on the same columns; everything is compared through the ORDER of
//! the target's losses, so units do not matter. Do this once per objective and per constraint.

mod stack;
mod weights;

pub use stack::StackedTransfer;
pub use weights::{
    TransferWeights, agreements, rgpe_weights, trans_bo_weights, two_stage_weights, uniform_expert_weights,
};

use crate::{Combination, Ensemble, Posterior, SurrogateError};
use boxwood_numeric::normal_quantile;
use std::sync::Arc;

/// Combines sources and target with the given weights; losses are translated by the target.
///
/// RGPE adds independent parts, POGPE multiplies experts, TST keeps the target's variance: see [`Combination`].
///
/// # Errors
/// `Shape` when there is not one weight per source.
pub fn transfer_ensemble(
    sources: &[Arc<dyn Posterior>],
    target: Arc<dyn Posterior>,
    weights: &TransferWeights,
    combination: Combination,
) -> Result<Ensemble, SurrogateError> {
    if weights.sources.len() != sources.len() {
        return Err(SurrogateError::Shape {
            what: "weights of sources",
            expected: sources.len(),
            found: weights.sources.len(),
        });
    }
    let mut members: Vec<(Arc<dyn Posterior>, f64)> =
        sources.iter().cloned().zip(weights.sources.iter().copied()).collect();
    members.push((target, weights.target));
    Ensemble::new(members, combination)
}

/// Losses as normal quantiles of their ranks: the Gaussian copula by which studies of different units are compared
/// (Salinas, Shen and Perrone, "A quantile-based approach for hyperparameter transfer learning", ICML 2020).
///
/// Ranks are cut off at `1 / (4 n^(1/4) sqrt(pi ln n))` from either end, as in the paper; ties share their mean rank.
pub fn copula_values(losses: &[f64]) -> Vec<f64> {
    let count = losses.len() as f64;
    if losses.len() < 2 {
        return vec![0.0; losses.len()];
    }
    let margin = 1.0 / (4.0 * count.powf(0.25) * (std::f64::consts::PI * count.ln()).sqrt());
    let margin = margin.min(0.5 / count.sqrt());
    losses
        .iter()
        .map(|loss| {
            let below = losses.iter().filter(|other| *other < loss).count() as f64;
            let ties = losses.iter().filter(|other| *other == loss).count() as f64;
            normal_quantile(((below + 0.5 * ties) / count).clamp(margin, 1.0 - margin))
        })
        .collect()
}

#[cfg(test)]
mod tests;
