//! What an acquisition function can be asked.

use crate::AcquisitionError;
use boxwood_numeric::Rows;

/// A score of candidate points, in logarithms where it is a probability or an expectation; to be maximized.
///
/// Pure: equal rows give equal scores. Negative infinity means "never"; NaN is an error.
pub trait Acquisition: Send + Sync {
    /// Scores of `(m, d)` rows, length m.
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError>;

    /// Score and its derivative by the encoded values (length d) at one row.
    ///
    /// Nothing when the model has no derivatives; the maximizer then uses exchange and mutation only.
    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError>;
}

/// Refuses scores that are NaN.
pub(crate) fn check_values(values: Vec<f64>) -> Result<Vec<f64>, AcquisitionError> {
    match values.iter().position(|value| value.is_nan()) {
        Some(row) => Err(AcquisitionError::NotANumber { row }),
        None => Ok(values),
    }
}
