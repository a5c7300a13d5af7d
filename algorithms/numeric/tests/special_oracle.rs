//! Log-domain functions against mpmath (numbers and script in `tests/oracle`).

#![allow(clippy::unwrap_used)]

use boxwood_numeric::{
    log_expected_improvement_kernel, log_expected_improvement_slope, log_normal_cdf, log_normal_cdf_slope,
    scaled_erfc,
};
use serde_json::Value;

fn assert_close(found: f64, expected: &Value, relative: f64, what: &str) {
    let expected = expected.as_f64().unwrap();
    let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(error < relative || found == expected, "{what}: {found} against {expected}");
}

#[test]
fn functions_match_their_definitions_in_high_precision() {
    let oracle: Value = serde_json::from_str(include_str!("oracle/special.json")).unwrap();
    for case in oracle["normal"].as_array().unwrap() {
        let z = case["z"].as_f64().unwrap();
        // Near z = -50 the closed form loses log10(z^2) of 16 digits; everywhere else there is more.
        assert_close(log_expected_improvement_kernel(z), &case["log_kernel"], 1e-12, "kernel");
        assert_close(log_expected_improvement_slope(z), &case["kernel_slope"], 1e-11, "kernel slope");
        assert_close(log_normal_cdf(z), &case["log_cdf"], 1e-12, "distribution");
        assert_close(log_normal_cdf_slope(z), &case["log_cdf_slope"], 1e-12, "distribution slope");
    }
    for case in oracle["scaled_erfc"].as_array().unwrap() {
        assert_close(scaled_erfc(case["x"].as_f64().unwrap()), &case["value"], 1e-13, "scaled erfc");
    }
}
