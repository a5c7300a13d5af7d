//! What the models say of their own proposals, for rules that end a study.

#![allow(clippy::unwrap_used)]

use boxwood_core::{Provenance, SolverSpec};
use boxwood_solvers::build;
use boxwood_testkit::problems::{Branin, Simionescu};
use boxwood_testkit::{Simulation, TestProblem, Trace};

fn run(json: &str, test: &dyn TestProblem, seed: u64, trials: u64) -> Trace {
    let spec: SolverSpec = serde_json::from_str(json).unwrap();
    let options = Simulation { seed, max_trials: Some(trials), ..Simulation::default() };
    let problem = options.problem(test).unwrap();
    let solver = build(&spec, &problem).unwrap();
    options.run(test, solver.as_ref()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Provenances of the points that this sampler's model chose.
fn chosen<'a>(trace: &'a Trace, sampler: &'a str) -> Vec<&'a Provenance> {
    let provenances = trace.view.trials().iter().map(|trial| &trial.provenance);
    let chosen: Vec<_> = provenances.filter(|provenance| provenance.sampler == sampler).collect();
    assert!(chosen.len() >= 3, "{} points by {sampler}", chosen.len());
    chosen
}

#[test]
fn the_expected_improvement_is_told_where_there_is_one() {
    for (solver, sampler) in [("bo", "gp"), ("forest", "forest"), ("turbo", "turbo")] {
        let trace = run(&format!(r#"{{"name":"{solver}"}}"#), &Branin, 3, 20);
        for provenance in chosen(&trace, sampler) {
            assert_eq!(provenance.log_improvement, provenance.acquisition, "{solver}");
            assert!(provenance.log_improvement.is_some());
        }
    }
    let lcb = run(r#"{"name":"bo","acquisition":"lcb"}"#, &Branin, 3, 14);
    assert!(
        chosen(&lcb, "gp").iter().all(|said| said.acquisition.is_some() && said.log_improvement.is_none())
    );
    let tpe = run(r#"{"name":"tpe"}"#, &Branin, 3, 20);
    assert!(
        chosen(&tpe, "tpe").iter().all(|said| said.acquisition.is_some() && said.log_improvement.is_none())
    );
    // A belief changes what is maximized, not what is expected.
    let believed = r#"{"name":"bo","beliefs":{"x1":{"center":3,"deviation":1}}}"#;
    let believed = run(believed, &Branin, 3, 14);
    let told = chosen(&believed, "gp");
    assert!(told.iter().all(|said| said.log_improvement.is_some()));
    assert!(told.iter().any(|said| said.log_improvement != said.acquisition));
}

#[test]
fn the_regret_bound_holds_and_falls() {
    for seed in 1..=3 {
        let trace = run(r#"{"name":"bo"}"#, &Branin, seed, 40);
        let mut best = f64::INFINITY;
        let (mut bounds, mut broken) = (Vec::new(), 0);
        for trial in trace.view.trials() {
            if let Some(bound) = trial.provenance.regret_bound {
                assert!(bound >= 0.0);
                broken += usize::from(best - Branin.optimum() > bound);
                bounds.push(bound);
            }
            best = best.min(trial.last().unwrap().losses[0]);
        }
        let (first, last) = (bounds[0], bounds[bounds.len() - 1]);
        // Each bound fails with a probability of a tenth at most, by the model; twice that is allowed.
        assert!(broken * 5 <= bounds.len(), "seed {seed}: {broken} of {} bounds broken", bounds.len());
        assert!(last < 0.1 * first, "seed {seed}: from {first} to {last}");
    }
}

#[test]
fn there_is_no_regret_bound_where_it_would_mislead() {
    let constrained = run(r#"{"name":"bo"}"#, &Simionescu, 2, 16);
    assert!(chosen(&constrained, "gp").iter().all(|said| said.regret_bound.is_none()));
    let local = run(r#"{"name":"turbo"}"#, &Branin, 2, 20);
    assert!(chosen(&local, "turbo").iter().all(|said| said.regret_bound.is_none()));
}

#[test]
fn provenances_of_older_studies_are_read() {
    let old = r#"{"solver":"bo","sampler":"gp","acquisition":-3.5,"plan":4,"change":9}"#;
    let read: Provenance = serde_json::from_str(old).unwrap();
    assert_eq!((read.acquisition, read.log_improvement, read.regret_bound), (Some(-3.5), None, None));
    assert_eq!(serde_json::to_string(&read).unwrap(), old, "what is absent is not written");
}
