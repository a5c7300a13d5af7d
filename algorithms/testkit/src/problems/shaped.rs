//! Problems whose space is the difficulty: mixed, conditional, constrained, finite, flat.

use boxwood_core::{Bound, Constraint, Metrics, Point, ProblemSpec, Resource, Seed};
use serde_json::json;

use super::{Outcome, TestProblem, minimize, number, text, value};

/// A float, a log float, an integer, an ordinal, a boolean and a categorical; minimum 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mixed;

impl TestProblem for Mixed {
    fn name(&self) -> String {
        "mixed".into()
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&json!({"parameters": [
            {"name": "rate", "type": "float", "low": 1e-5, "high": 0.1, "scale": "log"},
            {"name": "dropout", "type": "float", "low": 0.0, "high": 0.5},
            {"name": "layers", "type": "integer", "low": 1, "high": 8},
            {"name": "width", "type": "ordinal", "choices": [16, 32, 64, 128]},
            {"name": "activation", "type": "categorical", "choices": ["relu", "tanh", "gelu"]},
            {"name": "bias", "type": "boolean"}
        ]}))
    }

    fn optimum(&self) -> f64 {
        0.0
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let rate = (number(point, "rate").log10() + 3.0) / 4.0;
        let dropout = number(point, "dropout") - 0.2;
        let layers = (number(point, "layers") - 3.0) / 8.0;
        let width = (number(point, "width").log2() - 6.0) / 4.0;
        let activation = match text(point, "activation") {
            "gelu" => 0.0,
            "relu" => 0.05,
            _ => 0.3,
        };
        let bias = if point.0.get("bias") == Some(&boxwood_core::Value::Boolean(true)) { 0.0 } else { 0.02 };
        value(rate * rate + dropout * dropout + layers * layers + width * width + activation + bias)
    }
}

/// Two algorithms with parameters of their own, one of them with a nested condition; minimum 0 on the second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditional;

impl TestProblem for Conditional {
    fn name(&self) -> String {
        "conditional".into()
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&json!({"parameters": [
            {"name": "kind", "type": "categorical", "choices": ["linear", "tree"]},
            {"name": "penalty", "type": "float", "low": 1e-4, "high": 10.0, "scale": "log",
             "when": {"parameter": "kind", "equals": "linear"}},
            {"name": "depth", "type": "integer", "low": 1, "high": 12,
             "when": {"parameter": "kind", "equals": "tree"}},
            {"name": "prune", "type": "boolean", "when": {"parameter": "kind", "equals": "tree"}},
            {"name": "strength", "type": "float", "low": 0.0, "high": 1.0,
             "when": {"parameter": "prune", "equals": true}}
        ]}))
    }

    fn optimum(&self) -> f64 {
        0.0
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        if text(point, "kind") == "linear" {
            let penalty = number(point, "penalty").log10();
            return value(0.3 + 0.1 * (penalty + 1.0).powi(2));
        }
        let depth = (number(point, "depth") - 6.0) / 12.0;
        let strength = number(point, "strength");
        let pruning = if strength.is_nan() { 0.1 } else { (strength - 0.7).powi(2) };
        value(depth * depth + pruning)
    }
}

/// Simionescu's function: `0.1 x y` inside a flower, minimum about -0.072625 (Simionescu, 2014).
#[derive(Debug, Clone, Copy, Default)]
pub struct Simionescu;

impl TestProblem for Simionescu {
    fn name(&self) -> String {
        "simionescu".into()
    }

    fn spec(&self) -> ProblemSpec {
        let mut spec = minimize(&json!({"parameters": [
            {"name": "x", "type": "float", "low": -1.25, "high": 1.25},
            {"name": "y", "type": "float", "low": -1.25, "high": 1.25}
        ]}));
        spec.constraints.push(Constraint { metric: "outside".into(), bound: Bound::AtMost(0.0) });
        spec
    }

    fn optimum(&self) -> f64 {
        -0.072_625
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let (x, y) = (number(point, "x"), number(point, "y"));
        let radius = 1.0 + 0.2 * (8.0 * x.atan2(y)).cos();
        Outcome::Measured(Metrics::from([
            ("value", 0.1 * x * y),
            ("outside", x * x + y * y - radius * radius),
        ]))
    }
}

/// Six points and no more; minimum 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finite;

impl TestProblem for Finite {
    fn name(&self) -> String {
        "finite".into()
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&json!({"parameters": [
            {"name": "letter", "type": "categorical", "choices": ["a", "b", "c"]},
            {"name": "size", "type": "ordinal", "choices": [1, 2]}
        ]}))
    }

    fn optimum(&self) -> f64 {
        0.0
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let letter = if text(point, "letter") == "b" { 0.0 } else { 1.0 };
        value(letter + number(point, "size") - 1.0)
    }
}

/// Two floats that do not matter; the value is 1 everywhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Constant;

impl TestProblem for Constant {
    fn name(&self) -> String {
        "constant".into()
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&super::cube(2, 0.0, 1.0))
    }

    fn optimum(&self) -> f64 {
        1.0
    }

    fn evaluate(&self, _point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        value(1.0)
    }
}
