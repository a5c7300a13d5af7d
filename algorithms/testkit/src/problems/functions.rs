//! Closed-form functions of floats.

use std::f64::consts::{E, PI};

use boxwood_core::{Point, ProblemSpec, Resource, Seed};
use serde_json::json;

use super::{Outcome, TestProblem, coordinates, cube, minimize, number, value};

/// Branin's function of two floats (Branin, 1972), three equal minima.
#[derive(Debug, Clone, Copy, Default)]
pub struct Branin;

impl Branin {
    /// The function itself.
    pub fn at(x1: f64, x2: f64) -> f64 {
        let (b, c, t) = (5.1 / (4.0 * PI * PI), 5.0 / PI, 1.0 / (8.0 * PI));
        (x2 - b * x1 * x1 + c * x1 - 6.0).powi(2) + 10.0 * (1.0 - t) * x1.cos() + 10.0
    }
}

impl TestProblem for Branin {
    fn name(&self) -> String {
        "branin".into()
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&json!({"parameters": [
            {"name": "x1", "type": "float", "low": -5.0, "high": 10.0},
            {"name": "x2", "type": "float", "low": 0.0, "high": 15.0}
        ]}))
    }

    fn optimum(&self) -> f64 {
        0.397_887_357_729_738_2
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        value(Self::at(number(point, "x1"), number(point, "x2")))
    }
}

/// Hartmann's function of six floats (Dixon and Szego, 1978).
#[derive(Debug, Clone, Copy, Default)]
pub struct Hartmann6;

impl Hartmann6 {
    /// The function itself, on the unit cube.
    pub fn at(x: &[f64]) -> f64 {
        const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
        const A: [[f64; 6]; 4] = [
            [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
            [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
            [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
            [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
        ];
        const P: [[f64; 6]; 4] = [
            [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
            [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
            [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
            [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
        ];
        let term = |i: usize| {
            let inner: f64 = (0..6).map(|j| A[i][j] * (x[j] - P[i][j]).powi(2)).sum();
            ALPHA[i] * (-inner).exp()
        };
        -(0..4).map(term).sum::<f64>()
    }

    /// Its minimum.
    pub const MINIMUM: f64 = -3.322_368_011_391_339;
}

impl TestProblem for Hartmann6 {
    fn name(&self) -> String {
        "hartmann6".into()
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&cube(6, 0.0, 1.0))
    }

    fn optimum(&self) -> f64 {
        Self::MINIMUM
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        value(Self::at(&coordinates(point, 6)))
    }
}

/// Ackley's function on `[-15, 30]^d`, moved so that the minimum does not lie on a grid or in the middle.
#[derive(Debug, Clone, Copy)]
pub struct Ackley {
    /// Number of floats.
    pub dimensions: usize,
}

impl Ackley {
    /// Coordinate of the minimum in every dimension.
    pub const SHIFT: f64 = 2.371_3;
}

impl TestProblem for Ackley {
    fn name(&self) -> String {
        format!("ackley{}", self.dimensions)
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&cube(self.dimensions, -15.0, 30.0))
    }

    fn optimum(&self) -> f64 {
        0.0
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let x = coordinates(point, self.dimensions);
        let d = x.len() as f64;
        let square: f64 = x.iter().map(|x| (x - Self::SHIFT).powi(2)).sum::<f64>() / d;
        let cosine: f64 = x.iter().map(|x| (2.0 * PI * (x - Self::SHIFT)).cos()).sum::<f64>() / d;
        value(-20.0 * (-0.2 * square.sqrt()).exp() - cosine.exp() + 20.0 + E)
    }
}

/// Rosenbrock's valley on `[-2, 2]^d`.
#[derive(Debug, Clone, Copy)]
pub struct Rosenbrock {
    /// Number of floats, at least 2.
    pub dimensions: usize,
}

impl TestProblem for Rosenbrock {
    fn name(&self) -> String {
        format!("rosenbrock{}", self.dimensions)
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&cube(self.dimensions, -2.0, 2.0))
    }

    fn optimum(&self) -> f64 {
        0.0
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let x = coordinates(point, self.dimensions);
        value(x.windows(2).map(|w| 100.0 * (w[1] - w[0] * w[0]).powi(2) + (1.0 - w[0]).powi(2)).sum())
    }
}

/// Styblinski and Tang's function on `[-5, 5]^d`.
#[derive(Debug, Clone, Copy)]
pub struct StyblinskiTang {
    /// Number of floats.
    pub dimensions: usize,
}

impl TestProblem for StyblinskiTang {
    fn name(&self) -> String {
        format!("styblinski_tang{}", self.dimensions)
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&cube(self.dimensions, -5.0, 5.0))
    }

    fn optimum(&self) -> f64 {
        -39.166_165_703_771_42 * self.dimensions as f64
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let x = coordinates(point, self.dimensions);
        value(x.iter().map(|x| x.powi(4) - 16.0 * x * x + 5.0 * x).sum::<f64>() / 2.0)
    }
}
