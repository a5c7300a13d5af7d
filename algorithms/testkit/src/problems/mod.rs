//! Test problems as objects: declaration, known optimum, evaluation and cost.

mod bbob;
mod bbob_draws;
mod cash;
pub mod constrained;
mod curves;
mod disturbed;
mod drawn_arms;
mod float_problem;
mod functions;
pub mod multi;
mod multi_fidelity;
mod shaped;
pub mod single;
mod spaces;
mod wrappers;

use boxwood_core::{Metrics, Point, ProblemSpec, Resource, Seed, SpaceSpec, Value};

pub use bbob::Bbob;
pub use cash::CashArms;
pub use curves::{CountingOnes16, FidelityBranin, FidelityCurrin, FidelityHartmann3, SaturatingCurves};
pub use disturbed::{Noisy, Uneven};
pub use drawn_arms::DrawnArms;
pub use float_problem::FloatProblem;
pub use functions::{Ackley, Branin, Hartmann6, Rosenbrock, StyblinskiTang};
pub use multi_fidelity::{CountingOnes, NoisyHartmann6};
pub use shaped::{Conditional, Constant, Finite, Mixed, Simionescu};
pub use spaces::{Conditional4, Mixed8};
pub use wrappers::{Flipped, Outlier, Shifted};

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Metrics were measured.
    Measured(Metrics),
    /// The program failed.
    Failed(String),
    /// The point cannot be evaluated.
    Infeasible(String),
}

/// A problem whose answer is known.
pub trait TestProblem: Send + Sync {
    /// Name for messages and tables.
    fn name(&self) -> String;

    /// The declaration, with its first objective named `value`.
    fn spec(&self) -> ProblemSpec;

    /// Best native value of the first objective at full resource over the feasible points.
    fn optimum(&self) -> f64;

    /// Evaluates a canonical point up to a resource; noise comes from `draw` alone.
    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome;

    /// Seconds of training from nothing to a resource.
    fn seconds(&self, _point: &Point, resource: Resource) -> f64 {
        resource.0 as f64
    }

    /// Whether a resumed trial pays only for the difference.
    fn keeps_checkpoints(&self) -> bool {
        true
    }
}

/// The float of a parameter; NaN when it is inactive or not a number.
pub fn number(point: &Point, name: &str) -> f64 {
    match point.0.get(name) {
        Some(Value::Float(value)) => *value,
        Some(Value::Integer(value)) => *value as f64,
        _ => f64::NAN,
    }
}

/// The text of a parameter; empty when it is inactive or not a text.
pub fn text<'a>(point: &'a Point, name: &str) -> &'a str {
    match point.0.get(name) {
        Some(Value::Text(value)) => value,
        _ => "",
    }
}

/// A measured single value.
pub fn value(value: f64) -> Outcome {
    Outcome::Measured(Metrics::from([("value", value)]))
}

/// A problem with one minimized objective `value` on a space given as JSON.
pub fn minimize(space: &serde_json::Value) -> ProblemSpec {
    let space: SpaceSpec = serde_json::from_value(space.clone()).expect("test spaces are well-formed");
    let objective = serde_json::json!({"metric": "value", "goal": "minimize"});
    ProblemSpec {
        space,
        objectives: vec![serde_json::from_value(objective).expect("a metric and a goal")],
        constraints: Vec::new(),
        fidelity: None,
        max_trials: None,
        initial_points: Vec::new(),
        sources: Vec::new(),
        seed: 0,
    }
}

/// `count` floats named `x1, x2, ...` in one range.
pub(crate) fn cube(count: usize, low: f64, high: f64) -> serde_json::Value {
    let parameter =
        |i: usize| serde_json::json!({"name": format!("x{i}"), "type": "float", "low": low, "high": high});
    serde_json::json!({"parameters": (1..=count).map(parameter).collect::<Vec<_>>()})
}

/// The floats `x1, x2, ...` of a point.
pub(crate) fn coordinates(point: &Point, count: usize) -> Vec<f64> {
    (1..=count).map(|i| number(point, &format!("x{i}"))).collect()
}

#[cfg(test)]
mod bench_tests;
#[cfg(test)]
mod tests;
