//! The same problem, told differently.

use boxwood_core::{Fidelity, Goal, Metrics, Point, ProblemSpec, Resource, Seed};

use super::{FloatProblem, Outcome, TestProblem, number};

/// Another problem with its first objective negated and its goal turned round: the same task.
#[derive(Debug, Clone, Copy)]
pub struct Flipped<P>(pub P);

impl<P: TestProblem> TestProblem for Flipped<P> {
    fn name(&self) -> String {
        format!("flipped {}", self.0.name())
    }

    fn spec(&self) -> ProblemSpec {
        let mut spec = self.0.spec();
        for objective in &mut spec.objectives {
            objective.goal = match objective.goal {
                Goal::Minimize => Goal::Maximize,
                Goal::Maximize => Goal::Minimize,
            };
        }
        spec
    }

    fn optimum(&self) -> f64 {
        -self.0.optimum()
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        let flip = |(name, value): (String, f64)| {
            let value = if name == "value" { -value } else { value };
            (name, value)
        };
        match self.0.evaluate(point, resource, draw) {
            Outcome::Measured(metrics) => {
                Outcome::Measured(Metrics(metrics.0.into_iter().map(flip).collect()))
            }
            other => other,
        }
    }

    fn seconds(&self, point: &Point, resource: Resource) -> f64 {
        self.0.seconds(point, resource)
    }

    fn keeps_checkpoints(&self) -> bool {
        self.0.keeps_checkpoints()
    }
}

/// Another problem in which about one point in eight measures 1e30.
#[derive(Debug, Clone, Copy)]
pub struct Outlier<P>(pub P);

impl<P: TestProblem> TestProblem for Outlier<P> {
    fn name(&self) -> String {
        format!("{} with outliers", self.0.name())
    }

    fn spec(&self) -> ProblemSpec {
        self.0.spec()
    }

    fn optimum(&self) -> f64 {
        self.0.optimum()
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        match self.0.evaluate(point, resource, draw) {
            Outcome::Measured(_) if draw.derive("outlier", 0).0.is_multiple_of(8) => super::value(1e30),
            other => other,
        }
    }
}

/// A formula seen through rungs of 1 to 27 epochs: at `r` epochs it answers, constraints included, for the point that lies
/// `0.1 (1 / r - 1 / 27)` of the way to the top of every range.
#[derive(Debug)]
pub struct Shifted(pub FloatProblem);

impl Shifted {
    const EPOCHS: u64 = 27;
    const SHIFT: f64 = 0.1;
}

impl TestProblem for Shifted {
    fn name(&self) -> String {
        format!("mf_{}", self.0.name())
    }

    fn spec(&self) -> ProblemSpec {
        let (min, max) = (Some(1), Some(Self::EPOCHS));
        let rungs = Fidelity { resource: "epochs".into(), min, max, reduction_factor: Some(3), rungs: None };
        ProblemSpec { fidelity: Some(rungs), ..self.0.spec() }
    }

    fn optimum(&self) -> f64 {
        self.0.optimum()
    }

    fn evaluate(&self, point: &Point, resource: Resource, _draw: Seed) -> Outcome {
        let share = Self::SHIFT * (1.0 / resource.0 as f64 - 1.0 / Self::EPOCHS as f64);
        let shifted = |(i, (_, high)): (usize, &(f64, f64))| {
            let value = number(point, &format!("x{i}"));
            value + share * (high - value)
        };
        let x: Vec<f64> = self.0.bounds().iter().enumerate().map(shifted).collect();
        self.0.measured(&x)
    }
}
