//! How far the model of an objective can be trusted: predictions of results that it was not shown.

use boxwood_core::{Rung, StudyView};
use boxwood_numeric::{Rows, mix_seed};
use boxwood_surrogate::Posterior;
use serde::Serialize;

use crate::model::{fit, layout, sample};
use crate::observed::observed_at;

/// Parts that the results are divided into.
const FOLDS: usize = 5;
/// Fewest results of which a quality is told.
const FEWEST: usize = 10;
/// Normal quantiles of the central half and of the central nine tenths.
const HALF: f64 = 0.674_489_750_196_082;
const NINE_TENTHS: f64 = 1.644_853_626_951_472;

/// Cross-validation of the Gaussian process on one objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SurrogateQuality {
    /// Results that took part, at most 300.
    pub observations: usize,
    /// Spearman's correlation of predicted and measured ranks: 1 is a perfect order, 0 none.
    pub rank_correlation: f64,
    /// Mean of `(measured - predicted) / deviation` on the model scale; 0 without bias.
    pub residual_mean: f64,
    /// Root mean square of the same; 1 when the model knows how wrong it is, more when it is too sure of itself.
    pub residual_scale: f64,
    /// Share of results inside the central half of their predictions; 0.5 when calibrated.
    pub inside_half: f64,
    /// Share inside the central nine tenths; 0.9 when calibrated.
    pub inside_nine_tenths: f64,
}

/// Five-fold cross-validated quality of the model of an objective at one rung. Folds are drawn by the trials' numbers and
/// the study's seed, so that equal studies give equal answers.
///
/// `None` with fewer than ten finite results, an unknown objective, or where no model can be fitted.
pub fn surrogate_quality(view: &StudyView, objective: usize, rung: Rung) -> Option<SurrogateQuality> {
    let seed = view.problem().seed();
    let known = sample(&observed_at(view, rung), objective, seed);
    if known.len() < FEWEST {
        return None;
    }
    let layout = layout(view.problem().space());
    let mut order: Vec<usize> = (0..known.len()).collect();
    order.sort_by_key(|index| mix_seed(seed, *index as u64));
    let (mut predicted, mut residuals) = (vec![0.0; known.len()], Vec::with_capacity(known.len()));
    for fold in 0..FOLDS {
        let inside = |place: &usize| place % FOLDS == fold;
        let held: Vec<usize> = (0..order.len()).filter(inside).map(|place| order[place]).collect();
        let shown: Vec<usize> =
            (0..order.len()).filter(|place| !inside(place)).map(|place| order[place]).collect();
        let rows: Vec<&[f64]> = shown.iter().map(|index| known[*index].0.as_slice()).collect();
        let losses: Vec<f64> = shown.iter().map(|index| known[*index].1).collect();
        let model = fit(&layout, &rows, &losses, seed)?;
        let rows: Vec<&[f64]> = held.iter().map(|index| known[*index].0.as_slice()).collect();
        let answers = model.predict(&Rows::from_rows(layout.len(), &rows).ok()?).ok()?;
        let noise = model.hyperparameters().noise_variance;
        for ((index, mean), variance) in held.into_iter().zip(&answers.mean).zip(&answers.variance) {
            predicted[index] = model.to_loss(*mean);
            residuals.push((model.to_model_scale(known[index].1) - mean) / (variance + noise).sqrt());
        }
    }
    let measured: Vec<f64> = known.iter().map(|(_, loss)| *loss).collect();
    let count = residuals.len() as f64;
    let inside =
        |limit: f64| residuals.iter().filter(|residual| residual.abs() <= limit).count() as f64 / count;
    Some(SurrogateQuality {
        observations: known.len(),
        rank_correlation: correlation(&ranks(&predicted), &ranks(&measured)),
        residual_mean: residuals.iter().sum::<f64>() / count,
        residual_scale: (residuals.iter().map(|residual| residual * residual).sum::<f64>() / count).sqrt(),
        inside_half: inside(HALF),
        inside_nine_tenths: inside(NINE_TENTHS),
    })
}

/// Ranks from one; ties share their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count() as f64;
    let equal = |value: f64| values.iter().filter(|other| **other == value).count() as f64;
    values.iter().map(|value| below(*value) + 0.5 * (equal(*value) + 1.0)).collect()
}

/// Pearson's correlation; 0 where one side is constant.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let count = a.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (of_a, of_b) = (mean(a), mean(b));
    let product = |x: &[f64], y: &[f64], of_x: f64, of_y: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - of_x) * (y - of_y)).sum()
    };
    let scale = (product(a, a, of_a, of_a) * product(b, b, of_b, of_b)).sqrt();
    if scale > 0.0 { product(a, b, of_a, of_b) / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use boxwood_core::Seed;
    use rand::RngExt;

    use super::*;
    use crate::fixture::Study;

    const SPACE: &str =
        r#"{"name":"a","type":"float","low":0,"high":1},{"name":"b","type":"float","low":0,"high":1}"#;

    fn study(count: usize, mut loss: impl FnMut(&[f64]) -> f64) -> Study {
        let mut study = Study::new(SPACE, 1);
        let space = study.view().problem().space().clone();
        for row in space.sobol(5, 0, count) {
            let point = serde_json::to_string(&space.decode(&row)).unwrap();
            let loss = loss(&row);
            study.add(&point, &[vec![loss]]);
        }
        study
    }

    #[test]
    fn a_smooth_objective_is_predicted_and_noise_is_not() {
        let smooth = study(60, |row| (3.0 * row[0]).sin() + row[1] * row[1]);
        let found = surrogate_quality(&smooth.view(), 0, Rung(0)).unwrap();
        assert!(found.rank_correlation > 0.97, "{found:?}");
        let mut rng = Seed(3).rng();
        let noise = study(60, |_| rng.random::<f64>());
        let found = surrogate_quality(&noise.view(), 0, Rung(0)).unwrap();
        assert!(found.rank_correlation.abs() < 0.45, "{found:?}");
        assert!((0.6..1.5).contains(&found.residual_scale), "{found:?}");
        assert!((0.75..=1.0).contains(&found.inside_nine_tenths), "{found:?}");
    }

    #[test]
    fn too_little_is_no_answer_and_much_is_cut() {
        assert_eq!(surrogate_quality(&study(9, |row| row[0]).view(), 0, Rung(0)), None);
        let long = study(340, |row| row[0] + 0.1 * row[1]);
        assert_eq!(surrogate_quality(&long.view(), 0, Rung(0)).unwrap().observations, 300);
        assert_eq!(surrogate_quality(&long.view(), 1, Rung(0)), None);
    }

    #[test]
    fn ranks_and_correlations_of_known_numbers() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0]), [2.5, 1.0, 2.5]);
        assert!((correlation(&[1.0, 2.0, 3.0], &[6.0, 4.0, 2.0]) + 1.0).abs() < 1e-15);
        assert_eq!(correlation(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
    }
}
