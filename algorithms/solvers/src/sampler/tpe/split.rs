//! Which results are good, and how much each of them counts.
//!
//! One objective is ranked by its loss, and good results count alike. Several are ranked by fronts; where a front does not
//! fit, the results that add most hypervolume one after another are taken (greedy hypervolume subset selection), and a good
//! result counts by what the hypervolume of all of them would lose without it (Ozaki, Tanigaki, Watanabe, Nomura and
//! Onishi, "Multiobjective tree-structured Parzen estimator", JAIR 73, 2022). Infeasible results follow by their violation.

use boxwood_core::SolverError;
use boxwood_numeric::{NumericError, Rows, hypervolume, inferred_reference, nondominated};
use boxwood_surrogate::ParzenOptions;

use crate::history::Level;
use crate::sampler::model::numeric;

/// Share of the largest weight that a good result has at least.
const LEAST_WEIGHT: f64 = 1e-12;

/// Results of one rung, from the oldest to the latest; failures come last.
pub(super) struct Results {
    /// Measured rows, then failed ones.
    pub(super) rows: Rows,
    /// Losses of the measured ones, `(n, m)`.
    losses: Rows,
    /// Their total violations, zero where feasible.
    violations: Vec<f64>,
}

impl Results {
    pub(super) fn new(level: &Level<'_>, width: usize) -> Result<Self, SolverError> {
        let mut entries = level.entries.clone();
        entries.sort_by_key(|entry| (entry.result.change, entry.trial.number));
        let measured = entries.iter().map(|entry| entry.trial.encoded.as_slice());
        let rows: Vec<&[f64]> =
            measured.chain(level.failed.iter().map(|trial| trial.encoded.as_slice())).collect();
        let losses: Vec<&[f64]> = entries.iter().map(|entry| entry.result.losses.as_slice()).collect();
        let objectives = losses.first().map_or(1, |losses| losses.len());
        Ok(Self {
            rows: Rows::from_rows(width, &rows).map_err(|error| numeric(&error))?,
            losses: Rows::from_rows(objectives, &losses).map_err(|error| numeric(&error))?,
            violations: entries.iter().map(crate::history::Entry::violation).collect(),
        })
    }

    /// Number of measured rows.
    pub(super) fn measured(&self) -> usize {
        self.losses.len()
    }

    /// Measured rows by violation, then by the first loss, then the older first.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.measured()).collect();
        order.sort_by(|&a, &b| {
            let losses = self.losses.row(a)[0].total_cmp(&self.losses.row(b)[0]);
            self.violations[a].total_cmp(&self.violations[b]).then(losses).then(a.cmp(&b))
        });
        order
    }

    /// All rows, best first by one objective.
    pub(super) fn ranked(&self) -> Rows {
        let mut order = self.order();
        order.extend(self.measured()..self.rows.len());
        self.rows.select(&order)
    }

    /// A weight for each row: positive for the good ones, zero for the others.
    pub(super) fn good_weights(&self) -> Result<Vec<f64>, SolverError> {
        let count = ParzenOptions::good_count(self.rows.len()).min(self.measured());
        let mut weights = vec![0.0; self.rows.len()];
        if self.losses.width() == 1 {
            for index in self.order().into_iter().take(count) {
                weights[index] = 1.0;
            }
            return Ok(weights);
        }
        let feasible: Vec<usize> =
            (0..self.measured()).filter(|index| self.violations[*index] <= 0.0).collect();
        let losses = self.losses.select(&feasible);
        let good = best_fronts(&losses, count).map_err(|error| numeric(&error))?;
        let contributions = contributions(&losses.select(&good)).map_err(|error| numeric(&error))?;
        for (place, contribution) in good.iter().zip(contributions) {
            weights[feasible[*place]] = contribution;
        }
        // Without a feasible result the least violations are all there is to go by.
        let infeasible = if good.is_empty() { 1.0 } else { LEAST_WEIGHT };
        let violating = self.order().into_iter().filter(|index| self.violations[*index] > 0.0);
        for index in violating.take(count - good.len()) {
            weights[index] = infeasible;
        }
        Ok(weights)
    }
}

/// Indices of the best `count` rows of `(n, m)` losses, front by front.
fn best_fronts(losses: &Rows, count: usize) -> Result<Vec<usize>, NumericError> {
    let mut left: Vec<usize> = (0..losses.len()).collect();
    let mut best = Vec::new();
    while best.len() < count && !left.is_empty() {
        let rows = losses.select(&left);
        let front = nondominated(&rows);
        let room = count - best.len();
        let taken = if front.len() <= room { front } else { most_volume(&rows, &front, room)? };
        best.extend(taken.iter().map(|place| left[*place]));
        let mut place = 0;
        left.retain(|_| {
            place += 1;
            !taken.contains(&(place - 1))
        });
    }
    Ok(best)
}

/// `count` of the rows `front`, each the one that adds most to the hypervolume of those chosen before it.
///
/// What a row adds only falls as others are chosen, so that a row whose gain is still the largest bound needs no rivals
/// computed (lazy greedy; Minoux, 1978).
fn most_volume(losses: &Rows, front: &[usize], count: usize) -> Result<Vec<usize>, NumericError> {
    let reference = inferred_reference(&losses.select(front));
    let mut chosen = Rows::new(losses.width());
    let (mut volume, mut picked) = (0.0, Vec::with_capacity(count));
    // Largest bound last; of equal bounds the older row is later.
    let mut bounds: Vec<(f64, usize)> = front.iter().rev().map(|row| (f64::INFINITY, *row)).collect();
    while picked.len() < count {
        let Some((_, row)) = bounds.pop() else { break };
        let mut with = chosen.clone();
        with.push_row(losses.row(row))?;
        let gain = (hypervolume(&with, &reference)? - volume).max(0.0);
        if bounds.last().is_none_or(|(bound, _)| gain >= *bound) {
            (chosen, volume) = (with, volume + gain);
            picked.push(row);
        } else {
            let place = bounds.partition_point(|(bound, other)| (*bound, row) < (gain, *other));
            bounds.insert(place, (gain, row));
        }
    }
    Ok(picked)
}

/// What the hypervolume of all rows loses without each, as a share of the largest loss and at least [`LEAST_WEIGHT`]; one
/// for a single row.
fn contributions(losses: &Rows) -> Result<Vec<f64>, NumericError> {
    let reference = inferred_reference(losses);
    let whole = hypervolume(losses, &reference)?;
    let mut lost = Vec::with_capacity(losses.len());
    for row in 0..losses.len() {
        let others: Vec<usize> = (0..losses.len()).filter(|other| *other != row).collect();
        lost.push((whole - hypervolume(&losses.select(&others), &reference)?).max(0.0));
    }
    let most = lost.iter().copied().fold(0.0, f64::max);
    Ok(lost.into_iter().map(|loss| if most > 0.0 { (loss / most).max(LEAST_WEIGHT) } else { 1.0 }).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use boxwood_core::Seed;
    use rand::RngExt;

    use super::*;

    fn results(losses: &[[f64; 2]], violations: &[f64], failed: usize) -> Results {
        Results {
            rows: Rows::from_rows(1, &vec![[0.5]; losses.len() + failed]).unwrap(),
            losses: Rows::from_rows(2, losses).unwrap(),
            violations: violations.to_vec(),
        }
    }

    #[test]
    fn fronts_come_in_order_and_a_cut_front_keeps_what_adds_most() {
        let losses = [[0.0, 4.0], [4.0, 0.0], [1.0, 1.0], [0.9, 1.2], [5.0, 5.0], [2.0, 2.0]];
        let losses = Rows::from_rows(2, &losses).unwrap();
        assert_eq!(best_fronts(&losses, 1).unwrap(), [2]);
        let mut all = best_fronts(&losses, 5).unwrap();
        assert_eq!(all.split_off(4), [5], "the second front follows the four of the first");
        assert_eq!(best_fronts(&losses, 9).unwrap().len(), 6);
    }

    #[test]
    fn lazy_choices_are_those_of_the_plain_greedy_rule() {
        let mut rng = Seed(3).rng();
        for objectives in [2, 3, 4] {
            let rows: Vec<Vec<f64>> = (0..40)
                .map(|_| {
                    let row: Vec<f64> = (0..objectives).map(|_| rng.random::<f64>()).collect();
                    let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
                    row.into_iter().map(|value| 1.0 - value / norm).collect()
                })
                .collect();
            let losses = Rows::from_rows(objectives, &rows).unwrap();
            let front = nondominated(&losses);
            let reference = inferred_reference(&losses.select(&front));
            let mut plain: Vec<usize> = Vec::new();
            for _ in 0..8 {
                let volume = |row: usize| {
                    let with = [plain.as_slice(), &[row]].concat();
                    hypervolume(&losses.select(&with), &reference).unwrap()
                };
                let rest = front.iter().copied().filter(|row| !plain.contains(row));
                plain.push(rest.max_by(|a, b| volume(*a).total_cmp(&volume(*b))).unwrap());
            }
            assert_eq!(most_volume(&losses, &front, 8).unwrap(), plain, "{objectives} objectives");
        }
    }

    #[test]
    fn feasible_results_are_good_before_infeasible_ones_and_failures_never_are() {
        let mut losses = vec![[3.0, 3.0]; 25];
        let mut violations = vec![9.0; 25];
        (losses[4], violations[4]) = ([7.0, 7.0], 0.0);
        violations[8] = 0.5;
        let weights = results(&losses, &violations, 5).good_weights().unwrap();
        let good: Vec<usize> = (0..30).filter(|index| weights[*index] > 0.0).collect();
        assert_eq!(good, [0, 4, 8]);
        assert!(weights[4] == 1.0 && weights[8] < 1e-6);
        let weights = results(&losses, &[1.0; 25], 0).good_weights().unwrap();
        assert_eq!(weights.iter().filter(|weight| **weight == 1.0).count(), 3, "nothing is feasible");
    }

    #[test]
    fn a_good_result_counts_by_what_it_adds_to_the_volume() {
        let losses = Rows::from_rows(2, &[[0.0, 1.0], [1.0, 0.0], [0.2, 0.2], [0.3, 0.3]]).unwrap();
        let weights = contributions(&losses).unwrap();
        assert_eq!((weights[2], weights[3]), (1.0, LEAST_WEIGHT));
        assert!(weights[0] > 0.01 && (weights[0] - weights[1]).abs() < 1e-12, "{weights:?}");
        assert_eq!(contributions(&Rows::from_rows(2, &[[1.0, 2.0]]).unwrap()).unwrap(), [1.0]);
    }
}
