//! What blended searches and their local threads find and record.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boxwood_core::{Ask, Move, Seed, SolverSpec, StopFlag, StudyView, TrialView};
use boxwood_solvers::build;
use boxwood_testkit::problems::{Bbob, Mixed, TestProblem, Uneven, multi, single};
use boxwood_testkit::{Simulation, Trace};
use serde_json::json;

fn spec(json: serde_json::Value) -> SolverSpec {
    serde_json::from_value(json).unwrap()
}

fn run(spec: &SolverSpec, test: &dyn TestProblem, options: &Simulation) -> Trace {
    let solver = build(spec, &options.problem(test).unwrap()).unwrap();
    options.run(test, solver.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", test.name()))
}

/// Median gap to the optimum, seeds 1 to 5.
fn gap(spec: &SolverSpec, test: &dyn TestProblem, trials: u64) -> f64 {
    let run = |seed| {
        let options = Simulation { seed, max_trials: Some(trials), ..Simulation::default() };
        run(spec, test, &options).best_loss().unwrap() - test.optimum()
    };
    let mut gaps: Vec<f64> = (1..=5).map(run).collect();
    gaps.sort_by(f64::total_cmp);
    gaps[2]
}

#[test]
fn local_threads_converge_and_beat_random_points() {
    let cfo = spec(json!({"name": "cfo"}));
    let found = gap(&cfo, &Bbob::new(1, 1, 5), 300);
    println!("sphere: {found:.2e}");
    assert!(found < 0.1, "{found}");
    for test in [&single::hartmann6() as &dyn TestProblem, &single::rosenbrock(4), &Mixed] {
        let (random, found) = (gap(&spec(json!({"name": "random"})), test, 100), gap(&cfo, test, 100));
        println!("{}: random {random:.4}, cfo {found:.4}", test.name());
        assert!(found < random, "{}: {found}, random {random}", test.name());
    }
}

#[test]
fn trials_go_to_the_global_search_and_to_threads_that_name_their_parents() {
    let blend = spec(json!({"name": "blend_search", "global": "tpe"}));
    let test = Uneven { problem: single::ackley(5), spread: 8.0 };
    let options = Simulation { workers: 4, max_trials: Some(80), failed_share: 0.1, ..Simulation::default() };
    let trace = run(&blend, &test, &options);
    let trials = trace.view.trials();
    let local: Vec<&TrialView> = trials.iter().filter(|trial| trial.provenance.parent.is_some()).collect();
    assert!((10..70).contains(&local.len()), "{} of {} trials are local", local.len(), trials.len());
    for trial in local {
        assert_eq!(trial.provenance.sampler, "flow2");
        let parent = trace.view.trial(trial.provenance.parent.unwrap()).unwrap();
        assert!(parent.number < trial.number && parent.last().is_some());
    }
    assert!(trials.iter().any(|trial| trial.provenance.sampler == "tpe"));
}

#[test]
fn without_a_global_search_a_blend_is_cfo() {
    let options = Simulation { workers: 3, max_trials: Some(60), ..Simulation::default() };
    let blend = run(&spec(json!({"name": "blend_search", "global": "none"})), &Mixed, &options);
    let alone = run(&spec(json!({"name": "cfo"})), &Mixed, &options);
    let points =
        |trace: &Trace| trace.view.trials().iter().map(|trial| trial.point.clone()).collect::<Vec<_>>();
    assert_eq!(points(&blend), points(&alone));
}

#[test]
fn a_history_without_parents_is_a_global_one() {
    let options = Simulation { max_trials: Some(30), ..Simulation::default() };
    let trace = run(&spec(json!({"name": "random"})), &single::branin(), &options);
    let problem = Arc::new(options.problem(&single::branin()).unwrap().with_max_trials(Some(80)));
    let view = StudyView::new(problem.clone(), trace.view.change(), trace.view.trials().to_vec());
    let solver = build(&SolverSpec::named("cfo"), &problem).unwrap();
    let plan = solver.plan(&view, Ask::of(2), Seed(1), &StopFlag::default()).unwrap();
    // The default point comes first.
    let Move::Start { provenance, .. } = &plan.moves[1] else { panic!("a start") };
    let parent = provenance.parent.and_then(|parent| view.trial(parent)).unwrap();
    let losses = |trial: &TrialView| trial.last().unwrap().losses[0];
    let better = view.trials().iter().filter(|trial| losses(trial) < losses(parent)).count();
    assert!(better < 8, "a thread goes on from a good point, not from one with {better} better ones");
}

#[test]
fn several_objectives_are_refused_by_name() {
    let problem = Simulation::default().problem(&multi::zdt1(3)).unwrap();
    for name in ["blend_search", "cfo"] {
        let error = build(&SolverSpec::named(name), &problem).err().unwrap();
        assert!(error.reason.contains("objectives"), "{error}");
    }
}
