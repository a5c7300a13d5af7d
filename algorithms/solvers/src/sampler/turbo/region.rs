//! The trust region, replayed from what was measured.
//!
//! Letters: n results, d encoded dimensions.

use boxwood_core::{Change, TrialView};

use crate::history::{Entry, Level};

/// Length of a new region, the most and the least it may become: shares of the unit cube's side (Eriksson et al.,
/// "Scalable global optimization via local Bayesian optimization", `NeurIPS` 2019, appendix).
pub(super) const FIRST_LENGTH: f64 = 0.8;
pub(super) const LARGEST_LENGTH: f64 = 1.6;
pub(super) const SMALLEST_LENGTH: f64 = 1.0 / 128.0;
/// Rounds in a row that improve before the length doubles.
const SUCCESSES: u32 = 3;
/// Fewest results in a row without an improvement before the length halves; d where that is more.
const FAILURES: usize = 4;
/// Least improvement that counts, as a share of the interquartile range of the region's losses. The paper takes 1e-3 of
/// the best loss, which depends on where the losses have their zero.
const LEAST_IMPROVEMENT: f64 = 1e-3;

/// What one region knows after a replay.
#[derive(Debug, Clone)]
pub(super) struct Region<'a> {
    /// Number of regions that came before.
    pub(super) index: u64,
    /// Trials planned from this change on belong to the region.
    pub(super) since: Change,
    /// Side of the box before it is scaled by dimension, as a share of the unit cube's.
    pub(super) length: f64,
    /// Its results in the order in which they became visible.
    pub(super) entries: Vec<Entry<'a>>,
    /// Its best result: least violation, then least loss.
    pub(super) best: Option<Entry<'a>>,
    counters: Counters,
}

/// What decides about the length.
#[derive(Debug, Clone, Default)]
struct Counters {
    /// Rounds in a row that improved.
    successes: u32,
    /// Results in a row that did not.
    failures: usize,
    /// Change of the first result of the current round.
    opened: Option<Change>,
    /// Whether the current round has improved.
    improved: bool,
    /// Losses in rising order.
    losses: Vec<f64>,
}

impl<'a> Region<'a> {
    fn new(index: u64, since: Change) -> Self {
        Self {
            index,
            since,
            length: FIRST_LENGTH,
            entries: Vec::new(),
            best: None,
            counters: Counters::default(),
        }
    }

    /// The region that is current after all results of a rung, with `design` results before it may change its length.
    ///
    /// A round is a result and all later ones of trials that were planned without knowing it: with one worker it is one
    /// result, and the counters are the paper's. Of several results in a round one improvement is a success, and each one
    /// without it is a failure, as the paper divides its tolerance for failures by the size of a batch.
    pub(super) fn replay(level: &Level<'a>, design: usize, dimensions: usize) -> Self {
        let mut entries = level.entries.clone();
        entries.sort_by_key(|entry| (entry.result.change, entry.trial.number));
        let tolerance = dimensions.max(FAILURES);
        let mut region = Self::new(0, Change(0));
        for entry in entries {
            if region.has_planned(entry.trial) {
                region.add(entry, design, tolerance);
            }
            if region.length < SMALLEST_LENGTH {
                region = Self::new(region.index + 1, entry.result.change);
            }
        }
        region
    }

    /// Whether a trial was planned for this region. One that no plan proposed belongs to whichever sees its result.
    pub(super) fn has_planned(&self, trial: &TrialView) -> bool {
        trial.provenance.plan == 0 || trial.provenance.change >= self.since.0
    }

    fn add(&mut self, entry: Entry<'a>, design: usize, tolerance: usize) {
        if self.entries.len() >= design.max(1) {
            self.count(&entry, tolerance);
        }
        if self.best.is_none_or(|best| entry.compare(&best).is_lt()) {
            self.best = Some(entry);
        }
        let loss = entry.loss();
        let place = self.counters.losses.partition_point(|other| *other < loss);
        self.counters.losses.insert(place, loss);
        self.entries.push(entry);
    }

    fn count(&mut self, entry: &Entry<'_>, tolerance: usize) {
        let improves = self.improves(entry);
        let planned = &entry.trial.provenance;
        let counters = &mut self.counters;
        if counters.opened.is_none_or(|opened| planned.plan == 0 || planned.change >= opened.0) {
            if !counters.improved {
                counters.successes = 0;
            }
            counters.opened = Some(entry.result.change);
            counters.improved = false;
        }
        if improves {
            counters.successes += u32::from(!counters.improved);
            counters.improved = true;
            counters.failures = 0;
        } else if !counters.improved {
            counters.failures += 1;
        }
        if counters.successes >= SUCCESSES {
            self.length = (2.0 * self.length).min(LARGEST_LENGTH);
            counters.successes = 0;
        } else if counters.failures >= tolerance {
            self.length /= 2.0;
            counters.failures = 0;
        }
    }

    /// Whether a result is clearly better than the best before it; less violation comes first.
    fn improves(&self, entry: &Entry<'_>) -> bool {
        let Some(best) = &self.best else { return true };
        let (violation, least) = (entry.violation(), best.violation());
        if least > 0.0 {
            return violation < least * (1.0 - LEAST_IMPROVEMENT);
        }
        violation <= 0.0 && entry.loss() < best.loss() - LEAST_IMPROVEMENT * self.spread()
    }

    /// Interquartile range of the region's losses.
    fn spread(&self) -> f64 {
        let losses = &self.counters.losses;
        let quartile = |share: f64| losses[((losses.len() - 1) as f64 * share).round() as usize];
        if losses.is_empty() { 0.0 } else { quartile(0.75) - quartile(0.25) }
    }
}
