//! Multi-fidelity problems: cheap results that mislead in known ways.

use std::f64::consts::PI;

use boxwood_core::{Fidelity, Point, ProblemSpec, Resource, Seed, SeedRng};
use rand::RngExt;
use serde_json::json;

use super::multi::currin_at;
use super::single::{BRANIN_MINIMUM, HARTMANN_WEIGHTS, HARTMANN3_MINIMUM, hartmann3_at};
use super::{Outcome, TestProblem, coordinates, cube, minimize, number, text, value};

fn fidelity(min: u64, max: u64) -> Fidelity {
    Fidelity {
        resource: "units".into(),
        min: Some(min),
        max: Some(max),
        reduction_factor: Some(3),
        rungs: None,
    }
}

/// A standard normal draw (Box and Muller, 1958).
fn normal(rng: &mut SeedRng) -> f64 {
    let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (2.0 * PI * v).cos()
}

/// Hartmann-3 whose weights and noise depend on the resource `z` in `[1, 100]` (after Mendes et al., MFH3, moderate).
///
/// With `s = ln z / ln 100` the weights lose `3 (1 - s)` and the value gains `|N(0, 1)| 3 (1 - s)`; exact at 100. A trial
/// starts afresh at every resource, so that promotions pay in full.
#[derive(Debug, Clone, Copy, Default)]
pub struct FidelityHartmann3;

impl TestProblem for FidelityHartmann3 {
    fn name(&self) -> String {
        "mfh3_moderate".into()
    }

    fn spec(&self) -> ProblemSpec {
        ProblemSpec { fidelity: Some(fidelity(1, 100)), ..minimize(&cube(3, 0.0, 1.0)) }
    }

    fn optimum(&self) -> f64 {
        HARTMANN3_MINIMUM
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        let missing = 1.0 - (resource.0 as f64).ln() / 100_f64.ln();
        let weights = HARTMANN_WEIGHTS.map(|weight| weight - 3.0 * missing);
        let noise = normal(&mut draw.derive("noise", resource.0).rng()).abs() * 3.0 * missing;
        value(hartmann3_at(&coordinates(point, 3), weights) + noise)
    }

    fn keeps_checkpoints(&self) -> bool {
        false
    }
}

/// Counting ones (Falkner et al., 2018) with 8 bits and 8 probabilities, 9 to 729 tosses; exact at 729, resumable.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingOnes16;

impl TestProblem for CountingOnes16 {
    fn name(&self) -> String {
        "counting_ones".into()
    }

    fn spec(&self) -> ProblemSpec {
        let bit = |i: usize| json!({"name": format!("b{i}"), "type": "categorical", "choices": ["0", "1"]});
        let share = |i: usize| json!({"name": format!("p{i}"), "type": "float", "low": 0.0, "high": 1.0});
        let parameters: Vec<_> = (0..8).map(bit).chain((0..8).map(share)).collect();
        ProblemSpec { fidelity: Some(fidelity(9, 729)), ..minimize(&json!({"parameters": parameters})) }
    }

    fn optimum(&self) -> f64 {
        -16.0
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        let mut total = 0.0;
        for i in 0..8 {
            total += f64::from(u8::from(text(point, &format!("b{i}")) == "1"));
            let share = number(point, &format!("p{i}"));
            if resource.0 >= 729 {
                total += share;
            } else {
                let mut rng = draw.derive("tosses", resource.0 << 8 | i).rng();
                let heads = (0..resource.0).filter(|_| rng.random::<f64>() < share).count();
                total += heads as f64 / resource.0 as f64;
            }
        }
        value(-total)
    }
}

/// Branin's function whose bend is wrong at low resource (Wu et al., 2019, augmented Branin); exact at 27.
#[derive(Debug, Clone, Copy, Default)]
pub struct FidelityBranin;

impl TestProblem for FidelityBranin {
    fn name(&self) -> String {
        "mf_branin".into()
    }

    fn spec(&self) -> ProblemSpec {
        let space = json!({"parameters": [
            {"name": "x0", "type": "float", "low": -5.0, "high": 10.0},
            {"name": "x1", "type": "float", "low": 0.0, "high": 15.0}
        ]});
        ProblemSpec { fidelity: Some(fidelity(1, 27)), ..minimize(&space) }
    }

    fn optimum(&self) -> f64 {
        BRANIN_MINIMUM
    }

    fn evaluate(&self, point: &Point, resource: Resource, _draw: Seed) -> Outcome {
        let (x, y) = (number(point, "x0"), number(point, "x1"));
        let bend = 5.1 / (4.0 * PI * PI) - 0.1 * (1.0 - resource.0 as f64 / 27.0);
        let square = (y - bend * x * x + 5.0 / PI * x - 6.0).powi(2);
        value(square + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0)
    }
}

/// Currin's function, negated, blended with its two-level approximation (Xiong et al., 2013); exact at 27.
#[derive(Debug, Clone, Copy, Default)]
pub struct FidelityCurrin;

impl TestProblem for FidelityCurrin {
    fn name(&self) -> String {
        "mf_currin".into()
    }

    fn spec(&self) -> ProblemSpec {
        ProblemSpec { fidelity: Some(fidelity(1, 27)), ..minimize(&cube(2, 0.0, 1.0)) }
    }

    fn optimum(&self) -> f64 {
        -13.798_722_03
    }

    fn evaluate(&self, point: &Point, resource: Resource, _draw: Seed) -> Outcome {
        let x = coordinates(point, 2);
        let (a, b) = (x[0], x[1]);
        let low = (b - 0.05).max(0.0);
        let coarse = 0.25
            * (currin_at(a + 0.05, b + 0.05)
                + currin_at(a + 0.05, low)
                + currin_at(a - 0.05, b + 0.05)
                + currin_at(a - 0.05, low));
        let share = (resource.0 - 1) as f64 / 26.0;
        value(-(share * currin_at(a, b) + (1.0 - share) * coarse))
    }
}

/// Learning curves that saturate: four floats set the final loss, one of them also how soon it is reached, so that curves
/// cross. Loss at resource `r` of 81: `a + (0.9 - a) exp(-4 k r / 81)` with final loss `a` and speed `k`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SaturatingCurves;

impl SaturatingCurves {
    const CENTRE: [f64; 3] = [0.3, 0.7, 0.45];

    fn loss(bowl: f64, speed: f64, resource: f64) -> f64 {
        let last = 0.1 + 0.5 * bowl + 0.25 * (speed - 0.25).powi(2);
        let rate = 0.5 + 8.0 * speed * speed;
        last + (0.9 - last) * (-4.0 * rate * resource / 81.0).exp()
    }
}

impl TestProblem for SaturatingCurves {
    fn name(&self) -> String {
        "saturating_curves".into()
    }

    fn spec(&self) -> ProblemSpec {
        ProblemSpec { fidelity: Some(fidelity(1, 81)), ..minimize(&cube(4, 0.0, 1.0)) }
    }

    fn optimum(&self) -> f64 {
        // The bowl is best at its centre whatever the speed; the speed has one minimum, found on a fine grid.
        (0..=100_000).map(|i| Self::loss(0.0, f64::from(i) / 1e5, 81.0)).fold(f64::INFINITY, f64::min)
    }

    fn evaluate(&self, point: &Point, resource: Resource, _draw: Seed) -> Outcome {
        let x = coordinates(point, 4);
        let bowl = x.iter().zip(Self::CENTRE).map(|(x, centre)| (x - centre).powi(2)).sum();
        value(Self::loss(bowl, x[3], resource.0 as f64))
    }
}
