//! What the evolutionary solvers find in known budgets.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boxwood_core::{
    Ask, Plan, Problem, Seed, Solver, SolverError, SolverSpec, StopFlag, StudyView, TrialNumber, Unsupported,
    Verdict,
};
use boxwood_solvers::build;
use boxwood_testkit::problems::{Bbob, FloatProblem, Mixed, TestProblem, multi, single};
use boxwood_testkit::{Simulation, Trace, hypervolume};

fn spec(json: &str) -> SolverSpec {
    serde_json::from_str(json).unwrap()
}

fn run(json: &str, test: &dyn TestProblem, options: &Simulation) -> Trace {
    let problem = options.problem(test).unwrap();
    let solver = build(&spec(json), &problem).unwrap();
    options.run(test, solver.as_ref()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median gap to the optimum, seeds 1 to 3.
fn gap(json: &str, test: &dyn TestProblem, trials: u64) -> f64 {
    let run = |seed| {
        let options = Simulation { seed, max_trials: Some(trials), ..Simulation::default() };
        run(json, test, &options).best_loss().unwrap() - test.optimum()
    };
    median((1..=3).map(run).collect())
}

#[test]
fn cma_es_converges_on_convex_and_curved_functions() {
    // Deterministic: fixed seeds. The budgets are about what the published strategy needs.
    for (test, trials, within) in [
        (&Bbob::new(1, 1, 5) as &dyn TestProblem, 500, 1e-4),
        (&Bbob::new(10, 1, 5), 1200, 1e-2),
        (&single::rosenbrock(5), 2000, 1e-2),
    ] {
        let found = gap(r#"{"name":"cma_es"}"#, test, trials);
        println!("{}: {found:.2e} after {trials} trials", test.name());
        assert!(found < within, "{}: {found}", test.name());
    }
}

/// A solver that remembers nothing between plans.
struct Forgetful(SolverSpec, Problem);

impl Solver for Forgetful {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn accepts(&self, _: &Problem) -> Result<(), Unsupported> {
        Ok(())
    }

    fn plan(&self, view: &StudyView, ask: Ask, seed: Seed, stop: &StopFlag) -> Result<Plan, SolverError> {
        build(&self.0, &self.1).unwrap().plan(view, ask, seed, stop)
    }

    fn judge(&self, _: &StudyView, _: TrialNumber) -> Verdict {
        Verdict::Continue
    }
}

#[test]
fn what_cma_es_remembers_changes_nothing() {
    for (test, workers) in
        [(&single::rosenbrock(4) as &dyn TestProblem, 1), (&single::rosenbrock(4), 7), (&Mixed, 5)]
    {
        let options = Simulation {
            workers,
            max_trials: Some(120),
            straggler_share: 0.1,
            failed_share: 0.1,
            cancelled_share: 0.05,
            ..Simulation::default()
        };
        let problem = options.problem(test).unwrap();
        let warm = build(&spec(r#"{"name":"cma_es"}"#), &problem).unwrap();
        let cold = Forgetful(spec(r#"{"name":"cma_es"}"#), problem);
        let moves = options.run(test, warm.as_ref()).unwrap().moves;
        assert_eq!(moves, options.run(test, &cold).unwrap().moves, "{} with {workers} workers", test.name());
        // The same instance on another study, then on the first again.
        let other = Simulation { seed: 2, max_trials: Some(40), ..options.clone() };
        let elsewhere = other.run(test, warm.as_ref()).unwrap().moves;
        let problem = other.problem(test).unwrap();
        let fresh = build(&spec(r#"{"name":"cma_es"}"#), &problem).unwrap();
        assert_eq!(elsewhere, other.run(test, fresh.as_ref()).unwrap().moves);
        assert_eq!(moves, options.run(test, warm.as_ref()).unwrap().moves);
    }
}

#[test]
fn every_variant_of_evolution_beats_random_search() {
    for test in [&single::branin() as &dyn TestProblem, &single::hartmann6(), &Mixed] {
        let random = gap(r#"{"name":"random"}"#, test, 150);
        for variant in ["differential", "adaptive", "regularized", "swarm"] {
            let found = gap(&format!(r#"{{"name":"evolution","variant":"{variant}"}}"#), test, 150);
            println!("{}: random {random:.4}, {variant} {found:.4}", test.name());
            assert!(found < random, "{}: {variant} {found}, random {random}", test.name());
        }
    }
}

#[test]
fn swarms_and_adaptive_evolution_converge() {
    for (variant, test, within) in [
        ("swarm", &Bbob::new(1, 1, 5) as &dyn TestProblem, 1e-6),
        ("adaptive", &Bbob::new(1, 1, 5), 1e-3),
        ("swarm", &single::rosenbrock(4), 5.0),
        ("adaptive", &single::rosenbrock(4), 5.0),
    ] {
        let found = gap(&format!(r#"{{"name":"evolution","variant":"{variant}"}}"#), test, 500);
        println!("{variant} on {}: {found:.2e}", test.name());
        assert!(found < within, "{variant} on {}: {found}", test.name());
    }
}

#[test]
fn screened_offspring_are_better_than_the_first_ones() {
    for test in [&single::hartmann6() as &dyn TestProblem, &single::ackley(5)] {
        for variant in ["differential", "regularized"] {
            let gap = |screening: u32| {
                let json = format!(r#"{{"name":"evolution","variant":"{variant}","screening":{screening}}}"#);
                gap(&json, test, 100)
            };
            let (plain, screened) = (gap(0), gap(10));
            println!("{variant} on {}: {plain:.3}, screened {screened:.3}", test.name());
            assert!(screened < plain, "{variant} on {}: {screened}, unscreened {plain}", test.name());
        }
    }
}

#[test]
fn variants_for_one_objective_say_so() {
    let problem = Simulation::default().problem(&multi::zdt1(3)).unwrap();
    for (json, word) in [
        (r#"{"name":"evolution","variant":"swarm"}"#, "variant"),
        (r#"{"name":"evolution","variant":"adaptive"}"#, "variant"),
        (r#"{"name":"evolution","screening":5}"#, "screening"),
    ] {
        let error = build(&spec(json), &problem).err().unwrap();
        assert!(error.reason.contains("objectives") && error.reason.contains(word), "{error}");
    }
}

#[test]
fn differential_evolution_converges_on_the_sphere() {
    let found = gap(r#"{"name":"evolution","variant":"differential"}"#, &Bbob::new(1, 1, 5), 500);
    println!("sphere: {found:.2e}");
    assert!(found < 0.05, "{found}");
}

#[test]
fn fronts_of_evolution_beat_random_ones() {
    let volume = |json: &str, test: &FloatProblem| {
        let run = |seed| {
            let options = Simulation { seed, max_trials: Some(120), ..Simulation::default() };
            let trace = run(json, test, &options);
            let results = trace.view.trials().iter().filter_map(|trial| trial.last());
            let feasible = results.filter(|result| result.violations.iter().all(|value| *value <= 0.0));
            let losses: Vec<Vec<f64>> = feasible.map(|result| result.losses.clone()).collect();
            hypervolume(&losses, test.front().unwrap().0)
        };
        median((1..=5).map(run).collect())
    };
    for test in [multi::zdt1(6), multi::dtlz2(3, 6), multi::srn()] {
        let (random, found) =
            (volume(r#"{"name":"random"}"#, &test), volume(r#"{"name":"evolution"}"#, &test));
        println!("{}: random {random:.4}, evolution {found:.4}", test.name());
        assert!(found > random, "{}: evolution {found}, random {random}", test.name());
    }
}

#[test]
fn parents_come_from_the_history_whoever_proposed_it() {
    // A plan of a new instance on a finished study, at another number of workers, is a plan all the same.
    let options = Simulation { max_trials: Some(40), ..Simulation::default() };
    let trace = run(r#"{"name":"random"}"#, &single::branin(), &options);
    let problem = Arc::new(options.problem(&single::branin()).unwrap().with_max_trials(Some(80)));
    let view = StudyView::new(problem.clone(), trace.view.change(), trace.view.trials().to_vec());
    for name in ["evolution", "cma_es"] {
        let solver = build(&SolverSpec::named(name), &problem).unwrap();
        let plan = solver.plan(&view, Ask::of(3), Seed(1), &StopFlag::default()).unwrap();
        assert_eq!(plan.moves.len(), 3, "{name}");
    }
}
