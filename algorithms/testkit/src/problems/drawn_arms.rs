//! Arms of drawn height, width, shape and optimum.

use boxwood_core::{Point, ProblemSpec, Resource, Seed};
use rand::RngExt;

use super::cash::{arm_of, arms};
use super::{Outcome, TestProblem, number, value};

/// Floats of each arm.
const FLOATS: [&str; 3] = ["x0", "x1", "x2"];

/// A CASH problem whose arms are drawn from a seed: another seed is another comparison of models.
///
/// The metric of arm `a` at point `x` in the unit cube and resource `r` is
/// `height_a - width_a mean_i |x_i - o_ai|^power_a - lag_a (1 / r - 1 / R)`, to be maximized, with heights uniform in
/// [0.7, 0.9], widths log-uniform in [0.05, 1], the power 1 or 2, the lag uniform in [0, 0.1] and `R` the largest
/// resource. The first point of an arm says little about the best one: the curves of best results cross.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnArms {
    arms: Vec<Arm>,
    max_resource: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Arm {
    height: f64,
    width: f64,
    power: f64,
    lag: f64,
    optimum: Vec<f64>,
}

impl DrawnArms {
    /// So many arms from a seed; a largest resource of 1 makes a study without fidelity.
    pub fn new(arms: usize, max_resource: u64, seed: Seed) -> Self {
        let mut rng = seed.derive("arms", arms as u64).rng();
        let mut unit = || rng.random::<f64>();
        let mut draw = || Arm {
            height: 0.7 + 0.2 * unit(),
            width: 0.05 * 20.0_f64.powf(unit()),
            power: if unit() < 0.5 { 1.0 } else { 2.0 },
            lag: 0.1 * unit(),
            optimum: FLOATS.iter().map(|_| unit()).collect(),
        };
        Self { arms: (0..arms).map(|_| draw()).collect(), max_resource }
    }

    /// Name of the arm with the best optimum.
    pub fn best_arm(&self) -> String {
        let best = (0..self.arms.len()).max_by(|a, b| self.arms[*a].height.total_cmp(&self.arms[*b].height));
        format!("arm{}", best.unwrap_or_default())
    }
}

impl TestProblem for DrawnArms {
    fn name(&self) -> String {
        format!("drawn{}", self.arms.len())
    }

    fn spec(&self) -> ProblemSpec {
        arms(self.arms.len(), &FLOATS, self.max_resource)
    }

    fn optimum(&self) -> f64 {
        self.arms.iter().map(|arm| arm.height).fold(f64::NEG_INFINITY, f64::max)
    }

    fn evaluate(&self, point: &Point, resource: Resource, _draw: Seed) -> Outcome {
        let chosen = arm_of(point).and_then(|index| Some((index, self.arms.get(index)?)));
        let Some((index, arm)) = chosen else { return Outcome::Infeasible("no such arm".into()) };
        let distance = |(i, at): (usize, &f64)| {
            (number(point, &format!("arm{index}.{}", FLOATS[i])) - at).abs().powf(arm.power)
        };
        let mean = arm.optimum.iter().enumerate().map(distance).sum::<f64>() / FLOATS.len() as f64;
        let lag = arm.lag * (1.0 / resource.0 as f64 - 1.0 / self.max_resource as f64);
        value(arm.height - arm.width * mean - lag)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use boxwood_core::Value;

    use super::*;

    #[test]
    fn the_optimum_is_the_height_of_the_best_arm_at_full_resource() {
        for seed in 1..20 {
            let problem = DrawnArms::new(5, 9, Seed(seed));
            assert_eq!(problem, DrawnArms::new(5, 9, Seed(seed)));
            assert_ne!(problem, DrawnArms::new(5, 9, Seed(seed + 1)));
            problem.spec().check().unwrap();
            let at = |index: usize, resource: u64| {
                let name = format!("arm{index}");
                let floats = problem.arms[index].optimum.iter().enumerate();
                let floats = floats.map(|(i, x)| (format!("{name}.x{i}"), Value::Float(*x)));
                let point = Point(floats.chain([("arm".to_owned(), Value::Text(name.clone()))]).collect());
                match problem.evaluate(&point, Resource(resource), Seed(0)) {
                    Outcome::Measured(metrics) => metrics.get("value").unwrap(),
                    other => panic!("{other:?}"),
                }
            };
            let values: Vec<f64> = (0..5).map(|index| at(index, 9)).collect();
            let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(best, problem.optimum());
            assert!((0..5).all(|index| at(index, 1) <= at(index, 3) && at(index, 3) <= values[index]));
            assert_eq!(problem.best_arm(), format!("arm{}", values.iter().position(|v| *v == best).unwrap()));
        }
    }
}
