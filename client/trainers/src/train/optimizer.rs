//! Adam on flat vectors, with clipping by the global norm.

/// Decay of the first moment (Kingma and Ba 2015, algorithm 1).
const BETA_1: f64 = 0.9;
/// Decay of the second moment.
const BETA_2: f64 = 0.999;
/// Added to the root of the second moment.
const EPSILON: f32 = 1e-8;
/// Largest norm of the whole gradient (models' specification 2.3).
const GRADIENT_NORM_LIMIT: f64 = 10.0;

/// First and second moments of every parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

impl Moments {
    pub(crate) fn zeros(parameters: usize) -> Self {
        Self { first: vec![0.0; parameters], second: vec![0.0; parameters] }
    }
}

/// Scales the gradient down to the norm limit; returns the norm before, which is not finite where the run diverged.
pub(crate) fn clip(gradient: &mut [f32]) -> f64 {
    // Eight sums side by side: wide registers, and the same result on every machine.
    let mut sums = [0.0_f64; 8];
    let chunks = gradient.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|&value| f64::from(value).powi(2)).sum();
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    let norm = (sums.iter().sum::<f64>() + rest).sqrt();
    if norm > GRADIENT_NORM_LIMIT {
        let factor = (GRADIENT_NORM_LIMIT / norm) as f32;
        for value in gradient {
            *value *= factor;
        }
    }
    norm
}

/// One Adam update (Kingma and Ba 2015, algorithm 1); `step` counts from 1.
///
/// `parameter -= rate * m_hat / (sqrt(v_hat) + epsilon)`, with `m_hat = m / (1 - beta_1^step)` and `v_hat` likewise.
pub(crate) fn update(parameters: &mut [f32], gradient: &[f32], moments: &mut Moments, rate: f64, step: u64) {
    let exponent = step.min(i32::MAX as u64) as i32;
    let rate = (rate / (1.0 - BETA_1.powi(exponent))) as f32;
    let second_factor = (1.0 / (1.0 - BETA_2.powi(exponent)).sqrt()) as f32;
    let (keep_1, take_1) = (BETA_1 as f32, (1.0 - BETA_1) as f32);
    let (keep_2, take_2) = (BETA_2 as f32, (1.0 - BETA_2) as f32);
    let rows = parameters.iter_mut().zip(gradient).zip(&mut moments.first).zip(&mut moments.second);
    for (((parameter, &slope), first), second) in rows {
        *first = keep_1 * *first + take_1 * slope;
        *second = keep_2 * *second + take_2 * slope * slope;
        *parameter -= rate * *first / (second.sqrt() * second_factor + EPSILON);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_step_moves_by_the_rate_against_the_sign() {
        let mut parameters = vec![1.0_f32, 1.0, 1.0];
        let mut moments = Moments::zeros(3);
        update(&mut parameters, &[0.5, -3.0, 0.0], &mut moments, 0.1, 1);
        for (value, expected) in parameters.iter().zip([0.9_f32, 1.1, 1.0]) {
            assert!((value - expected).abs() < 1e-6, "{value} against {expected}");
        }
    }

    #[test]
    fn three_steps_agree_with_the_algorithm_in_f64() {
        let (mut x, mut m, mut v) = (0.3_f64, 0.0_f64, 0.0_f64);
        let mut parameters = vec![0.3_f32];
        let mut moments = Moments::zeros(1);
        for (index, slope) in [0.2, -0.7, 1e-5].into_iter().enumerate() {
            let t = index as i32 + 1;
            m = 0.9 * m + 0.1 * slope;
            v = 0.999 * v + 0.001 * slope * slope;
            x -= 0.01 * (m / (1.0 - 0.9_f64.powi(t))) / ((v / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-8);
            update(&mut parameters, &[slope as f32], &mut moments, 0.01, t as u64);
        }
        assert!((f64::from(parameters[0]) - x).abs() < 1e-6);
    }

    #[test]
    fn clipping_keeps_direction_and_limits_length() {
        let mut gradient = vec![30.0_f32, 40.0];
        assert!((clip(&mut gradient) - 50.0).abs() < 1e-9);
        assert!((gradient[0] - 6.0).abs() < 1e-5 && (gradient[1] - 8.0).abs() < 1e-5);
        let mut small = vec![3.0_f32; 11];
        clip(&mut small);
        assert_eq!(small, vec![3.0; 11]);
        assert!(!clip(&mut [f32::NAN]).is_finite());
    }
}
