//! What a Gaussian process learns from, for any number of objectives.
//!
//! Letters: n observations, d encoded dimensions, m objectives.

use std::cmp::Ordering;

use boxwood_core::{SolverError, TrialStatus};
use boxwood_numeric::{Rows, nondominated_ranks};
use boxwood_surrogate::{Layout, local_rows, refit_length};

use crate::history::{Entry, Level};
use crate::sampler::model::numeric;

/// Results from which the models see a part of the history only.
const LONG_HISTORY: usize = 1000;
/// Results of a long history that are kept when hyperparameters are fitted; later ones are added as they come.
const KEPT: usize = 768;
/// Failed trials that take part, the newest ones.
const FAILURES_KEPT: usize = 256;
/// Rows around which candidates are mutated.
const STARTS: usize = 16;

/// Results of one rung in the order in which they became visible.
#[derive(Debug, Clone)]
pub(super) struct Observations {
    /// `(n, d)`.
    pub(super) rows: Rows,
    /// `(n, m)`.
    pub(super) losses: Rows,
    /// Violations by constraint, length n each.
    pub(super) violations: Vec<Vec<f64>>,
    /// Seconds from the start of each trial, where known.
    pub(super) seconds: Vec<Option<f64>>,
    /// Rows of failed trials, and of those stopped on their way.
    pub(super) failed: Rows,
    /// Which of them failed.
    pub(super) broken: Vec<usize>,
    /// How many of the n the hyperparameters come from, where that is fixed by a choice among a long history.
    pub(super) base: Option<usize>,
    /// Number of results before a choice was made.
    pub(super) measured: usize,
}

impl Observations {
    pub(super) fn new(level: &Level<'_>, layout: &Layout, seed: u64) -> Result<Self, SolverError> {
        let mut entries = level.entries.clone();
        entries.sort_by_key(|entry| (entry.result.change, entry.trial.number));
        let measured = entries.len();
        let mut base = None;
        if measured > LONG_HISTORY {
            let length = refit_length(measured);
            let mut kept: Vec<Entry<'_>> = choose(&entries[..length], layout, seed)?;
            base = Some(kept.len());
            kept.extend(&entries[length..]);
            entries = kept;
        }
        let objectives = entries.first().map_or(0, |entry| entry.result.losses.len());
        let constraints = entries.iter().map(|entry| entry.result.violations.len()).min().unwrap_or(0);
        let failed = level.failed.len().saturating_sub(FAILURES_KEPT);
        let failed = &level.failed[failed..];
        let is_broken = |index: &usize| failed[*index].status != TrialStatus::Pruned;
        Ok(Self {
            rows: rows_of(layout.len(), entries.iter().map(|entry| entry.trial.encoded.as_slice()))?,
            losses: rows_of(objectives, entries.iter().map(|entry| entry.result.losses.as_slice()))?,
            violations: (0..constraints)
                .map(|index| entries.iter().map(|entry| entry.result.violations[index]).collect())
                .collect(),
            seconds: entries.iter().map(|entry| entry.result.seconds).collect(),
            failed: rows_of(layout.len(), failed.iter().map(|trial| trial.encoded.as_slice()))?,
            broken: (0..failed.len()).filter(is_broken).collect(),
            base,
            measured,
        })
    }

    /// Number of results that the models see.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Losses of one objective.
    pub(super) fn objective(&self, index: usize) -> Vec<f64> {
        self.losses.iter().map(|row| row[index]).collect()
    }

    /// Indices of the results that satisfy every constraint.
    pub(super) fn feasible(&self) -> Vec<usize> {
        (0..self.len()).filter(|index| self.violation(*index) <= 0.0).collect()
    }

    fn violation(&self, index: usize) -> f64 {
        self.violations.iter().map(|values| values[index].max(0.0)).sum()
    }

    /// Rows of the first of [`Observations::starts`] that satisfy every constraint.
    pub(super) fn best_feasible(&self) -> Rows {
        let starts = self.starts();
        starts.slice(0, starts.len().min(self.feasible().len()))
    }

    /// Rows worth exploiting, best first: least violation, then the front (evenly along the first objective where it is
    /// long), then the ranks behind it; with one objective the least losses.
    pub(super) fn starts(&self) -> Rows {
        let violations: Vec<f64> = (0..self.len()).map(|index| self.violation(index)).collect();
        let order = order(&violations, &self.losses);
        let ranks = &order.ranks;
        let first = order.indices.first().map(|index| (violations[*index], ranks[*index]));
        let tied = |index: &&usize| Some((violations[**index], ranks[**index])) == first;
        let mut front: Vec<usize> = order.indices.iter().take_while(tied).copied().collect();
        if front.len() <= STARTS || self.losses.width() < 2 {
            return self.rows.select(&order.indices[..order.indices.len().min(STARTS)]);
        }
        front.sort_by(|&a, &b| self.losses.row(a)[0].total_cmp(&self.losses.row(b)[0]).then(a.cmp(&b)));
        let even = |k: usize| front[k * (front.len() - 1) / (STARTS - 1)];
        self.rows.select(&(0..STARTS).map(even).collect::<Vec<_>>())
    }
}

fn rows_of<'a>(width: usize, rows: impl Iterator<Item = &'a [f64]>) -> Result<Rows, SolverError> {
    Rows::from_rows(width, &rows.collect::<Vec<_>>()).map_err(|error| numeric(&error))
}

/// Indices from the best to the worst, and the rank of each among fronts.
pub(super) struct Order {
    pub(super) indices: Vec<usize>,
    ranks: Vec<usize>,
}

/// Least violation first, then the rank among fronts (with one objective the loss), then the older.
pub(super) fn order(violations: &[f64], losses: &Rows) -> Order {
    let ranks = if losses.width() > 1 { nondominated_ranks(losses) } else { vec![0; losses.len()] };
    let mut indices: Vec<usize> = (0..losses.len()).collect();
    indices.sort_by(|&a, &b| {
        let loss = || losses.row(a).first().zip(losses.row(b).first()).map(|(a, b)| a.total_cmp(b));
        let by_loss = if losses.width() == 1 { loss().unwrap_or(Ordering::Equal) } else { Ordering::Equal };
        violations[a].total_cmp(&violations[b]).then(ranks[a].cmp(&ranks[b])).then(by_loss).then(a.cmp(&b))
    });
    Order { indices, ranks }
}

/// The results of a long history that all models keep, one choice for objectives and constraints alike.
fn choose<'a>(entries: &[Entry<'a>], layout: &Layout, seed: u64) -> Result<Vec<Entry<'a>>, SolverError> {
    let rows = rows_of(layout.len(), entries.iter().map(|entry| entry.trial.encoded.as_slice()))?;
    let objectives = entries.first().map_or(0, |entry| entry.result.losses.len());
    let losses = rows_of(objectives, entries.iter().map(|entry| entry.result.losses.as_slice()))?;
    let violations: Vec<f64> = entries.iter().map(Entry::violation).collect();
    let mut places = vec![0.0; entries.len()];
    for (place, index) in order(&violations, &losses).indices.into_iter().enumerate() {
        places[index] = place as f64;
    }
    let kept = local_rows(layout, &rows, &places, None, KEPT, seed).map_err(|error| numeric(&error))?;
    Ok(kept.into_iter().map(|index| entries[index]).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rows(values: &[[f64; 2]]) -> Rows {
        Rows::from_rows(2, values).unwrap()
    }

    #[test]
    fn violations_come_before_fronts_and_fronts_before_what_they_dominate() {
        let losses = rows(&[[3.0, 3.0], [1.0, 2.0], [2.0, 1.0], [0.0, 0.0]]);
        assert_eq!(order(&[0.0, 0.0, 0.0, 1.0], &losses).indices, [1, 2, 0, 3]);
    }

    #[test]
    fn a_long_front_gives_starts_from_end_to_end() {
        let points: Vec<[f64; 2]> = (0..40).map(|k| [f64::from(k), f64::from(-k)]).collect();
        let observations = Observations {
            rows: rows(&points),
            losses: rows(&points),
            violations: Vec::new(),
            seconds: vec![None; 40],
            failed: Rows::new(2),
            broken: Vec::new(),
            base: None,
            measured: 40,
        };
        let starts = observations.starts();
        assert_eq!(starts.len(), STARTS);
        assert_eq!((starts.row(0)[0], starts.row(STARTS - 1)[0]), (0.0, 39.0));
    }
}
