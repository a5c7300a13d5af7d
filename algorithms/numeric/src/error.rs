//! What can go wrong in a numeric step.

use thiserror::Error;

/// A numeric step that has no answer. The caller may fall back to a simpler model.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum NumericError {
    /// Two lengths that must agree do not.
    #[error("{what}: expected length {expected}, found {found}")]
    Shape {
        /// Which quantity has the wrong length.
        what: &'static str,
        /// The length that was needed.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
    /// A value that must be finite is not.
    #[error("{what} is not finite")]
    NotFinite {
        /// Which quantity is not finite.
        what: &'static str,
    },
    /// A matrix stayed indefinite with the largest jitter.
    #[error("matrix of size {size} is not positive definite with relative jitter {jitter:e}")]
    NotPositiveDefinite {
        /// Rows of the matrix.
        size: usize,
        /// The last relative jitter that was tried.
        jitter: f64,
    },
}
