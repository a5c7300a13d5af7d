//! What a search promises that must keep its constraints while it learns them.
#![allow(clippy::unwrap_used)]

use boxwood_core::SolverSpec;
use boxwood_testkit::problems::{FloatProblem, constrained, single};
use boxwood_testkit::{Simulation, TestProblem};

/// Share of trials that broke a constraint over ten seeds, and the median gap of the best one that held.
fn broken(problem: &FloatProblem, parameters: &[(&str, f64)]) -> (f64, f64) {
    const TRIALS: u64 = 40;
    let mut spec = SolverSpec::named("bo");
    for (name, value) in parameters {
        spec.parameters.insert((*name).into(), (*value).into());
    }
    let (mut count, mut gaps) = (0, Vec::new());
    for seed in 501..=510 {
        let simulation = Simulation { seed, max_trials: Some(TRIALS), ..Simulation::default() };
        let checked = simulation.problem(problem).unwrap();
        let solver = boxwood_solvers::build(&spec, &checked).unwrap();
        let view = simulation.run(problem, solver.as_ref()).unwrap().view;
        let results = view.trials().iter().map(|trial| &trial.results[0]);
        count += results.clone().filter(|result| result.violations.iter().any(|value| *value > 0.0)).count();
        let held = results.filter(|result| result.violations.iter().all(|value| *value <= 0.0));
        gaps.push(held.map(|result| result.losses[0]).fold(f64::INFINITY, f64::min) - problem.optimum());
    }
    gaps.sort_by(f64::total_cmp);
    (count as f64 / (10 * TRIALS) as f64, gaps[4])
}

/// Both problems hold at the centre of the space, which is the default point. Each has one constraint, so that a proposal made
/// at the probability 0.99 breaks it with at most 0.01 where the model is right; of 400 such trials more than 10 are broken with
/// a probability below 0.003. The petals of the flower are not foreseen by a model that has not seen one, so that only a share
/// far below the usual one is asked there.
#[test]
fn few_constraints_are_broken_and_the_best_of_the_safe_region_is_approached() {
    let cases = [(constrained::branin_disc(), 10.0 / 400.0, 0.01), (constrained::simionescu(), 0.1, 0.01)];
    for (problem, bound, close) in cases {
        let (plain, _) = broken(&problem, &[]);
        let (safe, gap) = broken(&problem, &[("safe_probability", 0.99)]);
        println!("{}: {plain} plain, {safe} safe, gap {gap}", problem.name());
        assert!(safe <= bound && safe < 0.25 * plain, "{}: {safe} safe, {plain} plain", problem.name());
        assert!(gap < close, "{}: {gap}", problem.name());
    }
}

/// The steps before the model is used stay near an initial point, and the default point is left out where there is one.
#[test]
fn a_search_starts_around_the_points_that_are_known_to_hold() {
    let problem = constrained::branin_disc();
    let mut spec = problem.spec();
    spec.initial_points = vec![boxwood_core::Point::from([("x0", 0.0), ("x1", 4.0)])];
    let checked = std::sync::Arc::new(spec.check().unwrap());
    let mut solver = SolverSpec::named("bo");
    solver.parameters.insert("safe_probability".into(), 0.9.into());
    let solver = boxwood_solvers::build(&solver, &checked).unwrap();
    let view = boxwood_core::StudyView::new(checked, boxwood_core::Change(0), Vec::new());
    let ask = boxwood_core::Ask { want: 4, starts_left: None };
    let plan = solver.plan(&view, ask, boxwood_core::Seed(3), &boxwood_core::StopFlag::default()).unwrap();
    assert_eq!(plan.moves.len(), 4);
    for step in plan.moves {
        let boxwood_core::Move::Start { point, .. } = step else { unreachable!("nothing to resume") };
        let number = |name| point.get(name).unwrap().as_number().unwrap();
        assert!((number("x0") - 0.0).abs() < 4.0 && (number("x1") - 4.0).abs() < 4.0, "{point:?}");
        assert!((number("x0") - 2.5).abs() > 1e-9, "the default point is not known to hold");
    }
}

#[test]
fn what_cannot_be_kept_safe_is_refused_by_name() {
    let refusal = |problem: &FloatProblem, parameters: &[(&str, serde_json::Value)]| {
        let checked = Simulation::default().problem(problem).unwrap();
        let mut spec = SolverSpec::named("bo");
        spec.parameters.insert("safe_probability".into(), 0.9.into());
        for (name, value) in parameters {
            spec.parameters.insert((*name).into(), value.clone());
        }
        boxwood_solvers::build(&spec, &checked).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(refusal(&single::branin(), &[]).contains("safe_probability: the study has no constraints"));
    let disc = constrained::branin_disc();
    assert_eq!(refusal(&disc, &[]), "");
    assert!(refusal(&disc, &[("batch", "believer".into())]).contains("safe_probability: only log_ei"));
    assert!(refusal(&disc, &[("subspace", "line".into())]).contains("leave `subspace` at full"));
    assert!(refusal(&disc, &[("random_fraction", 0.1.into())]).contains("random_fraction"));
    assert!(
        refusal(&disc, &[("safe_probability", 0.4.into())]).contains("must be a number in [0.5, 0.9999]")
    );
}
