//! A problem with noise, or with durations that differ between trials.

use std::f64::consts::PI;

use boxwood_core::{Metrics, Point, ProblemSpec, Resource, Seed};
use rand::RngExt;

use super::{Outcome, TestProblem};

/// Another problem with normal noise on its first objective.
#[derive(Debug, Clone)]
pub struct Noisy<P> {
    /// The problem without noise.
    pub problem: P,
    /// Standard deviation of the noise, in the units of the value.
    pub deviation: f64,
}

impl<P: TestProblem> TestProblem for Noisy<P> {
    fn name(&self) -> String {
        format!("{}_noise_{}", self.problem.name(), self.deviation)
    }

    fn spec(&self) -> ProblemSpec {
        self.problem.spec()
    }

    fn optimum(&self) -> f64 {
        self.problem.optimum()
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        let Outcome::Measured(Metrics(mut metrics)) = self.problem.evaluate(point, resource, draw) else {
            return self.problem.evaluate(point, resource, draw);
        };
        let mut rng = draw.derive("measurement", resource.0).rng();
        let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
        let noise = (-2.0 * u.ln()).sqrt() * (2.0 * PI * v).cos();
        if let Some(value) = metrics.get_mut("value") {
            *value += self.deviation * noise;
        }
        Outcome::Measured(Metrics(metrics))
    }

    fn seconds(&self, point: &Point, resource: Resource) -> f64 {
        self.problem.seconds(point, resource)
    }

    fn keeps_checkpoints(&self) -> bool {
        self.problem.keeps_checkpoints()
    }
}

/// Another problem whose trials last differently: the duration grows by up to `spread` times from one corner of the space
/// to the other, by the mean of the point's numbers on a hash of their own.
#[derive(Debug, Clone)]
pub struct Uneven<P> {
    /// The problem.
    pub problem: P,
    /// Ratio of the longest to the shortest duration, at least 1.
    pub spread: f64,
}

impl<P: TestProblem> TestProblem for Uneven<P> {
    fn name(&self) -> String {
        format!("{}_uneven", self.problem.name())
    }

    fn spec(&self) -> ProblemSpec {
        self.problem.spec()
    }

    fn optimum(&self) -> f64 {
        self.problem.optimum()
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        self.problem.evaluate(point, resource, draw)
    }

    fn seconds(&self, point: &Point, resource: Resource) -> f64 {
        // Durations are a fixed function of the point, so that a study can be repeated.
        let bits = point.0.values().filter_map(boxwood_core::Value::as_number).map(f64::to_bits);
        let mixed = bits.fold(Seed(1), |seed, bits| seed.derive("duration", bits));
        let share: f64 = mixed.rng().random();
        self.problem.seconds(point, resource) * self.spread.powf(share)
    }

    fn keeps_checkpoints(&self) -> bool {
        self.problem.keeps_checkpoints()
    }
}
