//! Every surrogate on random layouts, rows and losses: finite answers, equal for equal inputs.

#![allow(clippy::unwrap_used)]

use boxwood_numeric::Rows;
use boxwood_surrogate::{
    Boosted, BoostedOptions, Dimension, Forest, ForestOptions, GaussianProcess, GpOptions, Kind, Layout,
    ParzenModel, ParzenOptions, Posterior, TreeEnsemble,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn dimension() -> impl Strategy<Value = Dimension> {
    let kind = prop_oneof![
        Just(Kind::Numeric),
        (1..40usize).prop_map(|levels| Kind::Integer { levels }),
        (1..8usize).prop_map(|levels| Kind::Ordinal { levels }),
        (1..30usize).prop_map(|choices| Kind::Categorical { choices }),
    ];
    (kind, any::<bool>()).prop_map(|(kind, conditional)| Dimension { kind, conditional })
}

/// A value of the column from a number in [0, 1); inactive in a third of the conditional cases.
fn encode(dimension: Dimension, unit: f64, activity: f64) -> f64 {
    if dimension.conditional && activity < 0.33 {
        return f64::NAN;
    }
    match dimension.kind {
        Kind::Numeric => unit,
        Kind::Integer { levels: bins }
        | Kind::Ordinal { levels: bins }
        | Kind::Categorical { choices: bins } => ((unit * bins as f64).floor() + 0.5) / bins as f64,
    }
}

/// Losses of very different sizes, often tied.
fn loss() -> impl Strategy<Value = f64> {
    prop_oneof![6 => -3.0..3.0f64, 2 => Just(0.5), 1 => 1e3..1e9f64, 1 => Just(1e30)]
}

fn case() -> impl Strategy<Value = (Layout, Rows, Vec<f64>)> {
    (prop::collection::vec(dimension(), 0..6), 1..40usize).prop_flat_map(|(dimensions, count)| {
        let width = dimensions.len();
        let units = prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), count * width);
        (Just(dimensions), units, prop::collection::vec(loss(), count)).prop_map(
            move |(dimensions, units, losses)| {
                let mut rows = Rows::new(width);
                for index in 0..count {
                    let row: Vec<f64> = (0..width)
                        .map(|column| {
                            let (unit, activity) = units[index * width + column];
                            encode(dimensions[column], unit, activity)
                        })
                        .collect();
                    rows.push_row(&row).unwrap();
                }
                (Layout::new(dimensions), rows, losses)
            },
        )
    })
}

fn check_posterior(model: &dyn Posterior, rows: &Rows) -> Result<(), TestCaseError> {
    let prediction = model.predict(rows).unwrap();
    prop_assert!(prediction.mean.iter().all(|value| value.is_finite()));
    prop_assert!(prediction.variance.iter().all(|value| value.is_finite() && *value > 0.0));
    for row in rows.iter().take(3) {
        if let Some(point) = model.predict_gradient(row).unwrap() {
            let parts = point.mean_gradient.iter().chain(&point.variance_gradient);
            prop_assert!(parts.into_iter().all(|value| value.is_finite()));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn surrogates_are_finite_and_reproducible((layout, rows, losses) in case()) {
        let process = || GaussianProcess::fit(&layout, &rows, &losses, &GpOptions::default(), 7).unwrap();
        check_posterior(&process(), &rows)?;
        prop_assert_eq!(process().predict(&rows).unwrap(), process().predict(&rows).unwrap());
        let forest = || Forest::fit(&layout, &rows, &losses, &ForestOptions::default(), 7).unwrap();
        check_posterior(&forest(), &rows)?;
        prop_assert_eq!(forest().predict(&rows).unwrap(), forest().predict(&rows).unwrap());
        let options = BoostedOptions { boosters: 3, trees: 8, ..BoostedOptions::default() };
        let boosted = || Boosted::fit(&layout, &rows, &losses, &options, 7).unwrap();
        check_posterior(&boosted(), &rows)?;
        prop_assert_eq!(boosted().predict(&rows).unwrap(), boosted().predict(&rows).unwrap());
        let good: Vec<f64> = losses.iter().map(|&loss| f64::from(u8::from(loss < 0.5))).collect();
        let parzen = ParzenModel::fit(&layout, &rows, &good, &ParzenOptions::default()).unwrap();
        prop_assert!(parzen.log_ratio(&rows).unwrap().iter().all(|value| value.is_finite()));
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        prop_assert!(parzen.sample(&mut rng).iter().all(|value| (0.0..=1.0).contains(value)));
    }

    #[test]
    fn the_unit_of_the_losses_does_not_matter((layout, rows, losses) in case()) {
        prop_assume!(losses.iter().all(|loss| loss.abs() < 10.0));
        // Powers of two, so that standardization loses nothing.
        let moved: Vec<f64> = losses.iter().map(|loss| loss * 1024.0).collect();
        let options = GpOptions { warp_targets: false, ..GpOptions::default() };
        let fit = |losses: &[f64]| GaussianProcess::fit(&layout, &rows, losses, &options, 7).unwrap();
        let (a, b) = (fit(&losses).predict(&rows).unwrap(), fit(&moved).predict(&rows).unwrap());
        for (x, y) in a.mean.iter().zip(&b.mean) {
            prop_assert!((x - y).abs() < 1e-6 * (1.0 + x.abs()), "{} {}", x, y);
        }
    }
}
