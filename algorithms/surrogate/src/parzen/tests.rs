#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Dimension, Kind};
use boxwood_numeric::sobol_rows;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn fit(layout: &Layout, rows: &Rows, good: impl Fn(&[f64]) -> bool) -> ParzenModel {
    let good: Vec<f64> = rows.iter().map(|row| f64::from(u8::from(good(row)))).collect();
    ParzenModel::fit(layout, rows, &good, &ParzenOptions::default()).unwrap()
}

#[test]
fn good_regions_have_the_larger_ratio_and_samples_land_there() {
    let rows = sobol_rows(60, 2, 5).unwrap();
    let model = fit(&Layout::numeric(2), &rows, |row| (row[0] - 0.2).hypot(row[1] - 0.8) < 0.2);
    let probe = Rows::from_rows(2, &[[0.2, 0.8], [0.9, 0.1]]).unwrap();
    let ratio = model.log_ratio(&probe).unwrap();
    assert!(ratio[0] > 0.5 && ratio[1] < -0.5, "{ratio:?}");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let near = (0..200).map(|_| model.sample(&mut rng)).filter(|row| {
        assert!(row.iter().all(|value| (0.0..=1.0).contains(value)));
        (row[0] - 0.2).hypot(row[1] - 0.8) < 0.4
    });
    assert!(near.count() > 140);
}

/// A number, a rank and a choice, in which the first two rows are good.
fn mixed() -> (Layout, Rows) {
    let layout = Layout::new(vec![
        Dimension::numeric(),
        Dimension { kind: Kind::Ordinal { levels: 4 }, conditional: false },
        Dimension::categorical(3),
    ]);
    let rows = Rows::from_rows(
        3,
        &[[0.02, 0.125, 0.5 / 3.0], [0.3, 0.375, 0.5 / 3.0], [0.9, 0.875, 2.5 / 3.0], [0.7, 0.625, 0.5]],
    )
    .unwrap();
    (layout, rows)
}

#[test]
fn densities_integrate_to_one_and_samples_follow_them() {
    let (layout, rows) = mixed();
    let density = Density::fit(&layout, &[0, 1, 2], &rows, &[(0, 1.0), (1, 1.0)], &ParzenOptions::default());
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let draws: Vec<Vec<f64>> = (0..20_000)
        .map(|_| {
            let mut row = vec![0.0; 3];
            density.sample(&mut row, &mut rng);
            row
        })
        .collect();
    let mut total = 0.0;
    for level in [0.125, 0.375, 0.625, 0.875] {
        for choice in [0.5 / 3.0, 0.5, 2.5 / 3.0] {
            for half in [0.0, 0.5] {
                let mass: f64 = (0..500)
                    .map(|k| {
                        density.log_density(&[half + (f64::from(k) + 0.5) / 1000.0, level, choice]).exp()
                    })
                    .sum::<f64>()
                    / 1000.0;
                total += mass;
                let here =
                    |row: &&Vec<f64>| row[1] == level && row[2] == choice && (row[0] >= 0.5) == (half > 0.0);
                let share = draws.iter().filter(here).count() as f64 / draws.len() as f64;
                // Four standard errors of a share, and a little for the sum over a grid.
                assert!((share - mass).abs() < 4.0 * (mass / 2e4).sqrt() + 1e-3, "{share} {mass}");
            }
        }
    }
    assert!((total - 1.0).abs() < 1e-4, "{total}");
}

#[test]
fn columns_that_are_active_together_form_a_group() {
    let number = Dimension::numeric();
    let layout =
        Layout::new(vec![number, number.conditional(), number, number.conditional(), number.conditional()]);
    let off = f64::NAN;
    let rows = Rows::from_rows(5, &[[0.1, 0.2, 0.3, off, 0.5], [0.1, off, 0.3, 0.4, off]]).unwrap();
    assert_eq!(partition(&layout, &rows, true), [vec![0, 2], vec![1, 4], vec![3]]);
    assert_eq!(partition(&layout, &rows, false).len(), 5);
    let model = fit(&layout, &rows, |row| row[1].is_nan());
    let probe = Rows::from_rows(5, &[[0.1, off, 0.3, 0.4, off], [0.1, 0.2, 0.3, 0.4, off]]).unwrap();
    let ratio = model.log_ratio(&probe).unwrap();
    assert!(ratio[0] > 0.0, "only good rows have the fourth column: {ratio:?}");
    assert_eq!(ratio[0], ratio[1], "half of a group says nothing");
    assert!(model.sample(&mut ChaCha8Rng::seed_from_u64(1)).iter().all(|value| value.is_finite()));
}

#[test]
fn old_and_replaced_points_keep_their_weight() {
    let members: Vec<usize> = (0..1000).collect();
    let all = weigh(&members, 25, 1000);
    assert!((all[0].1 - 1e-3).abs() < 1e-12 && all[974].1 == 1.0 && all[999].1 == 1.0);
    let thinned = weigh(&members, 25, 64);
    assert_eq!(thinned.len(), 64);
    let sum = |list: &[(usize, f64)]| list.iter().map(|(_, weight)| weight).sum::<f64>();
    assert!((sum(&all) - sum(&thinned)).abs() < 1e-9);
    assert!(thinned.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(weigh(&members[..3], 25, 64), [(0, 1.0), (1, 1.0), (2, 1.0)]);
    for count in 0..70 {
        for most in 2..6 {
            assert_eq!(weigh(&members[..count], 1, most).len(), count.min(most));
        }
    }
}

#[test]
fn few_and_extreme_points_are_served() {
    let layout = Layout::new(vec![Dimension::categorical(1), Dimension::numeric()]);
    let none = fit(&layout, &Rows::new(2), |_| true);
    let rows = Rows::from_rows(2, &[[0.5, 0.0], [0.5, 1.0], [0.5, 1.0]]).unwrap();
    assert_eq!(none.log_ratio(&rows).unwrap(), [0.0; 3], "without points both are the prior");
    let model = fit(&layout, &rows, |row| row[1] == 1.0);
    assert!(model.log_ratio(&rows).unwrap().iter().all(|ratio| ratio.is_finite()));
    let refused = ParzenModel::fit(&layout, &rows, &[1.0], &ParzenOptions::default()).unwrap_err();
    assert_eq!(refused, SurrogateError::Shape { what: "labels", expected: 3, found: 1 });
    assert_eq!([0, 1, 11, 500].map(ParzenOptions::good_count), [0, 1, 2, 25]);
}
