//! A memory of grown forests that changes nothing but time.

use super::{Forest, ForestOptions};
use crate::{Kind, Layout, SurrogateError};
use boxwood_numeric::Rows;
use std::sync::{Arc, Mutex, PoisonError};

/// Forests that a [`ForestCache`] keeps: the objective's and those of a few constraints.
const CACHE_SIZE: usize = 6;

/// A memory of recent forests, owned by whoever wants speed; answers are the same without it.
#[derive(Debug, Default)]
pub struct ForestCache {
    /// Shared by the threads that plan with the same cache; guards only this list.
    entries: Mutex<Vec<(Vec<u64>, Arc<Forest>)>>,
}

impl ForestCache {
    /// [`Forest::fit`], or the same forest from an earlier call with equal arguments.
    ///
    /// # Errors
    /// As [`Forest::fit`].
    pub fn fit(
        &self,
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &ForestOptions,
        seed: u64,
    ) -> Result<Arc<Forest>, SurrogateError> {
        let key = fingerprint(layout, rows, targets, options, seed);
        let known = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, forest)) = known.iter().find(|(other, _)| *other == key) {
            return Ok(Arc::clone(forest));
        }
        drop(known);
        let forest = Arc::new(Forest::fit(layout, rows, targets, options, seed)?);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CACHE_SIZE {
            entries.remove(0);
        }
        entries.push((key, Arc::clone(&forest)));
        Ok(forest)
    }
}

/// All that a forest depends on, bit by bit, so that equal keys mean equal forests.
fn fingerprint(
    layout: &Layout,
    rows: &Rows,
    targets: &[f64],
    options: &ForestOptions,
    seed: u64,
) -> Vec<u64> {
    let ForestOptions {
        trees,
        column_share,
        split_rows,
        leaf_rows,
        depth,
        bootstrap,
        random_cuts,
        tree_rows,
    } = options;
    let counts = [trees, split_rows, leaf_rows, depth, tree_rows].map(|&count| count as u64);
    let mut key = vec![
        seed,
        rows.len() as u64,
        layout.len() as u64,
        column_share.to_bits(),
        u64::from(*bootstrap),
        u64::from(*random_cuts),
    ];
    key.extend(counts);
    for dimension in &layout.dimensions {
        key.push(match dimension.kind {
            Kind::Numeric => 0,
            Kind::Integer { levels } => 1 + 4 * levels as u64,
            Kind::Ordinal { levels } => 2 + 4 * levels as u64,
            Kind::Categorical { choices } => 3 + 4 * choices as u64,
        });
        key.push(u64::from(dimension.conditional));
    }
    key.extend(rows.iter().flatten().chain(targets).map(|value| value.to_bits()));
    key
}
