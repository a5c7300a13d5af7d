//! Learning from the problem's sources: earlier studies on the same or an overlapping space.
//!
//! `sources` turns what they measured into rows and first points, `part` models one objective or constraint from all studies.

mod part;
mod sources;

use std::sync::Arc;

use boxwood_core::{Problem, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{GpCache, GpModel, Layout, Posterior, SurrogateError};

use self::part::{Fitting, Method, Part, Quantity};
use self::sources::{best_rows, source_data};
use super::data::Observations;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Results before the model is used while a source counts: the ensemble needs a scale of its own for the target. Once every
/// source is left out, the plain design is completed first.
pub(super) const INITIAL_TRIALS: usize = 2;
/// Fits that are remembered of a source: one per objective and constraint.
const REMEMBERED: usize = 32;

/// Parameters besides the design's and those shared with plain Bayesian optimization.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
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

/// What a user wants to learn from the sources, and the memory of their models.
///
/// Each objective and constraint has an ensemble of its own. A source's losses count by their ranks where there is one
/// objective, for a front by their standardized values; its violations by their values. Sources that order the results of
/// this study no better than chance are left out, and so is a constraint's past that predicts its violations worse than this
/// study's own model does.
#[derive(Debug)]
pub(super) struct Learning {
    /// None where no transfer is wanted.
    method: Option<Method>,
    warm_start: usize,
    source_trials: usize,
    /// One per source; a source has one model per objective and constraint.
    caches: Vec<GpCache>,
}

impl Learning {
    pub(super) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let method = match parameters.choice("transfer")? {
            "none" => None,
            "transbo" => Some(Method::TransBo),
            "tst" => Some(Method::TwoStage),
            "pogpe" => Some(Method::ProductOfExperts),
            "sgpr" => Some(Method::Stack),
            _ => Some(Method::Ranking),
        };
        Ok(Self {
            method,
            warm_start: parameters.integer("warm_start")? as usize,
            source_trials: parameters.integer("source_trials")? as usize,
            caches: (0..boxwood_core::MAX_SOURCES).map(|_| GpCache::of_size(REMEMBERED)).collect(),
        })
    }

    /// Whether transfer is wanted and there is something to learn from.
    pub(super) fn applies(&self, problem: &Problem) -> bool {
        self.method.is_some() && problem.sources().iter().any(|source| !source.rows().is_empty())
    }

    /// The best rows of the sources, for a study that starts with them.
    pub(super) fn warm_rows(&self, problem: &Problem) -> Vec<Vec<f64>> {
        if self.applies(problem) { best_rows(problem, self.warm_start) } else { Vec::new() }
    }

    /// Models of all sources, weighed by how they order this study's results.
    ///
    /// `objectives` and `constraints` are models of this study alone.
    pub(super) fn learn(
        &self,
        layout: &Layout,
        problem: &Problem,
        observations: &Observations,
        objectives: &[GpModel],
        constraints: &[GpModel],
    ) -> Result<Learned, SurrogateError> {
        let method = self.method.unwrap_or(Method::Ranking);
        let data = source_data(problem, self.source_trials);
        let fitting = Fitting {
            layout,
            problem,
            method,
            caches: &self.caches,
            data: &data,
            rows: &observations.rows,
            several: objectives.len() > 1,
        };
        let objectives = objectives.iter().enumerate().map(|(index, target)| {
            Part::fit(&fitting, Quantity::Loss(index), target, &observations.objective(index))
        });
        let constraints = constraints.iter().zip(&observations.violations).enumerate();
        let constraints = constraints
            .map(|(index, (target, values))| Part::fit(&fitting, Quantity::Violation(index), target, values));
        Ok(Learned {
            objectives: objectives.collect::<Result<_, _>>()?,
            constraints: constraints.collect::<Result<_, _>>()?,
        })
    }
}

/// What the sources add to the models of one plan.
pub(super) struct Learned {
    objectives: Vec<Part>,
    constraints: Vec<Part>,
}

impl Learned {
    /// One combination per objective; `targets` are this study's models with pending rows, `believed` the rows that sources
    /// believe to return what they expect there.
    pub(super) fn objectives(
        &self,
        targets: &[Arc<GpModel>],
        believed: &Rows,
    ) -> Result<Vec<Arc<dyn Posterior>>, SurrogateError> {
        self.objectives.iter().zip(targets).map(|(part, target)| part.posterior(target, believed)).collect()
    }

    /// One combination per constraint.
    pub(super) fn constraints(
        &self,
        targets: &[Arc<GpModel>],
        believed: &Rows,
    ) -> Result<Vec<Arc<dyn Posterior>>, SurrogateError> {
        self.constraints.iter().zip(targets).map(|(part, target)| part.posterior(target, believed)).collect()
    }

    /// Best rows of the sources that count, a few of each.
    pub(super) fn starts(&self) -> Result<Rows, SurrogateError> {
        self.objectives[0].best_source_rows()
    }

    /// Whether any source has a weight in any objective.
    pub(super) fn counts_a_source(&self) -> bool {
        self.objectives.iter().any(Part::counts_a_source)
    }

    /// Weights by name, for the plan's diagnostics; those of the first objective have the short names.
    pub(super) fn numbers(&self) -> Vec<(String, f64)> {
        let named = |prefix: &str, index: usize, part: &Part| -> Vec<(String, f64)> {
            let prefix =
                if index == 0 && prefix.is_empty() { String::new() } else { format!("{prefix}{index}_") };
            part.numbers().into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)).collect()
        };
        let objectives = self
            .objectives
            .iter()
            .enumerate()
            .flat_map(|(i, part)| named(if i == 0 { "" } else { "objective" }, i, part));
        let constraints =
            self.constraints.iter().enumerate().flat_map(|(i, part)| named("constraint", i, part));
        objectives.chain(constraints).collect()
    }

    /// What the model of the first objective is, for people.
    pub(super) fn text(&self, measured: usize) -> String {
        self.objectives[0].text(measured)
    }
}
