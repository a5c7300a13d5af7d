//! Every named solver runs the conformance suite.

use boxwood_core::{Problem, Solver, SolverSpec};
use boxwood_testkit::{Tier, solver_conformance};

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
    random: Basic;
    sobol: Basic;
    latin_hypercube: Basic;
    grid: Basic;
    evolution: Basic;
    cma_es: Basic;
    bo: Basic;
    forest: Basic;
    tpe: Basic;
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

#[test]
fn a_bandit_runs_synchronous_solvers_too() {
    for inner in ["random", "hyperband", "mfes"] {
        let make = move |problem: &Problem| {
            let mut spec = SolverSpec::named("rising_bandit");
            spec.parameters.insert("inner".into(), inner.into());
            boxwood_solvers::build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
        };
        solver_conformance(&make, &[Tier::Cash]);
    }
}
