//! A Gaussian process on the observations that matter for the next step, for long histories.

use super::{GaussianProcess, GpCache, GpModel, GpOptions, refit_length};
use crate::layout::check_observations;
use crate::{Layout, SurrogateError};
use boxwood_numeric::{Rows, mix_seed};

/// Shares of the kept rows: the best ones, and those nearest to the best; the rest fills the space.
const BEST_SHARE: f64 = 0.25;
const NEAR_SHARE: f64 = 0.5;

/// Which of n observations a local model keeps: the best quarter of `limit`, half of it nearest to the best observation,
/// and a rest that fills the space, in rising order of index. All of them when they are not more than the limit.
///
/// The rest goes by strata: the remaining rows in the order of a space-filling coordinate (distance to the best) are cut
/// into equal parts with one drawn row each. Distances weigh numbers by the inverse of `length_scales`, where given; a
/// differing category or a column active in one row only counts one. Pure; O(n d + n log n).
///
/// # Errors
/// As [`GaussianProcess::fit`]; `Shape` for length scales that do not fit the layout.
pub fn local_rows(
    layout: &Layout,
    rows: &Rows,
    targets: &[f64],
    length_scales: Option<&[f64]>,
    limit: usize,
    seed: u64,
) -> Result<Vec<usize>, SurrogateError> {
    check_observations(layout, rows, targets)?;
    if let Some(scales) = length_scales
        && scales.len() != layout.len()
    {
        return Err(SurrogateError::Shape {
            what: "length scales",
            expected: layout.len(),
            found: scales.len(),
        });
    }
    let count = rows.len();
    if count <= limit {
        return Ok((0..count).collect());
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| targets[a].total_cmp(&targets[b]).then(a.cmp(&b)));
    let best = ((limit as f64 * BEST_SHARE) as usize).clamp(1, limit.max(1));
    let center = rows.row(order[0]);
    let mut kept: Vec<usize> = order[..best].to_vec();
    let distances: Vec<f64> =
        rows.iter().map(|row| squared_distance(layout, row, center, length_scales)).collect();
    let mut others = order.split_off(best);
    others.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]).then(a.cmp(&b)));
    let near = ((limit as f64 * NEAR_SHARE) as usize).min(limit.saturating_sub(best));
    kept.extend(&others[..near]);
    let far = &others[near..];
    let rest = limit.saturating_sub(kept.len());
    for stratum in 0..rest {
        let (start, end) = (stratum * far.len() / rest, (stratum + 1) * far.len() / rest);
        let drawn = far[start..end].iter().min_by_key(|&&index| (mix_seed(seed, index as u64), index));
        kept.extend(drawn);
    }
    kept.sort_unstable();
    Ok(kept)
}

fn squared_distance(layout: &Layout, a: &[f64], b: &[f64], length_scales: Option<&[f64]>) -> f64 {
    let columns = a.iter().zip(b).zip(&layout.dimensions).enumerate();
    columns
        .map(|(column, ((&x, &y), dimension))| {
            let weight = length_scales.map_or(1.0, |scales| scales[column].powi(-2));
            match (x.is_nan(), y.is_nan()) {
                (true, true) => 0.0,
                (false, false) if !dimension.is_categorical() => weight * (x - y) * (x - y),
                (false, false) if x == y => 0.0,
                _ => 1.0,
            }
        })
        .sum()
}

impl GaussianProcess {
    /// A model of at most `options.local_rows` observations chosen by [`local_rows`], whose cost per step does not grow
    /// with the history; the scheduled fit of all of them while they are not more.
    ///
    /// Hyperparameters come from the local rows of the first [`refit_length`] observations and stay until the next
    /// refit, while the rows follow every new result. Equal arguments give equal models, with or without a cache.
    ///
    /// # Errors
    /// As [`GaussianProcess::fit`].
    pub fn fit_local(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &GpOptions,
        seed: u64,
        cache: Option<&GpCache>,
    ) -> Result<GpModel, SurrogateError> {
        let limit = options.local_rows.max(2);
        if rows.len() <= limit {
            return Self::fit_scheduled(layout, rows, targets, options, seed, cache);
        }
        check_observations(layout, rows, targets)?;
        // The old choice is not a prefix of the new one, so the factor is computed anew.
        let length = refit_length(rows.len()).max(limit);
        let first = local_rows(layout, &rows.slice(0, length), &targets[..length], None, limit, seed)?;
        let base =
            Self::fit_cached(layout, &rows.select(&first), &pick(targets, &first), options, seed, cache)?;
        let kept = local_rows(layout, rows, targets, Some(base.length_scales()), limit, seed)?;
        base.condition_anew(&rows.select(&kept), &pick(targets, &kept), options)
    }
}

fn pick(targets: &[f64], indices: &[usize]) -> Vec<f64> {
    indices.iter().map(|&index| targets[index]).collect()
}
