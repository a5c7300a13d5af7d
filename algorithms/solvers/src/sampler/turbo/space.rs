//! Candidates inside a trust region.
//!
//! Letters: d encoded dimensions.

use boxwood_acquisition::CandidateSpace;
use boxwood_surrogate::{Kind, Layout};
use rand::{Rng, RngExt};

use super::region::LARGEST_LENGTH;
use crate::sampler::model::Candidates;

/// Columns of the centre that one random candidate changes on average, where there are more (Eriksson et al., 2019).
const CHANGED_COLUMNS: f64 = 20.0;

/// A box around a centre, cut to the unit cube, and a Hamming ball around its categories.
pub(super) struct RegionSpace<'a> {
    space: &'a Candidates<'a>,
    centre: &'a [f64],
    bounds: Vec<(f64, f64)>,
    /// Categories that may differ from the centre's.
    mutable: usize,
}

impl<'a> RegionSpace<'a> {
    /// The region of a side length, its sides scaled by length scales (one per column) to an unchanged volume.
    ///
    /// A discrete column keeps at least the levels next to the centre's.
    pub(super) fn new(
        space: &'a Candidates<'a>,
        centre: &'a [f64],
        length: f64,
        length_scales: &[f64],
    ) -> Self {
        let dimensions = &space.layout().dimensions;
        let scaled = |column: &usize| {
            let dimension = &dimensions[*column];
            !dimension.is_categorical() && !dimension.conditional && length_scales[*column] > 0.0
        };
        let columns: Vec<usize> = (0..dimensions.len()).filter(scaled).collect();
        let logs = columns.iter().map(|column| length_scales[*column].ln()).sum::<f64>();
        let mean = (logs / columns.len().max(1) as f64).exp();
        let mut sides = vec![length; dimensions.len()];
        for column in columns {
            sides[column] *= length_scales[column] / mean;
        }
        let bounds = sides.iter().zip(dimensions).zip(centre).map(|((side, dimension), centre)| {
            let half = match dimension.kind {
                Kind::Integer { levels } | Kind::Ordinal { levels } => {
                    (side / 2.0).max(1.0 / levels.max(1) as f64)
                }
                Kind::Numeric => side / 2.0,
                Kind::Categorical { .. } => 1.0,
            };
            if centre.is_nan() { (0.0, 1.0) } else { ((centre - half).max(0.0), (centre + half).min(1.0)) }
        });
        let categories = dimensions.iter().filter(|dimension| dimension.is_categorical()).count();
        let mutable = (categories as f64 * length / LARGEST_LENGTH).ceil() as usize;
        Self { space, centre, bounds: bounds.collect(), mutable: mutable.clamp(1, categories.max(1)) }
    }

    /// Puts categories beyond the number that may differ back to the centre's. Which ones is decided by the row itself,
    /// evenly among columns.
    fn restore_categories(&self, row: &mut [f64]) {
        let differs = |column: &usize| {
            let (value, centre) = (row[*column], self.centre[*column]);
            self.space.layout().dimensions[*column].is_categorical() && !centre.is_nan() && value != centre
        };
        let differing: Vec<usize> = (0..row.len()).filter(differs).collect();
        if differing.len() <= self.mutable {
            return;
        }
        let mixed = differing.iter().fold(0_u64, |mixed, column| {
            (mixed.rotate_left(7) ^ row[*column].to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        let first = (mixed >> 32) as usize % differing.len();
        for place in self.mutable..differing.len() {
            let column = differing[(first + place) % differing.len()];
            row[column] = self.centre[column];
        }
    }
}

impl CandidateSpace for RegionSpace<'_> {
    fn dimensions(&self) -> &Layout {
        self.space.layout()
    }

    fn bounds(&self, dimension: usize) -> (f64, f64) {
        self.bounds[dimension]
    }

    /// The centre with some columns redrawn, at least one.
    fn sample(&self, rng: &mut dyn Rng) -> Vec<f64> {
        let random = self.space.sample(rng);
        let share = (CHANGED_COLUMNS / self.centre.len().max(1) as f64).min(1.0);
        let always = rng.random_range(0..self.centre.len().max(1));
        let mut row = self.centre.to_vec();
        for (column, value) in row.iter_mut().enumerate() {
            if !rng.random_bool(share) && column != always {
                continue;
            }
            let (low, high) = self.bounds[column];
            let categorical = self.space.layout().dimensions[column].is_categorical();
            *value = if categorical || value.is_nan() {
                random[column]
            } else {
                low + rng.random::<f64>() * (high - low)
            };
        }
        row
    }

    fn snap(&self, row: &mut Vec<f64>) -> bool {
        self.restore_categories(row);
        for (value, (low, high)) in row.iter_mut().zip(&self.bounds) {
            if !value.is_nan() {
                *value = value.clamp(*low, *high);
            }
        }
        self.space.snap(row)
    }

    fn neighbours(&self, row: &[f64], dimension: usize, rng: &mut dyn Rng) -> Vec<Vec<f64>> {
        let mut rows = self.space.neighbours(row, dimension, rng);
        rows.retain_mut(|row| self.snap(row));
        rows
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use boxwood_core::{SearchSpace, Seed, SpaceSpec};

    use super::*;

    fn space(json: &str) -> SearchSpace {
        serde_json::from_str::<SpaceSpec>(json).unwrap().check().unwrap()
    }

    fn floats(count: usize) -> SearchSpace {
        let float = |i| format!(r#"{{"name": "x{i}", "type": "float", "low": 0, "high": 1}}"#);
        let list: Vec<String> = (0..count).map(float).collect();
        space(&format!(r#"{{"parameters": [{}]}}"#, list.join(",")))
    }

    #[test]
    fn sides_follow_the_length_scales_at_an_unchanged_volume() {
        let space = floats(2);
        let candidates = Candidates::new(&space);
        let region = RegionSpace::new(&candidates, &[0.5, 0.5], 0.2, &[0.1, 0.4]);
        let sides = [0, 1].map(|column| region.bounds(column).1 - region.bounds(column).0);
        assert!((sides[0] - 0.1).abs() < 1e-12 && (sides[1] - 0.4).abs() < 1e-12, "{sides:?}");
        // A box that leaves the cube is cut.
        let region = RegionSpace::new(&candidates, &[0.0, 1.0], 0.2, &[1.0, 1.0]);
        assert_eq!([region.bounds(0), region.bounds(1)], [(0.0, 0.1), (0.9, 1.0)]);
    }

    #[test]
    fn random_and_neighbouring_rows_lie_inside_and_change_few_of_many_columns() {
        let space = floats(100);
        let candidates = Candidates::new(&space);
        let centre = vec![0.5; 100];
        let region = RegionSpace::new(&candidates, &centre, 0.1, &[1.0; 100]);
        let mut rng = Seed(3).rng();
        let mut changed = 0;
        for _ in 0..200 {
            let row = region.sample(&mut rng);
            assert!(row.iter().all(|value| (0.45..=0.55).contains(value)));
            let differing = row.iter().filter(|value| **value != 0.5).count();
            assert!(differing > 0);
            changed += differing;
            for neighbour in region.neighbours(&row, 7, &mut rng) {
                assert!((0.449..=0.551).contains(&neighbour[7]));
            }
        }
        // 20 of 100 on average; the deviation of the mean of 200 is 0.3.
        assert!((18 * 200..22 * 200).contains(&changed), "{changed}");
    }

    #[test]
    fn a_small_region_changes_few_categories_and_the_next_levels() {
        let parameters: Vec<String> = (0..8)
            .map(|i| format!(r#"{{"name": "c{i}", "type": "categorical", "choices": ["a", "b", "c"]}}"#))
            .chain([r#"{"name": "n", "type": "integer", "low": 0, "high": 9}"#.to_owned()])
            .collect();
        let space = space(&format!(r#"{{"parameters": [{}]}}"#, parameters.join(",")));
        let candidates = Candidates::new(&space);
        let mut centre = vec![0.5; 9];
        assert!(space.snap(&mut centre));
        let region = RegionSpace::new(&candidates, &centre, 0.4, &[1.0; 9]);
        let mut rng = Seed(5).rng();
        let mut restored = [false; 8];
        for _ in 0..200 {
            let mut row = space.sample(&mut rng).unwrap();
            let free = row.clone();
            assert!(region.snap(&mut row));
            let differing = (0..8).filter(|column| row[*column] != centre[*column]).count();
            assert!(differing <= 2, "{differing} of 8 categories differ");
            for column in 0..8 {
                restored[column] |= free[column] != row[column];
            }
            assert!((row[8] - centre[8]).abs() < 0.35);
            let again = row.clone();
            assert!(region.snap(&mut row));
            assert_eq!(row, again);
        }
        assert_eq!(restored, [true; 8]);
    }
}
