//! Max-value entropy search for several objectives (MESMO).

use crate::acquisition::check_values;
use crate::hypervolume::{check_objectives, log_sum_exp};
use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::{Rows, log_normal_cdf, log_normal_cdf_slope, mix_seed, nondominated, normal_cdf};
use boxwood_surrogate::{JointPosterior, Posterior};

/// `ln sqrt(2 pi)`.
const LOG_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;
/// From this score on the information is taken relative to the normal density.
const FAR: f64 = 4.0;

/// `ln` of the information that a result gives about the values of the Pareto front.
///
/// With `gamma = (mu_k - y_k) / sigma_k` for the least value `y_k` of objective k on a sampled front, the information is
/// `sum_k gamma phi(gamma) / (2 Phi(gamma)) - ln Phi(gamma)`, averaged over samples (Belakaria, Deshwal and Doppa,
/// "Max-value entropy search for multi-objective Bayesian optimization", `NeurIPS` 2019, equation 4.7; for one objective
/// Wang and Jegelka, ICML 2017). Fronts are those of joint posterior draws over a set of candidate rows, in place of the
/// paper's random features and evolutionary search on them: exact for the model, coarser in space.
pub struct MinValueEntropy<'a> {
    posteriors: Vec<&'a dyn Posterior>,
    /// `(s, m)`: least value of each objective on each sampled front.
    minima: Rows,
}

impl<'a> MinValueEntropy<'a> {
    /// Samples `count` fronts of joint draws at `candidates`, `(c, d)` rows among which the observed ones should be;
    /// O(c^3) per model, so a few hundred rows are enough.
    ///
    /// # Errors
    /// Whatever a model reports; `Numeric` without candidates.
    pub fn new(
        models: &[&'a dyn JointPosterior],
        candidates: &Rows,
        count: usize,
        seed: u64,
    ) -> Result<Self, AcquisitionError> {
        if candidates.is_empty() {
            check_objectives(1, 0)?;
        }
        let count = count.max(1);
        let draws: Result<Vec<Rows>, _> = models
            .iter()
            .enumerate()
            .map(|(k, model)| model.sample_joint(candidates, count, mix_seed(seed, k as u64)))
            .collect();
        let draws = draws?;
        let mut minima = Rows::new(models.len());
        for draw in 0..count {
            let mut values = Rows::new(models.len());
            for row in 0..candidates.len() {
                values.push_row(&draws.iter().map(|part| part.row(draw)[row]).collect::<Vec<f64>>())?;
            }
            let front = values.select(&nondominated(&values));
            let least = |k: usize| front.iter().map(|row| row[k]).fold(f64::INFINITY, f64::min);
            minima.push_row(&(0..models.len()).map(least).collect::<Vec<f64>>())?;
        }
        let mut posteriors: Vec<&'a dyn Posterior> = Vec::with_capacity(models.len());
        for &model in models {
            posteriors.push(model);
        }
        Ok(Self::with_minima(posteriors, minima))
    }

    /// Takes the least values on sampled fronts, `(s, m)` on the model scales, as given.
    pub fn with_minima(posteriors: Vec<&'a dyn Posterior>, minima: Rows) -> Self {
        Self { posteriors, minima }
    }

    fn terms(&self, mean: &[f64], deviation: &[f64]) -> Vec<f64> {
        let scores = self.minima.iter().flat_map(|least| {
            mean.iter().zip(deviation).zip(least).map(|((mean, deviation), least)| (mean - least) / deviation)
        });
        scores.map(log_information).collect()
    }
}

impl Acquisition for MinValueEntropy<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let parts: Result<Vec<_>, _> =
            self.posteriors.iter().map(|posterior| posterior.predict(rows)).collect();
        let parts = parts?;
        let samples = (self.minima.len() as f64).ln();
        let values = (0..rows.len()).map(|index| {
            let mean: Vec<f64> = parts.iter().map(|part| part.mean[index]).collect();
            let deviation: Vec<f64> = parts.iter().map(|part| part.variance[index].sqrt()).collect();
            if mean.iter().any(|value| value.is_nan()) {
                return f64::NAN;
            }
            log_sum_exp(&self.terms(&mean, &deviation)) - samples
        });
        check_values(values.collect())
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let mut parts = Vec::with_capacity(self.posteriors.len());
        for posterior in &self.posteriors {
            let Some(part) = posterior.predict_gradient(row)? else { return Ok(None) };
            parts.push(part);
        }
        let mean: Vec<f64> = parts.iter().map(|part| part.mean).collect();
        let deviation: Vec<f64> = parts.iter().map(|part| part.variance.sqrt()).collect();
        let terms = self.terms(&mean, &deviation);
        let total = log_sum_exp(&terms);
        let mut gradient = vec![0.0; row.len()];
        for (index, term) in terms.iter().enumerate() {
            let (sample, k) = (index / parts.len(), index % parts.len());
            let gamma = (mean[k] - self.minima.row(sample)[k]) / deviation[k];
            let share = (term - total).exp() * log_information_slope(gamma);
            let by_mean = share / deviation[k];
            let by_variance = -share * gamma / (2.0 * parts[k].variance);
            let slopes = parts[k].mean_gradient.iter().zip(&parts[k].variance_gradient);
            for (sum, (mean, variance)) in gradient.iter_mut().zip(slopes) {
                *sum += by_mean * mean + by_variance * variance;
            }
        }
        let value = total - (self.minima.len() as f64).ln();
        check_values(vec![value])?;
        Ok(Some((value, gradient)))
    }
}

/// `ln(gamma phi(gamma) / (2 Phi(gamma)) - ln Phi(gamma))`.
fn log_information(gamma: f64) -> f64 {
    if gamma < FAR {
        let (slope, log_cdf) = (log_normal_cdf_slope(gamma), log_normal_cdf(gamma));
        return (0.5 * gamma * slope - log_cdf).ln();
    }
    // -ln Phi = Q + Q^2 / 2 + ..., the tail Q is phi times Mills' ratio.
    let mills = 1.0 / log_normal_cdf_slope(-gamma);
    let tail = normal_cdf(-gamma);
    let relative = 0.5 * gamma / (1.0 - tail) + mills * (1.0 + 0.5 * tail + tail * tail / 3.0);
    -0.5 * gamma * gamma - LOG_SQRT_TWO_PI + relative.ln()
}

/// Derivative of [`log_information`]: `-(lambda + gamma lambda (gamma + lambda)) / 2` over the information, with
/// `lambda = phi / Phi`.
fn log_information_slope(gamma: f64) -> f64 {
    if gamma < FAR {
        let slope = log_normal_cdf_slope(gamma);
        let information = 0.5 * gamma * slope - log_normal_cdf(gamma);
        return -0.5 * slope * (1.0 + gamma * (gamma + slope)) / information;
    }
    let log_density = -0.5 * gamma * gamma - LOG_SQRT_TWO_PI;
    let slope = log_normal_cdf_slope(gamma);
    let per_density = (log_density - log_information(gamma)).exp() / (1.0 - normal_cdf(-gamma));
    -0.5 * per_density * (1.0 + gamma * (gamma + slope))
}

/// The candidate that `USeMO` evaluates next: among the rows on the front of the objectives' own acquisitions, the one
/// whose prediction is the most uncertain, `sum_k ln sigma_k`; nothing without candidates.
///
/// Belakaria et al., "Uncertainty-aware search framework for multi-objective Bayesian optimization" (AAAI 2020). The
/// paper finds the front by NSGA-II; here it is that of the given rows. Ties go to the first row.
///
/// # Errors
/// Whatever an acquisition or model reports; `Numeric` when their numbers differ.
pub fn most_uncertain_on_front(
    acquisitions: &[&dyn Acquisition],
    posteriors: &[&dyn Posterior],
    candidates: &Rows,
) -> Result<Option<usize>, AcquisitionError> {
    check_objectives(posteriors.len(), acquisitions.len())?;
    let scores: Result<Vec<_>, _> =
        acquisitions.iter().map(|acquisition| acquisition.log_value(candidates)).collect();
    let scores = scores?;
    let mut turned = Rows::new(acquisitions.len());
    for row in 0..candidates.len() {
        turned.push_row(&scores.iter().map(|part| -part[row]).collect::<Vec<f64>>())?;
    }
    let front = nondominated(&turned);
    let mut volumes = vec![0.0; front.len()];
    let rows = candidates.select(&front);
    for posterior in posteriors {
        for (volume, variance) in volumes.iter_mut().zip(posterior.predict(&rows)?.variance) {
            *volume += 0.5 * variance.ln();
        }
    }
    let best = volumes.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
    Ok(best.map(|(place, _)| front[place]))
}
