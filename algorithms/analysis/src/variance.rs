//! Which share of an objective's variance over the whole space each parameter and each pair of them explains: functional
//! ANOVA on a random forest (Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter
//! importance", ICML 2014).
//!
//! Where the paper integrates each tree over its boxes and averages the shares of the trees, the mean of all trees is
//! averaged here over points of a Sobol sequence: the marginal of a parameter at a value is the mean prediction of
//! [`BACKGROUND`] points that were all given this value. All values meet the same points, so that a parameter without an
//! effect gets a share of exactly 0. What three or more parameters do together adds up to one part in [`BACKGROUND`] of
//! its variance to the shares.
//!
//! Letters: d encoded dimensions.

use std::collections::BTreeMap;

use boxwood_core::{Rung, Seed, StudyView};
use boxwood_surrogate::{Forest, Layout};
use serde::Serialize;

use crate::model::{grow, layout, losses_of, sample};
use crate::observed::observed_at;

/// Fewest results of which shares are told.
const FEWEST: usize = 10;
/// Points of the space whose variance is divided.
const POINTS: usize = 1024;
/// Points that a marginal is the mean over.
const BACKGROUND: usize = 64;
/// Values of a column in a marginal of one column, and of each of two.
const VALUES: usize = 24;
const PAIR_VALUES: usize = 8;
/// Parameters whose pairs are looked at: those with the largest total shares.
const PAIRED: usize = 12;

/// Shares of an objective's variance over the space.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VarianceShares {
    /// Results that the forest saw, at most 300.
    pub observations: usize,
    /// Parameters, the largest total share first.
    pub parameters: Vec<ParameterShare>,
    /// Pairs among the twelve parameters of the largest total shares, the largest share first.
    pub pairs: Vec<PairShare>,
}

/// Shares of one parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParameterShare {
    /// Full name.
    pub parameter: String,
    /// Share of the variance explained by this parameter alone.
    pub single: f64,
    /// Share that is lost when this parameter is fixed at a random value: its own and that of all its interactions.
    pub total: f64,
}

/// Share of what two parameters do together beyond what each does alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairShare {
    /// Full name of the one.
    pub first: String,
    /// Full name of the other.
    pub second: String,
    /// Share of the variance.
    pub share: f64,
}

/// Shares of the variance of an objective, as a forest on the results of one rung predicts it, over the whole space
/// (Hutter, Hoos and Leyton-Brown, ICML 2014; total shares by the estimator of Jansen, 1999).
///
/// `None` with fewer than ten finite results, an unknown objective, or where no forest can be grown. All shares are 0
/// where the forest predicts the same everywhere.
pub fn variance_shares(view: &StudyView, objective: usize, rung: Rung) -> Option<VarianceShares> {
    view.problem().objectives().get(objective)?;
    let (space, seed) = (view.problem().space(), view.problem().seed());
    let known = sample(&observed_at(view, rung), objective, seed);
    if known.len() < FEWEST {
        return None;
    }
    let layout = layout(space);
    let forest = grow(&layout, &known, seed)?;
    let points = space.sobol(Seed(seed).derive("variance", 0).0, 0, POINTS);
    let marginals = Marginals { forest, layout, points };
    let predicted = marginals.predict(&marginals.points)?;
    let variance = variance(&predicted);
    let share = |part: f64| if variance > 0.0 { part / variance } else { 0.0 };
    let dimensions = space.dimensions();
    let mut found = Vec::with_capacity(dimensions.len());
    for column in 0..dimensions.len() {
        found.push((column, share(marginals.single(column)?), share(marginals.total(column, &predicted)?)));
    }
    found.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let name = |column: usize| dimensions[column].name.clone();
    let mut pairs = Vec::new();
    let chosen: Vec<usize> = found.iter().take(PAIRED).map(|(column, ..)| *column).collect();
    for (position, first) in chosen.iter().enumerate() {
        for second in &chosen[position + 1..] {
            let share = share(marginals.pair(*first, *second)?);
            pairs.push(PairShare { first: name(*first), second: name(*second), share });
        }
    }
    pairs.sort_by(|a, b| b.share.total_cmp(&a.share));
    let parameters = found.into_iter().map(|(column, single, total)| ParameterShare {
        parameter: name(column),
        single,
        total,
    });
    Some(VarianceShares { observations: known.len(), parameters: parameters.collect(), pairs })
}

/// Mean predictions over points that share some values.
struct Marginals {
    forest: Forest,
    layout: Layout,
    points: Vec<Vec<f64>>,
}

impl Marginals {
    fn predict(&self, rows: &[Vec<f64>]) -> Option<Vec<f64>> {
        losses_of(&self.forest, &self.layout, rows)
    }

    /// Values of a column with their weights: all of them where they are few, else as many quantiles.
    fn values(&self, column: usize, most: usize) -> Vec<(f64, f64)> {
        let mut sorted: Vec<f64> = self.points.iter().map(|row| row[column]).collect();
        sorted.sort_by(f64::total_cmp);
        let mut counts: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for value in &sorted {
            counts.entry(value.to_bits()).or_insert((*value, 0.0)).1 += 1.0 / sorted.len() as f64;
        }
        if counts.len() <= most {
            return counts.into_values().collect();
        }
        let at = |i: usize| sorted[(2 * i + 1) * sorted.len() / (2 * most)];
        (0..most).map(|i| (at(i), 1.0 / most as f64)).collect()
    }

    /// Mean prediction of the background with some of its columns set.
    fn mean(&self, set: &[(usize, f64)]) -> Option<f64> {
        let count = BACKGROUND.min(self.points.len());
        let mut rows = self.points[..count].to_vec();
        for row in &mut rows {
            for (column, value) in set {
                row[*column] = *value;
            }
        }
        Some(self.predict(&rows)?.iter().sum::<f64>() / count as f64)
    }

    /// Variance of the marginal of a column.
    fn single(&self, column: usize) -> Option<f64> {
        let values = self.values(column, VALUES);
        let means = values.iter().map(|(value, weight)| Some((self.mean(&[(column, *value)])?, *weight)));
        let means = means.collect::<Option<Vec<_>>>()?;
        let center: f64 = means.iter().map(|(mean, weight)| mean * weight).sum();
        Some(means.iter().map(|(mean, weight)| weight * (mean - center).powi(2)).sum())
    }

    /// Variance of the marginal of two columns less what each explains alone.
    fn pair(&self, first: usize, second: usize) -> Option<f64> {
        let (rows, columns) = (self.values(first, PAIR_VALUES), self.values(second, PAIR_VALUES));
        let mut cells = Vec::with_capacity(rows.len());
        for (a, _) in &rows {
            let row = columns.iter().map(|(b, _)| self.mean(&[(first, *a), (second, *b)]));
            cells.push(row.collect::<Option<Vec<f64>>>()?);
        }
        let of_row = |i: usize| -> f64 { columns.iter().zip(&cells[i]).map(|((_, w), cell)| w * cell).sum() };
        let of_rows: Vec<f64> = (0..rows.len()).map(of_row).collect();
        let of_column = |j: usize| -> f64 { rows.iter().zip(&cells).map(|((_, w), row)| w * row[j]).sum() };
        let of_columns: Vec<f64> = (0..columns.len()).map(of_column).collect();
        let center: f64 = rows.iter().zip(&of_rows).map(|((_, w), mean)| w * mean).sum();
        let mut share = 0.0;
        for (i, (_, of_first)) in rows.iter().enumerate() {
            for (j, (_, of_second)) in columns.iter().enumerate() {
                let together = cells[i][j] - of_rows[i] - of_columns[j] + center;
                share += of_first * of_second * together.powi(2);
            }
        }
        Some(share)
    }

    /// Half the mean squared change of the prediction when a column's value comes from another point (Jansen, 1999).
    fn total(&self, column: usize, predicted: &[f64]) -> Option<f64> {
        let count = self.points.len();
        let mut rows = self.points.clone();
        for (i, row) in rows.iter_mut().enumerate() {
            row[column] = self.points[(i + count / 2) % count][column];
        }
        let changes = self.predict(&rows)?.into_iter().zip(predicted).map(|(a, b)| (a - b).powi(2));
        Some(0.5 * changes.sum::<f64>() / count as f64)
    }
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixture::Study;

    const SPACE: &str = r#"{"name":"a","type":"float","low":0,"high":1},{"name":"b","type":"float","low":0,"high":1},
        {"name":"c","type":"float","low":0,"high":1},{"name":"k","type":"categorical","choices":["p","q","r"]}"#;

    fn study(count: usize, loss: impl Fn(&[f64]) -> f64) -> Study {
        let mut study = Study::new(SPACE, 1);
        let space = study.view().problem().space().clone();
        for row in space.sobol(5, 0, count) {
            let point = serde_json::to_string(&space.decode(&row)).unwrap();
            study.add(&point, &[vec![loss(&row)]]);
        }
        study
    }

    fn of(found: &VarianceShares, name: &str) -> (f64, f64) {
        let share = found.parameters.iter().find(|share| share.parameter == name).unwrap();
        (share.single, share.total)
    }

    fn pair(found: &VarianceShares, names: [&str; 2]) -> f64 {
        let both = |pair: &&PairShare| names.contains(&&*pair.first) && names.contains(&&*pair.second);
        found.pairs.iter().find(both).unwrap().share
    }

    #[test]
    fn a_sum_has_the_shares_of_its_terms() {
        // Variances of 3 a and of b, uniform: 9 to 1.
        let found = variance_shares(&study(280, |row| 3.0 * row[0] + row[1]).view(), 0, Rung(0)).unwrap();
        assert!((of(&found, "a").0 - 0.9).abs() < 0.05, "{found:?}");
        assert!((of(&found, "b").0 - 0.1).abs() < 0.05, "{found:?}");
        assert!(of(&found, "c").1 < 0.02 && of(&found, "k").1 < 0.02, "{found:?}");
        assert!(found.pairs.iter().all(|pair| pair.share < 0.03), "{found:?}");
        assert_eq!(found.parameters[0].parameter, "a");
    }

    /// The same forest, integrated over a grid of all cells: no sequence of points, no background, no quantiles.
    #[test]
    fn shares_are_those_of_an_integral_over_a_fine_grid() {
        const SIDE: usize = 20;
        let space = r#"{"name":"a","type":"float","low":0,"high":1},{"name":"b","type":"float","low":0,"high":1},
            {"name":"c","type":"float","low":0,"high":1}"#;
        let mut study = Study::new(space, 1);
        let space = study.view().problem().space().clone();
        for row in space.sobol(5, 0, 200) {
            let loss = (6.0 * row[0]).sin() + 2.0 * row[0] * row[1] + 0.5 * row[2];
            study.add(&serde_json::to_string(&space.decode(&row)).unwrap(), &[vec![loss]]);
        }
        let view = study.view();
        let found = variance_shares(&view, 0, Rung(0)).unwrap();
        let known = sample(&observed_at(&view, Rung(0)), 0, view.problem().seed());
        let layout = layout(view.problem().space());
        let forest = grow(&layout, &known, view.problem().seed()).unwrap();
        let at = |step: usize| (step as f64 + 0.5) / SIDE as f64;
        let cells = SIDE.pow(3);
        let steps = |cell: usize| [cell / (SIDE * SIDE), cell / SIDE % SIDE, cell % SIDE];
        let rows: Vec<Vec<f64>> = (0..cells).map(|cell| steps(cell).map(at).to_vec()).collect();
        let values = losses_of(&forest, &layout, &rows).unwrap();
        let whole = variance(&values);
        // Variance of the means over all cells that agree in some columns.
        let explained = |columns: &[usize]| {
            let mut sums: BTreeMap<Vec<usize>, (f64, f64)> = BTreeMap::new();
            for (cell, value) in values.iter().enumerate() {
                let key = columns.iter().map(|column| steps(cell)[*column]).collect();
                let sum = sums.entry(key).or_default();
                *sum = (sum.0 + value, sum.1 + 1.0);
            }
            variance(&sums.values().map(|(sum, count)| sum / count).collect::<Vec<_>>()) / whole
        };
        for (column, name) in ["a", "b", "c"].into_iter().enumerate() {
            let others: Vec<usize> = (0..3).filter(|other| *other != column).collect();
            let (single, total) = (explained(&[column]), 1.0 - explained(&others));
            println!("{name}: {:?}, on the grid {single} and {total}", of(&found, name));
            assert!((of(&found, name).0 - single).abs() < 0.02, "{name}: {found:?}, on the grid {single}");
            // Half the points are the others' partners: the estimate of what is lost is the coarser one.
            assert!((of(&found, name).1 - total).abs() < 0.05, "{name}: {found:?}, on the grid {total}");
        }
        let together = explained(&[0, 1]) - explained(&[0]) - explained(&[1]);
        assert!((pair(&found, ["a", "b"]) - together).abs() < 0.03, "{found:?}, on the grid {together}");
    }

    #[test]
    fn a_product_is_an_interaction() {
        // Centred factors: the interaction of a and b is all there is.
        let found = variance_shares(
            &study(300, |row| (row[0] - 0.5) * (row[1] - 0.5) + 0.01 * row[2]).view(),
            0,
            Rung(0),
        )
        .unwrap();
        assert!(pair(&found, ["a", "b"]) > 0.5, "{found:?}");
        assert!(pair(&found, ["a", "c"]) < 0.1 && pair(&found, ["b", "k"]) < 0.1, "{found:?}");
        assert!(of(&found, "a").0 < 0.2 && of(&found, "a").1 > 0.6, "{found:?}");
    }

    #[test]
    fn a_category_alone() {
        let found = variance_shares(&study(120, |row| (row[3] * 3.0).floor()).view(), 0, Rung(0)).unwrap();
        let (single, total) = of(&found, "k");
        assert!(single > 0.9 && total > 0.9, "{found:?}");
    }

    #[test]
    fn nothing_to_tell() {
        assert_eq!(variance_shares(&study(9, |row| row[0]).view(), 0, Rung(0)), None);
        assert_eq!(variance_shares(&study(20, |row| row[0]).view(), 1, Rung(0)), None);
        let flat = variance_shares(&study(20, |_| 1.0).view(), 0, Rung(0)).unwrap();
        assert!(flat.parameters.iter().all(|share| share.single == 0.0 && share.total == 0.0), "{flat:?}");
    }

    #[test]
    fn the_order_of_trials_does_not_matter() {
        let mut study = study(40, |row| row[0] * row[1]);
        let first = variance_shares(&study.view(), 0, Rung(0));
        study.trials.reverse();
        assert_eq!(variance_shares(&study.view(), 0, Rung(0)), first);
    }
}
