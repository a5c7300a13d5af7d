//! The contract, and that climbing beats drawing at random.

use boxwood_core::{Problem, Solver};
use boxwood_testkit::problems::Branin;
use boxwood_testkit::{Simulation, TestProblem, Tier, solver_conformance};
use new_solver::HillClimber;

#[test]
fn it_keeps_the_contract() {
    let make = |_: &Problem| -> Box<dyn Solver> { Box::new(HillClimber) };
    solver_conformance(&make, &[Tier::Basic]);
}

#[test]
fn it_climbs() {
    let mut gaps: Vec<f64> = (1..=9)
        .map(|seed| {
            let options = Simulation { max_trials: Some(100), seed, ..Simulation::default() };
            let trace = options.run(&Branin, &HillClimber).expect("the simulation ends");
            trace.best_loss().expect("something was measured") - Branin.optimum()
        })
        .collect();
    gaps.sort_by(f64::total_cmp);
    println!("gaps after 100 trials, seeds 1 to 9: {gaps:.4?}");
    // A hundred random points have a median gap of about 0.5.
    assert!(gaps[4] < 0.2, "{gaps:?}");
}
