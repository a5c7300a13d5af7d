//! Uniform, Sobol and Latin hypercube rows.

use rand_chacha::rand_core::Rng;

use super::{SearchSpace, SpaceError};
use crate::seed::{Seed, SeedRng};

/// Draws after which a space counts as having no valid point (or a sequence as ended).
const MAX_DRAWS: u32 = 10_000;

/// Points of one scrambled sequence of `sobol_burley`; the next block takes another scramble.
const SOBOL_BLOCK: u32 = 1 << 16;

/// A uniform number in `[0, 1)` with 53 random bits.
pub(super) fn uniform(rng: &mut SeedRng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (-53_f64).exp2()
}

/// A uniform index below `count`, by multiplication of 64 bits (bias below `count / 2^64`).
fn index_below(count: usize, rng: &mut SeedRng) -> usize {
    ((u128::from(rng.next_u64()) * count as u128) >> 64) as usize
}

impl SearchSpace {
    /// One valid canonical row, uniform in the unit cube (choices by their weights), by bounded rejection.
    pub fn sample(&self, rng: &mut SeedRng) -> Result<Vec<f64>, SpaceError> {
        let mut row = vec![0.0; self.columns.len()];
        for _ in 0..MAX_DRAWS {
            for (number, column) in row.iter_mut().zip(&self.columns) {
                *number = column.codec.weigh(uniform(rng));
            }
            if self.snap(&mut row) {
                return Ok(row);
            }
        }
        Err(SpaceError::NoValidPoint { draws: MAX_DRAWS })
    }

    /// Valid canonical rows of the scrambled Sobol sequence, without the first `skip` valid ones; may return fewer than
    /// `count` where rules refuse points for long. So `sobol(s, 0, 8)` is `sobol(s, 0, 5)` followed by `sobol(s, 5, 3)`.
    ///
    /// The sequence is Owen-scrambled (Burley, "Practical Hash-based Owen Scrambling", 2020). Dimensions above its 256
    /// are uniform random; every 65,536 points a new scramble begins.
    pub fn sobol(&self, seed: u64, skip: u32, count: usize) -> Vec<Vec<f64>> {
        let mut rows = Vec::with_capacity(count.min(SOBOL_BLOCK as usize));
        // Without rules every point is valid and the ones to skip need not be computed.
        let (mut index, mut skip) = if self.rules.is_empty() { (skip, 0) } else { (0, skip) };
        let mut refused = 0;
        while rows.len() < count && refused < MAX_DRAWS {
            let mut row = self.sobol_row(seed, index);
            index = index.wrapping_add(1);
            if !self.snap(&mut row) {
                refused += 1;
                continue;
            }
            refused = 0;
            if skip > 0 {
                skip -= 1;
            } else {
                rows.push(row);
            }
        }
        rows
    }

    fn sobol_row(&self, seed: u64, index: u32) -> Vec<f64> {
        let scramble = Seed(seed).derive("sobol", u64::from(index / SOBOL_BLOCK)).0 as u32;
        let within = index % SOBOL_BLOCK;
        // Lower bits that the 24 of the sequence's floats lack: the point moves inside its elementary interval.
        let mut tail = Seed(seed).derive("sobol-tail", u64::from(index)).rng();
        let numbers = self.columns.iter().enumerate().map(|(i, column)| {
            let random = uniform(&mut tail);
            let draw = if (i as u32) < sobol_burley::NUM_DIMENSIONS {
                f64::from(sobol_burley::sample(within, i as u32, scramble)) + random * (-24_f64).exp2()
            } else {
                random
            };
            column.codec.weigh(draw)
        });
        numbers.collect()
    }

    /// A Latin hypercube of `count` rows (`McKay`, Beckman and Conover, 1979), snapped; invalid rows are redrawn uniformly.
    pub fn latin_hypercube(&self, count: usize, rng: &mut SeedRng) -> Result<Vec<Vec<f64>>, SpaceError> {
        let mut rows = vec![vec![0.0; self.columns.len()]; count];
        let mut cells: Vec<usize> = (0..count).collect();
        for (i, column) in self.columns.iter().enumerate() {
            // Fisher-Yates shuffle.
            for last in (1..count).rev() {
                cells.swap(last, index_below(last + 1, rng));
            }
            for (row, cell) in rows.iter_mut().zip(&cells) {
                row[i] = column.codec.weigh((*cell as f64 + uniform(rng)) / count as f64);
            }
        }
        for row in &mut rows {
            if !self.snap(row) {
                *row = self.sample(rng)?;
            }
        }
        Ok(rows)
    }
}
