//! A hill climber: some random points, then steps from the best one. Everything that a solver needs, and nothing else.

use std::collections::HashSet;

use boxwood_core::space::SearchSpace;
use boxwood_core::{
    Ask, Diagnostics, Move, Plan, PlanEnd, Problem, Provenance, Seed, Solver, SolverError, StopFlag,
    StudyView, TrialStatus, Unsupported,
};
use rand::RngExt;

/// Random points before the first step.
const RANDOM_TRIALS: usize = 5;
/// Draws for one new point before the space is searched from end to end.
const DRAWS: usize = 100;
/// Largest space that is searched for its last points.
const SEARCHABLE: u64 = 100_000;

/// Steps from the best point in one random dimension at a time. Keeps nothing between plans.
#[derive(Debug, Clone, Copy, Default)]
pub struct HillClimber;

/// Rows by their bits, so that equal points are found.
type Known = HashSet<Vec<u64>>;

fn key(row: &[f64]) -> Vec<u64> {
    row.iter().map(|number| number.to_bits()).collect()
}

/// A row that `known` does not hold: a neighbour of `best`, else a random one, else the first one left.
fn new_row(space: &SearchSpace, best: Option<&[f64]>, known: &Known, seed: Seed) -> Option<Vec<f64>> {
    let mut rng = seed.rng();
    for draw in 0..DRAWS {
        // The second half of the draws is random: the surroundings of the best point may be used up.
        let row = match best.filter(|_| 2 * draw < DRAWS) {
            Some(best) if !best.is_empty() => {
                let dimension = rng.random_range(0..best.len());
                let mut steps = space.neighbours(best, dimension, 1, &mut rng);
                if steps.is_empty() {
                    continue;
                }
                steps.swap_remove(rng.random_range(0..steps.len()))
            }
            _ => space.sample(&mut rng).ok()?,
        };
        if !known.contains(&key(&row)) {
            return Some(row);
        }
    }
    let searchable = space.cardinality().is_some_and(|points| points <= SEARCHABLE);
    searchable.then(|| space.grid(1).find(|row| !known.contains(&key(row)))).flatten()
}

impl Solver for HillClimber {
    fn name(&self) -> &str {
        "hill_climber"
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Unsupported> {
        match problem.objectives().len() {
            1 => Ok(()),
            count => Err(Unsupported {
                solver: "hill_climber".into(),
                reason: format!("objectives: it climbs one hill, the study has {count}"),
            }),
        }
    }

    fn plan(&self, view: &StudyView, ask: Ask, seed: Seed, stop: &StopFlag) -> Result<Plan, SolverError> {
        let space = view.problem().space();
        let rung = view.problem().ladder().top();
        let mut known: Known = view.trials().iter().map(|trial| key(&trial.encoded)).collect();
        let best = view.best().filter(|_| view.trials().len() >= RANDOM_TRIALS);
        let best = best.map(|(trial, _)| trial.encoded.as_slice());
        let mut moves = Vec::new();
        let mut used_up = false;
        for index in 0..ask.starts() {
            stop.check()?;
            let Some(row) = new_row(space, best, &known, seed.derive("move", index as u64)) else {
                used_up = true;
                break;
            };
            known.insert(key(&row));
            let provenance = Provenance {
                solver: self.name().into(),
                sampler: if best.is_some() { "step" } else { "random" }.into(),
                ..Provenance::default()
            };
            moves.push(Move::Start { point: space.decode(&row), rung, provenance });
        }
        let waiting = view.trials().iter().any(|trial| trial.status == TrialStatus::Pending);
        let end = match (used_up, moves.len() == ask.want) {
            (false, true) => PlanEnd::More,
            _ if waiting || !moves.is_empty() => PlanEnd::NotNow,
            (true, _) => PlanEnd::Exhausted("every point of the space was tried".into()),
            (false, false) => PlanEnd::Exhausted("the budget of trials is spent".into()),
        };
        Ok(Plan { moves, end, diagnostics: Diagnostics::default() })
    }
}
