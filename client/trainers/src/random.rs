//! Random streams addressed by (seed, purpose, position), so that no generator state is ever stored.
//!
//! A resumed run asks for the stream of its own step and gets what the uninterrupted run got.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is used for; different purposes never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Initial value of one parameter segment; position = segment index.
    Initialize = 1,
    /// Order of the rows in one epoch; position = epoch.
    Shuffle = 2,
    /// Dropout masks of one step; position = step.
    Dropout = 3,
    /// Synthetic data; position = part of the generator.
    Synthetic = 4,
}

/// The stream for one purpose at one position.
pub(crate) fn stream(seed: u64, purpose: Purpose, position: u64) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&position.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Uniform number in the half-open interval [0, 1) with 53 random bits.
pub(crate) fn uniform(generator: &mut impl Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// Fills `values` with normal numbers of mean 0 and the given deviation (Box and Muller 1958, eq. 1).
pub(crate) fn fill_normal(generator: &mut impl Rng, deviation: f64, values: &mut [f32]) {
    for pair in values.chunks_mut(2) {
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - uniform(generator)).ln()).sqrt() * deviation;
        let angle = std::f64::consts::TAU * uniform(generator);
        pair[0] = (radius * angle.cos()) as f32;
        if let Some(second) = pair.get_mut(1) {
            *second = (radius * angle.sin()) as f32;
        }
    }
}

/// Random order of `values` (Fisher and Yates; Durstenfeld 1964, algorithm 235).
pub(crate) fn shuffle(generator: &mut impl Rng, values: &mut [u32]) {
    for last in (1..values.len()).rev() {
        // Multiply-shift maps 64 random bits to 0..=last; the bias is below 2^-32 for any array that fits u32.
        let pick = ((u128::from(generator.next_u64()) * (last as u128 + 1)) >> 64) as usize;
        values.swap(last, pick);
    }
}

/// Mixes the bits of `value` (the finalizer of `SplitMix64`, Steele, Lea and Flood 2014, fig. 9).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Hash of a text that is the same on every platform (FNV-1a, 64 bits, then [`mix`]).
pub(crate) fn hash_text(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        // 0x1f separates the parts, so that ("ab", "c") and ("a", "bc") differ.
        for byte in part.bytes().chain(std::iter::once(0x1f)) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mix(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_addresses_give_equal_streams_and_others_differ() {
        let first = |seed, purpose, position| stream(seed, purpose, position).next_u64();
        assert_eq!(first(1, Purpose::Dropout, 5), first(1, Purpose::Dropout, 5));
        assert_ne!(first(1, Purpose::Dropout, 5), first(1, Purpose::Dropout, 6));
        assert_ne!(first(1, Purpose::Dropout, 5), first(1, Purpose::Shuffle, 5));
        assert_ne!(first(1, Purpose::Dropout, 5), first(2, Purpose::Dropout, 5));
    }

    #[test]
    fn normal_numbers_have_the_asked_moments() {
        let mut values = vec![0.0; 20_001];
        fill_normal(&mut stream(3, Purpose::Initialize, 0), 2.0, &mut values);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len() as f64;
        // Fixed seed; the bounds are about seven standard errors (2 / sqrt(n) and 4 * sqrt(2 / n)).
        assert!(mean.abs() < 0.1, "mean {mean}");
        assert!((variance - 4.0).abs() < 0.28, "variance {variance}");
    }

    #[test]
    fn shuffle_is_a_permutation() {
        let mut values: Vec<u32> = (0..100).collect();
        shuffle(&mut stream(3, Purpose::Shuffle, 0), &mut values);
        assert_ne!(values, (0..100).collect::<Vec<_>>());
        values.sort_unstable();
        assert_eq!(values, (0..100).collect::<Vec<_>>());
    }
}
