//! The Gaussian process against scikit-learn (numbers and script in `tests/oracle`).

#![allow(clippy::unwrap_used)]

use boxwood_numeric::Rows;
use boxwood_surrogate::{GaussianProcess, GpOptions, Hyperparameters, Layout, MeanFunction, Posterior};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn table(value: &Value, width: usize) -> Rows {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Rows::from_rows(width, &rows).unwrap()
}

#[test]
fn posterior_and_likelihood_match_scikit_learn() {
    let oracle: Value = serde_json::from_str(include_str!("oracle/gaussian_process.json")).unwrap();
    for case in oracle["cases"].as_array().unwrap() {
        let length_scales = numbers(&case["length_scales"]);
        let width = length_scales.len();
        let hyperparameters = Hyperparameters {
            noise_variance: case["noise_variance"].as_f64().unwrap(),
            signal_variance: case["signal_variance"].as_f64().unwrap(),
            length_scales,
            arc_angles: vec![f64::NAN; width],
            input_warps: Vec::new(),
            product_weight: 1.0,
        };
        let options = GpOptions { mean: MeanFunction::Zero, warp_targets: false, ..GpOptions::default() };
        let model = GaussianProcess::with_hyperparameters(
            &Layout::numeric(width),
            &table(&case["rows"], width),
            &numbers(&case["targets"]),
            hyperparameters,
            &options,
        )
        .unwrap();
        let found = model.predict(&table(&case["candidates"], width)).unwrap();
        // Both solve systems with a condition number of up to 1e6 in double precision.
        for (value, expected) in found.mean.iter().zip(numbers(&case["mean"])) {
            assert!((value - expected).abs() < 1e-9, "{value} against {expected}");
        }
        for (value, expected) in found.variance.iter().zip(numbers(&case["variance"])) {
            assert!((value - expected).abs() < 1e-9, "{value} against {expected}");
        }
        let expected = case["log_marginal_likelihood"].as_f64().unwrap();
        assert!((model.log_marginal_likelihood() - expected).abs() < 1e-8 * (1.0 + expected.abs()));
    }
}
