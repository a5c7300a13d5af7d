//! Samplers for large spaces on a space with very many parameters, choices and conditions.

#![allow(clippy::unwrap_used)]

use boxwood_core::{Metrics, Point, ProblemSpec, Resource, Seed, SolverSpec, TrialStatus};
use boxwood_solvers::build;
use boxwood_testkit::problems::{TestProblem, number, text};
use boxwood_testkit::{Outcome, Simulation};
use serde_json::json;

/// 200 floats, a choice of 30 and a number that three of them have; every loss is equal but for one outlier.
struct Flat;

impl TestProblem for Flat {
    fn name(&self) -> String {
        "flat".into()
    }

    fn spec(&self) -> ProblemSpec {
        let mut parameters: Vec<serde_json::Value> = (0..200)
            .map(|index| json!({"name": format!("x{index}"), "type": "float", "low": 0, "high": 1}))
            .collect();
        let choices: Vec<String> = (0..30).map(|index| format!("c{index}")).collect();
        parameters.push(json!({"name": "kind", "type": "categorical", "choices": choices}));
        parameters.push(json!({
            "name": "depth", "type": "integer", "low": 1, "high": 9,
            "when": {"parameter": "kind", "in": ["c0", "c1", "c2"]}
        }));
        let spec = json!({
            "space": {"parameters": parameters},
            "objectives": [{"metric": "value", "goal": "minimize"}]
        });
        serde_json::from_value(spec).unwrap()
    }

    fn optimum(&self) -> f64 {
        1.0
    }

    fn evaluate(&self, point: &Point, _: Resource, _: Seed) -> Outcome {
        let is_outlier = number(point, "x0") > 0.9 && text(point, "kind") > "c2";
        Outcome::Measured(Metrics::from([("value", if is_outlier { 1e30 } else { 1.0 })]))
    }
}

#[test]
fn wide_conditional_spaces_and_flat_losses_are_served() {
    for name in ["tpe", "forest"] {
        let options = Simulation { max_trials: Some(24), workers: 2, ..Simulation::default() };
        let problem = options.problem(&Flat).unwrap();
        // One trial before the model, so that it starts from a single observation.
        let spec: SolverSpec =
            serde_json::from_value(json!({"name": name, "initial_trials": 1, "candidates": 40})).unwrap();
        let trace = options.run(&Flat, build(&spec, &problem).unwrap().as_ref()).unwrap();
        assert_eq!(trace.count(TrialStatus::Completed), 24);
        assert!(trace.notes.iter().all(|note| !note.contains("numeric failure")), "{:?}", trace.notes);
        let modelled = trace.view.trials().iter().filter(|trial| trial.provenance.sampler == name);
        assert!(modelled.count() >= 15, "{name} proposes itself");
    }
}
