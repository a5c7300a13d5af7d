//! The contract of [`boxwood_core::Solver`], as checks that every solver runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use boxwood_core::{
    Ask, Change, Move, Origin, Problem, Rung, Seed, Solver, SolverError, StopFlag, StudyView, TrialStatus,
};

use crate::audit::Audit;
use crate::problems::{
    Branin, CashArms, Conditional, Constant, Finite, Flipped, FloatProblem, Mixed, NoisyHartmann6, Outlier,
    Shifted, TestProblem, constrained, multi,
};
use crate::simulation::Simulation;
use crate::trace::Trace;

/// Makes a fresh solver for a problem.
pub type MakeSolver<'a> = &'a (dyn Fn(&Problem) -> Box<dyn Solver> + Sync);

/// A group of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Any solver.
    Basic,
    /// Solvers that use the rungs of a study.
    MultiFidelity,
    /// Solvers that choose among the arms of a CASH space.
    Cash,
    /// Solvers of studies with several objectives.
    SeveralObjectives,
}

/// Runs the checks of the given tiers.
///
/// # Panics
/// On the first broken rule, with the problem, the seed and the rule.
pub fn solver_conformance(make: MakeSolver<'_>, tiers: &[Tier]) {
    for tier in tiers {
        match tier {
            Tier::Basic => basic(make),
            Tier::MultiFidelity => multi_fidelity(make),
            Tier::Cash => cash(make),
            Tier::SeveralObjectives => several_objectives(make),
        }
    }
}

/// Runs a simulation under audit; every contract violation panics.
fn simulate(make: MakeSolver<'_>, test: &dyn TestProblem, options: &Simulation, every: u64) -> Trace {
    let problem = options.problem(test).unwrap_or_else(|error| panic!("{}: {error}", test.name()));
    let fresh = || make(&problem);
    let audit = Audit { warm: fresh(), fresh: &fresh, every, plans: AtomicU64::new(0) };
    options
        .run(test, &audit)
        .unwrap_or_else(|error| panic!("{} on {} with {options:?}: {error}", audit.name(), test.name()))
}

fn started(trace: &Trace) -> u64 {
    trace.view.started()
}

fn basic(make: MakeSolver<'_>) {
    repeats_itself(make);
    spaces_of_every_shape(make);
    the_goal_does_not_matter(make);
    a_finite_space_runs_out(make);
    budgets_are_exact(make);
    faults_do_no_harm(make);
    stops_when_told(make);
}

fn repeats_itself(make: MakeSolver<'_>) {
    let options = Simulation { workers: 2, max_trials: Some(14), seed: 3, ..Simulation::default() };
    let first = simulate(make, &Branin, &options, 1);
    let again = simulate(make, &Branin, &options, 5);
    assert_eq!(first.moves, again.moves, "two runs of one study differ");
    assert!(first.best_loss().is_some(), "nothing was measured in full");
}

fn spaces_of_every_shape(make: MakeSolver<'_>) {
    let problems: [&dyn TestProblem; 3] = [&Mixed, &Conditional, &Outlier(Branin)];
    for (seed, test) in problems.into_iter().enumerate() {
        let options =
            Simulation { workers: 3, max_trials: Some(13), seed: 11 + seed as u64, ..Simulation::default() };
        let trace = simulate(make, test, &options, 4);
        assert_eq!(started(&trace), 13, "{}", test.name());
    }
}

fn the_goal_does_not_matter(make: MakeSolver<'_>) {
    let options = Simulation { workers: 2, max_trials: Some(12), seed: 5, ..Simulation::default() };
    let minimized = simulate(make, &Branin, &options, 6);
    let maximized = simulate(make, &Flipped(Branin), &options, 6);
    assert_eq!(minimized.moves, maximized.moves, "turning the goal round changes the plan");
}

fn a_finite_space_runs_out(make: MakeSolver<'_>) {
    for workers in [1, 4] {
        let options = Simulation { workers, seed: 7, ..Simulation::default() };
        let trace = simulate(make, &Finite, &options, 2);
        assert_eq!(trace.view.trials().len(), 6, "a space of six points with {workers} workers");
        assert!(trace.exhausted.is_some(), "a space that is used up ends the study with a reason");
    }
}

fn budgets_are_exact(make: MakeSolver<'_>) {
    for (workers, max_trials) in [(1, 1), (5, 2), (3, 8)] {
        let max_trials = Some(max_trials);
        let options = Simulation { workers, max_trials, seed: 13, ..Simulation::default() };
        let trace = simulate(make, &Branin, &options, 3);
        assert_eq!(Some(started(&trace)), max_trials, "the budget is used exactly");
        assert!(trace.view.trials().iter().all(|trial| trial.status == TrialStatus::Completed));
        assert!(trace.exhausted.is_some());
    }
    let problem = Arc::new(Simulation::default().problem(&Branin).expect("a valid problem"));
    let view = StudyView::new(problem.clone(), Change(0), Vec::new());
    let plan = make(&problem).plan(&view, Ask::of(0), Seed(1), &StopFlag::default());
    assert!(plan.expect("an empty ask is no error").moves.is_empty());
}

fn faults_do_no_harm(make: MakeSolver<'_>) {
    let faulty = Simulation {
        workers: 4,
        max_trials: Some(14),
        seed: 17,
        straggler_share: 0.2,
        crash_share: 0.2,
        failed_share: 0.2,
        infeasible_share: 0.1,
        cancelled_share: 0.1,
        ..Simulation::default()
    };
    let trace = simulate(make, &Branin, &faulty, 4);
    assert_eq!(started(&trace), 14, "cancelled trials are replaced, failed ones are not");
    let hopeless = Simulation { failed_share: 1.0, max_trials: Some(8), workers: 2, ..Simulation::default() };
    let trace = simulate(make, &Branin, &hopeless, 3);
    assert_eq!(
        trace.count(TrialStatus::Failed),
        8,
        "a study whose trials all fail spends its budget and ends"
    );
    let flat = Simulation { max_trials: Some(9), ..Simulation::default() };
    assert_eq!(started(&simulate(make, &Constant, &flat, 3)), 9, "a constant objective");
    let problem = flat.problem(&Branin).expect("a valid problem");
    let point = problem.space().decode(&[0.25, 0.75]);
    let enqueued = vec![(3, point.clone(), Rung(0)), (5, point, Rung(0))];
    let asked = Simulation { max_trials: Some(10), enqueued, ..Simulation::default() };
    let trace = simulate(make, &Branin, &asked, 3);
    let users = trace.view.trials().iter().filter(|trial| trial.origin == Origin::User).count();
    assert_eq!((users, started(&trace)), (2, 10), "a person's points count, replicates too");
}

fn stops_when_told(make: MakeSolver<'_>) {
    let problem = Arc::new(Simulation::default().problem(&Branin).expect("a valid problem"));
    let view = StudyView::new(problem.clone(), Change(0), Vec::new());
    let stop = StopFlag::default();
    stop.raise();
    assert_eq!(make(&problem).plan(&view, Ask::of(1), Seed(1), &stop), Err(SolverError::Cancelled));
}

fn multi_fidelity(make: MakeSolver<'_>) {
    let test = NoisyHartmann6 { max_resource: 9, noise: 1.0 };
    for workers in [1, 6] {
        let options = Simulation { workers, max_trials: Some(20), seed: 19, ..Simulation::default() };
        let trace = simulate(make, &test, &options, 7);
        let resumes = trace.sequence().into_iter().filter(|m| matches!(m, Move::Resume { .. })).count();
        assert!(resumes > 0, "promotions happen");
        assert!(trace.best_loss().is_some(), "a study ends with a full measurement");
        let below = |m: &&Move| matches!(m, Move::Start { rung, .. } if *rung == Rung(0));
        assert!(trace.sequence().iter().filter(|m| below(m)).count() > 4, "most trials start low");
    }
    let faulty = Simulation {
        workers: 4,
        max_trials: Some(24),
        seed: 23,
        straggler_share: 0.1,
        crash_share: 0.1,
        failed_share: 0.2,
        infeasible_share: 0.1,
        cancelled_share: 0.1,
        ..Simulation::default()
    };
    let trace = simulate(make, &test, &faulty, 9);
    assert!(trace.best_loss().is_some(), "faults do not keep every trial from the top");
    let hopeless =
        Simulation { failed_share: 1.0, max_trials: Some(12), workers: 3, ..Simulation::default() };
    simulate(make, &test, &hopeless, 5);
    let problem = Simulation::default().problem(&test).expect("a valid problem");
    let point = problem.space().decode(&[0.3; 6]);
    let enqueued = vec![(2, point.clone(), Rung(0)), (9, point, Rung(2))];
    let asked = Simulation { max_trials: Some(15), enqueued, workers: 2, ..Simulation::default() };
    simulate(make, &test, &asked, 5);
    let limited = Shifted(constrained::branin_disc());
    let options = Simulation { workers: 3, max_trials: Some(20), seed: 41, ..Simulation::default() };
    let trace = simulate(make, &limited, &options, 7);
    assert_eq!(trace.moves, simulate(make, &limited, &options, 3).moves, "two runs of one study differ");
    assert_eq!(started(&trace), 20, "a study under constraints spends its budget");
    simulate(make, &limited, &Simulation { failed_share: 0.3, crash_share: 0.1, ..options }, 7);
}

fn cash(make: MakeSolver<'_>) {
    for max_resource in [1, 9] {
        let test = CashArms { max_resource, ..CashArms::default() };
        let options = Simulation { workers: 2, max_trials: Some(28), seed: 29, ..Simulation::default() };
        let trace = simulate(make, &test, &options, 9);
        let mut pulls: BTreeMap<String, usize> = BTreeMap::new();
        for trial in trace.view.trials() {
            let arm = trace.view.problem().space().arm_of(&trial.point).unwrap_or_default();
            *pulls.entry(arm.to_owned()).or_default() += 1;
        }
        assert_eq!(pulls.len(), test.arms.len(), "every arm is pulled: {pulls:?}");
        assert_eq!(started(&trace), 28);
    }
    let test = CashArms { broken: Some(1), ..CashArms::default() };
    let options = Simulation { workers: 3, max_trials: Some(30), seed: 31, ..Simulation::default() };
    let trace = simulate(make, &test, &options, 9);
    assert!(trace.best_loss().is_some(), "a broken arm does not spoil the others");
    let hopeless =
        Simulation { failed_share: 1.0, max_trials: Some(20), workers: 3, ..Simulation::default() };
    let trace = simulate(make, &CashArms::default(), &hopeless, 9);
    assert_eq!(
        trace.count(TrialStatus::Failed),
        20,
        "a study whose arms all fail spends its budget and ends"
    );
}

fn several_objectives(make: MakeSolver<'_>) {
    // Two objectives, three, and two under constraints.
    let problems: [FloatProblem; 3] = [multi::branin_currin(), multi::dtlz2(3, 4), multi::srn()];
    for (seed, test) in problems.into_iter().enumerate() {
        let options =
            Simulation { workers: 2, max_trials: Some(20), seed: 37 + seed as u64, ..Simulation::default() };
        let first = simulate(make, &test, &options, 4);
        assert_eq!(first.moves, simulate(make, &test, &options, 9).moves, "two runs of one study differ");
        assert_eq!(started(&first), 20, "{}", test.name());
        let faulty = Simulation {
            workers: 4,
            failed_share: 0.3,
            cancelled_share: 0.1,
            crash_share: 0.1,
            ..options.clone()
        };
        assert_eq!(started(&simulate(make, &test, &faulty, 4)), 20, "{}", test.name());
        let hopeless = Simulation { failed_share: 1.0, ..options };
        assert_eq!(simulate(make, &test, &hopeless, 7).count(TrialStatus::Failed), 20, "{}", test.name());
    }
}
