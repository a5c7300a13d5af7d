//! Noisy expected improvement and noisy expected hypervolume improvement over fixed base samples.

use crate::acquisition::check_values;
use crate::hypervolume::{GainCells, GainTables, check_objectives, log_sum_exp};
use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::{
    Rows, log_expected_improvement_kernel, log_expected_improvement_slope, mix_seed, nondominated_boxes,
};
use boxwood_surrogate::{GpDraws, GpModel, Posterior};

/// `ln` of the mean over joint draws of the expected improvement below the drawn best value.
///
/// Under noise nobody knows the incumbent: each draw of the noise-free values at the base rows (observed ones that may
/// be best, and pending ones) has its own. Given a draw, the candidate's value is normal and its expected improvement
/// closed, so only the base rows are sampled: noisy expected improvement of Letham et al. (Bayesian Analysis 14(2),
/// 2019), with quasi-random fixed draws and `LogEI` inside. With pending rows among the base rows it is the sequential
/// greedy batch acquisition that `qLogNEI` maximizes (Ament et al., 2023).
pub struct LogNoisyExpectedImprovement {
    draws: GpDraws,
    incumbents: Vec<f64>,
}

impl LogNoisyExpectedImprovement {
    /// Samples `count` draws at `base`, `(b, d)` rows of which there must be at least one; see [`contenders`].
    ///
    /// # Errors
    /// `Numeric` without a base row; whatever the model reports.
    pub fn new(model: &GpModel, base: &Rows, count: usize, seed: u64) -> Result<Self, AcquisitionError> {
        require_rows(base)?;
        let draws = model.condition_on_draws(base, count, seed)?;
        let best = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        let incumbents = draws.values().iter().map(best).collect();
        Ok(Self { draws, incumbents })
    }
}

impl Acquisition for LogNoisyExpectedImprovement {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let prediction = self.draws.predict(rows)?;
        let count = (self.incumbents.len() as f64).ln();
        let mut terms = vec![0.0; self.incumbents.len()];
        let mut values = Vec::with_capacity(rows.len());
        for (means, variance) in prediction.mean.iter().zip(&prediction.variance) {
            let deviation = variance.sqrt();
            for (term, (mean, best)) in terms.iter_mut().zip(means.iter().zip(&self.incumbents)) {
                *term = log_expected_improvement_kernel((best - mean) / deviation);
            }
            let broken = means.iter().any(|mean| mean.is_nan());
            values.push(if broken { f64::NAN } else { deviation.ln() + log_sum_exp(&terms) - count });
        }
        check_values(values)
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let point = self.draws.predict_gradient(row)?;
        let deviation = point.variance.sqrt();
        let scores: Vec<f64> =
            point.mean.iter().zip(&self.incumbents).map(|(mean, best)| (best - mean) / deviation).collect();
        let terms: Vec<f64> = scores.iter().map(|&z| log_expected_improvement_kernel(z)).collect();
        let total = log_sum_exp(&terms);
        let mut gradient = vec![0.0; row.len()];
        let mut by_deviation = 1.0 / deviation;
        for ((z, term), mean_gradient) in scores.iter().zip(&terms).zip(point.mean_gradient.iter()) {
            let share = (term - total).exp();
            if share > 0.0 {
                let slope = share * log_expected_improvement_slope(*z) / deviation;
                by_deviation -= z * slope;
                for (sum, part) in gradient.iter_mut().zip(mean_gradient) {
                    *sum -= slope * part;
                }
            }
        }
        for (sum, part) in gradient.iter_mut().zip(&point.variance_gradient) {
            *sum += by_deviation * part / (2.0 * deviation);
        }
        let value = deviation.ln() + total - (terms.len() as f64).ln();
        check_values(vec![value])?;
        Ok(Some((value, gradient)))
    }
}

/// `ln` of the mean over joint draws of the expected hypervolume improvement over the drawn front.
///
/// As [`LogNoisyExpectedImprovement`] with a front in place of an incumbent: the noisy expected hypervolume improvement
/// of Daulton, Balandat and Bakshy (`NeurIPS` 2021) in logarithms (Ament et al., 2023). The candidate's own values are
/// integrated exactly over boxes instead of being sampled too. Meant for two to four objectives.
pub struct LogNoisyExpectedHypervolumeImprovement {
    draws: Vec<GpDraws>,
    cells: Vec<GainCells>,
}

impl LogNoisyExpectedHypervolumeImprovement {
    /// Samples `count` draws of every objective at `base`, `(b, d)` rows of which there must be at least one; the
    /// reference is on the model scales.
    ///
    /// # Errors
    /// `Numeric` without a base row or when models and reference differ in number; whatever a model reports.
    pub fn new(
        models: &[&GpModel],
        base: &Rows,
        reference: &[f64],
        count: usize,
        seed: u64,
    ) -> Result<Self, AcquisitionError> {
        require_rows(base)?;
        check_objectives(models.len(), reference.len())?;
        let draws: Result<Vec<GpDraws>, _> = models
            .iter()
            .enumerate()
            .map(|(k, model)| model.condition_on_draws(base, count, mix_seed(seed, k as u64)))
            .collect();
        let draws = draws?;
        let mut cells = Vec::with_capacity(count);
        for draw in 0..draws.first().map_or(0, GpDraws::len) {
            let mut front = Rows::new(models.len());
            for row in 0..base.len() {
                let values: Vec<f64> = draws.iter().map(|part| part.values().row(draw)[row]).collect();
                front.push_row(&values)?;
            }
            cells.push(GainCells::new(nondominated_boxes(&front, reference)?));
        }
        Ok(Self { draws, cells })
    }
}

impl Acquisition for LogNoisyExpectedHypervolumeImprovement {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let parts: Result<Vec<_>, _> = self.draws.iter().map(|draws| draws.predict(rows)).collect();
        let parts = parts?;
        let (mut values, mut tables) = (Vec::with_capacity(rows.len()), GainTables::default());
        for index in 0..rows.len() {
            let deviation: Vec<f64> = parts.iter().map(|part| part.variance[index].sqrt()).collect();
            let mut terms = Vec::with_capacity(self.cells.len());
            for (draw, cells) in self.cells.iter().enumerate() {
                let mean: Vec<f64> = parts.iter().map(|part| part.mean.row(index)[draw]).collect();
                terms.push(cells.log_gain(&mean, &deviation, &mut tables));
            }
            let broken = terms.iter().any(|term| term.is_nan());
            values.push(if broken { f64::NAN } else { log_sum_exp(&terms) - (terms.len() as f64).ln() });
        }
        check_values(values)
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let parts: Result<Vec<_>, _> = self.draws.iter().map(|draws| draws.predict_gradient(row)).collect();
        let parts = parts?;
        let deviation: Vec<f64> = parts.iter().map(|part| part.variance.sqrt()).collect();
        let mut tables = GainTables::default();
        let scores: Vec<_> = self
            .cells
            .iter()
            .enumerate()
            .map(|(draw, cells)| {
                let mean: Vec<f64> = parts.iter().map(|part| part.mean[draw]).collect();
                cells.slopes(&mean, &deviation, &mut tables)
            })
            .collect();
        let terms: Vec<f64> = scores.iter().map(|score| score.value).collect();
        if terms.iter().any(|term| term.is_nan()) {
            return Err(AcquisitionError::NotANumber { row: 0 });
        }
        let total = log_sum_exp(&terms);
        let mut gradient = vec![0.0; row.len()];
        for (draw, score) in scores.iter().enumerate() {
            let share = (score.value - total).exp();
            if share > 0.0 {
                for (k, part) in parts.iter().enumerate() {
                    let by_mean = share * score.by_mean[k];
                    let by_variance = share * score.by_deviation[k] / (2.0 * deviation[k]);
                    let slopes = part.mean_gradient.row(draw).iter().zip(&part.variance_gradient);
                    for (sum, (mean, variance)) in gradient.iter_mut().zip(slopes) {
                        *sum += by_mean * mean + by_variance * variance;
                    }
                }
            }
        }
        Ok(Some((total - (terms.len() as f64).ln(), gradient)))
    }
}

/// Indices of the rows that may be on the front (with one objective: be the best), at most `limit`, in order.
///
/// A row stays when its optimistic values, `mean - width sigma`, are not dominated by the pessimistic ones of another
/// row. Beyond the limit those of least mean rank over objectives stay. This keeps the draws of noisy acquisitions
/// small, as `BoTorch`'s pruning of inferior points does by sampling.
///
/// # Errors
/// Whatever a model reports.
pub fn contenders(
    posteriors: &[&dyn Posterior],
    rows: &Rows,
    width: f64,
    limit: usize,
) -> Result<Vec<usize>, AcquisitionError> {
    let parts: Result<Vec<_>, _> = posteriors.iter().map(|posterior| posterior.predict(rows)).collect();
    let parts = parts?;
    let bound = |index: usize, sign: f64| -> Vec<f64> {
        parts.iter().map(|part| part.mean[index] + sign * width * part.variance[index].sqrt()).collect()
    };
    let lower: Vec<Vec<f64>> = (0..rows.len()).map(|index| bound(index, -1.0)).collect();
    let upper: Vec<Vec<f64>> = (0..rows.len()).map(|index| bound(index, 1.0)).collect();
    let beaten = |index: usize| upper.iter().any(|other| boxwood_numeric::dominates(other, &lower[index]));
    let mut kept: Vec<usize> = (0..rows.len()).filter(|&index| !beaten(index)).collect();
    if kept.len() > limit {
        let mut ranks = vec![0; rows.len()];
        for part in &parts {
            let mut order = kept.clone();
            order.sort_by(|&a, &b| part.mean[a].total_cmp(&part.mean[b]).then(a.cmp(&b)));
            for (rank, index) in order.into_iter().enumerate() {
                ranks[index] += rank;
            }
        }
        kept.sort_by_key(|&index| (ranks[index], index));
        kept.truncate(limit);
        kept.sort_unstable();
    }
    Ok(kept)
}

fn require_rows(base: &Rows) -> Result<(), AcquisitionError> {
    if base.is_empty() {
        return Err(boxwood_numeric::NumericError::Shape { what: "base rows", expected: 1, found: 0 }.into());
    }
    Ok(())
}
