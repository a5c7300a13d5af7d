//! Expected hypervolume improvement, exact and in logarithms.

use crate::acquisition::check_values;
use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::{
    Boxes, Rows, log_expected_improvement_kernel, log_expected_improvement_slope, log_normal_cdf,
    log_normal_cdf_slope, log1mexp, nondominated_boxes,
};
use boxwood_surrogate::Posterior;

/// `ln sqrt(2 pi)`.
const LOG_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;
/// Below this width in deviations (times one plus the distance) an interval's gain is taken at its middle: the
/// difference of two expectations would lose more digits than the quadrature does.
const NARROW: f64 = 1e-5;

/// `ln E[hypervolume gained by f(x)]` over a front and up to a reference point, objectives independent given x.
///
/// The region that the front leaves open is cut into disjoint boxes ([`nondominated_boxes`]); in a box the expected gain
/// is the product over objectives of `E[(u - max(l, f))+] = G(u) - G(l)` with `G(t) = sigma h((t - mu) / sigma)`, the
/// expected improvement below t (Emmerich, Deutz and Klinkenberg, CEC 2011; Yang et al., 2019). Products and sums are
/// taken in logarithms, as `LogEI` does for one objective (Ament et al., 2023), so that the score stays finite and has
/// slopes far from the front.
///
/// Everything is on the model scales of the posteriors. Exact for any number of objectives; the number of boxes is
/// n + 1 for two, 2 n + 1 for three and grows fast beyond: four are practical, five are not.
pub struct LogExpectedHypervolumeImprovement<'a> {
    posteriors: Vec<&'a dyn Posterior>,
    boxes: Boxes,
}

impl<'a> LogExpectedHypervolumeImprovement<'a> {
    /// The gain over `front`, `(n, m)` losses on the model scales (see [`to_model_scales`]), up to `reference`.
    ///
    /// # Errors
    /// `Numeric` when front, reference and posteriors differ in the number of objectives or are not finite.
    pub fn new(
        posteriors: Vec<&'a dyn Posterior>,
        front: &Rows,
        reference: &[f64],
    ) -> Result<Self, AcquisitionError> {
        check_objectives(posteriors.len(), front.width())?;
        let boxes = nondominated_boxes(front, reference)?;
        Ok(Self { posteriors, boxes })
    }
}

impl Acquisition for LogExpectedHypervolumeImprovement<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let parts: Result<Vec<_>, _> =
            self.posteriors.iter().map(|posterior| posterior.predict(rows)).collect();
        let parts = parts?;
        let mut values = Vec::with_capacity(rows.len());
        for index in 0..rows.len() {
            let mean: Vec<f64> = parts.iter().map(|part| part.mean[index]).collect();
            let deviation: Vec<f64> = parts.iter().map(|part| part.variance[index].sqrt()).collect();
            values.push(log_gain(&self.boxes, &mean, &deviation));
        }
        check_values(values)
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let mut parts = Vec::with_capacity(self.posteriors.len());
        for posterior in &self.posteriors {
            let Some(part) = posterior.predict_gradient(row)? else { return Ok(None) };
            parts.push(part);
        }
        let mean: Vec<f64> = parts.iter().map(|part| part.mean).collect();
        let deviation: Vec<f64> = parts.iter().map(|part| part.variance.sqrt()).collect();
        let score = log_gain_slopes(&self.boxes, &mean, &deviation);
        let mut gradient = vec![0.0; row.len()];
        for (k, part) in parts.iter().enumerate() {
            let by_variance = score.by_deviation[k] / (2.0 * deviation[k]);
            for (sum, (mean, variance)) in
                gradient.iter_mut().zip(part.mean_gradient.iter().zip(&part.variance_gradient))
            {
                *sum += score.by_mean[k] * mean + by_variance * variance;
            }
        }
        check_values(vec![score.value])?;
        Ok(Some((score.value, gradient)))
    }
}

/// Losses `(n, m)` on the model scales of m posteriors: what fronts and reference points are made of.
///
/// # Errors
/// `Numeric` when the numbers of objectives differ.
pub fn to_model_scales(posteriors: &[&dyn Posterior], losses: &Rows) -> Result<Rows, AcquisitionError> {
    check_objectives(posteriors.len(), losses.width())?;
    let mut scaled = Rows::new(losses.width());
    for row in losses.iter() {
        let values: Vec<f64> =
            row.iter().zip(posteriors).map(|(&loss, posterior)| posterior.to_model_scale(loss)).collect();
        scaled.push_row(&values)?;
    }
    Ok(scaled)
}

pub(crate) fn check_objectives(expected: usize, found: usize) -> Result<(), AcquisitionError> {
    if expected == found {
        return Ok(());
    }
    Err(boxwood_numeric::NumericError::Shape { what: "objectives", expected, found }.into())
}

/// A log gain with its derivatives by each objective's mean and deviation.
pub(crate) struct GainSlopes {
    pub(crate) value: f64,
    pub(crate) by_mean: Vec<f64>,
    pub(crate) by_deviation: Vec<f64>,
}

/// `ln sum_boxes prod_k (G_k(u_k) - G_k(l_k))`; NaN for a prediction that is NaN.
pub(crate) fn log_gain(boxes: &Boxes, mean: &[f64], deviation: &[f64]) -> f64 {
    if mean.iter().chain(deviation).any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let terms = boxes.iter().map(|(lower, upper)| {
        (0..mean.len()).map(|k| interval_gain(lower[k], upper[k], mean[k], deviation[k])).sum::<f64>()
    });
    log_sum_exp(&terms.collect::<Vec<f64>>())
}

/// [`log_gain`] with derivatives.
pub(crate) fn log_gain_slopes(boxes: &Boxes, mean: &[f64], deviation: &[f64]) -> GainSlopes {
    let objectives = mean.len();
    let mut score =
        GainSlopes { value: f64::NAN, by_mean: vec![0.0; objectives], by_deviation: vec![0.0; objectives] };
    if mean.iter().chain(deviation).any(|value| value.is_nan()) {
        return score;
    }
    let mut terms = Vec::with_capacity(boxes.len());
    let mut slopes = Vec::with_capacity(boxes.len() * objectives);
    for (lower, upper) in boxes.iter() {
        let mut sum = 0.0;
        for k in 0..objectives {
            let value = interval_gain(lower[k], upper[k], mean[k], deviation[k]);
            slopes.push(interval_slopes(lower[k], upper[k], mean[k], deviation[k], value));
            sum += value;
        }
        terms.push(sum);
    }
    score.value = log_sum_exp(&terms);
    for (term, parts) in terms.iter().zip(slopes.chunks_exact(objectives.max(1))) {
        let share = (term - score.value).exp();
        if share > 0.0 {
            for (k, (by_mean, by_deviation)) in parts.iter().enumerate() {
                score.by_mean[k] += share * by_mean;
                score.by_deviation[k] += share * by_deviation;
            }
        }
    }
    score
}

/// `ln(G(u) - G(l))` for `l < u`, l possibly negative infinity.
fn interval_gain(lower: f64, upper: f64, mean: f64, deviation: f64) -> f64 {
    let high = (upper - mean) / deviation;
    if lower == f64::NEG_INFINITY {
        return deviation.ln() + log_expected_improvement_kernel(high);
    }
    let low = (lower - mean) / deviation;
    // Far above the mean G has slope one.
    if low > 8.0 {
        return (upper - lower).ln();
    }
    if let Some(middle) = narrow(low, high) {
        return (upper - lower).ln() + log_normal_cdf(middle);
    }
    let top = log_expected_improvement_kernel(high);
    let ratio = log_expected_improvement_kernel(low) - top;
    deviation.ln() + top + log1mexp(ratio.min(-f64::EPSILON))
}

/// Derivatives of [`interval_gain`], whose value is given, by mean and deviation: `G` has `-Phi` and `phi`.
fn interval_slopes(lower: f64, upper: f64, mean: f64, deviation: f64, value: f64) -> (f64, f64) {
    let high = (upper - mean) / deviation;
    if lower == f64::NEG_INFINITY {
        let slope = log_expected_improvement_slope(high);
        return (-slope / deviation, (1.0 - high * slope) / deviation);
    }
    let low = (lower - mean) / deviation;
    if let Some(middle) = narrow(low, high).filter(|_| low <= 8.0) {
        let slope = log_normal_cdf_slope(middle);
        return (-slope / deviation, -middle * slope / deviation);
    }
    let by_mean = -(log_probability_between(low, high) - value).exp();
    let density = |z: f64| (-0.5 * z * z - LOG_SQRT_TWO_PI - value).exp();
    (by_mean, density(high) - density(low))
}

/// The middle of an interval that is narrow on the scale on which `Phi` changes.
fn narrow(low: f64, high: f64) -> Option<f64> {
    let middle = 0.5 * (low + high);
    ((high - low) * (1.0 + middle.abs()) < NARROW).then_some(middle)
}

/// `ln(Phi(high) - Phi(low))` for `low < high`, from whichever tail keeps its digits.
fn log_probability_between(low: f64, high: f64) -> f64 {
    let (low, high) = if low > 0.0 { (-high, -low) } else { (low, high) };
    let top = log_normal_cdf(high);
    top + log1mexp((log_normal_cdf(low) - top).min(-f64::EPSILON))
}

/// `ln sum exp(terms)`; negative infinity for no terms.
pub(crate) fn log_sum_exp(terms: &[f64]) -> f64 {
    let highest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if highest == f64::NEG_INFINITY {
        return highest;
    }
    highest + terms.iter().map(|term| (term - highest).exp()).sum::<f64>().ln()
}
