//! A memory of replayed generations that changes nothing but time.

use std::sync::{Mutex, PoisonError};

use boxwood_core::{Problem, TrialNumber};

use super::Search;
use crate::sampler::population::Member as Ended;

/// The state after the generations that can change no more, and all that they were.
#[derive(Debug, Default)]
pub(super) struct Memo {
    /// Shared by the threads that plan with the same sampler; guards only this state.
    latest: Mutex<Option<Stored>>,
}

#[derive(Debug)]
struct Stored {
    space: String,
    seed: u64,
    /// The trials of the generations in order, each with its row and its losses and violations, none for a failure.
    trials: Vec<Seen>,
    search: Search,
}

#[derive(Debug)]
struct Seen {
    number: TrialNumber,
    row: Vec<f64>,
    result: Option<(Vec<f64>, Vec<f64>)>,
}

impl Seen {
    fn new(member: &Ended<'_>) -> Self {
        Self {
            number: member.trial.number,
            row: member.row().to_vec(),
            result: member.result.map(|result| (result.losses.clone(), result.violations.clone())),
        }
    }

    fn is(&self, member: &Ended<'_>) -> bool {
        let result = match (&self.result, member.result) {
            (None, None) => true,
            (Some((losses, violations)), Some(result)) => {
                same_bits(losses, &result.losses) && same_bits(violations, &result.violations)
            }
            _ => false,
        };
        result && self.number == member.trial.number && same_bits(&self.row, member.row())
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

impl Memo {
    /// The search after as many of the first trials as are known, with their number, where a study begins with exactly
    /// them: `numbers` are its trials that count, `ended` those that have ended.
    pub(super) fn recall(
        &self,
        problem: &Problem,
        numbers: &[TrialNumber],
        ended: &[Ended<'_>],
    ) -> Option<(Search, usize)> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = latest.as_ref()?;
        let count = stored.trials.len();
        let same = stored.seed == problem.seed()
            && count <= numbers.len().min(ended.len())
            && stored.space == problem.space().hash()
            && stored.trials.iter().zip(numbers).all(|(seen, number)| seen.number == *number)
            && stored.trials.iter().zip(ended).all(|(seen, member)| seen.is(member));
        same.then(|| (stored.search.clone(), count))
    }

    /// Keeps the search after the first trials, all of which have ended, in place of what was kept before. `known` of them
    /// have been recalled.
    pub(super) fn keep(&self, problem: &Problem, search: &Search, trials: &[Ended<'_>], known: usize) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (space, seed) = (problem.space().hash(), problem.seed());
        let mut seen = match latest.take() {
            // What another thread has put there since may be of another study.
            Some(stored) if stored.trials.len() == known && stored.space == space && stored.seed == seed => {
                stored.trials
            }
            _ => Vec::new(),
        };
        if seen.iter().zip(trials).any(|(seen, member)| !seen.is(member)) {
            seen.clear();
        }
        let new = trials[seen.len()..].iter().map(Seen::new);
        seen.extend(new);
        *latest = Some(Stored { space, seed, trials: seen, search: search.clone() });
    }
}
