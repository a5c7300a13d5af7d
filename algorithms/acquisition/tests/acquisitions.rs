//! Values and derivatives of the acquisition functions.

#![allow(clippy::unwrap_used)]

use boxwood_acquisition::{
    Acquisition, AcquisitionError, Constrained, CostCooled, Feasibility, LocalPenalty, LogAverage,
    LogExpectedImprovement, LogProbabilityOfImprovement, LowerConfidenceBound, believe_pending,
    lipschitz_estimate, noisy_incumbent,
};
use boxwood_numeric::{Rows, sobol_rows};
use boxwood_surrogate::{
    Dimension, Forest, ForestOptions, GaussianProcess, GpModel, GpOptions, Layout, MeanVariance, Posterior,
    SurrogateError,
};
use serde_json::Value;

/// A posterior with one prediction everywhere.
struct Fixed {
    mean: f64,
    deviation: f64,
}

impl Posterior for Fixed {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        Ok(MeanVariance {
            mean: vec![self.mean; rows.len()],
            variance: vec![self.deviation * self.deviation; rows.len()],
        })
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        loss
    }

    fn to_loss(&self, value: f64) -> f64 {
        value
    }
}

fn one_row() -> Rows {
    Rows::from_rows(1, &[[0.5]]).unwrap()
}

#[test]
fn improvements_match_high_precision_numbers() {
    let oracle: Value = serde_json::from_str(include_str!("oracle/improvement.json")).unwrap();
    for case in oracle["cases"].as_array().unwrap() {
        let number = |name: &str| case[name].as_f64().unwrap();
        let posterior = Fixed { mean: number("mean"), deviation: number("deviation") };
        let improvement = LogExpectedImprovement::new(&posterior, number("best"));
        let probability = LogProbabilityOfImprovement::new(&posterior, number("best"), 0.0);
        for (value, name) in [
            (improvement.log_value(&one_row()).unwrap()[0], "log_expected_improvement"),
            (probability.log_value(&one_row()).unwrap()[0], "log_probability_of_improvement"),
        ] {
            let expected = number(name);
            // The deviation passes through its square, which costs some units in the last place of z.
            let tolerance = 1e-11 * (1e-3 + expected.abs());
            assert!((value - expected).abs() <= tolerance, "{name} {case}: {value} against {expected}");
        }
    }
}

#[test]
fn nan_predictions_are_errors_not_scores() {
    let broken = Fixed { mean: f64::NAN, deviation: 1.0 };
    let found = LogExpectedImprovement::new(&broken, 0.0).log_value(&one_row());
    assert_eq!(found, Err(AcquisitionError::NotANumber { row: 0 }));
}

fn layout() -> Layout {
    Layout::new(vec![Dimension::numeric(), Dimension::numeric().conditional(), Dimension::categorical(2)])
}

fn rows(count: usize) -> Rows {
    let mut table = Rows::new(3);
    for point in sobol_rows(count, 3, 1).unwrap().iter() {
        let choice = if point[2] < 0.5 { 0.25 } else { 0.75 };
        let second = if choice < 0.5 { point[1] } else { f64::NAN };
        table.push_row(&[point[0], second, choice]).unwrap();
    }
    table
}

fn model(function: impl Fn(&[f64]) -> f64) -> GpModel {
    let rows = rows(25);
    let losses: Vec<f64> = rows.iter().map(function).collect();
    let options = GpOptions { warp_targets: false, ..GpOptions::default() };
    GaussianProcess::fit(&layout(), &rows, &losses, &options, 1).unwrap()
}

fn active(value: f64) -> f64 {
    if value.is_nan() { 0.5 } else { value }
}

fn objective() -> GpModel {
    model(|row| (5.0 * row[0]).sin() + (active(row[1]) - 0.3).powi(2) + row[2])
}

fn check_gradient(acquisition: &dyn Acquisition, what: &str) {
    for row in [[0.3, 0.7, 0.25], [0.62, f64::NAN, 0.75], [0.05, 0.1, 0.25]] {
        let (value, gradient) = acquisition.log_value_gradient(&row).unwrap().unwrap();
        let direct = |row: [f64; 3]| acquisition.log_value(&Rows::from_rows(3, &[row]).unwrap()).unwrap()[0];
        assert!((value - direct(row)).abs() < 1e-9 * (1.0 + value.abs()), "{what}");
        for k in 0..2 {
            if row[k].is_nan() {
                assert_eq!(gradient[k], 0.0);
                continue;
            }
            let step = 1e-6;
            let (mut up, mut down) = (row, row);
            up[k] += step;
            down[k] -= step;
            let difference = (direct(up) - direct(down)) / (2.0 * step);
            let tolerance = 1e-4 * (1.0 + difference.abs());
            assert!((difference - gradient[k]).abs() < tolerance, "{what} {k}: {difference} {}", gradient[k]);
        }
        assert_eq!(gradient[2], 0.0);
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let objective = objective();
    let incumbent = noisy_incumbent(&objective, &rows(25)).unwrap().unwrap().value;
    let improvement = LogExpectedImprovement::new(&objective, incumbent);
    check_gradient(&improvement, "expected improvement");
    let two = |first: f64, second: f64| -> Vec<(Box<dyn Acquisition>, f64)> {
        let improvement = |incumbent| Box::new(LogExpectedImprovement::new(&objective, incumbent));
        vec![(improvement(incumbent), first), (improvement(incumbent - 0.4), second)]
    };
    check_gradient(&LogAverage::new(two(3.0, 1.0)), "average");
    let [near, far] = [two(1.0, 0.0), two(0.0, 1.0)].map(|members| {
        LogAverage::new(members.into_iter().filter(|(_, weight)| *weight > 0.0).collect())
            .log_value(&rows(9))
            .unwrap()
    });
    let both = LogAverage::new(two(3.0, 1.0)).log_value(&rows(9)).unwrap();
    for (k, value) in both.iter().enumerate() {
        let mean = near[k] + (0.75 + 0.25 * (far[k] - near[k]).exp()).ln();
        assert!((value - mean).abs() < 1e-9 * (1.0 + mean.abs()), "a weighted mean of improvements");
    }
    check_gradient(&LogExpectedImprovement::new(&objective, -8.0), "far tail");
    check_gradient(&LogProbabilityOfImprovement::new(&objective, incumbent, 0.01), "probability");
    check_gradient(&LowerConfidenceBound::scheduled(&objective, 3, 25), "confidence bound");
    // Rough enough that variances are not rounding errors.
    let constraint = model(|row| row[0] + active(row[1]) - 0.8 + 0.2 * (25.0 * row[0]).sin());
    let feasibility = Feasibility::new().with_constraint(&constraint, 0.0);
    check_gradient(&feasibility, "feasibility");
    check_gradient(&Constrained::new(Some(&improvement), &feasibility), "constrained");
    check_gradient(&CostCooled::new(&improvement, &constraint, 0.7), "cost");
    let pending = Rows::from_rows(3, &[[0.35, 0.6, 0.25], [0.5, f64::NAN, 0.75]]).unwrap();
    let slope = lipschitz_estimate(&objective, &rows(25)).unwrap();
    let layout = layout();
    let penalized = LocalPenalty::new(&improvement, &objective, &layout, &pending, incumbent, slope).unwrap();
    check_gradient(&penalized, "penalty");
}

#[test]
fn constraints_multiply_probabilities_and_lead_alone_without_an_incumbent() {
    let (objective, constraint) = (objective(), model(|row| row[0] - 0.4));
    let probes = rows(40);
    let feasibility = Feasibility::new().with_constraint(&constraint, 0.0);
    let improvement = LogExpectedImprovement::new(&objective, 0.0);
    let together = Constrained::new(Some(&improvement), &feasibility).log_value(&probes).unwrap();
    let (left, right) = (improvement.log_value(&probes).unwrap(), feasibility.log_value(&probes).unwrap());
    assert!(together.iter().zip(left.iter().zip(&right)).all(|(sum, (a, b))| (sum - a - b).abs() < 1e-12));
    let alone = Constrained::new(None, &feasibility).log_value(&probes).unwrap();
    assert_eq!(alone, right);
    for (row, value) in probes.iter().zip(&right) {
        assert!(*value <= 0.0);
        if row[0] < 0.3 {
            assert!(*value > (0.9_f64).ln(), "surely feasible at {row:?}: {value}");
        }
        if row[0] > 0.55 {
            assert!(*value < (0.1_f64).ln(), "surely infeasible at {row:?}: {value}");
        }
    }
    assert_eq!(Feasibility::new().log_value(&one_row()).unwrap(), [0.0]);
}

#[test]
fn pending_points_lose_their_appeal() {
    let objective = objective();
    let observed = rows(25);
    let incumbent = noisy_incumbent(&objective, &observed).unwrap().unwrap();
    let improvement = LogExpectedImprovement::new(&objective, incumbent.value);
    let pending = Rows::from_rows(3, &[[0.9, 0.3, 0.25]]).unwrap();
    let before = improvement.log_value(&pending).unwrap()[0];
    let believing = believe_pending(&objective, &pending).unwrap();
    let after = LogExpectedImprovement::new(&believing, incumbent.value).log_value(&pending).unwrap()[0];
    assert!(after < before);
    let layout = layout();
    let penalized =
        LocalPenalty::new(&improvement, &objective, &layout, &pending, incumbent.value, 5.0).unwrap();
    assert!(penalized.log_value(&pending).unwrap()[0] < before);
    let other = Rows::from_rows(3, &[[0.9, f64::NAN, 0.75]]).unwrap();
    let far = penalized.log_value(&other).unwrap()[0] - improvement.log_value(&other).unwrap()[0];
    assert!(far > -1e-3, "another category is far away: {far}");
}

#[test]
fn incumbent_under_noise_is_the_best_mean() {
    // One lucky measurement at the bad end, many honest ones elsewhere.
    let layout = Layout::numeric(1);
    let mut rows = sobol_rows(40, 1, 3).unwrap();
    let mut losses: Vec<f64> = rows.iter().map(|row| 4.0 * row[0]).collect();
    for loss in [3.6, 3.5, 3.7, -1.0] {
        rows.push_row(&[0.9]).unwrap();
        losses.push(loss);
    }
    let options = GpOptions { warp_targets: false, ..GpOptions::default() };
    let model = GaussianProcess::fit(&layout, &rows, &losses, &options, 1).unwrap();
    let found = noisy_incumbent(&model, &rows).unwrap().unwrap();
    assert!(rows.row(found.row)[0] < 0.3, "{found:?}");
    assert!(noisy_incumbent(&model, &Rows::new(1)).unwrap().is_none());
}

#[test]
fn models_without_gradients_say_so() {
    let rows = rows(12);
    let losses: Vec<f64> = rows.iter().map(|row| row[0]).collect();
    let forest = Forest::fit(&layout(), &rows, &losses, &ForestOptions::default(), 1).unwrap();
    let improvement = LogExpectedImprovement::new(&forest, 0.0);
    assert!(improvement.log_value_gradient(rows.row(0)).unwrap().is_none());
    assert!(improvement.log_value(&rows).unwrap().iter().all(|value| value.is_finite()));
}
