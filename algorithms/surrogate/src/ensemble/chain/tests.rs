#![allow(clippy::unwrap_used)]

use super::*;
use crate::Layout;
use boxwood_numeric::sobol_rows;

/// The expensive function, wavy in both columns.
fn truth(row: &[f64]) -> f64 {
    (9.0 * row[0]).sin() + 2.0 * (row[1] - 0.3).powi(2) + (5.0 * row[0] * row[1]).cos()
}

fn rows(count: usize, seed: u64) -> Rows {
    sobol_rows(count, 2, seed).unwrap()
}

/// A process alone on the values of a function.
fn alone(rows: &Rows, value: impl Fn(&[f64]) -> f64) -> GpModel {
    let losses: Vec<f64> = rows.iter().map(value).collect();
    GaussianProcess::fit(&Layout::numeric(2), rows, &losses, &GpOptions::default(), 1).unwrap()
}

/// A chain over 40 cheap and 8 expensive values.
fn two_levels(cheap: impl Fn(&[f64]) -> f64) -> (FidelityChain, GpModel) {
    let (many, few) = (rows(40, 1), rows(8, 2));
    let (below, top) = (alone(&many, cheap), alone(&few, truth));
    let levels = [
        ChainLevel { rows: &many, alone: &below, base: None },
        ChainLevel { rows: &few, alone: &top, base: None },
    ];
    (FidelityChain::fit(&levels, &GpOptions::default(), 3, None).unwrap(), top)
}

/// Root mean square error in losses on rows that no model has seen.
fn error(model: &dyn Posterior) -> f64 {
    let unseen = rows(64, 9);
    let means = model.predict_mean(&unseen).unwrap();
    let squares =
        means.iter().zip(unseen.iter()).map(|(mean, row)| (model.to_loss(*mean) - truth(row)).powi(2));
    (squares.sum::<f64>() / 64.0).sqrt()
}

#[test]
fn a_level_that_is_alike_is_built_on_and_inverted_ones_are_too() {
    for sign in [1.0, -1.0] {
        let (chain, top) = two_levels(|row| sign * 3.0 * truth(row) + 0.2 * row[1] + 7.0);
        assert_eq!(chain.len(), 2);
        assert_eq!(chain.slopes()[1].signum(), sign);
        assert!(error(&chain) < 0.3 * error(&top), "{} against {}", error(&chain), error(&top));
    }
}

#[test]
fn a_level_that_says_nothing_drops_out_with_all_below_it() {
    // Quasi-random values, which no function of the rows explains.
    let noise = |row: &[f64]| ((row[0] * 1e4).sin() * 1e4).fract();
    let (chain, top) = two_levels(noise);
    assert_eq!((chain.len(), chain.slopes()), (1, vec![0.0]));
    let unseen = rows(16, 5);
    assert_eq!(chain.predict(&unseen).unwrap(), top.predict(&unseen).unwrap());
    let single = ChainLevel { rows: &rows(8, 2), alone: &top, base: None };
    assert_eq!(FidelityChain::fit(&[single], &GpOptions::default(), 3, None).unwrap().len(), 1);
    assert!(matches!(FidelityChain::fit(&[], &GpOptions::default(), 3, None), Err(SurrogateError::Empty)));
}

#[test]
fn gradients_agree_with_finite_differences() {
    let (chain, _) = two_levels(|row| truth(row) + 0.3 * row[0]);
    assert_eq!(chain.len(), 2);
    let step = 1e-5;
    for row in rows(6, 11).iter() {
        let found = chain.predict_gradient(row).unwrap().unwrap();
        let here = chain.predict(&Rows::from_rows(2, &[row]).unwrap()).unwrap();
        assert!((found.mean - here.mean[0]).abs() < 1e-9 && (found.variance - here.variance[0]).abs() < 1e-9);
        for column in 0..2 {
            let shifted = |by: f64| {
                let mut row = row.to_vec();
                row[column] += by;
                chain.predict(&Rows::from_rows(2, &[row]).unwrap()).unwrap()
            };
            let (up, down) = (shifted(step), shifted(-step));
            let slope = |up: f64, down: f64| (up - down) / (2.0 * step);
            let (mean, variance) = (slope(up.mean[0], down.mean[0]), slope(up.variance[0], down.variance[0]));
            assert!((found.mean_gradient[column] - mean).abs() < 1e-5 * (1.0 + mean.abs()));
            assert!((found.variance_gradient[column] - variance).abs() < 1e-5 * (1.0 + variance.abs()));
        }
    }
}

#[test]
fn belief_leaves_means_and_narrows_variances() {
    let (chain, _) = two_levels(|row| truth(row) + 0.3 * row[0]);
    let here = Rows::from_rows(2, &[[0.42, 0.77]]).unwrap();
    let (before, believing) = (chain.predict(&here).unwrap(), chain.append_believed(&here).unwrap());
    let after = believing.predict(&here).unwrap();
    assert!((before.mean[0] - after.mean[0]).abs() < 1e-4);
    assert!(after.variance[0] < 0.5 * before.variance[0]);
}

#[test]
fn two_levels_are_co_kriging() {
    use crate::{Hyperparameters, MeanFunction};
    use serde_json::Value;

    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let options = GpOptions { mean: MeanFunction::Zero, warp_targets: false, ..GpOptions::default() };
    let stored: Value = serde_json::from_str(include_str!("../../../tests/oracle/chain.json")).unwrap();
    for case in stored["cases"].as_array().unwrap() {
        let table = |name: &str| -> Rows {
            let rows: Vec<Vec<f64>> = case[name].as_array().unwrap().iter().map(numbers).collect();
            Rows::from_rows(rows[0].len(), &rows).unwrap()
        };
        let fixed = |level: &Value| {
            let length_scales = numbers(&level["lengths"]);
            Hyperparameters {
                noise_variance: level["noise"].as_f64().unwrap(),
                signal_variance: level["signal"].as_f64().unwrap(),
                arc_angles: vec![f64::NAN; length_scales.len()],
                length_scales,
                input_warps: Vec::new(),
                product_weight: 1.0,
            }
        };
        let (lower, upper, probes) = (table("lower"), table("upper"), table("probes"));
        let layout = Layout::numeric(lower.width());
        let model = |rows: &Rows, values: &[f64], level: &Value| {
            GaussianProcess::with_hyperparameters(&layout, rows, values, fixed(level), &options).unwrap()
        };
        let below = model(&lower, &numbers(&case["below"]), &case["first"]);
        let top = model(&upper, &numbers(&case["above"]), &case["second"]);
        let slope = case["slope"].as_f64().unwrap();
        let means = below.predict_mean(&upper).unwrap();
        let rest: Vec<f64> = top.values().iter().zip(&means).map(|(y, mean)| y - slope * mean).collect();
        let delta = model(&upper, &rest, &case["second"]);
        let offset = delta.to_loss(0.0);
        let factor = delta.to_loss(1.0) - offset;
        let links = vec![Link::alone(&below), Link { delta, offset, factor, slope }];
        let chain = FidelityChain { links, scale: top.target_scale().clone() };
        let found = chain.predict(&probes).unwrap();
        let (mean, variance) = (numbers(&case["mean"]), numbers(&case["variance"]));
        for k in 0..probes.len() {
            // The lower level's noise of 1e-9 and the ill conditioning that it brings.
            assert!((found.mean[k] - mean[k]).abs() < 1e-5, "{} against {}", found.mean[k], mean[k]);
            assert!(
                (found.variance[k] - variance[k]).abs() < 1e-5,
                "{} against {}",
                found.variance[k],
                variance[k]
            );
        }
    }
}

/// A chain over cheap values of which all but `late` are its base.
fn growing(late: usize, cache: Option<&crate::GpCache>) -> FidelityChain {
    let (many, few) = (rows(40, 1), rows(8, 2));
    let cheap = |row: &[f64]| truth(row) + 0.3 * row[0];
    let losses: Vec<f64> = many.iter().map(cheap).collect();
    let base = alone(&many.slice(0, 40 - late), cheap);
    let below = base.extend(&many.slice(40 - late, 40), &losses).unwrap();
    let top = alone(&few, truth);
    let levels = [
        ChainLevel { rows: &many, alone: &below, base: Some(&base) },
        ChainLevel { rows: &few, alone: &top, base: None },
    ];
    FidelityChain::fit(&levels, &GpOptions::default(), 3, cache).unwrap()
}

#[test]
fn results_after_the_base_are_learned_from_while_hyperparameters_stay() {
    let (grown, whole) = (growing(10, None), growing(0, None));
    assert_eq!((grown.len(), whole.len()), (2, 2));
    // The base alone: what the chain would be without the ten late results.
    let many = rows(40, 1).slice(0, 30);
    let (below, top) = (alone(&many, |row| truth(row) + 0.3 * row[0]), alone(&rows(8, 2), truth));
    let levels = [
        ChainLevel { rows: &many, alone: &below, base: None },
        ChainLevel { rows: &rows(8, 2), alone: &top, base: None },
    ];
    let base = FidelityChain::fit(&levels, &GpOptions::default(), 3, None).unwrap();
    let length_scales = |chain: &FidelityChain| -> Vec<_> {
        chain.links.iter().map(|link| link.delta.length_scales().to_vec()).collect()
    };
    assert_eq!(length_scales(&grown), length_scales(&base));
    let late = rows(40, 1).slice(30, 40);
    let variance = |chain: &FidelityChain| chain.predict(&late).unwrap().variance.iter().sum::<f64>();
    assert!(variance(&grown) < 0.5 * variance(&base), "{} against {}", variance(&grown), variance(&base));
}

#[test]
fn a_cache_changes_nothing_but_time() {
    let cache = crate::GpCache::new();
    let unseen = rows(16, 5);
    for late in [10, 0, 10] {
        let (cold, warm) = (growing(late, None), growing(late, Some(&cache)));
        assert_eq!(cold.predict(&unseen).unwrap(), warm.predict(&unseen).unwrap());
    }
}
