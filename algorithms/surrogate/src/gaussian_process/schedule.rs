//! When hyperparameters are fitted again, and a memory of fits that changes nothing but time.

use super::{GaussianProcess, GpModel, GpOptions};
use crate::layout::check_observations;
use crate::{Layout, SurrogateError};
use boxwood_numeric::Rows;
use std::sync::{Arc, Mutex, PoisonError};

/// Up to this many observations every one brings a refit.
const REFIT_EACH_UP_TO: usize = 50;
/// Fits that a [`GpCache`] keeps unless told otherwise.
const CACHE_SIZE: usize = 8;

/// How many of n observations the hyperparameters come from: all up to 50, then the largest length of the
/// schedule `l -> l + max(1, l / 20)` that is not above n. A pure function, so a cold start refits at the same
/// lengths as a warm one.
pub fn refit_length(count: usize) -> usize {
    let mut length = count.min(REFIT_EACH_UP_TO);
    while length < count {
        let next = length + (length / 20).max(1);
        if next > count {
            break;
        }
        length = next;
    }
    length
}

/// A memory of recent fits, owned by whoever wants speed; answers are the same without it.
#[derive(Debug)]
pub struct GpCache {
    size: usize,
    /// Shared by the threads that plan with the same cache; guards only this list, the last used at its end.
    entries: Mutex<Vec<(Vec<u64>, Arc<GpModel>)>>,
}

impl Default for GpCache {
    fn default() -> Self {
        Self::of_size(CACHE_SIZE)
    }
}

impl GpCache {
    /// An empty cache of 8 fits.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty cache that keeps the given number of fits, at least one.
    pub fn of_size(fits: usize) -> Self {
        Self { size: fits.max(1), entries: Mutex::new(Vec::new()) }
    }

    fn find(&self, key: &[u64]) -> Option<Arc<GpModel>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let place = entries.iter().position(|(known, _)| known == key)?;
        // What is used stays: the least recently used fit makes room.
        entries[place..].rotate_left(1);
        entries.last().map(|(_, model)| Arc::clone(model))
    }

    fn store(&self, key: Vec<u64>, model: Arc<GpModel>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.size {
            entries.remove(0);
        }
        entries.push((key, model));
    }
}

impl GaussianProcess {
    /// Fits hyperparameters on the first [`refit_length`] rows and extends the factor by the remaining ones.
    ///
    /// Equal observations, options and seed give equal models, with or without a cache. The seed should therefore
    /// belong to the study, not to the step.
    ///
    /// # Errors
    /// As [`GaussianProcess::fit`].
    pub fn fit_scheduled(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &GpOptions,
        seed: u64,
        cache: Option<&GpCache>,
    ) -> Result<GpModel, SurrogateError> {
        check_observations(layout, rows, targets)?;
        let length = refit_length(rows.len());
        let base =
            Self::fit_cached(layout, &rows.slice(0, length), &targets[..length], options, seed, cache)?;
        if length == rows.len() {
            return Ok(Arc::unwrap_or_clone(base));
        }
        base.extend(&rows.slice(length, rows.len()), targets)
    }

    /// [`GaussianProcess::fit`] through a cache.
    pub(super) fn fit_cached(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &GpOptions,
        seed: u64,
        cache: Option<&GpCache>,
    ) -> Result<Arc<GpModel>, SurrogateError> {
        let key = cache.map(|_| fingerprint(layout, rows, targets, options, seed));
        if let Some(known) = cache.zip(key.as_ref()).and_then(|(cache, key)| cache.find(key)) {
            return Ok(known);
        }
        let model = Arc::new(GaussianProcess::fit(layout, rows, targets, options, seed)?);
        if let Some((cache, key)) = cache.zip(key) {
            cache.store(key, Arc::clone(&model));
        }
        Ok(model)
    }
}

/// All that a fit depends on, bit by bit, so that equal keys mean equal fits.
fn fingerprint(layout: &Layout, rows: &Rows, targets: &[f64], options: &GpOptions, seed: u64) -> Vec<u64> {
    let mut key = vec![
        seed,
        rows.len() as u64,
        layout.len() as u64,
        u64::from(options.warp_targets),
        u64::from(options.violations),
        options.mean as u64,
        options.starts as u64,
        options.iterations,
        options.fit_rows as u64,
        options.priors as u64,
        options.noise_log_mean.to_bits(),
        options.noise_log_deviation.to_bits(),
        options.signal_log_deviation.to_bits(),
        options.kernel as u64,
        u64::from(options.isotropic),
        options.warp_inputs as u64,
        options.categories as u64,
        options.posterior_draws as u64,
    ];
    for dimension in &layout.dimensions {
        key.push(match dimension.kind {
            crate::Kind::Numeric => 0,
            crate::Kind::Integer { levels } => 1 + 4 * levels as u64,
            crate::Kind::Ordinal { levels } => 2 + 4 * levels as u64,
            crate::Kind::Categorical { choices } => 3 + 4 * choices as u64,
        });
        key.push(u64::from(dimension.conditional));
    }
    key.extend(rows.iter().flatten().map(|value| value.to_bits()));
    key.extend(targets.iter().map(|value| value.to_bits()));
    key
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_drops_the_fit_that_was_not_used_for_longest() {
        let rows = Rows::from_rows(1, &[[0.1], [0.5], [0.9]]).unwrap();
        let model =
            GaussianProcess::fit(&Layout::numeric(1), &rows, &[1.0, 2.0, 0.0], &GpOptions::default(), 1);
        let (cache, model) = (GpCache::new(), Arc::new(model.unwrap()));
        let size = CACHE_SIZE as u64;
        for key in 0..size {
            cache.store(vec![key], Arc::clone(&model));
        }
        assert!(cache.find(&[0]).is_some());
        cache.store(vec![size], model);
        let kept: Vec<bool> = (0..=size).map(|key| cache.find(&[key]).is_some()).collect();
        assert_eq!(kept.iter().filter(|kept| !**kept).count(), 1);
        assert!(kept[0] && !kept[1], "{kept:?}");
    }
}
