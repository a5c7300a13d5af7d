//! Many objectives as one: random augmented Chebyshev scalarization (`ParEGO`).

use crate::acquisition::check_values;
use crate::hypervolume::{check_objectives, log_sum_exp};
use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::{NumericError, Rows, normal_quantile, sobol_rows, softplus};
use boxwood_surrogate::Posterior;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Weight of the sum beside the maximum (Knowles, 2006).
pub const CHEBYSHEV_AUGMENTATION: f64 = 0.05;

/// Width of the corner of an improvement, as a share of the range of the scalar: draws that are no improvement keep a slope.
const SMOOTHING: f64 = 0.01;

/// Weights drawn from the flat Dirichlet distribution: positive, summing to one.
///
/// Normalized standard exponential draws (Devroye, "Non-uniform random variate generation", 1986, chapter 11.4).
pub fn chebyshev_weights(objectives: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let draws: Vec<f64> =
        (0..objectives).map(|_| -(1.0 - rng.random::<f64>()).max(f64::MIN_POSITIVE).ln()).collect();
    let total: f64 = draws.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    draws.iter().map(|draw| draw / total).collect()
}

/// `max_k w_k y_k + 0.05 sum_k w_k y_k` of losses scaled to `[0, 1]`: the one loss that `ParEGO` models for a weight.
///
/// Knowles, "`ParEGO`: a hybrid algorithm with on-line landscape approximation" (IEEE TEVC 10(1), 2006), equation 2. Every
/// point of a front, also of its concave parts, is the minimum for some weights.
#[derive(Debug, Clone, PartialEq)]
pub struct AugmentedChebyshev {
    weights: Vec<f64>,
    ideal: Vec<f64>,
    range: Vec<f64>,
}

impl AugmentedChebyshev {
    /// Scales by the least and largest of the given `(n, m)` losses; an objective that does not vary counts nothing.
    ///
    /// # Errors
    /// `Numeric` for no rows, another number of weights, or losses that are not finite.
    pub fn new(weights: Vec<f64>, losses: &Rows) -> Result<Self, AcquisitionError> {
        check_objectives(weights.len(), losses.width())?;
        if losses.is_empty() || !losses.iter().flatten().all(|loss| loss.is_finite()) {
            return Err(NumericError::NotFinite { what: "losses to scalarize" }.into());
        }
        let extreme = |start: f64, choose: fn(f64, f64) -> f64| -> Vec<f64> {
            (0..weights.len()).map(|k| losses.iter().map(|row| row[k]).fold(start, choose)).collect()
        };
        let ideal = extreme(f64::INFINITY, f64::min);
        let worst = extreme(f64::NEG_INFINITY, f64::max);
        let range = worst.iter().zip(&ideal).map(|(worst, ideal)| worst / 2.0 - ideal / 2.0).collect();
        Ok(Self { weights, ideal, range })
    }

    /// The weights.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The scalar loss of one vector of losses.
    pub fn scalar(&self, losses: &[f64]) -> f64 {
        let (mut highest, mut sum) = (f64::NEG_INFINITY, 0.0);
        for (k, (loss, weight)) in losses.iter().zip(&self.weights).enumerate() {
            // Halves, so that the widest range of floats does not overflow.
            let scaled =
                if self.range[k] > 0.0 { (loss / 2.0 - self.ideal[k] / 2.0) / self.range[k] } else { 0.0 };
            highest = highest.max(weight * scaled);
            sum += weight * scaled;
        }
        highest + CHEBYSHEV_AUGMENTATION * sum
    }

    /// Derivatives of [`Self::scalar`] by each loss; at a tie of the maximum those of the first.
    fn slopes(&self, losses: &[f64]) -> Vec<f64> {
        let part = |k: usize| {
            if self.range[k] > 0.0 {
                self.weights[k] * (losses[k] / 2.0 - self.ideal[k] / 2.0) / self.range[k]
            } else {
                0.0
            }
        };
        let highest = (0..losses.len()).rev().max_by(|&a, &b| part(a).total_cmp(&part(b)));
        let slope = |k: usize| {
            let factor = CHEBYSHEV_AUGMENTATION + if Some(k) == highest { 1.0 } else { 0.0 };
            // The range is half the span, like the losses in `scalar`.
            if self.range[k] > 0.0 { factor * self.weights[k] / (2.0 * self.range[k]) } else { 0.0 }
        };
        (0..losses.len()).map(slope).collect()
    }

    /// The scalar losses of `(n, m)` losses.
    pub fn scalars(&self, losses: &Rows) -> Vec<f64> {
        losses.iter().map(|row| self.scalar(row)).collect()
    }
}

/// `ln E[max(best - s(f(x)), 0)]` for an augmented Chebyshev scalarization s of independently modelled objectives.
///
/// Where [`AugmentedChebyshev::scalars`] need a model of their own, this takes one per objective, of any kind: the
/// composite improvement of Daulton, Balandat and Bakshy ("Differentiable expected hypervolume improvement for parallel
/// multi-objective Bayesian optimization", 2020, qParEGO), for one point and in logs. The expectation is over fixed
/// quasi-random normal draws; the corner of the maximum is a softplus of width 0.01 of the scalar's range.
pub struct LogChebyshevImprovement<'a> {
    posteriors: Vec<&'a dyn Posterior>,
    scalar: AugmentedChebyshev,
    best: f64,
    /// `(count, m)` standard normal numbers.
    draws: Rows,
}

impl<'a> LogChebyshevImprovement<'a> {
    /// The improvement below the least scalar of the posterior means at `rows`, `(n, d)` rows whose means also give the
    /// ideal and the range of every objective.
    ///
    /// # Errors
    /// `Numeric` for no rows or another number of weights; whatever a posterior reports.
    pub fn new(
        posteriors: Vec<&'a dyn Posterior>,
        weights: Vec<f64>,
        rows: &Rows,
        count: usize,
        seed: u64,
    ) -> Result<Self, AcquisitionError> {
        let parts: Result<Vec<Vec<f64>>, _> =
            posteriors.iter().map(|posterior| posterior.predict_mean(rows)).collect();
        let parts = parts?;
        let mut means = Rows::new(posteriors.len());
        for index in 0..rows.len() {
            means.push_row(&parts.iter().map(|part| part[index]).collect::<Vec<f64>>())?;
        }
        let scalar = AugmentedChebyshev::new(weights, &means)?;
        let best = scalar.scalars(&means).into_iter().fold(f64::INFINITY, f64::min);
        let mut draws = Rows::new(posteriors.len());
        for unit in sobol_rows(count.max(1), posteriors.len(), seed)?.iter() {
            let row: Vec<f64> = unit.iter().map(|&u| normal_quantile(u.clamp(1e-9, 1.0 - 1e-9))).collect();
            draws.push_row(&row)?;
        }
        Ok(Self { posteriors, scalar, best, draws })
    }

    /// The value for one prediction of means and deviations, with the slope by each of them where asked for.
    fn score(&self, means: &[f64], deviations: &[f64], slopes: Option<&mut [(f64, f64)]>) -> f64 {
        let drawn = |draw: &[f64]| -> Vec<f64> {
            means.iter().zip(deviations).zip(draw).map(|((mean, spread), z)| mean + spread * z).collect()
        };
        let gaps: Vec<f64> = self
            .draws
            .iter()
            .map(|draw| (self.best - self.scalar.scalar(&drawn(draw))) / SMOOTHING)
            .collect();
        let terms: Vec<f64> = gaps.iter().map(|gap| log_softplus(*gap)).collect();
        let total = log_sum_exp(&terms);
        if let Some(slopes) = slopes {
            slopes.fill((0.0, 0.0));
            for ((draw, gap), term) in self.draws.iter().zip(&gaps).zip(&terms) {
                // d ln softplus(g) / dg, and the share of the draw in the mean.
                let share = (term - total).exp() * (-softplus(-gap) - term).exp() / SMOOTHING;
                for (k, slope) in self.scalar.slopes(&drawn(draw)).into_iter().enumerate() {
                    slopes[k].0 -= share * slope;
                    slopes[k].1 -= share * slope * draw[k];
                }
            }
        }
        SMOOTHING.ln() + total - (self.draws.len() as f64).ln()
    }
}

/// `ln ln(1 + e^x)`, which is x where the exponential underflows.
fn log_softplus(x: f64) -> f64 {
    if x < -30.0 { x } else { softplus(x).ln() }
}

impl Acquisition for LogChebyshevImprovement<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let parts: Result<Vec<_>, _> =
            self.posteriors.iter().map(|posterior| posterior.predict(rows)).collect();
        let parts = parts?;
        let value = |index: usize| {
            let means: Vec<f64> = parts.iter().map(|part| part.mean[index]).collect();
            let deviations: Vec<f64> = parts.iter().map(|part| part.variance[index].sqrt()).collect();
            let broken = means.iter().chain(&deviations).any(|value| value.is_nan());
            if broken { f64::NAN } else { self.score(&means, &deviations, None) }
        };
        check_values((0..rows.len()).map(value).collect())
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let mut points = Vec::with_capacity(self.posteriors.len());
        for posterior in &self.posteriors {
            let Some(point) = posterior.predict_gradient(row)? else { return Ok(None) };
            points.push(point);
        }
        let means: Vec<f64> = points.iter().map(|point| point.mean).collect();
        let deviations: Vec<f64> = points.iter().map(|point| point.variance.sqrt()).collect();
        let mut slopes = vec![(0.0, 0.0); points.len()];
        let value = self.score(&means, &deviations, Some(&mut slopes));
        check_values(vec![value])?;
        let mut gradient = vec![0.0; row.len()];
        for ((point, deviation), (by_mean, by_deviation)) in points.iter().zip(&deviations).zip(slopes) {
            let by_variance = by_deviation / (2.0 * deviation);
            for (k, sum) in gradient.iter_mut().enumerate() {
                *sum += by_mean * point.mean_gradient[k] + by_variance * point.variance_gradient[k];
            }
        }
        Ok(Some((value, gradient)))
    }
}
