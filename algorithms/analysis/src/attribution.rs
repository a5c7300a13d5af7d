//! Why a trial came out as it did: Shapley values of its parameters (Lundberg and Lee, "A unified approach to interpreting
//! model predictions", `NeurIPS` 2017).
//!
//! The game of a trial: a coalition of columns is worth the mean prediction, by a random forest, of [`BACKGROUND`] other
//! trials that were given the trial's values in these columns (the interventional expectation). Up to [`EXACT`] columns
//! all coalitions are looked at, else [`ORDERS`] random orders and their reverses (Castro, Gómez and Tejada, "Polynomial
//! calculation of the Shapley value based on sampling", 2009). Either way the contributions add up to the prediction less
//! the base.
//!
//! Letters: d encoded dimensions.

use boxwood_core::{Loss, Rung, StudyView, TrialNumber};
use boxwood_numeric::mix_seed;
use boxwood_surrogate::{Forest, Layout};
use serde::Serialize;

use crate::model::{grow, layout, losses_of, sample};
use crate::observed::observed_at;

/// Fewest results of which contributions are told.
const FEWEST: usize = 10;
/// Trials that the others' values come from.
const BACKGROUND: usize = 32;
/// Most columns whose coalitions are all looked at.
const EXACT: usize = 10;
/// Random orders beyond that, each followed by its reverse.
const ORDERS: usize = 32;

/// What a trial's parameters contributed to its predicted value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribution {
    /// The trial.
    pub trial: TrialNumber,
    /// Measured value of the metric, native units.
    pub measured: f64,
    /// Prediction of the forest, native units: `base` plus all contributions.
    pub predicted: f64,
    /// Mean prediction of the trials that this one is compared with, native units.
    pub base: f64,
    /// Contributions of all parameters with a dimension, the largest in size first.
    pub contributions: Vec<Contribution>,
}

/// What one parameter contributed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contribution {
    /// Full name of the parameter.
    pub parameter: String,
    /// By how much it raises the metric, native units.
    pub effect: f64,
}

/// Contributions of the parameters to the given trials' values of an objective at one rung, in the order of the given
/// trials; those without a result there are left out.
///
/// `None` with fewer than ten finite results, an unknown objective, or where no forest can be grown.
pub fn attributions(
    view: &StudyView,
    objective: usize,
    rung: Rung,
    trials: &[TrialNumber],
) -> Option<Vec<Attribution>> {
    let declared = view.problem().objectives().get(objective)?;
    let (space, seed) = (view.problem().space(), view.problem().seed());
    let observed = observed_at(view, rung);
    let known = sample(&observed, objective, seed);
    if known.len() < FEWEST {
        return None;
    }
    let layout = layout(space);
    let forest = grow(&layout, &known, seed)?;
    let mut order: Vec<usize> = (0..known.len()).collect();
    order.sort_by_key(|index| mix_seed(seed, *index as u64));
    let background = order.into_iter().take(BACKGROUND).map(|index| known[index].0.clone()).collect();
    let mut game = Game { forest, layout, background, row: Vec::new() };
    let mut found = Vec::with_capacity(trials.len());
    for trial in trials {
        let Some(observed) = observed.iter().find(|observed| observed.trial.number == *trial) else {
            continue;
        };
        let Some(loss) = observed.result.losses.get(objective).and_then(|loss| Loss::new(*loss).ok()) else {
            continue;
        };
        game.row.clone_from(&observed.trial.encoded);
        let values = game.shapley(seed)?;
        let native = |loss: f64| Loss::new(loss).map(|loss| declared.native(loss)).ok();
        let names = space.dimensions().iter().map(|dimension| dimension.name.clone());
        // Losses are native values with or without their sign: an effect on the loss turns like the loss.
        let effects = values.effects.iter().map(|effect| native(*effect)).collect::<Option<Vec<f64>>>()?;
        let mut contributions: Vec<Contribution> =
            names.zip(effects).map(|(parameter, effect)| Contribution { parameter, effect }).collect();
        contributions.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
        found.push(Attribution {
            trial: *trial,
            measured: declared.native(loss),
            predicted: native(values.predicted)?,
            base: native(values.base)?,
            contributions,
        });
    }
    Some(found)
}

/// Shapley values with the worth of no column and of all columns.
struct Values {
    base: f64,
    predicted: f64,
    effects: Vec<f64>,
}

/// The game of one row.
struct Game {
    forest: Forest,
    layout: Layout,
    background: Vec<Vec<f64>>,
    row: Vec<f64>,
}

impl Game {
    /// Mean predicted loss of the background with the row's values in some columns.
    fn worth(&self, holds: impl Fn(usize) -> bool) -> Option<f64> {
        let mix = |other: &Vec<f64>| {
            let columns = other.iter().zip(&self.row).enumerate();
            columns.map(|(column, (other, own))| if holds(column) { *own } else { *other }).collect()
        };
        let rows: Vec<Vec<f64>> = self.background.iter().map(mix).collect();
        Some(losses_of(&self.forest, &self.layout, &rows)?.iter().sum::<f64>() / rows.len() as f64)
    }

    fn shapley(&self, seed: u64) -> Option<Values> {
        let (base, predicted) = (self.worth(|_| false)?, self.worth(|_| true)?);
        let effects = if self.row.len() <= EXACT { self.exact()? } else { self.sampled(seed)? };
        Some(Values { base, predicted, effects })
    }

    /// Over all coalitions, each weighted by `|S|! (d - |S| - 1)! / d!`.
    fn exact(&self) -> Option<Vec<f64>> {
        let d = self.row.len();
        let worths = (0..1_usize << d).map(|set| self.worth(|column| set >> column & 1 == 1));
        let worths = worths.collect::<Option<Vec<f64>>>()?;
        let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
        let effect = |column: usize| -> f64 {
            let without = (0..worths.len()).filter(|set| set >> column & 1 == 0);
            let parts = without.map(|set| {
                let size = set.count_ones() as usize;
                let weight = factorial(size) * factorial(d - size - 1) / factorial(d);
                weight * (worths[set | 1 << column] - worths[set])
            });
            parts.sum()
        };
        Some((0..d).map(effect).collect())
    }

    /// Mean marginal contributions over random orders and their reverses.
    fn sampled(&self, seed: u64) -> Option<Vec<f64>> {
        let d = self.row.len();
        let mut effects = vec![0.0; d];
        let mut order: Vec<usize> = (0..d).collect();
        for round in 0..ORDERS {
            order.sort_by_key(|column| mix_seed(seed, (round * d + column) as u64));
            for reversed in [false, true] {
                let mut inside = vec![false; d];
                let mut before = self.worth(|_| false)?;
                for step in 0..d {
                    let column = order[if reversed { d - 1 - step } else { step }];
                    inside[column] = true;
                    let after = self.worth(|column| inside[column])?;
                    effects[column] += (after - before) / (2 * ORDERS) as f64;
                    before = after;
                }
            }
        }
        Some(effects)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::fixture::Study;

    fn study(goal: &str, d: usize, count: usize, loss: impl Fn(&[f64]) -> f64) -> Study {
        let parameter = |i| format!(r#"{{"name":"x{i}","type":"float","low":0,"high":1}}"#);
        let parameters: Vec<String> = (0..d).map(parameter).collect();
        let space = format!(r#"{{"parameters":[{}]}}"#, parameters.join(","));
        let mut study = Study::of_space(&space, 1, goal);
        let space = study.view().problem().space().clone();
        for row in space.sobol(5, 0, count) {
            let point = serde_json::to_string(&space.decode(&row)).unwrap();
            study.add(&point, &[vec![loss(&row)]]);
        }
        study
    }

    fn effect(found: &Attribution, name: &str) -> f64 {
        found.contributions.iter().find(|contribution| contribution.parameter == name).unwrap().effect
    }

    #[test]
    fn a_sum_is_divided_by_its_terms() {
        let study = study("minimize", 3, 200, |row| 4.0 * row[0] - 2.0 * row[1]);
        let found = attributions(&study.view(), 0, Rung(0), &[TrialNumber(7), TrialNumber(900)]).unwrap();
        assert_eq!(found.len(), 1, "trial 900 does not exist");
        let row = &study.trials[6].encoded;
        assert!((effect(&found[0], "x0") - 4.0 * (row[0] - 0.5)).abs() < 0.5, "{found:?} of {row:?}");
        assert!((effect(&found[0], "x1") + 2.0 * (row[1] - 0.5)).abs() < 0.5, "{found:?} of {row:?}");
        assert!(effect(&found[0], "x2").abs() < 0.1, "{found:?}");
    }

    #[test]
    fn what_is_maximized_keeps_its_sign() {
        // The loss falls with x0, so the metric rises with it.
        let study = study("maximize", 2, 100, |row| -row[0]);
        let best = study.trials.iter().max_by(|a, b| a.encoded[0].total_cmp(&b.encoded[0])).unwrap();
        let found = &attributions(&study.view(), 0, Rung(0), &[best.number]).unwrap()[0];
        assert!(effect(found, "x0") > 0.3 && found.predicted > found.base, "{found:?}");
        assert!((found.measured - best.encoded[0]).abs() < 1e-12);
    }

    #[test]
    fn sampled_orders_agree_with_all_coalitions() {
        let study = study("minimize", 6, 120, |row| row[0] * row[1] + row[2] + (3.0 * row[3]).sin());
        let view = study.view();
        let known = sample(&observed_at(&view, Rung(0)), 0, 0);
        let layout = layout(view.problem().space());
        let forest = grow(&layout, &known, 0).unwrap();
        let background = known.iter().skip(40).take(BACKGROUND).map(|(row, _)| row.clone()).collect();
        let game = Game { forest, layout, background, row: known[3].0.clone() };
        for (exact, sampled) in game.exact().unwrap().into_iter().zip(game.sampled(9).unwrap()) {
            assert!((exact - sampled).abs() < 0.03, "{exact} against {sampled}");
        }
    }

    /// All orders of some columns.
    fn orders(columns: &[usize]) -> Vec<Vec<usize>> {
        if columns.is_empty() {
            return vec![Vec::new()];
        }
        let mut found = Vec::new();
        for (place, first) in columns.iter().enumerate() {
            let rest = [&columns[..place], &columns[place + 1..]].concat();
            found.extend(orders(&rest).into_iter().map(|order| [vec![*first], order].concat()));
        }
        found
    }

    #[test]
    fn values_are_the_mean_contributions_over_all_orders() {
        for d in 1..=6 {
            let study = study("minimize", d, 60, |row| {
                row.iter().product::<f64>() + (4.0 * row[0]).sin() * row[d - 1]
            });
            let view = study.view();
            let known = sample(&observed_at(&view, Rung(0)), 0, 0);
            let layout = layout(view.problem().space());
            let forest = grow(&layout, &known, 0).unwrap();
            let background = known.iter().skip(20).take(12).map(|(row, _)| row.clone()).collect();
            let game = Game { forest, layout, background, row: known[3].0.clone() };
            // Each coalition's worth once, by the bits of its columns.
            let worth = |set: usize| game.worth(|column| set >> column & 1 == 1).unwrap();
            let worths: Vec<f64> = (0..1 << d).map(worth).collect();
            let all = orders(&(0..d).collect::<Vec<_>>());
            let mut expected = vec![0.0; d];
            for order in &all {
                let mut set = 0;
                for column in order {
                    let grown = set | 1 << column;
                    expected[*column] += (worths[grown] - worths[set]) / all.len() as f64;
                    set = grown;
                }
            }
            let found = game.exact().unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-12, "{d} columns: {found} against {expected}");
            }
            let sum: f64 = found.iter().sum();
            assert!((sum - (worths[(1 << d) - 1] - worths[0])).abs() < 1e-12);
        }
    }

    #[test]
    fn too_little_is_no_answer() {
        let few = study("minimize", 2, 9, |row| row[0]);
        assert_eq!(attributions(&few.view(), 0, Rung(0), &[TrialNumber(1)]), None);
        let enough = study("minimize", 2, 12, |row| row[0]);
        assert_eq!(attributions(&enough.view(), 1, Rung(0), &[TrialNumber(1)]), None);
        assert_eq!(attributions(&enough.view(), 0, Rung(0), &[]), Some(Vec::new()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn contributions_add_up(d in prop::sample::select(vec![1_usize, 2, 5, 12]), slope in -3.0..3.0_f64, trial in 1..30_u32) {
            let study = study("maximize", d, 30, |row| slope * row[0] + row.iter().product::<f64>());
            let found = attributions(&study.view(), 0, Rung(0), &[TrialNumber(trial)]).unwrap();
            let sum: f64 = found[0].contributions.iter().map(|contribution| contribution.effect).sum();
            prop_assert!((found[0].base + sum - found[0].predicted).abs() < 1e-9, "{:?}", found);
        }
    }
}
