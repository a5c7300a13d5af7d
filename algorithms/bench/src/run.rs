//! Runs solvers over a suite.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use boxwood_core::SolverSpec;
use boxwood_testkit::Simulation;

use crate::cpu::Timed;
use crate::error::BenchError;
use crate::gap::course;
use crate::report::{Cell, Report, Run, Skipped};
use crate::solver::parse;
use crate::suites::{Measure, Task, suite};
use crate::target::time_to_target;

/// What to run.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `suite` | `smoke` | name of the suite |
/// | `problems` | all | names of problems to keep |
/// | `solvers` | none | `name` or `name:parameter=value` |
/// | `seeds` | 5 | number of seeds |
/// | `first_seed` | 1 | the first of them; the others follow |
/// | `workers` | the task's | virtual workers |
/// | `trials` | the task's | budget of trials, for tasks that count trials |
/// | `full_runs` | the task's | budget of runs at full resource, for tasks that count training |
/// | `data` | none | folder of tables |
/// | `threads` | all cores | studies run at a time |
/// | `target_of` | none | solver whose final median gap is the target of [`crate::target`] |
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the suite.
    pub suite: String,
    /// Names of problems to keep; all when empty.
    pub problems: Vec<String>,
    /// Solvers.
    pub solvers: Vec<String>,
    /// Number of seeds.
    pub seeds: u64,
    /// The first of them; settings chosen on some seeds are confirmed on others.
    pub first_seed: u64,
    /// Virtual workers instead of the task's own number.
    pub workers: Option<usize>,
    /// Trials instead of the task's own budget, where it counts trials.
    pub trials: Option<u64>,
    /// Runs at full resource, over all workers, instead of the task's own budget, where it counts training.
    pub full_runs: Option<f64>,
    /// Folder of tables.
    pub data: Option<PathBuf>,
    /// Studies run at a time.
    pub threads: Option<usize>,
    /// Solver among `solvers` whose final median gap the report states every solver's time to.
    pub target_of: Option<String>,
    /// Command line, for the record.
    pub command: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suite: "smoke".into(),
            problems: Vec::new(),
            solvers: Vec::new(),
            seeds: 5,
            first_seed: 1,
            workers: None,
            trials: None,
            full_runs: None,
            data: None,
            threads: None,
            target_of: None,
            command: String::new(),
        }
    }
}

/// Versions for the record.
pub(crate) fn versions() -> BTreeMap<String, String> {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let entries = [
        ("boxwood", env!("CARGO_PKG_VERSION")),
        ("profile", profile),
        ("architecture", std::env::consts::ARCH),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Runs every solver on every problem with every seed, in parallel threads.
///
/// A solver that does not support a problem leaves an entry in `skipped`; one that fails in the middle is an error.
pub fn run(options: &Options) -> Result<Report, BenchError> {
    if options.seeds == 0 || options.solvers.is_empty() {
        return Err(BenchError::Option("at least one seed and one solver are needed".into()));
    }
    if options.workers == Some(0) || options.trials == Some(0) {
        return Err(BenchError::Option("workers and trials must be at least 1".into()));
    }
    if options.full_runs.is_some_and(|runs| !(runs.is_finite() && runs > 0.0)) {
        return Err(BenchError::Option("the budget in full runs must be positive".into()));
    }
    if let Some(reference) = options.target_of.as_ref().filter(|name| !options.solvers.contains(name)) {
        let reason = format!("the target's solver `{reference}` is none of {}", options.solvers.join(", "));
        return Err(BenchError::Option(reason));
    }
    let specs: Vec<SolverSpec> = options.solvers.iter().map(|name| parse(name)).collect::<Result<_, _>>()?;
    let loaded = suite(&options.suite, options.data.as_deref())?;
    let tasks = chosen(options, loaded.tasks)?;
    let mut report = Report {
        suite: options.suite.clone(),
        command: options.command.clone(),
        seeds: (0..options.seeds).map(|step| options.first_seed.saturating_add(step)).collect(),
        versions: versions(),
        cells: Vec::new(),
        skipped: loaded.skipped,
        latency: Vec::new(),
        targets: Vec::new(),
    };
    let mut jobs = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        for (solver, spec) in options.solvers.iter().zip(&specs) {
            if let Err(why) = supports(task, spec) {
                report.skipped.push(Skipped { what: format!("{solver} on {}", task.name()), why });
                continue;
            }
            report.cells.push(empty_cell(task, solver));
            let cell = report.cells.len() - 1;
            jobs.extend(report.seeds.iter().map(|seed| Job { cell, task: index, spec, seed: *seed }));
        }
    }
    let results = in_parallel(&jobs, &tasks, options);
    for (job, result) in jobs.iter().zip(results) {
        let cell = &mut report.cells[job.cell];
        let run = result.map_err(|reason| BenchError::Run {
            solver: cell.solver.clone(),
            problem: cell.problem.clone(),
            seed: job.seed,
            reason,
        })?;
        cell.runs.push(run);
    }
    if let Some(reference) = &options.target_of {
        report.targets = time_to_target(&report, reference)?;
    }
    Ok(report)
}

struct Job<'a> {
    cell: usize,
    task: usize,
    spec: &'a SolverSpec,
    seed: u64,
}

/// The tasks with the given names, with budgets and workers as asked for.
fn chosen(options: &Options, tasks: Vec<Task>) -> Result<Vec<Task>, BenchError> {
    let known: Vec<String> = tasks.iter().map(Task::name).collect();
    if let Some(name) = options.problems.iter().find(|name| !known.contains(name)) {
        return Err(BenchError::Problem { suite: options.suite.clone(), name: name.clone(), known });
    }
    let keep = |task: &Task| options.problems.is_empty() || options.problems.contains(&task.name());
    let adjust = |mut task: Task| {
        task.workers = options.workers.unwrap_or(task.workers);
        if task.trials.is_some() {
            task.trials = options.trials.or(task.trials);
        }
        if task.full_runs.is_some() {
            task.full_runs = options.full_runs.or(task.full_runs);
        }
        task
    };
    Ok(tasks.into_iter().filter(keep).map(adjust).collect())
}

fn simulation(task: &Task, seed: u64) -> Simulation {
    let top =
        task.problem.spec().check().map_or(1, |problem| problem.ladder().resource(problem.ladder().top()).0);
    let deadline = task.full_runs.map(|runs| runs * top as f64 / task.workers as f64);
    Simulation {
        workers: task.workers,
        seed,
        max_trials: task.trials,
        deadline_seconds: deadline,
        ..Simulation::default()
    }
}

fn supports(task: &Task, spec: &SolverSpec) -> Result<(), String> {
    let problem = simulation(task, 1).problem(task.problem.as_ref()).map_err(|error| error.to_string())?;
    boxwood_solvers::build(spec, &problem).map(|_| ()).map_err(|unsupported| unsupported.reason)
}

fn empty_cell(task: &Task, solver: &str) -> Cell {
    let (budget, unit) = match (task.full_runs, task.trials) {
        (Some(runs), _) => (runs, "full runs"),
        (None, trials) => (trials.unwrap_or_default() as f64, "trials"),
    };
    let measure = match task.measure {
        Measure::Regret => "regret",
        Measure::Hypervolume { .. } => "hypervolume",
    };
    Cell {
        problem: task.name(),
        solver: solver.to_owned(),
        budget,
        unit: unit.into(),
        workers: task.workers,
        measure: measure.into(),
        runs: Vec::new(),
    }
}

/// Results in the order of the jobs.
fn in_parallel(jobs: &[Job<'_>], tasks: &[Task], options: &Options) -> Vec<Result<Run, String>> {
    let next = AtomicUsize::new(0);
    // Each thread writes the slots of the jobs it took; read after all have ended.
    let slots: Vec<Mutex<Option<Result<Run, String>>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = options.threads.unwrap_or(cores).clamp(1, jobs.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((job, slot)) = take(&next, jobs, &slots) {
                    let result = one(&tasks[job.task], job.spec, job.seed);
                    *slot.lock().expect("no thread panics while it stores a result") = Some(result);
                }
            });
        }
    });
    let missing = || Err("the run ended without a result".to_owned());
    let read =
        |slot: Mutex<Option<Result<Run, String>>>| slot.into_inner().ok().flatten().unwrap_or_else(missing);
    slots.into_iter().map(read).collect()
}

fn take<'a, T>(next: &AtomicUsize, jobs: &'a [Job<'a>], slots: &'a [T]) -> Option<(&'a Job<'a>, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(index).zip(slots.get(index))
}

/// One study.
fn one(task: &Task, spec: &SolverSpec, seed: u64) -> Result<Run, String> {
    let simulation = simulation(task, seed);
    let problem = simulation.problem(task.problem.as_ref()).map_err(|error| error.to_string())?;
    let solver = boxwood_solvers::build(spec, &problem).map_err(|error| error.to_string())?;
    let timed = Timed::new(solver.as_ref());
    let trace = simulation.run(task.problem.as_ref(), &timed).map_err(|error| error.to_string())?;
    let spent = timed.spent();
    Ok(Run {
        seed,
        course: course(task, &problem, &trace).into_iter().filter(|(_, gap)| gap.is_finite()).collect(),
        trials: trace.view.started(),
        plan_seconds: spent.seconds,
        slowest_plan_seconds: spent.slowest,
        suggestions: spent.moves,
        utilization: trace.utilization,
    })
}
