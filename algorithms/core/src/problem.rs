//! The optimization problem of a study, as solvers see it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::goal::{Bound, Constraint, Metrics, NotFinite, Objective};
use crate::ladder::{Fidelity, LadderError, RungLadder};
use crate::sources::{self, Source, SourceSpec};
use crate::space::{Point, SearchSpace, SpaceError, SpaceSpec};

/// Name and parameters of a solver, for example `{"name": "rising_bandit", "inner": {"name": "mfes_async"}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SolverSpec {
    /// Registered name; `auto` chooses by the documented rule.
    pub name: String,
    /// Parameters of that solver; unknown ones are refused by the solver.
    #[serde(flatten)]
    pub parameters: Map<String, Json>,
}

impl SolverSpec {
    /// A solver with its default parameters.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), parameters: Map::new() }
    }
}

/// The pure part of a study specification, unchecked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemSpec {
    /// Search space.
    pub space: SpaceSpec,
    /// At least one objective, each with its direction.
    pub objectives: Vec<Objective>,
    /// Reported metrics with a bound.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// Fidelity; absent means that every trial is run once, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// Number of trials to start, where the study has such a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_trials: Option<u64>,
    /// Points to try first, in this order.
    #[serde(default)]
    pub initial_points: Vec<Point>,
    /// Results of earlier studies to learn from, in their own parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceSpec>,
    /// Seed of every random draw of the study.
    #[serde(default)]
    pub seed: u64,
}

/// A checked problem. Shared by views; never changed in place.
#[derive(Debug, Clone)]
pub struct Problem {
    space: Arc<SearchSpace>,
    objectives: Vec<Objective>,
    constraints: Vec<Constraint>,
    ladder: RungLadder,
    has_fidelity: bool,
    max_trials: Option<u64>,
    initial_points: Vec<Point>,
    sources: Vec<Source>,
    seed: u64,
}

/// What is wrong with a problem, by field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProblemError {
    /// The search space is not usable.
    #[error("space: {0}")]
    Space(#[from] SpaceError),
    /// No objective is declared.
    #[error("objectives: at least one objective with a metric and a goal is required")]
    NoObjective,
    /// A metric name is empty or used twice.
    #[error("{field}: metric `{metric}` is empty or declared twice")]
    Metric {
        /// Field of the specification.
        field: &'static str,
        /// Offending name.
        metric: String,
    },
    /// A bound, limit or target is NaN or infinite.
    #[error("{field}: metric `{metric}` has a bound, limit or target that is not finite")]
    Number {
        /// Field of the specification.
        field: &'static str,
        /// Metric it belongs to.
        metric: String,
    },
    /// The fidelity is not usable.
    #[error(transparent)]
    Fidelity(#[from] LadderError),
    /// A budget of zero trials.
    #[error("max_trials is 0, it must be at least 1")]
    Budget,
    /// An initial point does not lie in the space.
    #[error("initial_points[{index}]: {source}")]
    InitialPoint {
        /// Position in the list.
        index: usize,
        /// Why it was refused.
        source: SpaceError,
    },
    /// A source is malformed.
    #[error("{field}: {reason}")]
    Source {
        /// Path of the field.
        field: String,
        /// What is wrong.
        reason: String,
    },
}

impl ProblemSpec {
    /// Checks every field; the error names the first one that is wrong.
    pub fn check(&self) -> Result<Problem, ProblemError> {
        let space = self.space.check()?;
        if self.objectives.is_empty() {
            return Err(ProblemError::NoObjective);
        }
        let mut names = BTreeSet::new();
        for objective in &self.objectives {
            check_metric("objectives", &objective.metric, &mut names)?;
            check_numbers("objectives", &objective.metric, [objective.limit, objective.target])?;
        }
        for constraint in &self.constraints {
            check_metric("constraints", &constraint.metric, &mut names)?;
            let bound = match constraint.bound {
                Bound::AtMost(bound) | Bound::AtLeast(bound) => bound,
            };
            check_numbers("constraints", &constraint.metric, [Some(bound)])?;
        }
        let ladder = match &self.fidelity {
            Some(fidelity) => fidelity.check()?,
            None => single_rung(),
        };
        if self.max_trials == Some(0) {
            return Err(ProblemError::Budget);
        }
        let mut initial_points = Vec::with_capacity(self.initial_points.len());
        for (index, point) in self.initial_points.iter().enumerate() {
            let point =
                space.canonical(point).map_err(|source| ProblemError::InitialPoint { index, source })?;
            initial_points.push(point);
        }
        let sources = sources::check(&self.sources, &space, &self.objectives, &self.constraints)?;
        Ok(Problem {
            space: Arc::new(space),
            objectives: self.objectives.clone(),
            constraints: self.constraints.clone(),
            ladder,
            has_fidelity: self.fidelity.is_some(),
            max_trials: self.max_trials,
            initial_points,
            sources,
            seed: self.seed,
        })
    }
}

fn single_rung() -> RungLadder {
    let fidelity = Fidelity {
        resource: "trial".into(),
        min: None,
        max: None,
        reduction_factor: None,
        rungs: Some(vec![1]),
    };
    fidelity.check().expect("a single rung of one trial is a valid ladder")
}

fn check_metric(field: &'static str, metric: &str, names: &mut BTreeSet<String>) -> Result<(), ProblemError> {
    if metric.trim().is_empty() || !names.insert(metric.to_owned()) {
        return Err(ProblemError::Metric { field, metric: metric.to_owned() });
    }
    Ok(())
}

fn check_numbers<const N: usize>(
    field: &'static str,
    metric: &str,
    numbers: [Option<f64>; N],
) -> Result<(), ProblemError> {
    if numbers.iter().flatten().all(|number| number.is_finite()) {
        Ok(())
    } else {
        Err(ProblemError::Number { field, metric: metric.to_owned() })
    }
}

impl Problem {
    /// Search space.
    pub fn space(&self) -> &Arc<SearchSpace> {
        &self.space
    }

    /// Objectives, at least one.
    pub fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// Constraints.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Ladder of the fidelity, or a single rung of resource 1 for a study without one.
    pub fn ladder(&self) -> &RungLadder {
        &self.ladder
    }

    /// Whether the study declared a fidelity.
    pub fn has_fidelity(&self) -> bool {
        self.has_fidelity
    }

    /// Budget in started trials.
    pub fn max_trials(&self) -> Option<u64> {
        self.max_trials
    }

    /// Points to try first.
    pub fn initial_points(&self) -> &[Point] {
        &self.initial_points
    }

    /// Earlier studies, each with the trials that fit this problem's space; a source may have none.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Seed of the study.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The same problem on another space (one arm of it), without initial points.
    #[must_use]
    pub fn on_space(&self, space: Arc<SearchSpace>) -> Self {
        let sources = self.sources.iter().map(|source| source.on_space(&space)).collect();
        Self { space, initial_points: Vec::new(), sources, ..self.clone() }
    }

    /// The same problem with other initial points, which must be canonical points of its space.
    #[must_use]
    pub fn with_initial_points(&self, initial_points: Vec<Point>) -> Self {
        Self { initial_points, ..self.clone() }
    }

    /// The same problem with other sources.
    ///
    /// # Errors
    /// [`ProblemError::Source`] names what is malformed.
    pub fn with_sources(&self, sources: &[SourceSpec]) -> Result<Self, ProblemError> {
        let sources = sources::check(sources, &self.space, &self.objectives, &self.constraints)?;
        Ok(Self { sources, ..self.clone() })
    }

    /// The same problem with another budget of trials.
    #[must_use]
    pub fn with_max_trials(&self, max_trials: Option<u64>) -> Self {
        Self { max_trials, ..self.clone() }
    }

    /// Losses of the objectives, or the name of the first one that is missing.
    ///
    /// # Errors
    /// `Ok(Err(name))` when an objective's metric is absent; `Err` when a value is not finite.
    pub fn losses(&self, metrics: &Metrics) -> Result<Result<Vec<f64>, String>, NotFinite> {
        let mut losses = Vec::with_capacity(self.objectives.len());
        for objective in &self.objectives {
            match metrics.get(&objective.metric) {
                Some(value) => losses.push(objective.loss(value)?.get()),
                None => return Ok(Err(objective.metric.clone())),
            }
        }
        Ok(Ok(losses))
    }

    /// Violations of the constraints (at most zero is satisfied), or the first missing metric.
    pub fn violations(&self, metrics: &Metrics) -> Result<Result<Vec<f64>, String>, NotFinite> {
        let mut violations = Vec::with_capacity(self.constraints.len());
        for constraint in &self.constraints {
            match metrics.get(&constraint.metric) {
                Some(value) => violations.push(constraint.violation(value)?),
                None => return Ok(Err(constraint.metric.clone())),
            }
        }
        Ok(Ok(violations))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::goal::Goal;

    fn spec() -> ProblemSpec {
        serde_json::from_str(
            r#"{
                "space": {"parameters": [{"name": "x", "type": "integer", "low": 0, "high": 9}]},
                "objectives": [{"metric": "auc", "goal": "maximize"}, {"metric": "ms", "goal": "minimize"}],
                "initial_points": [{"x": 3.0}]
            }"#,
        )
        .unwrap()
    }

    #[test]
    fn losses_follow_the_goals_and_name_what_is_missing() {
        let problem = spec().check().unwrap();
        let metrics = Metrics::from([("auc", 0.7), ("ms", 3.0), ("other", 1.0)]);
        assert_eq!(problem.losses(&metrics), Ok(Ok(vec![-0.7, 3.0])));
        assert_eq!(problem.losses(&Metrics::from([("auc", 0.7)])), Ok(Err("ms".into())));
        assert!(problem.losses(&Metrics::from([("auc", f64::NAN), ("ms", 3.0)])).is_err());
        assert_eq!(problem.violations(&metrics), Ok(Ok(vec![])));
        assert_eq!(problem.ladder().len(), 1);
        assert_eq!(problem.initial_points(), [Point::from([("x", 3_i64)])]);
    }

    #[test]
    fn refusals_name_the_field() {
        let refused = |change: fn(&mut ProblemSpec)| {
            let mut spec = spec();
            change(&mut spec);
            spec.check().unwrap_err().to_string()
        };
        assert!(refused(|s| s.objectives.clear()).starts_with("objectives:"));
        assert!(refused(|s| s.objectives[1].metric = "auc".into()).contains("declared twice"));
        assert!(refused(|s| s.objectives[0].limit = Some(f64::INFINITY)).contains("not finite"));
        assert!(refused(|s| s.max_trials = Some(0)).starts_with("max_trials"));
        assert!(refused(|s| s.space.parameters.clear()).starts_with("space: parameters:"));
        assert_eq!(
            refused(|s| s.initial_points.push(Point::from([("x", 10_i64)]))),
            "initial_points[1]: parameter `x`: 10 is not between 0 and 9"
        );
        assert!(
            refused(|s| s
                .constraints
                .push(Constraint { metric: "a".into(), bound: Bound::AtMost(f64::NAN) }))
            .starts_with("constraints:")
        );
    }

    #[test]
    fn unknown_fields_inside_the_space_are_named_through_serde_too() {
        let error = serde_json::from_str::<ProblemSpec>(
            r#"{"space":{"parameters":[{"name":"x","type":"float","lo":0,"high":1}]},"objectives":[]}"#,
        );
        let message = error.unwrap_err().to_string();
        assert!(message.starts_with("parameters[0]: unknown field \"lo\""), "{message}");
    }

    #[test]
    fn a_problem_moves_to_another_space_and_budget() {
        let problem = spec().check().unwrap();
        let moved = problem.on_space(Arc::clone(problem.space())).with_max_trials(Some(3));
        assert!(moved.initial_points().is_empty());
        assert_eq!(moved.max_trials(), Some(3));
        assert_eq!(moved.objectives()[0].goal, Goal::Maximize);
    }
}
