//! Importances and shares against another library and against known indices.

#![allow(clippy::unwrap_used)]

use boxwood_core::Rung;
use serde_json::Value;

use crate::fixture::Study;
use crate::{ImportanceOptions, hypervolume, hypervolume_history, importance, is_dominated, variance_shares};

const SPACE: &str = r#"{"name":"x0","type":"float","low":0,"high":1},{"name":"x1","type":"float","low":0,"high":1},
    {"name":"x2","type":"float","low":0,"high":1}"#;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn cases() -> Vec<Value> {
    let stored: Value = serde_json::from_str(include_str!("../tests/oracle/importance.json")).unwrap();
    stored["cases"].as_array().unwrap().clone()
}

fn study(case: &Value) -> Study {
    let mut study = Study::new(SPACE, 1);
    for (row, loss) in case["rows"].as_array().unwrap().iter().zip(numbers(&case["losses"])) {
        let row = numbers(row);
        study.add(&format!(r#"{{"x0":{:?},"x1":{:?},"x2":{:?}}}"#, row[0], row[1], row[2]), &[vec![loss]]);
    }
    study
}

/// The largest difference of two lists.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn shares_are_those_of_another_forest_and_near_the_sobol_indices() {
    for case in cases() {
        let found = variance_shares(&study(&case).view(), 0, Rung(0)).unwrap();
        let of = |part: fn(&crate::ParameterShare) -> f64| -> Vec<f64> {
            let named = |name: &str| found.parameters.iter().find(|share| share.parameter == name).unwrap();
            ["x0", "x1", "x2"].map(|name| part(named(name))).to_vec()
        };
        let (single, total) = (of(|share| share.single), of(|share| share.total));
        println!("{}: single {single:?} ({}), total {total:?}", case["name"], case["fanova"]);
        // Optuna averages the shares of single, deeper trees, which leave more to interactions than their mean does; both
        // forests differ from the function on 256 points.
        assert!(apart(&single, &numbers(&case["fanova"])) < 0.2, "{}: {single:?}", case["name"]);
        assert!(apart(&single, &numbers(&case["first"])) < 0.15, "{}: {single:?}", case["name"]);
        assert!(apart(&total, &numbers(&case["total"])) < 0.15, "{}: {total:?}", case["name"]);
    }
}

#[test]
fn importances_are_those_of_optuna() {
    for case in cases() {
        let found = importance(&study(&case).view(), 0, Rung(0), ImportanceOptions::default()).unwrap();
        let share = |name: &str| found.iter().find(|found| found.parameter == name).unwrap().share;
        let shares = ["x0", "x1", "x2"].map(share);
        println!("{}: {shares:?} {}", case["name"], case["ped_anova"]);
        // Densities are smoothed differently at the bounds.
        assert!(apart(&shares, &numbers(&case["ped_anova"])) < 0.03, "{}: {shares:?}", case["name"]);
    }
}

#[test]
fn volumes_and_fronts_are_those_of_moocore() {
    let stored: Value = serde_json::from_str(include_str!("../tests/oracle/fronts.json")).unwrap();
    for case in stored["cases"].as_array().unwrap() {
        let points: Vec<Vec<f64>> = case["points"].as_array().unwrap().iter().map(numbers).collect();
        let expected = case["hypervolume"].as_f64().unwrap();
        let found = hypervolume(&points, &numbers(&case["reference"]));
        assert!((found - expected).abs() < 1e-12 * (1.0 + expected), "{found} against {expected}");
        for (point, holds) in points.iter().zip(case["nondominated"].as_array().unwrap()) {
            let beaten = points.iter().any(|other| is_dominated(point, other));
            assert_eq!(!beaten, holds.as_bool().unwrap(), "{point:?}");
        }
        let mut study = Study::new(r#"{"name":"x","type":"integer","low":0,"high":99}"#, points[0].len());
        for (i, point) in points.iter().enumerate() {
            study.add(&format!(r#"{{"x":{i}}}"#), std::slice::from_ref(point));
        }
        let history = hypervolume_history(&study.view()).unwrap();
        let whole = hypervolume(&points, &history.reference);
        assert!((history.steps.last().unwrap().hypervolume - whole).abs() < 1e-12 * (1.0 + whole));
    }
}
