//! CPU time of the present thread, and a solver that records what its plans took.

use std::sync::Mutex;

use boxwood_core::{
    Ask, Plan, Problem, Seed, Signal, Solver, SolverError, StopFlag, StudyView, TrialNumber, Unsupported,
    Verdict,
};
use rustix::time::{ClockId, clock_gettime};

/// Seconds of CPU that this thread has used.
pub(crate) fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// What the plans of a run took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    /// CPU seconds of all plans.
    pub(crate) seconds: f64,
    /// CPU seconds of the slowest plan.
    pub(crate) slowest: f64,
    /// Moves that they brought.
    pub(crate) moves: u64,
}

/// Another solver with its plans on the clock.
pub(crate) struct Timed<'a> {
    solver: &'a dyn Solver,
    /// Written by the one thread that runs the study, read after it.
    spent: Mutex<Spent>,
}

impl<'a> Timed<'a> {
    pub(crate) fn new(solver: &'a dyn Solver) -> Self {
        Self { solver, spent: Mutex::default() }
    }

    pub(crate) fn spent(&self) -> Spent {
        *self.spent.lock().expect("no thread panics while it adds two numbers")
    }
}

impl Solver for Timed<'_> {
    fn name(&self) -> &str {
        self.solver.name()
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Unsupported> {
        self.solver.accepts(problem)
    }

    fn tells(&self, problem: &Problem, signal: Signal) -> Result<(), Unsupported> {
        self.solver.tells(problem, signal)
    }

    fn plan(&self, view: &StudyView, ask: Ask, seed: Seed, stop: &StopFlag) -> Result<Plan, SolverError> {
        let before = thread_seconds();
        let plan = self.solver.plan(view, ask, seed, stop);
        let seconds = thread_seconds() - before;
        let mut spent = self.spent.lock().expect("no thread panics while it adds two numbers");
        spent.seconds += seconds;
        spent.slowest = spent.slowest.max(seconds);
        spent.moves += plan.as_ref().map_or(0, |plan| plan.moves.len() as u64);
        plan
    }

    fn judge(&self, view: &StudyView, trial: TrialNumber) -> Verdict {
        self.solver.judge(view, trial)
    }
}
