//! What the densities of `tpe` and `bohb` do beyond their contract.

#![allow(clippy::unwrap_used)]

use boxwood_core::{SolverSpec, TrialStatus};
use boxwood_solvers::build;
use boxwood_testkit::problems::{Conditional, CountingOnes, FloatProblem, TestProblem, multi};
use boxwood_testkit::{Simulation, Trace, hypervolume};

fn run(json: &str, test: &dyn TestProblem, options: &Simulation) -> Trace {
    let problem = options.problem(test).unwrap();
    let spec: SolverSpec = serde_json::from_str(json).unwrap();
    let solver = build(&spec, &problem).unwrap();
    options.run(test, solver.as_ref()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median hypervolume of the feasible results after 60 trials, seeds 1 to 10.
fn volume(json: &str, test: &FloatProblem) -> f64 {
    let (reference, _) = test.front().unwrap();
    let run = |seed| {
        let options = Simulation { seed, max_trials: Some(60), ..Simulation::default() };
        let trace = run(json, test, &options);
        let measured = trace.view.trials().iter().filter_map(|trial| trial.last());
        let feasible = measured.filter(|result| result.violations.iter().all(|value| *value <= 0.0));
        let losses: Vec<Vec<f64>> = feasible.map(|result| result.losses.clone()).collect();
        hypervolume(&losses, reference)
    };
    median((1..=10).map(run).collect())
}

#[test]
fn the_fronts_of_tpe_beat_random_ones() {
    // Deterministic: fixed seeds. With constraints too.
    for test in [multi::zdt1(6), multi::branin_currin(), multi::dtlz2(3, 6), multi::srn()] {
        let random = volume(r#"{"name":"random"}"#, &test);
        let model = volume(r#"{"name":"tpe"}"#, &test);
        println!("{}: random {random:.4}, tpe {model:.4}", test.name());
        assert!(model > random, "{}: tpe {model}, random {random}", test.name());
    }
}

#[test]
fn both_densities_of_bohb_beat_hyperband_on_counting_ones() {
    let best = |json: &str| {
        let run = |seed| {
            let test = CountingOnes::default();
            let options = Simulation { seed, max_trials: Some(150), ..Simulation::default() };
            run(json, &test, &options).best_loss().unwrap()
        };
        median((1..=5).map(run).collect())
    };
    let random = best(r#"{"name":"hyperband"}"#);
    for density in ["published", "tree"] {
        let model = best(&format!(r#"{{"name":"bohb","density":"{density}"}}"#));
        println!("counting ones: hyperband {random:.3}, {density} {model:.3}");
        assert!(model < random, "{density} {model}, hyperband {random}");
    }
}

#[test]
fn the_published_densities_wait_for_enough_results() {
    let columns = Conditional.spec().check().unwrap().space().dimensions().len();
    let options = Simulation { max_trials: Some(40), ..Simulation::default() };
    let first = |json: &str| {
        let trace = run(json, &Conditional, &options);
        assert!(trace.view.trials().iter().all(|trial| trial.status == TrialStatus::Completed));
        let models = trace.view.trials().iter().map(|trial| trial.provenance.model.clone());
        models.enumerate().find_map(|(index, model)| Some((index, model?))).unwrap()
    };
    let (index, model) = first(r#"{"name":"bohb","initial_trials":1,"random_fraction":0}"#);
    assert_eq!((index, model.split(" on ").next().unwrap()), (2 * (columns + 1), "kernel densities"));
    let (_, model) = first(r#"{"name":"bohb","density":"tree"}"#);
    assert!(model.starts_with("Parzen densities"), "{model}");
}
