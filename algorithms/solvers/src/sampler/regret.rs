//! How much better than the best result the best possible one may still be.
//!
//! Letters: n results, d encoded dimensions.

use boxwood_acquisition::{Acquisition, AcquisitionError, Budget, LowerConfidenceBound, maximize};
use boxwood_core::Seed;
use boxwood_numeric::Rows;
use boxwood_surrogate::Posterior;

use super::model::Candidates;
use crate::history::Entry;

/// Probability that the bounds fail, and the factor by which the squared multiplier is lowered: both as in the paper,
/// which follows Srinivas et al. (2010).
const FAILURE_PROBABILITY: f64 = 0.1;
const SCALE: f64 = 0.2;
/// Share of the work of a proposal that the search for the least lower bound takes: one in so many. A search that falls
/// short gives a bound that is too low; the rule that reads it therefore asks for several in a row, each from other
/// candidates.
const SHARE: usize = 24;
/// Loss per unit by which a point breaks a constraint even at the lower bound of its violation, model scales. Any weight
/// gives a bound of the constrained minimum, a lower one a larger bound; 2, 10 and 100 were level.
const BROKEN: f64 = 10.0;

/// Factor by which a model's deviations are too small to trust where it looks for better points, at least one.
///
/// A model that does not expect what a function does (a funnel, ripples that pass for noise) is seldom wrong on average,
/// but wrong about its own proposals, which turn out better than it thought possible. Each proposal that was measured is a
/// test that it had not seen: with z by how many deviations, noise included, the result lay below the prediction, the
/// factor is the root of twice the mean of max(z, 0)^2, one more test with its expectation of one added. It is one for a
/// calibrated model. `entries` are full results; those count whose proposals came with a bound, so that the prediction
/// was one of the full result. `noise_variance` is the model's, model scale.
pub(super) fn caution(objective: &dyn Posterior, noise_variance: f64, entries: &[Entry<'_>]) -> f64 {
    let surprise = |entry: &Entry<'_>| {
        let said = &entry.trial.provenance;
        said.regret_bound?;
        let (mean, deviation) = (said.predicted_mean?, said.predicted_deviation?);
        let scale = |loss: f64| objective.to_model_scale(loss);
        let variance = ((scale(mean + deviation) - scale(mean - deviation)) / 2.0).powi(2) + noise_variance;
        let surprise = (scale(mean) - scale(entry.loss())).max(0.0).powi(2) / variance;
        surprise.is_finite().then_some(surprise)
    };
    let surprises: Vec<f64> = entries.iter().filter_map(surprise).collect();
    let mean = (1.0 + 2.0 * surprises.iter().sum::<f64>()) / (1.0 + surprises.len() as f64);
    mean.sqrt().max(1.0)
}

/// What a bound is made from: models without pending points, and results at full resource.
pub(super) struct Evidence<'a> {
    /// The loss.
    pub(super) objective: &'a dyn Posterior,
    /// The violation of each constraint.
    pub(super) constraints: Vec<&'a dyn Posterior>,
    /// Rows that were measured and satisfy every constraint, best first.
    pub(super) feasible: Rows,
    /// Number of results, n.
    pub(super) results: usize,
    /// Factor of the models' deviations, at least one; see [`caution`].
    pub(super) caution: f64,
}

/// The loss at its lower confidence bound, with a penalty where a constraint is broken at that of its violation.
struct Optimism<'a> {
    loss: LowerConfidenceBound<'a>,
    /// Bounds of the violations with the model scale's zero.
    violations: Vec<(LowerConfidenceBound<'a>, f64)>,
}

impl Acquisition for Optimism<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let mut values = self.loss.log_value(rows)?;
        for (violation, zero) in &self.violations {
            for (value, room) in values.iter_mut().zip(violation.log_value(rows)?) {
                *value += BROKEN * (room + zero).min(0.0);
            }
        }
        Ok(values)
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let Some((mut value, mut gradient)) = self.loss.log_value_gradient(row)? else { return Ok(None) };
        for (violation, zero) in &self.violations {
            let Some((room, slope)) = violation.log_value_gradient(row)? else { return Ok(None) };
            if room + zero < 0.0 {
                value += BROKEN * (room + zero);
                for (sum, part) in gradient.iter_mut().zip(slope) {
                    *sum += BROKEN * part;
                }
            }
        }
        Ok(Some((value, gradient)))
    }
}

impl Evidence<'_> {
    /// Bound on the simple regret of the best result, in units of the loss: the least upper confidence bound among the
    /// best feasible rows, less the least lower confidence bound in the space (Makarova et al., "Automatic termination for
    /// hyperparameter optimization", 2022, equation 3). With constraints, points whose violations cannot be zero by their own
    /// lower bounds are penalized: what is left is at most the least lower bound among the points that may be feasible.
    /// Nothing before a feasible result, or where the bound is no loss.
    ///
    /// The multiplier is `sqrt(SCALE * 2 ln(d n^2 pi^2 / (6 p)))` for the failure probability p, with constraints shared
    /// among all models, times the caution. `whole` is the work of the proposal beside which the bound is computed.
    pub(super) fn regret_bound(&self, space: &Candidates<'_>, whole: &Budget, seed: Seed) -> Option<f64> {
        self.bound(space, whole, seed).ok().flatten()
    }

    fn bound(
        &self,
        space: &Candidates<'_>,
        whole: &Budget,
        seed: Seed,
    ) -> Result<Option<f64>, AcquisitionError> {
        let search = Budget {
            candidates: (whole.candidates / SHARE).max(12),
            refined: 1,
            gradient_evaluations: (whole.refined * whole.gradient_evaluations / SHARE).max(4),
            exchange_rounds: 1,
            results: 1,
        };
        let starts = self.feasible.slice(0, self.feasible.len().min(search.candidates / 6));
        let multiplier = self.multiplier(space.layout().len());
        let seen = self.objective.predict(&starts)?;
        let upper =
            seen.mean.iter().zip(&seen.variance).map(|(mean, variance)| mean + multiplier * variance.sqrt());
        let Some(upper) = upper.reduce(f64::min) else { return Ok(None) };
        let bounded = |model| LowerConfidenceBound::new(model, multiplier);
        let optimism = Optimism {
            loss: bounded(self.objective),
            violations: self
                .constraints
                .iter()
                .map(|model| (bounded(*model), model.to_model_scale(0.0)))
                .collect(),
        };
        let found = maximize(&optimism, space, &starts, &search, seed.derive("regret", 0).0)?;
        let Some(best) = found.first() else { return Ok(None) };
        let bound = self.objective.to_loss(upper) - self.objective.to_loss((-best.value).min(upper));
        Ok(bound.is_finite().then_some(bound))
    }

    fn multiplier(&self, dimensions: usize) -> f64 {
        let models = (1 + self.constraints.len()) as f64;
        let count = (self.results.max(1) as f64).powi(2) * dimensions.max(1) as f64 * models;
        let squared = 2.0 * (count * std::f64::consts::PI.powi(2) / (6.0 * FAILURE_PROBABILITY)).ln();
        self.caution * (SCALE * squared).sqrt()
    }
}
