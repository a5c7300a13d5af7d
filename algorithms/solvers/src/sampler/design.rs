//! Points that a model-based sampler tries before its model is used.

use boxwood_core::space::DimensionKind;
use boxwood_core::{Problem, SearchSpace, Seed, Unsupported};

use super::Request;
use super::sobol::sobol_rows;
use crate::fill::random_rows;
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Random rows among which the maximin design picks, as in `OpenBox`.
const MAXIMIN_DRAWS: usize = 100;
/// Latin hypercubes of which the one with the largest smallest distance is used.
const HYPERCUBES: u64 = 10;
/// Most rows of one Latin hypercube; a longer design takes further ones.
const LARGEST_HYPERCUBE: usize = 512;
/// Further points of a sequence looked at when some are known already.
const SPARE: usize = 8;

/// Which points.
pub(crate) const INITIAL_DESIGN: ParameterInfo = ParameterInfo {
    name: "initial_design",
    kind: ParameterKind::Choice {
        default: "sobol",
        choices: &["sobol", "halton", "latin_hypercube", "maximin", "random"],
    },
    meaning: "Points before the model is used: a scrambled sequence (sobol, halton), a maximin Latin hypercube, of 100 random \
              points the one farthest from all trials (maximin), or random ones.",
};

/// A family of space-filling points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum InitialDesign {
    #[default]
    Sobol,
    Halton,
    LatinHypercube,
    Maximin,
    Random,
}

impl InitialDesign {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        Ok(match parameters.choice(INITIAL_DESIGN.name)? {
            "halton" => Self::Halton,
            "latin_hypercube" => Self::LatinHypercube,
            "maximin" => Self::Maximin,
            "random" => Self::Random,
            _ => Self::Sobol,
        })
    }

    /// The next row of a design of `size` rows and what chose it; adds it to `known`. The row depends on the study's seed,
    /// on the number of its trials and of `chosen`, and for maximin on the rows themselves.
    pub(crate) fn row(
        self,
        request: &Request<'_>,
        size: usize,
        chosen: &[Vec<f64>],
        known: &mut Known,
    ) -> Option<(Vec<f64>, &'static str)> {
        let problem = request.view.problem();
        let place = request.view.trials().len() + chosen.len();
        let fresh = |rows: Vec<Vec<f64>>, known: &mut Known| rows.into_iter().find(|row| known.insert(row));
        match self {
            Self::Sobol => sobol_rows(request, chosen.len(), 1, known).pop().map(|row| (row, "sobol")),
            Self::Halton => {
                let rows = problem.space().halton(problem.seed(), place as u32, 1 + SPARE);
                fresh(rows, known).map(|row| (row, "halton"))
            }
            Self::LatinHypercube => {
                let block = size.clamp(1, LARGEST_HYPERCUBE);
                let rows = spread_hypercube(problem, block, HYPERCUBES, (place / block) as u64)?;
                fresh(vec![rows.get(place % block)?.clone()], known).map(|row| (row, "latin_hypercube"))
            }
            Self::Maximin => {
                let mut drawn = known.clone();
                let seed = Seed(problem.seed()).derive("maximin", place as u64);
                let rows = random_rows(problem.space(), &mut drawn, MAXIMIN_DRAWS, seed);
                let trials = request.view.trials().iter().map(|trial| trial.encoded.as_slice());
                let taken: Vec<&[f64]> = trials.chain(chosen.iter().map(Vec::as_slice)).collect();
                let row = farthest(problem.space(), rows, &taken)?;
                known.insert(&row).then_some((row, "maximin"))
            }
            Self::Random => {
                let seed = Seed(problem.seed()).derive("design", place as u64);
                random_rows(problem.space(), known, 1, seed).pop().map(|row| (row, "random"))
            }
        }
    }
}

/// The row whose nearest taken row is farthest; the first of equals.
fn farthest(space: &SearchSpace, rows: Vec<Vec<f64>>, taken: &[&[f64]]) -> Option<Vec<f64>> {
    let categorical = categorical_columns(space);
    let room = |row: &[f64]| {
        let distances = taken.iter().map(|other| squared_distance(row, other, &categorical));
        distances.fold(f64::INFINITY, f64::min)
    };
    let mut best: Option<(f64, Vec<f64>)> = None;
    for row in rows {
        let room = room(&row);
        if best.as_ref().is_none_or(|(known, _)| room > *known) {
            best = Some((room, row));
        }
    }
    best.map(|(_, row)| row)
}

/// Of `tries` Latin hypercubes the one whose closest two rows lie farthest apart, the same in every plan; nothing where the
/// space is too tight to be sampled.
pub(super) fn spread_hypercube(
    problem: &Problem,
    size: usize,
    tries: u64,
    block: u64,
) -> Option<Vec<Vec<f64>>> {
    let space = problem.space();
    let seed = Seed(problem.seed()).derive("latin_hypercube", block);
    let mut best: Option<(f64, Vec<Vec<f64>>)> = None;
    for attempt in 0..tries {
        let rows = space.latin_hypercube(size, &mut seed.derive("try", attempt).rng()).ok()?;
        let distance = smallest_distance(space, &rows);
        if best.as_ref().is_none_or(|(known, _)| distance > *known) {
            best = Some((distance, rows));
        }
    }
    best.map(|(_, rows)| rows)
}

pub(super) fn categorical_columns(space: &SearchSpace) -> Vec<bool> {
    let is = |kind: &DimensionKind| matches!(kind, DimensionKind::Categorical { .. });
    space.dimensions().iter().map(|dimension| is(&dimension.kind)).collect()
}

/// Squared distance of two encoded rows; a differing choice or a parameter active in one row counts one.
pub(super) fn squared_distance(a: &[f64], b: &[f64], categorical: &[bool]) -> f64 {
    let part = |a: f64, b: f64, categorical: bool| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if !categorical => (a - b) * (a - b),
        (false, false) if a == b => 0.0,
        _ => 1.0,
    };
    a.iter().zip(b).zip(categorical).map(|((a, b), categorical)| part(*a, *b, *categorical)).sum()
}

/// Least squared distance between two of n rows, O(n^2 d).
fn smallest_distance(space: &SearchSpace, rows: &[Vec<f64>]) -> f64 {
    let categorical = categorical_columns(space);
    let mut smallest = f64::INFINITY;
    for (index, a) in rows.iter().enumerate() {
        for b in &rows[..index] {
            smallest = smallest.min(squared_distance(a, b, &categorical));
        }
    }
    smallest
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn space() -> Problem {
        let spec: boxwood_core::ProblemSpec = serde_json::from_str(
            r#"{"space": {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1},
                                         {"name": "c", "type": "categorical", "choices": ["a", "b"]}]},
                "objectives": [{"metric": "loss", "goal": "minimize"}]}"#,
        )
        .unwrap();
        spec.check().unwrap()
    }

    #[test]
    fn the_farthest_row_is_far_from_every_trial() {
        let rows = vec![vec![0.4, 0.25], vec![0.9, 0.25], vec![0.5, 0.75]];
        let problem = space();
        let taken: Vec<&[f64]> = vec![&[0.1, 0.25], &[0.95, 0.25]];
        assert_eq!(farthest(problem.space(), rows.clone(), &taken).unwrap(), [0.5, 0.75], "another choice");
        assert_eq!(farthest(problem.space(), rows, &[]).unwrap(), [0.4, 0.25], "the first of equals");
    }

    #[test]
    fn more_tries_never_bring_rows_of_a_hypercube_together() {
        let problem = space();
        let distance =
            |tries| smallest_distance(problem.space(), &spread_hypercube(&problem, 8, tries, 0).unwrap());
        assert!(distance(50) >= distance(1));
        let differ = smallest_distance(problem.space(), &[vec![0.2, 0.25], vec![0.2, 0.75]]);
        assert_eq!(differ, 1.0, "a differing choice counts one");
    }
}
