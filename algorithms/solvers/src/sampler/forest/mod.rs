//! Sequential model-based optimization with trees, in the manner of SMAC.
//!
//! `state` holds the trees of one plan, `screen` lets other samplers choose among their own points by them.

mod screen;
mod state;

use boxwood_acquisition::Budget;
use boxwood_core::{Problem, Seed, Signal, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{
    Boosted, BoostedOptions, Forest, ForestOptions, Layout, SurrogateError, TreeCache, TreeEnsemble,
};

use super::candidates::Candidates;
use super::gp::one_objective;
use super::model::{Design, mix};
use super::{Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

pub(crate) use screen::Screen;
use state::State;

/// Rows scored per proposal. Trees are constant between their cuts, so that more rows or an exchange from the best ones
/// found no better points on eight problems of the suite `single`.
const CANDIDATES: usize = 600;

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

/// The memory of forests that were grown, and of those by which noise is told.
#[derive(Debug, Default)]
pub(crate) struct Forests {
    cache: TreeCache<Forest>,
    noise: TreeCache<Forest>,
}

impl Forests {
    fn trees(&self) -> Trees<'_, Forest> {
        Trees {
            cache: &self.cache,
            noise: &self.noise,
            options: ForestOptions { total_variance: false, ..ForestOptions::default() },
            averaging: ForestOptions::averaging(),
            name: "random forest",
        }
    }
}

/// Which trees.
#[derive(Debug)]
enum Model {
    Forest,
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
    forests: Forests,
}

impl ForestSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let model = match parameters.choice("model")? {
            "boosted" => Model::Boosted(TreeCache::default()),
            _ => Model::Forest,
        };
        Ok(Self { design: Design::read(parameters)?, model, forests: Forests::default() })
    }

    /// Work of one maximization: a prediction costs about the same at any number of results.
    fn budget(&self) -> Budget {
        let candidates = if self.design.candidates == 0 { CANDIDATES } else { self.design.candidates };
        Budget { candidates, refined: 0, ..Budget::default() }
    }

    fn propose_with<M: TreeEnsemble>(
        &self,
        trees: &Trees<'_, M>,
        request: &Request<'_>,
        known: &mut Known,
    ) -> Result<Proposals, SolverError> {
        let space = Candidates::new(request.view.problem().space()).within(request.within);
        let width = space.layout().len();
        let rung = request.history.model_rung(width + 2);
        let level = rung.map(|rung| &request.history.levels[rung.0 as usize]);
        let ready = level.is_some_and(|level| level.entries.len() >= 2);
        let mut state: Option<State<M>> = None;
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            let Some(rung) = rung else { return Ok(None) };
            if state.is_none() {
                state = Some(State::of(request, rung, space.layout(), trees)?);
            }
            let state = state.as_mut().expect("grown just above");
            state.believe_chosen(chosen)?;
            state.pick(&space, &self.budget(), seed, known)
        };
        mix(request, known, &self.design, ready, &mut pick)
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
        match &self.model {
            Model::Forest => self.propose_with(&self.forests.trees(), request, known),
            Model::Boosted(cache) => {
                let trees = Trees {
                    cache,
                    noise: &self.forests.noise,
                    options: BoostedOptions::default(),
                    averaging: BoostedOptions::averaging(),
                    name: "boosted trees",
                };
                self.propose_with(&trees, request, known)
            }
        }
    }
}
