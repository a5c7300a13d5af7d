//! Cholesky factorization that can grow by rows.

use crate::NumericError;
use crate::rows::check_length;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, MatMut, MatRef, Par};
use nalgebra::{DMatrix, DVectorViewMut};

/// From this size on the blocked kernels of `faer` are faster than `nalgebra`'s.
const BLOCKED_FROM: usize = 96;

/// First relative jitter; it grows by decades up to [`LAST_JITTER`], never to the order of the signal.
const FIRST_JITTER: f64 = 1e-10;
const LAST_JITTER: f64 = 1e-4;

/// Lower factor `L` of a positive definite matrix `A + jitter I = L L'`.
#[derive(Debug, Clone)]
pub struct Cholesky {
    /// `(n, n)`; only the lower triangle has a meaning, the upper one is zero.
    factor: DMatrix<f64>,
    jitter: f64,
}

impl Cholesky {
    /// Factorizes a symmetric matrix of which the lower triangle is read.
    ///
    /// When it is not positive definite in floating point, `jitter` is added to the diagonal: 1e-10 of the mean
    /// diagonal, then ten times more, up to 1e-4.
    ///
    /// # Errors
    /// `Shape` when not square, `NotFinite` for a NaN or infinity on the diagonal, `NotPositiveDefinite`.
    pub fn factorize(matrix: &DMatrix<f64>) -> Result<Self, NumericError> {
        let size = matrix.nrows();
        check_length("columns of a square matrix", size, matrix.ncols())?;
        let mean = if size == 0 { 1.0 } else { matrix.diagonal().mean() };
        if !mean.is_finite() {
            return Err(NumericError::NotFinite { what: "diagonal of a matrix" });
        }
        let mut relative = 0.0;
        loop {
            let jitter = relative * mean;
            if let Some(factor) = try_factor(matrix, jitter) {
                return Ok(Self { factor, jitter });
            }
            relative = if relative == 0.0 { FIRST_JITTER } else { relative * 10.0 };
            if relative > LAST_JITTER * 1.5 {
                return Err(NumericError::NotPositiveDefinite { size, jitter: relative / 10.0 });
            }
        }
    }

    /// Number of rows, n.
    pub fn len(&self) -> usize {
        self.factor.nrows()
    }

    /// Whether the matrix has no rows.
    pub fn is_empty(&self) -> bool {
        self.factor.nrows() == 0
    }

    /// What was added to the diagonal.
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// The lower factor, `(n, n)`.
    pub fn lower(&self) -> &DMatrix<f64> {
        &self.factor
    }

    /// `ln det(A)`.
    pub fn log_determinant(&self) -> f64 {
        2.0 * self.factor.diagonal().iter().map(|value| value.ln()).sum::<f64>()
    }

    /// Solves `L x = b` in place, O(n^2).
    pub fn solve_lower(&self, right: &mut [f64]) -> Result<(), NumericError> {
        check_length("right-hand side", self.len(), right.len())?;
        let size = right.len();
        let solved = self.factor.solve_lower_triangular_mut(&mut DVectorViewMut::from_slice(right, size));
        self.require(solved)
    }

    /// Solves `L' x = b` in place, O(n^2).
    pub fn solve_upper(&self, right: &mut [f64]) -> Result<(), NumericError> {
        check_length("right-hand side", self.len(), right.len())?;
        let size = right.len();
        let solved = self.factor.tr_solve_lower_triangular_mut(&mut DVectorViewMut::from_slice(right, size));
        self.require(solved)
    }

    /// Solves `A x = b` in place, O(n^2).
    pub fn solve(&self, right: &mut [f64]) -> Result<(), NumericError> {
        self.solve_lower(right)?;
        self.solve_upper(right)
    }

    /// Solves `L X = B` in place for an `(n, m)` block of right-hand sides, O(n^2 m).
    pub fn solve_lower_block(&self, right: &mut DMatrix<f64>) -> Result<(), NumericError> {
        check_length("rows of the right-hand sides", self.len(), right.nrows())?;
        if right.ncols() > 0 && !self.is_empty() {
            solve_lower_triangular_in_place(view(&self.factor), view_mut(right), Par::Seq);
        }
        Ok(())
    }

    /// The inverse of `A`, `(n, n)`, both triangles filled, O(n^3).
    pub fn inverse(&self) -> DMatrix<f64> {
        let size = self.len();
        let mut inverse = DMatrix::zeros(size, size);
        if size > 0 {
            let mut memory = MemBuffer::new(llt::inverse::inverse_scratch::<f64>(size, Par::Seq));
            let stack = MemStack::new(&mut memory);
            llt::inverse::inverse(view_mut(&mut inverse), view(&self.factor), Par::Seq, stack);
            inverse.fill_upper_triangle_with_lower_triangle();
        }
        inverse
    }

    /// Adds one row and column to `A`: `cross` (n) against the old rows and the new `diagonal`, O(n^2).
    ///
    /// # Errors
    /// As [`Cholesky::extend`].
    pub fn append(&self, cross: &[f64], diagonal: f64) -> Result<Self, NumericError> {
        let cross = DMatrix::from_column_slice(cross.len(), 1, cross);
        self.extend(&cross, &DMatrix::from_element(1, 1, diagonal))
    }

    /// Adds k rows and columns to `A`: `cross` is `(n, k)`, `block` the new `(k, k)` corner. O(n^2 k).
    ///
    /// The Schur complement of the corner is factorized as in [`Cholesky::factorize`], so that near-duplicate rows
    /// cost jitter instead of an error.
    ///
    /// # Errors
    /// `Shape` for blocks that do not fit, `NotPositiveDefinite` when the corner stays indefinite.
    pub fn extend(&self, cross: &DMatrix<f64>, block: &DMatrix<f64>) -> Result<Self, NumericError> {
        let (old, added) = (self.len(), block.nrows());
        check_length("rows of the cross block", old, cross.nrows())?;
        check_length("columns of the cross block", added, cross.ncols())?;
        let mut half = cross.clone();
        self.solve_lower_block(&mut half)?;
        let mut corner = block.clone();
        for k in 0..added {
            corner[(k, k)] += self.jitter;
        }
        if old > 0 && added > 0 {
            let left = view(&half);
            matmul(view_mut(&mut corner), Accum::Add, left.transpose(), left, -1.0, Par::Seq);
        }
        let mean = block.diagonal().mean();
        let schur = Self::factorize_shifted(&corner, mean)?;
        let mut factor = DMatrix::zeros(old + added, old + added);
        factor.view_mut((0, 0), (old, old)).copy_from(&self.factor);
        factor.view_mut((old, 0), (added, old)).tr_copy_from(&half);
        factor.view_mut((old, old), (added, added)).copy_from(&schur);
        Ok(Self { factor, jitter: self.jitter })
    }

    /// Factorizes a Schur complement with jitter relative to the scale of the original diagonal.
    fn factorize_shifted(corner: &DMatrix<f64>, scale: f64) -> Result<DMatrix<f64>, NumericError> {
        let mut relative = 0.0;
        loop {
            if let Some(factor) = try_factor(corner, relative * scale) {
                return Ok(factor);
            }
            relative = if relative == 0.0 { FIRST_JITTER } else { relative * 10.0 };
            if relative > LAST_JITTER * 1.5 {
                return Err(NumericError::NotPositiveDefinite {
                    size: corner.nrows(),
                    jitter: relative / 10.0,
                });
            }
        }
    }

    fn require(&self, solved: bool) -> Result<(), NumericError> {
        if solved {
            Ok(())
        } else {
            Err(NumericError::NotPositiveDefinite { size: self.len(), jitter: self.jitter })
        }
    }
}

/// The lower factor of `matrix + jitter I`, or nothing when a pivot is not positive.
fn try_factor(matrix: &DMatrix<f64>, jitter: f64) -> Option<DMatrix<f64>> {
    let size = matrix.nrows();
    let mut work = matrix.clone();
    for k in 0..size {
        work[(k, k)] += jitter;
    }
    let factor = if size < BLOCKED_FROM {
        nalgebra::Cholesky::new(work)?.unpack()
    } else {
        let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(
            size,
            Par::Seq,
            faer::Spec::default(),
        ));
        llt::factor::cholesky_in_place(
            view_mut(&mut work),
            llt::factor::LltRegularization::default(),
            Par::Seq,
            MemStack::new(&mut memory),
            faer::Spec::default(),
        )
        .ok()?;
        work.fill_upper_triangle(0.0, 1);
        work
    };
    factor.diagonal().iter().all(|value| value.is_finite() && *value > 0.0).then_some(factor)
}

fn view(matrix: &DMatrix<f64>) -> MatRef<'_, f64> {
    MatRef::from_column_major_slice(matrix.as_slice(), matrix.nrows(), matrix.ncols())
}

fn view_mut(matrix: &mut DMatrix<f64>) -> MatMut<'_, f64> {
    let (rows, columns) = matrix.shape();
    MatMut::from_column_major_slice_mut(matrix.as_mut_slice(), rows, columns)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A well-conditioned positive definite matrix with deterministic entries.
    fn example(size: usize) -> DMatrix<f64> {
        DMatrix::from_fn(size, size, |i, j| {
            let distance = (i as f64 - j as f64) / 3.0;
            (-distance * distance).exp() + if i == j { 0.1 } else { 0.0 }
        })
    }

    #[test]
    fn both_kernels_reproduce_the_matrix_and_solve() {
        for size in [1, 2, 17, 95, 96, 150] {
            let matrix = example(size);
            let factor = Cholesky::factorize(&matrix).unwrap();
            let product = factor.lower() * factor.lower().transpose();
            assert!((&product - &matrix).abs().max() < 1e-12);
            let mut right: Vec<f64> = (0..size).map(|k| (k as f64).sin()).collect();
            let expected = right.clone();
            factor.solve(&mut right).unwrap();
            let back = &matrix * nalgebra::DVector::from_vec(right);
            assert!(back.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-10));
            let identity = factor.inverse() * &matrix;
            assert!((identity - DMatrix::identity(size, size)).abs().max() < 1e-9);
        }
    }

    #[test]
    fn growth_agrees_with_a_new_factorization() {
        let matrix = example(40);
        let whole = Cholesky::factorize(&matrix).unwrap();
        let mut grown = Cholesky::factorize(&matrix.view((0, 0), (30, 30)).into_owned()).unwrap();
        for k in 30..35 {
            let cross: Vec<f64> = (0..k).map(|i| matrix[(i, k)]).collect();
            grown = grown.append(&cross, matrix[(k, k)]).unwrap();
        }
        grown = grown
            .extend(&matrix.view((0, 35), (35, 5)).into_owned(), &matrix.view((35, 35), (5, 5)).into_owned())
            .unwrap();
        assert!((grown.lower() - whole.lower()).abs().max() < 1e-12);
        assert!((grown.log_determinant() - whole.log_determinant()).abs() < 1e-10);
    }

    #[test]
    fn singular_matrices_take_little_jitter_and_indefinite_ones_are_refused() {
        let ones = DMatrix::from_element(120, 120, 1.0);
        let factor = Cholesky::factorize(&ones).unwrap();
        assert!(factor.jitter() <= 1e-8);
        let indefinite = DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 2.0, 1.0]);
        assert!(matches!(Cholesky::factorize(&indefinite), Err(NumericError::NotPositiveDefinite { .. })));
        let broken = DMatrix::from_element(2, 2, f64::NAN);
        assert!(matches!(Cholesky::factorize(&broken), Err(NumericError::NotFinite { .. })));
        let grown = factor.append(&[1.0; 120], 1.0).unwrap();
        assert_eq!(grown.len(), 121);
    }

    #[test]
    fn an_empty_factor_grows() {
        let empty = Cholesky::factorize(&DMatrix::zeros(0, 0)).unwrap();
        let one = empty.append(&[], 4.0).unwrap();
        assert_eq!(one.lower()[(0, 0)], 2.0);
    }

    proptest! {
        #[test]
        fn determinant_matches_the_product_of_pivots(values in prop::collection::vec(-1.0..1.0f64, 25)) {
            let square = DMatrix::from_vec(5, 5, values);
            let matrix = &square * square.transpose() + DMatrix::identity(5, 5) * 0.5;
            let factor = Cholesky::factorize(&matrix).unwrap();
            prop_assert!((factor.log_determinant() - matrix.determinant().ln()).abs() < 1e-9);
        }
    }
}
