//! New random rows for any space, down to the last point of a finite one.

use boxwood_core::{SearchSpace, Seed};
use rand::RngExt;

use crate::history::Known;

/// Draws per wanted row before a finite space is enumerated.
const DRAWS: usize = 32;
/// Largest space that is enumerated to find its last points.
const ENUMERABLE: u64 = 1 << 20;

/// Up to `count` valid rows that `known` does not hold yet, uniform at random; adds them to `known`.
///
/// Fewer rows come back only when the space has no further valid point that can be found.
pub(crate) fn random_rows(space: &SearchSpace, known: &mut Known, count: usize, seed: Seed) -> Vec<Vec<f64>> {
    let mut rng = seed.rng();
    let mut rows = Vec::with_capacity(count);
    let enumerable = space.cardinality().filter(|cardinality| *cardinality <= ENUMERABLE);
    let crowded = enumerable.is_some_and(|cardinality| known.len() as u64 * 2 >= cardinality);
    if !crowded {
        'rows: while rows.len() < count {
            for _ in 0..DRAWS {
                match space.sample(&mut rng) {
                    Ok(row) if known.insert(&row) => {
                        rows.push(row);
                        continue 'rows;
                    }
                    Ok(_) => {}
                    Err(_) => break 'rows,
                }
            }
            break;
        }
    }
    if rows.len() < count && enumerable.is_some() {
        let mut left: Vec<Vec<f64>> = space.grid(1).filter(|row| !known.contains(row)).collect();
        while rows.len() < count && !left.is_empty() {
            let row = left.swap_remove(rng.random_range(0..left.len()));
            if known.insert(&row) {
                rows.push(row);
            }
        }
    }
    rows
}
