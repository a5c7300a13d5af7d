//! Random numbers and transformations of the black-box optimization benchmark.
//!
//! The generators follow the benchmark's published data, bit for bit as far as floating point allows: Park and Miller's
//! minimal standard generator with Bays and Durham's shuffle, and Box and Muller's normals on its output.

use std::f64::consts::PI;

const MODULUS: i64 = 2_147_483_647;

/// One step of Park and Miller's generator by Schrage's division.
fn step(state: i64) -> i64 {
    let quotient = state / 127_773;
    let next = 16_807 * (state - quotient * 127_773) - 2_836 * quotient;
    if next < 0 { next + MODULUS } else { next }
}

/// `count` uniform numbers in (0, 1].
pub(super) fn uniform(count: usize, seed: i64) -> Vec<f64> {
    let mut state = seed.abs().max(1);
    let mut table = [0_i64; 32];
    for i in (0..40).rev() {
        state = step(state);
        if let Some(slot) = table.get_mut(i) {
            *slot = state;
        }
    }
    let mut last = table[0];
    (0..count)
        .map(|_| {
            state = step(state);
            let slot = (last / 67_108_865) as usize;
            last = table[slot];
            table[slot] = state;
            let drawn = last as f64 / MODULUS as f64;
            if drawn == 0.0 { 1e-99 } else { drawn }
        })
        .collect()
}

/// `count` normal numbers.
pub(super) fn gauss(count: usize, seed: i64) -> Vec<f64> {
    let drawn = uniform(2 * count, seed);
    (0..count)
        .map(|i| {
            let normal = (-2.0 * drawn[i].ln()).sqrt() * (2.0 * PI * drawn[count + i]).cos();
            if normal == 0.0 { 1e-99 } else { normal }
        })
        .collect()
}

/// A rotation, row by row: Gram and Schmidt's process on the columns of a normal matrix.
pub(super) fn rotation(seed: i64, dimensions: usize) -> Vec<Vec<f64>> {
    let drawn = gauss(dimensions * dimensions, seed);
    let mut columns: Vec<Vec<f64>> = drawn.chunks(dimensions).map(<[f64]>::to_vec).collect();
    for i in 0..dimensions {
        let (done, rest) = columns.split_at_mut(i);
        let column = &mut rest[0];
        for other in done {
            let product: f64 = column.iter().zip(other.iter()).map(|(a, b)| a * b).sum();
            for (a, b) in column.iter_mut().zip(other.iter()) {
                *a -= product * b;
            }
        }
        let length = column.iter().map(|a| a * a).sum::<f64>().sqrt();
        for a in column.iter_mut() {
            *a /= length;
        }
    }
    (0..dimensions).map(|row| columns.iter().map(|column| column[row]).collect()).collect()
}

/// The place of a minimum: on a grid of 8e-4 in `[-4, 4)`.
pub(super) fn position(seed: i64, dimensions: usize) -> Vec<f64> {
    let place = |u: f64| 8.0 * (1e4 * u).floor() / 1e4 - 4.0;
    uniform(dimensions, seed).into_iter().map(place).map(|x| if x == 0.0 { -1e-5 } else { x }).collect()
}

/// The value at the minimum: a Cauchy number with two digits, at most 1000 in size.
pub(super) fn value_offset(drawn_as: u32, instance: u32) -> f64 {
    let seed = i64::from(drawn_as) + 10_000 * i64::from(instance);
    let ratio = gauss(1, seed)[0] / gauss(1, seed + 1)[0];
    ((100.0 * 100.0 * ratio + 0.5).floor() / 100.0).clamp(-1000.0, 1000.0)
}

/// Indices in the order of as many uniform numbers.
pub(super) fn permutation(count: usize, seed: i64) -> Vec<usize> {
    let drawn = uniform(count, seed);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| drawn[*a].total_cmp(&drawn[*b]));
    order
}

/// Matrix by vector.
pub(super) fn multiply(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

pub(super) fn shifted(x: &[f64], centre: &[f64]) -> Vec<f64> {
    x.iter().zip(centre).map(|(x, centre)| x - centre).collect()
}

/// `Lambda^condition z`: coordinate `i` times `sqrt(condition)^(i / (d - 1))`.
pub(super) fn scaled(z: &[f64], condition: f64) -> Vec<f64> {
    let last = (z.len() - 1) as f64;
    z.iter().enumerate().map(|(i, z)| condition.sqrt().powf(i as f64 / last) * z).collect()
}

/// `T_osz` of one number.
pub(super) fn oscillate(x: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    let log = x.abs().ln() / 0.1;
    let (a, b) = if x > 0.0 { (1.0, 0.79) } else { (0.55, 0.31) };
    x.signum() * (log + 0.49 * ((a * log).sin() + (b * log).sin())).exp().powf(0.1)
}

/// `T_osz` of every coordinate.
pub(super) fn oscillated(z: &[f64]) -> Vec<f64> {
    z.iter().map(|z| oscillate(*z)).collect()
}

/// `T_asy` with the given strength.
pub(super) fn asymmetric(z: &[f64], strength: f64) -> Vec<f64> {
    let last = (z.len() - 1) as f64;
    let bend = |(i, z): (usize, &f64)| {
        if *z > 0.0 { z.powf(1.0 + strength * i as f64 / last * z.sqrt()) } else { *z }
    };
    z.iter().enumerate().map(bend).collect()
}
