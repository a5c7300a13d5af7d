//! A line through the best result, on which the acquisition is maximized instead of in the whole space.
//!
//! Letters: d encoded dimensions, t the place on the line, zero at the best result.

use boxwood_acquisition::{Acquisition, AcquisitionError, Candidate, CandidateSpace};
use boxwood_core::Seed;
use boxwood_numeric::{Rows, normal_quantile};
use boxwood_surrogate::Layout;
use rand::RngExt;

use super::settings::Subspace;
use crate::history::Known;
use crate::sampler::model::Candidates;

/// Even steps from end to end of a line, and steps on either side of the best result that halve from the line's length on.
const EVEN_STEPS: usize = 96;
const HALVINGS: i32 = 12;
/// Rounds in which the best place is looked for between its neighbours, and steps on either side of it.
const ROUNDS: usize = 5;
const FINE_STEPS: i32 = 5;

/// A unit vector of length d, zero in categories and inactive columns; nothing where no column can move.
///
/// Kirschner et al., "Adaptive and safe Bayesian optimization in high dimensions via one-dimensional subspaces" (2019):
/// a direction drawn evenly from the sphere, one coordinate, or the steepest descent of the posterior mean, whose gradient is
/// `slope`; where the mean is flat, a drawn direction.
pub(super) fn direction(
    subspace: Subspace,
    layout: &Layout,
    centre: &[f64],
    slope: Option<&[f64]>,
    seed: Seed,
) -> Option<Vec<f64>> {
    let moves = |column: &usize| !layout.dimensions[*column].is_categorical() && !centre[*column].is_nan();
    let columns: Vec<usize> = (0..centre.len()).filter(moves).collect();
    let mut rng = seed.derive("direction", 0).rng();
    let mut direction = vec![0.0; centre.len()];
    match (subspace, slope) {
        (Subspace::Full, _) => return None,
        (Subspace::Coordinate, _) if !columns.is_empty() => {
            direction[columns[rng.random_range(0..columns.len())]] = 1.0;
        }
        (Subspace::Descent, Some(slope)) if columns.iter().any(|column| slope[*column] != 0.0) => {
            for column in columns {
                direction[column] = -slope[column];
            }
        }
        _ => {
            for column in columns {
                let uniform = rng.random::<f64>().clamp(1e-12, 1.0 - 1e-12);
                direction[column] = normal_quantile(uniform);
            }
        }
    }
    let length = direction.iter().map(|part| part * part).sum::<f64>().sqrt();
    (length > 0.0 && length.is_finite()).then(|| direction.iter().map(|part| part / length).collect())
}

/// The best row on the line that is not known, with the categories of `centre` or one of them changed.
///
/// Numbers, integers and ordinals move together; rows are repaired to the grid and to conditions. Nothing where all rows that
/// were looked at are known.
pub(super) fn best_on_line(
    acquisition: &dyn Acquisition,
    space: &Candidates<'_>,
    centre: &[f64],
    direction: &[f64],
    seed: Seed,
    known: &Known,
) -> Result<Option<Candidate>, AcquisitionError> {
    let (low, high) = ends(centre, direction);
    let mut rng = seed.derive("neighbours", 0).rng();
    let mut bases = vec![centre.to_vec()];
    for (column, dimension) in space.layout().dimensions.iter().enumerate() {
        if dimension.is_categorical() && !centre[column].is_nan() {
            bases.extend(space.neighbours(centre, column, &mut rng));
        }
    }
    let even = (0..=EVEN_STEPS).map(|step| low + (high - low) * step as f64 / EVEN_STEPS as f64);
    let halved = (1..=HALVINGS).flat_map(|power| {
        let step = (high - low) * 0.5_f64.powi(power);
        [step, -step]
    });
    let places: Vec<f64> = even.chain(halved).collect();
    let mut best: Option<(Candidate, usize, f64)> = None;
    let wanted: Vec<(usize, f64)> =
        (0..bases.len()).flat_map(|base| places.iter().map(move |place| (base, *place))).collect();
    score(acquisition, space, &bases, direction, &wanted, known, &mut best)?;
    let mut width = (high - low) / EVEN_STEPS as f64;
    for _ in 0..ROUNDS {
        let Some((_, base, place)) = &best else { break };
        let step = width / f64::from(FINE_STEPS);
        let near = |k: i32| (*base, (place + step * f64::from(k)).clamp(low, high));
        let wanted: Vec<(usize, f64)> = (-FINE_STEPS..=FINE_STEPS).map(near).collect();
        score(acquisition, space, &bases, direction, &wanted, known, &mut best)?;
        width = step;
    }
    Ok(best.map(|(candidate, ..)| candidate))
}

/// Places at which the line leaves the unit cube.
fn ends(centre: &[f64], direction: &[f64]) -> (f64, f64) {
    let mut ends = (f64::NEG_INFINITY, f64::INFINITY);
    for (value, part) in centre.iter().zip(direction).filter(|(_, part)| **part != 0.0) {
        let (a, b) = (-value / part, (1.0 - value) / part);
        ends = (ends.0.max(a.min(b)), ends.1.min(a.max(b)));
    }
    (ends.0.min(0.0), ends.1.max(0.0))
}

/// Keeps the best of the rows at the given places, the first of equals.
fn score(
    acquisition: &dyn Acquisition,
    space: &Candidates<'_>,
    bases: &[Vec<f64>],
    direction: &[f64],
    wanted: &[(usize, f64)],
    known: &Known,
    best: &mut Option<(Candidate, usize, f64)>,
) -> Result<(), AcquisitionError> {
    let mut rows = Rows::new(direction.len());
    let mut places = Vec::with_capacity(wanted.len());
    for (base, place) in wanted {
        let moved = bases[*base].iter().zip(direction);
        let mut row: Vec<f64> = moved
            .map(|(value, part)| if *part == 0.0 { *value } else { (value + place * part).clamp(0.0, 1.0) })
            .collect();
        if space.snap(&mut row) && !known.contains(&row) {
            rows.push_row(&row)?;
            places.push((*base, *place));
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    for (index, value) in acquisition.log_value(&rows)?.into_iter().enumerate() {
        if best.as_ref().is_none_or(|(known, ..)| value > known.value) {
            let (base, place) = places[index];
            *best = Some((Candidate { row: rows.row(index).to_vec(), value }, base, place));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use boxwood_core::{Problem, ProblemSpec};

    fn problem() -> Problem {
        let spec: ProblemSpec = serde_json::from_str(
            r#"{"space": {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1},
                                         {"name": "y", "type": "float", "low": 0, "high": 1},
                                         {"name": "n", "type": "integer", "low": 0, "high": 9},
                                         {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]}]},
                "objectives": [{"metric": "loss", "goal": "minimize"}]}"#,
        )
        .unwrap();
        spec.check().unwrap()
    }

    /// Highest at x = 0.7 with the last choice.
    struct Peak;

    impl Acquisition for Peak {
        fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
            Ok(rows.iter().map(|row| row[3] - (row[0] - 0.7).powi(2)).collect())
        }

        fn log_value_gradient(&self, _row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
            Ok(None)
        }
    }

    #[test]
    fn directions_move_numbers_alone_and_have_length_one() {
        let problem = problem();
        let space = Candidates::new(problem.space());
        let centre = [0.5, 0.5, 0.55, 0.5];
        for seed in 0..20 {
            let of = |subspace, slope: Option<&[f64]>| {
                direction(subspace, space.layout(), &centre, slope, Seed(seed)).unwrap()
            };
            let line = of(Subspace::Line, None);
            assert!((line.iter().map(|part| part * part).sum::<f64>() - 1.0).abs() < 1e-12 && line[3] == 0.0);
            assert_eq!(of(Subspace::Coordinate, None).iter().filter(|part| **part != 0.0).count(), 1);
            assert_eq!(of(Subspace::Descent, Some(&[3.0, 0.0, -4.0, 9.0])), [-0.6, 0.0, 0.8, 0.0]);
            assert_eq!(of(Subspace::Descent, Some(&[0.0; 4])), line, "a flat mean");
        }
        assert_eq!(direction(Subspace::Full, space.layout(), &centre, None, Seed(1)), None);
        assert_eq!(direction(Subspace::Line, space.layout(), &[f64::NAN; 4], None, Seed(1)), None);
    }

    #[test]
    fn the_best_place_on_the_line_is_found_with_one_category_changed() {
        let problem = problem();
        let space = Candidates::new(problem.space());
        let mut centre = vec![0.2, 0.4, 0.55, 0.5];
        assert!(space.snap(&mut centre));
        let along = [1.0, 0.0, 0.0, 0.0];
        let found =
            best_on_line(&Peak, &space, &centre, &along, Seed(3), &Known::default()).unwrap().unwrap();
        assert!((found.row[0] - 0.7).abs() < 1e-4, "{:?}", found.row);
        assert_eq!(&found.row[1..3], &centre[1..3]);
        assert!(found.row[3] > 0.8, "the last choice");
        let diagonal = [0.6, 0.8, 0.0, 0.0];
        let found =
            best_on_line(&Peak, &space, &centre, &diagonal, Seed(3), &Known::default()).unwrap().unwrap();
        let (x, y) = (found.row[0] - centre[0], found.row[1] - centre[1]);
        assert!((x / 0.6 - y / 0.8).abs() < 1e-9, "on the line: {:?}", found.row);
        let mut known = Known::default();
        known.insert(&found.row);
        let next = best_on_line(&Peak, &space, &centre, &diagonal, Seed(3), &known).unwrap().unwrap();
        assert_ne!(next.row, found.row);
    }
}
