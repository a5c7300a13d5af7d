//! Noisy improvement, Thompson sampling, pure exploration and prior beliefs.

#![allow(clippy::unwrap_used)]

use boxwood_acquisition::{
    Acquisition, Belief, LogExpectedImprovement, LogNoisyExpectedImprovement, PriorBelief, PriorWeighted,
    PureExploration, believe_pending, thompson_choices,
};
use boxwood_numeric::{Rows, mix_seed, normal_quantile, sobol_rows};
use boxwood_surrogate::{Dimension, GaussianProcess, GpModel, GpOptions, Kind, Layout, Posterior};

fn fit(rows: &Rows, losses: &[f64]) -> GpModel {
    let options = GpOptions { warp_targets: false, starts: 1, ..GpOptions::default() };
    GaussianProcess::fit(&Layout::numeric(2), rows, losses, &options, 1).unwrap()
}

fn bowl(row: &[f64]) -> f64 {
    (row[0] - 0.4).powi(2) + (row[1] - 0.6).powi(2)
}

fn noisy_model() -> (GpModel, Rows) {
    let rows = sobol_rows(16, 2, 1).unwrap();
    let noise = |k: usize| 0.1 * normal_quantile((mix_seed(5, k as u64) % 1000) as f64 / 1001.0 + 5e-4);
    let losses: Vec<f64> = rows.iter().enumerate().map(|(k, row)| bowl(row) + noise(k)).collect();
    (fit(&rows, &losses), rows)
}

fn check_gradient(acquisition: &dyn Acquisition, what: &str) {
    for row in [[0.31, 0.72], [0.9, 0.15], [0.55, 0.48]] {
        let (value, gradient) = acquisition.log_value_gradient(&row).unwrap().unwrap();
        let direct = |row: [f64; 2]| acquisition.log_value(&Rows::from_rows(2, &[row]).unwrap()).unwrap()[0];
        assert!((value - direct(row)).abs() < 1e-8 * (1.0 + value.abs()), "{what}");
        for k in 0..2 {
            let step = 1e-6;
            let (mut up, mut down) = (row, row);
            up[k] += step;
            down[k] -= step;
            let difference = (direct(up) - direct(down)) / (2.0 * step);
            let tolerance = 2e-4 * (1.0 + difference.abs());
            assert!((difference - gradient[k]).abs() < tolerance, "{what} {k}: {difference} {}", gradient[k]);
        }
    }
}

#[test]
fn noisy_improvement_agrees_with_brute_force_and_has_gradients() {
    let (model, rows) = noisy_model();
    let noisy = LogNoisyExpectedImprovement::new(&model, &rows, 256, 7).unwrap();
    check_gradient(&noisy, "noisy improvement");
    // Joint draws at the observed rows and the candidate, the improvement averaged.
    let probe = sobol_rows(200, 2, 31).unwrap();
    let values = noisy.log_value(&probe).unwrap();
    let mut order: Vec<usize> = (0..200).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    for candidate in [order[0], order[5]] {
        let candidate = probe.row(candidate);
        let mut all = rows.clone();
        all.push_row(candidate).unwrap();
        let draws = model.sample(&all, 40_000, 3).unwrap();
        let gain = |draw: &[f64]| {
            let best = draw[..16].iter().copied().fold(f64::INFINITY, f64::min);
            (best - draw[16]).max(0.0)
        };
        let values: Vec<f64> = draws.iter().map(gain).collect();
        let expected = values.iter().sum::<f64>() / 40_000.0;
        let square = values.iter().map(|value| (value - expected).powi(2)).sum::<f64>() / 40_000.0;
        let error = (square / 40_000.0).sqrt();
        let found = noisy.log_value(&Rows::from_rows(2, &[candidate]).unwrap()).unwrap()[0].exp();
        // Five standard errors of the brute force and two percent for the fixed draws.
        assert!((found - expected).abs() < 5.0 * error + 0.02 * expected, "{found} {expected} {error}");
    }
    assert!(LogNoisyExpectedImprovement::new(&model, &Rows::new(2), 8, 1).is_err());
}

#[test]
fn noisy_improvement_knows_pending_points() {
    let (model, rows) = noisy_model();
    let probe = Rows::from_rows(2, &[[0.42, 0.58]]).unwrap();
    let before = LogNoisyExpectedImprovement::new(&model, &rows, 64, 7).unwrap();
    let mut base = rows.clone();
    base.push_rows(&probe).unwrap();
    let after = LogNoisyExpectedImprovement::new(&model, &base, 64, 7).unwrap();
    assert!(after.log_value(&probe).unwrap()[0] < before.log_value(&probe).unwrap()[0] - 3.0);
}

#[test]
fn thompson_sampling_prefers_good_and_feasible_rows() {
    let rows = sobol_rows(20, 2, 1).unwrap();
    let losses: Vec<f64> = rows.iter().map(bowl).collect();
    let limits: Vec<f64> = rows.iter().map(|row| row[0] - 0.3).collect();
    let (objective, constraint) = (fit(&rows, &losses), fit(&rows, &limits));
    let candidates = sobol_rows(120, 2, 5).unwrap();
    let chosen = thompson_choices(&objective, &[], &candidates, 8, 2).unwrap();
    assert_eq!(chosen.len(), 8);
    assert!(chosen.iter().all(|&index| bowl(candidates.row(index)) < 0.1));
    let limit = constraint.to_model_scale(0.0);
    let feasible = thompson_choices(&objective, &[(&constraint, limit)], &candidates, 8, 2).unwrap();
    assert!(feasible.iter().all(|&index| candidates.row(index)[0] < 0.36));
    let nowhere = constraint.to_model_scale(-9.0);
    let least = thompson_choices(&objective, &[(&constraint, nowhere)], &candidates, 3, 2).unwrap();
    assert!(least.iter().all(|&index| candidates.row(index)[0] < 0.15), "least violation first");
    assert_eq!(thompson_choices(&objective, &[], &candidates, 500, 2).unwrap().len(), 120);
    assert!(thompson_choices(&objective, &[], &Rows::new(2), 5, 2).unwrap().is_empty());
}

#[test]
fn exploration_spreads_a_batch_over_the_promising_region() {
    let (model, rows) = noisy_model();
    let pending = Rows::from_rows(2, &[[0.4, 0.6]]).unwrap();
    let believing = believe_pending(&model, &pending).unwrap();
    let explore = PureExploration::new(&model, &believing, &rows, 1.8).unwrap();
    check_gradient(&explore, "exploration");
    let probe = sobol_rows(300, 2, 8).unwrap();
    let values = explore.log_value(&probe).unwrap();
    let best = (0..300).max_by(|&i, &j| values[i].total_cmp(&values[j])).unwrap();
    let row = probe.row(best);
    assert!((row[0] - 0.4).hypot(row[1] - 0.6) > 0.05, "away from the pending point");
    let mean = model.predict(&probe.select(&[best])).unwrap();
    assert!(mean.mean[0] - 0.5 * mean.variance[0].sqrt() <= explore.threshold() + 0.05, "promising");
    let open = PureExploration::new(&model, &believing, &Rows::new(2), 1.8).unwrap();
    assert_eq!(open.threshold(), f64::INFINITY);
}

#[test]
fn beliefs_lead_at_first_and_fade() {
    let rows = sobol_rows(16, 2, 1).unwrap();
    let losses: Vec<f64> = rows.iter().map(bowl).collect();
    let model = fit(&rows, &losses);
    let improvement = LogExpectedImprovement::new(&model, model.to_model_scale(0.02));
    let belief = PriorBelief::new(
        &Layout::numeric(2),
        &[Belief::Normal { center: 0.9, deviation: 0.1 }, Belief::Uniform],
    )
    .unwrap();
    let early = PriorWeighted::new(&improvement, &belief, 10.0, 1);
    check_gradient(&early, "belief");
    let probe = sobol_rows(400, 2, 8).unwrap();
    let place = |acquisition: &dyn Acquisition| {
        let values = acquisition.log_value(&probe).unwrap();
        let best = (0..400).max_by(|&i, &j| values[i].total_cmp(&values[j])).unwrap();
        probe.row(best)[0]
    };
    let late = PriorWeighted::new(&improvement, &belief, 10.0, 100_000);
    assert!(place(&early) > 0.75);
    assert!((place(&late) - place(&improvement)).abs() < 0.05);
    assert_eq!(PriorWeighted::strength_for_budget(100), 10.0);
}

#[test]
fn beliefs_are_densities_and_bad_ones_are_refused() {
    let layout = Layout::new(vec![
        Dimension::numeric().conditional(),
        Dimension::categorical(3),
        Dimension { kind: Kind::Ordinal { levels: 2 }, conditional: false },
    ]);
    let normal = Belief::Normal { center: 0.2, deviation: 0.3 };
    let belief =
        PriorBelief::new(&layout, &[normal.clone(), Belief::Weights(vec![1.0, 2.0, 0.0]), Belief::Uniform])
            .unwrap();
    let density = |row: [f64; 3]| belief.log_density(&row).exp();
    let bins = [1.0 / 6.0, 0.5, 5.0 / 6.0];
    let total: f64 = bins.iter().map(|&bin| density([f64::NAN, bin, 0.25])).sum::<f64>() / 3.0;
    assert!((total - 1.0).abs() < 1e-5);
    let area: f64 =
        (0..2000).map(|k| density([(f64::from(k) + 0.5) / 2000.0, 0.5, 0.25])).sum::<f64>() / 2000.0;
    assert!((area / density([f64::NAN, 0.5, 0.25]) - 1.0).abs() < 1e-4);
    assert!(density([0.2, 5.0 / 6.0, 0.25]) > 0.0, "nothing is ruled out");
    let refused = |beliefs: [Belief; 3]| PriorBelief::new(&layout, &beliefs).is_err();
    let uniform = || Belief::Uniform;
    assert!(refused([Belief::Normal { center: 1.2, deviation: 0.1 }, uniform(), uniform()]));
    assert!(refused([Belief::Normal { center: 0.2, deviation: f64::NAN }, uniform(), uniform()]));
    assert!(refused([uniform(), normal, uniform()]));
    assert!(refused([uniform(), Belief::Weights(vec![1.0]), uniform()]));
    assert!(refused([uniform(), Belief::Weights(vec![0.0; 3]), uniform()]));
    assert!(refused([Belief::Weights(vec![]), uniform(), uniform()]));
    assert!(PriorBelief::new(&layout, &[uniform()]).is_err());
}
