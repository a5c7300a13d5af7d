//! Arms whose best-so-far curves rise concavely to different heights.

use boxwood_core::{Fidelity, Goal, Point, ProblemSpec, Resource, Seed};
use serde_json::{Map, Value as Json, json};

use super::{Outcome, TestProblem, minimize, number, text, value};

/// A CASH problem like a comparison of models by AUC: the arm sets the height, two floats the rest.
///
/// The metric of arm `a` at point `(x, y)` and resource `r` is `height_a - width_a ((x - 0.6)^2 + (y - 0.3)^2) - lag_a / r`.
#[derive(Debug, Clone, PartialEq)]
pub struct CashArms {
    /// Height, width and lag of each arm.
    pub arms: Vec<[f64; 3]>,
    /// Largest resource; 1 for a study without fidelity.
    pub max_resource: u64,
    /// Arm that always fails, if any.
    pub broken: Option<usize>,
}

impl Default for CashArms {
    fn default() -> Self {
        let arms = vec![[0.74, 0.05, 0.01], [0.80, 0.2, 0.05], [0.78, 0.1, 0.02], [0.70, 0.02, 0.01]];
        Self { arms, max_resource: 1, broken: None }
    }
}

/// A study to maximize `value` over arms `arm0, arm1, ...` with these floats of the unit interval each, and with rungs of
/// epochs where the largest resource is above 1.
pub(super) fn arms(count: usize, floats: &[&str], max_resource: u64) -> ProblemSpec {
    let float = |name: &&str| json!({"name": name, "type": "float", "low": 0.0, "high": 1.0});
    let arm = json!({"parameters": floats.iter().map(float).collect::<Vec<_>>()});
    let choices: Map<String, Json> = (0..count).map(|i| (format!("arm{i}"), arm.clone())).collect();
    let mut spec = minimize(&json!({"arms": {"parameter": "arm", "choices": choices}}));
    spec.objectives[0].goal = Goal::Maximize;
    if max_resource > 1 {
        spec.fidelity = Some(Fidelity {
            resource: "epochs".into(),
            min: Some(1),
            max: Some(max_resource),
            reduction_factor: Some(3),
            rungs: None,
        });
    }
    spec
}

/// Which of those arms a point chooses.
pub(super) fn arm_of(point: &Point) -> Option<usize> {
    text(point, "arm").strip_prefix("arm")?.parse().ok()
}

impl TestProblem for CashArms {
    fn name(&self) -> String {
        format!("cash{}", self.arms.len())
    }

    fn spec(&self) -> ProblemSpec {
        arms(self.arms.len(), &["x", "y"], self.max_resource)
    }

    fn optimum(&self) -> f64 {
        let best = |(i, [height, _, lag]): (usize, &[f64; 3])| {
            if Some(i) == self.broken { f64::NEG_INFINITY } else { height - lag / self.max_resource as f64 }
        };
        self.arms.iter().enumerate().map(best).fold(f64::NEG_INFINITY, f64::max)
    }

    fn evaluate(&self, point: &Point, resource: Resource, _draw: Seed) -> Outcome {
        let chosen = arm_of(point).and_then(|index| Some((index, self.arms.get(index)?)));
        let Some((index, [height, width, lag])) = chosen else {
            return Outcome::Infeasible("no such arm".into());
        };
        if Some(index) == self.broken {
            return Outcome::Failed("this arm is broken".into());
        }
        let x = number(point, &format!("arm{index}.x")) - 0.6;
        let y = number(point, &format!("arm{index}.y")) - 0.3;
        value(height - width * (x * x + y * y) - lag / resource.0 as f64)
    }
}
