//! Moves that draw their bracket, as Hyper-Tune's new trials do (Li et al., 2022).
//!
//! Two deviations, measured in docs/decisions/2026-11-26-promotion-by-forecast.md. A move for the top promotes the waiting
//! trial that the model expects to be best there, if it expects it to be better than all that were measured there or are
//! on their way: ranks at one rung after the other bring a good trial to the top late. And a new trial starts at the
//! lowest rung in use, the more surely the better that rung's results order those at the top: what a start higher up
//! would tell is then known for less.

use boxwood_core::{Bracket, Rung, Seed, StudyView, TrialNumber, TrialView};
use rand::RngExt;

use super::cost::start_costs;
use super::{Advice, Resume, Start, bracket_of, waits_at};
use crate::history::{Entry, History};

/// Fraction of the golden ratio: its multiples modulo one are evenly spread at any length.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;
/// Best trials of each rung that a move for the top considers.
const CONSIDERED: usize = 16;
/// Trials at the top, measured or to be, from which on a rung's order is compared with theirs.
const COMPARED_FROM: usize = 3;

/// What the moves of one plan are drawn from.
pub(super) struct Draws<'a> {
    pub(super) view: &'a StudyView,
    pub(super) history: &'a History<'a>,
    /// Brackets, most exploring first.
    pub(super) table: &'a [Bracket],
    pub(super) advice: &'a dyn Advice,
    /// Seed of the plan.
    pub(super) seed: Seed,
}

impl Draws<'_> {
    /// Up to `want` moves, of which at most `most` are starts; trials in `taken` are not resumed.
    pub(super) fn moves(&self, want: usize, most: usize, taken: &[Resume]) -> (Vec<Resume>, Vec<Start>) {
        let (mut resumes, mut starts) = (Vec::new(), Vec::new());
        if want == 0 {
            return (resumes, starts);
        }
        let top = self.view.problem().ladder().top();
        let shares = bracket_shares(self.view, self.history, self.table, self.advice.weights().as_deref());
        let lowest = shares.iter().position(|share| *share > 0.0).unwrap_or(0);
        let agreement = agreement(self.history, self.table[lowest].start);
        let mut promising: Option<std::vec::IntoIter<TrialNumber>> = None;
        let mut rng = self.seed.derive("bracket", 0).rng();
        let offset = rng.random::<f64>();
        let mut cycle = self.next_cycle();
        for index in 0..want {
            let drawn = pick(&shares, (offset + index as f64 * GOLDEN_RATIO).fract());
            let low = rng.random::<f64>() < agreement;
            if self.table[drawn].start == top || starts.len() == most {
                let waiting = promising.get_or_insert_with(|| self.promising(taken).into_iter());
                if let Some(trial) = waiting.next() {
                    resumes.push(Resume { trial, rung: top });
                    continue;
                }
            }
            if starts.len() == most {
                break;
            }
            let chosen = if low { lowest } else { drawn };
            let bracket = Some(cycle * self.table.len() as u32 + chosen as u32);
            starts.push(Start { rung: self.table[chosen].start, bracket });
            cycle += 1;
        }
        (resumes, starts)
    }

    /// Number of whole cycles of brackets after the last one that a trial started in.
    fn next_cycle(&self) -> u32 {
        let len = self.table.len();
        let trials = self.view.trials().iter();
        let last = trials.filter_map(|trial| bracket_of(trial, self.view, len)).max();
        last.map_or(0, |last| last / len as u32 + 1)
    }

    /// Trials that wait below the top and are expected to be better there than any that was measured there or is on its
    /// way there, best first.
    fn promising(&self, taken: &[Resume]) -> Vec<TrialNumber> {
        let Some((top, below)) = self.history.levels.split_last() else { return Vec::new() };
        let rung = Rung(below.len() as u32);
        let mut trials: Vec<&TrialView> = best_trials(top.ranked().into_iter());
        trials.extend(heading(self.history));
        let resumed = taken.iter().filter(|resume| resume.rung == rung);
        trials.extend(resumed.filter_map(|resume| self.view.trial(resume.trial)));
        let rivals = trials.len();
        for (rung, level) in below.iter().enumerate() {
            let free = |entry: &Entry<'_>| {
                waits_at(entry.trial, Rung(rung as u32))
                    && taken.iter().all(|resume| resume.trial != entry.trial.number)
            };
            trials.extend(best_trials(level.ranked().into_iter().filter(free)));
        }
        if trials.len() == rivals {
            return Vec::new();
        }
        let Some(expected) = self.advice.forecast(&trials) else { return Vec::new() };
        let best = expected.iter().take(rivals).copied().fold(f64::INFINITY, f64::min);
        let waiting = trials.iter().zip(&expected).skip(rivals);
        let mut better: Vec<(f64, TrialNumber)> = waiting
            .filter(|(_, value)| **value < best)
            .map(|(trial, value)| (*value, trial.number))
            .collect();
        better.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        better.into_iter().map(|(_, number)| number).collect()
    }
}

fn best_trials<'a>(ranked: impl Iterator<Item = Entry<'a>>) -> Vec<&'a TrialView> {
    ranked.take(CONSIDERED).map(|entry| entry.trial).collect()
}

/// Trials that run or wait for a worker on their way to the top.
fn heading<'a>(history: &'a History<'_>) -> impl Iterator<Item = &'a TrialView> {
    let top = Rung(history.levels.len().saturating_sub(1) as u32);
    history.pending.iter().copied().filter(move |trial| trial.target == top)
}

/// How well a rung's results order those at the top, among the trials measured at both: Spearman's rank correlation
/// squared, none where it is negative. Before there are enough of them it is trusted while few trials are on their way to
/// the top, and not once enough are: many workers would else put all of the time until the first results on one guess.
fn agreement(history: &History<'_>, rung: Rung) -> f64 {
    let Some(top) = history.levels.last() else { return 1.0 };
    let low = |entry: &Entry<'_>| entry.trial.result(rung).and_then(|result| result.losses.first().copied());
    let pairs: Vec<(f64, f64)> =
        top.entries.iter().filter_map(|entry| Some((low(entry)?, entry.loss()))).collect();
    if pairs.len() < COMPARED_FROM {
        let few = pairs.len() + heading(history).count() < COMPARED_FROM;
        return if few { 1.0 } else { 0.0 };
    }
    let (low, high): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let (low, high) = (centred_ranks(&low), centred_ranks(&high));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let correlation = product(&low, &high) / (product(&low, &low) * product(&high, &high)).sqrt();
    if correlation > 0.0 { correlation * correlation } else { 0.0 }
}

/// Ranks less their mean; ties share theirs.
fn centred_ranks(values: &[f64]) -> Vec<f64> {
    let sign = |a: &f64, b: &f64| f64::from(i32::from(a > b) - i32::from(a < b));
    values.iter().map(|value| values.iter().map(|other| sign(value, other)).sum()).collect()
}

/// Share of new trials per bracket: `w_i = theta_i / c_i` with the sampler's weight theta of the bracket's start rung and
/// the cost c of a start there (Li et al., 2022, equation 3). Without weights theta is equal, which spends about the same
/// on every bracket, as Hyperband does.
fn bracket_shares(
    view: &StudyView,
    history: &History<'_>,
    table: &[Bracket],
    weights: Option<&[f64]>,
) -> Vec<f64> {
    let costs = start_costs(view.problem().ladder(), history);
    let share = |weighted: bool, bracket: &Bracket| {
        let rung = bracket.start.0 as usize;
        let theta =
            weights.filter(|_| weighted).map_or(1.0, |weights| weights.get(rung).copied().unwrap_or(0.0));
        theta.max(0.0) / cost(bracket, &costs)
    };
    let shares: Vec<f64> = table.iter().map(|bracket| share(true, bracket)).collect();
    if shares.iter().sum::<f64>() > 0.0 {
        return shares;
    }
    table.iter().map(|bracket| share(false, bracket)).collect()
}

/// What a bracket costs per trial that starts in it, promotions in full included.
fn cost(bracket: &Bracket, costs: &[f64]) -> f64 {
    let started = bracket.stages[0] as f64;
    let stages = bracket.stages.iter().zip(&costs[bracket.start.0 as usize..]);
    stages.map(|(trials, cost)| *trials as f64 / started * cost).sum()
}

/// The index at which the running sum of the shares passes `uniform` of their total; the last positive one at the end.
fn pick(shares: &[f64], uniform: f64) -> usize {
    let total: f64 = shares.iter().sum();
    let mut left = uniform * total;
    let mut last = 0;
    for (index, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        last = index;
        left -= share;
        if left < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests;
