//! Randomized and boosted trees against scikit-learn, Parzen densities against `SciPy`, those of BOHB against statsmodels (numbers and
//! scripts in `tests/oracle`).

#![allow(clippy::unwrap_used)]

use boxwood_numeric::Rows;
use boxwood_surrogate::{
    Boosted, BoostedOptions, Dimension, Forest, ForestOptions, KernelDensityModel, KernelDensityOptions,
    Kind, Layout, ParzenModel, ParzenOptions, Posterior, TreeEnsemble,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn table(value: &Value) -> Rows {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Rows::from_rows(rows[0].len(), &rows).unwrap()
}

/// The columns of a case: pairs of a kind and a count.
fn layout(case: &Value) -> Layout {
    let dimensions = case["columns"].as_array().unwrap().iter().map(|column| {
        let count = column[1].as_u64().unwrap() as usize;
        match column[0].as_str().unwrap() {
            "categorical" => Dimension::categorical(count),
            "ordinal" => Dimension { kind: Kind::Ordinal { levels: count }, conditional: false },
            _ => Dimension::numeric(),
        }
    });
    Layout::new(dimensions.collect())
}

#[test]
fn randomized_trees_agree_with_scikit_learn_in_distribution() {
    let oracle: Value = serde_json::from_str(include_str!("oracle/extra_trees.json")).unwrap();
    for case in oracle["cases"].as_array().unwrap() {
        let (rows, targets) = (table(&case["rows"]), numbers(&case["targets"]));
        let leaf_rows = case["leaf_rows"].as_u64().unwrap() as usize;
        let trees = oracle["trees"].as_u64().unwrap() as usize;
        let options = ForestOptions { trees, column_share: 1.0, leaf_rows, ..ForestOptions::default() };
        let forest = Forest::fit(&Layout::numeric(rows.width()), &rows, &targets, &options, 3).unwrap();
        let found = forest.predict(&table(&case["probes"])).unwrap();
        let unit = forest.to_loss(1.0) - forest.to_loss(0.0);
        let (means, between) = (numbers(&case["mean"]), numbers(&case["between"]));
        let errors = numbers(&case["between_error"]);
        for (index, (&mean, &between)) in means.iter().zip(&between).enumerate() {
            // Five standard errors of the difference of two means over that many trees.
            let error = 5.0 * (2.0 * between / trees as f64).sqrt() + 1e-5;
            assert!((forest.to_loss(found.mean[index]) - mean).abs() < error, "mean {index}");
            if leaf_rows == 1 {
                let variance = found.variance[index] * unit * unit;
                let error = 5.0 * 2.0_f64.sqrt() * errors[index] + 1e-5;
                assert!((variance - between).abs() < error, "{variance} {between}");
            }
        }
    }
}

#[test]
fn ratios_of_densities_match_scipy() {
    let oracle: Value = serde_json::from_str(include_str!("oracle/parzen.json")).unwrap();
    for case in oracle["cases"].as_array().unwrap() {
        let layout = layout(case);
        let rows = table(&case["rows"]);
        let count = case["good"].as_u64().unwrap() as usize;
        let good: Vec<f64> = (0..rows.len()).map(|row| f64::from(u8::from(row < count))).collect();
        let model = ParzenModel::fit(&layout, &rows, &good, &ParzenOptions::default()).unwrap();
        let found = model.log_ratio(&table(&case["probes"])).unwrap();
        for (found, wanted) in found.iter().zip(numbers(&case["log_ratio"])) {
            assert!((found - wanted).abs() < 1e-9 * (1.0 + wanted.abs()), "{found} {wanted}");
        }
    }
}

#[test]
fn the_published_densities_of_bohb_match_statsmodels() {
    let oracle: Value = serde_json::from_str(include_str!("oracle/kernel_density.json")).unwrap();
    for case in oracle["cases"].as_array().unwrap() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let options = KernelDensityOptions::default();
        let model =
            KernelDensityModel::fit(&layout(case), &table(&case["rows"]), &options, &mut rng).unwrap();
        let found = model.unwrap().log_ratio(&table(&case["probes"])).unwrap();
        for (found, wanted) in found.iter().zip(numbers(&case["log_ratio"])) {
            assert!((found - wanted).abs() < 1e-9 * (1.0 + wanted.abs()), "{found} {wanted}");
        }
    }
}

#[test]
fn one_booster_with_exact_splits_is_that_of_scikit_learn() {
    let oracle: Value = serde_json::from_str(include_str!("oracle/boosted.json")).unwrap();
    for case in oracle["cases"].as_array().unwrap() {
        let (rows, targets) = (table(&case["rows"]), numbers(&case["targets"]));
        let whole = |name: &str| case[name].as_u64().unwrap() as usize;
        let options = BoostedOptions {
            boosters: 1,
            trees: whole("trees"),
            learning_rate: case["learning_rate"].as_f64().unwrap(),
            depth: whole("depth"),
            leaf_rows: whole("leaf_rows"),
            column_share: 1.0,
            random_cuts: false,
            prior_deviation: 0.0,
            ..BoostedOptions::default()
        };
        let model = Boosted::fit(&Layout::numeric(rows.width()), &rows, &targets, &options, 1).unwrap();
        let found = model.predict(&table(&case["probes"])).unwrap().mean;
        for (index, (found, wanted)) in found.iter().zip(numbers(&case["mean"])).enumerate() {
            // Rounding errors of sums in another order.
            assert!((model.to_loss(*found) - wanted).abs() < 1e-9, "probe {index}: {found} {wanted}");
        }
    }
}
