//! Output warping: an increasing transform that brings losses close to normal.

use boxwood_numeric::normal_quantile;

/// Which transform is applied before standardization.
#[derive(Debug, Clone, PartialEq)]
pub enum Warp {
    /// The loss itself.
    Identity,
    /// The logarithm, for positive losses spread over decades.
    Log,
    /// Yeo and Johnson (2000) on the loss after a linear map `(loss - center) / scale`.
    YeoJohnson {
        /// Power, in [0, 2] so that the transform has no bound.
        power: f64,
        /// Subtracted first.
        center: f64,
        /// Divided by second.
        scale: f64,
    },
    /// The better half unchanged, the worse half by rank, so that no outlier flattens the rest.
    ///
    /// As in the output warping of Song et al., "The Vizier Gaussian process bandit algorithm" (2024): a loss worse
    /// than the median gets the normal quantile of its rank, in units of the root mean square distance of the
    /// better half from the median. Between observed losses the map is linear, beyond the worst it is flat.
    HalfRank {
        /// Losses from the median up, strictly increasing.
        losses: Vec<f64>,
        /// Their images, strictly increasing.
        images: Vec<f64>,
    },
    /// `sign(v) ln(1 + |v| / scale)`, for violations of a bound: zero stays zero, and what is near it is drawn apart.
    ///
    /// With a scale of one the "bilog" of Eriksson and Poloczek, "Scalable constrained Bayesian optimization" (2021).
    SignedLog {
        /// Violation at which the map turns from linear to logarithmic.
        scale: f64,
        /// What follows it.
        then: Box<Warp>,
    },
}

/// A warp followed by standardization: the map between losses and the model scale.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetScale {
    warp: Warp,
    center: f64,
    scale: f64,
}

impl TargetScale {
    /// Standardization of the given losses after a warp. Constant losses keep a scale of one.
    pub fn standardize(warp: Warp, losses: &[f64]) -> Self {
        let warped: Vec<f64> = losses.iter().map(|&loss| warp.apply(loss)).collect();
        let (center, scale) = center_and_scale(&warped);
        Self { warp, center, scale }
    }

    /// The map that changes nothing.
    pub fn identity() -> Self {
        Self { warp: Warp::Identity, center: 0.0, scale: 1.0 }
    }

    /// The warp.
    pub fn warp(&self) -> &Warp {
        &self.warp
    }

    /// From a loss to the model scale; increasing.
    pub fn to_model(&self, loss: f64) -> f64 {
        (self.warp.apply(loss) - self.center) / self.scale
    }

    /// From the model scale to a loss; increasing.
    pub fn to_loss(&self, value: f64) -> f64 {
        self.warp.invert(value * self.scale + self.center)
    }

    /// Logarithm of the derivative of [`TargetScale::to_model`] at a loss.
    pub(crate) fn log_slope(&self, loss: f64) -> f64 {
        self.warp.log_slope(loss) - self.scale.ln()
    }

    /// The same kind of warp with its parameters taken from other losses; half-rank for an extreme outlier where
    /// `may_change`.
    pub(crate) fn refit(&self, losses: &[f64], may_change: bool) -> Self {
        let positive = losses.iter().all(|&loss| loss > 0.0);
        let warp = match &self.warp {
            Warp::SignedLog { scale, then } => {
                let images = signed_logs(losses, *scale);
                let then =
                    Self { warp: (**then).clone(), center: 0.0, scale: 1.0 }.refit(&images, may_change);
                Some(Warp::SignedLog { scale: *scale, then: Box::new(then.warp) })
            }
            _ if may_change && has_extreme_outlier(losses) => half_rank(losses),
            Warp::Identity => None,
            Warp::Log if positive => Some(Warp::Log),
            Warp::Log | Warp::HalfRank { .. } => half_rank(losses),
            Warp::YeoJohnson { .. } => yeo_johnson(losses),
        };
        Self::standardize(warp.unwrap_or(Warp::Identity), losses)
    }
}

impl Warp {
    fn apply(&self, loss: f64) -> f64 {
        match self {
            Warp::Identity => loss,
            Warp::Log => loss.max(f64::MIN_POSITIVE).ln(),
            Warp::YeoJohnson { power, center, scale } => yeo_johnson_apply((loss - center) / scale, *power),
            Warp::HalfRank { losses, images } => interpolate(losses, images, loss),
            Warp::SignedLog { scale, then } => then.apply(signed_log(loss, *scale)),
        }
    }

    fn invert(&self, value: f64) -> f64 {
        match self {
            Warp::Identity => value,
            Warp::Log => value.min(700.0).exp(),
            Warp::YeoJohnson { power, center, scale } => center + scale * yeo_johnson_invert(value, *power),
            Warp::HalfRank { losses, images } => interpolate(images, losses, value),
            Warp::SignedLog { scale, then } => {
                let value = then.invert(value);
                value.signum() * (scale * value.abs().min(700.0).exp_m1()).min(f64::MAX)
            }
        }
    }

    fn log_slope(&self, loss: f64) -> f64 {
        match self {
            // Asked only at losses up to the median, where the half-rank map is the identity.
            Warp::Identity | Warp::HalfRank { .. } => 0.0,
            Warp::Log => -loss.max(f64::MIN_POSITIVE).ln(),
            Warp::YeoJohnson { power, center, scale } => {
                let x = (loss - center) / scale;
                let exponent = if x >= 0.0 { power - 1.0 } else { 1.0 - power };
                exponent * x.abs().ln_1p() - scale.ln()
            }
            Warp::SignedLog { scale, then } => {
                then.log_slope(signed_log(loss, *scale)) - (scale + loss.abs()).ln()
            }
        }
    }
}

/// The warps worth comparing for these losses; identity is always the first.
pub(crate) fn candidates(losses: &[f64]) -> Vec<Warp> {
    let mut warps = vec![Warp::Identity];
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if lowest < highest {
        if lowest > 0.0 && highest / lowest > 10.0 {
            warps.push(Warp::Log);
        }
        warps.extend(yeo_johnson(losses));
        warps.extend(half_rank(losses));
    }
    warps
}

/// First violations, those of the initial design, that say whether a constraint spreads over decades: later ones are chosen near
/// the bound, where the violations of every constraint do.
const DESIGNED: usize = 10;
/// Fewest of them, and how many times the size of the second smallest that of the second largest must be. Of ten sizes
/// drawn evenly one list in about two hundred gets there.
const DESIGNED_LEAST: usize = 4;
const DECADES: f64 = 100.0;
/// Share of the violations, by size, that end where the logarithmic part of a [`Warp::SignedLog`] begins.
const LINEAR_SHARE: f64 = 0.1;

fn signed_log(violation: f64, scale: f64) -> f64 {
    violation.signum() * (violation.abs() / scale).min(f64::MAX).ln_1p()
}

/// Images under the first part of a [`Warp::SignedLog`].
pub(crate) fn signed_logs(violations: &[f64], scale: f64) -> Vec<f64> {
    violations.iter().map(|violation| signed_log(*violation, scale)).collect()
}

/// The scale of the signed logarithm of violations of a bound, oldest first, where they spread over decades; nothing elsewhere.
pub(crate) fn signed_log_scale(violations: &[f64]) -> Option<f64> {
    let sizes = |part: &[f64]| -> Vec<f64> {
        let mut sizes: Vec<f64> = part.iter().map(|value| value.abs()).filter(|size| *size > 0.0).collect();
        sizes.sort_by(f64::total_cmp);
        sizes
    };
    let designed = sizes(&violations[..violations.len().min(DESIGNED)]);
    if designed.len() < DESIGNED_LEAST || designed[designed.len() - 2] / designed[1] < DECADES {
        return None;
    }
    let all = sizes(violations);
    let scale = all[((all.len() - 1) as f64 * LINEAR_SHARE) as usize];
    scale.is_normal().then_some(scale)
}

/// Median of the losses: the largest of the better half.
pub(crate) fn median(losses: &[f64]) -> f64 {
    let mut sorted = losses.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) / 2]
}

/// Whether the worst loss dwarfs the better half so far that no comparison of densities is needed.
pub(crate) fn has_extreme_outlier(losses: &[f64]) -> bool {
    let middle = median(losses);
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    highest / 2.0 - middle / 2.0 > 1e6 * (middle / 2.0 - lowest / 2.0) && middle > lowest
}

/// The half-rank warp of these losses, or nothing when the better half is constant.
pub(crate) fn half_rank(losses: &[f64]) -> Option<Warp> {
    let mut sorted = losses.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    let better = count.div_ceil(2);
    let middle = sorted[better - 1];
    let sum: f64 = sorted[..better].iter().map(|loss| (loss - middle).powi(2)).sum();
    let spread = (sum / better as f64).sqrt();
    if !(spread > 0.0 && spread.is_finite()) {
        return None;
    }
    let (mut knots, mut images) = (vec![middle], vec![middle]);
    for (rank, &loss) in sorted.iter().enumerate().skip(better) {
        let quantile = normal_quantile((rank as f64 + 0.5) / count as f64);
        let image = middle + spread * quantile;
        let last = knots.len() - 1;
        if loss > knots[last] && image > images[last] {
            knots.push(loss);
            images.push(image);
        }
    }
    Some(Warp::HalfRank { losses: knots, images })
}

/// The Yeo-Johnson warp of highest normal likelihood, or nothing when it would hardly bend the losses.
pub(crate) fn yeo_johnson(losses: &[f64]) -> Option<Warp> {
    let (center, scale) = center_and_scale(losses);
    let scaled: Vec<f64> = losses.iter().map(|loss| (loss - center) / scale).collect();
    let likelihood = |power: f64| {
        let images: Vec<f64> = scaled.iter().map(|&x| yeo_johnson_apply(x, power)).collect();
        let deviation = center_and_scale(&images).1;
        let slopes: f64 = scaled.iter().map(|x| (power - 1.0) * x.signum() * x.abs().ln_1p()).sum();
        slopes - scaled.len() as f64 * deviation.ln()
    };
    // Golden section on [0, 2]; the profile likelihood has one maximum there for all practical data.
    let ratio = 0.5 * (5.0_f64.sqrt() - 1.0);
    let (mut low, mut high) = (0.0, 2.0);
    for _ in 0..30 {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if likelihood(left) < likelihood(right) {
            low = left;
        } else {
            high = right;
        }
    }
    let power = 0.5 * (low + high);
    ((power - 1.0).abs() > 0.05 && scaled.iter().all(|x| x.is_finite())).then_some(Warp::YeoJohnson {
        power,
        center,
        scale,
    })
}

fn yeo_johnson_apply(x: f64, power: f64) -> f64 {
    if x >= 0.0 { box_cox(x, power) } else { -box_cox(-x, 2.0 - power) }
}

fn yeo_johnson_invert(value: f64, power: f64) -> f64 {
    if value >= 0.0 { box_cox_invert(value, power) } else { -box_cox_invert(-value, 2.0 - power) }
}

/// `((1 + x)^power - 1) / power` for `x >= 0`.
fn box_cox(x: f64, power: f64) -> f64 {
    let log = x.ln_1p();
    if power.abs() < 1e-8 { log } else { (power * log).exp_m1() / power }
}

fn box_cox_invert(value: f64, power: f64) -> f64 {
    if power.abs() < 1e-8 {
        value.min(700.0).exp_m1()
    } else {
        ((power * value).ln_1p() / power).min(700.0).exp_m1()
    }
}

/// Identity up to the first knot, linear between knots, flat beyond the last.
fn interpolate(from: &[f64], to: &[f64], value: f64) -> f64 {
    let last = from.len() - 1;
    if value <= from[0] {
        return value;
    }
    if value >= from[last] {
        return to[last];
    }
    let upper = from.partition_point(|&knot| knot <= value);
    let share = (value / 2.0 - from[upper - 1] / 2.0) / (from[upper] / 2.0 - from[upper - 1] / 2.0);
    to[upper - 1] * (1.0 - share) + to[upper] * share
}

/// Mean and standard deviation, safe for values up to the largest float; the deviation of a constant is one.
pub(crate) fn center_and_scale(values: &[f64]) -> (f64, f64) {
    let unit = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs())).max(f64::MIN_POSITIVE);
    let count = values.len() as f64;
    let mean = values.iter().map(|value| value / unit).sum::<f64>() / count;
    let variance = values.iter().map(|value| (value / unit - mean).powi(2)).sum::<f64>() / count;
    let deviation = variance.sqrt();
    if deviation > 1e-14 && (deviation * unit).is_normal() {
        (mean * unit, deviation * unit)
    } else {
        (mean * unit, 1.0)
    }
}

/// Variance in losses of a value of given mean and deviation on the model scale: the square of half the span between
/// the images of one deviation below and above, kept positive and finite.
pub(crate) fn variance_in_losses(scale: &TargetScale, mean: f64, deviation: f64) -> f64 {
    let half = 0.5 * scale.to_loss(mean + deviation) - 0.5 * scale.to_loss(mean - deviation);
    (half * half).clamp(f64::MIN_POSITIVE, f64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all_warps(losses: &[f64]) -> Vec<TargetScale> {
        candidates(losses).into_iter().map(|warp| TargetScale::standardize(warp, losses)).collect()
    }

    proptest! {
        #[test]
        fn warps_increase_and_invert(mut losses in prop::collection::vec(1e-3..1e3f64, 3..40)) {
            for scale in all_warps(&losses) {
                for &loss in &losses {
                    let back = scale.to_loss(scale.to_model(loss));
                    let tolerance = 1e-7 * (1.0 + loss.abs());
                    // Ties in rank may merge knots; elsewhere the map has an inverse.
                    prop_assert!((back - loss).abs() < tolerance, "{scale:?} {loss} {back}");
                }
            }
            losses.sort_by(f64::total_cmp);
            for scale in all_warps(&losses) {
                for pair in losses.windows(2) {
                    prop_assert!(scale.to_model(pair[0]) <= scale.to_model(pair[1]));
                }
            }
        }
    }

    #[test]
    fn slopes_agree_with_finite_differences() {
        let losses = [0.5, 0.7, 1.0, 1.5, 3.0, 40.0];
        let then = Box::new(Warp::YeoJohnson { power: 0.4, center: 1.0, scale: 2.0 });
        let signed = TargetScale::standardize(Warp::SignedLog { scale: 0.3, then }, &losses);
        for scale in all_warps(&losses).into_iter().chain([signed]) {
            for loss in [0.55, 0.9] {
                let step = 1e-6;
                let slope = (scale.to_model(loss + step) - scale.to_model(loss - step)) / (2.0 * step);
                assert!((scale.log_slope(loss) - slope.ln()).abs() < 1e-6, "{scale:?}");
            }
        }
    }

    #[test]
    fn one_outlier_does_not_flatten_the_half_rank_scale() {
        let losses = [0.1, 0.2, 0.3, 0.4, 0.5, 1e30];
        let scale = TargetScale::standardize(half_rank(&losses).unwrap(), &losses);
        assert!(scale.to_model(0.2) - scale.to_model(0.1) > 0.2);
        assert!(scale.to_model(1e30) < 4.0);
        assert!(has_extreme_outlier(&losses));
        assert!(!has_extreme_outlier(&losses[..5]));
    }

    #[test]
    fn violations_over_decades_get_a_signed_logarithm_that_keeps_the_bound() {
        let decades = [-1e6, -3e4, 0.5, -0.02, 0.7, -900.0, -2e5, -40.0, -3.0, 8.0, -1e-3];
        let linear = signed_log_scale(&decades).unwrap();
        assert!(linear < 1.0, "{linear}");
        let warp = Warp::SignedLog { scale: linear, then: Box::new(Warp::Identity) };
        let scale = TargetScale::standardize(warp, &decades);
        for violation in decades {
            let back = scale.to_loss(scale.to_model(violation));
            assert!((back - violation).abs() < 1e-6 * violation.abs(), "{violation} {back}");
            assert_eq!(scale.to_model(violation) > scale.to_model(0.0), violation > 0.0);
        }
        assert!(scale.to_model(0.7) - scale.to_model(-0.7) > 0.1, "near the bound it is drawn apart");
        assert!(scale.to_model(f64::MAX).is_finite() && scale.to_loss(1e9).is_finite());
        // Later results have gathered near the bound, which says nothing of the constraint.
        let even: Vec<f64> = (1..=10).map(f64::from).chain([1e-6, -1e-7, 1e-8]).collect();
        assert_eq!(signed_log_scale(&even), None);
        assert_eq!(signed_log_scale(&decades[..3]), None);
        // Further results change the standardization only.
        let refit = scale.refit(&[1e30, 2.0, -1.0], true);
        assert_eq!(refit.warp(), scale.warp());
    }

    #[test]
    fn constant_and_huge_losses_have_a_scale() {
        assert_eq!(center_and_scale(&[3.0, 3.0]), (3.0, 1.0));
        let (center, scale) = center_and_scale(&[1e308, -1e308]);
        assert_eq!((center, scale), (0.0, 1e308));
        assert_eq!(candidates(&[1.0, 1.0]), vec![Warp::Identity]);
    }
}
