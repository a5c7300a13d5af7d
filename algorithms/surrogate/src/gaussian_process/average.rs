//! A mixture of processes that differ in their hyperparameters.

use super::GpModel;
use crate::{JointPosterior, MeanVariance, PointGradient, Posterior, SurrogateError};
use boxwood_numeric::{Rows, mix_seed};

/// Gaussian processes of the same data and target scale, averaged with weights.
///
/// The mean is the weighted mean, the variance that of the mixture: the mean of the variances plus the variance of the
/// means.
#[derive(Debug, Clone)]
pub struct GpAverage {
    members: Vec<(GpModel, f64)>,
}

impl GpAverage {
    /// Averages models with positive weights, which are normalized.
    ///
    /// # Errors
    /// `Empty` without a member of positive finite weight.
    pub fn new(members: Vec<(GpModel, f64)>) -> Result<Self, SurrogateError> {
        let mut members: Vec<(GpModel, f64)> =
            members.into_iter().filter(|(_, weight)| *weight > 0.0 && weight.is_finite()).collect();
        let total: f64 = members.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut members {
            *weight /= total;
        }
        if members.is_empty() { Err(SurrogateError::Empty) } else { Ok(Self { members }) }
    }

    /// The models with their weights, which sum to one.
    pub fn members(&self) -> &[(GpModel, f64)] {
        &self.members
    }

    /// The average in which every member believes pending rows, as [`GpModel::append_believed`].
    pub fn append_believed(&self, rows: &Rows) -> Result<Self, SurrogateError> {
        let members: Result<Vec<_>, SurrogateError> =
            self.members.iter().map(|(model, weight)| Ok((model.append_believed(rows)?, *weight))).collect();
        Ok(Self { members: members? })
    }
}

impl Posterior for GpAverage {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        let (mut mean, mut second) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        let mut parts = Vec::with_capacity(self.members.len());
        for (model, weight) in &self.members {
            let part = model.predict(rows)?;
            for (sum, value) in mean.iter_mut().zip(&part.mean) {
                *sum += weight * value;
            }
            parts.push((part, weight));
        }
        for (part, weight) in parts {
            for k in 0..rows.len() {
                second[k] += weight * (part.variance[k] + (part.mean[k] - mean[k]).powi(2));
            }
        }
        Ok(MeanVariance { mean, variance: second })
    }

    fn predict_mean(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        let mut mean = vec![0.0; rows.len()];
        for (model, weight) in &self.members {
            for (sum, value) in mean.iter_mut().zip(model.predict_mean(rows)?) {
                *sum += weight * value;
            }
        }
        Ok(mean)
    }

    fn predict_gradient(&self, row: &[f64]) -> Result<Option<PointGradient>, SurrogateError> {
        let mut parts = Vec::with_capacity(self.members.len());
        for (model, weight) in &self.members {
            parts.push((model.point_gradient(row)?, *weight));
        }
        let mean: f64 = parts.iter().map(|(part, weight)| weight * part.mean).sum();
        let mut average = PointGradient {
            mean,
            variance: 0.0,
            mean_gradient: vec![0.0; row.len()],
            variance_gradient: vec![0.0; row.len()],
        };
        for (part, weight) in &parts {
            let away = part.mean - mean;
            average.variance += weight * (part.variance + away * away);
            for k in 0..row.len() {
                average.mean_gradient[k] += weight * part.mean_gradient[k];
                // The deviations from the mean average to zero, so the mean's own derivative drops out.
                average.variance_gradient[k] +=
                    weight * (part.variance_gradient[k] + 2.0 * away * part.mean_gradient[k]);
            }
        }
        Ok(Some(average))
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        self.members[0].0.to_model_scale(loss)
    }

    fn to_loss(&self, value: f64) -> f64 {
        self.members[0].0.to_loss(value)
    }
}

impl JointPosterior for GpAverage {
    /// Each draw comes from one member, members in proportion to their weights.
    fn sample_joint(&self, rows: &Rows, count: usize, seed: u64) -> Result<Rows, SurrogateError> {
        let mut draws = Rows::new(rows.len());
        let (mut covered, mut done) = (0.0, 0);
        for (index, (model, weight)) in self.members.iter().enumerate() {
            covered += weight;
            let last = index + 1 == self.members.len();
            let until = if last { count } else { (covered * count as f64).round() as usize }.min(count);
            if until > done {
                draws.push_rows(&model.sample(rows, until - done, mix_seed(seed, index as u64))?)?;
                done = until;
            }
        }
        Ok(draws)
    }
}
