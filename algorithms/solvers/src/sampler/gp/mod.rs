//! Bayesian optimization with Gaussian processes.
//!
//! `settings` reads what a user chose, `data` gathers what was measured, `models` fits it, `acquire` turns models into the
//! next point; `front` and `beliefs` serve it; `line` and `safe` restrict where it may lie; `transfer` adds earlier studies to
//! the models.

mod acquire;
mod beliefs;
mod data;
mod front;
mod line;
mod models;
mod safe;
mod settings;
mod transfer;

use boxwood_acquisition::{PriorBelief, PriorWeighted};
use boxwood_core::{Problem, Seed, Signal, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{GaussianProcess, GpCache, GpModel, GpOptions, Layout, Posterior};

use self::acquire::Choosing;
use self::data::Observations;
use self::models::{Fitting, Models};
use self::settings::{Criterion, Settings};
use self::transfer::Learning;
use super::model::{Candidates, Design, layout, mix, numeric};
use super::{Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::Parameters;

pub(crate) use settings::PARAMETERS;
pub(crate) use settings::SHARED as SHARED_PARAMETERS;
pub(crate) use transfer::PARAMETERS as TRANSFER_PARAMETERS;

/// Trials at which a belief has the power one where the study has no budget of trials.
const BELIEF_STRENGTH: f64 = 10.0;

/// Gaussian processes and an acquisition function (engine.md 3-5).
///
/// The models are fitted on the highest rung with enough results, one per objective and constraint. Pending points and
/// points chosen earlier in the plan are by default believed to return their posterior means. Constraints and failures
/// multiply the improvement by the probability that a point holds and succeeds; before the first feasible point that
/// probability alone is maximized.
#[derive(Debug)]
pub(crate) struct GpSampler {
    design: Design,
    settings: Settings,
    cache: GpCache,
    learning: Option<Learning>,
}

impl GpSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let settings = Settings::read(parameters)?;
        Ok(Self { design: Design::read(parameters)?, settings, cache: GpCache::new(), learning: None })
    }

    /// Everything but the design at its default.
    pub(crate) fn new(design: Design) -> Self {
        Self { design, settings: Settings::default(), cache: GpCache::new(), learning: None }
    }

    /// The sampler that learns from the problem's sources; without any that fit the space it is the plain one.
    pub(crate) fn read_learning(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        Ok(Self {
            design: Design::read(parameters)?,
            settings: Settings::read_shared(parameters)?,
            cache: GpCache::new(),
            learning: Some(Learning::read(parameters)?),
        })
    }

    fn belief(&self, problem: &Problem) -> Result<Option<PriorBelief>, String> {
        let table = self.settings.belief_table()?;
        table.map(|table| beliefs::read(table, problem.space(), &layout(problem.space()))).transpose()
    }

    /// Power of the cost: the share of the budget of trials that is left, one without such a budget (Lee et al.,
    /// "Cost-aware Bayesian optimization", 2020, equation 4).
    fn cost_exponent(problem: &Problem, started: u64) -> f64 {
        let left = |budget: u64| budget.saturating_sub(started) as f64 / budget as f64;
        problem.max_trials().map_or(1.0, left)
    }
}

/// Hyperparameters are fitted from the study's seed, not the plan's, so that equal data give equal models.
pub(crate) fn fit(
    layout: &Layout,
    rows: &Rows,
    losses: &[f64],
    problem: &Problem,
    purpose: &str,
    cache: Option<&GpCache>,
) -> Result<GpModel, boxwood_surrogate::SurrogateError> {
    fit_with(&GpOptions::default(), layout, rows, losses, problem, purpose, cache)
}

/// The same for violations of a constraint.
pub(crate) fn fit_violations(
    layout: &Layout,
    rows: &Rows,
    violations: &[f64],
    problem: &Problem,
    purpose: &str,
    cache: Option<&GpCache>,
) -> Result<GpModel, boxwood_surrogate::SurrogateError> {
    let options = GpOptions { violations: true, ..GpOptions::default() };
    fit_with(&options, layout, rows, violations, problem, purpose, cache)
}

fn fit_with(
    options: &GpOptions,
    layout: &Layout,
    rows: &Rows,
    targets: &[f64],
    problem: &Problem,
    purpose: &str,
    cache: Option<&GpCache>,
) -> Result<GpModel, boxwood_surrogate::SurrogateError> {
    let seed = Seed(problem.seed()).derive(purpose, 0).0;
    GaussianProcess::fit_scheduled(layout, rows, targets, options, seed, cache)
}

impl Sampler for GpSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        self.settings.accept(problem)?;
        if self.settings.safe.is_some() && self.design.random_fraction > 0.0 {
            return Err(
                "random_fraction: a random point is not a safe one; leave it at 0 with `safe_probability`"
                    .into(),
            );
        }
        if self.learning.as_ref().is_some_and(|learning| learning.applies(problem)) {
            self.settings.accept_sources(problem.objectives().len())?;
        }
        self.belief(problem).map(|_| ())
    }

    fn tells(&self, problem: &Problem, signal: Signal) -> Result<(), String> {
        one_objective(problem)?;
        match signal {
            Signal::ExpectedImprovement => self.settings.expects_improvement()?,
            Signal::RegretBound => {}
        }
        self.design.models()
    }

    fn starts_from_default(&self, problem: &Problem) -> bool {
        // Nothing says that the default keeps the constraints where the user knows points that do.
        self.settings.safe.is_none() || problem.initial_points().is_empty()
    }

    fn warm_rows(&self, problem: &Problem) -> Vec<Vec<f64>> {
        self.learning.as_ref().map_or_else(Vec::new, |learning| learning.warm_rows(problem))
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let learning = self.learning.as_ref().filter(|learning| learning.applies(problem));
        let space = Candidates::new(problem.space()).within(request.within);
        let width = space.layout().len();
        let rung = request.history.model_rung(width + 2);
        let level = rung.map(|rung| &request.history.levels[rung.0 as usize]);
        let ready = level.is_some_and(|level| level.entries.len() >= 2);
        let solver = if self.learning.is_some() { "transfer" } else { "bo" };
        let refused = |reason| Unsupported { solver: solver.into(), reason };
        let belief = self.belief(problem).map_err(refused)?;
        let budget = problem.max_trials().map(|trials| PriorWeighted::strength_for_budget(trials as usize));
        let criterion = self.settings.criterion(problem.objectives().len());
        let choosing = Choosing {
            fitting: Fitting {
                layout: space.layout(),
                problem,
                settings: &self.settings,
                batch: self.settings.batch(problem.objectives().len()),
                cache: &self.cache,
                learning,
            },
            space: &space,
            design: &self.design,
            criterion,
            belief: belief.as_ref(),
            belief_strength: self.settings.belief_strength.or(budget).unwrap_or(BELIEF_STRENGTH),
            cost_exponent: Self::cost_exponent(problem, request.view.started()),
            reference: self.settings.reference_losses(problem).map_err(refused)?,
            bounds_regret: rung == Some(problem.ladder().top()) && problem.objectives().len() == 1,
            measured: level.map_or(&[], |level| level.entries.as_slice()),
        };
        let fit = || -> Result<Option<Models>, SolverError> {
            let Some((level, rung)) = level.zip(rung) else { return Ok(None) };
            let seed = Seed(problem.seed()).derive("kept", 0).0;
            let observations = Observations::new(level, space.layout(), seed)?;
            let waiting = request.history.pending.iter().filter(|trial| trial.result(rung).is_none());
            let waiting: Vec<&[f64]> = waiting.map(|trial| trial.encoded.as_slice()).collect();
            let waiting = Rows::from_rows(width, &waiting).map_err(|error| numeric(&error))?;
            let each = criterion != Criterion::ParEgo || learning.is_some();
            let fitted = Models::fit(&choosing.fitting, observations, &waiting, each);
            fitted.map(Some).map_err(|error| numeric(&error))
        };
        let mut models: Option<Models> = None;
        let mut design = self.design;
        // Whether a source counts decides on the design, so the models are needed before it.
        if ready && learning.is_some() && !request.starts.is_empty() {
            models = fit()?;
            if design.initial_trials == 0 && models.as_ref().is_some_and(Models::counts_a_source) {
                design.initial_trials = transfer::INITIAL_TRIALS;
            }
        }
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            if models.is_none() {
                models = fit()?;
            }
            let Some(models) = models.as_mut() else { return Ok(None) };
            models.believe(chosen).map_err(|error| numeric(&error))?;
            choosing.pick(models, seed, known)
        };
        let mut proposals = match self.settings.safe {
            Some(_) => safe::propose(request, known, &design, ready, &mut pick)?,
            None => mix(request, known, &design, ready, &mut pick)?,
        };
        proposals.numbers.extend(models.as_ref().map(numbers).unwrap_or_default());
        if learning.is_some() {
            for source in problem.sources().iter().filter(|source| source.rows().len() < source.given()) {
                let (fitting, given) = (source.rows().len(), source.given());
                proposals.notes.push(format!("source `{}`: {fitting} of {given} trials fit", source.name()));
            }
        }
        Ok(proposals)
    }
}

/// Facts about the models of a plan.
fn numbers(models: &Models) -> Vec<(String, f64)> {
    let mut numbers = vec![("observations".to_owned(), models.observations.measured as f64)];
    if let Some(model) = models.plain.first() {
        numbers.push(("noise_variance".into(), model.hyperparameters().noise_variance));
        numbers.push(("log_marginal_likelihood".into(), model.log_marginal_likelihood()));
    }
    if let Some(learned) = &models.learned {
        numbers.extend(learned.numbers());
    }
    numbers
}

pub(crate) fn one_objective(problem: &Problem) -> Result<(), String> {
    match problem.objectives().len() {
        1 => Ok(()),
        count => Err(format!("objectives: this sampler models one objective, the study has {count}")),
    }
}

/// The posterior of a model with everything pending and chosen believed, behind one pointer type.
pub(crate) fn believed(
    model: &GpModel,
    rows: &Rows,
) -> Result<std::sync::Arc<dyn Posterior>, boxwood_surrogate::SurrogateError> {
    Ok(std::sync::Arc::new(model.append_believed(rows)?))
}
