//! Climbing from one candidate.

use super::{Budget, Candidate, CandidateSpace};
use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::{MinimizeOptions, Rows, minimize};
use rand::Rng;

/// Alternates gradient search over the active numbers with best-improvement exchange over the other columns, until
/// a round brings nothing or the rounds are used up. Never worse than the start.
pub(super) fn refine(
    acquisition: &dyn Acquisition,
    space: &dyn CandidateSpace,
    start: Candidate,
    budget: &Budget,
    rng: &mut dyn Rng,
) -> Result<Candidate, AcquisitionError> {
    let mut current = start;
    for _ in 0..budget.exchange_rounds {
        let before = current.value;
        let differentiable = climb(acquisition, space, &mut current, budget)?;
        let exchanged = exchange(acquisition, space, &mut current, differentiable, rng)?;
        // Without an exchange the gradient search has nothing new to start from.
        if !exchanged || current.value - before < 1e-9 {
            break;
        }
    }
    Ok(current)
}

/// L-BFGS over the active numbers; says whether the acquisition has gradients.
fn climb(
    acquisition: &dyn Acquisition,
    space: &dyn CandidateSpace,
    current: &mut Candidate,
    budget: &Budget,
) -> Result<bool, AcquisitionError> {
    let layout = space.dimensions();
    let numbers: Vec<usize> = (0..layout.len())
        .filter(|&column| layout.dimensions[column].is_numeric() && !current.row[column].is_nan())
        .collect();
    if numbers.is_empty() {
        return Ok(true);
    }
    if acquisition.log_value_gradient(&current.row)?.is_none() {
        return Ok(false);
    }
    let base = current.row.clone();
    let with_numbers = |point: &[f64]| {
        let mut row = base.clone();
        for (&column, &value) in numbers.iter().zip(point) {
            row[column] = value;
        }
        row
    };
    let start: Vec<f64> = numbers.iter().map(|&column| base[column]).collect();
    let bounds: Vec<(f64, f64)> = numbers.iter().map(|&column| space.bounds(column)).collect();
    let options = MinimizeOptions {
        iterations: budget.gradient_evaluations as u64,
        evaluations: budget.gradient_evaluations,
        gradient_tolerance: 1e-4,
        value_tolerance: 1e-8,
        first_step: 0.1,
        memory: 8,
    };
    let mut failure = None;
    let found = minimize(
        |point| match acquisition.log_value_gradient(&with_numbers(point)) {
            Ok(Some((value, gradient))) => {
                (-value, numbers.iter().map(|&column| -gradient[column]).collect())
            }
            Ok(None) => (f64::NAN, Vec::new()),
            Err(error) => {
                failure = Some(error);
                (f64::NAN, Vec::new())
            }
        },
        &start,
        Some(&bounds),
        &options,
    );
    if let Some(error) = failure {
        return Err(error);
    }
    let mut row = with_numbers(&found.point);
    if space.snap(&mut row) {
        // The grid or a condition may have moved the row: its own value counts.
        let value = score_one(acquisition, &row)?;
        if value > current.value {
            *current = Candidate { row, value };
        }
    }
    Ok(true)
}

/// Moves to the best neighbour over all exchangeable columns while that improves; says whether it moved.
fn exchange(
    acquisition: &dyn Acquisition,
    space: &dyn CandidateSpace,
    current: &mut Candidate,
    differentiable: bool,
    rng: &mut dyn Rng,
) -> Result<bool, AcquisitionError> {
    /// Moves per call; each scores one block of neighbours.
    const MOVES: usize = 8;
    let layout = space.dimensions();
    let mut moved = false;
    for _ in 0..MOVES {
        let mut block = Rows::new(layout.len());
        for (column, dimension) in layout.dimensions.iter().enumerate() {
            // Numbers are exchanged only where no gradient can move them.
            if dimension.is_numeric() && differentiable {
                continue;
            }
            for neighbour in space.neighbours(&current.row, column, rng) {
                block.push_row(&neighbour)?;
            }
        }
        if block.is_empty() {
            break;
        }
        let values = acquisition.log_value(&block)?;
        let best = values.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
        match best {
            Some((index, &value)) if value > current.value + 1e-12 => {
                *current = Candidate { row: block.row(index).to_vec(), value };
                moved = true;
            }
            _ => break,
        }
    }
    Ok(moved)
}

fn score_one(acquisition: &dyn Acquisition, row: &[f64]) -> Result<f64, AcquisitionError> {
    let values = acquisition.log_value(&Rows::from_rows(row.len(), &[row])?)?;
    values.first().copied().ok_or(AcquisitionError::NotANumber { row: 0 })
}
