//! The strategy against `cmaes` (numbers and script in `tests/oracle`).

#![allow(clippy::unwrap_used)]

use boxwood_numeric::DVector;
use serde_json::Value;

use super::distribution::{Columns, Distribution, Member};
use super::strategy::Strategy;

fn oracle() -> Value {
    serde_json::from_str(include_str!("../../../tests/oracle/cma_es.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// `cmaes` adds 1e-8 to the squared length of a bad step, and leaves rounding errors in an odd middle weight.
fn close(found: f64, wanted: f64, what: &str) {
    assert!((found - wanted).abs() < 1e-8 * (1.0 + wanted.abs()), "{what}: {found} instead of {wanted}");
}

#[test]
fn constants_are_the_published_ones() {
    for case in oracle()["strategies"].as_array().unwrap() {
        let count = |name: &str| case[name].as_u64().unwrap() as usize;
        let strategy = Strategy::new(count("dimensions"), count("members"), false);
        assert_eq!(strategy.parents, count("parents"));
        for (found, wanted) in strategy.weights.iter().zip(numbers(&case["weights"])) {
            close(*found, wanted, "weight");
        }
        for (name, found) in [
            ("effective", strategy.effective),
            ("rate_sigma", strategy.rate_sigma),
            ("damping", strategy.damping),
            ("rate_path", strategy.rate_path),
            ("rate_one", strategy.rate_one),
            ("rate_many", strategy.rate_many),
        ] {
            close(found, case[name].as_f64().unwrap(), name);
        }
    }
}

#[test]
fn a_generation_updates_the_distribution_as_published() {
    for case in oracle()["updates"].as_array().unwrap() {
        let ranked: Vec<Vec<f64>> = case["ranked"].as_array().unwrap().iter().map(numbers).collect();
        let d = ranked[0].len();
        let columns =
            Columns { numbers: (0..d).map(|column| (column, false)).collect(), choices: Vec::new() };
        let mut distribution = Distribution::new(&columns, &vec![0.5; d], 0.1).unwrap();
        let members: Vec<Member> = ranked
            .into_iter()
            .map(|row| Member { latent: DVector::from_vec(row), choices: Vec::new() })
            .collect();
        distribution.update(&members).unwrap();
        close(distribution.sigma, case["sigma"].as_f64().unwrap(), "sigma");
        for (found, wanted) in distribution.mean.iter().zip(numbers(&case["mean"])) {
            close(*found, wanted, "mean");
        }
        for (index, row) in case["covariance"].as_array().unwrap().iter().enumerate() {
            for (column, wanted) in numbers(row).into_iter().enumerate() {
                close(distribution.covariance[(index, column)], wanted, "covariance");
            }
        }
    }
}
