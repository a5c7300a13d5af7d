//! Hypervolume improvement, entropy, scalarization and choices for several objectives.

#![allow(clippy::unwrap_used)]

use boxwood_acquisition::{
    Acquisition, AcquisitionError, AugmentedChebyshev, Constrained, Feasibility, LogChebyshevImprovement,
    LogExpectedHypervolumeImprovement, LogExpectedImprovement, LogNoisyExpectedHypervolumeImprovement,
    MinValueEntropy, chebyshev_weights, contenders, most_uncertain_on_front, thompson_choices_multi,
    to_model_scales,
};
use boxwood_numeric::{
    Rows, dominates, hypervolume, inferred_reference, mix_seed, nondominated, normal_cdf, normal_quantile,
    sobol_rows,
};
use boxwood_surrogate::{
    Forest, ForestOptions, GaussianProcess, GpModel, GpOptions, JointPosterior, Layout, MeanVariance,
    Posterior, SurrogateError,
};
use serde_json::Value;

/// A posterior with one prediction everywhere.
struct Fixed {
    mean: f64,
    deviation: f64,
}

impl Posterior for Fixed {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        Ok(MeanVariance {
            mean: vec![self.mean; rows.len()],
            variance: vec![self.deviation * self.deviation; rows.len()],
        })
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        loss
    }

    fn to_loss(&self, value: f64) -> f64 {
        value
    }
}

fn as_posteriors(models: &[Fixed]) -> Vec<&dyn Posterior> {
    models.iter().map(|model| -> &dyn Posterior { model }).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn one_row() -> Rows {
    Rows::from_rows(1, &[[0.5]]).unwrap()
}

#[test]
fn values_match_high_precision_numbers_also_far_from_the_front() {
    let oracle: Value = serde_json::from_str(include_str!("oracle/hypervolume.json")).unwrap();
    for case in oracle["cases"].as_array().unwrap() {
        let (mean, deviation) = (numbers(&case["mean"]), numbers(&case["deviation"]));
        let points: Vec<Vec<f64>> = case["front"].as_array().unwrap().iter().map(numbers).collect();
        let front = Rows::from_rows(mean.len(), &points).unwrap();
        let pairs = mean.iter().zip(&deviation);
        let models: Vec<Fixed> = pairs.map(|(&mean, &deviation)| Fixed { mean, deviation }).collect();
        let reference = numbers(&case["reference"]);
        let gain =
            LogExpectedHypervolumeImprovement::new(as_posteriors(&models), &front, &reference).unwrap();
        let found = gain.log_value(&one_row()).unwrap()[0];
        let expected = case["log_expected_hypervolume_improvement"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{found} against {expected}");
    }
    for case in oracle["information"].as_array().unwrap() {
        let posterior = Fixed { mean: case["gamma"].as_f64().unwrap(), deviation: 1.0 };
        let minima = Rows::from_rows(1, &[[0.0]]).unwrap();
        let entropy = MinValueEntropy::with_minima(vec![&posterior], minima);
        let found = entropy.log_value(&one_row()).unwrap()[0];
        let expected = case["log_information"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{found} against {expected}");
    }
}

/// Mean hypervolume gained by quasi-random draws; a gain is a difference of volumes.
///
/// Draws are taken below the reference, where alone there is a gain, and weighted by the probability of lying there.
fn sampled_gain(front: &Rows, reference: &[f64], models: &[Fixed], count: usize, seed: u64) -> f64 {
    let before = hypervolume(front, reference).unwrap();
    let below: Vec<f64> =
        models.iter().zip(reference).map(|(m, limit)| normal_cdf((limit - m.mean) / m.deviation)).collect();
    let mut total = 0.0;
    for unit in sobol_rows(count, models.len(), seed).unwrap().iter() {
        let drawn: Vec<f64> = (0..models.len())
            .map(|k| models[k].mean + models[k].deviation * normal_quantile(below[k] * unit[k].max(1e-9)))
            .collect();
        if front.iter().any(|row| dominates(row, &drawn)) {
            continue;
        }
        let mut grown = front.clone();
        grown.push_row(&drawn).unwrap();
        total += hypervolume(&grown, reference).unwrap() - before;
    }
    below.iter().product::<f64>() * total / count as f64
}

#[test]
fn values_agree_with_monte_carlo_on_two_hundred_random_fronts() {
    let mut worst = 0.0_f64;
    for index in 0..200_u64 {
        let objectives = 2 + (index % 3) as usize;
        let random = sobol_rows(12, objectives, mix_seed(index, 1)).unwrap();
        let front = random.slice(0, 4 + (index % 7) as usize);
        let front = front.select(&nondominated(&front));
        let reference = vec![1.1; objectives];
        let models: Vec<Fixed> = (0..objectives)
            .map(|k| Fixed { mean: random.row(11)[k] - 0.1, deviation: 0.15 + 0.5 * random.row(10)[k] })
            .collect();
        // A volume of four dimensions takes longest and varies least.
        let draws = if objectives < 4 { 1 << 15 } else { 1 << 13 };
        let expected = sampled_gain(&front, &reference, &models, draws, mix_seed(index, 2));
        let gain =
            LogExpectedHypervolumeImprovement::new(as_posteriors(&models), &front, &reference).unwrap();
        let found = gain.log_value(&one_row()).unwrap()[0].exp();
        worst = worst.max((found / expected - 1.0).abs());
        assert!((found / expected - 1.0).abs() < 0.01, "front {index}: {found} against {expected}");
    }
    println!("worst relative difference {worst:e}");
}

#[test]
fn with_one_objective_it_is_expected_improvement() {
    let posterior = Fixed { mean: 0.7, deviation: 0.4 };
    let front = Rows::from_rows(1, &[[0.2], [0.5]]).unwrap();
    let gain = LogExpectedHypervolumeImprovement::new(vec![&posterior], &front, &[1.0]).unwrap();
    let improvement = LogExpectedImprovement::new(&posterior, 0.2);
    let (a, b) = (gain.log_value(&one_row()).unwrap()[0], improvement.log_value(&one_row()).unwrap()[0]);
    assert!((a - b).abs() < 1e-12);
    let broken = Fixed { mean: f64::NAN, deviation: 1.0 };
    let gain = LogExpectedHypervolumeImprovement::new(vec![&broken], &front, &[1.0]).unwrap();
    assert_eq!(gain.log_value(&one_row()), Err(AcquisitionError::NotANumber { row: 0 }));
    assert!(LogExpectedHypervolumeImprovement::new(vec![&broken], &front, &[1.0, 1.0]).is_err());
}

fn observed() -> Rows {
    sobol_rows(18, 2, 1).unwrap()
}

fn losses(row: &[f64], objective: usize) -> f64 {
    match objective {
        0 => (row[0] - 0.2).powi(2) + 0.5 * row[1] + 0.05 * (20.0 * row[1]).sin(),
        1 => (row[0] - 0.8).powi(2) + 0.3 * (1.0 - row[1]).powi(2) + 0.05 * (17.0 * row[0]).sin(),
        2 => (row[1] - 0.5).powi(2) + 0.2 * (7.0 * row[0]).cos(),
        _ => (row[0] - row[1]).powi(2) + 0.1 * (9.0 * (row[0] + row[1])).sin(),
    }
}

fn model(objective: usize) -> GpModel {
    let rows = observed();
    let values: Vec<f64> = rows.iter().map(|row| losses(row, objective)).collect();
    let options = GpOptions { warp_targets: false, starts: 1, ..GpOptions::default() };
    GaussianProcess::fit(&Layout::numeric(2), &rows, &values, &options, 1).unwrap()
}

fn check_gradient(acquisition: &dyn Acquisition, what: &str) {
    for row in [[0.31, 0.72], [0.9, 0.15], [0.55, 0.48]] {
        let (value, gradient) = acquisition.log_value_gradient(&row).unwrap().unwrap();
        let direct = |row: [f64; 2]| acquisition.log_value(&Rows::from_rows(2, &[row]).unwrap()).unwrap()[0];
        assert!((value - direct(row)).abs() < 1e-8 * (1.0 + value.abs()), "{what}: {value} {}", direct(row));
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

/// The models of some objectives, their scaled losses' front and its reference.
fn problem(objectives: usize) -> (Vec<GpModel>, Rows, Vec<f64>) {
    let models: Vec<GpModel> = (0..objectives).map(model).collect();
    let rows = observed();
    let table: Vec<Vec<f64>> =
        rows.iter().map(|row| (0..objectives).map(|k| losses(row, k)).collect()).collect();
    let posteriors: Vec<&dyn Posterior> = models.iter().map(|model| -> &dyn Posterior { model }).collect();
    let scaled = to_model_scales(&posteriors, &Rows::from_rows(objectives, &table).unwrap()).unwrap();
    let front = scaled.select(&nondominated(&scaled));
    let reference = inferred_reference(&front);
    (models, front, reference)
}

#[test]
fn gradients_agree_with_finite_differences() {
    for objectives in [2, 3, 4] {
        let (models, front, reference) = problem(objectives);
        let posteriors: Vec<&dyn Posterior> =
            models.iter().map(|model| -> &dyn Posterior { model }).collect();
        let gain = LogExpectedHypervolumeImprovement::new(posteriors.clone(), &front, &reference).unwrap();
        check_gradient(&gain, "hypervolume");
        // A front that nothing reaches: only slopes in the far tail are left.
        let far: Vec<Vec<f64>> =
            front.iter().map(|row| row.iter().map(|value| value - 6.0).collect()).collect();
        let far = Rows::from_rows(objectives, &far).unwrap();
        let low: Vec<f64> = reference.iter().map(|value| value - 6.0).collect();
        let tail = LogExpectedHypervolumeImprovement::new(posteriors.clone(), &far, &low).unwrap();
        check_gradient(&tail, "hypervolume tail");
        let feasibility = Feasibility::new().with_constraint(&models[0], 0.4);
        check_gradient(&Constrained::new(Some(&gain), &feasibility), "constrained hypervolume");
        let chosen = contenders(&posteriors, &observed(), 2.0, 8).unwrap();
        assert!(!chosen.is_empty() && chosen.len() <= 8);
        let references: Vec<&GpModel> = models.iter().collect();
        let noisy = LogNoisyExpectedHypervolumeImprovement::new(
            &references,
            &observed().select(&chosen),
            &reference,
            8,
            3,
        )
        .unwrap();
        check_gradient(&noisy, "noisy hypervolume");
        let joint: Vec<&dyn JointPosterior> =
            models.iter().map(|model| -> &dyn JointPosterior { model }).collect();
        let entropy = MinValueEntropy::new(&joint, &sobol_rows(60, 2, 3).unwrap(), 4, 5).unwrap();
        check_gradient(&entropy, "entropy");
        let weights = chebyshev_weights(objectives, 3);
        let scalar = LogChebyshevImprovement::new(posteriors, weights, &observed(), 32, 7).unwrap();
        check_gradient(&scalar, "scalarization");
    }
}

#[test]
fn without_noise_the_noisy_gain_is_the_gain() {
    let (models, front, reference) = problem(2);
    let references: Vec<&GpModel> = models.iter().collect();
    let posteriors: Vec<&dyn Posterior> = models.iter().map(|model| -> &dyn Posterior { model }).collect();
    let plain = LogExpectedHypervolumeImprovement::new(posteriors, &front, &reference).unwrap();
    let noisy =
        LogNoisyExpectedHypervolumeImprovement::new(&references, &observed(), &reference, 16, 3).unwrap();
    let probe = sobol_rows(32, 2, 12).unwrap();
    let (a, b) = (plain.log_value(&probe).unwrap(), noisy.log_value(&probe).unwrap());
    let highest = a.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut compared = 0;
    for (x, y) in a.iter().zip(&b).filter(|(x, _)| **x > highest - 2.0) {
        assert!((x - y).abs() < 0.3, "{x} {y}");
        compared += 1;
    }
    assert!(compared >= 2);
    // A pending row takes its own gain away.
    let best = (0..32).max_by(|&i, &j| b[i].total_cmp(&b[j])).unwrap();
    let mut base = observed();
    base.push_row(probe.row(best)).unwrap();
    let later = LogNoisyExpectedHypervolumeImprovement::new(&references, &base, &reference, 16, 3).unwrap();
    assert!(later.log_value(&probe).unwrap()[best] < b[best] - 2.0);
    assert!(
        LogNoisyExpectedHypervolumeImprovement::new(&references, &Rows::new(2), &reference, 4, 1).is_err()
    );
}

#[test]
fn four_objectives_are_served() {
    let rows = observed();
    let models: Vec<GpModel> = (0..4).map(model).collect();
    let references: Vec<&GpModel> = models.iter().collect();
    let noisy =
        LogNoisyExpectedHypervolumeImprovement::new(&references, &rows.slice(0, 8), &[2.0; 4], 4, 3).unwrap();
    assert!(noisy.log_value(&rows).unwrap().iter().all(|value| value.is_finite()));
}

#[test]
fn scalarization_orders_losses_and_covers_the_front() {
    let weights = chebyshev_weights(4, 9);
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12 && weights.iter().all(|w| *w > 0.0));
    assert_ne!(weights, chebyshev_weights(4, 10));
    // A flat Dirichlet coordinate has mean 1/4 and variance 3/80; five standard errors of 2000 draws.
    let first: Vec<f64> = (0..2000).map(|seed| chebyshev_weights(4, seed)[0]).collect();
    let mean = first.iter().sum::<f64>() / 2000.0;
    assert!((mean - 0.25).abs() < 5.0 * (3.0_f64 / 80.0 / 2000.0).sqrt());
    // A concave front: linear weights would only ever find its ends.
    let front: Vec<Vec<f64>> =
        (0..=10).map(|k| f64::from(k) / 10.0).map(|x| vec![x, (1.0 - x * x).sqrt()]).collect();
    let front = Rows::from_rows(2, &front).unwrap();
    let best = |weight: f64| {
        let scalars = AugmentedChebyshev::new(vec![weight, 1.0 - weight], &front).unwrap().scalars(&front);
        (0..11).min_by(|&i, &j| scalars[i].total_cmp(&scalars[j])).unwrap()
    };
    assert!((4..=9).contains(&best(0.5)));
    assert!(best(0.95) < best(0.5) && best(0.5) < best(0.05));
    let example =
        AugmentedChebyshev::new(vec![0.25, 0.75], &Rows::from_rows(2, &[[0.0, 10.0], [4.0, 30.0]]).unwrap());
    let scalar = example.unwrap().scalar(&[2.0, 15.0]);
    assert!((scalar - (0.1875 + 0.05 * (0.125 + 0.1875))).abs() < 1e-12);
    assert!(AugmentedChebyshev::new(vec![1.0], &front).is_err());
}

#[test]
fn the_improvement_of_a_scalarization_agrees_with_monte_carlo() {
    let (models, _, _) = problem(4);
    let posteriors: Vec<&dyn Posterior> = models.iter().map(|model| -> &dyn Posterior { model }).collect();
    let weights = vec![0.4, 0.3, 0.2, 0.1];
    let rows = observed();
    let scored = LogChebyshevImprovement::new(posteriors, weights.clone(), &rows, 4096, 7).unwrap();
    let means: Vec<Vec<f64>> = models.iter().map(|model| model.predict_mean(&rows).unwrap()).collect();
    let table: Vec<Vec<f64>> = (0..rows.len()).map(|i| means.iter().map(|part| part[i]).collect()).collect();
    let table = Rows::from_rows(4, &table).unwrap();
    let scalar = AugmentedChebyshev::new(weights, &table).unwrap();
    let best = scalar.scalars(&table).into_iter().fold(f64::INFINITY, f64::min);
    let probe = sobol_rows(40, 2, 23).unwrap();
    let values = scored.log_value(&probe).unwrap();
    let mut order: Vec<usize> = (0..40).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    for &candidate in &order[..5] {
        let at = Rows::from_rows(2, &[probe.row(candidate)]).unwrap();
        let parts: Vec<MeanVariance> = models.iter().map(|model| model.predict(&at).unwrap()).collect();
        let mut total = 0.0;
        let draws = sobol_rows(1 << 14, 4, 99).unwrap();
        for unit in draws.iter() {
            let drawn = parts.iter().zip(unit).map(|(part, unit)| {
                part.mean[0] + part.variance[0].sqrt() * normal_quantile(unit.clamp(1e-9, 1.0 - 1e-9))
            });
            total += (best - scalar.scalar(&drawn.collect::<Vec<_>>())).max(0.0) / f64::from(1 << 14);
        }
        let found = values[candidate].exp();
        // The softplus adds at most ln 2 of its width where the improvement is about none.
        assert!(found > 0.97 * total && found < 1.03 * total + 0.007, "{found} against {total}");
    }
    let posteriors: Vec<&dyn Posterior> = models.iter().map(|model| -> &dyn Posterior { model }).collect();
    assert!(LogChebyshevImprovement::new(posteriors, vec![1.0], &rows, 8, 1).is_err());
}

#[test]
fn choices_over_candidate_sets_are_distinct_and_sensible() {
    let (models, _, _) = problem(2);
    let joint: Vec<&dyn JointPosterior> =
        models.iter().map(|model| -> &dyn JointPosterior { model }).collect();
    let posteriors: Vec<&dyn Posterior> = models.iter().map(|model| -> &dyn Posterior { model }).collect();
    let candidates = sobol_rows(80, 2, 21).unwrap();
    let chosen = thompson_choices_multi(&joint, &candidates, 10, 4).unwrap();
    let mut distinct = chosen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 10);
    assert_eq!(chosen, thompson_choices_multi(&joint, &candidates, 10, 4).unwrap());
    let table: Vec<Vec<f64>> = candidates.iter().map(|row| vec![losses(row, 0), losses(row, 1)]).collect();
    let ranks = boxwood_numeric::nondominated_ranks(&Rows::from_rows(2, &table).unwrap());
    let average = chosen.iter().map(|&index| ranks[index] as f64).sum::<f64>() / 10.0;
    let all = ranks.iter().sum::<usize>() as f64 / 80.0;
    assert!(average < 0.5 * all, "{average} against {all}");
    let first = LogExpectedImprovement::new(&models[0], models[0].to_model_scale(0.1));
    let second = LogExpectedImprovement::new(&models[1], models[1].to_model_scale(0.1));
    let scores: [&dyn Acquisition; 2] = [&first, &second];
    let picked = most_uncertain_on_front(&scores, &posteriors, &candidates).unwrap().unwrap();
    let values: Vec<Vec<f64>> = scores.iter().map(|score| score.log_value(&candidates).unwrap()).collect();
    let beaten = (0..80).any(|other| values.iter().all(|value| value[other] > value[picked]));
    assert!(!beaten);
    assert_eq!(most_uncertain_on_front(&scores, &posteriors, &Rows::new(2)).unwrap(), None);
}

#[test]
fn models_without_gradients_say_so() {
    let rows = observed();
    let values: Vec<f64> = rows.iter().map(|row| losses(row, 0)).collect();
    let forest = Forest::fit(&Layout::numeric(2), &rows, &values, &ForestOptions::default(), 1).unwrap();
    let front = Rows::from_rows(2, &[[0.0, 0.0]]).unwrap();
    let gain = LogExpectedHypervolumeImprovement::new(vec![&forest, &forest], &front, &[1.0, 1.0]).unwrap();
    assert!(gain.log_value_gradient(rows.row(0)).unwrap().is_none());
    assert!(gain.log_value(&rows).unwrap().iter().all(|value| value.is_finite()));
}
