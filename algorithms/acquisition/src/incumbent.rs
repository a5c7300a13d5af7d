//! The value to beat, and points whose results are pending.

use crate::AcquisitionError;
use boxwood_numeric::Rows;
use boxwood_surrogate::{GpModel, Posterior};

/// The point to beat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Incumbent {
    /// Index among the rows that were asked about.
    pub row: usize,
    /// Its posterior mean, on the model scale.
    pub value: f64,
}

/// The observed row with the best posterior mean: under noise the luckiest measurement is not the best point.
///
/// Nothing for no rows. Ties go to the first row.
pub fn noisy_incumbent(
    posterior: &dyn Posterior,
    observed: &Rows,
) -> Result<Option<Incumbent>, AcquisitionError> {
    let means = posterior.predict_mean(observed)?;
    let best = means.iter().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
    Ok(best.map(|(row, &value)| Incumbent { row, value }))
}

/// The model that believes each pending row returns its posterior mean; hyperparameters are not fitted again.
pub fn believe_pending(model: &GpModel, pending: &Rows) -> Result<GpModel, AcquisitionError> {
    Ok(model.append_believed(pending)?)
}
