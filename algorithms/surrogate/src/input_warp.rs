//! Input warping by the distribution function of Kumaraswamy.

/// Values are moved this far from the ends of the unit interval, where powers have unbounded slopes.
const MARGIN: f64 = 1e-6;

/// `w(x) = 1 - (1 - x^a)^b` on the unit interval: bends it at one end or in the middle; `a = b = 1` changes nothing.
///
/// Kumaraswamy (1980), as a cheap stand-in for the Beta distribution function of Snoek et al., "Input warping for
/// Bayesian optimization of non-stationary functions" (2014).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kumaraswamy {
    /// `a`, positive.
    pub first: f64,
    /// `b`, positive.
    pub second: f64,
}

impl Default for Kumaraswamy {
    fn default() -> Self {
        Self { first: 1.0, second: 1.0 }
    }
}

impl Kumaraswamy {
    fn is_identity(self) -> bool {
        self.first == 1.0 && self.second == 1.0
    }

    fn inner(x: f64) -> f64 {
        MARGIN + (1.0 - 2.0 * MARGIN) * x.clamp(0.0, 1.0)
    }

    /// The warped value; exactly `x` for the identity.
    pub fn apply(self, x: f64) -> f64 {
        if self.is_identity() {
            return x;
        }
        let left = (-Self::inner(x).powf(self.first)).ln_1p();
        -(self.second * left).exp_m1()
    }

    /// Derivative of the warped value by `x`.
    pub(crate) fn slope(self, x: f64) -> f64 {
        if self.is_identity() {
            return 1.0;
        }
        let inner = Self::inner(x);
        let left = (-inner.powf(self.first)).ln_1p();
        let power = inner.powf(self.first - 1.0);
        (1.0 - 2.0 * MARGIN) * self.first * self.second * power * ((self.second - 1.0) * left).exp()
    }

    /// Derivatives of the warped value by `ln a` and `ln b`.
    pub(crate) fn log_exponent_slopes(self, x: f64) -> [f64; 2] {
        let inner = Self::inner(x);
        let power = inner.powf(self.first);
        let left = (-power).ln_1p();
        let by_first = self.first * self.second * ((self.second - 1.0) * left).exp() * power * inner.ln();
        let by_second = -self.second * left * (self.second * left).exp();
        [by_first, by_second]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_agree_with_finite_differences() {
        let step = 1e-6;
        for first in [0.4_f64, 1.0, 2.5] {
            for second in [0.5_f64, 1.3, 3.0] {
                let warp = Kumaraswamy { first, second };
                for x in [0.02, 0.3, 0.77, 0.98] {
                    let difference = (warp.apply(x + step) - warp.apply(x - step)) / (2.0 * step);
                    assert!((difference - warp.slope(x)).abs() < 1e-6 * (1.0 + difference));
                    let [by_first, by_second] = warp.log_exponent_slopes(x);
                    let moved = |a: f64, b: f64| {
                        Kumaraswamy { first: first * a.exp(), second: second * b.exp() }.apply(x)
                    };
                    let a = (moved(step, 0.0) - moved(-step, 0.0)) / (2.0 * step);
                    let b = (moved(0.0, step) - moved(0.0, -step)) / (2.0 * step);
                    assert!((a - by_first).abs() < 1e-7 && (b - by_second).abs() < 1e-7);
                }
                let values: Vec<f64> = (0..=50).map(|k| warp.apply(f64::from(k) / 50.0)).collect();
                assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
                assert!(values[0] >= 0.0 && values[50] <= 1.0);
            }
        }
        assert_eq!(Kumaraswamy::default().apply(0.3), 0.3);
    }
}
