//! Neighbours of a row, for local search.

use std::f64::consts::TAU;

use super::sample::uniform;
use super::{DimensionKind, SearchSpace};
use crate::seed::SeedRng;

/// Standard deviation of a step in the unit interval (Hutter et al., SMAC, 2011, section 4.3).
const STEP_DEVIATION: f64 = 0.2;

/// Levels above which a discrete dimension also takes Gaussian steps.
const FEW_LEVELS: u64 = 10;

/// Redraws of a Gaussian step that leaves the unit interval, before it is clamped.
const REDRAWS: usize = 10;

impl SearchSpace {
    /// Valid canonical rows that differ from `row` in dimension `dimension` (and what depends on it): every other choice
    /// of a categorical, the next levels of a discrete one, `draws` Gaussian steps of deviation 0.2 of a continuous one
    /// and of a discrete one with more than ten levels. Each row once; none where the dimension is inactive.
    pub fn neighbours(
        &self,
        row: &[f64],
        dimension: usize,
        draws: usize,
        rng: &mut SeedRng,
    ) -> Vec<Vec<f64>> {
        let mut base = row.to_vec();
        base.resize(self.columns.len(), f64::NAN);
        self.settle(&mut base);
        let Some(column) = self.columns.get(dimension) else { return Vec::new() };
        let codec = &column.codec;
        let current = base[dimension];
        if current.is_nan() {
            return Vec::new();
        }
        let mut units = Vec::new();
        match self.dimensions[dimension].kind {
            DimensionKind::Categorical { choices } => {
                units.extend((0..choices).map(|level| codec.unit_of_level(level)));
            }
            DimensionKind::Discrete { levels } => {
                let level = codec.level_of_unit(current).unwrap_or(0);
                units.extend(level.checked_sub(1).map(|below| codec.unit_of_level(below)));
                units.extend((level + 1 < levels).then(|| codec.unit_of_level(level + 1)));
                if levels > FEW_LEVELS {
                    units.extend((0..draws).map(|_| codec.snap(gaussian_step(current, rng))));
                }
            }
            DimensionKind::Continuous => {
                units.extend((0..draws).map(|_| codec.snap(gaussian_step(current, rng))));
            }
        }
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(units.len());
        for unit in units {
            if unit == current || rows.iter().any(|known| known[dimension] == unit) {
                continue;
            }
            let mut neighbour = base.clone();
            neighbour[dimension] = unit;
            if self.snap(&mut neighbour) {
                rows.push(neighbour);
            }
        }
        rows
    }
}

/// A normal step (Box and Muller, 1958), redrawn until it stays inside the unit interval.
fn gaussian_step(from: f64, rng: &mut SeedRng) -> f64 {
    let mut moved = from;
    for _ in 0..REDRAWS {
        let (radius, angle) = (1.0 - uniform(rng), uniform(rng));
        moved = from + STEP_DEVIATION * (-2.0 * libm::log(radius)).sqrt() * libm::cos(TAU * angle);
        if (0.0..=1.0).contains(&moved) {
            break;
        }
    }
    moved.clamp(0.0, 1.0)
}
