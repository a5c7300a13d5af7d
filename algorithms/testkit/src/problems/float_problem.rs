//! Problems given by a closed formula of floats.

use boxwood_core::{Bound, Constraint, Goal, Metrics, Objective, Point, ProblemSpec, Resource, Seed};
use serde_json::json;

use super::{Outcome, TestProblem, minimize, number};

/// Floats to objectives followed by constraint values.
type Formula = Box<dyn Fn(&[f64]) -> Vec<f64> + Send + Sync>;

/// A formula of floats `x0, x1, ...` with minimized objectives `value, value2, ...` and constraints `c1, c2, ...`, each
/// satisfied at or below zero.
pub struct FloatProblem {
    name: String,
    bounds: Vec<(f64, f64)>,
    objectives: usize,
    constraints: usize,
    optimum: f64,
    /// Reference point of the hypervolume and the largest volume, with several objectives.
    front: Option<(Vec<f64>, f64)>,
    formula: Formula,
}

impl FloatProblem {
    /// One minimized objective without constraints.
    pub fn single(
        name: impl Into<String>,
        bounds: Vec<(f64, f64)>,
        optimum: f64,
        formula: impl Fn(&[f64]) -> f64 + Send + Sync + 'static,
    ) -> Self {
        let formula: Formula = Box::new(move |x| vec![formula(x)]);
        Self { name: name.into(), bounds, objectives: 1, constraints: 0, optimum, front: None, formula }
    }

    /// One objective followed by constraint values.
    pub fn constrained(
        name: impl Into<String>,
        bounds: Vec<(f64, f64)>,
        constraints: usize,
        optimum: f64,
        formula: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static,
    ) -> Self {
        let formula: Formula = Box::new(formula);
        Self { name: name.into(), bounds, objectives: 1, constraints, optimum, front: None, formula }
    }

    /// Several objectives, then constraint values; `largest` is the hypervolume of the true front.
    pub fn several(
        name: impl Into<String>,
        bounds: Vec<(f64, f64)>,
        constraints: usize,
        (reference, largest): (Vec<f64>, f64),
        formula: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            bounds,
            objectives: reference.len(),
            constraints,
            optimum: f64::NEG_INFINITY,
            front: Some((reference, largest)),
            formula: Box::new(formula),
        }
    }

    /// Objectives and constraint values at a point.
    pub fn at(&self, x: &[f64]) -> Vec<f64> {
        (self.formula)(x)
    }

    /// The outcome at a point.
    pub(crate) fn measured(&self, x: &[f64]) -> Outcome {
        let name = |index: usize| match index.checked_sub(self.objectives) {
            None => objective_name(index),
            Some(constraint) => format!("c{}", constraint + 1),
        };
        let values = self.at(x).into_iter().enumerate().map(|(i, value)| (name(i), value));
        Outcome::Measured(Metrics(values.collect()))
    }

    /// Bounds of every float.
    pub fn bounds(&self) -> &[(f64, f64)] {
        &self.bounds
    }

    /// Reference point and largest hypervolume, with several objectives.
    pub fn front(&self) -> Option<(&[f64], f64)> {
        self.front.as_ref().map(|(reference, largest)| (reference.as_slice(), *largest))
    }
}

impl std::fmt::Debug for FloatProblem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FloatProblem").field("name", &self.name).finish_non_exhaustive()
    }
}

fn objective_name(index: usize) -> String {
    if index == 0 { "value".into() } else { format!("value{}", index + 1) }
}

impl TestProblem for FloatProblem {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn spec(&self) -> ProblemSpec {
        let parameter = |(i, (low, high)): (usize, &(f64, f64))| json!({"name": format!("x{i}"), "type": "float", "low": low, "high": high});
        let parameters: Vec<_> = self.bounds.iter().enumerate().map(parameter).collect();
        let mut spec = minimize(&json!({"parameters": parameters}));
        for index in 1..self.objectives {
            let metric = objective_name(index);
            spec.objectives.push(Objective { metric, goal: Goal::Minimize, limit: None, target: None });
        }
        for index in 1..=self.constraints {
            spec.constraints.push(Constraint { metric: format!("c{index}"), bound: Bound::AtMost(0.0) });
        }
        spec
    }

    fn optimum(&self) -> f64 {
        self.optimum
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let x: Vec<f64> = (0..self.bounds.len()).map(|i| number(point, &format!("x{i}"))).collect();
        self.measured(&x)
    }
}
