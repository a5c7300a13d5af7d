#![allow(clippy::unwrap_used)]

use super::*;
use crate::{FitPart, GaussianProcess, GpOptions, Layout};
use boxwood_numeric::{Rows, sobol_rows};

fn options() -> GpOptions {
    GpOptions { warp_targets: false, starts: 1, ..GpOptions::default() }
}

fn bowl(rows: &Rows, center: f64) -> Vec<f64> {
    rows.iter().map(|row| (row[0] - center).powi(2) + 0.3 * row[1]).collect()
}

fn source(center: f64, sign: f64) -> Arc<dyn Posterior> {
    let rows = sobol_rows(30, 2, 17).unwrap();
    let losses: Vec<f64> = bowl(&rows, center).iter().map(|loss| sign * loss).collect();
    Arc::new(GaussianProcess::fit(&Layout::numeric(2), &rows, &losses, &options(), 1).unwrap())
}

fn fit_target(rows: &Rows, losses: &[f64]) -> Result<Arc<dyn Posterior>, SurrogateError> {
    Ok(Arc::new(GaussianProcess::fit(&Layout::numeric(2), rows, losses, &options(), 1)?))
}

/// A close source, one that is turned upside down, and a target in the order of time.
fn case(count: usize) -> (Vec<Arc<dyn Posterior>>, Rows, Vec<f64>) {
    let rows = sobol_rows(count, 2, 99).unwrap();
    let losses = bowl(&rows, 0.5);
    (vec![source(0.52, 1.0), source(0.5, -1.0)], rows, losses)
}

fn check_simplex(weights: &TransferWeights) {
    let total: f64 = weights.sources.iter().sum::<f64>() + weights.target;
    assert!(
        (total - 1.0).abs() < 1e-12 && weights.sources.iter().all(|weight| *weight >= 0.0),
        "{weights:?}"
    );
}

#[test]
fn every_method_prefers_the_source_that_agrees() {
    for count in [4, 12] {
        let (sources, rows, losses) = case(count);
        let fit: &FitPart<'_> = &fit_target;
        let target = fit_target(&rows, &losses).unwrap();
        let ranking = rgpe_weights(&sources, &rows, &losses, fit, 50, 3).unwrap();
        let stages = two_stage_weights(&sources, &rows, &losses).unwrap();
        let convex = trans_bo_weights(&sources, target.as_ref(), &rows, &losses, fit, None).unwrap();
        for weights in [&ranking, &stages, &convex] {
            check_simplex(weights);
            assert!(weights.sources[0] > 0.2, "{weights:?}");
            assert!(weights.sources[1] < 0.05, "{weights:?}");
        }
        assert!(convex.target >= if count < 10 { 0.0 } else { 0.3 });
        assert_eq!(ranking, rgpe_weights(&sources, &rows, &losses, fit, 50, 3).unwrap());
        let ensemble =
            transfer_ensemble(&sources, Arc::clone(&target), &ranking, Combination::IndependentSum).unwrap();
        assert!(ensemble.predict(&rows).unwrap().variance.iter().all(|variance| *variance > 0.0));
        assert_eq!(ensemble.to_loss(0.3), target.to_loss(0.3));
    }
}

#[test]
fn shares_do_not_fall_and_negative_transfer_is_switched_off() {
    let (sources, rows, losses) = case(12);
    let target = fit_target(&rows, &losses).unwrap();
    let later = trans_bo_weights(&sources, target.as_ref(), &rows, &losses, &fit_target, Some(0.8)).unwrap();
    assert!(later.target >= 0.8 - 1e-12);
    let found = agreements(&sources, &rows, &losses).unwrap();
    assert!(found[0] > 0.8 && found[1] < -0.8, "{found:?}");
    let experts = uniform_expert_weights(2);
    assert_eq!((experts.sources.clone(), experts.target), (vec![0.25, 0.25], 0.5));
    let clean = experts.without_negative_transfer(&found);
    check_simplex(&clean);
    assert_eq!(clean.sources[1], 0.0);
    assert!((clean.target - 2.0 / 3.0).abs() < 1e-12);
    let nothing = experts.without_negative_transfer(&[-1.0, -1.0]);
    assert_eq!((nothing.sources, nothing.target), (vec![0.0, 0.0], 1.0));
}

#[test]
fn without_observations_sources_lead() {
    let (sources, _, _) = case(4);
    let weights = rgpe_weights(&sources, &Rows::new(2), &[], &fit_target, 50, 3).unwrap();
    assert_eq!((weights.sources, weights.target), (vec![0.5, 0.5], 0.0));
    assert!(rgpe_weights(&sources, &Rows::new(2), &[1.0], &fit_target, 50, 3).is_err());
    let alone = rgpe_weights(&[], &Rows::new(2), &[], &fit_target, 50, 3).unwrap();
    assert_eq!(alone.target, 1.0);
}

#[test]
fn the_target_variance_is_kept_when_asked_for() {
    let (sources, rows, losses) = case(12);
    let target = fit_target(&rows, &losses).unwrap();
    let weights = two_stage_weights(&sources, &rows, &losses).unwrap();
    let ensemble =
        transfer_ensemble(&sources, Arc::clone(&target), &weights, Combination::TargetVariance).unwrap();
    let probe = sobol_rows(10, 2, 7).unwrap();
    assert_eq!(ensemble.predict(&probe).unwrap().variance, target.predict(&probe).unwrap().variance);
    check_gradient(&ensemble);
}

#[test]
fn a_stack_transfers_and_counts_nothing_twice() {
    let many = sobol_rows(30, 2, 17).unwrap();
    // Another unit, the same shape.
    let source_losses: Vec<f64> = bowl(&many, 0.5).iter().map(|loss| 1000.0 * loss + 7.0).collect();
    let rows = sobol_rows(6, 2, 99).unwrap();
    let losses = bowl(&rows, 0.5);
    let layout = Layout::numeric(2);
    let stack =
        StackedTransfer::fit(&layout, &[(many, source_losses)], &rows, &losses, &options(), 1).unwrap();
    check_gradient(&stack);
    let probe = sobol_rows(100, 2, 41).unwrap();
    let truth = bowl(&probe, 0.5);
    let alone = GaussianProcess::fit(&layout, &rows, &losses, &options(), 1).unwrap();
    let error = |model: &dyn Posterior| -> f64 {
        let means = model.predict_mean(&probe).unwrap();
        means.iter().zip(&truth).map(|(&mean, loss)| (model.to_loss(mean) - loss).powi(2)).sum()
    };
    assert!(error(&stack) < error(&alone), "{} {}", error(&stack), error(&alone));
    // With no source it is the target's own process.
    let single = StackedTransfer::fit(&layout, &[], &rows, &losses, &options(), 1).unwrap();
    for (a, b) in single.predict_mean(&probe).unwrap().iter().zip(alone.predict_mean(&probe).unwrap()) {
        assert!((single.to_loss(*a) - alone.to_loss(b)).abs() < 0.05);
    }
}

fn check_gradient(model: &dyn Posterior) {
    let row = [0.37, 0.61];
    let point = model.predict_gradient(&row).unwrap().unwrap();
    let step = 1e-5;
    for k in 0..2 {
        let moved = |sign: f64| {
            let mut other = row;
            other[k] += sign * step;
            let found = model.predict(&Rows::from_rows(2, &[other]).unwrap()).unwrap();
            (found.mean[0], found.variance[0])
        };
        let (up, down) = (moved(1.0), moved(-1.0));
        assert!(((up.0 - down.0) / (2.0 * step) - point.mean_gradient[k]).abs() < 1e-5);
        assert!(((up.1 - down.1) / (2.0 * step) - point.variance_gradient[k]).abs() < 1e-5);
    }
}

#[test]
fn copula_values_keep_the_order_and_forget_the_unit() {
    let losses = [3.0, 1.0, 2.0, 2.0, 1e30];
    let values = copula_values(&losses);
    assert!(
        values[1] < values[2] && values[2] == values[3] && values[3] < values[0] && values[0] < values[4]
    );
    assert!(values.iter().all(|value| value.abs() < 3.0));
    let other: Vec<f64> = losses.iter().map(|loss| loss / 7.0 - 3.0).collect();
    assert_eq!(copula_values(&other), values);
    assert_eq!(copula_values(&[4.0]), [0.0]);
}
