//! Sequential model-based optimization with trees, in the manner of SMAC.

use std::sync::Arc;

use boxwood_acquisition::{Acquisition, Budget, Constrained, Feasibility, LogExpectedImprovement};
use boxwood_core::{Problem, Seed, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{
    Boosted, BoostedOptions, Forest, ForestOptions, Layout, SurrogateError, TreeCache, TreeEnsemble,
    is_noisy, refit_length,
};

use super::gp::one_objective;
use super::model::{Candidates, Design, Training, best_unknown, fence, mix, numeric, predict_loss};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Rows scored per proposal. Trees are constant between their cuts, so that more rows or an exchange from the best ones
/// found no better points on eight problems of the suite `single`.
const CANDIDATES: usize = 600;
/// Best results among whose means is the one to beat, so that a proposal costs about the same at any number of results.
const LEADING: usize = 256;

/// Share of random points: SMAC interleaves them; and the model.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "random_fraction",
        kind: ParameterKind::Number { default: 0.03, low: 0.0, high: 1.0 },
        meaning: "Share of points drawn at random once the model is used.",
    },
    ParameterInfo {
        name: "model",
        kind: ParameterKind::Choice { default: "forest", choices: &["forest", "boosted"] },
        meaning: "Trees that are averaged (forest), or ten ensembles of gradient-boosted ones (boosted), which take seven times \
                  as long and are ahead on steep functions of floats. Both average over more results where these look noisy.",
    },
];

/// Which trees, with the memory of those that were grown.
#[derive(Debug)]
enum Model {
    Forest(TreeCache<Forest>),
    Boosted(TreeCache<Boosted>),
}

/// Trees, averaged at random or boosted, + log expected improvement (Hutter et al., 2011).
///
/// Trees are grown again whenever the results have become a twentieth more ([`refit_length`]); in between, results go
/// to the leaves, and so do pending points, in the belief that they return what the forest predicts. Constraints have a
/// forest each, whose spread gives the probability that they hold; before the first feasible point those alone are
/// maximized. Failed points take part with a bad loss.
///
/// While the results look noisy ([`is_noisy`]), the objective's trees average several of them in a leaf. What is to be beaten
/// is the best mean at a measured point, and candidates are mutated from the best means: without noise those are what was
/// measured there.
#[derive(Debug)]
pub(crate) struct ForestSampler {
    design: Design,
    model: Model,
    /// Forests by which noise is told.
    noise: TreeCache<Forest>,
}

impl ForestSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let model = match parameters.choice("model")? {
            "boosted" => Model::Boosted(TreeCache::default()),
            _ => Model::Forest(TreeCache::default()),
        };
        Ok(Self { design: Design::read(parameters)?, model, noise: TreeCache::default() })
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

    fn starts_from_default(&self) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        match &self.model {
            Model::Forest(cache) => {
                let trees = Trees {
                    cache,
                    noise: &self.noise,
                    options: ForestOptions { total_variance: false, ..ForestOptions::default() },
                    averaging: ForestOptions::averaging(),
                    name: "random forest",
                };
                self.propose_with(&trees, request, known)
            }
            Model::Boosted(cache) => {
                let trees = Trees {
                    cache,
                    noise: &self.noise,
                    options: BoostedOptions::default(),
                    averaging: BoostedOptions::averaging(),
                    name: "boosted trees",
                };
                self.propose_with(&trees, request, known)
            }
        }
    }
}

/// How the trees of a plan are grown.
struct Trees<'a, M: TreeEnsemble> {
    cache: &'a TreeCache<M>,
    /// Forests by which noise is told.
    noise: &'a TreeCache<Forest>,
    options: M::Options,
    /// For an objective whose results are noisy.
    averaging: M::Options,
    /// For people.
    name: &'static str,
}

impl ForestSampler {
    fn propose_with<M: TreeEnsemble>(
        &self,
        trees: &Trees<'_, M>,
        request: &Request<'_>,
        known: &mut Known,
    ) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let space = Candidates::new(problem.space()).within(request.within);
        let width = space.layout().len();
        let rung = request.history.model_rung(width + 2);
        let level = rung.map(|rung| &request.history.levels[rung.0 as usize]);
        let ready = level.is_some_and(|level| level.entries.len() >= 2);
        let mut state: Option<State<M>> = None;
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            let Some((level, rung)) = level.zip(rung) else { return Ok(None) };
            if state.is_none() {
                let training = Training::new(level, width)?;
                let waiting = request.history.pending.iter().filter(|trial| trial.result(rung).is_none());
                let pending: Vec<&[f64]> = waiting.map(|trial| trial.encoded.as_slice()).collect();
                let seed = Seed(problem.seed()).derive("forest", 0);
                let mut grown = State::grow(space.layout(), training, seed, trees)?;
                grown.believe(&pending)?;
                state = Some(grown);
            }
            let state = state.as_mut().expect("grown just above");
            let new: Vec<&[f64]> = chosen[state.believed..].iter().map(Vec::as_slice).collect();
            state.believe(&new)?;
            state.believed = chosen.len();
            state.pick(&space, &self.budget(), seed, known)
        };
        mix(request, known, &self.design, ready, &mut pick)
    }
}

/// Forests of one plan, which take in pending points as they are chosen.
struct State<M> {
    training: Training,
    objective: M,
    constraints: Vec<M>,
    /// For people.
    name: &'static str,
    noisy: bool,
    /// Points of this plan that the forests have taken in.
    believed: usize,
}

impl<M: TreeEnsemble> State<M> {
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

    fn pick(
        &self,
        space: &Candidates<'_>,
        budget: &Budget,
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Proposal>, SolverError> {
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
        let found = best_unknown(acquisition, space, &starts, budget, seed, known)?;
        Ok(found.map(|candidate| Proposal {
            prediction: predict_loss(&self.objective, &candidate.row),
            acquisition: Some(candidate.value),
            log_improvement: improvement.is_some().then_some(candidate.value),
            regret_bound: None,
            model: Some(format!(
                "{} on {} {}results",
                self.name,
                training.measured,
                if self.noisy { "noisy " } else { "" }
            )),
            row: candidate.row,
            sampler: "forest",
        }))
    }
}
