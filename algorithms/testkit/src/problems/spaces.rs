//! Mixed and conditional spaces that other libraries were measured on.

use boxwood_core::{Point, ProblemSpec, Resource, Seed};
use serde_json::{Value as Json, json};

use super::single::{HARTMANN_WEIGHTS, HARTMANN3_MINIMUM, hartmann3_at, rosenbrock_at};
use super::{Branin, Outcome, TestProblem, minimize, number, text, value};

/// Separable bowls over eight parameters whose centres and heights depend on three categoricals; minimum 0.
///
/// No choice of the minimum is listed first: a solver that starts from the default point must not begin with them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mixed8;

impl TestProblem for Mixed8 {
    fn name(&self) -> String {
        "mixed8".into()
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&json!({"parameters": [
            {"name": "x1", "type": "float", "low": -2.0, "high": 2.0},
            {"name": "x2", "type": "float", "low": 0.0, "high": 1.0},
            {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "scale": "log"},
            {"name": "n", "type": "integer", "low": 1, "high": 20},
            {"name": "k", "type": "integer", "low": 1, "high": 128, "scale": "log"},
            {"name": "c1", "type": "categorical", "choices": ["b", "d", "a", "c"]},
            {"name": "c2", "type": "categorical", "choices": ["tanh", "sin", "relu"]},
            {"name": "c3", "type": "categorical", "choices": ["off", "on"]}
        ]}))
    }

    fn optimum(&self) -> f64 {
        0.0
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let (height, rate_centre, width_centre) = match text(point, "c1") {
            "a" => (0.0, -3.0, 5.0),
            "b" => (0.15, -2.0, 3.0),
            "c" => (0.30, -4.0, 5.0),
            _ => (0.60, -1.0, 3.0),
        };
        let (second, centre, ripples) = match text(point, "c2") {
            "relu" => (0.0, 0.7, 0.0),
            "tanh" => (0.1, -1.1, 0.0),
            _ => (0.05, 0.0, 0.3),
        };
        let on = text(point, "c3") == "on";
        let first_pair = matches!(text(point, "c1"), "a" | "b");
        let switch = match (on, first_pair) {
            (false, true) => 0.25,
            (true, false) => 0.10,
            _ => 0.0,
        };
        let x1 = number(point, "x1");
        let steps = number(point, "n") - if on { 6.0 } else { 14.0 };
        value(
            height
                + second
                + switch
                + 0.5 * (number(point, "lr").log10() - rate_centre).powi(2)
                + (x1 - centre).powi(2)
                + ripples * (3.0 * std::f64::consts::PI * x1).sin().powi(2)
                + 2.0 * (number(point, "x2") - 0.5 * (1.0 + x1.tanh())).powi(2)
                + 0.02 * steps * steps
                + 0.1 * (number(point, "k").log2() - width_centre).powi(2),
        )
    }
}

/// Four problems behind one categorical; the best values are 0.2398, 0 (the minimum), 0.3 and 0.1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditional4;

impl TestProblem for Conditional4 {
    fn name(&self) -> String {
        "cond4".into()
    }

    fn spec(&self) -> ProblemSpec {
        let when = |arm: &str, mut parameter: Json| {
            parameter["when"] = json!({"parameter": "algo", "equals": arm});
            parameter
        };
        let float = |name: &str, low: f64, high: f64| json!({"name": name, "type": "float", "low": low, "high": high});
        let mut parameters = vec![
            json!({"name": "algo", "type": "categorical", "choices": ["A", "B", "C", "D"]}),
            when("A", float("a_x", -5.0, 10.0)),
            when("A", float("a_y", 0.0, 15.0)),
            when("C", json!({"name": "c_lr", "type": "float", "low": 1e-6, "high": 1.0, "scale": "log"})),
            when("C", json!({"name": "c_n", "type": "integer", "low": 1, "high": 50})),
            when("C", json!({"name": "c_k", "type": "categorical", "choices": ["p", "q", "r"]})),
        ];
        parameters.extend((0..3).map(|i| when("B", float(&format!("b_{i}"), 0.0, 1.0))));
        parameters.extend((0..4).map(|i| when("D", float(&format!("d_{i}"), -2.0, 2.0))));
        minimize(&json!({"parameters": parameters}))
    }

    fn optimum(&self) -> f64 {
        0.0
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let floats = |prefix: &str, count: usize| -> Vec<f64> {
            (0..count).map(|i| number(point, &format!("{prefix}_{i}"))).collect()
        };
        value(match text(point, "algo") {
            "A" => 0.2 + Branin::at(number(point, "a_x"), number(point, "a_y")) / 10.0,
            "B" => hartmann3_at(&floats("b", 3), HARTMANN_WEIGHTS) - HARTMANN3_MINIMUM,
            "C" => {
                let kind = match text(point, "c_k") {
                    "p" => 0.4,
                    "q" => 0.0,
                    _ => 0.2,
                };
                let rate = number(point, "c_lr").log10() + 3.0;
                0.3 + 0.2 * rate * rate + 0.01 * (number(point, "c_n") - 20.0).powi(2) + kind
            }
            _ => 0.1 + rosenbrock_at(&floats("d", 4)) / 50.0,
        })
    }
}
