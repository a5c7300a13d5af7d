//! From a score of (mean, deviation) to a score of rows, with the chain rule in one place.

use crate::AcquisitionError;
use crate::acquisition::check_values;
use boxwood_numeric::Rows;
use boxwood_surrogate::Posterior;

/// A score of one prediction with its derivatives by mean and by standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MomentScore {
    pub(crate) value: f64,
    pub(crate) by_mean: f64,
    pub(crate) by_deviation: f64,
}

pub(crate) fn score_rows(
    posterior: &dyn Posterior,
    rows: &Rows,
    score: impl Fn(f64, f64) -> MomentScore,
) -> Result<Vec<f64>, AcquisitionError> {
    let prediction = posterior.predict(rows)?;
    let pairs = prediction.mean.iter().zip(&prediction.variance);
    check_values(pairs.map(|(&mean, &variance)| score(mean, variance.sqrt()).value).collect())
}

pub(crate) fn score_gradient(
    posterior: &dyn Posterior,
    row: &[f64],
    score: impl Fn(f64, f64) -> MomentScore,
) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
    let Some(point) = posterior.predict_gradient(row)? else {
        return Ok(None);
    };
    let deviation = point.variance.sqrt();
    let scored = score(point.mean, deviation);
    if scored.value.is_nan() {
        return Err(AcquisitionError::NotANumber { row: 0 });
    }
    let by_variance = scored.by_deviation / (2.0 * deviation);
    let gradient = point
        .mean_gradient
        .iter()
        .zip(&point.variance_gradient)
        .map(|(mean, variance)| scored.by_mean * mean + by_variance * variance)
        .collect();
    Ok(Some((scored.value, gradient)))
}
