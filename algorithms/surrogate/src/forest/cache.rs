//! A memory of grown forests that changes nothing but time.

use super::{Forest, ForestOptions};
use crate::{Layout, SurrogateError};
use boxwood_numeric::Rows;
use std::sync::{Arc, Mutex, PoisonError};

/// Forests that a [`ForestCache`] keeps: the objective's and those of a few constraints.
const CACHE_SIZE: usize = 6;

/// A memory of recent forests, owned by whoever wants speed; answers are the same without it.
#[derive(Debug, Default)]
pub struct ForestCache {
    /// Shared by the threads that plan with the same cache; guards only this list.
    entries: Mutex<Vec<Entry>>,
}

/// A forest with all that it depends on.
#[derive(Debug)]
struct Entry {
    layout: Layout,
    rows: Rows,
    targets: Vec<f64>,
    options: ForestOptions,
    seed: u64,
    forest: Arc<Forest>,
}

impl ForestCache {
    /// [`Forest::fit`] on the first `count` rows and targets, or the same forest from an earlier call with equal
    /// arguments.
    ///
    /// # Errors
    /// As [`Forest::fit`].
    pub fn fit(
        &self,
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        count: usize,
        options: &ForestOptions,
        seed: u64,
    ) -> Result<Arc<Forest>, SurrogateError> {
        let count = count.min(rows.len());
        let targets = &targets[..count.min(targets.len())];
        let is_known = |entry: &&Entry| {
            entry.seed == seed
                && entry.options == *options
                && entry.layout == *layout
                && entry.rows.len() == count
                && same_bits(&entry.targets, targets)
                && entry.rows.iter().zip(rows.iter()).all(|(a, b)| same_bits(a, b))
        };
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.iter().find(is_known) {
            return Ok(Arc::clone(&entry.forest));
        }
        drop(entries);
        let rows = rows.slice(0, count);
        let forest = Arc::new(Forest::fit(layout, &rows, targets, options, seed)?);
        let entry = Entry {
            layout: layout.clone(),
            rows,
            targets: targets.to_vec(),
            options: options.clone(),
            seed,
            forest: Arc::clone(&forest),
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CACHE_SIZE {
            entries.remove(0);
        }
        entries.push(entry);
        Ok(forest)
    }
}

/// Equal bit by bit, so that equal arguments mean equal forests.
fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
