//! Bayesian optimization with a Gaussian process.

use boxwood_acquisition::{Acquisition, Constrained, Feasibility, LogExpectedImprovement, noisy_incumbent};
use boxwood_core::{Problem, Seed, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{GaussianProcess, GpCache, GpModel, GpOptions, Layout, Posterior};

use super::model::{Candidates, Design, Training, best_unknown, mix, numeric, predict_loss};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Share of random points.
pub(crate) const RANDOM_PARAMETERS: &[ParameterInfo] = &[ParameterInfo {
    name: "random_fraction",
    kind: ParameterKind::Number { default: 0.0, low: 0.0, high: 1.0 },
    meaning: "Share of points drawn at random once the model is used.",
}];

/// Gaussian process + log expected improvement (engine.md 3-5).
///
/// The model is fitted on the highest rung with enough results. Pending points and points chosen earlier in the plan
/// are believed to return their posterior means. Constraints multiply the improvement by their probability of
/// feasibility; before the first feasible point that probability alone is maximized. Failed points take part with a
/// bad loss.
#[derive(Debug)]
pub(crate) struct GpSampler {
    design: Design,
    cache: GpCache,
}

impl GpSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        Ok(Self::new(Design::read(parameters)?))
    }

    pub(crate) fn new(design: Design) -> Self {
        Self { design, cache: GpCache::new() }
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
    let seed = Seed(problem.seed()).derive(purpose, 0).0;
    GaussianProcess::fit_scheduled(layout, rows, losses, &GpOptions::default(), seed, cache)
}

impl Sampler for GpSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        one_objective(problem)
    }

    fn starts_from_default(&self) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let space = Candidates::new(problem.space());
        let width = space.layout().len();
        let rung = request.history.model_rung(width + 2);
        let level = rung.map(|rung| &request.history.levels[rung.0 as usize]);
        let ready = level.is_some_and(|level| level.entries.len() >= 2);
        let mut state: Option<State> = None;
        let mut numbers = Vec::new();
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            let Some((level, rung)) = level.zip(rung) else { return Ok(None) };
            if state.is_none() {
                let training = Training::new(level, width)?;
                let waiting = request.history.pending.iter().filter(|trial| trial.result(rung).is_none());
                let pending: Vec<&[f64]> = waiting.map(|trial| trial.encoded.as_slice()).collect();
                state = Some(State::fit(space.layout(), training, &pending, problem, &self.cache)?);
            }
            let state = state.as_mut().expect("fitted just above");
            numbers = state.numbers();
            state.believe(chosen)?;
            state.pick(&space, &self.design, seed, known)
        };
        let mut proposals = mix(request, known, &self.design, ready, &mut pick)?;
        proposals.numbers.extend(numbers);
        Ok(proposals)
    }
}

pub(crate) fn one_objective(problem: &Problem) -> Result<(), String> {
    match problem.objectives().len() {
        1 => Ok(()),
        count => Err(format!("objectives: this sampler models one objective, the study has {count}")),
    }
}

/// Models of one plan, conditioned on pending points as they are chosen.
struct State {
    training: Training,
    objective: GpModel,
    constraints: Vec<GpModel>,
    believed: usize,
}

impl State {
    fn fit(
        layout: &Layout,
        training: Training,
        pending: &[&[f64]],
        problem: &Problem,
        cache: &GpCache,
    ) -> Result<Self, SolverError> {
        let pending = Rows::from_rows(layout.len(), pending).map_err(|error| numeric(&error))?;
        let believe = |model: GpModel| model.append_believed(&pending).map_err(|error| numeric(&error));
        let objective = fit(layout, &training.rows, &training.losses, problem, "gp", Some(cache))
            .map_err(|error| numeric(&error))?;
        let measured = training.measured_rows();
        let mut constraints = Vec::with_capacity(training.violations.len());
        for violations in &training.violations {
            let model = fit(layout, &measured, violations, problem, "constraint", Some(cache));
            constraints.push(believe(model.map_err(|error| numeric(&error))?)?);
        }
        Ok(Self { objective: believe(objective)?, constraints, training, believed: 0 })
    }

    /// Conditions on rows that the plan has chosen since the last call.
    fn believe(&mut self, chosen: &[Vec<f64>]) -> Result<(), SolverError> {
        let new = &chosen[self.believed..];
        self.believed = chosen.len();
        if new.is_empty() {
            return Ok(());
        }
        let rows = Rows::from_rows(self.objective.layout().len(), new).map_err(|error| numeric(&error))?;
        self.objective = self.objective.append_believed(&rows).map_err(|error| numeric(&error))?;
        for constraint in &mut self.constraints {
            *constraint = constraint.append_believed(&rows).map_err(|error| numeric(&error))?;
        }
        Ok(())
    }

    fn pick(
        &self,
        space: &Candidates<'_>,
        design: &Design,
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Proposal>, SolverError> {
        let feasible = self.training.rows.select(&self.training.feasible());
        let incumbent = if feasible.is_empty() {
            None
        } else {
            noisy_incumbent(&self.objective, &feasible).map_err(|error| numeric(&error))?
        };
        let improvement = incumbent.map(|best| LogExpectedImprovement::new(&self.objective, best.value));
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
        let budget = design.budget(self.objective.len(), space.layout().len());
        let starts = self.training.best_rows();
        let best = best_unknown(acquisition, space, &starts, &budget, seed, known)?;
        Ok(best.map(|candidate| Proposal {
            prediction: predict_loss(&self.objective, &candidate.row),
            acquisition: Some(candidate.value),
            model: Some(format!("Gaussian process on {} results", self.training.measured)),
            row: candidate.row,
            sampler: "gp",
        }))
    }

    fn numbers(&self) -> Vec<(String, f64)> {
        let hyperparameters = self.objective.hyperparameters();
        vec![
            ("observations".into(), self.training.measured as f64),
            ("noise_variance".into(), hyperparameters.noise_variance),
            ("log_marginal_likelihood".into(), self.objective.log_marginal_likelihood()),
        ]
    }
}

/// The posterior of a model with everything pending and chosen believed, behind one pointer type.
pub(crate) fn believed(
    model: &GpModel,
    rows: &Rows,
) -> Result<std::sync::Arc<dyn Posterior>, boxwood_surrogate::SurrogateError> {
    Ok(std::sync::Arc::new(model.append_believed(rows)?))
}
