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
        self.sequence(skip, count, |index| self.sobol_row(seed, index))
    }

    /// The rows of a sequence that are valid, from its `skip`-th valid one on.
    fn sequence(&self, skip: u32, count: usize, row_at: impl Fn(u32) -> Vec<f64>) -> Vec<Vec<f64>> {
        let mut rows = Vec::with_capacity(count.min(SOBOL_BLOCK as usize));
        // Without rules every point is valid and the ones to skip need not be computed.
        let (mut index, mut skip) = if self.rules.is_empty() { (skip, 0) } else { (0, skip) };
        let mut refused = 0;
        while rows.len() < count && refused < MAX_DRAWS {
            let mut row = row_at(index);
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

    /// Valid canonical rows of a randomized Halton sequence, without the first `skip` valid ones; may return fewer than
    /// `count` where rules refuse points for long.
    ///
    /// One prime base per dimension, every digit permuted by the seed (Owen, "A randomized Halton algorithm in R", 2017).
    pub fn halton(&self, seed: u64, skip: u32, count: usize) -> Vec<Vec<f64>> {
        let bases = primes(self.columns.len());
        self.sequence(skip, count, |index| {
            let columns = self.columns.iter().zip(&bases).enumerate();
            columns
                .map(|(i, (column, base))| column.codec.weigh(inverse(index, *base, seed, i as u64)))
                .collect()
        })
    }

    /// A Latin hypercube of `count` rows (`McKay`, Beckman and Conover, 1979), snapped; invalid rows are redrawn uniformly.
    pub fn latin_hypercube(&self, count: usize, rng: &mut SeedRng) -> Result<Vec<Vec<f64>>, SpaceError> {
        let mut rows = vec![vec![0.0; self.columns.len()]; count];
        let mut cells: Vec<usize> = (0..count).collect();
        for (i, column) in self.columns.iter().enumerate() {
            shuffle(&mut cells, rng);
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

/// Fisher-Yates shuffle.
fn shuffle(cells: &mut [usize], rng: &mut SeedRng) {
    for last in (1..cells.len()).rev() {
        cells.swap(last, index_below(last + 1, rng));
    }
}

/// The first `count` primes.
fn primes(count: usize) -> Vec<u32> {
    let mut found: Vec<u32> = Vec::with_capacity(count);
    let mut candidate = 2;
    while found.len() < count {
        if found.iter().take_while(|prime| *prime * *prime <= candidate).all(|prime| candidate % prime != 0) {
            found.push(candidate);
        }
        candidate += 1;
    }
    found
}

/// The radical inverse of an index in a base, in `[0, 1)`; the digits of each place are permuted by the seed, all 53 bits of
/// them, so that small indices spread too.
fn inverse(index: u32, base: u32, seed: u64, dimension: u64) -> f64 {
    let mut digits: Vec<usize> = (0..base as usize).collect();
    let mut rng = Seed(seed).derive("halton", dimension).rng();
    let (mut left, mut place, mut value) = (index, 1.0 / f64::from(base), 0.0);
    while place > f64::EPSILON {
        shuffle(&mut digits, &mut rng);
        value += digits[(left % base) as usize] as f64 * place;
        left /= base;
        place /= f64::from(base);
    }
    f64::min(value, 1.0 - f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halton_sequence_fills_every_interval_of_its_base() {
        assert_eq!(primes(6), [2, 3, 5, 7, 11, 13]);
        for (dimension, base) in [(0, 2), (1, 3), (2, 5)] {
            // The first base^2 points lie one to each of base^2 equal intervals.
            let count = base * base;
            let points = (0..count).map(|index| inverse(index, base, 7, dimension));
            let mut cells: Vec<u32> = points.map(|point| (point * f64::from(count)) as u32).collect();
            cells.sort_unstable();
            assert_eq!(cells, (0..count).collect::<Vec<_>>(), "base {base}");
        }
        assert_ne!(inverse(3, 5, 1, 2), inverse(3, 5, 2, 2), "the seed matters");
    }
}
