//! The front that several objectives are to improve, as their models see it.

use boxwood_acquisition::AcquisitionError;
use boxwood_numeric::{Rows, inferred_reference, nondominated};
use boxwood_surrogate::{GpModel, Posterior};

/// Nondominated posterior means at some rows, `(front, m)` on the model scales: under noise the luckiest measurements are
/// not the front.
pub(super) fn means(models: &[GpModel], rows: &Rows) -> Result<Rows, AcquisitionError> {
    let parts: Result<Vec<Vec<f64>>, _> = models.iter().map(|model| model.predict_mean(rows)).collect();
    let parts = parts?;
    let mut all = Rows::new(models.len());
    for index in 0..rows.len() {
        all.push_row(&parts.iter().map(|part| part[index]).collect::<Vec<f64>>())?;
    }
    Ok(all.select(&nondominated(&all)))
}

/// The reference point on the model scales: the user's, or the worst of the front and a tenth of its range.
pub(super) fn reference_of(models: &[GpModel], front: &Rows, given: Option<&[f64]>) -> Vec<f64> {
    match given {
        Some(losses) => losses.iter().zip(models).map(|(loss, model)| model.to_model_scale(*loss)).collect(),
        None => inferred_reference(front),
    }
}
