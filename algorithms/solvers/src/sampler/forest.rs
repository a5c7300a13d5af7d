//! Sequential model-based optimization with a random forest, in the manner of SMAC.

use std::sync::Arc;

use boxwood_acquisition::{Acquisition, Budget, Candidate, Constrained, Feasibility, LogExpectedImprovement};
use boxwood_core::{Problem, Rung, Seed, Signal, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{
    Forest, ForestCache, ForestOptions, Layout, Posterior, SurrogateError, refit_length,
};

use super::gp::one_objective;
use super::model::{Candidates, Design, Training, best_unknown, fence, layout, mix, numeric, predict_loss};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Rows scored per proposal. Trees are constant between their cuts, so that more rows or an exchange from the best ones
/// found no better points on eight problems of the suite `single`.
const CANDIDATES: usize = 600;

/// Share of random points: SMAC interleaves them.
pub(crate) const RANDOM_PARAMETERS: &[ParameterInfo] = &[ParameterInfo {
    name: "random_fraction",
    kind: ParameterKind::Number { default: 0.03, low: 0.0, high: 1.0 },
    meaning: "Share of points drawn at random once the model is used.",
}];

/// Forest of randomized trees + log expected improvement (Hutter et al., 2011).
///
/// Trees are grown again whenever the results have become a twentieth more ([`refit_length`]); in between, results go
/// to the leaves, and so do pending points, in the belief that they return what the forest predicts. Constraints have a
/// forest each, whose spread gives the probability that they hold; before the first feasible point those alone are
/// maximized. Failed points take part with a bad loss.
#[derive(Debug)]
pub(crate) struct ForestSampler {
    design: Design,
    cache: ForestCache,
}

impl ForestSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        Ok(Self { design: Design::read(parameters)?, cache: ForestCache::default() })
    }

    /// Work of one maximization: a prediction costs about the same at any number of results.
    fn budget(&self) -> Budget {
        let candidates = if self.design.candidates == 0 { CANDIDATES } else { self.design.candidates };
        Budget { candidates, refined: 0, ..Budget::default() }
    }
}

/// A forest that takes part of its rows on belief: in its leaves they return what it predicts.
pub(crate) fn fit_believing(
    layout: &Layout,
    rows: &Rows,
    losses: &[f64],
    pending: &Rows,
    seed: Seed,
) -> Result<Forest, SurrogateError> {
    let mut forest = Forest::fit(layout, rows, losses, &ForestOptions::default(), seed.0)?;
    forest.believe(pending)?;
    Ok(forest)
}

impl Sampler for ForestSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        one_objective(problem)
    }

    fn tells(&self, _: &Problem, signal: Signal) -> Result<(), String> {
        match signal {
            Signal::ExpectedImprovement => self.design.models(),
            Signal::RegretBound => Err("a forest knows no bound on the loss away from its results".into()),
        }
    }

    fn starts_from_default(&self, _problem: &Problem) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let space = Candidates::new(request.view.problem().space());
        let width = space.layout().len();
        let rung = request.history.model_rung(width + 2);
        let level = rung.map(|rung| &request.history.levels[rung.0 as usize]);
        let ready = level.is_some_and(|level| level.entries.len() >= 2);
        let mut state: Option<State> = None;
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            let Some(rung) = rung else { return Ok(None) };
            if state.is_none() {
                state = Some(State::of(request, rung, space.layout(), &self.cache)?);
            }
            let state = state.as_mut().expect("grown just above");
            state.believe_chosen(chosen)?;
            state.pick(&space, &self.budget(), seed, known)
        };
        mix(request, known, &self.design, ready, &mut pick)
    }
}

/// Forests of one plan, which take in pending points as they are chosen.
struct State {
    training: Training,
    objective: Forest,
    constraints: Vec<Forest>,
    /// Points of this plan that the forests have taken in.
    believed: usize,
}

impl State {
    /// Forests on the results of a rung, with what is pending believed.
    fn of(
        request: &Request<'_>,
        rung: Rung,
        layout: &Layout,
        cache: &ForestCache,
    ) -> Result<Self, SolverError> {
        let training = Training::new(&request.history.levels[rung.0 as usize], layout.len())?;
        let waiting = request.history.pending.iter().filter(|trial| trial.result(rung).is_none());
        let pending: Vec<&[f64]> = waiting.map(|trial| trial.encoded.as_slice()).collect();
        let seed = Seed(request.view.problem().seed()).derive("forest", 0);
        let mut grown = Self::grow(layout, training, seed, cache)?;
        grown.believe(&pending)?;
        Ok(grown)
    }

    fn grow(
        layout: &Layout,
        training: Training,
        seed: Seed,
        cache: &ForestCache,
    ) -> Result<Self, SolverError> {
        let (rows, measured) = (&training.rows, training.measured);
        let grown = refit_length(measured);
        let failed_grown = measured + refit_length(rows.len() - measured);
        let fit = |rows: &Rows, targets: &[f64], count: usize, seed: Seed| {
            let forest = cache.fit(layout, rows, targets, count, &ForestOptions::default(), seed.0);
            forest.map(Arc::unwrap_or_clone).map_err(|error| numeric(&error))
        };
        let mut constraints = Vec::with_capacity(training.violations.len());
        for (index, violations) in training.violations.iter().enumerate() {
            let mut forest = fit(rows, violations, grown, seed.derive("constraint", index as u64))?;
            let rest = forest.absorb(&rows.slice(grown, measured), &violations[grown..]);
            rest.map_err(|error| numeric(&error))?;
            constraints.push(forest);
        }
        let mut objective = if rows.len() == measured {
            fit(rows, &training.losses, grown, seed)?
        } else {
            // Failures have the loss that the results in the same part of the data give them.
            let mut first = rows.slice(0, grown);
            first.push_rows(&rows.slice(measured, failed_grown)).map_err(|error| numeric(&error))?;
            let mut losses = training.losses[..grown].to_vec();
            losses.resize(first.len(), fence(&losses).unwrap_or(0.0));
            fit(&first, &losses, first.len(), seed)?
        };
        for (from, to) in [(grown, measured), (failed_grown, rows.len())] {
            let rest = objective.absorb(&rows.slice(from, to), &training.losses[from..to]);
            rest.map_err(|error| numeric(&error))?;
        }
        Ok(Self { training, objective, constraints, believed: 0 })
    }

    fn believe(&mut self, pending: &[&[f64]]) -> Result<(), SolverError> {
        let rows = Rows::from_rows(self.training.rows.width(), pending).map_err(|error| numeric(&error))?;
        for forest in std::iter::once(&mut self.objective).chain(&mut self.constraints) {
            forest.believe(&rows).map_err(|error| numeric(&error))?;
        }
        Ok(())
    }

    /// Believes the points that this plan has chosen since.
    fn believe_chosen(&mut self, chosen: &[Vec<f64>]) -> Result<(), SolverError> {
        let new: Vec<&[f64]> = chosen[self.believed..].iter().map(Vec::as_slice).collect();
        self.believe(&new)?;
        self.believed = chosen.len();
        Ok(())
    }

    /// Finds a row by the improvement that is expected of it, times the probability that it holds; before the first
    /// feasible result by that probability alone.
    fn choose(&self, find: &mut Find<'_>) -> Result<Option<Proposal>, SolverError> {
        let training = &self.training;
        let holds = |row: &usize| training.violations.iter().all(|values| values[*row] <= 0.0);
        let best = (0..training.measured).filter(holds).map(|row| training.losses[row]).reduce(f64::min);
        let improvement = best
            .map(|best| LogExpectedImprovement::new(&self.objective, self.objective.to_model_scale(best)));
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
        let found = find(acquisition)?;
        Ok(found.map(|candidate| Proposal {
            prediction: predict_loss(&self.objective, &candidate.row),
            acquisition: Some(candidate.value),
            log_improvement: improvement.is_some().then_some(candidate.value),
            model: Some(format!("random forest on {} results", training.measured)),
            ..Proposal::plain(candidate.row, "forest")
        }))
    }

    fn pick(
        &self,
        space: &Candidates<'_>,
        budget: &Budget,
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Proposal>, SolverError> {
        let starts = self.training.best_rows();
        self.choose(&mut |acquisition| best_unknown(acquisition, space, &starts, budget, seed, known))
    }
}

/// Finds a row by an acquisition.
type Find<'a> = dyn FnMut(&dyn Acquisition) -> Result<Option<Candidate>, SolverError> + 'a;

/// Picks among rows that something else has made, by a forest on the results of one rung.
pub(crate) struct Screen<'a> {
    request: &'a Request<'a>,
    rung: Rung,
    cache: &'a ForestCache,
    state: Option<State>,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(request: &'a Request<'a>, rung: Rung, cache: &'a ForestCache) -> Self {
        Self { request, rung, cache, state: None }
    }

    /// The best of the rows, the first where there is no choice or nothing to predict it by; `chosen` are the points of this
    /// plan so far, `sampler` is who made the rows.
    pub(crate) fn pick(
        &mut self,
        mut rows: Vec<Vec<f64>>,
        chosen: &[Vec<f64>],
        sampler: &'static str,
    ) -> Result<Option<Proposal>, SolverError> {
        let measured = self.request.history.levels[self.rung.0 as usize].entries.len();
        if rows.len() < 2 || measured < 2 {
            return Ok(rows.drain(..).next().map(|row| Proposal::plain(row, sampler)));
        }
        if self.state.is_none() {
            let layout = layout(self.request.view.problem().space());
            self.state = Some(State::of(self.request, self.rung, &layout, self.cache)?);
        }
        let state = self.state.as_mut().expect("grown just above");
        state.believe_chosen(chosen)?;
        let table = Rows::from_rows(rows[0].len(), &rows).map_err(|error| numeric(&error))?;
        let proposal = state.choose(&mut |acquisition| {
            let values = acquisition.log_value(&table).map_err(|error| numeric(&error))?;
            // The first of equals.
            let best = (0..values.len()).rev().max_by(|a, b| values[*a].total_cmp(&values[*b]));
            Ok(best.map(|best| Candidate { row: std::mem::take(&mut rows[best]), value: values[best] }))
        })?;
        Ok(proposal.map(|proposal| Proposal { sampler, ..proposal }))
    }
}
