//! Suites: problems with a budget each.

mod closed;
mod from_tables;
mod transfer;

use std::path::Path;
use std::sync::Arc;

use boxwood_testkit::TestProblem;

use crate::error::BenchError;
use crate::report::Skipped;

/// How far a run got.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Loss of the incumbent (highest rung, then lowest observed loss) at full resource without noise, over the optimum.
    Regret,
    /// Hypervolume of the true front less that of the feasible results.
    Hypervolume {
        /// Reference point, losses.
        reference: Vec<f64>,
        /// Volume of the true front.
        largest: f64,
    },
}

/// A problem with its budget.
#[derive(Clone)]
pub struct Task {
    /// Name where it is not the problem's own.
    pub label: Option<String>,
    /// The problem.
    pub problem: Arc<dyn TestProblem>,
    /// The problem without noise, where results are noisy.
    pub truth: Option<Arc<dyn TestProblem>>,
    /// What is measured.
    pub measure: Measure,
    /// Budget in trials.
    pub trials: Option<u64>,
    /// Budget in runs at full resource, over all workers, where it counts training.
    pub full_runs: Option<f64>,
    /// Virtual workers.
    pub workers: usize,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Task").field("problem", &self.problem.name()).finish_non_exhaustive()
    }
}

impl Task {
    /// A budget of trials on one worker, measured by regret.
    pub fn trials(problem: impl TestProblem + 'static, trials: u64) -> Self {
        Self {
            label: None,
            problem: Arc::new(problem),
            truth: None,
            measure: Measure::Regret,
            trials: Some(trials),
            full_runs: None,
            workers: 1,
        }
    }

    /// A budget of runs at full resource.
    pub fn full_runs(problem: impl TestProblem + 'static, full_runs: f64, workers: usize) -> Self {
        Self { trials: None, full_runs: Some(full_runs), workers, ..Self::trials(problem, 1) }
    }

    /// Name in tables: the label, or else the problem's.
    pub fn name(&self) -> String {
        self.label.clone().unwrap_or_else(|| self.problem.name())
    }
}

/// A named list of tasks, and what is missing from it.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// Tasks in order.
    pub tasks: Vec<Task>,
    /// Problems that could not be loaded.
    pub skipped: Vec<Skipped>,
}

/// Makes a suite from the folder of tables, if there is one.
type Make = fn(Option<&Path>) -> Suite;

/// Names and contents of all suites.
const SUITES: &[(&str, Make)] = &[
    ("smoke", |_| closed::smoke()),
    ("public", |_| closed::public()),
    ("single", |_| closed::single()),
    ("bbob", |_| closed::bbob()),
    ("constrained", |_| closed::constrained()),
    ("multi", |_| closed::multi()),
    ("noisy", |_| closed::noisy()),
    ("highdim", |_| closed::highdim()),
    ("parallel", |_| closed::parallel()),
    ("multifidelity", |data| closed::multifidelity().and(from_tables::multifidelity(data))),
    ("cash", |data| closed::cash().and(from_tables::cash(data))),
    ("transfer", |data| transfer::closed().and(transfer::tables(data))),
    ("tables", from_tables::tables),
];

impl Suite {
    fn of(tasks: Vec<Task>) -> Self {
        Self { tasks, skipped: Vec::new() }
    }

    fn and(mut self, other: Self) -> Self {
        self.tasks.extend(other.tasks);
        self.skipped.extend(other.skipped);
        self
    }
}

/// Names of all suites.
pub fn names() -> Vec<&'static str> {
    SUITES.iter().map(|(name, _)| *name).collect()
}

/// A suite by name; tables are read from `data`, and named as skipped where they are missing.
pub fn suite(name: &str, data: Option<&Path>) -> Result<Suite, BenchError> {
    let found = SUITES.iter().find(|(known, _)| *known == name);
    let (_, make) = found.ok_or_else(|| BenchError::Suite { name: name.into(), known: names() })?;
    Ok(make(data))
}
