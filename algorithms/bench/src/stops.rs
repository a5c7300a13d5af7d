//! How often a rule that stops running trials is wrong.

use boxwood_core::{Problem, SolverSpec, TrialStatus, TrialView};
use boxwood_testkit::{Outcome, Simulation, TestProblem, Trace};

/// Seed of the evaluation that a stopped trial was spared.
const SPARED: boxwood_core::Seed = boxwood_core::Seed(0);

/// What a stopping rule did to the trials of one or more studies.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stops {
    /// Trials that reached at least one rung.
    pub trials: u64,
    /// Of those, the ones that were stopped.
    pub stopped: u64,
    /// Stopped trials that in full would have beaten the best full result of that moment.
    pub wrong: u64,
    /// Resource that was trained.
    pub trained: u64,
    /// Resource that all trials would have taken in full.
    pub in_full: u64,
}

impl Stops {
    /// Wrong stops per stopped trial; zero where none was stopped.
    pub fn false_stop_rate(&self) -> f64 {
        self.wrong as f64 / self.stopped.max(1) as f64
    }

    /// Training as a share of that of all trials in full.
    pub fn cost(&self) -> f64 {
        self.trained as f64 / self.in_full.max(1) as f64
    }
}

/// Runs studies of a problem on one worker, one per seed, and looks up what each stopped trial was spared.
///
/// # Errors
/// A text when the solver does not support the problem or fails.
pub fn stops(
    test: &dyn TestProblem,
    spec: &SolverSpec,
    trials: u64,
    seeds: std::ops::Range<u64>,
) -> Result<Stops, String> {
    let mut total = Stops::default();
    for seed in seeds {
        let simulation = Simulation { seed, max_trials: Some(trials), ..Simulation::default() };
        let problem = simulation.problem(test).map_err(|error| error.to_string())?;
        let solver = boxwood_solvers::build(spec, &problem).map_err(|error| error.to_string())?;
        let trace = simulation.run(test, solver.as_ref()).map_err(|error| error.to_string())?;
        let top = problem.ladder().resource(problem.ladder().top());
        for trial in trace.view.trials() {
            let Some(last) = trial.last() else { continue };
            total.trials += 1;
            total.trained += problem.ladder().resource(last.rung).0;
            total.in_full += top.0;
            if trial.status == TrialStatus::Pruned {
                total.stopped += 1;
                total.wrong += u64::from(would_have_won(test, &problem, &trace, trial));
            }
        }
    }
    Ok(total)
}

/// Whether a stopped trial would have become the incumbent.
fn would_have_won(test: &dyn TestProblem, problem: &Problem, trace: &Trace, trial: &TrialView) -> bool {
    let top = problem.ladder().resource(problem.ladder().top());
    let Outcome::Measured(metrics) = test.evaluate(&trial.point, top, SPARED) else { return false };
    let Ok(Ok(losses)) = problem.losses(&metrics) else { return false };
    let moment = trace.arrivals.iter().rfind(|arrival| arrival.trial == trial.number);
    let best = moment.and_then(|arrival| trace.best_loss_at(arrival.seconds));
    best.is_some_and(|best| losses[0] < best)
}
