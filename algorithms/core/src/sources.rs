//! Results of earlier studies that a problem may learn from, frozen when it is made.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::goal::{Constraint, Metrics, Objective};
use crate::problem::ProblemError;
use crate::space::{Point, SearchSpace};

/// Most sources of a problem.
pub const MAX_SOURCES: usize = 32;
/// Most trials of a source.
pub const MAX_SOURCE_TRIALS: usize = 1000;

/// An earlier study, in its own parameters and metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// Name, for people.
    pub name: String,
    /// What was measured, at most [`MAX_SOURCE_TRIALS`].
    pub trials: Vec<SourceTrial>,
}

/// One result of an earlier study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceTrial {
    /// Native values by the source's names of parameters.
    pub point: Point,
    /// Metrics by name, finite.
    pub metrics: Metrics,
}

/// A source as a problem sees it: the trials that its space can hold.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    given: Arc<[Given]>,
    rows: Vec<SourceRow>,
}

/// A result of an earlier study on the problem's own columns and scales.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRow {
    /// Valid canonical row in the unit cube of the problem's space; see [`SearchSpace::encode_overlap`].
    pub encoded: Vec<f64>,
    /// One loss per objective, smaller is better; none where the source did not report that metric.
    pub losses: Vec<Option<f64>>,
    /// One violation per constraint by the problem's own bounds, at most zero is satisfied.
    pub violations: Vec<Option<f64>>,
}

/// A trial before it meets a space.
#[derive(Debug)]
struct Given {
    point: Point,
    losses: Vec<Option<f64>>,
    violations: Vec<Option<f64>>,
}

impl Source {
    /// Name of the source.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of trials that the source was given with.
    pub fn given(&self) -> usize {
        self.given.len()
    }

    /// The trials that fit the problem's space, in the order given.
    pub fn rows(&self) -> &[SourceRow] {
        &self.rows
    }

    /// The same source on another space.
    pub(crate) fn on_space(&self, space: &SearchSpace) -> Self {
        Self { name: self.name.clone(), given: Arc::clone(&self.given), rows: fitting(space, &self.given) }
    }
}

fn fitting(space: &SearchSpace, given: &[Given]) -> Vec<SourceRow> {
    let row = |given: &Given| {
        Some(SourceRow {
            encoded: space.encode_overlap(&given.point)?,
            losses: given.losses.clone(),
            violations: given.violations.clone(),
        })
    };
    given.iter().filter_map(row).collect()
}

/// Checks the sources of a problem; the error names the first field that is wrong.
pub(crate) fn check(
    sources: &[SourceSpec],
    space: &SearchSpace,
    objectives: &[Objective],
    constraints: &[Constraint],
) -> Result<Vec<Source>, ProblemError> {
    let wrong = |field: String, reason: String| Err(ProblemError::Source { field, reason });
    if sources.len() > MAX_SOURCES {
        let reason = format!("{} sources are too many, at most {MAX_SOURCES} are used", sources.len());
        return wrong("sources".into(), reason);
    }
    let mut checked: Vec<Source> = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        let field = format!("sources[{index}]");
        if source.name.trim().is_empty() || checked.iter().any(|other| other.name == source.name) {
            let reason = format!("`{}` is empty or used twice", source.name);
            return wrong(format!("{field}.name"), reason);
        }
        if source.trials.len() > MAX_SOURCE_TRIALS {
            let count = source.trials.len();
            let reason = format!("{count} trials are too many, at most {MAX_SOURCE_TRIALS} are used");
            return wrong(format!("{field}.trials"), reason);
        }
        let mut given = Vec::with_capacity(source.trials.len());
        for (index, trial) in source.trials.iter().enumerate() {
            if let Err((metric, error)) = trial.metrics.check() {
                let field = format!("{field}.trials[{index}].metrics");
                return wrong(field, format!("metric `{metric}`: {error}"));
            }
            let value = |metric: &str| trial.metrics.get(metric);
            // Every value is finite, so that a loss or violation is missing only with its metric.
            let loss = |objective: &Objective| Some(objective.loss(value(&objective.metric)?).ok()?.get());
            let violation = |constraint: &Constraint| constraint.violation(value(&constraint.metric)?).ok();
            given.push(Given {
                point: trial.point.clone(),
                losses: objectives.iter().map(loss).collect(),
                violations: constraints.iter().map(violation).collect(),
            });
        }
        let rows = fitting(space, &given);
        checked.push(Source { name: source.name.clone(), given: given.into(), rows });
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::problem::{Problem, ProblemSpec};

    fn spec() -> ProblemSpec {
        serde_json::from_str(
            r#"{
                "space": {"arms": {"parameter": "model", "choices": {
                    "tree": {"parameters": [{"name": "depth", "type": "integer", "low": 1, "high": 9}]},
                    "linear": {"parameters": [{"name": "c", "type": "float", "low": 0, "high": 1}]}}}},
                "objectives": [{"metric": "auc", "goal": "maximize"}],
                "constraints": [{"metric": "ms", "bound": {"at_most": 5.0}}],
                "sources": [{"name": "old", "trials": [
                    {"point": {"model": "tree", "tree.depth": 3, "gone": 1}, "metrics": {"auc": 0.8, "ms": 7}},
                    {"point": {"model": "tree", "tree.depth": 30}, "metrics": {"auc": 0.9, "ms": 7}},
                    {"point": {"model": "linear", "linear.c": 0.5}, "metrics": {"ms": 4}}]}]
            }"#,
        )
        .unwrap()
    }

    #[test]
    fn a_source_keeps_what_fits_with_the_goals_and_bounds_of_the_problem() {
        let problem = spec().check().unwrap();
        let [source] = problem.sources() else { panic!("one source was given") };
        assert_eq!((source.name(), source.given(), source.rows().len()), ("old", 3, 2));
        assert_eq!(source.rows()[0].losses, [Some(-0.8)]);
        assert_eq!(source.rows()[0].violations, [Some(2.0)]);
        assert_eq!(source.rows()[1].losses, [None]);
    }

    #[test]
    fn an_arm_sees_its_own_trials_of_a_source() {
        let problem = spec().check().unwrap();
        let arm = |name: &str| {
            let problem: Problem = problem.on_space(Arc::new(problem.space().subspace(name).unwrap()));
            problem.sources()[0].rows().iter().map(|row| row.violations[0].unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((arm("tree"), arm("linear")), (vec![2.0], vec![-1.0]));
    }

    #[test]
    fn refusals_name_the_field() {
        let refused = |change: fn(&mut ProblemSpec)| {
            let mut spec = spec();
            change(&mut spec);
            spec.check().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|spec| spec.sources[0].trials[1].metrics = Metrics::from([("auc", f64::NAN)])),
            "sources[0].trials[1].metrics: metric `auc`: value NaN is not finite"
        );
        assert!(refused(|spec| spec.sources.push(spec.sources[0].clone())).starts_with("sources[1].name:"));
        let many = refused(|spec| spec.sources[0].trials = vec![spec.sources[0].trials[0].clone(); 1001]);
        assert!(many.starts_with("sources[0].trials: 1001"), "{many}");
        let many = refused(|spec| spec.sources = vec![spec.sources[0].clone(); 33]);
        assert!(many.starts_with("sources: 33"), "{many}");
    }

    #[test]
    fn a_problem_without_sources_is_written_without_them() {
        let mut spec = spec();
        assert!(serde_json::to_string(&spec).unwrap().contains("\"sources\""));
        spec.sources.clear();
        let text = serde_json::to_string(&spec).unwrap();
        assert!(!text.contains("sources"), "{text}");
        assert_eq!(serde_json::from_str::<ProblemSpec>(&text).unwrap(), spec);
    }
}
