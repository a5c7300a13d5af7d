//! The maximizer on boxes and on mixed, conditional and forbidden spaces.

#![allow(clippy::unwrap_used)]

use boxwood_acquisition::{
    Acquisition, AcquisitionError, Budget, Candidate, CandidateSpace, LogExpectedImprovement, candidate_rows,
    maximize,
};
use boxwood_numeric::{Rows, sobol_rows};
use boxwood_surrogate::{Dimension, Forest, ForestOptions, GaussianProcess, GpOptions, Kind, Layout};
use rand::{Rng, RngExt};
use std::collections::HashSet;

/// A space of numbers, ordinals and categories; conditional columns are active for the first choice of column 0.
struct Mixed {
    layout: Layout,
    /// Choice of column 0 that is forbidden.
    forbidden: Option<usize>,
}

impl Mixed {
    fn bins(&self, column: usize) -> Option<usize> {
        match self.layout.dimensions[column].kind {
            Kind::Numeric => None,
            Kind::Integer { levels: bins }
            | Kind::Ordinal { levels: bins }
            | Kind::Categorical { choices: bins } => Some(bins),
        }
    }

    fn repaired(&self, mut row: Vec<f64>) -> Option<Vec<f64>> {
        self.snap(&mut row).then_some(row)
    }
}

impl CandidateSpace for Mixed {
    fn dimensions(&self) -> &Layout {
        &self.layout
    }

    fn sample(&self, rng: &mut dyn Rng) -> Vec<f64> {
        loop {
            let row = (0..self.layout.len()).map(|_| rng.random::<f64>()).collect();
            if let Some(row) = self.repaired(row) {
                return row;
            }
        }
    }

    fn snap(&self, row: &mut Vec<f64>) -> bool {
        for column in 0..row.len() {
            let value = if row[column].is_nan() { 0.5 } else { row[column].clamp(0.0, 1.0) };
            row[column] = match self.bins(column) {
                None => value,
                Some(bins) => ((value * bins as f64).floor().min(bins as f64 - 1.0) + 0.5) / bins as f64,
            };
            let choice = self.bins(0).map_or(0, |bins| (row[0] * bins as f64) as usize);
            if self.forbidden == Some(choice) {
                return false;
            }
            if self.layout.dimensions[column].conditional && choice != 0 {
                row[column] = f64::NAN;
            }
        }
        true
    }

    fn neighbours(&self, row: &[f64], dimension: usize, rng: &mut dyn Rng) -> Vec<Vec<f64>> {
        if row[dimension].is_nan() {
            return Vec::new();
        }
        let moved = |value: f64| {
            let mut other = row.to_vec();
            other[dimension] = value;
            self.repaired(other)
        };
        let values: Vec<f64> = match self.bins(dimension) {
            None => (0..4).map(|_| row[dimension] + 0.4 * (rng.random::<f64>() - 0.5)).collect(),
            Some(bins) => (0..bins).map(|bin| (bin as f64 + 0.5) / bins as f64).collect(),
        };
        values.into_iter().filter(|value| *value != row[dimension]).filter_map(moved).collect()
    }
}

fn mixed() -> Mixed {
    Mixed {
        layout: Layout::new(vec![
            Dimension::categorical(3),
            Dimension::numeric(),
            Dimension::numeric().conditional(),
            Dimension { kind: Kind::Ordinal { levels: 6 }, conditional: false },
            Dimension::categorical(4).conditional(),
        ]),
        forbidden: None,
    }
}

/// A smooth score with its maximum, zero, at choice 0, 0.3, 0.8, level 4 and choice 2.
struct Score;

impl Score {
    fn value(row: &[f64]) -> f64 {
        let off = |value: f64, at: f64| if value.is_nan() { 0.5 } else { (value - at).powi(2) };
        -off(row[0], 0.5 / 3.0)
            - 10.0 * off(row[1], 0.3)
            - off(row[2], 0.8)
            - off(row[3], 4.5 / 6.0)
            - off(row[4], 2.5 / 4.0)
    }
}

impl Acquisition for Score {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        Ok(rows.iter().map(Score::value).collect())
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let second = if row[2].is_nan() { 0.0 } else { -2.0 * (row[2] - 0.8) };
        Ok(Some((Score::value(row), vec![0.0, -20.0 * (row[1] - 0.3), second, 0.0, 0.0])))
    }
}

fn small() -> Budget {
    Budget { candidates: 60, refined: 4, ..Budget::default() }
}

#[test]
fn mixed_conditional_optimum_is_found_exactly() {
    let found = maximize(&Score, &mixed(), &Rows::new(5), &small(), 1).unwrap();
    let best = &found[0];
    assert!(best.value > -1e-8, "{best:?}");
    assert_eq!((best.row[0], best.row[3], best.row[4]), (0.5 / 3.0, 0.75, 0.625));
    assert!((best.row[1] - 0.3).abs() < 1e-4 && (best.row[2] - 0.8).abs() < 1e-4);
}

#[test]
fn results_are_ranked_distinct_valid_and_reproducible() {
    let space = mixed();
    let starts = Rows::from_rows(5, &[space.repaired(vec![0.2; 5]).unwrap()]).unwrap();
    let run = |seed| maximize(&Score, &space, &starts, &small(), seed).unwrap();
    let found = run(3);
    assert_eq!(format!("{found:?}"), format!("{:?}", run(3)));
    assert_ne!(format!("{found:?}"), format!("{:?}", run(4)));
    assert!(found.windows(2).all(|pair| pair[0].value >= pair[1].value));
    let keys: HashSet<Vec<u64>> =
        found.iter().map(|c| c.row.iter().map(|value| value.to_bits()).collect()).collect();
    assert_eq!(keys.len(), found.len());
    for Candidate { row, .. } in &found {
        let mut canonical = row.clone();
        assert!(space.snap(&mut canonical));
        assert_eq!(format!("{row:?}"), format!("{canonical:?}"));
    }
}

#[test]
fn fixed_candidates_are_valid_distinct_and_reproducible() {
    let space = Mixed { forbidden: Some(1), ..mixed() };
    let start = space.repaired(vec![0.01; space.layout.len()]).unwrap();
    let starts = Rows::from_rows(space.layout.len(), std::slice::from_ref(&start)).unwrap();
    let rows = candidate_rows(&space, &starts, 300, 5).unwrap();
    let bits = |row: &[f64]| row.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
    assert_eq!(bits(rows.row(0)), bits(&start), "starts come first");
    assert_eq!(rows.iter().map(bits).collect::<HashSet<_>>().len(), rows.len());
    assert!(rows.len() > 100 && rows.iter().all(|row| space.repaired(row.to_vec()).is_some()));
    let again = candidate_rows(&space, &starts, 300, 5).unwrap();
    assert!(rows.iter().zip(again.iter()).all(|(a, b)| bits(a) == bits(b)));
    let other = candidate_rows(&space, &starts, 300, 6).unwrap();
    assert!(rows.iter().zip(other.iter()).any(|(a, b)| bits(a) != bits(b)));
}

#[test]
fn forbidden_choices_are_never_returned() {
    let space = Mixed { forbidden: Some(0), ..mixed() };
    let found = maximize(&Score, &space, &Rows::new(5), &small(), 1).unwrap();
    assert!(!found.is_empty());
    assert!(found.iter().all(|candidate| candidate.row[0] > 1.0 / 3.0));
}

/// Prefers the first choice; without gradients.
struct First;

impl Acquisition for First {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        Ok(rows.iter().map(|row| -row[0]).collect())
    }

    fn log_value_gradient(&self, _row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        Ok(None)
    }
}

#[test]
fn a_finite_space_is_listed_without_repeats() {
    let space = Mixed {
        layout: Layout::new(vec![Dimension::categorical(3), Dimension::categorical(2)]),
        forbidden: None,
    };
    let found = maximize(&First, &space, &Rows::new(2), &small(), 1).unwrap();
    assert_eq!(found.len(), 6);
}

#[test]
fn gradients_beat_the_candidates_and_reach_corners() {
    let space = Mixed { layout: Layout::numeric(4), forbidden: None };
    let rows = sobol_rows(30, 4, 1).unwrap();
    let losses: Vec<f64> = rows.iter().map(|row| row.iter().sum()).collect();
    let model = GaussianProcess::fit(&space.layout, &rows, &losses, &GpOptions::default(), 1).unwrap();
    let best = model.values().iter().copied().fold(f64::INFINITY, f64::min);
    let improvement = LogExpectedImprovement::new(&model, best);
    let plain = Budget { refined: 0, ..Budget::default() };
    let without = maximize(&improvement, &space, &rows, &plain, 1).unwrap()[0].value;
    let with = maximize(&improvement, &space, &rows, &Budget::default(), 1).unwrap()[0].clone();
    assert!(with.value > without);
    assert!(with.row.iter().all(|&value| value < 0.05), "the corner of a rising function: {:?}", with.row);
}

#[test]
fn forests_are_maximized_by_exchange() {
    let space = mixed();
    let mut rows = Rows::new(5);
    for point in sobol_rows(60, 5, 2).unwrap().iter() {
        rows.push_row(&space.repaired(point.to_vec()).unwrap()).unwrap();
    }
    let losses: Vec<f64> = rows.iter().map(|row| -Score::value(row)).collect();
    let forest = Forest::fit(&space.layout, &rows, &losses, &ForestOptions::default(), 1).unwrap();
    let improvement = LogExpectedImprovement::new(&forest, -1.0);
    let plain = Budget { refined: 0, ..small() };
    let without = maximize(&improvement, &space, &rows, &plain, 1).unwrap()[0].value;
    let with = maximize(&improvement, &space, &rows, &small(), 1).unwrap()[0].value;
    assert!(with >= without);
}

#[test]
fn no_columns_and_two_hundred_columns_are_served() {
    for (width, count) in [(0, 3), (200, 30)] {
        let space = Mixed { layout: Layout::numeric(width), forbidden: None };
        let rows = sobol_rows(count, width, 1).unwrap();
        let losses: Vec<f64> =
            (0..count).map(|k| rows.row(k).iter().sum::<f64>() + 0.01 * (k as f64).sin()).collect();
        let model = GaussianProcess::fit(&space.layout, &rows, &losses, &GpOptions::default(), 1).unwrap();
        let improvement = LogExpectedImprovement::new(&model, -1.0);
        let found = maximize(&improvement, &space, &rows, &small(), 1).unwrap();
        assert!(found[0].value.is_finite() && found[0].row.len() == width);
    }
}

/// A trust region: numbers stay near 0.6.
struct Region;

impl Region {
    const BOUNDS: (f64, f64) = (0.55, 0.7);
}

impl CandidateSpace for Region {
    fn dimensions(&self) -> &Layout {
        static LAYOUT: std::sync::OnceLock<Layout> = std::sync::OnceLock::new();
        LAYOUT.get_or_init(|| Layout::numeric(5))
    }

    fn bounds(&self, _dimension: usize) -> (f64, f64) {
        Self::BOUNDS
    }

    fn sample(&self, rng: &mut dyn Rng) -> Vec<f64> {
        (0..5).map(|_| 0.55 + 0.15 * rng.random::<f64>()).collect()
    }

    fn snap(&self, row: &mut Vec<f64>) -> bool {
        // A region is asked only for rows inside it: nothing needs repair.
        row.iter().all(|value| (0.55..=0.7).contains(value))
    }

    fn neighbours(&self, _row: &[f64], _dimension: usize, _rng: &mut dyn Rng) -> Vec<Vec<f64>> {
        Vec::new()
    }
}

#[test]
fn trust_regions_bound_proposals_and_gradients() {
    let starts = Rows::from_rows(5, &[[0.6; 5]]).unwrap();
    let found = maximize(&Score, &Region, &starts, &Budget { results: 100, ..small() }, 1).unwrap();
    assert!(found.len() >= 60, "no proposal left the region: {}", found.len());
    let best = &found[0].row;
    // The score wants column 1 at 0.3 and column 2 at 0.8: both end at the region's border.
    assert!(best[1] < 0.551 && best[2] > 0.699, "{best:?}");
}
