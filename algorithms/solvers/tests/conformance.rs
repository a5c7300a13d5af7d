//! Every named solver runs the conformance suite.

#![allow(clippy::unwrap_used)]

use boxwood_core::{Problem, Solver, SolverSpec, TrialStatus};
use boxwood_testkit::problems::{Branin, SaturatingCurves};
use boxwood_testkit::{Simulation, Tier, solver_conformance};
use serde_json::json;

/// A solver with its defaults, but with little work per proposal where it maximizes an acquisition: the contract does
/// not depend on it.
fn named(name: &'static str) -> impl Fn(&Problem) -> Box<dyn Solver> + Sync {
    move |problem| {
        let mut spec = SolverSpec::named(name);
        let info = boxwood_solvers::describe().into_iter().find(|info| info.name == name);
        if info.is_some_and(|info| info.parameters.iter().any(|parameter| parameter.name == "candidates")) {
            spec.parameters.insert("candidates".into(), 60.into());
        }
        boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
    }
}

macro_rules! conformance {
    ($($solver:ident: $($tier:ident),+;)+) => {
        $(
            #[test]
            fn $solver() {
                solver_conformance(&named(stringify!($solver)), &[$(Tier::$tier),+]);
            }
        )+

        #[test]
        fn every_solver_is_covered() {
            let covered = [$(stringify!($solver)),+];
            for name in boxwood_solvers::names() {
                assert!(covered.contains(&name), "`{name}` has no conformance test");
            }
        }
    };
}

conformance! {
    random: Basic, SeveralObjectives;
    sobol: Basic, SeveralObjectives;
    latin_hypercube: Basic, SeveralObjectives;
    grid: Basic;
    evolution: Basic, SeveralObjectives;
    cma_es: Basic;
    blend_search: Basic;
    cfo: Basic;
    bo: Basic, SeveralObjectives;
    forest: Basic;
    tpe: Basic, SeveralObjectives;
    transfer: Basic;
    turbo: Basic;
    successive_halving: Basic, MultiFidelity;
    hyperband: Basic, MultiFidelity;
    bohb: Basic, MultiFidelity;
    mfes: Basic, MultiFidelity;
    asha: Basic, MultiFidelity;
    asha_delayed: Basic, MultiFidelity;
    async_hyperband: Basic, MultiFidelity;
    mfes_async: Basic, MultiFidelity;
    rising_bandit: Cash;
}

#[test]
fn samplers_go_with_any_scheduler() {
    for sampler in ["sobol", "gp", "forest", "tpe", "mfes"] {
        let make = move |problem: &Problem| {
            let mut spec = SolverSpec::named("asha");
            spec.parameters.insert("sampler".into(), sampler.into());
            if sampler != "sobol" {
                spec.parameters.insert("candidates".into(), 60.into());
            }
            boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
        };
        solver_conformance(&make, &[Tier::MultiFidelity]);
    }
}

/// Brackets whose stages start trials of their own, and trials of one rung, keep the contract and what they are named for.
#[test]
fn streams_keep_the_contract_and_promote_nothing() {
    for (name, stages) in [
        ("hyperband", json!({"stages": "flattened"})),
        ("successive_halving", json!({"stages": "flattened"})),
        ("bohb", json!({"stages": "flattened"})),
        ("mfes", json!({"stages": "flattened", "candidates": 60})),
        ("hyperband", json!({"stages": "fixed"})),
        ("mfes", json!({"stages": "fixed", "candidates": 60})),
        ("bohb", json!({"stages": "fixed", "fixed_rung": 1})),
    ] {
        let mut spec = SolverSpec::named(name);
        spec.parameters = stages.as_object().unwrap().clone();
        let make = |problem: &Problem| {
            let mut spec = spec.clone();
            if problem.ladder().len() == 1 {
                spec.parameters.remove("fixed_rung");
            }
            boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
        };
        solver_conformance(&make, &[Tier::Basic]);
        // As many trials as the first bracket has results.
        let options = Simulation { workers: 3, max_trials: Some(121), seed: 4, ..Simulation::default() };
        let problem = options.problem(&SaturatingCurves).unwrap();
        let trace = options.run(&SaturatingCurves, make(&problem).as_ref()).unwrap();
        // One move per trial: nothing was promoted, and each trial reached the rung that it was started for.
        assert_eq!((trace.view.started(), trace.moves.len()), (121, 121), "{name} {stages}");
        let mut at = vec![0_u64; problem.ladder().len()];
        for trial in trace.view.trials() {
            assert_eq!(trial.last().map(|result| result.rung), Some(trial.target), "{name} {stages}");
            at[trial.target.0 as usize] += 1;
        }
        if stages["stages"] == "fixed" {
            let top = problem.ladder().len() - 1;
            let rung = stages["fixed_rung"].as_u64().map_or(top, |rung| rung as usize);
            assert_eq!(at[rung], 121, "{name} {stages}: {at:?}");
        } else {
            assert_eq!(at, problem.ladder().brackets()[0].stages, "{name} {stages}");
            let first_full =
                trace.view.trials().iter().position(|trial| trial.target == problem.ladder().top());
            assert!(
                first_full.is_some_and(|index| index < 100),
                "{name}: full results come among the others"
            );
        }
    }
}

/// Designs and processes that are not the default: every one keeps the contract.
#[test]
fn designs_and_processes_keep_the_contract() {
    let choices = [
        ("bo", "initial_design", json!("halton")),
        ("bo", "initial_design", json!("latin_hypercube")),
        ("tpe", "initial_design", json!("maximin")),
        ("turbo", "initial_design", json!("random")),
        ("bo", "category_kernel", json!("mixture")),
        ("bo", "kernel", json!("squared_exponential")),
        ("bo", "warp_inputs", json!("on")),
        ("bo", "posterior_draws", json!(4)),
        ("forest", "model", json!("boosted")),
    ];
    for (solver, parameter, value) in choices {
        let make = |problem: &Problem| {
            let mut spec = SolverSpec::named(solver);
            spec.parameters.insert(parameter.into(), value.clone());
            spec.parameters.insert("candidates".into(), 60.into());
            boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
        };
        solver_conformance(&make, &[Tier::Basic]);
    }
}

/// Every smaller space, of one dimension, so that it is smaller than those of the suite, and in steps.
#[test]
fn smaller_spaces_keep_the_contract() {
    let choices = [
        ("bo", "hesbo", 0),
        ("bo", "rembo", 0),
        ("bo", "selection", 0),
        ("bo", "box", 0),
        ("bo", "density", 0),
        ("bo", "none", 16),
        ("forest", "hesbo", 16),
        ("forest", "selection", 0),
        ("forest", "box", 0),
        ("turbo", "hesbo", 0),
        ("turbo", "selection", 16),
    ];
    for (solver, compression, steps) in choices {
        let make = |problem: &Problem| {
            let spec = json!({
                "name": solver, "compression": compression, "compressed_dimensions": 1, "quantize": steps,
                "candidates": 60
            });
            let spec: SolverSpec = serde_json::from_value(spec).unwrap();
            boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
        };
        solver_conformance(&make, &[Tier::Basic]);
    }
}

#[test]
fn variants_of_evolution_keep_the_contract() {
    for (variant, screening) in
        [("swarm", 0), ("adaptive", 0), ("regularized", 0), ("differential", 6), ("swarm", 6)]
    {
        let make = move |problem: &Problem| {
            let mut spec = SolverSpec::named("evolution");
            spec.parameters.insert("variant".into(), variant.into());
            spec.parameters.insert("screening".into(), screening.into());
            // Few, so that the runs get past the first ones.
            spec.parameters.insert("population".into(), 4.into());
            boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
        };
        solver_conformance(&make, &[Tier::Basic]);
    }
}

#[test]
fn blended_searches_keep_the_contract_with_any_global_one() {
    for global in ["tpe", "random", "none"] {
        let make = move |problem: &Problem| {
            let mut spec = SolverSpec::named("blend_search");
            spec.parameters.insert("global".into(), global.into());
            boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
        };
        solver_conformance(&make, &[Tier::Basic]);
    }
}

#[test]
fn bohb_keeps_the_contract_with_the_densities_of_a_tree() {
    let make = |problem: &Problem| {
        let mut spec = SolverSpec::named("bohb");
        spec.parameters.insert("density".into(), "tree".into());
        boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
    };
    solver_conformance(&make, &[Tier::Basic, Tier::MultiFidelity]);
}

#[test]
fn the_ensembles_of_mfes_keep_the_contract_with_any_weights_and_models() {
    let choices = [
        ("product_of_experts", "ranks", "auto"),
        ("product_of_experts", "draws", "forest"),
        ("independent_sum", "ranks", "process"),
    ];
    for (combination, weights, model) in choices {
        let make = move |problem: &Problem| {
            let mut spec = SolverSpec::named("mfes");
            spec.parameters.insert("combination".into(), combination.into());
            spec.parameters.insert("weights".into(), weights.into());
            spec.parameters.insert("rung_model".into(), model.into());
            spec.parameters.insert("candidates".into(), 60.into());
            boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
        };
        solver_conformance(&make, &[Tier::MultiFidelity]);
    }
}

/// Faulty workers, a budget of trials, and a rule that stops trials: the simulation checks every move.
#[test]
fn solvers_may_stop_trials_early() {
    let rules = [("random", "median"), ("sobol", "percentile"), ("bo", "forecast"), ("tpe", "median")];
    for (solver, rule) in rules {
        let mut spec = SolverSpec::named(solver);
        spec.parameters.insert("early_stopping".into(), rule.into());
        let options = Simulation {
            workers: 4,
            max_trials: Some(40),
            crash_share: 0.1,
            failed_share: 0.1,
            ..Simulation::default()
        };
        let problem = options.problem(&SaturatingCurves).unwrap();
        let run = || {
            let solver = boxwood_solvers::build(&spec, &problem).unwrap_or_else(|error| panic!("{error}"));
            options.run(&SaturatingCurves, solver.as_ref()).unwrap_or_else(|error| panic!("{error}"))
        };
        let trace = run();
        assert_eq!(trace.moves, run().moves, "{solver} with {rule} does not repeat itself");
        assert_eq!(trace.view.started(), 40);
        let pruned = trace.view.trials().iter().filter(|trial| trial.status == TrialStatus::Pruned).count();
        assert!((1..36).contains(&pruned), "{solver} with {rule} stopped {pruned} trials");
        assert!(trace.best_loss().is_some());
    }
    let mut spec = SolverSpec::named("random");
    spec.parameters.insert("early_stopping".into(), "median".into());
    let single = Simulation::default().problem(&Branin).unwrap();
    let error = boxwood_solvers::build(&spec, &single).err().unwrap();
    assert!(error.reason.contains("early_stopping"), "{error}");
}

#[test]
fn a_bandit_runs_synchronous_solvers_too() {
    for (inner, allocation) in [
        ("random", "leader"),
        ("cfo", "leader"),
        ("hyperband", "leader"),
        ("mfes", "leader"),
        ("hyperband", "turns"),
    ] {
        let make = move |problem: &Problem| {
            let mut spec = SolverSpec::named("rising_bandit");
            spec.parameters.insert("inner".into(), inner.into());
            spec.parameters.insert("allocation".into(), allocation.into());
            boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
        };
        solver_conformance(&make, &[Tier::Cash]);
    }
}
