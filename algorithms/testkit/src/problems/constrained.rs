//! One objective under constraints.

use super::Branin;
use super::FloatProblem;
use super::single::{BRANIN_MINIMUM, ackley_at};

/// Townsend's function (2014) inside a flower.
pub fn townsend() -> FloatProblem {
    FloatProblem::constrained("townsend", vec![(-2.25, 2.25), (-2.5, 1.75)], 1, -2.023_988_4, |x| {
        let (x, y) = (x[0], x[1]);
        let value = -((x - 0.1) * y).cos().powi(2) - x * (3.0 * x + y).sin();
        let t = x.atan2(y);
        let along = 2.0 * t.cos() - 0.5 * (2.0 * t).cos() - 0.25 * (3.0 * t).cos() - 0.125 * (4.0 * t).cos();
        vec![value, x * x + y * y - along.powi(2) - (2.0 * t.sin()).powi(2)]
    })
}

/// Branin's function inside a disc (Gelbart et al., 2014, with their radius).
pub fn branin_disc() -> FloatProblem {
    FloatProblem::constrained("branin_disc", vec![(-5.0, 10.0), (0.0, 15.0)], 1, BRANIN_MINIMUM, |x| {
        vec![Branin::at(x[0], x[1]), (x[0] - 2.5).powi(2) + (x[1] - 7.5).powi(2) - 50.0]
    })
}

/// Mishra's bird (2006) inside a disc.
pub fn mishra() -> FloatProblem {
    FloatProblem::constrained("mishra", vec![(-10.0, 0.0), (-6.5, 0.0)], 1, -106.764_536_7, |x| {
        let (x, y) = (x[0], x[1]);
        let bird = y.sin() * (1.0 - x.cos()).powi(2).exp() + x.cos() * (1.0 - y.sin()).powi(2).exp();
        vec![bird + (x - y).powi(2), (x + 5.0).powi(2) + (y + 5.0).powi(2) - 25.0]
    })
}

/// Simionescu's function (2014): `0.1 x y` inside a flower.
pub fn simionescu() -> FloatProblem {
    FloatProblem::constrained("simionescu", vec![(-1.25, 1.25); 2], 1, -0.072_625, |x| {
        let (x, y) = (x[0], x[1]);
        let radius = 1.0 + 0.2 * (8.0 * x.atan2(y)).cos();
        vec![0.1 * x * y, x * x + y * y - radius * radius]
    })
}

/// Keane's bump (1994) of ten floats: a product bound below and a sum bound above.
pub fn keane10() -> FloatProblem {
    FloatProblem::constrained("keane10", vec![(0.0, 10.0); 10], 2, -0.747_310_36, |x| {
        let fourth: f64 = x.iter().map(|x| x.cos().powi(4)).sum();
        let product: f64 = x.iter().map(|x| x.cos().powi(2)).product();
        let weighted: f64 = x.iter().enumerate().map(|(i, x)| (i as f64 + 1.0) * x * x).sum();
        // The value at the origin is a limit of the formula's form 0/0; no feasible point lies near it.
        let value = -((fourth - 2.0 * product) / weighted.max(1e-12).sqrt()).abs();
        vec![value, 0.75 - x.iter().product::<f64>(), x.iter().sum::<f64>() - 75.0]
    })
}

/// Ackley's function on `[-5, 10]^4` with a half-space and a ball (Eriksson and Poloczek, 2021, SCBO).
pub fn ackley4c() -> FloatProblem {
    FloatProblem::constrained("ackley4c", vec![(-5.0, 10.0); 4], 2, 0.0, |x| {
        let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        vec![ackley_at(x), x.iter().sum(), length - 5.0]
    })
}
