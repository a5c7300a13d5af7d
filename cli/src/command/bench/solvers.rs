//! Solvers on problems with known optima, in process, on the simulator's virtual clock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use boxwood_core::SolverSpec;
use boxwood_testkit::problems::{
    Ackley, Branin, CashArms, Conditional, CountingOnes, Hartmann6, Mixed, NoisyHartmann6, StyblinskiTang,
};
use boxwood_testkit::{Simulation, TestProblem};
use serde_json::json;

use crate::output;

/// A problem of a suite with its budget.
struct Task {
    problem: Box<dyn TestProblem>,
    /// Trials, where the budget counts trials.
    trials: Option<u64>,
    /// Virtual seconds, where it counts time.
    seconds: Option<f64>,
    workers: usize,
}

/// Final gaps of one solver on one problem, one per seed, and the time that its plans took.
struct Cell {
    problem: String,
    solver: String,
    gaps: Vec<f64>,
    seconds_per_move: f64,
}

fn suite(name: &str) -> Result<Vec<Task>> {
    let by_trials = |problem: Box<dyn TestProblem>, trials| Task {
        problem,
        trials: Some(trials),
        seconds: None,
        workers: 1,
    };
    let by_time = |problem: Box<dyn TestProblem>, full_runs: f64, workers: usize, resource: u64| Task {
        problem,
        trials: None,
        seconds: Some(full_runs * resource as f64 / workers as f64),
        workers,
    };
    Ok(match name {
        "smoke" => vec![
            by_trials(Box::new(Branin), 30),
            by_trials(Box::new(Hartmann6), 40),
            by_trials(Box::new(Mixed), 40),
            by_trials(Box::new(Conditional), 40),
        ],
        "single" => vec![
            by_trials(Box::new(Branin), 50),
            by_trials(Box::new(Hartmann6), 100),
            by_trials(Box::new(Ackley { dimensions: 5 }), 100),
            by_trials(Box::new(Ackley { dimensions: 16 }), 150),
            by_trials(Box::new(StyblinskiTang { dimensions: 4 }), 80),
            by_trials(Box::new(Mixed), 80),
            by_trials(Box::new(Conditional), 80),
        ],
        "multifidelity" => vec![
            by_time(Box::new(NoisyHartmann6 { max_resource: 27, noise: 1.0 }), 40.0, 8, 27),
            by_time(Box::new(CountingOnes { pairs: 8, max_resource: 27 }), 40.0, 8, 27),
        ],
        "cash" => vec![by_trials(
            Box::new(CashArms {
                arms: vec![[0.95, 0.2, 0.1], [0.9, 0.3, 0.1], [0.8, 0.4, 0.1], [0.7, 0.5, 0.1]],
                max_resource: 9,
                broken: None,
            }),
            120,
        )],
        other => bail!("there is no suite `{other}`; the suites are smoke, single, multifidelity, cash"),
    })
}

pub(crate) fn run(
    suite_name: &str,
    solvers: &[String],
    seeds: u64,
    trials: Option<u64>,
    as_json: bool,
) -> Result<()> {
    if seeds == 0 || solvers.is_empty() {
        bail!("--seeds must be at least 1 and --solver must name a solver");
    }
    let tasks = suite(suite_name)?;
    let jobs: Vec<(usize, &str, u64)> = (0..tasks.len())
        .flat_map(|task| {
            solvers.iter().flat_map(move |solver| (1..=seeds).map(move |seed| (task, solver.as_str(), seed)))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(jobs.len()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((task, solver, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = one(&tasks[*task], solver, *seed, trials)
                        .with_context(|| format!("{solver} on {}, seed {seed}", tasks[*task].problem.name()));
                    results
                        .lock()
                        .expect("no thread panics while it holds the lock")
                        .push((*task, *solver, *seed, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no thread panics while it holds the lock");
    results.sort_by_key(|(task, solver, seed, _)| (*task, solvers.iter().position(|s| s == solver), *seed));
    let mut cells: Vec<Cell> = Vec::new();
    for (task, solver, _, result) in results {
        let (gap, seconds_per_move) = result?;
        let problem = tasks[task].problem.name();
        match cells.last_mut() {
            Some(cell) if cell.problem == problem && cell.solver == solver => {
                cell.seconds_per_move += seconds_per_move / seeds as f64;
                cell.gaps.push(gap);
            }
            _ => cells.push(Cell {
                problem,
                solver: solver.to_owned(),
                gaps: vec![gap],
                seconds_per_move: seconds_per_move / seeds as f64,
            }),
        }
    }
    print(&cells, suite_name, seeds, as_json)
}

/// Final gap to the optimum, and wall seconds of the whole run per move (evaluations cost microseconds here).
fn one(task: &Task, solver: &str, seed: u64, trials: Option<u64>) -> Result<(f64, f64)> {
    let simulation = Simulation {
        workers: task.workers,
        seed,
        max_trials: trials.or(task.trials),
        deadline_seconds: task.seconds,
        ..Simulation::default()
    };
    let problem = simulation.problem(task.problem.as_ref())?;
    let solver = boxwood_solvers::build(&SolverSpec::named(solver), &problem)?;
    let start = Instant::now();
    let trace = simulation.run(task.problem.as_ref(), solver.as_ref())?;
    let seconds = start.elapsed().as_secs_f64() / trace.moves.len().max(1) as f64;
    let optimum = problem.objectives()[0].loss(task.problem.optimum())?.get();
    Ok((trace.best_loss().map_or(f64::INFINITY, |loss| loss - optimum), seconds))
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    if low == high { low } else { low + (high - low) * place.fract() }
}

fn print(cells: &[Cell], suite: &str, seeds: u64, as_json: bool) -> Result<()> {
    let rows: Vec<_> = cells
        .iter()
        .map(|cell| {
            let mut sorted = cell.gaps.clone();
            sorted.sort_by(f64::total_cmp);
            (cell, quantile(&sorted, 0.25), quantile(&sorted, 0.5), quantile(&sorted, 0.75))
        })
        .collect();
    if as_json {
        let cells: Vec<_> = rows
            .iter()
            .map(|(cell, low, median, high)| {
                json!({"problem": cell.problem, "solver": cell.solver, "gaps": cell.gaps, "quartile_1": low,
                    "median": median, "quartile_3": high, "seconds_per_move": cell.seconds_per_move})
            })
            .collect();
        return output::json(&json!({"suite": suite, "seeds": seeds, "cells": cells}));
    }
    println!("gap to the optimum at the end of the budget, {seeds} seeds");
    let mut table = output::table(["problem", "solver", "median", "quartile 1", "quartile 3", "ms per move"]);
    for (cell, low, median, high) in rows {
        table.add_row([
            cell.problem.clone(),
            cell.solver.clone(),
            output::number(median),
            output::number(low),
            output::number(high),
            format!("{:.1}", cell.seconds_per_move * 1e3),
        ]);
    }
    output::right(&mut table, [2, 3, 4, 5]);
    println!("{table}");
    Ok(())
}
