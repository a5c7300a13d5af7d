//! Averages, draws, local models, classifiers, cost models and input warps on small known problems.

#![allow(clippy::unwrap_used)]

use boxwood_numeric::{Rows, sobol_rows};
use boxwood_surrogate::{
    CostModel, Dimension, FailureForest, FailureModel, ForestOptions, GaussianProcess, GpCache, GpOptions,
    InputWarps, Layout, Posterior, local_rows,
};

fn plain() -> GpOptions {
    GpOptions { warp_targets: false, ..GpOptions::default() }
}

fn smooth(rows: &Rows) -> Vec<f64> {
    rows.iter().map(|row| (5.0 * row[0]).sin() + row[1] * row[1]).collect()
}

/// Compares gradients of a posterior with finite differences.
fn check_gradients(model: &dyn Posterior, row: &[f64], tolerance: f64) {
    let point = model.predict_gradient(row).unwrap().unwrap();
    let step = 1e-5;
    for k in 0..row.len() {
        let moved = |sign: f64| {
            let mut other = row.to_vec();
            other[k] += sign * step;
            let found = model.predict(&Rows::from_rows(row.len(), &[other]).unwrap()).unwrap();
            (found.mean[0], found.variance[0])
        };
        let (up, down) = (moved(1.0), moved(-1.0));
        let mean = (up.0 - down.0) / (2.0 * step);
        let variance = (up.1 - down.1) / (2.0 * step);
        assert!((mean - point.mean_gradient[k]).abs() < tolerance * (1.0 + mean.abs()), "mean {k}");
        let found = point.variance_gradient[k];
        assert!((variance - found).abs() < tolerance * (1.0 + variance.abs()), "variance {k}");
    }
}

#[test]
fn models_under_drawn_hyperparameters_share_the_data() {
    let rows = sobol_rows(12, 2, 4).unwrap();
    let losses: Vec<f64> = rows.iter().map(|row| (9.0 * row[0]).sin() + 0.2 * row[1]).collect();
    let options = GpOptions { posterior_draws: 16, ..plain() };
    let model = GaussianProcess::fit(&Layout::numeric(2), &rows, &losses, &options, 3).unwrap();
    let alternatives = model.alternatives().unwrap();
    println!("weights {:?}", alternatives.iter().map(|(_, weight)| weight).collect::<Vec<_>>());
    assert!(alternatives.len() >= 8, "most draws are kept, {} of 16", alternatives.len());
    assert!(alternatives.iter().all(|(_, weight)| *weight > 0.0 && *weight <= 2.0));
    let spread =
        alternatives.iter().map(|(drawn, _)| (drawn.length_scales()[1] / model.length_scales()[1]).ln());
    assert!(spread.clone().any(|log| log > 0.3) && spread.clone().any(|log| log < -0.3), "both ways");
    let probe = sobol_rows(16, 2, 9).unwrap();
    let believed = model.append_believed(&probe).unwrap();
    for ((drawn, weight), (again, same)) in alternatives.iter().zip(believed.alternatives().unwrap()) {
        assert_eq!((*weight, drawn.length_scales()), (same, again.length_scales()), "draws stay");
        let other = GaussianProcess::with_hyperparameters(
            &Layout::numeric(2),
            &rows,
            &losses,
            drawn.hyperparameters().clone(),
            &options,
        );
        let (a, b) = (drawn.predict(&probe).unwrap(), other.unwrap().predict(&probe).unwrap());
        assert!(a.mean.iter().zip(&b.mean).all(|(a, b)| (a - b).abs() < 1e-9), "the same model");
        let narrower = again.predict(&probe).unwrap();
        assert!(narrower.variance.iter().zip(&a.variance).all(|(after, before)| after < before));
    }
    assert!(
        GaussianProcess::fit(&Layout::numeric(2), &rows, &losses, &plain(), 3)
            .unwrap()
            .alternatives()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn draws_have_the_moments_of_the_posterior_and_are_kept_by_their_models() {
    let rows = sobol_rows(14, 2, 2).unwrap();
    let losses: Vec<f64> =
        smooth(&rows).iter().enumerate().map(|(k, y)| y + if k % 2 == 0 { 0.3 } else { -0.3 }).collect();
    let model = GaussianProcess::fit(&Layout::numeric(2), &rows, &losses, &plain(), 1).unwrap();
    let base = rows.slice(0, 6);
    let draws = model.condition_on_draws(&base, 512, 5).unwrap();
    let expected = model.predict(&base).unwrap();
    for k in 0..base.len() {
        let values: Vec<f64> = draws.values().iter().map(|row| row[k]).collect();
        let mean = values.iter().sum::<f64>() / 512.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 512.0;
        assert!((mean - expected.mean[k]).abs() < 0.05 * expected.variance[k].sqrt());
        assert!((variance / expected.variance[k] - 1.0).abs() < 0.1, "{variance} {}", expected.variance[k]);
    }
    let back = draws.predict(&base).unwrap();
    for k in 0..base.len() {
        assert!(back.variance[k] < 1e-3 * expected.variance[k]);
        for draw in 0..8 {
            assert!((back.mean.row(k)[draw] - draws.values().row(draw)[k]).abs() < 1e-4);
        }
    }
    // Averaged over draws the mean elsewhere is the posterior's (tower rule).
    let probe = Rows::from_rows(2, &[[0.33, 0.81]]).unwrap();
    let found = draws.predict(&probe).unwrap();
    let average = found.mean.row(0).iter().sum::<f64>() / 512.0;
    assert!((average - model.predict_mean(&probe).unwrap()[0]).abs() < 0.02);
    let point = draws.predict_gradient(probe.row(0)).unwrap();
    assert!((point.variance - found.variance[0]).abs() < 1e-10);
    let step = 1e-5;
    let up = draws.predict(&Rows::from_rows(2, &[[0.33 + step, 0.81]]).unwrap()).unwrap();
    let down = draws.predict(&Rows::from_rows(2, &[[0.33 - step, 0.81]]).unwrap()).unwrap();
    let by_variance = (up.variance[0] - down.variance[0]) / (2.0 * step);
    assert!((by_variance - point.variance_gradient[0]).abs() < 1e-5);
    for draw in [0, 100, 511] {
        let slope = (up.mean.row(0)[draw] - down.mean.row(0)[draw]) / (2.0 * step);
        assert!((slope - point.mean_gradient.row(draw)[0]).abs() < 1e-4 * (1.0 + slope.abs()));
    }
}

#[test]
fn local_models_keep_what_matters_and_stop_growing() {
    let rows = sobol_rows(500, 2, 6).unwrap();
    let losses: Vec<f64> = rows.iter().map(|row| (row[0] - 0.3).powi(2) + (row[1] - 0.6).powi(2)).collect();
    let layout = Layout::numeric(2);
    let kept = local_rows(&layout, &rows, &losses, None, 100, 1).unwrap();
    assert_eq!(kept.len(), 100);
    assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
    let mut order: Vec<usize> = (0..500).collect();
    order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
    assert!(order[..50].iter().all(|index| kept.contains(index)), "near the best");
    assert!(kept.iter().any(|&index| rows.row(index)[0] > 0.9), "the rest reaches the edges");
    let options = GpOptions { local_rows: 100, fit_rows: 60, ..plain() };
    let cache = GpCache::new();
    let cold = GaussianProcess::fit_local(&layout, &rows, &losses, &options, 1, None).unwrap();
    let warm = GaussianProcess::fit_local(&layout, &rows, &losses, &options, 1, Some(&cache)).unwrap();
    assert_eq!(cold.len(), 100);
    let probe = sobol_rows(20, 2, 3).unwrap();
    assert_eq!(cold.predict(&probe).unwrap(), warm.predict(&probe).unwrap());
    let near = Rows::from_rows(2, &[[0.31, 0.58]]).unwrap();
    let found = cold.predict_in_losses(&near).unwrap().mean[0];
    assert!(found.abs() < 0.005, "{found}");
}

#[test]
fn failures_are_learned_from_few_points() {
    let layout = Layout::new(vec![Dimension::numeric(), Dimension::numeric(), Dimension::categorical(2)]);
    let mut rows = Rows::new(3);
    for point in sobol_rows(50, 3, 8).unwrap().iter() {
        rows.push_row(&[point[0], point[1], if point[2] < 0.5 { 0.25 } else { 0.75 }]).unwrap();
    }
    // Fails for the second choice when the first number is large.
    let fails = |row: &[f64]| row[2] > 0.5 && row[0] > 0.5;
    let failed: Vec<bool> = rows.iter().map(fails).collect();
    let model = FailureModel::fit(&layout, &rows, &failed, &GpOptions::default(), 1).unwrap();
    let forest = FailureForest::fit(&layout, &rows, &failed, &ForestOptions::default(), 1).unwrap();
    let bad = Rows::from_rows(3, &[[0.85, 0.4, 0.75]]).unwrap();
    let good = Rows::from_rows(3, &[[0.85, 0.4, 0.25], [0.1, 0.4, 0.75]]).unwrap();
    assert!(model.failure_probability(&bad).unwrap()[0] > 0.75);
    assert!(model.failure_probability(&good).unwrap().iter().all(|p| *p < 0.25));
    assert!(forest.failure_probability(&bad).unwrap()[0] > 0.6);
    assert!(forest.failure_probability(&good).unwrap().iter().all(|p| *p < 0.3));
    let point = model.predict_gradient(&[0.45, 0.4, 0.75]).unwrap().unwrap();
    assert_eq!((point.mean_gradient[2], point.variance_gradient[2]), (0.0, 0.0));
    let never = FailureModel::fit(&layout, &rows, &[false; 50], &GpOptions::default(), 1).unwrap();
    let probability = never.failure_probability(&bad).unwrap()[0];
    assert!((probability - 1.0 / 52.0).abs() < 1e-9);
    assert!(FailureModel::fit(&layout, &rows, &failed[..9], &GpOptions::default(), 1).is_err());
}

#[test]
fn classifier_gradients_agree_with_finite_differences() {
    let rows = sobol_rows(30, 2, 8).unwrap();
    let failed: Vec<bool> = rows.iter().map(|row| row[0] + 0.5 * row[1] > 0.9).collect();
    let model = FailureModel::fit(&Layout::numeric(2), &rows, &failed, &GpOptions::default(), 1).unwrap();
    for row in [[0.3, 0.4], [0.7, 0.7], [0.95, 0.1]] {
        check_gradients(&model, &row, 1e-5);
    }
}

#[test]
fn costs_are_modelled_by_their_logarithm() {
    let rows = sobol_rows(30, 2, 5).unwrap();
    let seconds: Vec<f64> = rows.iter().map(|row| (1.0 + 6.0 * row[0]).exp()).collect();
    let model = CostModel::fit(&Layout::numeric(2), &rows, &seconds, &GpOptions::default(), 1).unwrap();
    let probe = Rows::from_rows(2, &[[0.2, 0.5], [0.9, 0.5]]).unwrap();
    for (found, row) in model.expected_seconds(&probe).unwrap().iter().zip(probe.iter()) {
        let expected = (1.0 + 6.0 * row[0]).exp();
        assert!((found / expected - 1.0).abs() < 0.1, "{found} {expected}");
    }
    let unit = model.to_model_scale(2.0) - model.to_model_scale(1.0);
    assert!((unit - (model.to_model_scale(1.0) - model.to_model_scale(0.0))).abs() < 1e-12, "linear");
    assert!(CostModel::fit(&Layout::numeric(2), &rows, &[f64::NAN; 30], &plain(), 1).is_err());
}

#[test]
fn input_warps_find_where_a_function_bends() {
    // All the action of this function is near zero.
    let rows = sobol_rows(40, 1, 5).unwrap();
    let losses: Vec<f64> = rows.iter().map(|row| (8.0 * row[0].powf(0.3)).sin()).collect();
    let fit = |warp_inputs| {
        let options = GpOptions { warp_inputs, ..plain() };
        GaussianProcess::fit(&Layout::numeric(1), &rows, &losses, &options, 1).unwrap()
    };
    let (without, with) = (fit(InputWarps::Off), fit(InputWarps::On));
    assert!(with.log_marginal_likelihood() > without.log_marginal_likelihood() + 1.0);
    let warp = with.hyperparameters().input_warps[0];
    assert!(warp.apply(0.1) > 0.15, "stretched near zero: {warp:?}");
    let probe = sobol_rows(50, 1, 77).unwrap();
    assert!(with.predict(&probe).unwrap().variance.iter().all(|variance| *variance > 0.0));
}
