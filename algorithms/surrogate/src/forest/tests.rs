#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Dimension, Kind};
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
    assert_eq!(fit(5).predict(&rows).unwrap(), fit(5).predict(&rows).unwrap());
    assert_ne!(fit(5).predict(&rows).unwrap(), fit(6).predict(&rows).unwrap());
    let variance = fit(5).predict(&rows).unwrap().variance;
    assert!(variance.iter().any(|&value| value > VARIANCE_FLOOR), "trees differ");
}

#[test]
fn variance_obeys_the_law_of_total_variance() {
    // One tree on all rows that cannot split: the leaf has the variance of the standardized targets, which is one.
    let rows = Rows::from_rows(1, &[[0.5], [0.5], [0.5], [0.5]]).unwrap();
    let options = ForestOptions { trees: 3, bootstrap: false, ..ForestOptions::default() };
    let forest = Forest::fit(&Layout::numeric(1), &rows, &[0.0, 0.0, 2.0, 2.0], &options, 1).unwrap();
    let prediction = forest.predict(&rows.slice(0, 1)).unwrap();
    assert!((prediction.variance[0] - 1.0).abs() < 1e-12 && prediction.mean[0].abs() < 1e-12);
}

#[test]
fn an_exact_step_is_cut_between_its_neighbours() {
    let rows = Rows::from_rows(1, &[[0.1], [0.2], [0.3], [0.7], [0.8], [0.9]]).unwrap();
    let options = ForestOptions { trees: 20, bootstrap: false, ..ForestOptions::default() };
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
