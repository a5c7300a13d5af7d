#![allow(clippy::unwrap_used)]

use super::objective::Objective;
use super::*;
use crate::kernel::Kernel;
use crate::{Dimension, Kind, Layout, MeanVariance, Posterior, SurrogateError, Warp};
use boxwood_numeric::{Rows, sobol_rows};

/// Numbers, an ordinal, a category, a conditional number and a conditional category.
fn mixed() -> Layout {
    Layout::new(vec![
        Dimension::numeric(),
        Dimension { kind: Kind::Ordinal { levels: 4 }, conditional: false },
        Dimension::categorical(3),
        Dimension::numeric().conditional(),
        Dimension::categorical(2).conditional(),
    ])
}

/// Rows in which the two last columns are active for the first choice only.
fn data(count: usize) -> (Rows, Vec<f64>) {
    let points = sobol_rows(count, 5, 11).unwrap();
    let (mut rows, mut losses) = (Rows::new(5), Vec::new());
    for point in points.iter() {
        let choice = (point[2] * 3.0).floor();
        let active = choice < 1.0;
        let hide = |value: f64| if active { value } else { f64::NAN };
        let ordinal = ((point[1] * 4.0).floor() + 0.5) / 4.0;
        let last = if point[4] < 0.5 { 0.25 } else { 0.75 };
        rows.push_row(&[point[0], ordinal, (choice + 0.5) / 3.0, hide(point[3]), hide(last)]).unwrap();
        losses.push((5.0 * point[0]).sin() + ordinal + 0.3 * choice + if active { point[3] } else { 0.5 });
    }
    (rows, losses)
}

fn plain() -> GpOptions {
    GpOptions { warp_targets: false, ..GpOptions::default() }
}

#[test]
fn hyperparameter_gradient_agrees_with_finite_differences() {
    let layout = mixed();
    let (rows, losses) = data(20);
    let spherical = KernelFunction::SquaredExponential;
    let variants = [
        (GpOptions { mean: MeanFunction::Zero, ..plain() }, 2 + 5 + 1),
        (GpOptions { mean: MeanFunction::Constant, ..plain() }, 2 + 5 + 1),
        (GpOptions { warp_inputs: InputWarps::On, ..plain() }, 2 + 5 + 1 + 2),
        (GpOptions { isotropic: true, ..plain() }, 2 + 3 + 1),
        (GpOptions { priors: Priors::Wide, ..plain() }, 2 + 5 + 1),
        (GpOptions { categories: CategoryKernel::Mixture, ..plain() }, 2 + 5 + 1 + 1),
        (
            GpOptions { isotropic: true, kernel: spherical, warp_inputs: InputWarps::On, ..plain() },
            2 + 3 + 1 + 2,
        ),
    ];
    for (options, count) in variants {
        let kernel = Kernel::new(&layout, &options);
        let mut objective = Objective::new(&kernel, &rows, &losses, &options);
        if options.warp_inputs == InputWarps::On {
            objective = objective.warped().unwrap();
        }
        // Smooth kernels are ill conditioned, which costs the difference quotient digits.
        let tolerance = if options.kernel == spherical { 1e-4 } else { 1e-6 };
        for theta in objective.starts(3, 5).unwrap() {
            let (_, gradient) = objective.evaluate(&theta);
            assert_eq!(gradient.len(), count);
            for k in 0..theta.len() {
                let step = 1e-5;
                let value = |sign: f64| {
                    let mut shifted = theta.clone();
                    shifted[k] += sign * step;
                    objective.evaluate(&shifted).0
                };
                let difference = (value(1.0) - value(-1.0)) / (2.0 * step);
                assert!(
                    (difference - gradient[k]).abs() < tolerance * (1.0 + difference.abs()),
                    "parameter {k}: {difference} against {}",
                    gradient[k]
                );
            }
        }
    }
}

#[test]
fn input_gradient_agrees_with_finite_differences_also_on_arcs() {
    let (rows, losses) = data(24);
    let warped = GpOptions { warp_inputs: InputWarps::On, ..GpOptions::default() };
    let smooth = GpOptions { kernel: KernelFunction::SquaredExponential, ..GpOptions::default() };
    let mixture = GpOptions { categories: CategoryKernel::Mixture, ..GpOptions::default() };
    for options in [GpOptions::default(), warped, smooth, mixture] {
        let model = GaussianProcess::fit(&mixed(), &rows, &losses, &options, 1).unwrap();
        assert_eq!(
            model.hyperparameters().input_warps.len(),
            if options.warp_inputs == InputWarps::On { 5 } else { 0 }
        );
        check_input_gradient(&model);
    }
}

fn check_input_gradient(model: &GpModel) {
    for row in [vec![0.31, 0.375, 0.5 / 3.0, 0.62, 0.25], vec![0.8, 0.625, 0.5, f64::NAN, f64::NAN]] {
        let point = model.point_gradient(&row).unwrap();
        let direct = model.predict(&Rows::from_rows(5, &[&row]).unwrap()).unwrap();
        assert!((point.mean - direct.mean[0]).abs() < 1e-10);
        assert!((point.variance - direct.variance[0]).abs() < 1e-10);
        assert_eq!(model.predict_mean(&Rows::from_rows(5, &[&row]).unwrap()).unwrap(), direct.mean);
        for k in [0, 1, 3] {
            if row[k].is_nan() {
                assert_eq!((point.mean_gradient[k], point.variance_gradient[k]), (0.0, 0.0));
                continue;
            }
            let step = 1e-5;
            let shifted = |sign: f64| {
                let mut moved = row.clone();
                moved[k] += sign * step;
                model.predict(&Rows::from_rows(5, &[moved]).unwrap()).unwrap()
            };
            let (up, down) = (shifted(1.0), shifted(-1.0));
            let mean = (up.mean[0] - down.mean[0]) / (2.0 * step);
            let variance = (up.variance[0] - down.variance[0]) / (2.0 * step);
            assert!((mean - point.mean_gradient[k]).abs() < 1e-6 * (1.0 + mean.abs()), "mean {k}");
            assert!((variance - point.variance_gradient[k]).abs() < 1e-6 * (1.0 + variance.abs()), "var {k}");
        }
        assert_eq!((point.mean_gradient[2], point.mean_gradient[4]), (0.0, 0.0));
    }
}

#[test]
fn arc_kernel_is_positive_definite_and_equates_inactive_columns() {
    let layout = Layout::new(vec![Dimension::numeric().conditional(), Dimension::numeric().conditional()]);
    let points = sobol_rows(60, 4, 9).unwrap();
    let hide = |value: f64, share: f64| if share < 0.3 { f64::NAN } else { value };
    let table: Vec<[f64; 2]> =
        points.iter().map(|point| [hide(point[0], point[2]), hide(point[1], point[3])]).collect();
    let rows = Rows::from_rows(2, &table).unwrap();
    let parameters = crate::kernel::KernelParameters {
        signal_variance: 1.0,
        length_scales: vec![0.7, 1.3],
        arc_angles: vec![0.4, 0.9],
        input_warps: Vec::new(),
        product_weight: 1.0,
    };
    let kernel = Kernel::new(&layout, &plain());
    let inputs = kernel.embed(&rows, &parameters);
    let covariance = kernel.covariance(&inputs, &parameters);
    let lowest = covariance.clone().symmetric_eigenvalues().min();
    assert!(lowest > -1e-10, "lowest eigenvalue {lowest}");
    let inactive = Rows::from_rows(2, &[[f64::NAN, 0.4], [f64::NAN, 0.4]]).unwrap();
    let pair = kernel.covariance(&kernel.embed(&inactive, &parameters), &parameters);
    assert!((pair[(0, 1)] - 1.0).abs() < 1e-15);
}

#[test]
fn leave_one_out_agrees_with_leaving_out() {
    let (rows, losses) = data(12);
    let layout = mixed();
    let options = GpOptions { mean: MeanFunction::Zero, ..plain() };
    let model = GaussianProcess::fit(&layout, &rows, &losses, &options, 3).unwrap();
    let left_out = model.leave_one_out();
    let kept: Vec<usize> = (0..12).filter(|&index| index != 4).collect();
    let without = GpModel::condition(
        Kernel::new(&layout, &plain()),
        &layout,
        &rows.select(&kept),
        &kept.iter().map(|&index| losses[index]).collect::<Vec<_>>(),
        model.hyperparameters().clone(),
        model.target_scale().clone(),
        &options,
    )
    .unwrap();
    let direct = without.predict(&rows.slice(4, 5)).unwrap();
    assert!((direct.mean[0] - left_out.mean[4]).abs() < 1e-8);
    let noisy = direct.variance[0] + model.hyperparameters().noise_variance;
    assert!((noisy - left_out.variance[4]).abs() < 1e-8);
}

#[test]
fn growing_a_model_equals_conditioning_it_anew() {
    let (rows, losses) = data(30);
    let layout = mixed();
    let base =
        GaussianProcess::fit(&layout, &rows.slice(0, 25), &losses[..25], &GpOptions::default(), 1).unwrap();
    let grown = base.extend(&rows.slice(25, 30), &losses).unwrap();
    let anew = GpModel::condition(
        Kernel::new(&layout, &plain()),
        &layout,
        &rows,
        &losses,
        base.hyperparameters().clone(),
        grown.target_scale().clone(),
        &GpOptions::default(),
    )
    .unwrap();
    assert_close(&grown.predict(&rows).unwrap(), &anew.predict(&rows).unwrap(), 1e-8);
    assert!((grown.log_marginal_likelihood() - anew.log_marginal_likelihood()).abs() < 1e-7);
}

#[test]
fn believed_points_keep_the_mean_and_lose_variance() {
    let (rows, losses) = data(20);
    let model = GaussianProcess::fit(&mixed(), &rows, &losses, &GpOptions::default(), 1).unwrap();
    let (more, _) = data(23);
    let pending = more.slice(20, 23);
    let believing = model.append_believed(&pending).unwrap();
    let (before, after) = (model.predict(&pending).unwrap(), believing.predict(&pending).unwrap());
    for k in 0..3 {
        assert!((before.mean[k] - after.mean[k]).abs() < 1e-6);
        assert!(after.variance[k] < before.variance[k]);
    }
    let one = model.append_value(pending.row(0), before.mean[0]).unwrap();
    let same = model.append(pending.row(0), model.to_loss(before.mean[0])).unwrap();
    assert_close(&one.predict(&rows).unwrap(), &same.predict(&rows).unwrap(), 1e-8);
}

#[test]
fn scheduled_fits_do_not_depend_on_a_cache() {
    assert_eq!((refit_length(1), refit_length(50), refit_length(53)), (1, 50, 52));
    for count in 51..400 {
        let length = refit_length(count);
        assert!(length <= count && count < length + (length / 20).max(1));
        assert_eq!(refit_length(length), length, "a refit length refits at itself");
    }
    let (rows, losses) = data(63);
    let cache = GpCache::new();
    for count in 60..=63 {
        let part = rows.slice(0, count);
        let fit = |cache| {
            let targets = &losses[..count];
            GaussianProcess::fit_scheduled(&mixed(), &part, targets, &GpOptions::default(), 2, cache)
        };
        let (cold, warm) = (fit(None).unwrap(), fit(Some(&cache)).unwrap());
        assert_eq!(cold.predict(&rows).unwrap(), warm.predict(&rows).unwrap());
    }
}

#[test]
fn hard_targets_give_finite_predictions() {
    let (rows, losses) = data(30);
    let layout = mixed();
    let fit = |rows: &Rows, losses: &[f64]| {
        let model = GaussianProcess::fit(&layout, rows, losses, &GpOptions::default(), 1).unwrap();
        for prediction in [model.predict(&rows.clone()).unwrap(), model.predict_in_losses(rows).unwrap()] {
            assert!(prediction.mean.iter().all(|value| value.is_finite()));
            assert!(prediction.variance.iter().all(|value| *value > 0.0 && value.is_finite()), "{losses:?}");
        }
        model
    };
    fit(&rows.slice(0, 1), &losses[..1]);
    fit(&rows.slice(0, 2), &[1.0, 1.0]);
    let constant = fit(&rows, &[7.5; 30]);
    assert!((constant.predict_in_losses(&rows).unwrap().mean[3] - 7.5).abs() < 1e-9);
    // The same row many times with different results.
    let repeated = rows.select(&[3; 30]);
    fit(&repeated, &losses);
    fit(&rows, &losses.iter().map(|loss| loss * 1e300).collect::<Vec<_>>());
    fit(&rows, &losses.iter().map(|loss| loss * 1e-300).collect::<Vec<_>>());
}

#[test]
fn one_outlier_does_not_flatten_the_rest() {
    let (rows, mut losses) = data(30);
    losses[7] = 1e30;
    let layout = mixed();
    let model = GaussianProcess::fit(&layout, &rows, &losses, &GpOptions::default(), 1).unwrap();
    assert!(matches!(model.target_scale().warp(), Warp::HalfRank { .. }));
    let mean = model.predict(&rows).unwrap().mean;
    let clean: Vec<usize> = (0..30).filter(|&index| index != 7).collect();
    let concordant = clean
        .iter()
        .flat_map(|&a| clean.iter().map(move |&b| (a, b)))
        .filter(|&(a, b)| a < b && (losses[a] < losses[b]) == (mean[a] < mean[b]))
        .count();
    assert!(concordant > 29 * 28 / 2 * 85 / 100, "{concordant}");
    // The same when it arrives between two refits.
    let (rows, mut losses) = data(53);
    losses[52] = 1e30;
    let late =
        GaussianProcess::fit_scheduled(&layout, &rows, &losses, &GpOptions::default(), 1, None).unwrap();
    assert!(matches!(late.target_scale().warp(), Warp::HalfRank { .. }));
    assert!(late.predict(&rows).unwrap().mean.iter().all(|value| value.is_finite()));
}

#[test]
fn warps_are_chosen_for_skewed_losses_and_predict_in_losses() {
    let layout = Layout::numeric(2);
    let rows = sobol_rows(40, 2, 8).unwrap();
    let losses: Vec<f64> =
        rows.iter().map(|row| (6.0 * (row[0] - 0.3).powi(2) + 3.0 * row[1]).exp()).collect();
    let model = GaussianProcess::fit(&layout, &rows, &losses, &GpOptions::default(), 1).unwrap();
    assert_ne!(model.target_scale().warp(), &Warp::Identity);
    let predicted = model.predict_in_losses(&rows).unwrap();
    for (mean, loss) in predicted.mean.iter().zip(&losses).filter(|(_, loss)| **loss < 5.0) {
        assert!((mean / loss - 1.0).abs() < 0.2, "{mean} {loss}");
    }
}

#[test]
fn joint_draws_have_the_posterior_moments() {
    let (rows, losses) = data(15);
    let model = GaussianProcess::fit(&mixed(), &rows, &losses, &plain(), 1).unwrap();
    let (more, _) = data(18);
    let probe = more.slice(15, 18);
    let draws = model.sample(&probe, 4000, 5).unwrap();
    let expected = model.predict(&probe).unwrap();
    for k in 0..3 {
        let values: Vec<f64> = draws.iter().map(|draw| draw[k]).collect();
        let mean = values.iter().sum::<f64>() / 4000.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 4000.0;
        let deviation = expected.variance[k].sqrt();
        // Five standard errors: a false alarm below one in a million, with a fixed seed in any case.
        assert!((mean - expected.mean[k]).abs() < 5.0 * deviation / 4000_f64.sqrt());
        assert!((variance / expected.variance[k] - 1.0).abs() < 5.0 * (2.0_f64 / 4000.0).sqrt());
    }
}

#[test]
fn unusable_observations_are_refused() {
    let layout = mixed();
    let (rows, losses) = data(3);
    let fit = |rows: &Rows, losses: &[f64]| {
        GaussianProcess::fit(&layout, rows, losses, &GpOptions::default(), 1).unwrap_err()
    };
    assert_eq!(fit(&Rows::new(5), &[]), SurrogateError::Empty);
    assert_eq!(fit(&rows, &[0.0, f64::NAN, 0.0]), SurrogateError::TargetNotFinite { row: 1 });
    let holes = Rows::from_rows(5, &[[f64::NAN, 0.1, 0.1, 0.1, 0.1]]).unwrap();
    assert_eq!(fit(&holes, &[1.0]), SurrogateError::InvalidValue { row: 0, dimension: 0 });
    assert!(matches!(fit(&Rows::new(4), &losses), SurrogateError::Empty));
}

#[test]
fn two_thousand_rows_are_fitted() {
    let layout = Layout::numeric(3);
    let rows = sobol_rows(2000, 3, 1).unwrap();
    let losses: Vec<f64> = rows.iter().map(|row| (7.0 * row[0]).sin() + row[1] * row[2]).collect();
    let options = GpOptions { starts: 1, fit_rows: 200, ..GpOptions::default() };
    let model = GaussianProcess::fit(&layout, &rows, &losses, &options, 1).unwrap();
    let prediction = model.predict_in_losses(&rows.slice(0, 50)).unwrap();
    for (mean, loss) in prediction.mean.iter().zip(&losses) {
        assert!((mean - loss).abs() < 0.05);
    }
}

fn assert_close(a: &MeanVariance, b: &MeanVariance, tolerance: f64) {
    for (x, y) in a.mean.iter().chain(&a.variance).zip(b.mean.iter().chain(&b.variance)) {
        assert!((x - y).abs() < tolerance, "{x} against {y}");
    }
}

#[test]
fn documented_defaults_are_the_defaults() {
    let options = GpOptions::default();
    assert!(options.warp_targets && !options.violations && options.priors == Priors::ByDimension);
    assert_eq!(options.mean, MeanFunction::Constant);
    assert_eq!((options.starts, options.iterations, options.fit_rows), (3, 40, 300));
    assert_eq!((options.kernel, options.local_rows), (KernelFunction::Matern52, 768));
    assert!(!options.isotropic && options.warp_inputs == InputWarps::Off);
    let priors = (options.noise_log_mean, options.noise_log_deviation, options.signal_log_deviation);
    assert_eq!(priors, (-4.0, 2.0, 0.25));
}
