//! Linear algebra, special functions, quasi-random points, L-BFGS and Pareto geometry for the solvers.
//!
//! Thin, tested wrappers: factorizations by `nalgebra` (small) and `faer` (large), minimization by `argmin`,
//! Sobol points by `sobol_burley`. Everything is sequential, deterministic and free of global state.
//!
//! Letters (docs/notation.md): n observations, m candidates, d dimensions. Matrices are written `(rows, columns)`.

mod boxes;
mod cholesky;
mod error;
mod minimize;
mod pareto;
mod rows;
mod sobol;
mod special;

pub use boxes::{Boxes, nondominated_boxes};
pub use cholesky::Cholesky;
pub use error::NumericError;
pub use minimize::{MinimizeOptions, Minimum, minimize};
pub use nalgebra::{DMatrix, DVector};
pub use pareto::{dominates, hypervolume, inferred_reference, nondominated, nondominated_ranks};
pub use rows::Rows;
pub use sobol::{mix_seed, sobol_rows};
pub use special::{
    log_expected_improvement_kernel, log_expected_improvement_slope, log_normal_cdf, log_normal_cdf_slope,
    log1mexp, normal_cdf, normal_pdf, normal_quantile, scaled_erfc, softplus,
};
