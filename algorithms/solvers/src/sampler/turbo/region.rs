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

#[cfg(test)]
mod tests {
    use boxwood_core::{Origin, Point, Provenance, Rung, RungResult, TrialNumber, TrialStatus};

    use super::*;

    /// A measured trial, planned when `seen` was the newest change.
    fn trial(number: u32, loss: f64, violation: f64, seen: u64) -> TrialView {
        TrialView {
            number: TrialNumber(number),
            point: Point::default(),
            encoded: vec![0.5],
            origin: Origin::Solver,
            provenance: Provenance { plan: 1, change: seen, ..Provenance::default() },
            status: TrialStatus::Completed,
            target: Rung(0),
            results: vec![RungResult {
                rung: Rung(0),
                losses: vec![loss],
                violations: vec![violation],
                seconds: None,
                change: Change(u64::from(number)),
            }],
        }
    }

    /// Trials of one worker, each planned with all results before it.
    fn sequence(losses: &[f64]) -> Vec<TrialView> {
        (1..).zip(losses).map(|(number, loss)| trial(number, *loss, 0.0, u64::from(number) - 1)).collect()
    }

    fn replay(trials: &[TrialView], dimensions: usize) -> Region<'_> {
        let entries = trials.iter().map(|trial| Entry { trial, result: &trial.results[0] }).collect();
        Region::replay(&Level { entries, failed: Vec::new() }, 2, dimensions)
    }

    fn length(losses: &[f64]) -> f64 {
        replay(&sequence(losses), 2).length
    }

    #[test]
    fn three_improvements_in_a_row_double_the_length_up_to_the_largest() {
        // The design is 9 and 8.
        assert_eq!(length(&[9.0, 8.0, 7.0, 6.0]), FIRST_LENGTH);
        assert_eq!(length(&[9.0, 8.0, 7.0, 6.0, 5.0]), LARGEST_LENGTH);
        assert_eq!(length(&[9.0, 8.0, 7.0, 6.0, 6.0, 5.0]), FIRST_LENGTH);
        assert_eq!(length(&[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]), LARGEST_LENGTH);
    }

    #[test]
    fn failures_in_a_row_halve_the_length() {
        let mut losses = vec![1.0, 9.0, 9.0, 9.0, 9.0];
        assert_eq!(length(&losses), FIRST_LENGTH);
        losses.push(9.0);
        assert_eq!(length(&losses), FIRST_LENGTH / 2.0);
        // An improvement of less than a thousandth of the spread is none.
        assert_eq!(length(&[1.0, 9.0, 1.0 - 1e-4, 9.0, 9.0, 9.0]), FIRST_LENGTH / 2.0);
        // More dimensions, more patience.
        assert_eq!(replay(&sequence(&losses), 5).length, FIRST_LENGTH);
    }

    #[test]
    fn a_region_that_is_too_small_makes_place_for_one_of_later_plans() {
        // Four failures per halving from 0.8 to below 1/128.
        let mut trials = sequence(&[vec![1.0, 9.0], vec![9.0; 28]].concat());
        trials.push(trial(31, 0.5, 0.0, 29));
        trials.push(trial(32, 7.0, 0.0, 30));
        let region = replay(&trials, 2);
        assert_eq!((region.index, region.since, region.length), (1, Change(30), FIRST_LENGTH));
        // The one planned before the end of the first region is not its successor's, good as it is.
        assert_eq!(region.entries.len(), 1);
        assert_eq!(region.best.map(|best| best.trial.number), Some(TrialNumber(32)));
        assert_eq!(replay(&trials[..29], 2).index, 0);
    }

    #[test]
    fn improvements_of_one_round_are_one_success() {
        let mut trials = sequence(&[9.0, 8.0]);
        trials.extend([7.0, 6.0, 5.0].into_iter().zip(3..).map(|(loss, number)| trial(number, loss, 0.0, 2)));
        assert_eq!(replay(&trials, 2).length, FIRST_LENGTH);
        trials.extend(
            [(6, 4.0), (7, 3.0)].map(|(number, loss)| trial(number, loss, 0.0, u64::from(number) - 1)),
        );
        assert_eq!(replay(&trials, 2).length, LARGEST_LENGTH);
    }

    #[test]
    fn less_violation_comes_before_less_loss() {
        let values = [(5.0, 3.0), (5.0, 2.0), (9.0, 1.0), (9.0, 0.5), (9.0, 0.0), (1.0, 0.5)];
        let trials: Vec<TrialView> = (1..)
            .zip(values)
            .map(|(number, (loss, violation))| trial(number, loss, violation, u64::from(number) - 1))
            .collect();
        let region = replay(&trials, 2);
        assert_eq!(region.best.map(|best| best.trial.number), Some(TrialNumber(5)));
        assert_eq!(region.length, LARGEST_LENGTH);
    }

    #[test]
    fn the_order_of_trials_does_not_matter() {
        let mut trials = sequence(&[9.0, 8.0, 7.0, 7.5, 6.0, 6.5, 6.6, 5.0, 4.0, 3.0]);
        let numbers = |region: &Region<'_>| -> Vec<TrialNumber> {
            region.entries.iter().map(|entry| entry.trial.number).collect()
        };
        let (length, order) = (replay(&trials, 2).length, numbers(&replay(&trials, 2)));
        trials.reverse();
        assert_eq!((replay(&trials, 2).length, numbers(&replay(&trials, 2))), (length, order));
    }
}
