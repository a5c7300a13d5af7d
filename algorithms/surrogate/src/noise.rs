//! Whether results are so noisy that trees should average them.

use crate::{Forest, ForestOptions, Layout, SurrogateError, TreeCache};
use boxwood_numeric::Rows;

/// Fewest results of which it is told.
const FEWEST: usize = 12;
/// Rows of a leaf under noise.
const LEAF_ROWS: usize = 5;
/// Leaves of that size must foresee unseen rows better by this share of the error.
const LEAST_GAIN: f64 = 0.05;

impl ForestOptions {
    /// Trees on resampled rows with leaves of several, which average noise.
    pub fn averaging() -> Self {
        Self { bootstrap: true, leaf_rows: LEAF_ROWS, total_variance: false, ..Self::default() }
    }
}

/// Whether large leaves foresee the first `count` results better than leaves of one, by forests on resampled rows and the rows
/// that each of their trees has not seen: a function without noise is followed best by the smallest leaves.
///
/// # Errors
/// As [`Forest::fit`].
pub fn is_noisy(
    layout: &Layout,
    rows: &Rows,
    targets: &[f64],
    count: usize,
    seed: u64,
    cache: &TreeCache<Forest>,
) -> Result<bool, SurrogateError> {
    if count < FEWEST {
        return Ok(false);
    }
    let large = ForestOptions::averaging();
    let small = ForestOptions { leaf_rows: 1, ..large.clone() };
    let error = |options| {
        cache.fit(layout, rows, targets, count, options, seed).map(|forest| forest.out_of_bag_error())
    };
    let (small, large) = (error(&small)?, error(&large)?);
    Ok(small.zip(large).is_some_and(|(small, large)| large < (1.0 - LEAST_GAIN) * small))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use boxwood_numeric::{normal_quantile, sobol_rows};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn noise_is_told_from_a_smooth_function() {
        let (mut right, mut missed) = (0, 0);
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let rows = sobol_rows(50, 3, seed).unwrap();
            let noise: Vec<f64> =
                (0..50).map(|_| normal_quantile(rng.random::<f64>().clamp(1e-9, 1.0 - 1e-9))).collect();
            let noisy = |deviation: f64| {
                let losses: Vec<f64> = rows
                    .iter()
                    .zip(&noise)
                    .map(|(row, noise)| 3.0 * row[0] + 2.0 * (row[1] - 0.4).powi(2) + deviation * noise)
                    .collect();
                is_noisy(&Layout::numeric(3), &rows, &losses, 50, seed, &TreeCache::default()).unwrap()
            };
            right += usize::from(noisy(3.0));
            missed += usize::from(noisy(0.0));
        }
        assert!(right >= 15, "noise three times the range's deviation is seen in most of 20 cases: {right}");
        assert!(missed <= 1, "a smooth function is not taken for noise: {missed}");
    }
}
