//! CPU time of a suggestion in a study with many trials.

use std::sync::Arc;

use boxwood_core::{
    Ask, Change, Metrics, Move, Origin, Point, Problem, Provenance, Resource, Rung, RungResult, Seed, Solver,
    StopFlag, StudyView, TrialNumber, TrialStatus, TrialView,
};
use boxwood_testkit::problems::{FloatProblem, single};
use boxwood_testkit::{Outcome, TestProblem};

use crate::cpu::thread_seconds;
use crate::error::BenchError;
use crate::report::{LatencyRow, Report};
use crate::run::{Options, versions};
use crate::solver::parse;

/// Suggestions timed after the first.
const REPEATS: usize = 8;

/// Times suggestions on a smooth function after random trials: per solver, number of floats and number of trials. Only the
/// solvers and the command of `options` matter.
pub fn latency(options: &Options, dimensions: &[usize], trials: &[usize]) -> Result<Report, BenchError> {
    let mut rows = Vec::new();
    for name in &options.solvers {
        let spec = parse(name)?;
        for &dimensions in dimensions {
            let test = single::ripple(dimensions);
            let problem =
                Arc::new(test.spec().check().map_err(|error| BenchError::Option(error.to_string()))?);
            for &count in trials {
                let built = boxwood_solvers::build(&spec, &problem).map_err(|error| error.to_string());
                let timed = built.and_then(|solver| time(solver.as_ref(), &test, &problem, count));
                let mut row = LatencyRow {
                    solver: name.clone(),
                    dimensions,
                    trials: count,
                    first_seconds: 0.0,
                    seconds: Vec::new(),
                    failed: None,
                };
                match timed {
                    Ok((first, further)) => (row.first_seconds, row.seconds) = (first, further),
                    Err(reason) => row.failed = Some(reason),
                }
                rows.push(row);
            }
        }
    }
    Ok(Report {
        suite: "latency".into(),
        command: options.command.clone(),
        seeds: vec![1],
        versions: versions(),
        cells: Vec::new(),
        skipped: Vec::new(),
        latency: rows,
        targets: Vec::new(),
    })
}

fn time(
    solver: &dyn Solver,
    test: &FloatProblem,
    problem: &Arc<Problem>,
    count: usize,
) -> Result<(f64, Vec<f64>), String> {
    let mut rng = Seed(7).rng();
    let mut trials = Vec::with_capacity(count + REPEATS + 1);
    for _ in 0..count {
        let row = problem.space().sample(&mut rng).map_err(|error| error.to_string())?;
        trials.push(trial(test, problem, problem.space().decode(&row), trials.len())?);
    }
    // Some solvers begin a study at the default point; that trial is there from the start.
    if let Some(point) = problem.space().default_point() {
        trials.push(trial(test, problem, point, trials.len())?);
    }
    let mut seconds = Vec::with_capacity(REPEATS + 1);
    for repeat in 0..=REPEATS {
        let view = StudyView::new(Arc::clone(problem), Change(trials.len() as u64), trials.clone());
        let before = thread_seconds();
        let seed = Seed(1).derive("plan", repeat as u64);
        let plan = solver.plan(&view, Ask::of(1), seed, &StopFlag::default());
        seconds.push(thread_seconds() - before);
        let plan = plan.map_err(|error| error.to_string())?;
        let Some(Move::Start { point, .. }) = plan.moves.into_iter().next() else {
            return Err("the plan holds no new point".into());
        };
        trials.push(trial(test, problem, point, trials.len())?);
    }
    let further = seconds.split_off(1);
    Ok((seconds[0], further))
}

/// A completed trial.
fn trial(test: &FloatProblem, problem: &Problem, point: Point, index: usize) -> Result<TrialView, String> {
    let Outcome::Measured(metrics) = test.evaluate(&point, Resource(1), Seed(0)) else {
        return Err("the function has no value".into());
    };
    let losses = losses(problem, &metrics)?;
    let change = Change(index as u64 + 1);
    Ok(TrialView {
        number: TrialNumber(index as u32 + 1),
        encoded: problem.space().encode(&point).map_err(|error| error.to_string())?,
        point,
        origin: Origin::Solver,
        provenance: Provenance::default(),
        status: TrialStatus::Completed,
        target: Rung(0),
        results: vec![RungResult {
            rung: Rung(0),
            losses,
            violations: Vec::new(),
            seconds: Some(1.0),
            change,
        }],
    })
}

fn losses(problem: &Problem, metrics: &Metrics) -> Result<Vec<f64>, String> {
    problem.losses(metrics).map_err(|error| error.to_string())?
}
