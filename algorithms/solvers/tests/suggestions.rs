//! Suggestions on random spaces: every one is valid and new, and a finite space is used up.

#![allow(clippy::unwrap_used)]

#[path = "../../core/tests/generate/mod.rs"]
#[allow(dead_code)]
mod generate;

use std::collections::HashSet;
use std::sync::Arc;

use boxwood_core::{
    Ask, Change, Move, Origin, PlanEnd, Problem, Rung, RungResult, Seed, Solver, SolverSpec, StopFlag,
    StudyView, TrialNumber, TrialStatus, TrialView,
};
use boxwood_testkit::problems::minimize;
use generate::{Generator, Wanted};
use rand::RngExt;

/// A problem over the space of a seed; none where the draw gives one without a valid point.
fn problem(seed: u64, wanted: Wanted) -> Option<Arc<Problem>> {
    let mut spec = minimize(&serde_json::json!({"parameters": [{"name": "x", "type": "boolean"}]}));
    spec.space = Generator::new(seed, wanted).space();
    spec.seed = seed;
    let problem = spec.check().ok()?;
    problem.space().sample(&mut Seed(seed).rng()).ok()?;
    Some(Arc::new(problem))
}

fn build(solver: &str, candidates: Option<u64>, problem: &Problem) -> Box<dyn Solver> {
    let mut spec = SolverSpec::named(solver);
    if let Some(candidates) = candidates {
        spec.parameters.insert("candidates".into(), candidates.into());
    }
    boxwood_solvers::build(&spec, problem).unwrap()
}

/// Asks for `batch` points at a time until `most` trials or the end of the space: points and whether it ended.
///
/// Trials end at once with the value of a bowl over their encoded rows; one of twenty fails.
fn drive(
    solver: &dyn Solver,
    problem: &Arc<Problem>,
    most: usize,
    batch: usize,
    context: &str,
) -> (HashSet<String>, bool) {
    let space = problem.space();
    let mut rng = Seed(problem.seed()).derive("failures", 0).rng();
    let (mut trials, mut tried): (Vec<TrialView>, _) = (Vec::new(), HashSet::new());
    for number in 0.. {
        if trials.len() >= most {
            break;
        }
        let view = StudyView::new(Arc::clone(problem), Change(trials.len() as u64), trials);
        let seed = Seed(problem.seed()).derive("plan", number);
        let plan = solver.plan(&view, Ask::of(batch), seed, &StopFlag::default());
        let plan = plan.unwrap_or_else(|error| panic!("{context}: {error}"));
        trials = view.into_trials();
        let starts = plan.moves.len();
        for planned in plan.moves {
            let Move::Start { point, rung, provenance } = planned else {
                panic!("{context}: nothing is paused")
            };
            assert_eq!(space.canonical(&point).as_ref(), Ok(&point), "{context}: canonical");
            assert!(space.is_valid(&point), "{context}: {point:?} breaks a rule");
            assert!(tried.insert(space.point_hash(&point)), "{context}: {point:?} was tried before");
            let encoded = space.encode(&point).unwrap();
            assert!(encoded.iter().all(|value| value.is_nan() || (0.0..=1.0).contains(value)), "{context}");
            let active = encoded.iter().filter(|value| !value.is_nan());
            let losses = vec![active.map(|value| (value - 0.3_f64).powi(2)).sum()];
            let change = Change(trials.len() as u64 + 1);
            let result = RungResult { rung, losses, violations: Vec::new(), seconds: Some(1.0), change };
            let fails = rng.random::<f64>() < 0.05;
            trials.push(TrialView {
                number: TrialNumber(trials.len() as u32 + 1),
                point,
                encoded,
                origin: Origin::Solver,
                provenance,
                status: if fails { TrialStatus::Failed } else { TrialStatus::Completed },
                target: Rung(0),
                results: if fails { Vec::new() } else { vec![result] },
            });
        }
        if matches!(plan.end, PlanEnd::Exhausted(_)) {
            return (tried, true);
        }
        assert!(starts > 0, "{context}: a plan that does not end, with nothing pending, holds a point");
    }
    (tried, false)
}

#[test]
fn a_hundred_thousand_suggestions_are_valid_and_new() {
    let solvers = [
        ("random", None, 500),
        ("sobol", None, 500),
        ("latin_hypercube", None, 500),
        ("grid", None, 300),
        ("tpe", Some(8), 300),
        ("evolution", None, 500),
        ("cma_es", None, 500),
        ("forest", Some(60), 30),
        ("bo", Some(60), 6),
        ("turbo", Some(60), 6),
    ];
    let (mut suggestions, mut spaces) = (0, 0);
    for seed in 0_u64.. {
        if suggestions >= 100_000 {
            break;
        }
        let arms = seed.is_multiple_of(3);
        let Some(problem) = problem(seed, Wanted { finite: false, arms, rules: true }) else { continue };
        spaces += 1;
        for (name, candidates, most) in solvers {
            let solver = build(name, candidates, &problem);
            let batch = if most < 100 { 3 } else { 10 };
            let (tried, ended) =
                drive(solver.as_ref(), &problem, most, batch, &format!("{name}, space {seed}"));
            assert!(ended || tried.len() >= most, "{name}, space {seed}: {} suggestions", tried.len());
            suggestions += tried.len();
        }
    }
    println!("{suggestions} suggestions on {spaces} spaces");
}

#[test]
fn finite_spaces_are_used_up() {
    let solvers = [
        ("random", None),
        ("sobol", None),
        ("latin_hypercube", None),
        ("grid", None),
        ("tpe", Some(16)),
        ("evolution", None),
        ("cma_es", None),
        ("forest", Some(60)),
        ("bo", Some(60)),
        ("bohb", Some(16)),
    ];
    let mut checked = 0;
    for seed in 0_u64.. {
        if checked == 12 {
            break;
        }
        let Some(problem) = problem(seed, Wanted { finite: true, arms: false, rules: true }) else {
            continue;
        };
        let space = problem.space();
        // Small enough to be used up in no time, large enough that something is to be chosen.
        if !space.cardinality().is_some_and(|count| (4..60).contains(&count)) {
            continue;
        }
        checked += 1;
        let mut rng = Seed(seed).rng();
        let draws = (0..2000).map(|_| space.decode(&space.sample(&mut rng).unwrap()));
        let valid: HashSet<String> = draws.map(|point| space.point_hash(&point)).collect();
        for (name, candidates) in solvers {
            let solver = build(name, candidates, &problem);
            let context = format!("{name}, finite space {seed}");
            let (tried, ended) = drive(solver.as_ref(), &problem, 100, 1 + (seed % 4) as usize, &context);
            assert!(ended, "{context} does not end");
            assert!(valid.is_subset(&tried), "{context}: {} of {}", tried.len(), valid.len());
        }
    }
}
