//! One objective on a box of floats.

use std::f64::consts::{E, PI};

use super::{Branin, FloatProblem, Hartmann6};

/// Ackley's function is moved so that the middle of the box is not (almost) the optimum; more than five dimensions repeat
/// these numbers.
const ACKLEY_SHIFT: [f64; 5] = [5.3, -11.2, 8.7, -3.9, 14.1];

/// Weights of Hartmann's functions.
pub(crate) const HARTMANN_WEIGHTS: [f64; 4] = [1.0, 1.2, 3.0, 3.2];

/// Hartmann's function of three floats with any weights (Dixon and Szego, 1978).
pub(crate) fn hartmann3_at(x: &[f64], weights: [f64; 4]) -> f64 {
    const A: [[f64; 3]; 4] = [[3.0, 10.0, 30.0], [0.1, 10.0, 35.0], [3.0, 10.0, 30.0], [0.1, 10.0, 35.0]];
    const P: [[f64; 3]; 4] = [
        [0.3689, 0.1170, 0.2673],
        [0.4699, 0.4387, 0.7470],
        [0.1091, 0.8732, 0.5547],
        [0.0381, 0.5743, 0.8828],
    ];
    let term = |i: usize| {
        let inner: f64 = (0..3).map(|j| A[i][j] * (x[j] - P[i][j]).powi(2)).sum();
        weights[i] * (-inner).exp()
    };
    -(0..4).map(term).sum::<f64>()
}

/// Minimum of Hartmann's function of three floats.
pub(crate) const HARTMANN3_MINIMUM: f64 = -3.862_779_787;

/// Minimum of Branin's function.
pub(crate) const BRANIN_MINIMUM: f64 = 0.397_887_357_729_738_16;

/// Branin's function.
pub fn branin() -> FloatProblem {
    let bounds = vec![(-5.0, 10.0), (0.0, 15.0)];
    FloatProblem::single("branin2", bounds, BRANIN_MINIMUM, |x| Branin::at(x[0], x[1]))
}

/// Hartmann's function of three floats.
pub fn hartmann3() -> FloatProblem {
    let at = |x: &[f64]| hartmann3_at(x, HARTMANN_WEIGHTS);
    FloatProblem::single("hartmann3", vec![(0.0, 1.0); 3], HARTMANN3_MINIMUM, at)
}

/// Hartmann's function of six floats.
pub fn hartmann6() -> FloatProblem {
    FloatProblem::single("hartmann6", vec![(0.0, 1.0); 6], Hartmann6::MINIMUM, Hartmann6::at)
}

/// Hartmann's function of six floats on the first six of many floats; the rest do not matter.
pub fn hartmann6_among(dimensions: usize) -> FloatProblem {
    let at = |x: &[f64]| Hartmann6::at(&x[..6]);
    FloatProblem::single(
        format!("hartmann6_of_{dimensions}"),
        vec![(0.0, 1.0); dimensions],
        Hartmann6::MINIMUM,
        at,
    )
}

/// Ackley's function (1987) on `[-32.768, 32.768]^d`, shifted.
pub fn ackley(dimensions: usize) -> FloatProblem {
    let at = |x: &[f64]| {
        let z: Vec<f64> = x.iter().zip(ACKLEY_SHIFT.iter().cycle()).map(|(x, shift)| x - shift).collect();
        ackley_at(&z)
    };
    FloatProblem::single(format!("ackley{dimensions}"), vec![(-32.768, 32.768); dimensions], 0.0, at)
}

/// Ackley's function itself.
pub(crate) fn ackley_at(z: &[f64]) -> f64 {
    let d = z.len() as f64;
    let square = z.iter().map(|z| z * z).sum::<f64>() / d;
    let cosine = z.iter().map(|z| (2.0 * PI * z).cos()).sum::<f64>() / d;
    -20.0 * (-0.2 * square.sqrt()).exp() - cosine.exp() + 20.0 + E
}

/// Levy's function on `[-10, 10]^d` (Laguna and Marti, 2005), minimum at `(1, ..., 1)`.
pub fn levy(dimensions: usize) -> FloatProblem {
    let at = |x: &[f64]| {
        let w: Vec<f64> = x.iter().map(|x| 1.0 + (x - 1.0) / 4.0).collect();
        let (first, last) = (w[0], w[w.len() - 1]);
        let middle: f64 = w[..w.len() - 1]
            .iter()
            .map(|w| (w - 1.0).powi(2) * (1.0 + 10.0 * (PI * w + 1.0).sin().powi(2)))
            .sum();
        (PI * first).sin().powi(2) + middle + (last - 1.0).powi(2) * (1.0 + (2.0 * PI * last).sin().powi(2))
    };
    FloatProblem::single(format!("levy{dimensions}"), vec![(-10.0, 10.0); dimensions], 0.0, at)
}

/// Rosenbrock's valley (1960) on `[-5, 10]^d`.
pub fn rosenbrock(dimensions: usize) -> FloatProblem {
    FloatProblem::single(
        format!("rosenbrock{dimensions}"),
        vec![(-5.0, 10.0); dimensions],
        0.0,
        rosenbrock_at,
    )
}

/// Rosenbrock's valley itself.
pub(crate) fn rosenbrock_at(x: &[f64]) -> f64 {
    x.windows(2).map(|w| 100.0 * (w[1] - w[0] * w[0]).powi(2) + (1.0 - w[0]).powi(2)).sum()
}

/// Styblinski and Tang's function (1990) on `[-5, 5]^d`.
pub fn styblinski_tang(dimensions: usize) -> FloatProblem {
    let at = |x: &[f64]| x.iter().map(|x| x.powi(4) - 16.0 * x * x + 5.0 * x).sum::<f64>() / 2.0;
    let optimum = -39.166_165_703_771_42 * dimensions as f64;
    FloatProblem::single(format!("styblinski_tang{dimensions}"), vec![(-5.0, 5.0); dimensions], optimum, at)
}

/// The smooth function on which suggestions are timed: a bowl with a ripple along the first float.
pub fn ripple(dimensions: usize) -> FloatProblem {
    let at = |x: &[f64]| x.iter().map(|x| (x - 0.37).powi(2)).sum::<f64>() + 0.1 * (20.0 * x[0]).sin();
    FloatProblem::single(format!("lat{dimensions}"), vec![(0.0, 1.0); dimensions], -0.1, at)
}
