//! Families whose noise falls with the resource (after Li et al., 2022, Hyper-Tune).

use std::f64::consts::PI;

use boxwood_core::{Fidelity, Point, ProblemSpec, Resource, Seed, SeedRng};
use rand::RngExt;
use serde_json::json;

use super::{Hartmann6, Outcome, TestProblem, coordinates, cube, minimize, number, text, value};

fn epochs(max: u64) -> Fidelity {
    let resource = "epochs".into();
    Fidelity { resource, min: Some(1), max: Some(max), reduction_factor: Some(3), rungs: None }
}

/// A standard normal draw (Box and Muller, 1958).
fn normal(rng: &mut SeedRng) -> f64 {
    let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (2.0 * PI * v).cos()
}

/// Hartmann-6 with additive noise of deviation `0.38 noise (1 / r - 1 / R)` at resource `r` of `R`.
#[derive(Debug, Clone, Copy)]
pub struct NoisyHartmann6 {
    /// Largest resource `R`.
    pub max_resource: u64,
    /// Scale of the noise.
    pub noise: f64,
}

impl Default for NoisyHartmann6 {
    fn default() -> Self {
        Self { max_resource: 27, noise: 1.0 }
    }
}

impl TestProblem for NoisyHartmann6 {
    fn name(&self) -> String {
        "noisy_hartmann6".into()
    }

    fn spec(&self) -> ProblemSpec {
        ProblemSpec { fidelity: Some(epochs(self.max_resource)), ..minimize(&cube(6, 0.0, 1.0)) }
    }

    fn optimum(&self) -> f64 {
        Hartmann6::MINIMUM
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        let deviation = 0.38 * self.noise * (1.0 / resource.0 as f64 - 1.0 / self.max_resource as f64);
        let noise = deviation * normal(&mut draw.derive("noise", resource.0).rng());
        value(Hartmann6::at(&coordinates(point, 6)) + noise)
    }
}

/// Counting ones (Falkner et al., 2018): bits and probabilities; the probabilities are sampled `r` at a time.
#[derive(Debug, Clone, Copy)]
pub struct CountingOnes {
    /// Number of bits, and of probabilities.
    pub pairs: usize,
    /// Largest resource.
    pub max_resource: u64,
}

impl Default for CountingOnes {
    fn default() -> Self {
        Self { pairs: 8, max_resource: 27 }
    }
}

impl TestProblem for CountingOnes {
    fn name(&self) -> String {
        format!("counting_ones{}", 2 * self.pairs)
    }

    fn spec(&self) -> ProblemSpec {
        let bit = |i: usize| json!({"name": format!("bit{i}"), "type": "categorical", "choices": ["0", "1"]});
        let share = |i: usize| json!({"name": format!("share{i}"), "type": "float", "low": 0.0, "high": 1.0});
        let parameters: Vec<_> = (0..self.pairs).map(bit).chain((0..self.pairs).map(share)).collect();
        let base = minimize(&json!({"parameters": parameters}));
        ProblemSpec { fidelity: Some(epochs(self.max_resource)), ..base }
    }

    fn optimum(&self) -> f64 {
        -2.0 * self.pairs as f64
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        // One unit of resource is 27 coin tosses, as 729 tosses at full resource there.
        let tosses = 27 * resource.0;
        let mut total = 0.0;
        for i in 0..self.pairs {
            total += f64::from(u8::from(text(point, &format!("bit{i}")) == "1"));
            let share = number(point, &format!("share{i}"));
            let mut rng = draw.derive("tosses", i as u64).rng();
            let heads = (0..tosses).filter(|_| rng.random::<f64>() < share).count();
            total += heads as f64 / tosses as f64;
        }
        value(-total)
    }

    fn keeps_checkpoints(&self) -> bool {
        false
    }
}
