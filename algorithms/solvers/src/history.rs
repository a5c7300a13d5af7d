//! What a plan reads out of a study view, computed once per plan.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use boxwood_core::{Rung, RungResult, StudyView, TrialStatus, TrialView};

/// Rows that must not be proposed again, compared to within 1e-8 of the unit cube.
///
/// Levels of discrete parameters are bin centres, so that the resolution separates up to 10^8 levels; two floats that
/// close are the same experiment. Kept as 128-bit hashes: with a million rows two different ones are taken for equal
/// with a probability below 1e-26.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(HashSet<u128, BuildHasherDefault<Mixed>>);

/// The hash of a key that is a hash: half of it.
#[derive(Debug, Clone, Copy, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

impl Known {
    fn with_capacity(count: usize) -> Self {
        Self(HashSet::with_capacity_and_hasher(count, BuildHasherDefault::default()))
    }

    fn key(row: &[f64]) -> u128 {
        // Two multiply-xorshift chains over the quantized values (with the factors of SplitMix64, Steele et al., 2014).
        let mix = |state: u64, factor: u64| {
            let mixed = state.wrapping_mul(factor);
            mixed ^ (mixed >> 32)
        };
        let (mut first, mut second) = (0x9e37_79b9_7f4a_7c15_u64, 0xc2b2_ae3d_27d4_eb4f);
        for value in row {
            // Rounded to the nearest by truncation, which is an instruction where `round` is a call.
            let level = if value.is_nan() { u64::MAX } else { (value * 1e8 + 0.5) as i64 as u64 };
            first = mix(first ^ level, 0xbf58_476d_1ce4_e5b9);
            second = mix(second ^ level, 0x94d0_49bb_1331_11eb);
        }
        let (first, second) = (mix(first, 0xd6e8_feb8_6659_fd93), mix(second, 0xd6e8_feb8_6659_fd93));
        u128::from(first) << 64 | u128::from(second)
    }

    /// Adds a row; false when it was known.
    pub(crate) fn insert(&mut self, row: &[f64]) -> bool {
        self.0.insert(Self::key(row))
    }

    pub(crate) fn contains(&self, row: &[f64]) -> bool {
        self.0.contains(&Self::key(row))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A measured trial at one rung.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) trial: &'a TrialView,
    pub(crate) result: &'a RungResult,
}

impl Entry<'_> {
    /// Loss of the first objective.
    pub(crate) fn loss(&self) -> f64 {
        self.result.losses.first().copied().unwrap_or(f64::INFINITY)
    }

    /// Sum of the positive violations; zero when every constraint holds.
    pub(crate) fn violation(&self) -> f64 {
        self.result.violations.iter().map(|violation| violation.max(0.0)).sum()
    }

    /// Better first: least violation, then least loss, then the older trial.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.violation()
            .total_cmp(&other.violation())
            .then(self.loss().total_cmp(&other.loss()))
            .then(self.trial.number.cmp(&other.trial.number))
    }
}

/// Everything measured at one rung; passing through counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Level<'a> {
    /// Measured trials in order of their numbers.
    pub(crate) entries: Vec<Entry<'a>>,
    /// Trials that failed, proved infeasible or were stopped as bad on the way to this rung.
    pub(crate) failed: Vec<&'a TrialView>,
}

impl<'a> Level<'a> {
    /// Entries, best first.
    pub(crate) fn ranked(&self) -> Vec<Entry<'a>> {
        let mut ranked = self.entries.clone();
        ranked.sort_by(Entry::compare);
        ranked
    }

    /// Trials that ended their way to this rung, in whatever manner.
    pub(crate) fn ended(&self) -> usize {
        self.entries.len() + self.failed.len()
    }
}

/// The study's data by rung, its pending trials and its known rows. Cancelled trials carry no information; their
/// points still count as known.
#[derive(Debug, Clone)]
pub(crate) struct History<'a> {
    /// One level per rung of the ladder.
    pub(crate) levels: Vec<Level<'a>>,
    /// Queued or leased trials.
    pub(crate) pending: Vec<&'a TrialView>,
    /// Rows of all trials.
    pub(crate) known: Known,
}

impl<'a> History<'a> {
    pub(crate) fn new(view: &'a StudyView) -> Self {
        let mut levels = vec![Level::default(); view.problem().ladder().len()];
        let mut pending = Vec::new();
        let mut known = Known::with_capacity(view.trials().len());
        for trial in view.trials() {
            known.insert(&trial.encoded);
            if trial.status == TrialStatus::Cancelled {
                continue;
            }
            for result in &trial.results {
                if let Some(level) = levels.get_mut(result.rung.0 as usize) {
                    level.entries.push(Entry { trial, result });
                }
            }
            match trial.status {
                TrialStatus::Pending => pending.push(trial),
                TrialStatus::Failed | TrialStatus::Infeasible if trial.result(trial.target).is_none() => {
                    if let Some(level) = levels.get_mut(trial.target.0 as usize) {
                        level.failed.push(trial);
                    }
                }
                // A trial that was stopped early would not have been good: without it, models of the rung that it was
                // meant for would know nothing of its region and send more trials there.
                TrialStatus::Pruned if !trial.results.is_empty() && trial.result(trial.target).is_none() => {
                    if let Some(level) = levels.get_mut(trial.target.0 as usize) {
                        level.failed.push(trial);
                    }
                }
                _ => {}
            }
        }
        Self { levels, pending, known }
    }

    /// The highest rung with at least `minimum` results; failing that, the rung with the most results (the higher of
    /// equals), and none when nothing was measured.
    pub(crate) fn model_rung(&self, minimum: usize) -> Option<Rung> {
        let enough = self.levels.iter().rposition(|level| level.entries.len() >= minimum.max(1));
        let index = enough.or_else(|| {
            let most = self.levels.iter().enumerate().max_by_key(|(i, level)| (level.entries.len(), *i));
            most.filter(|(_, level)| !level.entries.is_empty()).map(|(i, _)| i)
        })?;
        Some(Rung(index as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_apart_to_a_hundred_millionth() {
        let mut known = Known::default();
        // A lattice of neighbours, in which every difference of two columns occurs often, with inactive values.
        let value = |k: usize| if k == 59 { f64::NAN } else { k as f64 / 1e7 };
        for k in 0..60_usize.pow(3) {
            let row = [value(k % 60), value(k / 60 % 60), value(k / 3600)];
            assert!(known.insert(&row), "{row:?}");
            assert!(known.contains(&row));
        }
        assert!(!known.insert(&[1e-10, 0.0, 0.0]));
        assert_eq!(known.len(), 60_usize.pow(3));
    }
}
