//! Integer rung ladder and Hyperband brackets: the only place that knows the reduction factor.

use serde::{Deserialize, Serialize};

/// Index of a rung in a ladder; rungs are compared by index, never by a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rung(pub u32);

/// Amount of training in the integer units of the study's resource (epochs, steps, rows).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resource(pub u64);

/// Declared fidelity of a study, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fidelity {
    /// Name of the resource, for people: `epochs`, `steps`, `rows`.
    pub resource: String,
    /// Smallest resource of a geometric ladder (at least 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// Largest resource of a geometric ladder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// Ratio between rungs, at least 2. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction_factor: Option<u32>,
    /// Explicit rungs instead of `min` and `max`, strictly rising.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rungs: Option<Vec<u64>>,
}

/// What is wrong with a declared fidelity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// The resource has no name.
    #[error("fidelity.resource is empty")]
    Resource,
    /// The ratio between rungs is below 2.
    #[error("fidelity.reduction_factor is {0}, it must be at least 2")]
    ReductionFactor(u32),
    /// Not `1 <= min <= max`.
    #[error("fidelity needs 1 <= min <= max, got min {min} and max {max}")]
    Range {
        /// Declared minimum.
        min: u64,
        /// Declared maximum.
        max: u64,
    },
    /// Explicit rungs are empty, start at zero or do not rise.
    #[error("fidelity.rungs must be positive and strictly rising")]
    Rungs,
    /// Both or neither of `rungs` and `max` are given.
    #[error("fidelity needs either rungs or max (with an optional min)")]
    Shape,
}

/// The integer table of rungs of a study.
///
/// A geometric ladder is built from the top by repeated integer division, which rounds down: rung `K-1-j` holds
/// `floor(max / factor^j)` for as long as that is at least `min`. So 243 by 3 has six rungs and 1000 by 10 has
/// four, where a logarithm in floating point loses one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RungLadder {
    resource: String,
    resources: Vec<u64>,
    reduction_factor: u32,
}

/// One Hyperband bracket: how many points start at which rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bracket {
    /// Rung at which the bracket's points start.
    pub start: Rung,
    /// Number of points at each rung from `start` up: `stages[i]` points run at rung `start + i`.
    pub stages: Vec<u64>,
}

impl Fidelity {
    /// Checks the declaration and builds the table.
    pub fn check(&self) -> Result<RungLadder, LadderError> {
        if self.resource.trim().is_empty() {
            return Err(LadderError::Resource);
        }
        let factor = self.reduction_factor.unwrap_or(3);
        if factor < 2 {
            return Err(LadderError::ReductionFactor(factor));
        }
        let resources = match (&self.rungs, self.max) {
            (Some(rungs), None) if self.min.is_none() => {
                let rises = rungs.windows(2).all(|pair| pair[0] < pair[1]);
                if rungs.first().is_none_or(|first| *first == 0) || !rises {
                    return Err(LadderError::Rungs);
                }
                rungs.clone()
            }
            (None, Some(max)) => {
                let min = self.min.unwrap_or(1);
                if !(1 <= min && min <= max) {
                    return Err(LadderError::Range { min, max });
                }
                let mut table = Vec::new();
                let mut level = max;
                while level >= min {
                    table.push(level);
                    level /= u64::from(factor);
                }
                table.reverse();
                table
            }
            _ => return Err(LadderError::Shape),
        };
        Ok(RungLadder { resource: self.resource.clone(), resources, reduction_factor: factor })
    }
}

impl RungLadder {
    /// Name of the resource.
    pub fn resource_name(&self) -> &str {
        &self.resource
    }

    /// Number of rungs, at least 1.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Never true: a checked ladder has a rung.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// The highest rung.
    pub fn top(&self) -> Rung {
        Rung(self.resources.len() as u32 - 1)
    }

    /// Resource of a rung; a rung above the top counts as the top.
    pub fn resource(&self, rung: Rung) -> Resource {
        Resource(self.resources[(rung.0 as usize).min(self.resources.len() - 1)])
    }

    /// Every rung with its resource, lowest first.
    pub fn rungs(&self) -> impl Iterator<Item = (Rung, Resource)> + '_ {
        self.resources.iter().enumerate().map(|(i, r)| (Rung(i as u32), Resource(*r)))
    }

    /// Highest rung whose resource is at most `resource`.
    pub fn rung_at(&self, resource: Resource) -> Option<Rung> {
        self.resources.iter().rposition(|r| *r <= resource.0).map(|i| Rung(i as u32))
    }

    /// Ratio between rungs, the eta of Hyperband.
    pub fn reduction_factor(&self) -> u32 {
        self.reduction_factor
    }

    /// The brackets of one Hyperband cycle, most exploring first (Li et al., 2018, algorithm 1).
    ///
    /// With `s_max = len - 1`, bracket `s` starts `ceil((s_max + 1) eta^s / (s + 1))` points at rung `s_max - s`
    /// and keeps `floor(n / eta^i)` of them after `i` promotions, all in integers that saturate for ladders so long that
    /// no study could run their brackets.
    pub fn brackets(&self) -> Vec<Bracket> {
        let levels = self.resources.len() as u32;
        let eta = u128::from(self.reduction_factor);
        (0..levels)
            .rev()
            .map(|s| {
                let n = u128::from(levels).saturating_mul(eta.saturating_pow(s)).div_ceil(u128::from(s) + 1);
                let at = |i| u64::try_from((n / eta.saturating_pow(i)).max(1)).unwrap_or(u64::MAX);
                let stages = (0..=s).map(at).collect();
                Bracket { start: Rung(levels - 1 - s), stages }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ladder(max: u64, factor: u32) -> RungLadder {
        Fidelity {
            resource: "epochs".into(),
            min: Some(1),
            max: Some(max),
            reduction_factor: Some(factor),
            rungs: None,
        }
        .check()
        .expect("valid ladder")
    }

    fn table(max: u64, factor: u32) -> Vec<Vec<(u64, u64)>> {
        let ladder = ladder(max, factor);
        let row = |b: Bracket| {
            b.stages
                .iter()
                .enumerate()
                .map(|(i, n)| (*n, ladder.resource(Rung(b.start.0 + i as u32)).0))
                .collect()
        };
        ladder.brackets().into_iter().map(row).collect()
    }

    #[test]
    fn bracket_tables_match_the_published_ones() {
        assert_eq!(table(9, 3), [vec![(9, 1), (3, 3), (1, 9)], vec![(5, 3), (1, 9)], vec![(3, 9)]]);
        assert_eq!(
            table(27, 3),
            [
                vec![(27, 1), (9, 3), (3, 9), (1, 27)],
                vec![(12, 3), (4, 9), (1, 27)],
                vec![(6, 9), (2, 27)],
                vec![(4, 27)]
            ]
        );
        assert_eq!(
            table(81, 3),
            [
                vec![(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
                vec![(34, 3), (11, 9), (3, 27), (1, 81)],
                vec![(15, 9), (5, 27), (1, 81)],
                vec![(8, 27), (2, 81)],
                vec![(5, 81)]
            ]
        );
        let first: Vec<u64> = table(243, 3).iter().map(|row| row[0].0).collect();
        assert_eq!(first, [243, 98, 41, 18, 9, 6]);
        assert_eq!(table(125, 5)[0], [(125, 1), (25, 5), (5, 25), (1, 125)]);
        assert_eq!(table(1000, 10)[0], [(1000, 1), (100, 10), (10, 100), (1, 1000)]);
    }

    #[test]
    fn bad_declarations_are_named() {
        let base = Fidelity {
            resource: "epochs".into(),
            min: Some(1),
            max: Some(9),
            reduction_factor: Some(3),
            rungs: None,
        };
        assert_eq!(
            Fidelity { reduction_factor: Some(1), ..base.clone() }.check(),
            Err(LadderError::ReductionFactor(1))
        );
        assert_eq!(
            Fidelity { min: Some(0), ..base.clone() }.check(),
            Err(LadderError::Range { min: 0, max: 9 })
        );
        assert_eq!(
            Fidelity { rungs: Some(vec![1, 1]), min: None, max: None, ..base.clone() }.check(),
            Err(LadderError::Rungs)
        );
        assert_eq!(Fidelity { rungs: Some(vec![1]), ..base }.check(), Err(LadderError::Shape));
    }

    #[test]
    fn every_ladder_up_to_ten_thousand_is_exact() {
        for factor in 2..=10_u32 {
            for max in 1..=10_000_u64 {
                let ladder = ladder(max, factor);
                let mut power = 1_u64;
                let mut levels = 1;
                while power * u64::from(factor) <= max {
                    power *= u64::from(factor);
                    levels += 1;
                }
                assert_eq!(ladder.len(), levels, "max {max} factor {factor}");
                for (rung, resource) in ladder.rungs() {
                    let below = u64::from(factor).pow(ladder.top().0 - rung.0);
                    assert_eq!(resource.0, max / below);
                    assert_eq!(ladder.rung_at(resource), Some(rung));
                }
            }
        }
    }

    #[test]
    fn explicit_rungs_of_any_length_have_brackets() {
        let declared = Fidelity {
            resource: "steps".into(),
            min: None,
            max: None,
            reduction_factor: Some(u32::MAX),
            rungs: Some((1..=200).collect()),
        };
        let ladder = declared.check().expect("valid ladder");
        assert_eq!(ladder.brackets().len(), 200);
        assert_eq!(ladder.rung_at(Resource(0)), None);
        assert_eq!(ladder.rung_at(Resource(1000)), Some(Rung(199)));
    }

    proptest! {
        #[test]
        fn brackets_never_grow(max in 1_u64..5000, factor in 2_u32..6) {
            for bracket in ladder(max, factor).brackets() {
                prop_assert!(bracket.stages.windows(2).all(|w| w[1] <= w[0] && w[1] >= 1));
            }
        }
    }
}
