//! The best point according to the model: under noise the luckiest trial is not the best one.

use boxwood_core::{Loss, Point, Rung, Seed, StudyView, TrialNumber};
use boxwood_numeric::Rows;
use boxwood_surrogate::{GpModel, Posterior};
use serde::Serialize;

use crate::model::{fit, layout, sample};
use crate::observed::{Observed, observed_at};

/// Fewest results of which a best point is predicted.
const FEWEST: usize = 5;
/// Sobol points that are looked at beside the observed ones.
const CANDIDATES: usize = 512;
/// Steps from the best candidate, and draws per number in each of them.
const STEPS: usize = 30;
const DRAWS: usize = 8;
/// Normal quantile of the central nine tenths.
const NINE_TENTHS: f64 = 1.644_853_626_951_472;

/// The point whose true value is expected to be best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictedBest {
    /// The point.
    pub point: Point,
    /// The trial that has it already, if there is one.
    pub trial: Option<TrialNumber>,
    /// Predicted value of the metric without noise, native units.
    pub value: f64,
    /// Lower end of the central nine tenths of the prediction, native units.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Results that the model saw, at most 300.
    pub observations: usize,
}

/// The point with the best posterior mean of an objective at one rung, over all observed points, Sobol points and steps
/// from the best of them. With constraints, only points that are predicted to satisfy all of them count.
///
/// `None` with fewer than five finite results, an unknown objective, where no model can be fitted, and where no point is
/// predicted to be feasible.
pub fn predicted_best(view: &StudyView, objective: usize, rung: Rung) -> Option<PredictedBest> {
    let declared = view.problem().objectives().get(objective)?;
    let (space, seed) = (view.problem().space(), view.problem().seed());
    let observed = observed_at(view, rung);
    let known = sample(&observed, objective, seed);
    if known.len() < FEWEST {
        return None;
    }
    let layout = layout(space);
    let rows: Vec<&[f64]> = known.iter().map(|(row, _)| row.as_slice()).collect();
    let losses: Vec<f64> = known.iter().map(|(_, loss)| *loss).collect();
    let search =
        Search { model: fit(&layout, &rows, &losses, seed)?, constraints: constraints(view, &observed)? };
    let mut candidates: Vec<Vec<f64>> = known.iter().map(|(row, _)| row.clone()).collect();
    candidates.extend(space.sobol(Seed(seed).derive("predicted best", 0).0, 0, CANDIDATES));
    let (mut row, mut mean) = search.best(&candidates)?;
    for step in 0..STEPS {
        let mut rng = Seed(seed).derive("step", step as u64).rng();
        let steps = (0..layout.len()).flat_map(|d| space.neighbours(&row, d, DRAWS, &mut rng));
        // Steps of a number shrink towards the row, or else the search would end a step's length away.
        let shrunk = |mut neighbour: Vec<f64>| {
            let share = 0.5_f64.powi((step % 6) as i32);
            for (d, dimension) in layout.dimensions.iter().enumerate() {
                if dimension.is_numeric() && !row[d].is_nan() && !neighbour[d].is_nan() {
                    neighbour[d] = row[d] + share * (neighbour[d] - row[d]);
                }
            }
            space.snap(&mut neighbour).then_some(neighbour)
        };
        let steps: Vec<Vec<f64>> = steps.filter_map(shrunk).collect();
        if let Some((better, found)) = search.best(&steps).filter(|(_, found)| *found < mean) {
            (row, mean) = (better, found);
        }
    }
    let answer = search.model.predict(&Rows::from_rows(layout.len(), &[row.as_slice()]).ok()?).ok()?;
    let native = |value: f64| Loss::new(search.model.to_loss(value)).map(|loss| declared.native(loss)).ok();
    let spread = NINE_TENTHS * answer.variance.first()?.sqrt();
    let ends = [native(mean - spread)?, native(mean + spread)?];
    let trial = observed.iter().find(|observed| observed.trial.encoded == row).map(|o| o.trial.number);
    Some(PredictedBest {
        point: space.decode(&row),
        trial,
        value: native(mean)?,
        low: ends[0].min(ends[1]),
        high: ends[0].max(ends[1]),
        observations: known.len(),
    })
}

/// One model per constraint.
fn constraints(view: &StudyView, observed: &[Observed<'_>]) -> Option<Vec<GpModel>> {
    let seed = view.problem().seed();
    let layout = layout(view.problem().space());
    (0..view.problem().constraints().len())
        .map(|index| {
            let known: Vec<(&[f64], f64)> = observed
                .iter()
                .filter_map(|o| Some((o.trial.encoded.as_slice(), *o.result.violations.get(index)?)))
                .rev()
                .take(crate::model::MOST_RESULTS)
                .collect();
            let rows: Vec<&[f64]> = known.iter().map(|(row, _)| *row).collect();
            let violations: Vec<f64> = known.iter().map(|(_, violation)| *violation).collect();
            fit(&layout, &rows, &violations, seed)
        })
        .collect()
}

struct Search {
    model: GpModel,
    constraints: Vec<GpModel>,
}

impl Search {
    /// The candidate with the least predicted mean among those predicted to be feasible; the earlier of equal ones.
    fn best(&self, candidates: &[Vec<f64>]) -> Option<(Vec<f64>, f64)> {
        let views: Vec<&[f64]> = candidates.iter().map(Vec::as_slice).collect();
        let rows = Rows::from_rows(self.model.layout().len(), &views).ok()?;
        let means = self.model.predict_mean(&rows).ok()?;
        let mut holds = vec![true; candidates.len()];
        for constraint in &self.constraints {
            let limit = constraint.to_model_scale(0.0);
            for (hold, mean) in holds.iter_mut().zip(constraint.predict_mean(&rows).ok()?) {
                *hold &= mean <= limit;
            }
        }
        let feasible = (0..candidates.len()).filter(|index| holds[*index]);
        let best = feasible.min_by(|a, b| means[*a].total_cmp(&means[*b]).then(a.cmp(b)))?;
        Some((candidates[best].clone(), means[best]))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rand::RngExt;

    use super::*;
    use crate::fixture::Study;

    const SPACE: &str = r#"{"parameters":[{"name":"a","type":"float","low":0,"high":1},{"name":"b","type":"float","low":0,"high":1}]}"#;

    fn bowl(row: &[f64]) -> f64 {
        (row[0] - 0.3).powi(2) + (row[1] - 0.6).powi(2)
    }

    fn study(goal: &str, mut loss: impl FnMut(&[f64]) -> f64) -> Study {
        let mut study = Study::of_space(SPACE, 1, goal);
        let space = study.view().problem().space().clone();
        for row in space.sobol(2, 0, 60) {
            let point = serde_json::to_string(&space.decode(&row)).unwrap();
            let loss = loss(&row);
            study.add(&point, &[vec![loss]]);
        }
        study
    }

    #[test]
    fn noise_does_not_decide() {
        let mut rng = Seed(8).rng();
        let noisy = study("maximize", |row| bowl(row) + 0.1 * (rng.random::<f64>() - 0.5));
        let found = predicted_best(&noisy.view(), 0, Rung(0)).unwrap();
        let row = noisy.view().problem().space().encode(&found.point).unwrap();
        assert!(bowl(&row) < 0.02, "{found:?}");
        assert!(found.low <= found.value && found.value <= found.high);
        assert!(found.low < 0.0 && found.high > -0.05, "the true value is -0.0: {found:?}");
    }

    #[test]
    fn without_noise_the_point_lies_between_the_trials() {
        let smooth = study("minimize", bowl);
        let found = predicted_best(&smooth.view(), 0, Rung(0)).unwrap();
        let row = smooth.view().problem().space().encode(&found.point).unwrap();
        let least = smooth.trials.iter().map(|trial| bowl(&trial.encoded)).fold(f64::INFINITY, f64::min);
        assert!(bowl(&row) < 0.2 * least, "{} against {least}: {found:?}", bowl(&row));
        assert_eq!(found.trial, None);
        assert_eq!(predicted_best(&smooth.view(), 1, Rung(0)), None);
        assert_eq!(predicted_best(&smooth.view(), 0, Rung(1)), None);
    }
}
