#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Forest, ForestOptions, GaussianProcess, GpOptions, Layout};
use boxwood_numeric::sobol_rows;

/// A model whose mean is a linear function of the first column.
struct Line {
    slope: f64,
    variance: f64,
}

impl Posterior for Line {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        Ok(MeanVariance {
            mean: rows.iter().map(|row| self.slope * row[0]).collect(),
            variance: vec![self.variance; rows.len()],
        })
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        loss
    }

    fn to_loss(&self, value: f64) -> f64 {
        value
    }
}

fn line(slope: f64, variance: f64) -> Arc<dyn Posterior> {
    Arc::new(Line { slope, variance })
}

fn column(values: &[f64]) -> Rows {
    Rows::from_rows(1, &values.iter().map(|&value| [value]).collect::<Vec<_>>()).unwrap()
}

#[test]
fn combinations_match_the_formulas() {
    let rows = column(&[1.0]);
    let members = || vec![(line(2.0, 0.5), 1.0), (line(4.0, 0.25), 3.0)];
    let product = Ensemble::new(members(), Combination::ProductOfExperts).unwrap().predict(&rows).unwrap();
    // 1/v = 0.25/0.5 + 0.75/0.25 = 3.5; mu = (0.5 * 2 + 3 * 4) / 3.5.
    assert!((product.variance[0] - 1.0 / 3.5).abs() < 1e-14);
    assert!((product.mean[0] - 13.0 / 3.5).abs() < 1e-14);
    let sum = Ensemble::new(members(), Combination::IndependentSum).unwrap().predict(&rows).unwrap();
    assert!((sum.mean[0] - 3.5).abs() < 1e-14);
    assert!((sum.variance[0] - (0.0625 * 0.5 + 0.5625 * 0.25)).abs() < 1e-14);
    assert!(matches!(Ensemble::new(vec![], Combination::default()), Err(SurrogateError::Empty)));
    let uniform = Ensemble::new(vec![(line(1.0, 1.0), 0.0), (line(1.0, 1.0), 0.0)], Combination::default());
    assert_eq!(uniform.unwrap().weights(), [0.5, 0.5]);
}

#[test]
fn gradients_agree_with_finite_differences() {
    let layout = Layout::numeric(2);
    let rows = sobol_rows(14, 2, 2).unwrap();
    let fit = |shift: f64| {
        let losses: Vec<f64> =
            rows.iter().map(|row| (4.0 * row[0] + shift).sin() + row[1] * row[1]).collect();
        let model = GaussianProcess::fit(&layout, &rows, &losses, &GpOptions::default(), 1).unwrap();
        Arc::new(model) as Arc<dyn Posterior>
    };
    for combination in [Combination::ProductOfExperts, Combination::IndependentSum] {
        let ensemble = Ensemble::new(vec![(fit(0.0), 0.4), (fit(1.0), 0.6)], combination).unwrap();
        let at = [0.37, 0.61];
        let point = ensemble.predict_gradient(&at).unwrap().unwrap();
        for k in 0..2 {
            let step = 1e-5;
            let shifted = |sign: f64| {
                let mut row = at;
                row[k] += sign * step;
                ensemble.predict(&Rows::from_rows(2, &[row]).unwrap()).unwrap()
            };
            let (up, down) = (shifted(1.0), shifted(-1.0));
            let mean = (up.mean[0] - down.mean[0]) / (2.0 * step);
            let variance = (up.variance[0] - down.variance[0]) / (2.0 * step);
            assert!((mean - point.mean_gradient[k]).abs() < 1e-6 * (1.0 + mean.abs()));
            assert!((variance - point.variance_gradient[k]).abs() < 1e-6 * (1.0 + variance.abs()));
        }
    }
}

#[test]
fn ties_follow_the_convention() {
    // Pairs (0,1) tie in the losses, (0,2) and (1,2) rise.
    let score = pairwise_score(&[1.0, 1.0, 0.0], &[5.0, 5.0, 6.0]);
    assert_eq!(score, PairwiseScore { preserved: 1, pairs: 3 });
    // A constant prediction is right for every pair whose first loss is not greater.
    assert_eq!(pairwise_score(&[0.0; 3], &[1.0, 2.0, 3.0]).share(), 1.0);
    assert_eq!(pairwise_score(&[0.0; 3], &[3.0, 2.0, 1.0]).share(), 0.0);
}

#[test]
fn weights_match_a_hand_computed_example() {
    // Losses 1, 3, 2, 4. The rising line orders 5 of 6 pairs rightly, the falling one only (1, 2).
    let rows = column(&[0.1, 0.2, 0.3, 0.4]);
    let losses = [1.0, 3.0, 2.0, 4.0];
    let members = [Some(line(1.0, 1.0)), Some(line(-1.0, 1.0)), None, Some(line(1.0, 1.0))];
    let fit = |_: &Rows, _: &[f64]| Ok(line(1.0, 1.0));
    let found = rank_weights(&members, &rows, &losses, &fit, None).unwrap();
    assert_eq!(found.shares, [5.0 / 6.0, 1.0 / 6.0, 0.0, 0.0]);
    let expected = [125.0 / 126.0, 1.0 / 126.0, 0.0, 0.0];
    assert!(found.weights.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-14));
}

#[test]
fn edge_cases_keep_valid_weights() {
    let fit = |_: &Rows, _: &[f64]| Ok(line(1.0, 1.0));
    let two = column(&[0.1, 0.2]);
    let members = [Some(line(1.0, 1.0)), Some(line(1.0, 1.0)), Some(line(1.0, 1.0))];
    // Too few observations: the first weights, or the previous ones.
    let first = rank_weights(&members, &two, &[1.0, 2.0], &fit, None).unwrap();
    assert_eq!(first.weights, [0.5, 0.5, 0.0]);
    let kept = rank_weights(&members, &two, &[1.0, 2.0], &fit, Some(&[0.2, 0.2, 0.6])).unwrap();
    assert!((kept.weights[2] - 0.6).abs() < 1e-15);
    // Every share zero: uniform over levels with data.
    let three = column(&[0.1, 0.2, 0.3]);
    let wrong = [Some(line(1.0, 1.0)), None, Some(line(1.0, 1.0))];
    let zero = rank_weights(&wrong, &three, &[3.0, 2.0, 1.0], &fit, None).unwrap();
    assert_eq!(zero.weights, [0.5, 0.0, 0.5]);
    // One level is plain optimization.
    let single = [Some(line(1.0, 1.0))];
    assert_eq!(rank_weights(&single, &three, &[3.0, 2.0, 1.0], &fit, None).unwrap().weights, [1.0]);
    assert_eq!(initial_rank_weights(&[true]), [1.0]);
    assert_eq!(initial_rank_weights(&[false, true, true]), [0.0, 1.0, 0.0]);
    assert_eq!(rank_weights(&[None], &three, &[3.0, 2.0, 1.0], &fit, None), Err(SurrogateError::Empty));
}

#[test]
fn losses_between_zero_and_one_are_not_truncated_in_cross_validation() {
    // An integer buffer for the out-of-fold means would make every prediction 0 and the share about one half.
    let layout = Layout::numeric(1);
    let rows = sobol_rows(40, 1, 4).unwrap();
    let losses: Vec<f64> = rows.iter().map(|row| 0.1 + 0.8 * row[0]).collect();
    let fit = |part: &Rows, losses: &[f64]| {
        let forest = Forest::fit(&layout, part, losses, &ForestOptions::default(), 3)?;
        Ok(Arc::new(forest) as Arc<dyn Posterior>)
    };
    let top = fit(&rows, &losses).unwrap();
    let found = rank_weights(&[Some(line(-1.0, 1.0)), Some(top)], &rows, &losses, &fit, None).unwrap();
    assert!(found.shares[1] > 0.85, "{:?}", found.shares);
    assert!(found.weights[1] > 0.99);
}
