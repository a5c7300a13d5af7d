//! Bayesian optimization that learns from the problem's sources.
//!
//! `sources` turns what earlier studies measured into rows and first points, `part` models one objective or constraint from
//! all studies.

mod part;
mod sources;

use boxwood_acquisition::{Acquisition, Constrained, Feasibility, LogExpectedImprovement, noisy_incumbent};
use boxwood_core::{Problem, Seed, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{GpCache, Posterior};

use self::part::{Fitting, Method, Part, Quantity};
use self::sources::{SourceData, best_rows, source_data};
use super::gp::{GpSampler, one_objective};
use super::model::{Candidates, Design, Training, best_unknown, mix, numeric, predict_loss};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Results before the model is used while a source counts: the ensemble needs a scale of its own for the target. Once every
/// source is left out, the plain design is completed first.
const INITIAL_TRIALS: usize = 2;

/// Parameters besides the design's.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "random_fraction",
        kind: ParameterKind::Number { default: 0.0, low: 0.0, high: 1.0 },
        meaning: "Share of points drawn at random once the model is used.",
    },
    ParameterInfo {
        name: "transfer",
        kind: ParameterKind::Choice {
            default: "auto",
            choices: &["auto", "none", "rgpe", "transbo", "tst", "pogpe", "sgpr"],
        },
        meaning: "How models of the study's sources are combined with its own; auto is rgpe where there are sources and none \
                  otherwise.",
    },
    ParameterInfo {
        name: "warm_start",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 1000 },
        meaning: "Best points of the sources that are tried after the initial points; 0 tries none, 1 the best.",
    },
    ParameterInfo {
        name: "source_trials",
        kind: ParameterKind::Integer { default: 100, low: 2, high: 1000 },
        meaning: "Most trials of a source that its model uses: the best half, the rest spread over the other results.",
    },
];

/// Gaussian processes of earlier studies and of this one, combined; log expected improvement (engine.md 9).
///
/// Each objective and constraint has an ensemble of its own. A source's losses count by their ranks, its violations by
/// their values. Sources that order the results of this study no better than chance are left out. Without sources that
/// fit the space it is the plain Gaussian process sampler.
#[derive(Debug)]
pub(crate) struct TransferSampler {
    design: Design,
    /// None where no transfer is wanted.
    method: Option<Method>,
    warm_start: usize,
    source_trials: usize,
    plain: GpSampler,
    cache: GpCache,
    /// One per source; a source has one model per objective and constraint.
    source_caches: Vec<GpCache>,
}

impl TransferSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let method = match parameters.choice("transfer")? {
            "none" => None,
            "transbo" => Some(Method::TransBo),
            "tst" => Some(Method::TwoStage),
            "pogpe" => Some(Method::ProductOfExperts),
            "sgpr" => Some(Method::Stack),
            _ => Some(Method::Ranking),
        };
        let design = Design::read(parameters)?;
        Ok(Self {
            design,
            method,
            warm_start: parameters.integer("warm_start")? as usize,
            source_trials: parameters.integer("source_trials")? as usize,
            plain: GpSampler::new(design),
            cache: GpCache::new(),
            source_caches: (0..boxwood_core::MAX_SOURCES).map(|_| GpCache::new()).collect(),
        })
    }

    /// The method where it has something to work on.
    fn method(&self, problem: &Problem) -> Option<Method> {
        let usable = problem.sources().iter().any(|source| !source.rows().is_empty());
        self.method.filter(|_| usable)
    }
}

impl Sampler for TransferSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        match self.method(problem) {
            Some(_) => one_objective(problem),
            None => self.plain.accepts(problem),
        }
    }

    fn starts_from_default(&self) -> bool {
        true
    }

    fn warm_rows(&self, problem: &Problem) -> Vec<Vec<f64>> {
        if self.method(problem).is_some() { best_rows(problem, self.warm_start) } else { Vec::new() }
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let Some(method) = self.method(problem) else { return self.plain.propose(request, known) };
        let space = Candidates::new(problem.space());
        let width = space.layout().len();
        let rung = request.history.model_rung(width + 2);
        let level = rung.map(|rung| &request.history.levels[rung.0 as usize]);
        let ready = level.is_some_and(|level| level.entries.len() >= INITIAL_TRIALS);
        let mut design = self.design;
        let mut models: Option<Models> = None;
        if let Some((level, rung)) = level.zip(rung).filter(|_| ready) {
            let training = Training::new(level, width)?;
            let waiting = request.history.pending.iter().filter(|trial| trial.result(rung).is_none());
            let pending = waiting.map(|trial| trial.encoded.clone()).collect();
            let data = source_data(problem, self.source_trials);
            let fitting = Fitting {
                layout: space.layout(),
                problem,
                method,
                cache: &self.cache,
                source_caches: &self.source_caches,
            };
            let fitted = Models::fit(&fitting, training, &data, pending)?;
            if design.initial_trials == 0 && fitted.objective.counts_a_source() {
                design.initial_trials = INITIAL_TRIALS;
            }
            models = Some(fitted);
        }
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| match &models {
            Some(models) => models.pick(&space, &design, chosen, seed, known),
            None => Ok(None),
        };
        let mut proposals = mix(request, known, &design, ready, &mut pick)?;
        if let Some(models) = &models {
            proposals.numbers.extend(models.objective.numbers());
        }
        for source in problem.sources().iter().filter(|source| source.rows().len() < source.given()) {
            let (fitting, given) = (source.rows().len(), source.given());
            proposals.notes.push(format!("source `{}`: {fitting} of {given} trials fit", source.name()));
        }
        Ok(proposals)
    }
}

/// The ensembles of one plan.
struct Models {
    training: Training,
    objective: Part,
    constraints: Vec<Part>,
    pending: Vec<Vec<f64>>,
}

impl Models {
    fn fit(
        fitting: &Fitting<'_>,
        training: Training,
        sources: &[SourceData],
        pending: Vec<Vec<f64>>,
    ) -> Result<Self, SolverError> {
        let fit = |quantity, rows: &Rows, values: &[f64], measured| {
            Part::fit(fitting, quantity, sources, rows, values, measured).map_err(|error| numeric(&error))
        };
        let objective = fit(Quantity::Loss, &training.rows, &training.losses, training.measured)?;
        let measured = training.measured_rows();
        let constraints = training.violations.iter().enumerate();
        let constraints = constraints
            .map(|(index, values)| fit(Quantity::Violation(index), &measured, values, values.len()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { training, objective, constraints, pending })
    }

    fn pick(
        &self,
        space: &Candidates<'_>,
        design: &Design,
        chosen: &[Vec<f64>],
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Proposal>, SolverError> {
        let width = space.layout().len();
        let believed: Vec<&[f64]> = self.pending.iter().chain(chosen).map(Vec::as_slice).collect();
        let believed = Rows::from_rows(width, &believed).map_err(|error| numeric(&error))?;
        let posterior = |part: &Part| part.posterior(&believed).map_err(|error| numeric(&error));
        let objective = posterior(&self.objective)?;
        let constraints = self.constraints.iter().map(posterior).collect::<Result<Vec<_>, _>>()?;
        let holds = |i: &usize| self.training.violations.iter().all(|values| values[*i] <= 0.0);
        let feasible: Vec<usize> = (0..self.training.measured).filter(holds).collect();
        let incumbent = if feasible.is_empty() {
            None
        } else {
            let rows = self.training.rows.select(&feasible);
            noisy_incumbent(objective.as_ref(), &rows).map_err(|error| numeric(&error))?
        };
        let improvement = incumbent.map(|best| LogExpectedImprovement::new(objective.as_ref(), best.value));
        let mut feasibility = Feasibility::new();
        for constraint in &constraints {
            feasibility = feasibility.with_constraint(constraint.as_ref(), 0.0);
        }
        let constrained =
            Constrained::new(improvement.as_ref().map(|value| value as &dyn Acquisition), &feasibility);
        let acquisition: &dyn Acquisition = match &improvement {
            Some(improvement) if feasibility.is_empty() => improvement,
            _ => &constrained,
        };
        let budget = design.budget(self.training.rows.len(), width);
        let mut starts = self.training.best_rows();
        starts.push_rows(self.objective.best_source_rows()).map_err(|error| numeric(&error))?;
        let found = best_unknown(acquisition, space, &starts, &budget, seed, known)?;
        Ok(found.map(|candidate| Proposal {
            prediction: predict_loss(objective.as_ref() as &dyn Posterior, &candidate.row),
            acquisition: Some(candidate.value),
            log_improvement: improvement.is_some().then_some(candidate.value),
            regret_bound: None,
            model: Some(self.objective.text(self.training.measured)),
            row: candidate.row,
            sampler: "transfer",
        }))
    }
}
