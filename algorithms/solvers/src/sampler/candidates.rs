//! The space as surrogates and the acquisition maximizer see it.
//!
//! Letters: d encoded dimensions.

use boxwood_acquisition::CandidateSpace;
use boxwood_core::space::DimensionKind;
use boxwood_core::{SearchSpace, SeedRng};
use boxwood_surrogate::{Dimension, Kind, Layout};
use rand::{Rng, SeedableRng};

/// Gaussian steps per continuous parameter in an exchange neighbourhood, as in SMAC.
const NEIGHBOUR_DRAWS: usize = 4;

/// The columns of a space as surrogates compare them.
pub(crate) fn layout(space: &SearchSpace) -> Layout {
    let column = |dimension: &boxwood_core::space::Dimension| {
        let kind = match dimension.kind {
            DimensionKind::Continuous => Kind::Numeric,
            DimensionKind::Discrete { levels } => Kind::Integer { levels: levels as usize },
            DimensionKind::Categorical { choices } => Kind::Categorical { choices: choices as usize },
        };
        Dimension { kind, conditional: dimension.conditional }
    };
    Layout::new(space.dimensions().iter().map(column).collect())
}

/// The part of one column that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Range {
    /// Numbers between two unit numbers.
    Between(f64, f64),
    /// Choices, by their unit numbers, the most promising first; at least one.
    OneOf(Vec<f64>),
}

impl Range {
    /// The number nearest to `value` that lies in the range; the first choice for one that is left out.
    fn nearest(&self, value: f64) -> f64 {
        match self {
            Self::Between(low, high) => value.clamp(*low, *high),
            Self::OneOf(choices) if choices.contains(&value) => value,
            Self::OneOf(choices) => choices.first().copied().unwrap_or(value),
        }
    }

    /// A uniform number `value` brought into the range, uniform there.
    fn scaled(&self, value: f64) -> f64 {
        match self {
            Self::Between(low, high) => low + value * (high - low),
            Self::OneOf(_) => self.nearest(value),
        }
    }
}

/// A search space as the acquisition maximizer sees it, or the part of it within a box.
pub(crate) struct Candidates<'a> {
    space: &'a SearchSpace,
    layout: Layout,
    /// One range per column.
    within: Option<&'a [Range]>,
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(space: &'a SearchSpace) -> Self {
        Self { space, layout: layout(space), within: None }
    }

    /// The same space, of which only a box is looked at.
    pub(crate) fn within(self, within: Option<&'a [Range]>) -> Self {
        Self { within, ..self }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// A generator of our own kind, seeded by the caller's.
fn branch(rng: &mut dyn Rng) -> SeedRng {
    SeedRng::seed_from_u64(rng.next_u64())
}

impl CandidateSpace for Candidates<'_> {
    fn dimensions(&self) -> &Layout {
        &self.layout
    }

    fn bounds(&self, dimension: usize) -> (f64, f64) {
        match self.within.map(|ranges| &ranges[dimension]) {
            Some(Range::Between(low, high)) => (*low, *high),
            _ => (0.0, 1.0),
        }
    }

    fn sample(&self, rng: &mut dyn Rng) -> Vec<f64> {
        // A space too tight to be sampled gives its middle, which the maximizer then snaps or drops.
        let row = self.space.sample(&mut branch(rng)).unwrap_or_else(|_| vec![0.5; self.layout.len()]);
        let Some(ranges) = self.within else { return row };
        row.iter().zip(ranges).map(|(value, range)| range.scaled(*value)).collect()
    }

    fn snap(&self, row: &mut Vec<f64>) -> bool {
        for (value, range) in row.iter_mut().zip(self.within.unwrap_or_default()) {
            if !value.is_nan() {
                *value = range.nearest(*value);
            }
        }
        self.space.snap(row)
    }

    fn neighbours(&self, row: &[f64], dimension: usize, rng: &mut dyn Rng) -> Vec<Vec<f64>> {
        let mut rows = self.space.neighbours(row, dimension, NEIGHBOUR_DRAWS, &mut branch(rng));
        if self.within.is_some() {
            rows.retain_mut(|row| self.snap(row));
        }
        rows
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use boxwood_core::{Seed, SpaceSpec};

    use super::*;

    #[test]
    fn candidates_stay_within_a_box_and_its_choices() {
        let spec: SpaceSpec = serde_json::from_str(
            r#"{"parameters": [{"name": "x", "type": "float", "low": -3, "high": 5},
                               {"name": "c", "type": "categorical", "choices": ["a", "b", "c", "d"]},
                               {"name": "n", "type": "integer", "low": 0, "high": 9}]}"#,
        )
        .unwrap();
        let space = spec.check().unwrap();
        let ranges = [Range::Between(0.2, 0.4), Range::OneOf(vec![0.625, 0.125]), Range::Between(0.5, 0.75)];
        let candidates = Candidates::new(&space).within(Some(&ranges));
        let mut rng = Seed(4).rng();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let mut row = candidates.sample(&mut rng);
            assert!(candidates.snap(&mut row));
            let mut rows = candidates.neighbours(&row, 1, &mut rng);
            rows.push(row);
            for row in rows {
                assert!((0.199..0.401).contains(&row[0]), "{row:?}");
                assert!(row[1] == 0.625 || row[1] == 0.125, "{row:?}");
                assert!((0.5..=0.75).contains(&row[2]), "{row:?}");
                seen.insert(row[2].to_bits());
            }
        }
        assert_eq!(seen.len(), 3, "every level of the range is met");
    }
}
