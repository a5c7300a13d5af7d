#![allow(clippy::unwrap_used)]

use super::*;
use crate::Dimension;
use boxwood_numeric::sobol_rows;

fn layout() -> Layout {
    Layout::new(vec![Dimension::numeric(), Dimension::categorical(3), Dimension::numeric().conditional()])
}

/// Rows whose third column is active for the first choice only.
fn data(count: usize) -> (Rows, Vec<f64>) {
    let (mut rows, mut losses) = (Rows::new(3), Vec::new());
    for point in sobol_rows(count, 3, 5).unwrap().iter() {
        let choice = (point[1] * 3.0).floor();
        let third = if choice == 0.0 { point[2] } else { f64::NAN };
        rows.push_row(&[point[0], (choice + 0.5) / 3.0, third]).unwrap();
        losses.push((4.0 * point[0]).sin() + choice + if choice == 0.0 { 2.0 * third } else { 0.0 });
    }
    (rows, losses)
}

fn fit(rows: &Rows, losses: &[f64], seed: u64) -> Boosted {
    Boosted::fit(&layout(), rows, losses, &BoostedOptions::default(), seed).unwrap()
}

#[test]
fn mixed_conditional_functions_are_learned() {
    let (rows, losses) = data(300);
    let model = fit(&rows.slice(0, 200), &losses[..200], 1);
    let found = model.predict(&rows.slice(200, 300)).unwrap().mean;
    let errors =
        found.iter().zip(&losses[200..]).map(|(mean, loss)| (mean - model.to_model_scale(*loss)).powi(2));
    let error = errors.sum::<f64>() / 100.0;
    assert!(error < 0.1, "rows that it has not seen keep a tenth of unit variance: {error}");
}

#[test]
fn boosters_agree_at_the_data_and_differ_away_from_it() {
    // All results lie in the lower half of the first column; the loss is flat there, so that cuts tell nothing.
    let (all, losses) = data(60);
    let (mut rows, mut far) = (Rows::new(3), Rows::new(3));
    for row in all.iter() {
        let mut row = row.to_vec();
        row[0] *= 0.5;
        rows.push_row(&row).unwrap();
        row[0] += 0.5;
        far.push_row(&row).unwrap();
    }
    let deviation = |prior_deviation: f64, rows_at: &Rows| {
        let options = BoostedOptions { prior_deviation, ..BoostedOptions::default() };
        let model = Boosted::fit(&layout(), &rows, &losses, &options, 3).unwrap();
        let variance = model.predict(rows_at).unwrap().variance;
        (variance.iter().sum::<f64>() / variance.len() as f64).sqrt()
    };
    let (near, away) = (deviation(0.3, &rows), deviation(0.3, &far));
    assert!(away > 3.0 * near && away > 0.15, "near {near}, away {away}");
    assert!(deviation(0.0, &far) < 0.5 * away, "the prior functions are what keeps them apart");
}

#[test]
fn fits_are_reproducible_and_depend_on_the_seed() {
    let (rows, losses) = data(40);
    let (probes, _) = data(80);
    let predict = |seed| fit(&rows, &losses, seed).predict(&probes).unwrap();
    assert_eq!(predict(5), predict(5));
    assert_ne!(predict(5), predict(6));
}

#[test]
fn absorbed_results_pull_the_prediction_and_believed_ones_only_narrow_it() {
    let (rows, losses) = data(60);
    let (probes, _) = data(90);
    let probe = probes.slice(70, 71);
    let model = fit(&rows, &losses, 2);
    let before = model.predict(&probe).unwrap();
    let mut believing = model.clone();
    believing.believe(&probe).unwrap();
    let after = believing.predict(&probe).unwrap();
    assert!((after.mean[0] - before.mean[0]).abs() < 0.1, "{before:?} {after:?}");
    assert!(after.variance[0] < before.variance[0], "{before:?} {after:?}");
    let mut told = model.clone();
    let loss = model.to_loss(before.mean[0] + 2.0);
    told.absorb(&probe, &[loss]).unwrap();
    assert!(told.predict(&probe).unwrap().mean[0] > before.mean[0] + 0.3);
}

#[test]
fn hard_inputs_are_served() {
    let (rows, mut losses) = data(30);
    for count in [1, 30] {
        let model = fit(&rows.slice(0, count), &vec![4.0; count], 1);
        let prediction = model.predict(&rows).unwrap();
        assert!(prediction.mean.iter().chain(&prediction.variance).all(|value| value.is_finite()));
        assert!((model.to_loss(model.predict(&rows.slice(0, 1)).unwrap().mean[0]) - 4.0).abs() < 0.2);
    }
    losses[7] = f64::INFINITY;
    let refused = Boosted::fit(&layout(), &rows, &losses, &BoostedOptions::default(), 1);
    assert_eq!(refused.unwrap_err(), SurrogateError::TargetNotFinite { row: 7 });
    let many = BoostedOptions { tree_rows: 20, ..BoostedOptions::default() };
    losses[7] = 0.0;
    assert!(Boosted::fit(&layout(), &rows, &losses, &many, 1).unwrap().predict(&rows).is_ok());
}
