//! Expected hypervolume improvement, exact and in logarithms.

use crate::acquisition::check_values;
use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::{
    Boxes, Rows, log_expected_improvement_kernel, log_expected_improvement_slope, log_normal_cdf,
    log_normal_cdf_slope, log1mexp, nondominated_boxes, normal_cdf, normal_pdf,
};
use boxwood_surrogate::Posterior;

/// `ln sqrt(2 pi)`.
const LOG_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;
/// Below this width in deviations (times one plus the distance) an interval's gain is taken at its middle: the
/// difference of two expectations would lose more digits than the quadrature does.
const NARROW: f64 = 1e-5;
/// Gains above this are summed as they are, which is several times faster; the digits lost in a bound's tail are then
/// digits of boxes that do not count beside their neighbours.
const PLAIN_FROM: f64 = 1e-200;

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
    cells: GainCells,
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
        let cells = GainCells::new(nondominated_boxes(front, reference)?);
        Ok(Self { posteriors, cells })
    }
}

impl Acquisition for LogExpectedHypervolumeImprovement<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let parts: Result<Vec<_>, _> =
            self.posteriors.iter().map(|posterior| posterior.predict(rows)).collect();
        let parts = parts?;
        let (mut values, mut tables) = (Vec::with_capacity(rows.len()), GainTables::default());
        for index in 0..rows.len() {
            let mean: Vec<f64> = parts.iter().map(|part| part.mean[index]).collect();
            let deviation: Vec<f64> = parts.iter().map(|part| part.variance[index].sqrt()).collect();
            values.push(self.cells.log_gain(&mean, &deviation, &mut tables));
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
        let score = self.cells.slopes(&mean, &deviation, &mut GainTables::default());
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

/// Boxes with their distinct bounds, so that `G` is computed once per bound instead of once per box.
pub(crate) struct GainCells {
    boxes: Boxes,
    /// Finite bounds of each objective, rising.
    bounds: Vec<Vec<f64>>,
    /// Where the tables of each objective start; entry zero of a table stands for negative infinity.
    starts: Vec<usize>,
    /// Table entries of the lower and the upper bound, one pair per box and objective.
    places: Vec<(usize, usize)>,
    entries: usize,
}

/// `G`, `Phi` and `phi` at every bound; reused from row to row.
#[derive(Default)]
pub(crate) struct GainTables {
    gain: Vec<f64>,
    probability: Vec<f64>,
    density: Vec<f64>,
}

impl GainCells {
    pub(crate) fn new(boxes: Boxes) -> Self {
        let objectives = boxes.objectives();
        let (mut bounds, mut starts, mut entries) = (Vec::new(), Vec::new(), 0);
        for k in 0..objectives {
            let mut values: Vec<f64> = boxes.iter().flat_map(|(lower, upper)| [lower[k], upper[k]]).collect();
            values.retain(|value| value.is_finite());
            values.sort_by(f64::total_cmp);
            values.dedup();
            starts.push(entries);
            entries += values.len() + 1;
            bounds.push(values);
        }
        let place = |k: usize, value: f64| {
            // Bounds are the very floats of the boxes, so the search finds each of them.
            starts[k] + bounds[k].partition_point(|bound| *bound <= value)
        };
        let places = boxes
            .iter()
            .flat_map(|(lower, upper)| (0..objectives).map(move |k| (k, lower[k], upper[k])))
            .map(|(k, lower, upper)| (place(k, lower), place(k, upper)))
            .collect();
        Self { boxes, bounds, starts, places, entries }
    }

    /// `ln sum_boxes prod_k (G_k(u_k) - G_k(l_k))`; NaN for a prediction that is NaN.
    pub(crate) fn log_gain(&self, mean: &[f64], deviation: &[f64], tables: &mut GainTables) -> f64 {
        if mean.iter().chain(deviation).any(|value| value.is_nan()) {
            return f64::NAN;
        }
        self.fill(mean, deviation, tables);
        let gain = &tables.gain;
        let products = self.places.chunks_exact(mean.len().max(1));
        let total: f64 = products
            .map(|parts| parts.iter().map(|&(low, high)| gain[high] - gain[low]).product::<f64>())
            .sum();
        if total > PLAIN_FROM {
            return total.ln();
        }
        let terms = self.boxes.iter().map(|(lower, upper)| {
            (0..mean.len()).map(|k| interval_gain(lower[k], upper[k], mean[k], deviation[k])).sum::<f64>()
        });
        log_sum_exp(&terms.collect::<Vec<f64>>())
    }

    /// [`GainCells::log_gain`] with derivatives.
    pub(crate) fn slopes(&self, mean: &[f64], deviation: &[f64], tables: &mut GainTables) -> GainSlopes {
        let objectives = mean.len();
        let mut score = GainSlopes {
            value: f64::NAN,
            by_mean: vec![0.0; objectives],
            by_deviation: vec![0.0; objectives],
        };
        if mean.iter().chain(deviation).any(|value| value.is_nan()) {
            return score;
        }
        self.fill(mean, deviation, tables);
        let mut total = 0.0;
        for parts in self.places.chunks_exact(objectives.max(1)) {
            let length = |&(low, high): &(usize, usize)| tables.gain[high] - tables.gain[low];
            total += parts.iter().map(length).product::<f64>();
            for (k, &(low, high)) in parts.iter().enumerate() {
                let others = parts.iter().enumerate().filter(|(j, _)| *j != k);
                let others: f64 = others.map(|(_, part)| length(part)).product();
                score.by_mean[k] -= others * (tables.probability[high] - tables.probability[low]);
                score.by_deviation[k] += others * (tables.density[high] - tables.density[low]);
            }
        }
        if total > PLAIN_FROM {
            score.value = total.ln();
            for part in score.by_mean.iter_mut().chain(&mut score.by_deviation) {
                *part /= total;
            }
            return score;
        }
        self.tail_slopes(mean, deviation)
    }

    /// The derivatives where the gain itself underflows.
    fn tail_slopes(&self, mean: &[f64], deviation: &[f64]) -> GainSlopes {
        let objectives = mean.len();
        let mut terms = Vec::with_capacity(self.boxes.len());
        let mut slopes = Vec::with_capacity(self.boxes.len() * objectives);
        for (lower, upper) in self.boxes.iter() {
            let mut sum = 0.0;
            for k in 0..objectives {
                let value = interval_gain(lower[k], upper[k], mean[k], deviation[k]);
                slopes.push(interval_slopes(lower[k], upper[k], mean[k], deviation[k], value));
                sum += value;
            }
            terms.push(sum);
        }
        let mut score = GainSlopes {
            value: log_sum_exp(&terms),
            by_mean: vec![0.0; objectives],
            by_deviation: vec![0.0; objectives],
        };
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

    fn fill(&self, mean: &[f64], deviation: &[f64], tables: &mut GainTables) {
        for table in [&mut tables.gain, &mut tables.probability, &mut tables.density] {
            table.clear();
            table.resize(self.entries, 0.0);
        }
        for (k, bounds) in self.bounds.iter().enumerate() {
            for (index, bound) in bounds.iter().enumerate() {
                let z = (bound - mean[k]) / deviation[k];
                let (density, probability) = (normal_pdf(z), normal_cdf(z));
                let place = self.starts[k] + 1 + index;
                tables.gain[place] = deviation[k] * (density + z * probability).max(0.0);
                tables.probability[place] = probability;
                tables.density[place] = density;
            }
        }
    }
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
