//! The 24 noiseless functions of the black-box optimization benchmark with their instances.
//!
//! Definitions after Hansen, Finck, Ros and Auger (2009), "Real-parameter black-box optimization benchmarking 2009:
//! noiseless functions definitions" (INRIA RR-6829); seeds and generators after the published data of COCO, so that values
//! agree with its `bbob` suite. Every function lives on `[-5, 5]^d`, `d >= 2`, and its minimum is `f_opt` of the instance.

use std::f64::consts::PI;

use boxwood_core::{Point, ProblemSpec, Resource, Seed};

use super::bbob_draws::{
    asymmetric, gauss, multiply, oscillate, oscillated, permutation, position, rotation, scaled, shifted,
    uniform, value_offset,
};
use super::{Outcome, TestProblem, coordinates, cube, minimize, value};

/// One function of the benchmark in one dimension and instance.
#[derive(Debug, Clone)]
pub struct Bbob {
    function: u32,
    instance: u32,
    dimensions: usize,
    /// Offset added to the value: the minimum.
    offset: f64,
    /// Location of the minimum, or what the function uses in its place.
    position: Vec<f64>,
    /// The two rotations R and Q, row by row.
    first: Vec<Vec<f64>>,
    second: Vec<Vec<f64>>,
    peaks: Vec<Peak>,
}

/// One peak of Gallagher's functions: height, rotated centre, and weight per rotated coordinate.
#[derive(Debug, Clone)]
struct Peak {
    height: f64,
    centre: Vec<f64>,
    weights: Vec<f64>,
}

impl Bbob {
    /// Function 1 to 24, any instance from 1, at least two dimensions.
    ///
    /// # Panics
    /// On a function or a dimension outside these ranges.
    pub fn new(function: u32, instance: u32, dimensions: usize) -> Self {
        assert!((1..=24).contains(&function), "BBOB has functions 1 to 24");
        assert!(dimensions >= 2, "BBOB functions need two dimensions");
        // Functions 4 and 18 share the draws of their easier siblings.
        let drawn_as = match function {
            4 => 3,
            18 => 17,
            other => other,
        };
        let seed = i64::from(drawn_as) + 10_000 * i64::from(instance);
        let peaks = match function {
            21 => gallagher(101, dimensions, seed),
            22 => gallagher(21, dimensions, seed),
            _ => Vec::new(),
        };
        Self {
            function,
            instance,
            dimensions,
            offset: value_offset(drawn_as, instance),
            position: Self::draw_position(function, dimensions, seed),
            first: rotation(seed + 1_000_000, dimensions),
            second: rotation(seed, dimensions),
            peaks,
        }
    }

    fn draw_position(function: u32, dimensions: usize, seed: i64) -> Vec<f64> {
        let sign = |negative: bool, size: f64| if negative { -size } else { size };
        match function {
            4 => {
                let mut drawn = position(seed, dimensions);
                for x in drawn.iter_mut().step_by(2) {
                    *x = x.abs();
                }
                drawn
            }
            8 => position(seed, dimensions).into_iter().map(|x| 0.75 * x).collect(),
            12 => position(seed + 1_000_000, dimensions),
            20 => uniform(dimensions, seed).iter().map(|u| sign(*u < 0.5, 0.5 * 4.209_687_463_7)).collect(),
            24 => gauss(dimensions, seed).iter().map(|g| sign(*g < 0.0, 1.25)).collect(),
            _ => position(seed, dimensions),
        }
    }

    /// The value at a point.
    pub fn at(&self, x: &[f64]) -> f64 {
        self.offset + self.penalty(x) + self.core(x)
    }

    /// Penalty for leaving the box, with the weight that the function gives it.
    fn penalty(&self, x: &[f64]) -> f64 {
        let outside: f64 = x.iter().map(|x| (x.abs() - 5.0).max(0.0).powi(2)).sum();
        let weight = match self.function {
            4 => 100.0,
            7 | 21 | 22 | 23 => 1.0,
            16 => 10.0 / self.dimensions as f64,
            17 | 18 => 10.0,
            24 => 1e4,
            _ => 0.0,
        };
        weight * outside
    }

    /// `R Lambda^condition Q z`.
    fn conditioned(&self, z: &[f64], condition: f64) -> Vec<f64> {
        multiply(&self.first, &scaled(&multiply(&self.second, z), condition))
    }

    fn core(&self, x: &[f64]) -> f64 {
        let d = self.dimensions as f64;
        let share = |i: usize| i as f64 / (d - 1.0);
        let z = shifted(x, &self.position);
        let rotated = || multiply(&self.first, &z);
        let ellipsoid = |z: &[f64]| z.iter().enumerate().map(|(i, z)| 1e6_f64.powf(share(i)) * z * z).sum();
        // The factor by which Rosenbrock's valley is stretched in more than 64 dimensions.
        let stretch = (d.sqrt() / 8.0).max(1.0);
        let valley = |z: &[f64]| -> Vec<f64> {
            z.windows(2).map(|w| 100.0 * (w[0] * w[0] - w[1]).powi(2) + (w[0] - 1.0).powi(2)).collect()
        };
        let turned_valley = || -> Vec<f64> {
            valley(&multiply(&self.second, x).iter().map(|z| stretch * z + 0.5).collect::<Vec<_>>())
        };
        match self.function {
            1 => z.iter().map(|z| z * z).sum(),
            2 => ellipsoid(&oscillated(&z)),
            3 => rastrigin(&scaled(&asymmetric(&oscillated(&z), 0.2), 10.0)),
            4 => {
                let bent = |(i, z): (usize, &f64)| {
                    let factor = 10_f64.sqrt().powf(share(i));
                    if *z > 0.0 && i % 2 == 0 { 10.0 * factor * z } else { factor * z }
                };
                rastrigin(&oscillated(&z).iter().enumerate().map(bent).collect::<Vec<_>>())
            }
            5 => {
                let term = |(i, (x, optimum)): (usize, (&f64, &f64))| {
                    let slope = 10_f64.powf(share(i)) * optimum.signum();
                    5.0 * slope.abs() - slope * x
                };
                x.iter().zip(&self.position).enumerate().map(term).sum()
            }
            6 => {
                let z = self.conditioned(&z, 10.0);
                let term = |(z, optimum): (&f64, &f64)| if z * optimum > 0.0 { 1e4 * z * z } else { z * z };
                oscillate(z.iter().zip(&self.position).map(term).sum()).powf(0.9)
            }
            7 => self.steps(&z),
            8 => valley(&z.iter().map(|z| stretch * z + 1.0).collect::<Vec<_>>()).iter().sum(),
            9 => turned_valley().iter().sum(),
            10 => ellipsoid(&oscillated(&rotated())),
            11 => {
                let z = oscillated(&rotated());
                1e6 * z[0] * z[0] + z[1..].iter().map(|z| z * z).sum::<f64>()
            }
            12 => {
                let z = multiply(&self.first, &asymmetric(&rotated(), 0.5));
                z[0] * z[0] + 1e6 * z[1..].iter().map(|z| z * z).sum::<f64>()
            }
            13 => {
                let z = self.conditioned(&z, 10.0);
                z[0] * z[0] + 100.0 * z[1..].iter().map(|z| z * z).sum::<f64>().sqrt()
            }
            14 => {
                let term = |(i, z): (usize, &f64)| z.abs().powf(2.0 + 4.0 * share(i));
                rotated().iter().enumerate().map(term).sum::<f64>().sqrt()
            }
            15 => rastrigin(&self.conditioned(&asymmetric(&oscillated(&rotated()), 0.2), 10.0)),
            16 => weierstrass(&self.conditioned(&oscillated(&rotated()), 0.01)),
            17 | 18 => {
                let condition = if self.function == 17 { 10.0 } else { 1000.0 };
                let z = scaled(&multiply(&self.second, &asymmetric(&rotated(), 0.5)), condition);
                let term = |w: &[f64]| {
                    let square = w[0] * w[0] + w[1] * w[1];
                    square.powf(0.25) * (1.0 + (50.0 * square.powf(0.1)).sin().powi(2))
                };
                (z.windows(2).map(term).sum::<f64>() / (d - 1.0)).powi(2)
            }
            19 => {
                let sum: f64 = turned_valley().iter().map(|s| s / 4000.0 - s.cos()).sum();
                10.0 + 10.0 * sum / (d - 1.0)
            }
            20 => self.schwefel(x),
            21 | 22 => self.highest_peak(x),
            23 => katsuura(&self.conditioned(&z, 100.0)),
            _ => self.lunacek(x),
        }
    }

    /// f7, the ellipsoid of steps.
    fn steps(&self, z: &[f64]) -> f64 {
        let d = self.dimensions as f64;
        let z = scaled(&multiply(&self.second, z), 10.0);
        let nearest = |x: f64| (x + 0.5).floor();
        let stepped: Vec<f64> =
            z.iter().map(|z| if z.abs() > 0.5 { nearest(*z) } else { nearest(10.0 * z) / 10.0 }).collect();
        let turned = multiply(&self.first, &stepped);
        let term = |(i, z): (usize, &f64)| 100_f64.powf(i as f64 / (d - 1.0)) * z * z;
        0.1 * turned.iter().enumerate().map(term).sum::<f64>().max(z[0].abs() * 1e-4)
    }

    /// f20, Schwefel's function; its position holds `x_opt`, whose signs mirror the space.
    fn schwefel(&self, x: &[f64]) -> f64 {
        let d = self.dimensions as f64;
        let mirrored: Vec<f64> = x.iter().zip(&self.position).map(|(x, o)| 2.0 * x * o.signum()).collect();
        let mut sum = 0.0;
        let mut outside = 0.0;
        for i in 0..self.dimensions {
            let centre = 2.0 * self.position[i].abs();
            let coupled = match i {
                0 => mirrored[0],
                _ => mirrored[i] + 0.25 * (mirrored[i - 1] - 2.0 * self.position[i - 1].abs()),
            };
            let factor = 10_f64.sqrt().powf(i as f64 / (d - 1.0));
            let z = 100.0 * (centre + factor * (coupled - centre));
            sum += z * z.abs().sqrt().sin();
            outside += (z.abs() - 500.0).max(0.0).powi(2);
        }
        0.01 * (outside + 418.982_887_272_433_9 - sum / d)
    }

    /// f21 and f22, Gallagher's peaks.
    fn highest_peak(&self, x: &[f64]) -> f64 {
        let turned = multiply(&self.second, x);
        let height = |peak: &Peak| {
            let terms = turned.iter().zip(&peak.centre).zip(&peak.weights);
            let distance: f64 = terms.map(|((z, centre), weight)| weight * (z - centre).powi(2)).sum();
            peak.height * (-0.5 / self.dimensions as f64 * distance).exp()
        };
        oscillate(10.0 - self.peaks.iter().map(height).fold(0.0, f64::max)).powi(2)
    }

    /// f24, Lunacek's two funnels with Rastrigin's ripples.
    fn lunacek(&self, x: &[f64]) -> f64 {
        let d = self.dimensions as f64;
        let near = 2.5;
        let s = 1.0 - 0.5 / ((d + 20.0).sqrt() - 4.1);
        let far = -((near * near - 1.0) / s).sqrt();
        let mirrored: Vec<f64> = x.iter().zip(&self.position).map(|(x, o)| 2.0 * x * o.signum()).collect();
        let away = |centre: f64| mirrored.iter().map(|x| (x - centre).powi(2)).sum::<f64>();
        let z = self.conditioned(&mirrored.iter().map(|x| x - near).collect::<Vec<_>>(), 100.0);
        let ripples: f64 = z.iter().map(|z| (2.0 * PI * z).cos()).sum();
        away(near).min(d + s * away(far)) + 10.0 * (d - ripples)
    }
}

fn rastrigin(z: &[f64]) -> f64 {
    z.iter().map(|z| 10.0 * (1.0 - (2.0 * PI * z).cos()) + z * z).sum()
}

/// f16 without offset.
fn weierstrass(z: &[f64]) -> f64 {
    let term = |x: f64| -> f64 {
        (0..12).map(|k| 0.5_f64.powi(k) * (2.0 * PI * 3_f64.powi(k) * (x + 0.5)).cos()).sum()
    };
    10.0 * (z.iter().map(|z| term(*z)).sum::<f64>() / z.len() as f64 - term(0.0)).powi(3)
}

/// f23 without offset.
fn katsuura(z: &[f64]) -> f64 {
    let d = z.len() as f64;
    let distance = |x: f64| -> f64 {
        (1..33)
            .map(|k| {
                let power = 2_f64.powi(k);
                (power * x - (power * x + 0.5).floor()).abs() / power
            })
            .sum()
    };
    let product: f64 = z.iter().enumerate().map(|(i, z)| 1.0 + (i as f64 + 1.0) * distance(*z)).product();
    10.0 / d / d * (product.powf(10.0 / d.powf(1.2)) - 1.0)
}

/// The peaks of f21 (101 of them) and f22 (21).
fn gallagher(count: usize, dimensions: usize, seed: i64) -> Vec<Peak> {
    let (width, centre_shift, first_condition) =
        if count == 101 { (10.0, 5.0, 1000_f64.sqrt()) } else { (9.8, 4.9, 1000.0) };
    let turn = rotation(seed, dimensions);
    let order = permutation(count - 1, seed);
    let places = uniform(count * dimensions, seed);
    let steps = (count - 2) as f64;
    (0..count)
        .map(|i| {
            let (height, condition) = match i {
                0 => (10.0, first_condition),
                _ => (1.1 + 8.0 * (i - 1) as f64 / steps, 1000_f64.powf(order[i - 1] as f64 / steps)),
            };
            let exponents = permutation(dimensions, seed + 1000 * i as i64);
            let weight = |k: &usize| condition.powf(*k as f64 / (dimensions - 1) as f64 - 0.5);
            let shrink = if i == 0 { 0.8 } else { 1.0 };
            let place = &places[i * dimensions..(i + 1) * dimensions];
            let centre: Vec<f64> = place.iter().map(|u| shrink * (width * u - centre_shift)).collect();
            Peak { height, centre: multiply(&turn, &centre), weights: exponents.iter().map(weight).collect() }
        })
        .collect()
}

impl TestProblem for Bbob {
    fn name(&self) -> String {
        format!("bbob_f{:02}_i{}_d{}", self.function, self.instance, self.dimensions)
    }

    fn spec(&self) -> ProblemSpec {
        minimize(&cube(self.dimensions, -5.0, 5.0))
    }

    fn optimum(&self) -> f64 {
        self.offset
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        value(self.at(&coordinates(point, self.dimensions)))
    }
}
