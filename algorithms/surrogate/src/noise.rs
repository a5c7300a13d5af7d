//! Whether results are so noisy that trees should average them.

use crate::{Forest, ForestOptions, Layout, Posterior, SurrogateError, TreeCache};
use boxwood_numeric::Rows;

/// Fewest results of which it is told.
const FEWEST: usize = 12;
/// Rows of a leaf under noise.
const LEAF_ROWS: usize = 5;
/// Share of the results, those that are foreseen to be the best, whose errors count: noise far below the range of the losses
/// matters there alone.
const BEST_SHARE: f64 = 0.5;
/// Leaves of that size must foresee unseen rows better by this share of the error.
const LEAST_GAIN: f64 = 0.1;

impl ForestOptions {
    /// Trees on resampled rows with leaves of several, which average noise.
    pub fn averaging() -> Self {
        Self { bootstrap: true, leaf_rows: LEAF_ROWS, total_variance: false, ..Self::default() }
    }
}

/// Whether large leaves foresee the first `count` results better than leaves of one, by forests on resampled rows and the rows
/// that each of their trees has not seen: a function without noise is followed best by the smallest leaves. The errors
/// count at the better half alone.
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
    let fit = |options| cache.fit(layout, rows, targets, count, options, seed);
    let (small, large) = (fit(&small)?, fit(&large)?);
    let foreseen = small.out_of_bag().iter().zip(large.out_of_bag()).zip(targets);
    let mut foreseen: Vec<[f64; 3]> = foreseen
        .filter_map(|((small, large_one), target)| {
            Some([(*small)?, (*large_one)?, large.to_model_scale(*target)])
        })
        .collect();
    foreseen.sort_by(|a, b| (a[0] + a[1]).total_cmp(&(b[0] + b[1])));
    foreseen.truncate((foreseen.len() as f64 * BEST_SHARE).ceil() as usize);
    let error = |which: usize| foreseen.iter().map(|row| (row[which] - row[2]).powi(2)).sum::<f64>();
    Ok(error(1) < (1.0 - LEAST_GAIN) * error(0))
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
        assert!(
            right >= 7,
            "noise three times the function's deviation is seen in half of 20 cases: {right}"
        );
        assert!(missed <= 1, "a smooth function is not taken for noise: {missed}");
    }
}
