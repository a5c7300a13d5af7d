//! Normal distribution and log-domain functions that keep their precision in the tails.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

/// `ln sqrt(2 pi)`.
const LOG_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// Below this argument the asymptotic series replace the closed forms, which cancel there.
const FAR_TAIL: f64 = -50.0;

/// Standard normal density `phi(z)`.
pub fn normal_pdf(z: f64) -> f64 {
    (-0.5 * z * z - LOG_SQRT_TWO_PI).exp()
}

/// Standard normal distribution function `Phi(z)`.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// `ln Phi(z)`, accurate in both tails.
pub fn log_normal_cdf(z: f64) -> f64 {
    if z > -1.0 {
        (-0.5 * libm::erfc(z * FRAC_1_SQRT_2)).ln_1p()
    } else {
        -0.5 * z * z - LN_2 + scaled_erfc(-z * FRAC_1_SQRT_2).ln()
    }
}

/// Derivative of `ln Phi(z)`: `phi(z) / Phi(z)`.
pub fn log_normal_cdf_slope(z: f64) -> f64 {
    if z > -1.0 { normal_pdf(z) / normal_cdf(z) } else { 1.0 / inverse_mills(z) }
}

/// Quantile of the standard normal distribution, for `probability` in (0, 1).
///
/// Acklam's rational approximation (2003, relative error 1.2e-9) and one step of Halley's method on [`normal_cdf`].
/// Outside (0, 1) the answer is an infinity of the matching sign.
pub fn normal_quantile(probability: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    if probability <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if probability >= 1.0 {
        return f64::INFINITY;
    }
    let tail = probability.min(1.0 - probability);
    let start = if tail < 0.024_25 {
        let q = (-2.0 * tail.ln()).sqrt();
        let lower = polynomial(&C, q) / (polynomial(&D, q) * q + 1.0);
        if probability < 0.5 { lower } else { -lower }
    } else {
        let q = probability - 0.5;
        let r = q * q;
        q * polynomial(&A, r) / (polynomial(&B, r) * r + 1.0)
    };
    let error =
        if start < 0.0 { normal_cdf(start) - probability } else { (1.0 - probability) - normal_cdf(-start) };
    let step = error / normal_pdf(start);
    start - step / (1.0 + 0.5 * start * step)
}

/// Horner's scheme, highest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// `exp(x^2) erfc(x)` for `x >= 0`.
///
/// The product up to 6 (its relative error there is about `x^2` units in the last place), Laplace's continued
/// fraction beyond (Abramowitz and Stegun 7.1.14).
pub fn scaled_erfc(x: f64) -> f64 {
    if x < 6.0 {
        return (x * x).exp() * libm::erfc(x);
    }
    let mut tail = x;
    for k in (1..=40).rev() {
        tail = x + 0.5 * f64::from(k) / tail;
    }
    1.0 / (tail * PI.sqrt())
}

/// `ln(1 - exp(x))` for `x < 0` (Maechler, 2012).
pub fn log1mexp(x: f64) -> f64 {
    if x > -LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

/// `ln(1 + exp(x))` without overflow.
pub fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}

/// `Phi(z) / phi(z)` for `z <= -1`.
fn inverse_mills(z: f64) -> f64 {
    (0.5 * PI).sqrt() * scaled_erfc(-z * FRAC_1_SQRT_2)
}

/// `1 + z Phi(z) / phi(z)` for `z <= -1`: what is left of the density after the cancellation.
///
/// Below -50 by its asymptotic series `1/z^2 - 3/z^4 + 15/z^6 - ...` (Abramowitz and Stegun 26.2.12), whose
/// first dropped term is below 1e-13 of the sum.
fn remaining_density(z: f64) -> f64 {
    if z >= FAR_TAIL {
        return 1.0 + z * inverse_mills(z);
    }
    let inverse = 1.0 / (z * z);
    inverse * (1.0 - inverse * (3.0 - inverse * (15.0 - inverse * (105.0 - inverse * 945.0))))
}

/// `ln h(z)` with `h(z) = phi(z) + z Phi(z)`, the kernel of expected improvement.
///
/// The branches of Ament et al., "Unexpected improvements to expected improvement" (2023), equation 9, with
/// the far one extended by four terms of the series: plain for `z > -1`, the scaled complementary error function
/// down to -50, the series below.
pub fn log_expected_improvement_kernel(z: f64) -> f64 {
    if z > -1.0 {
        (normal_pdf(z) + z * normal_cdf(z)).ln()
    } else {
        -0.5 * z * z - LOG_SQRT_TWO_PI + remaining_density(z).ln()
    }
}

/// Derivative of [`log_expected_improvement_kernel`]: `Phi(z) / h(z)`.
pub fn log_expected_improvement_slope(z: f64) -> f64 {
    if z > -1.0 {
        let cdf = normal_cdf(z);
        cdf / (normal_pdf(z) + z * cdf)
    } else {
        inverse_mills(z) / remaining_density(z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, relative: f64) {
        assert!(
            (found - expected).abs() <= relative * expected.abs().max(1e-300),
            "{found} against {expected}"
        );
    }

    #[test]
    fn quantile_inverts_the_distribution_function() {
        for k in 1..200 {
            let probability = f64::from(k) / 200.0;
            close(normal_cdf(normal_quantile(probability)), probability, 1e-13);
        }
        close(normal_quantile(1e-12), -7.034_483_825_301_131, 1e-12);
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
    }

    #[test]
    fn slopes_agree_with_finite_differences() {
        for z in [-300.0, -60.0, -49.0, -10.0, -1.001, -0.999, 0.0, 3.0] {
            let step = 1e-6 * (1.0 + f64::abs(z));
            let difference = |f: fn(f64) -> f64| (f(z + step) - f(z - step)) / (2.0 * step);
            close(log_expected_improvement_slope(z), difference(log_expected_improvement_kernel), 1e-6);
            close(log_normal_cdf_slope(z), difference(log_normal_cdf), 1e-6);
        }
    }

    #[test]
    fn log_domain_helpers_keep_their_tails() {
        close(log1mexp(-1e-20), (1e-20_f64).ln(), 1e-12);
        close(log1mexp(-50.0), -(-50.0_f64).exp(), 1e-12);
        assert_eq!(softplus(800.0), 800.0);
        close(softplus(-800.0 + 100.0), (-700.0_f64).exp(), 1e-12);
        assert!(log_expected_improvement_kernel(-1e150).is_finite());
        assert_eq!(log_normal_cdf(40.0), 0.0);
    }

    #[test]
    fn kernel_of_expected_improvement_is_increasing_across_the_branches() {
        let values: Vec<f64> =
            (0..4000).map(|k| log_expected_improvement_kernel(-60.0 + 0.02 * f64::from(k))).collect();
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
