//! What the solver that learns from sources promises.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boxwood_core::{
    Ask, Loss, Metrics, Objective, Plan, Problem, Seed, Solver, SolverError, SolverSpec, SourceSpec,
    SourceTrial, StopFlag, StudyView, Unsupported,
};
use boxwood_testkit::{Simulation, TestProblem, Tier, problems, problems::FloatProblem, solver_conformance};

const METHODS: [&str; 5] = ["rgpe", "transbo", "tst", "pogpe", "sgpr"];

/// A solver for problems with sources, under a harness whose problems have none: each plan is made on the view's problem
/// with results of an earlier study added.
struct Learning(SolverSpec);

/// An earlier study of the same space: its loss falls with every number of the row.
fn learning(problem: &Problem) -> Problem {
    let space = problem.space();
    let trial = |row: Vec<f64>| {
        let loss: f64 = row.iter().filter(|value| !value.is_nan()).map(|value| (value - 0.3).powi(2)).sum();
        let native = |objective: &Objective| objective.native(Loss::new(loss).unwrap());
        let objectives =
            problem.objectives().iter().map(|objective| (objective.metric.clone(), native(objective)));
        let constraints = problem.constraints().iter().map(|constraint| (constraint.metric.clone(), loss));
        SourceTrial { point: space.decode(&row), metrics: Metrics(objectives.chain(constraints).collect()) }
    };
    let trials: Vec<SourceTrial> = space.sobol(3, 0, 12).into_iter().map(trial).collect();
    problem.with_sources(&[SourceSpec { name: "earlier".into(), trials }]).unwrap()
}

impl Solver for Learning {
    fn name(&self) -> &'static str {
        "transfer"
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Unsupported> {
        boxwood_solvers::build(&self.0, &learning(problem)).map(|_| ())
    }

    fn plan(&self, view: &StudyView, ask: Ask, seed: Seed, stop: &StopFlag) -> Result<Plan, SolverError> {
        let problem = Arc::new(learning(view.problem()));
        let solver = boxwood_solvers::build(&self.0, &problem)?;
        solver.plan(&StudyView::new(problem, view.change(), view.trials().to_vec()), ask, seed, stop)
    }
}

fn spec(parameters: &[(&str, serde_json::Value)]) -> SolverSpec {
    let mut spec = SolverSpec::named("transfer");
    for (name, value) in parameters {
        spec.parameters.insert((*name).into(), value.clone());
    }
    spec
}

#[test]
fn every_method_keeps_the_contract_with_sources() {
    for method in METHODS {
        let spec = spec(&[("transfer", method.into()), ("candidates", 60.into())]);
        solver_conformance(&|_| Box::new(Learning(spec.clone())), &[Tier::Basic]);
    }
}

/// Branin's function with an earlier study of it in another unit, or with the same turned upside down.
struct Earlier {
    sign: f64,
}

impl TestProblem for Earlier {
    fn name(&self) -> String {
        "branin with an earlier study".into()
    }

    fn spec(&self) -> boxwood_core::ProblemSpec {
        let plain = problems::single::branin();
        let mut spec = plain.spec();
        let space = spec.space.check().unwrap();
        let trial = |row: Vec<f64>| {
            let point = space.decode(&row);
            let x: Vec<f64> = ["x0", "x1"].map(|name| point.get(name).unwrap().as_number().unwrap()).into();
            let loss = self.sign * 7.0 * plain.at(&x)[0] + 100.0;
            SourceTrial { point, metrics: Metrics::from([("value", loss)]) }
        };
        let trials = space.sobol(5, 0, 40).into_iter().map(trial).collect();
        spec.sources = vec![SourceSpec { name: "earlier".into(), trials }];
        spec
    }

    fn optimum(&self) -> f64 {
        problems::single::branin().optimum()
    }

    fn evaluate(
        &self,
        point: &boxwood_core::Point,
        resource: boxwood_core::Resource,
        draw: Seed,
    ) -> boxwood_testkit::Outcome {
        problems::single::branin().evaluate(point, resource, draw)
    }
}

/// Median over seeds of the best loss above the optimum after `trials`.
fn regret(problem: &Earlier, spec: &SolverSpec, trials: u64) -> f64 {
    let run = |seed: u64| {
        let simulation = Simulation { seed, max_trials: Some(trials), ..Simulation::default() };
        let checked = simulation.problem(problem).unwrap();
        let solver = boxwood_solvers::build(spec, &checked).unwrap();
        let trace = simulation.run(problem, solver.as_ref()).unwrap();
        trace.view.best().unwrap().1.losses[0] - problem.optimum()
    };
    let mut gaps: Vec<f64> = (1..=5).map(run).collect();
    gaps.sort_by(f64::total_cmp);
    gaps[2]
}

#[test]
fn a_related_study_helps_at_once_and_an_upside_down_one_does_no_lasting_harm() {
    let plain = SolverSpec::named("bo");
    let transfer = SolverSpec::named("transfer");
    let (related, upside_down) = (Earlier { sign: 1.0 }, Earlier { sign: -1.0 });
    let (learned, alone) = (regret(&related, &transfer, 8), regret(&related, &plain, 8));
    assert!(learned < 0.3 * alone, "{learned} {alone}");
    let misled = regret(&upside_down, &transfer, 25);
    assert!(misled < 0.1, "{misled}");
}

#[test]
fn the_sources_best_come_after_initial_points_and_before_the_default_point() {
    let mut problem_spec = Earlier { sign: 1.0 }.spec();
    let own = boxwood_core::Point::from([("x0", 1.0), ("x1", 2.0)]);
    problem_spec.initial_points = vec![own.clone()];
    let best = problem_spec.sources[0]
        .trials
        .iter()
        .min_by(|a, b| a.metrics.get("value").unwrap().total_cmp(&b.metrics.get("value").unwrap()));
    let best = best.unwrap().point.clone();
    let problem = Arc::new(problem_spec.check().unwrap());
    let samplers = |warm_start: u64| -> Vec<(String, boxwood_core::Point)> {
        let solver = boxwood_solvers::build(&spec(&[("warm_start", warm_start.into())]), &problem).unwrap();
        let view = StudyView::new(Arc::clone(&problem), boxwood_core::Change(0), Vec::new());
        let plan = solver.plan(&view, Ask::of(4), Seed(1), &StopFlag::default()).unwrap();
        let start = |planned| match planned {
            boxwood_core::Move::Start { point, provenance, .. } => (provenance.sampler, point),
            boxwood_core::Move::Resume { .. } => panic!("nothing can be resumed"),
        };
        plan.moves.into_iter().map(start).collect()
    };
    let names = |found: &[(String, boxwood_core::Point)]| -> Vec<String> {
        found.iter().map(|(name, _)| name.clone()).collect()
    };
    let warm = samplers(1);
    assert_eq!(names(&warm), ["initial", "warm_start", "default", "sobol"]);
    assert_eq!((&warm[0].1, &warm[1].1), (&own, &best));
    assert_eq!(names(&samplers(0)), ["initial", "default", "sobol", "sobol"]);
}

/// A problem of several losses whose earlier study is the same one in other units.
struct EarlierOf(FloatProblem);

impl TestProblem for EarlierOf {
    fn name(&self) -> String {
        format!("{} with an earlier study", self.0.name())
    }

    fn spec(&self) -> boxwood_core::ProblemSpec {
        let mut spec = self.0.spec();
        let space = spec.space.check().unwrap();
        let objectives: Vec<String> =
            spec.objectives.iter().map(|objective| objective.metric.clone()).collect();
        let constraints: Vec<String> =
            spec.constraints.iter().map(|constraint| constraint.metric.clone()).collect();
        let trial = |row: Vec<f64>| {
            let point = space.decode(&row);
            let x: Vec<f64> =
                (0..row.len()).map(|k| point.get(&format!("x{k}")).unwrap().as_number().unwrap()).collect();
            let values = self.0.at(&x);
            let losses =
                objectives.iter().zip(&values).map(|(name, value)| (name.clone(), 3.0 * value + 5.0));
            let violations = constraints.iter().zip(&values[objectives.len()..]);
            let violations = violations.map(|(name, value)| (name.clone(), *value));
            SourceTrial { point, metrics: Metrics(losses.chain(violations).collect()) }
        };
        let trials = space.sobol(5, 0, 40).into_iter().map(trial).collect();
        spec.sources = vec![SourceSpec { name: "earlier".into(), trials }];
        spec
    }

    fn optimum(&self) -> f64 {
        self.0.optimum()
    }

    fn evaluate(
        &self,
        point: &boxwood_core::Point,
        resource: boxwood_core::Resource,
        draw: boxwood_core::Seed,
    ) -> boxwood_testkit::Outcome {
        self.0.evaluate(point, resource, draw)
    }
}

/// Median over seeds of the volume of the front above the trials' own, after `trials`.
fn volume_gap(problem: &EarlierOf, spec: &SolverSpec, trials: u64) -> f64 {
    let front = problem.0.front().unwrap();
    let run = |seed: u64| {
        let simulation = Simulation { seed, max_trials: Some(trials), ..Simulation::default() };
        let checked = simulation.problem(problem).unwrap();
        let solver = boxwood_solvers::build(spec, &checked).unwrap();
        let trace = simulation.run(problem, solver.as_ref()).unwrap();
        let losses: Vec<Vec<f64>> =
            trace.view.trials().iter().map(|trial| trial.results[0].losses.clone()).collect();
        front.1 - boxwood_testkit::hypervolume(&losses, front.0)
    };
    let mut gaps: Vec<f64> = (1..=5).map(run).collect();
    gaps.sort_by(f64::total_cmp);
    gaps[2]
}

#[test]
fn each_of_several_objectives_learns_from_its_own_past() {
    let (plain, transfer) = (SolverSpec::named("bo"), SolverSpec::named("transfer"));
    let problem = EarlierOf(problems::multi::branin_currin());
    let (learned, alone) = (volume_gap(&problem, &transfer, 20), volume_gap(&problem, &plain, 20));
    println!("branin-currin after 20: {learned} with an earlier study, {alone} without");
    assert!(learned < 0.6 * alone, "{learned} {alone}");
}

/// A study of several objectives keeps the contract whatever the number of workers, and learns by scalarization beyond four.
#[test]
fn plans_for_several_objectives_are_reproducible() {
    for problem in [problems::multi::corners(), problems::multi::dtlz2(5, 8), problems::multi::bnh()] {
        let problem = EarlierOf(problem);
        let run = || {
            let options = Simulation { workers: 3, max_trials: Some(14), seed: 5, ..Simulation::default() };
            let checked = options.problem(&problem).unwrap();
            let solver = boxwood_solvers::build(&SolverSpec::named("transfer"), &checked).unwrap();
            options.run(&problem, solver.as_ref()).unwrap()
        };
        let (first, again) = (run(), run());
        assert_eq!(first.moves, again.moves, "two runs of {} differ", problem.name());
        let samplers = first.view.trials().iter().map(|trial| trial.provenance.sampler.as_str());
        assert!(samplers.filter(|sampler| *sampler == "transfer").count() >= 6, "{}", problem.name());
    }
}

#[test]
fn the_automatic_choice_learns_several_objectives_from_earlier_studies() {
    let spec = EarlierOf(problems::multi::branin_currin()).spec();
    assert_eq!(boxwood_solvers::auto(&spec.check().unwrap()).spec.name, "transfer");
}

#[test]
fn an_earlier_constraint_that_lies_elsewhere_does_not_misplace_the_bound() {
    // The same losses; the constraint's order is right and its zero is not.
    struct Shifted;
    impl TestProblem for Shifted {
        fn name(&self) -> String {
            "townsend with a misplaced constraint".into()
        }

        fn spec(&self) -> boxwood_core::ProblemSpec {
            let mut spec = EarlierOf(problems::constrained::townsend()).spec();
            for trial in &mut spec.sources[0].trials {
                for (name, value) in &mut trial.metrics.0 {
                    *value += if name == "value" { 0.0 } else { 30.0 };
                }
            }
            spec
        }

        fn optimum(&self) -> f64 {
            problems::constrained::townsend().optimum()
        }

        fn evaluate(
            &self,
            point: &boxwood_core::Point,
            resource: boxwood_core::Resource,
            draw: boxwood_core::Seed,
        ) -> boxwood_testkit::Outcome {
            problems::constrained::townsend().evaluate(point, resource, draw)
        }
    }
    let simulation = Simulation { seed: 3, max_trials: Some(15), ..Simulation::default() };
    let checked = simulation.problem(&Shifted).unwrap();
    let solver = boxwood_solvers::build(&SolverSpec::named("transfer"), &checked).unwrap();
    let trace = simulation.run(&Shifted, solver.as_ref()).unwrap();
    let plan = solver.plan(&trace.view, Ask::of(1), Seed(1), &StopFlag::default());
    let numbers = plan.unwrap().diagnostics.numbers;
    println!("{numbers:?}");
    let weight = |name: &str| numbers.get(name).copied();
    assert!(weight("weight_source_0").unwrap() > 0.05, "the losses are those of the earlier study");
    assert_eq!(weight("constraint0_weight_source_0"), Some(0.0));
    assert_eq!(weight("constraint0_weight_target"), Some(1.0));
}

/// The next point of a study with ten results of Branin's function and an earlier study of it.
fn next(parameters: &[(&str, serde_json::Value)], workers: usize) -> Vec<boxwood_core::Point> {
    let problem = Earlier { sign: 1.0 };
    let simulation = Simulation { seed: 4, max_trials: Some(10), ..Simulation::default() };
    let checked = Arc::new(simulation.problem(&problem).unwrap());
    let solver = boxwood_solvers::build(&spec(parameters), &checked).unwrap();
    let trials = simulation.run(&problem, solver.as_ref()).unwrap().view.trials().to_vec();
    let change = trials.last().unwrap().results[0].change;
    let view = StudyView::new(checked, change, trials);
    let ask = Ask { want: workers, starts_left: None };
    let plan = solver.plan(&view, ask, Seed(7), &StopFlag::default()).unwrap();
    plan.moves
        .into_iter()
        .map(|step| match step {
            boxwood_core::Move::Start { point, .. } => point,
            boxwood_core::Move::Resume { .. } => unreachable!("these trials run in full"),
        })
        .collect()
}

#[test]
fn choices_of_plain_optimization_change_what_is_learned_from_sources_too() {
    let plain = next(&[], 2);
    for (name, value) in [
        ("acquisition", serde_json::json!("lcb")),
        ("batch", serde_json::json!("believer")),
        ("beliefs", serde_json::json!({"x0": {"center": 9.0, "deviation": 0.02}})),
    ] {
        let found = next(&[(name, value.clone())], 2);
        assert_ne!(found, plain, "{name} {value}");
        assert_eq!(found.len(), plain.len());
    }
    let x0 = |points: &[boxwood_core::Point]| points[0].get("x0").unwrap().as_number().unwrap();
    let strong = next(
        &[
            ("beliefs", serde_json::json!({"x0": {"center": 9.0, "deviation": 0.02}})),
            ("belief_strength", 1e5.into()),
        ],
        1,
    );
    assert!((x0(&strong) - 9.0).abs() < 1.0, "{strong:?}");
}

#[test]
fn a_combination_that_leaves_the_sources_out_is_refused_by_name() {
    let simulation = Simulation::default();
    let with = simulation.problem(&Earlier { sign: 1.0 }).unwrap();
    let without = simulation.problem(&problems::single::branin()).unwrap();
    let refusal = |parameters: &[(&str, serde_json::Value)], problem: &Problem| {
        boxwood_solvers::build(&spec(parameters), problem).err().map(|error| error.to_string())
    };
    for acquisition in ["noisy_ei", "thompson", "mes"] {
        let chosen = [("acquisition", acquisition.into())];
        let text = refusal(&chosen, &with).unwrap();
        assert!(text.contains(&format!("acquisition: {acquisition} draws")), "{text}");
        assert_eq!(refusal(&chosen, &without), None, "nothing to leave out");
        let none = [("acquisition", acquisition.into()), ("transfer", "none".into())];
        assert_eq!(refusal(&none, &with), None);
    }
    assert!(refusal(&[("batch", "ucb_pe".into())], &with).unwrap().contains("batch: ucb_pe"));
    assert_eq!(refusal(&[("acquisition", "pi".into())], &with), None);
    assert!(refusal(&[("kernel", "matern52".into())], &with).unwrap().contains("unknown parameter `kernel`"));
}

#[test]
fn a_front_is_learned_under_each_acquisition_that_sources_have_a_part_in() {
    for acquisition in ["ehvi", "parego"] {
        let spec = spec(&[("acquisition", acquisition.into()), ("candidates", 60.into())]);
        solver_conformance(&|_| Box::new(Learning(spec.clone())), &[Tier::SeveralObjectives]);
    }
}
