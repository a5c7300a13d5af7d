//! A grid gives every one of its points, in batches of any size.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use boxwood_core::{
    Ask, Change, Move, Origin, Plan, PlanEnd, Problem, ProblemSpec, Provenance, Rung, RungResult, Seed,
    SolverSpec, StopFlag, StudyView, TrialNumber, TrialStatus, TrialView,
};
use boxwood_solvers::build;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn parameter() -> impl Strategy<Value = Json> {
    prop_oneof![
        (0_i64..3, 0_i64..4)
            .prop_map(|(low, more)| json!({"type": "integer", "low": low, "high": low + more})),
        (1_i64..9, 1_i64..90).prop_map(
            |(low, more)| json!({"type": "integer", "low": low, "high": low + more, "scale": "log"})
        ),
        (-5_f64..5.0, 1e-12_f64..9.0)
            .prop_map(|(low, more)| json!({"type": "float", "low": low, "high": low + more})),
        (1e-9_f64..1.0, 1.5_f64..1e6)
            .prop_map(|(low, more)| json!({"type": "float", "low": low, "high": low * more, "scale": "log"})),
        Just(json!({"type": "float", "low": 0, "high": 1, "step": 0.25})),
        Just(json!({"type": "categorical", "choices": ["a", "b", "c"]})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "ordinal", "choices": [1, 2, 8]})),
    ]
}

/// A space of a switch and up to three parameters with a flag each, some of which depend on the switch or on an earlier
/// flag, with a forbidden clause or none.
fn problem() -> impl Strategy<Value = ProblemSpec> {
    let parameters = prop::collection::vec((parameter(), 0_u8..4), 0..4);
    (parameters, any::<bool>(), any::<bool>()).prop_map(|(parameters, forbids, budget)| {
        let mut all =
            vec![json!({"name": "switch", "type": "categorical", "choices": ["on", "off", "auto"]})];
        for (index, (mut parameter, depends)) in parameters.into_iter().enumerate() {
            parameter["name"] = json!(format!("p{index}"));
            match (depends, index) {
                (0, _) => parameter["when"] = json!({"parameter": "switch", "equals": "on"}),
                // A chain of conditions.
                (1, 1..) => {
                    parameter["when"] = json!({"parameter": format!("q{}", index - 1), "equals": true});
                }
                _ => {}
            }
            all.push(parameter);
            let mut flag = json!({"name": format!("q{index}"), "type": "boolean"});
            if depends == 0 {
                flag["when"] = json!({"parameter": "switch", "in": ["on", "auto"]});
            }
            all.push(flag);
        }
        let mut space = json!({"parameters": all});
        if forbids {
            space["forbidden"] = json!([{"switch": "off"}]);
        }
        let mut spec = json!({"space": space, "objectives": [{"metric": "loss", "goal": "minimize"}]});
        if budget {
            spec["max_trials"] = json!(100_000);
        }
        serde_json::from_value(spec.clone()).unwrap_or_else(|error| panic!("{error}: {spec}"))
    })
}

fn trial(problem: &Problem, number: usize, planned: &Move, status: TrialStatus) -> TrialView {
    let Move::Start { point, rung, .. } = planned else { panic!("a grid resumes nothing") };
    let result =
        RungResult { rung: Rung(0), losses: vec![1.0], violations: vec![], seconds: None, change: Change(1) };
    TrialView {
        number: TrialNumber(number as u32 + 1),
        encoded: problem.space().encode(point).unwrap(),
        point: point.clone(),
        origin: Origin::Solver,
        provenance: Provenance::default(),
        status,
        target: *rung,
        results: if status == TrialStatus::Completed { vec![result] } else { vec![] },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_point_of_the_grid_comes_once_and_plans_are_full_until_the_last(
        spec in problem(),
        resolution in 1_u64..8,
        batches in prop::collection::vec((1_usize..40, 0_usize..4), 1..12),
        initial in 0_u64..4,
    ) {
        let problem = spec.check().unwrap();
        let space = problem.space();
        let points = (0..initial).map(|index| space.decode(&space.sample(&mut Seed(index).rng()).unwrap()));
        let problem: Arc<Problem> = Arc::new(problem.with_initial_points(points.collect()));
        let key = |row: &[f64]| row.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
        let points = problem.initial_points().iter().map(|point| problem.space().encode(point).unwrap());
        let rows = problem.space().grid(resolution).chain(points);
        let whole: BTreeSet<Vec<u64>> = rows.map(|row| key(&row)).collect();
        prop_assume!(whole.len() < 600);
        let mut solver = SolverSpec::named("grid");
        solver.parameters.insert("resolution".into(), resolution.into());
        let solver = build(&solver, &problem).unwrap();
        let mut trials: Vec<TrialView> = Vec::new();
        for (want, end) in batches.iter().cycle() {
            let view = StudyView::new(problem.clone(), Change(1), trials.clone());
            let left = whole.len() - trials.len();
            let starts_left = problem.max_trials().map(|most| most - view.started());
            let ask = Ask { want: *want, starts_left };
            let plan: Plan = solver.plan(&view, ask, Seed(trials.len() as u64), &StopFlag::default()).unwrap();
            prop_assert_eq!(plan.moves.len(), (*want).min(left), "{} of {} are left", left, whole.len());
            if plan.moves.is_empty() {
                prop_assert!(!matches!(plan.end, PlanEnd::More), "{:?}", plan.end);
                break;
            }
            let status = [
                TrialStatus::Completed, TrialStatus::Pending, TrialStatus::Failed, TrialStatus::Cancelled,
            ][*end];
            for planned in &plan.moves {
                trials.push(trial(&problem, trials.len(), planned, status));
            }
        }
        let tried: BTreeSet<Vec<u64>> = trials.iter().map(|trial| key(&trial.encoded)).collect();
        prop_assert_eq!(trials.len(), whole.len());
        prop_assert_eq!(tried, whole);
    }
}
