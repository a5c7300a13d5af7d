//! Every named solver runs the conformance suite.

use boxwood_core::{Problem, Solver, SolverSpec};
use boxwood_testkit::{Tier, solver_conformance};

fn named(name: &'static str) -> impl Fn(&Problem) -> Box<dyn Solver> + Sync {
    move |problem| {
        boxwood_solvers::build(&SolverSpec::named(name), problem).unwrap_or_else(|error| panic!("{error}"))
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
    grid: Basic;
    successive_halving: Basic, MultiFidelity;
    hyperband: Basic, MultiFidelity;
    asha: Basic, MultiFidelity;
    asha_delayed: Basic, MultiFidelity;
    async_hyperband: Basic, MultiFidelity;
}
