//! The trees of one plan.

use std::sync::Arc;

use boxwood_acquisition::{Acquisition, Budget, Candidate, Constrained, Feasibility, LogExpectedImprovement};
use boxwood_core::{Rung, Seed, SolverError};
use boxwood_numeric::Rows;
use boxwood_surrogate::{Layout, TreeEnsemble, is_noisy, refit_length};

use super::Trees;
use crate::history::Known;
use crate::sampler::candidates::Candidates;
use crate::sampler::model::{Training, best_unknown, fence, numeric, predict_loss};
use crate::sampler::{Proposal, Request};

/// Best results among whose means is the one to beat, so that a proposal costs about the same at any number of results.
const LEADING: usize = 256;

/// Trees which take in pending points as they are chosen.
pub(super) struct State<M> {
    training: Training,
    objective: M,
    constraints: Vec<M>,
    /// For people.
    name: &'static str,
    noisy: bool,
    /// Points of this plan that the trees have taken in.
    believed: usize,
}

/// Finds a row by an acquisition; the other rows are the best ones so far, best first.
pub(super) type Find<'a> = dyn FnMut(&dyn Acquisition, &Rows) -> Result<Option<Candidate>, SolverError> + 'a;

impl<M: TreeEnsemble> State<M> {
    /// Trees on the results of a rung, with what is pending believed.
    pub(super) fn of(
        request: &Request<'_>,
        rung: Rung,
        layout: &Layout,
        trees: &Trees<'_, M>,
    ) -> Result<Self, SolverError> {
        let training = Training::new(&request.history.levels[rung.0 as usize], layout.len())?;
        let waiting = request.history.pending.iter().filter(|trial| trial.result(rung).is_none());
        let pending: Vec<&[f64]> = waiting.map(|trial| trial.encoded.as_slice()).collect();
        let seed = Seed(request.view.problem().seed()).derive("forest", 0);
        let mut grown = Self::grow(layout, training, seed, trees)?;
        grown.believe(&pending)?;
        Ok(grown)
    }

    fn grow(
        layout: &Layout,
        training: Training,
        seed: Seed,
        trees: &Trees<'_, M>,
    ) -> Result<Self, SolverError> {
        let (rows, measured) = (&training.rows, training.measured);
        let grown = refit_length(measured);
        let failed_grown = measured + refit_length(rows.len() - measured);
        let losses = training.measured_losses();
        let noisy = is_noisy(layout, rows, losses, grown, seed.derive("noise", 0).0, trees.noise)
            .map_err(|error| numeric(&error))?;
        let options = if noisy { &trees.averaging } else { &trees.options };
        let fit = |rows: &Rows, targets: &[f64], count: usize, seed: Seed, options: &M::Options| {
            let forest = trees.cache.fit(layout, rows, targets, count, options, seed.0);
            forest.map(Arc::unwrap_or_clone).map_err(|error| numeric(&error))
        };
        let mut constraints = Vec::with_capacity(training.violations.len());
        for (index, violations) in training.violations.iter().enumerate() {
            let mut forest =
                fit(rows, violations, grown, seed.derive("constraint", index as u64), &trees.options)?;
            let rest = forest.absorb(&rows.slice(grown, measured), &violations[grown..]);
            rest.map_err(|error| numeric(&error))?;
            constraints.push(forest);
        }
        let mut objective = if rows.len() == measured {
            fit(rows, &training.losses, grown, seed, options)?
        } else {
            // Failures have the loss that the results in the same part of the data give them.
            let mut first = rows.slice(0, grown);
            first.push_rows(&rows.slice(measured, failed_grown)).map_err(|error| numeric(&error))?;
            let mut losses = training.losses[..grown].to_vec();
            losses.resize(first.len(), fence(&losses).unwrap_or(0.0));
            fit(&first, &losses, first.len(), seed, options)?
        };
        for (from, to) in [(grown, measured), (failed_grown, rows.len())] {
            let rest = objective.absorb(&rows.slice(from, to), &training.losses[from..to]);
            rest.map_err(|error| numeric(&error))?;
        }
        Ok(Self { training, objective, constraints, name: trees.name, noisy, believed: 0 })
    }

    fn believe(&mut self, pending: &[&[f64]]) -> Result<(), SolverError> {
        let rows = Rows::from_rows(self.training.rows.width(), pending).map_err(|error| numeric(&error))?;
        for forest in std::iter::once(&mut self.objective).chain(&mut self.constraints) {
            forest.believe(&rows).map_err(|error| numeric(&error))?;
        }
        Ok(())
    }

    /// Believes the points that this plan has chosen since.
    pub(super) fn believe_chosen(&mut self, chosen: &[Vec<f64>]) -> Result<(), SolverError> {
        let new: Vec<&[f64]> = chosen[self.believed..].iter().map(Vec::as_slice).collect();
        self.believe(&new)?;
        self.believed = chosen.len();
        Ok(())
    }

    /// Finds a row by the improvement that is expected of it, times the probability that it holds; before the first
    /// feasible result by that probability alone.
    pub(super) fn choose(&self, find: &mut Find<'_>) -> Result<Option<Proposal>, SolverError> {
        let training = &self.training;
        // Under noise the luckiest result is not the best one; without it, trees return what was measured.
        let leading = training.leading(LEADING);
        let means = self.objective.predict_mean(&leading.rows).map_err(|error| numeric(&error))?;
        let holds = |row: &usize| leading.violations.iter().all(|values| values[*row] <= 0.0);
        let best = (0..leading.measured).filter(holds).map(|row| means[row]).reduce(f64::min);
        let improvement = best.map(|best| LogExpectedImprovement::new(&self.objective, best));
        let starts = leading.with_losses(&means).best_rows();
        let mut feasibility = Feasibility::new();
        for constraint in &self.constraints {
            feasibility = feasibility.with_constraint(constraint, 0.0);
        }
        let constrained =
            Constrained::new(improvement.as_ref().map(|value| value as &dyn Acquisition), &feasibility);
        let acquisition: &dyn Acquisition = match &improvement {
            Some(improvement) if feasibility.is_empty() => improvement,
            _ => &constrained,
        };
        let found = find(acquisition, &starts)?;
        let results = if self.noisy { "noisy results" } else { "results" };
        Ok(found.map(|candidate| Proposal {
            prediction: predict_loss(&self.objective, &candidate.row),
            acquisition: Some(candidate.value),
            log_improvement: improvement.is_some().then_some(candidate.value),
            model: Some(format!("{} on {} {results}", self.name, training.measured)),
            ..Proposal::plain(candidate.row, "forest")
        }))
    }

    pub(super) fn pick(
        &self,
        space: &Candidates<'_>,
        budget: &Budget,
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Proposal>, SolverError> {
        self.choose(&mut |acquisition, starts| best_unknown(acquisition, space, starts, budget, seed, known))
    }
}
