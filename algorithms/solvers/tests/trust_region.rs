//! What `turbo` must do beyond its contract.

#![allow(clippy::unwrap_used)]

use boxwood_core::{Problem, SolverSpec};
use boxwood_solvers::build;
use boxwood_testkit::problems::{Ackley, Mixed, Simionescu, TestProblem, multi};
use boxwood_testkit::{Simulation, Trace};

fn run(json: &str, test: &dyn TestProblem, options: &Simulation) -> Trace {
    let problem: Problem = options.problem(test).unwrap();
    let spec: SolverSpec = serde_json::from_str(json).unwrap();
    let solver = build(&spec, &problem).unwrap_or_else(|error| panic!("{error}"));
    options.run(test, solver.as_ref()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Median gap to the optimum at the end, over fixed seeds.
fn gap(json: &str, test: &dyn TestProblem, trials: u64, seeds: u64, workers: usize) -> f64 {
    let mut gaps: Vec<f64> = (1..=seeds)
        .map(|seed| {
            let options = Simulation { seed, workers, max_trials: Some(trials), ..Simulation::default() };
            run(json, test, &options).best_loss().unwrap() - test.optimum()
        })
        .collect();
    gaps.sort_by(f64::total_cmp);
    gaps[gaps.len() / 2]
}

#[test]
fn a_trust_region_beats_random_search_by_far_in_twenty_dimensions() {
    let test = Ackley { dimensions: 20 };
    let random = gap(r#"{"name":"random"}"#, &test, 70, 3, 1);
    for workers in [1, 8] {
        let turbo = gap(r#"{"name":"turbo","candidates":300}"#, &test, 70, 3, workers);
        println!("ackley-20, {workers} workers: random {random:.3}, turbo {turbo:.3}");
        assert!(turbo < 0.7 * random, "{workers} workers: turbo {turbo}, random {random}");
    }
}

#[test]
fn a_trust_region_moves_over_mixed_spaces() {
    let random = gap(r#"{"name":"random"}"#, &Mixed, 40, 5, 1);
    let turbo = gap(r#"{"name":"turbo","candidates":300}"#, &Mixed, 40, 5, 1);
    println!("mixed: random {random:.4}, turbo {turbo:.4}");
    assert!(turbo < 0.5 * random, "turbo {turbo}, random {random}");
}

#[test]
fn constraints_are_respected_and_learned() {
    let gap = gap(r#"{"name":"scbo","candidates":300}"#, &Simionescu, 40, 3, 1);
    println!("simionescu: gap {gap:.4}");
    assert!(gap < 0.2 * Simionescu.optimum().abs(), "gap {gap}");
}

#[test]
fn several_objectives_are_refused_by_name() {
    let problem = Simulation::default().problem(&multi::zdt1(3)).unwrap();
    let error = build(&SolverSpec::named("turbo"), &problem).err().unwrap();
    assert!(error.reason.contains("objectives"), "{error}");
}
