//! Steps of a local search from its best point.

use boxwood_core::space::DimensionKind;
use boxwood_core::{SearchSpace, Seed, SeedRng, TrialNumber};
use rand::RngExt;

use crate::sampler::population::{activate, normal};

/// Where a step starts and how long it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct From<'a> {
    /// Number of the trial.
    pub(super) number: TrialNumber,
    /// Its row.
    pub(super) row: &'a [f64],
    /// Length, as a share of the cube's diagonal over the numbers that are active.
    pub(super) length: f64,
}

impl From<'_> {
    /// Step `place` from here: along random directions, each first forward and then backward (Wu, Wang and Huang, "Frugal
    /// optimization for cost-related hyperparameters", AAAI 2021, algorithm 1).
    ///
    /// Steps end at the bounds. Each choice becomes another with probability one over the number of active parameters.
    /// Depends on the study's seed, the trial and the place alone. None where the point is forbidden.
    pub(super) fn step(&self, space: &SearchSpace, place: u64, seed: Seed) -> Option<Vec<f64>> {
        let seed = seed.derive("step", u64::from(self.number.0));
        let mut row = self.along(space, place, seed);
        activate(&mut row, &mut seed.derive("activated", place).rng());
        space.snap(&mut row).then_some(row)
    }

    fn along(&self, space: &SearchSpace, place: u64, seed: Seed) -> Vec<f64> {
        let mut rng = seed.derive("direction", place / 2).rng();
        let sign = if place.is_multiple_of(2) { 1.0 } else { -1.0 };
        let is_choice =
            |column: usize| matches!(space.dimensions()[column].kind, DimensionKind::Categorical { .. });
        let active: Vec<usize> = (0..self.row.len()).filter(|column| !self.row[*column].is_nan()).collect();
        let (choices, numbers): (Vec<usize>, Vec<usize>) =
            active.iter().partition(|column| is_choice(**column));
        let direction: Vec<f64> = numbers.iter().map(|_| normal(&mut rng)).collect();
        let norm = direction.iter().map(|part| part * part).sum::<f64>().sqrt();
        let length = self.length * (numbers.len() as f64).sqrt();
        let mut row = self.row.to_vec();
        for (column, part) in numbers.iter().zip(&direction) {
            row[*column] = (row[*column] + sign * length * part / norm).clamp(0.0, 1.0);
        }
        let mut rng = seed.derive("choices", place).rng();
        // Where there are no numbers, at least one choice has to change.
        let certain = if numbers.is_empty() { rng.random_range(0..choices.len().max(1)) } else { usize::MAX };
        for (index, column) in choices.iter().enumerate() {
            if rng.random::<f64>() * (active.len() as f64) < 1.0 || index == certain {
                row[*column] = another(space, *column, row[*column], &mut rng);
            }
        }
        row
    }
}

/// Another choice of a categorical column, uniformly.
fn another(space: &SearchSpace, column: usize, unit: f64, rng: &mut SeedRng) -> f64 {
    let DimensionKind::Categorical { choices } = space.dimensions()[column].kind else { return unit };
    if choices < 2 {
        return unit;
    }
    let here = ((unit * choices as f64) as u64).min(choices - 1);
    let other = (here + rng.random_range(1..choices)) % choices;
    (other as f64 + 0.5) / choices as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use boxwood_core::ProblemSpec;

    use super::*;

    fn space(parameters: &serde_json::Value) -> SearchSpace {
        let spec: ProblemSpec = serde_json::from_value(serde_json::json!({
            "space": {"parameters": parameters}, "objectives": [{"metric": "loss", "goal": "minimize"}],
        }))
        .unwrap();
        SearchSpace::clone(spec.check().unwrap().space())
    }

    fn float(name: &str) -> serde_json::Value {
        serde_json::json!({"name": name, "type": "float", "low": 0, "high": 1})
    }

    #[test]
    fn a_direction_is_tried_forward_then_backward_at_the_same_length() {
        let space = space(&serde_json::json!([float("x"), float("y"), float("z")]));
        let here = [0.5, 0.4, 0.6];
        let from = From { number: TrialNumber(7), row: &here, length: 0.1 };
        let mut directions = Vec::new();
        for pair in 0..20 {
            let [forward, backward] = [0, 1].map(|side| from.step(&space, 2 * pair + side, Seed(3)).unwrap());
            let moved = |row: &[f64]| row.iter().zip(here).map(|(a, b)| a - b).collect::<Vec<f64>>();
            let (forward, backward) = (moved(&forward), moved(&backward));
            let length = forward.iter().map(|part| part * part).sum::<f64>().sqrt();
            assert!((length - 0.1 * 3_f64.sqrt()).abs() < 1e-6, "{length}");
            assert!(
                forward.iter().zip(&backward).all(|(a, b)| (a + b).abs() < 1e-6),
                "{forward:?} {backward:?}"
            );
            directions.push(forward);
        }
        assert!(directions.windows(2).all(|pair| pair[0] != pair[1]));
        assert_ne!(from.step(&space, 0, Seed(4)), from.step(&space, 0, Seed(3)), "the seed matters");
    }

    #[test]
    fn steps_stay_in_the_space_and_change_something_even_without_numbers() {
        let choices = serde_json::json!({"name": "c", "type": "categorical", "choices": ["a", "b", "c"]});
        let only = space(&serde_json::json!([choices]));
        let row = [0.5 / 3.0];
        let from = From { number: TrialNumber(1), row: &row, length: 0.1 };
        for place in 0..20 {
            assert_ne!(from.step(&only, place, Seed(1)).unwrap()[0], row[0], "step {place}");
        }
        let mut depth = float("depth");
        depth["when"] = serde_json::json!({"parameter": "c", "equals": "b"});
        let conditional = space(&serde_json::json!([choices, float("x"), depth]));
        let row = [0.5 / 3.0, 1.0, f64::NAN];
        let from = From { number: TrialNumber(1), row: &row, length: 0.5 };
        let mut activated = 0;
        for place in 0..40 {
            let moved = from.step(&conditional, place, Seed(1)).unwrap();
            assert!((0.0..=1.0).contains(&moved[1]));
            assert_eq!(moved[2].is_nan(), moved[0] != 0.5, "{moved:?}");
            activated += usize::from(!moved[2].is_nan());
        }
        assert!(activated > 3, "{activated}");
    }
}
