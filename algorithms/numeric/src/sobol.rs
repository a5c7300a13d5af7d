//! Quasi-random points and seed mixing.

use crate::{NumericError, Rows};

/// Points that one scrambled sequence holds; longer requests continue with an independently scrambled one.
const SEQUENCE_LENGTH: usize = 1 << 16;

/// `count` scrambled Sobol points in `[0, 1)^width`, starting at the first point of the sequence.
///
/// Dimensions beyond the direction table take a further, independently scrambled sequence.
///
/// Reference: Burley, "Practical hash-based Owen scrambling", JCGT 9(4), 2020.
pub fn sobol_rows(count: usize, width: usize, seed: u64) -> Result<Rows, NumericError> {
    let table = sobol_burley::NUM_DIMENSIONS as usize;
    let mut rows = Rows::new(width);
    let mut row = vec![0.0; width];
    for index in 0..count {
        for (dimension, value) in row.iter_mut().enumerate() {
            let block = (dimension / table) as u64;
            let scramble = mix_seed(mix_seed(seed, block), (index / SEQUENCE_LENGTH) as u64) as u32;
            let sample =
                sobol_burley::sample((index % SEQUENCE_LENGTH) as u32, (dimension % table) as u32, scramble);
            *value = f64::from(sample);
        }
        rows.push_row(&row)?;
    }
    Ok(rows)
}

/// A new seed from a seed and a stream number, by the finalizer of `SplitMix64` (Steele et al., OOPSLA 2014).
pub fn mix_seed(seed: u64, stream: u64) -> u64 {
    let mut state = seed.wrapping_add(stream.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn points_are_reproducible_and_balanced() {
        let first = sobol_rows(256, 3, 7).unwrap();
        assert_eq!(first, sobol_rows(256, 3, 7).unwrap());
        assert_ne!(first, sobol_rows(256, 3, 8).unwrap());
        for dimension in 0..3 {
            let low = first.iter().filter(|row| row[dimension] < 0.5).count();
            assert_eq!(low, 128, "a digital net halves every axis exactly");
        }
    }

    #[test]
    fn more_dimensions_than_the_table_are_served() {
        let rows = sobol_rows(8, 300, 1).unwrap();
        assert_eq!(rows.width(), 300);
        assert!(rows.row(3)[0] != rows.row(3)[256]);
    }
}
