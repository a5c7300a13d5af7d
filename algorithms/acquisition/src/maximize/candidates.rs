//! Where candidates come from, and which of them are worth refining.

use super::{Candidate, CandidateSpace};
use crate::AcquisitionError;
use boxwood_numeric::{Rows, mix_seed, normal_quantile, sobol_rows};
use boxwood_surrogate::{Kind, Layout};
use rand::{Rng, RngExt};

/// Shares of the candidates: Sobol points, mutations of the starts; the rest is drawn at random.
const SOBOL_SHARE: f64 = 0.45;
const MUTATION_SHARE: f64 = 0.45;
/// Standard deviations of a mutated number, in the unit cube.
const SCALES: [f64; 4] = [0.2, 0.05, 0.01, 0.001];

/// At least `count` rows (fewer where the space forbids or repeats them), starts first.
pub(super) fn propose(
    space: &dyn CandidateSpace,
    starts: &Rows,
    count: usize,
    seed: u64,
    rng: &mut dyn Rng,
) -> Result<Vec<Vec<f64>>, AcquisitionError> {
    let layout = space.dimensions();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(count + starts.len());
    let mut offer = |mut row: Vec<f64>| {
        if space.snap(&mut row) {
            rows.push(row);
        }
    };
    for start in starts.iter() {
        offer(start.to_vec());
    }
    let sobol = (count as f64 * SOBOL_SHARE) as usize;
    for point in sobol_rows(sobol, layout.len(), mix_seed(seed, 1))?.iter() {
        offer(on_grid(space, point));
    }
    let mutations = if starts.is_empty() { 0 } else { (count as f64 * MUTATION_SHARE) as usize };
    for k in 0..mutations {
        let parent = starts.row(k % starts.len());
        offer(mutate(space, parent, SCALES[(k / starts.len()) % SCALES.len()], rng));
    }
    for _ in sobol + mutations..count {
        offer(space.sample(rng));
    }
    Ok(rows)
}

/// A unit-cube point with categories and ordinals moved to the centres of their bins and numbers into their bounds.
fn on_grid(space: &dyn CandidateSpace, point: &[f64]) -> Vec<f64> {
    let columns = point.iter().zip(&space.dimensions().dimensions).enumerate();
    columns
        .map(|(column, (&value, dimension))| match dimension.kind {
            Kind::Categorical { choices: bins } | Kind::Ordinal { levels: bins } => centre(value, bins),
            Kind::Integer { .. } => value,
            Kind::Numeric => {
                let (low, high) = space.bounds(column);
                low + value * (high - low)
            }
        })
        .collect()
}

fn centre(value: f64, bins: usize) -> f64 {
    let bins = bins.max(1) as f64;
    ((value * bins).floor().min(bins - 1.0) + 0.5) / bins
}

/// A copy with one to all active columns changed; how many is log-uniform, so that small moves in high dimensions
/// and broad ones are both frequent.
fn mutate(space: &dyn CandidateSpace, parent: &[f64], scale: f64, rng: &mut dyn Rng) -> Vec<f64> {
    let mut row = parent.to_vec();
    let mut active: Vec<usize> = (0..row.len()).filter(|&column| !row[column].is_nan()).collect();
    if active.is_empty() {
        return row;
    }
    let changes = (active.len() as f64).powf(rng.random::<f64>()).round() as usize;
    for k in 0..changes.clamp(1, active.len()) {
        let chosen = rng.random_range(k..active.len());
        active.swap(k, chosen);
        let column = active[k];
        let value = row[column];
        row[column] = match space.dimensions().dimensions[column].kind {
            Kind::Categorical { choices } => centre(rng.random::<f64>(), choices),
            Kind::Numeric => {
                let (low, high) = space.bounds(column);
                let width = high - low;
                if width > 0.0 {
                    low + width * reflect((value - low) / width + scale * gaussian(rng))
                } else {
                    low
                }
            }
            Kind::Integer { levels } | Kind::Ordinal { levels } => {
                // At least about one level, so that the move is not snapped back.
                let step = scale.max(1.0 / levels.max(1) as f64);
                reflect(value + step * gaussian(rng))
            }
        };
    }
    row
}

fn gaussian(rng: &mut dyn Rng) -> f64 {
    normal_quantile(rng.random::<f64>().clamp(1e-12, 1.0 - 1e-12))
}

/// Mirrors a value at the ends of the unit interval.
fn reflect(value: f64) -> f64 {
    let folded = value.rem_euclid(2.0);
    if folded > 1.0 { 2.0 - folded } else { folded }
}

/// Indices of the candidates to refine: the best ones, passing over near copies of one already chosen while others
/// remain, so that several basins are climbed. `ranked` is best first.
pub(super) fn spread_choice(ranked: &[Candidate], layout: &Layout, count: usize) -> Vec<usize> {
    let count = count.min(ranked.len());
    let radius = 0.01 * (layout.len() as f64).sqrt();
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    for index in 0..ranked.len().min(50 * count.max(1)) {
        if chosen.len() == count {
            break;
        }
        let far = chosen.iter().all(|&other| distance(&ranked[index].row, &ranked[other].row) > radius);
        if far {
            chosen.push(index);
        }
    }
    for index in 0..ranked.len() {
        if chosen.len() == count {
            break;
        }
        if !chosen.contains(&index) {
            chosen.push(index);
        }
    }
    chosen
}

/// Euclidean distance; a column active in one row only counts one.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squared: f64 = a
        .iter()
        .zip(b)
        .map(|(x, y)| match (x.is_nan(), y.is_nan()) {
            (true, true) => 0.0,
            (false, false) => (x - y) * (x - y),
            _ => 1.0,
        })
        .sum();
    squared.sqrt()
}
