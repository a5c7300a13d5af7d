#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Dimension, Kind, TreeCache};
use boxwood_numeric::sobol_rows;

fn mixed() -> Layout {
    Layout::new(vec![
        Dimension::numeric(),
        Dimension::categorical(4),
        Dimension::numeric().conditional(),
        Dimension { kind: Kind::Ordinal { levels: 5 }, conditional: false },
    ])
}

/// Rows whose third column is active for the first two choices only.
fn data(count: usize) -> (Rows, Vec<f64>) {
    let points = sobol_rows(count, 4, 3).unwrap();
    let (mut rows, mut losses) = (Rows::new(4), Vec::new());
    for point in points.iter() {
        let choice = (point[1] * 4.0).floor();
        let active = choice < 2.0;
        let row = [
            point[0],
            (choice + 0.5) / 4.0,
            if active { point[2] } else { f64::NAN },
            ((point[3] * 5.0).floor() + 0.5) / 5.0,
        ];
        losses.push(point[0] + choice + if active { 3.0 * point[2] } else { 0.0 });
        rows.push_row(&row).unwrap();
    }
    (rows, losses)
}

#[test]
fn forest_learns_mixed_conditional_functions() {
    let (rows, losses) = data(400);
    let forest = Forest::fit(&mixed(), &rows, &losses, &ForestOptions::default(), 1).unwrap();
    let prediction = forest.predict(&rows).unwrap();
    let error: f64 = prediction
        .mean
        .iter()
        .zip(&losses)
        .map(|(mean, &loss)| (mean - forest.to_model_scale(loss)).powi(2))
        .sum::<f64>()
        / losses.len() as f64;
    assert!(error < 0.05, "explains most of unit variance: {error}");
    assert!(prediction.variance.iter().all(|&variance| variance >= VARIANCE_FLOOR));
}

#[test]
fn forests_are_reproducible_and_trees_have_their_own_streams() {
    let (rows, losses) = data(60);
    let fit = |seed| Forest::fit(&mixed(), &rows, &losses, &ForestOptions::default(), seed).unwrap();
    // Away from the rows, which every tree knows.
    let (probes, _) = data(90);
    let probes = probes.slice(60, 90);
    assert_eq!(fit(5).predict(&probes).unwrap(), fit(5).predict(&probes).unwrap());
    assert_ne!(fit(5).predict(&probes).unwrap(), fit(6).predict(&probes).unwrap());
    let variance = fit(5).predict(&probes).unwrap().variance;
    assert!(variance.iter().any(|&value| value > VARIANCE_FLOOR), "trees differ");
}

#[test]
fn absorbed_rows_change_leaves_only() {
    // Leaves cannot split below ten rows, so that both cuts and the grown forest see the same leaf of all.
    let options = ForestOptions { split_rows: 10, ..ForestOptions::default() };
    let (rows, losses) = data(8);
    let whole = Forest::fit(&mixed(), &rows, &losses, &options, 2).unwrap();
    let mut grown = Forest::fit(&mixed(), &rows.slice(0, 5), &losses[..5], &options, 2).unwrap();
    grown.absorb(&rows.slice(5, 8), &losses[5..]).unwrap();
    let (a, b) = (whole.predict(&rows).unwrap(), grown.predict(&rows).unwrap());
    assert!((whole.to_loss(a.mean[0]) - grown.to_loss(b.mean[0])).abs() < 1e-12);
    let unit = |forest: &Forest| (forest.to_loss(1.0) - forest.to_loss(0.0)).powi(2);
    assert!((a.variance[0] * unit(&whole) - b.variance[0] * unit(&grown)).abs() < 1e-12);
}

#[test]
fn belief_narrows_the_spread_and_keeps_the_mean() {
    let (rows, losses) = data(60);
    let mut forest = Forest::fit(&mixed(), &rows, &losses, &ForestOptions::default(), 4).unwrap();
    let (probes, _) = data(90);
    let probe = probes.slice(70, 71);
    let before = forest.predict(&probe).unwrap();
    forest.believe(&probe).unwrap();
    let after = forest.predict(&probe).unwrap();
    assert!((before.mean[0] - after.mean[0]).abs() < 1e-12);
    assert!(after.variance[0] < before.variance[0], "{before:?} {after:?}");
}

#[test]
fn a_cache_changes_nothing_and_knows_its_arguments() {
    let (rows, losses) = data(30);
    let cache = TreeCache::<Forest>::default();
    let options = ForestOptions::default();
    let cached =
        |losses: &[f64], seed| cache.fit(&mixed(), &rows, losses, rows.len(), &options, seed).unwrap();
    let (first, second) = (cached(&losses, 1), cached(&losses, 1));
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    let plain = Forest::fit(&mixed(), &rows, &losses, &options, 1).unwrap();
    assert_eq!(first.predict(&rows).unwrap(), plain.predict(&rows).unwrap());
    assert!(!std::sync::Arc::ptr_eq(&first, &cached(&losses, 2)));
    let prefix = cache.fit(&mixed(), &rows, &losses, 20, &options, 1).unwrap();
    let shorter = Forest::fit(&mixed(), &rows.slice(0, 20), &losses[..20], &options, 1).unwrap();
    assert_eq!(prefix.predict(&rows).unwrap(), shorter.predict(&rows).unwrap());
    let mut other = losses.clone();
    other[3] += 1.0;
    assert!(!std::sync::Arc::ptr_eq(&first, &cached(&other, 1)));
}

#[test]
fn variance_obeys_the_law_of_total_variance() {
    // One tree on all rows that cannot split: the leaf has the variance of the standardized targets, which is one.
    let rows = Rows::from_rows(1, &[[0.5], [0.5], [0.5], [0.5]]).unwrap();
    let options = ForestOptions { trees: 3, ..ForestOptions::default() };
    let forest = Forest::fit(&Layout::numeric(1), &rows, &[0.0, 0.0, 2.0, 2.0], &options, 1).unwrap();
    let prediction = forest.predict(&rows.slice(0, 1)).unwrap();
    assert!((prediction.variance[0] - 1.0).abs() < 1e-12 && prediction.mean[0].abs() < 1e-12);
}

#[test]
fn an_exact_step_is_cut_between_its_neighbours() {
    let rows = Rows::from_rows(1, &[[0.1], [0.2], [0.3], [0.7], [0.8], [0.9]]).unwrap();
    for random_cuts in [false, true] {
        let options = ForestOptions { random_cuts, ..ForestOptions::default() };
        let forest =
            Forest::fit(&Layout::numeric(1), &rows, &[1.0, 1.0, 1.0, 5.0, 5.0, 5.0], &options, 9).unwrap();
        let probe = Rows::from_rows(1, &[[0.25], [0.5], [0.75]]).unwrap();
        let prediction = forest.predict(&probe).unwrap();
        assert!((forest.to_loss(prediction.mean[0]) - 1.0).abs() < 1e-12);
        assert!((forest.to_loss(prediction.mean[2]) - 5.0).abs() < 1e-12);
        let middle = forest.to_loss(prediction.mean[1]);
        assert!(middle > 1.2 && middle < 4.8, "random places average out: {middle}");
        assert!(prediction.variance[1] > prediction.variance[0]);
    }
}

#[test]
fn hard_inputs_are_served() {
    let layout = mixed();
    let (rows, mut losses) = data(30);
    for (count, value) in [(1, 4.0), (30, 4.0)] {
        let constant = vec![value; count];
        let forest =
            Forest::fit(&layout, &rows.slice(0, count), &constant, &ForestOptions::default(), 1).unwrap();
        let prediction = forest.predict(&rows).unwrap();
        assert!(prediction.mean.iter().all(|&mean| (forest.to_loss(mean) - value).abs() < 1e-12));
    }
    losses[7] = 1e30;
    let forest = Forest::fit(&layout, &rows, &losses, &ForestOptions::default(), 1).unwrap();
    let mean = forest.predict(&rows).unwrap().mean;
    let spread = mean.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        - mean.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(spread > 0.5, "the outlier does not flatten the rest");
    losses[7] = f64::NAN;
    let refused = Forest::fit(&layout, &rows, &losses, &ForestOptions::default(), 1);
    assert_eq!(refused.unwrap_err(), SurrogateError::TargetNotFinite { row: 7 });
}
