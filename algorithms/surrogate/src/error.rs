//! Why a surrogate could not be built or asked.

use boxwood_numeric::NumericError;
use thiserror::Error;

/// A surrogate that cannot be fitted or evaluated. The caller may fall back to random search.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SurrogateError {
    /// There is nothing to learn from.
    #[error("no observations")]
    Empty,
    /// Two lengths that must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Which quantity has the wrong length.
        what: &'static str,
        /// The length that was needed.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
    /// A target is NaN or infinite; failed trials must be kept out or imputed by the caller.
    #[error("target {row} is not finite")]
    TargetNotFinite {
        /// Index of the target.
        row: usize,
    },
    /// An encoded value is infinite, or missing in a dimension that is never inactive.
    #[error("row {row} has no valid value in dimension {dimension}")]
    InvalidValue {
        /// Index of the row.
        row: usize,
        /// Index of the dimension.
        dimension: usize,
    },
    /// The linear algebra failed.
    #[error("compute surrogate")]
    Numeric(#[from] NumericError),
}
