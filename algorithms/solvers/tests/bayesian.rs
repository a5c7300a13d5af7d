//! What Bayesian optimization offers: several objectives, acquisitions, batches, failures, costs, beliefs, long histories.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boxwood_core::{
    Ask, Change, Goal, Metrics, Move, Origin, Plan, Point, Problem, ProblemSpec, Provenance, Resource, Rung,
    RungResult, Seed, Solver, SolverSpec, StopFlag, StudyView, TrialNumber, TrialStatus, TrialView,
};
use boxwood_solvers::build;
use boxwood_testkit::problems::{Branin, Mixed, Noisy, Simionescu, multi, single};
use boxwood_testkit::{Outcome, Simulation, TestProblem, Tier, Trace, hypervolume, solver_conformance};

fn solver(json: &str, problem: &Problem) -> Box<dyn Solver> {
    let spec: SolverSpec = serde_json::from_str(json).unwrap();
    build(&spec, problem).unwrap_or_else(|error| panic!("{error}"))
}

fn run(json: &str, test: &dyn TestProblem, options: &Simulation) -> Trace {
    let problem = options.problem(test).unwrap();
    options.run(test, solver(json, &problem).as_ref()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn trials(seed: u64, max_trials: u64) -> Simulation {
    Simulation { seed, max_trials: Some(max_trials), ..Simulation::default() }
}

fn by_model(trace: &Trace) -> usize {
    trace.view.trials().iter().filter(|trial| trial.provenance.sampler == "gp").count()
}

/// Volume that the feasible results dominate.
fn volume(trace: &Trace, reference: &[f64]) -> f64 {
    let results = trace.view.trials().iter().filter_map(|trial| trial.last());
    let feasible = results.filter(|result| result.violations.iter().all(|violation| *violation <= 0.0));
    hypervolume(&feasible.map(|result| result.losses.clone()).collect::<Vec<_>>(), reference)
}

fn plan(json: &str, view: &StudyView, ask: usize) -> Plan {
    let solver = solver(json, view.problem());
    solver.plan(view, Ask::of(ask), Seed(7), &StopFlag::default()).unwrap()
}

/// Rows that the model chose.
fn rows(plan: &Plan, problem: &Problem) -> Vec<Vec<f64>> {
    let chosen = plan.moves.iter().filter_map(|planned| match planned {
        Move::Start { point, provenance, .. } if provenance.sampler == "gp" => Some(point),
        _ => None,
    });
    chosen.map(|point| problem.space().encode(point).unwrap()).collect()
}

/// The first row that the model chooses after a history; the default point comes before.
fn first_row(json: &str, view: &StudyView) -> Vec<f64> {
    rows(&plan(json, view, 2), view.problem())[0].clone()
}

/// A completed trial at a row.
fn measured(problem: &Problem, number: u32, row: &[f64], losses: Vec<f64>, seconds: f64) -> TrialView {
    let point = problem.space().decode(row);
    let encoded = problem.space().encode(&point).unwrap();
    let result = RungResult {
        rung: Rung(0),
        losses,
        violations: Vec::new(),
        seconds: Some(seconds),
        change: Change(u64::from(number)),
    };
    TrialView {
        number: TrialNumber(number),
        point,
        encoded,
        origin: Origin::User,
        provenance: Provenance::default(),
        status: TrialStatus::Completed,
        target: Rung(0),
        results: vec![result],
    }
}

/// A history of Sobol points.
fn history(problem: &Arc<Problem>, count: usize, measure: impl Fn(&[f64]) -> (Vec<f64>, f64)) -> StudyView {
    let rows = problem.space().sobol(3, 0, count);
    let trials = rows.iter().zip(1..).map(|(row, number)| {
        let (losses, seconds) = measure(row);
        measured(problem, number, row, losses, seconds)
    });
    StudyView::new(problem.clone(), Change(count as u64), trials.collect())
}

/// A problem with some of its points out of reach.
struct Failing<P>(P, fn(&[f64]) -> bool);

impl<P: TestProblem> TestProblem for Failing<P> {
    fn name(&self) -> String {
        format!("{}_failing", self.0.name())
    }

    fn spec(&self) -> ProblemSpec {
        self.0.spec()
    }

    fn optimum(&self) -> f64 {
        self.0.optimum()
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        let row = self.spec().check().unwrap().space().encode(point).unwrap();
        if self.1(&row) {
            Outcome::Failed("out of reach".into())
        } else {
            self.0.evaluate(point, resource, draw)
        }
    }
}

/// A problem with every objective turned round.
struct Turned<P>(P);

impl<P: TestProblem> TestProblem for Turned<P> {
    fn name(&self) -> String {
        format!("{}_turned", self.0.name())
    }

    fn spec(&self) -> ProblemSpec {
        let mut spec = self.0.spec();
        spec.objectives.iter_mut().for_each(|objective| objective.goal = Goal::Maximize);
        spec
    }

    fn optimum(&self) -> f64 {
        -self.0.optimum()
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        let names: Vec<String> =
            self.0.spec().objectives.into_iter().map(|objective| objective.metric).collect();
        match self.0.evaluate(point, resource, draw) {
            Outcome::Measured(Metrics(mut metrics)) => {
                for name in names {
                    metrics.entry(name).and_modify(|value| *value = -*value);
                }
                Outcome::Measured(Metrics(metrics))
            }
            other => other,
        }
    }
}

#[test]
fn fronts_are_found_with_two_to_five_objectives_and_with_constraints() {
    // Deterministic: fixed seeds.
    for (test, count) in [
        (multi::branin_currin(), 30),
        (multi::zdt1(4), 30),
        (multi::dtlz2(3, 4), 25),
        (multi::dtlz2(4, 5), 25),
        (multi::dtlz2(5, 6), 30),
        (multi::constr(), 25),
    ] {
        let (reference, _) = test.front().unwrap();
        let random = volume(&run(r#"{"name":"random"}"#, &test, &trials(2, 3 * count)), reference);
        let model = volume(&run(r#"{"name":"bo"}"#, &test, &trials(2, count)), reference);
        println!("{}: {model:.4}, random with three times the trials {random:.4}", test.name());
        assert!(model > random, "{}: {model}, random {random}", test.name());
    }
}

#[test]
fn the_directions_of_several_objectives_do_not_matter() {
    let points = |trace: &Trace| -> Vec<Point> {
        trace.view.trials().iter().map(|trial| trial.point.clone()).collect()
    };
    for json in [r#"{"name":"bo"}"#, r#"{"name":"bo","acquisition":"parego"}"#] {
        let plain = run(json, &multi::zdt1(3), &trials(5, 14));
        let turned = run(json, &Turned(multi::zdt1(3)), &trials(5, 14));
        assert_eq!(points(&plain), points(&turned), "{json}");
        assert!(by_model(&plain) > 5);
    }
}

#[test]
fn every_acquisition_proposes_where_it_is_accepted() {
    let cases: [(&dyn TestProblem, &[&str]); 3] = [
        (&Mixed, &["log_ei", "noisy_ei", "pi", "lcb", "thompson", "mes"]),
        (&Simionescu, &["log_ei", "noisy_ei", "pi", "thompson", "mes"]),
        (&multi::constr(), &["ehvi", "noisy_ehvi", "parego", "mesmo"]),
    ];
    let check = |test: &dyn TestProblem, name: &str| {
        let json = format!(r#"{{"name":"bo","acquisition":"{name}","candidates":150}}"#);
        let options = Simulation { workers: 3, failed_share: 0.1, ..trials(4, 18) };
        let trace = run(&json, test, &options);
        assert!(
            trace.notes.iter().all(|note| !note.contains("numeric failure")),
            "{name}: {:?}",
            trace.notes
        );
        assert!(by_model(&trace) > 5, "{name} on {}: {}", test.name(), by_model(&trace));
        // A solver that remembers nothing gives the same study.
        assert_eq!(trace.moves, run(&json, test, &options).moves, "{name}");
    };
    for (test, names) in cases {
        for name in names {
            check(test, name);
        }
    }
    for name in ["usemo", "thompson"] {
        check(&multi::zdt1(3), name);
    }
}

#[test]
fn acquisitions_and_batches_keep_the_contract_of_solvers() {
    for choice in [
        r#""acquisition":"noisy_ei""#,
        r#""acquisition":"thompson""#,
        r#""acquisition":"mes""#,
        r#""batch":"local_penalization""#,
        r#""batch":"median_imputation""#,
        r#""batch":"ucb_pe""#,
        r#""cost_aware":true,"failures":"probability""#,
    ] {
        let json = format!(r#"{{"name":"bo","candidates":60,{choice}}}"#);
        // The contract is the same with and without a constraint, which some choices refuse.
        solver_conformance(&move |problem: &Problem| solver(&json, problem), &[Tier::Basic]);
    }
}

#[test]
fn under_noise_the_improvement_is_averaged_over_what_the_best_may_be() {
    let first = |json: &str, deviation: f64| {
        let test = Noisy { problem: single::branin(), deviation };
        let view = run(r#"{"name":"random"}"#, &test, &trials(1, 60)).view;
        first_row(json, &view)
    };
    let [auto, log, noisy] = [
        r#"{"name":"bo"}"#,
        r#"{"name":"bo","acquisition":"log_ei"}"#,
        r#"{"name":"bo","acquisition":"noisy_ei"}"#,
    ];
    assert_eq!(first(auto, 0.0), first(log, 0.0));
    assert_eq!(first(auto, 20.0), first(noisy, 20.0));
    assert_ne!(first(log, 20.0), first(noisy, 20.0));
}

#[test]
fn the_points_of_a_batch_differ() {
    let problem = Arc::new(Branin.spec().check().unwrap());
    let measure = |row: &[f64]| {
        let point = problem.space().decode(row);
        match Branin.evaluate(&point, Resource(1), Seed(0)) {
            Outcome::Measured(metrics) => (vec![metrics.get("value").unwrap()], 1.0),
            _ => panic!("Branin does not fail"),
        }
    };
    let view = history(&problem, 12, measure);
    let batches = ["believer", "local_penalization", "median_imputation", "ucb_pe"]
        .map(|batch| rows(&plan(&format!(r#"{{"name":"bo","batch":"{batch}"}}"#), &view, 6), &problem));
    for (index, batch) in batches.iter().enumerate() {
        assert_eq!(batch.len(), 5);
        for (place, row) in batch.iter().enumerate() {
            let away = |other: &Vec<f64>| row.iter().zip(other).any(|(a, b)| (a - b).abs() > 1e-3);
            assert!(batch[..place].iter().all(away), "batch {index} repeats itself: {batch:?}");
        }
        assert!(batches[..index].iter().all(|other| other != batch), "two rules give one batch: {batch:?}");
    }
}

#[test]
fn where_points_fail_is_learned() {
    let test = Failing(Branin, |row| row[0] + 0.7 * row[1] > 1.1);
    let failures = |json: &str| -> usize {
        (1..=3).map(|seed| run(json, &test, &trials(seed, 40)).count(TrialStatus::Failed)).sum()
    };
    let random = failures(r#"{"name":"random"}"#);
    let learned = failures(r#"{"name":"bo"}"#);
    println!("failures of 120 trials: random {random}, bo {learned}");
    assert!(learned * 2 < random, "bo {learned}, random {random}");
}

#[test]
fn cheap_points_are_preferred_while_the_budget_lasts() {
    // A flat bowl: the side of the optimum that is a hundred times cheaper is as good as the other.
    let mut spec = Branin.spec();
    spec.max_trials = Some(100);
    let problem = Arc::new(spec.check().unwrap());
    let measure = |row: &[f64]| (vec![(row[1] - 0.5).powi(2)], 100.0_f64.powf(row[0]));
    let view = history(&problem, 14, measure);
    let first = |json: &str| first_row(json, &view)[0];
    let (plain, aware) = (first(r#"{"name":"bo"}"#), first(r#"{"name":"bo","cost_aware":true}"#));
    println!("cheap coordinate: plain {plain:.3}, cost aware {aware:.3}");
    assert!(aware < 0.2 && aware < plain, "plain {plain}, cost aware {aware}");
    let mut spec = Branin.spec();
    spec.max_trials = Some(14);
    let spent = Arc::new(spec.check().unwrap());
    let view = StudyView::new(spent, view.change(), view.trials().to_vec());
    assert_eq!(
        first_row(r#"{"name":"bo"}"#, &view),
        first_row(r#"{"name":"bo","cost_aware":true}"#, &view),
        "a cost counts nothing once the budget is used"
    );
}

#[test]
fn a_belief_leads_at_first_and_fades() {
    let problem = Arc::new(Branin.spec().check().unwrap());
    let name = problem.space().dimensions()[0].name.clone();
    let center = problem.space().decode(&[0.9, 0.5]).get(&name).unwrap().as_number().unwrap();
    // Nearly flat, so that nothing but the belief tells places apart; the optimum is on the other side.
    let measure = |row: &[f64]| (vec![(row[0] - 0.2).powi(2) + (row[1] - 0.5).powi(2)], 1.0);
    let first = |count: usize, json: &str| first_row(json, &history(&problem, count, measure))[0];
    let belief = format!(
        r#"{{"name":"bo","belief_strength":20,"beliefs":{{"{name}":{{"center":{center},"deviation":0.05}}}}}}"#
    );
    let (early, late) = (first(5, &belief), first(60, &belief));
    println!("with a wrong belief: after 5 results {early:.3}, after 60 {late:.3}");
    assert!((early - 0.9).abs() < 0.2, "the belief leads: {early}");
    assert!((late - 0.2).abs() < 0.2, "results lead: {late}");
}

#[test]
fn a_belief_about_choices_leads_too() {
    let space = serde_json::json!({"parameters": [
        {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"]},
        {"name": "on", "type": "boolean"},
        {"name": "x", "type": "float", "low": 0.0, "high": 1.0},
    ]});
    let problem = Arc::new(boxwood_testkit::problems::minimize(&space).check().unwrap());
    let view = history(&problem, 6, |row| (vec![1e-3 * row[2]], 1.0));
    for choice in ["a", "b", "c"] {
        let json = format!(
            r#"{{"name":"bo","beliefs":{{"kind":{{"weights":{{"{choice}":1}}}},"on":{{"weights":{{"true":1}}}}}}}}"#
        );
        let chosen = problem.space().decode(&first_row(&json, &view));
        assert_eq!(chosen.get("kind").unwrap().as_text(), Some(choice));
        assert_eq!(chosen.get("on"), Some(&boxwood_core::space::Value::Boolean(true)));
    }
    let spec = |json: &str| serde_json::from_str::<SolverSpec>(json).unwrap();
    let unknown = spec(r#"{"name":"bo","beliefs":{"kind":{"weights":{"d":1}}}}"#);
    let message = build(&unknown, &problem).err().unwrap().to_string();
    assert!(message.contains("beliefs.kind.weights: the parameter has no choice `d`"), "{message}");
}

#[test]
fn choices_that_do_not_fit_are_refused_by_name() {
    let refused = |json: &str, test: &dyn TestProblem| {
        let spec: SolverSpec = serde_json::from_str(json).unwrap();
        let error = build(&spec, &test.spec().check().unwrap()).err();
        error.unwrap_or_else(|| panic!("{json} was accepted")).to_string()
    };
    let several = multi::zdt1(3);
    let six = single::ackley(6);
    for (json, test, field) in [
        (r#"{"name":"bo","acquisition":"ehvi"}"#, &Branin as &dyn TestProblem, "acquisition: ehvi"),
        (r#"{"name":"bo","acquisition":"log_ei"}"#, &several, "acquisition: log_ei"),
        (r#"{"name":"bo","acquisition":"ehvi"}"#, &multi::dtlz2(5, 8), "2 to 4 objectives"),
        (r#"{"name":"bo","acquisition":"lcb"}"#, &Simionescu, "acquisition: lcb"),
        (r#"{"name":"bo","acquisition":"usemo"}"#, &multi::constr(), "acquisition: usemo"),
        (r#"{"name":"bo","acquisition":"best"}"#, &Branin, "`acquisition` must be one of"),
        (r#"{"name":"bo","batch":"ucb_pe"}"#, &several, "batch"),
        (r#"{"name":"bo","batch":"ucb_pe","acquisition":"pi"}"#, &Branin, "batch"),
        (r#"{"name":"bo","batch":"local_penalization"}"#, &several, "batch"),
        (r#"{"name":"bo","acquisition":"lcb","cost_aware":true}"#, &Branin, "cost_aware"),
        (r#"{"name":"bo","reference_point":[1.0]}"#, &several, "reference_point"),
        (r#"{"name":"bo","reference_point":3}"#, &several, "reference_point"),
        (r#"{"name":"bo","beliefs":{"y":{"center":1}}}"#, &six, "beliefs.y"),
        (r#"{"name":"bo","beliefs":{"x0":{"center":1e9}}}"#, &six, "beliefs"),
        (r#"{"name":"bo","beliefs":{"x0":{"center":1,"deviation":0}}}"#, &six, "beliefs.x0.deviation"),
        (r#"{"name":"bo","beliefs":{"x0":{"weights":{"a":1}}}}"#, &six, "beliefs.x0"),
        (r#"{"name":"bo","beliefs":[1]}"#, &six, "beliefs"),
    ] {
        let message = refused(json, test);
        assert!(message.contains(field), "{json}: {message}");
    }
}

#[test]
fn a_given_reference_point_says_what_counts() {
    // Beyond f1 = 0.3 nothing counts, so that the model looks at the end of small f1 only.
    let test = multi::zdt1(2);
    let json = r#"{"name":"bo","reference_point":[0.3,1.2]}"#;
    let trace = run(json, &test, &trials(3, 25));
    let last: Vec<f64> =
        trace.view.trials()[15..].iter().map(|trial| trial.last().unwrap().losses[0]).collect();
    assert!(last.iter().all(|loss| *loss < 0.35), "{last:?}");
}

#[test]
fn long_histories_and_wide_spaces_are_planned() {
    let test = single::ripple(4);
    let problem = Arc::new(test.spec().check().unwrap());
    let measure = |row: &[f64]| (vec![row.iter().map(|x| (x - 0.3).powi(2)).sum()], 1.0);
    let view = history(&problem, 1300, measure);
    let row = first_row(r#"{"name":"bo","candidates":200}"#, &view);
    assert!(row.iter().all(|x| (x - 0.3).abs() < 0.2), "{row:?}");
    let wide = Arc::new(single::ripple(200).spec().check().unwrap());
    let planned = plan(r#"{"name":"bo","candidates":200}"#, &history(&wide, 30, measure), 2);
    assert_eq!(planned.moves.len(), 2);
    assert_eq!(planned.diagnostics.numbers["observations"], 30.0);
}

#[test]
fn searching_on_lines_keeps_the_contract() {
    for subspace in ["line", "coordinate", "descent"] {
        let mut spec = SolverSpec::named("bo");
        spec.parameters.insert("subspace".into(), subspace.into());
        let make = |problem: &boxwood_core::Problem| boxwood_solvers::build(&spec, problem).unwrap();
        boxwood_testkit::solver_conformance(&make, &[boxwood_testkit::Tier::Basic]);
    }
}
