//! Why an acquisition function could not be evaluated.

use boxwood_numeric::NumericError;
use boxwood_surrogate::SurrogateError;
use thiserror::Error;

/// An acquisition that has no value here; the caller may fall back to random search.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum AcquisitionError {
    /// The model refused.
    #[error("predict with the surrogate")]
    Surrogate(#[from] SurrogateError),
    /// Tables did not fit.
    #[error("assemble candidates")]
    Numeric(#[from] NumericError),
    /// A prediction or acquisition value is NaN.
    #[error("acquisition is not a number at row {row}")]
    NotANumber {
        /// Index of the row.
        row: usize,
    },
}
