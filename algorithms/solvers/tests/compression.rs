//! What samplers must do on smaller spaces than the study's, beyond their contract.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use boxwood_core::{Metrics, Point, Problem, ProblemSpec, Resource, Seed, SolverSpec, TrialStatus};
use boxwood_solvers::build;
use boxwood_testkit::problems::{Branin, Conditional, Mixed, TestProblem, number};
use boxwood_testkit::{Outcome, Simulation, Trace};
use proptest::prelude::*;
use serde_json::json;

const MODES: [&str; 6] = ["none", "hesbo", "rembo", "selection", "box", "density"];

fn run(spec: serde_json::Value, test: &dyn TestProblem, options: &Simulation) -> Trace {
    let problem: Problem = options.problem(test).unwrap();
    let spec: SolverSpec = serde_json::from_value(spec).unwrap();
    let solver = build(&spec, &problem).unwrap_or_else(|error| panic!("{error}"));
    options.run(test, solver.as_ref()).unwrap_or_else(|error| panic!("{spec:?}: {error}"))
}

/// A bowl in three of 60 floats; the others do not matter.
struct Bowl;

impl TestProblem for Bowl {
    fn name(&self) -> String {
        "bowl".into()
    }

    fn spec(&self) -> ProblemSpec {
        let parameters: Vec<serde_json::Value> = (0..60)
            .map(|index| json!({"name": format!("x{index}"), "type": "float", "low": 0, "high": 1}))
            .collect();
        let spec = json!({
            "space": {"parameters": parameters},
            "objectives": [{"metric": "value", "goal": "minimize"}]
        });
        serde_json::from_value(spec).unwrap()
    }

    fn optimum(&self) -> f64 {
        0.0
    }

    fn evaluate(&self, point: &Point, _: Resource, _: Seed) -> Outcome {
        let centers = [("x7", 0.2), ("x31", 0.85), ("x52", 0.3)];
        let value: f64 = centers.iter().map(|(name, center)| (number(point, name) - center).powi(2)).sum();
        Outcome::Measured(Metrics::from([("value", value)]))
    }
}

/// Median of the best losses over fixed seeds.
fn median_best(spec: &serde_json::Value) -> f64 {
    let mut found: Vec<f64> = (1..=5)
        .map(|seed| {
            let options = Simulation { seed, max_trials: Some(50), ..Simulation::default() };
            run(spec.clone(), &Bowl, &options).best_loss().unwrap()
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found[2]
}

#[test]
fn three_of_sixty_parameters_are_found_in_smaller_spaces() {
    let random = median_best(&json!({"name": "random"}));
    for mode in ["hesbo", "selection"] {
        let found = median_best(&json!({"name": "bo", "compression": mode, "candidates": 300}));
        println!("{mode}: {found:.5}, random {random:.5}");
        assert!(found < 0.5 * random, "{mode}: {found}, random {random}");
    }
}

#[test]
fn an_embedding_of_a_few_steps_tells_no_more_values_apart() {
    let spec = json!({"name": "bo", "compression": "hesbo", "compressed_dimensions": 4, "quantize": 5,
                      "candidates": 60});
    let options = Simulation { seed: 3, max_trials: Some(30), ..Simulation::default() };
    let trace = run(spec, &Bowl, &options);
    let embedded = trace.view.trials().iter().filter(|trial| trial.provenance.sampler == "gp");
    let rows: Vec<&Vec<f64>> = embedded.map(|trial| &trial.encoded).collect();
    assert!(rows.len() >= 15, "{}", rows.len());
    for row in rows {
        // Mirrored levels are levels: a tenth and its like.
        let levels: HashSet<u64> = row.iter().map(|value| (value * 10.0).round() as u64).collect();
        assert!(levels.is_subset(&HashSet::from([1, 3, 5, 7, 9])), "{levels:?}");
        assert!(row.iter().all(|value| (value * 10.0 - (value * 10.0).round()).abs() < 1e-6));
    }
}

#[test]
fn whole_ranges_are_reached_in_steps() {
    let spec = json!({"name": "bo", "quantize": 3, "candidates": 60});
    let options = Simulation { seed: 2, ..Simulation::default() };
    let trace = run(spec, &Branin, &Simulation { max_trials: Some(9), ..options });
    for trial in trace.view.trials() {
        let on_grid = |value: &f64| [0.0, 0.5, 1.0].iter().any(|level| (value - level).abs() < 1e-9);
        assert!(trial.encoded.iter().all(on_grid), "{:?}", trial.encoded);
    }
    let rows: HashSet<Vec<u64>> = trace
        .view
        .trials()
        .iter()
        .map(|trial| trial.encoded.iter().map(|value| value.to_bits()).collect())
        .collect();
    assert_eq!(rows.len(), 9, "all nine points of the grid");
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let refused = |spec: serde_json::Value| {
        let spec: SolverSpec = serde_json::from_value(spec).unwrap();
        build(&spec, &Simulation::default().problem(&Branin).unwrap()).err().unwrap().reason
    };
    assert!(refused(json!({"name": "bo", "quantize": 1})).contains("quantize"));
    assert!(refused(json!({"name": "forest", "compression": "box", "quantize": 8})).contains("quantize"));
    let beliefs = json!({"name": "bo", "compression": "hesbo", "beliefs": {"x1": {"center": 3}}});
    assert!(refused(beliefs).contains("beliefs"));
    assert!(refused(json!({"name": "turbo", "compression": "box"})).contains("trust region"));
    assert!(refused(json!({"name": "tpe", "compression": "hesbo"})).contains("compression"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The simulation refuses invalid points and repetitions; faults and several workers are part of it.
    #[test]
    fn points_are_valid_and_new_in_every_mode(
        mode in 0..MODES.len(),
        conditional in any::<bool>(),
        steps in prop_oneof![Just(0_u64), 2_u64..12],
        dimensions in 0_u64..5,
        solver in prop_oneof![Just("bo"), Just("forest"), Just("turbo")],
        refresh in prop_oneof![Just("growth"), Just("improvement"), Just("stagnation")],
        seed in 0_u64..1000,
    ) {
        let is_box = MODES[mode] == "box" || MODES[mode] == "density";
        prop_assume!(!(is_box && solver == "turbo"));
        let steps = if is_box { 0 } else { steps };
        let spec = json!({
            "name": solver, "compression": MODES[mode], "quantize": steps, "compressed_dimensions": dimensions,
            "refresh": refresh, "candidates": 40, "initial_trials": 4
        });
        let test: &dyn TestProblem = if conditional { &Conditional } else { &Mixed };
        let options = Simulation {
            seed, workers: 2, max_trials: Some(24), failed_share: 0.1, cancelled_share: 0.1, ..Simulation::default()
        };
        let trace = run(spec, test, &options);
        let ended = trace.view.trials().iter().filter(|trial| trial.status != TrialStatus::Cancelled).count();
        prop_assert_eq!(ended, 24);
        prop_assert!(trace.notes.iter().all(|note| !note.contains("numeric failure")), "{:?}", trace.notes);
    }
}
