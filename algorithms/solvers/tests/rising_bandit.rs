//! Elimination of arms: never the best one, never undone.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boxwood_core::{
    Ask, Change, Metrics, Move, Origin, Point, Problem, Provenance, Rung, RungResult, Seed, SolverSpec,
    StopFlag, StudyView, TrialNumber, TrialStatus, TrialView,
};
use boxwood_solvers::{ArmReport, BanditOptions, arm_report, build};
use boxwood_testkit::Simulation;
use boxwood_testkit::problems::{CashArms, TestProblem};
use proptest::prelude::*;

/// A problem of so many arms with a budget of pulls.
fn problem(arms: usize, budget: u64) -> Arc<Problem> {
    let test = CashArms { arms: vec![[0.0, 0.0, 0.0]; arms], ..CashArms::default() };
    let mut spec = test.spec();
    spec.max_trials = Some(budget);
    Arc::new(spec.check().unwrap())
}

/// One trial of an arm, measured (or failed when there is no value) at the given change.
fn trial(problem: &Problem, number: u32, arm: usize, value: Option<f64>, change: u64) -> TrialView {
    let share = f64::from(number) / 10_000.0;
    let text = |value: &str| boxwood_core::Value::Text(value.into());
    let point = Point(
        [
            ("arm".to_owned(), text(&format!("arm{arm}"))),
            (format!("arm{arm}.x"), boxwood_core::Value::Float(share)),
            (format!("arm{arm}.y"), boxwood_core::Value::Float(0.5)),
        ]
        .into(),
    );
    let point = problem.space().canonical(&point).unwrap();
    let results = value.map(|value| RungResult {
        rung: Rung(0),
        losses: problem.losses(&Metrics::from([("value", value)])).unwrap().unwrap(),
        violations: vec![],
        seconds: Some(1.0),
        change: Change(change),
    });
    TrialView {
        number: TrialNumber(number),
        encoded: problem.space().encode(&point).unwrap(),
        point,
        origin: Origin::Solver,
        provenance: Provenance::default(),
        status: if value.is_some() { TrialStatus::Completed } else { TrialStatus::Failed },
        target: Rung(0),
        results: results.into_iter().collect(),
    }
}

/// Which surviving arm is pulled, by the pulls and the best reward of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Turns,
    /// The best one two times out of three.
    Leader,
    /// Any, from a seed.
    Any(u64),
}

/// Pulls surviving arms in turn along given reward curves; checks after each pull that no arm has come back.
fn play(curves: &[Vec<f64>], budget: u64, options: &BanditOptions) -> Vec<ArmReport> {
    play_in(Order::Turns, curves, budget, options)
}

/// The same in another order.
fn play_in(order: Order, curves: &[Vec<f64>], budget: u64, options: &BanditOptions) -> Vec<ArmReport> {
    let problem = problem(curves.len(), budget);
    let mut trials: Vec<TrialView> = Vec::new();
    let mut alive = vec![true; curves.len()];
    let mut reports = Vec::new();
    for number in 1..=budget as u32 {
        let pulled = |arm: usize| trials.iter().filter(|t| t.provenance.bracket == Some(arm as u32)).count();
        let left: Vec<usize> = (0..curves.len()).filter(|arm| alive[*arm]).collect();
        let best = |arm: usize| pulled(arm).checked_sub(1).map_or(f64::MIN, |last| curves[arm][last]);
        let fewest = *left.iter().min_by_key(|arm| pulled(**arm)).unwrap();
        let arm = match order {
            Order::Leader if !number.is_multiple_of(3) && pulled(fewest) > 0 => {
                *left.iter().max_by(|a, b| best(**a).total_cmp(&best(**b))).unwrap()
            }
            Order::Turns | Order::Leader => fewest,
            Order::Any(seed) => {
                let draw = boxwood_core::Seed(seed).derive("pull", u64::from(number)).0;
                left[(draw % left.len() as u64) as usize]
            }
        };
        let value = curves[arm][pulled(arm).min(curves[arm].len() - 1)];
        let mut next = trial(&problem, number, arm, Some(value), u64::from(number));
        next.provenance.bracket = Some(arm as u32);
        trials.push(next);
        // The whole history is folded anew after every pull, as after a restart: no arm is pulled once it has left.
        let view = StudyView::new(problem.clone(), Change(u64::from(number)), trials.clone());
        reports = arm_report(&view, options);
        reports.sort_by_key(|report| report.name[3..].parse::<u32>().unwrap());
        for (arm, report) in reports.iter().enumerate() {
            assert!(alive[arm] || !report.alive, "arm {arm} came back at pull {number}");
            alive[arm] = report.alive;
        }
    }
    reports
}

/// A rising curve with falling increments: `height - drop decay^n`.
fn concave(height: f64, drop: f64, decay: f64, length: u64) -> Vec<f64> {
    (0..length).map(|n| height - drop * decay.powi(n as i32)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_best_concave_arm_is_never_dropped(
        parameters in prop::collection::vec((-50.0_f64..50.0, 0.1_f64..40.0, 0.5_f64..0.995), 2..6),
        budget in 30_u64..90,
        window in 1_usize..9,
        slack in prop_oneof![Just(0.0), Just(0.05)],
        order in prop_oneof![Just(Order::Turns), Just(Order::Leader), any::<u64>().prop_map(Order::Any)],
    ) {
        let curves: Vec<Vec<f64>> =
            parameters.iter().map(|(height, drop, decay)| concave(*height, *drop, *decay, budget)).collect();
        check_promises(order, &curves, budget, window, slack)?;
    }
}

/// An arm still rising steeply leaves one pull before the end, as it can no longer win.
#[test]
fn an_arm_that_leaves_at_the_last_moment_could_not_have_won() {
    let curves = [concave(-41.118_825, 0.1, 0.5, 50), concave(-28.266_507, 34.061_084, 0.960_559, 50)];
    check_promises(Order::Turns, &curves, 50, 1, 0.0).unwrap();
}

/// What the bandit promises on curves with falling increments, counting remaining pulls in either way, whatever the order of
/// the pulls.
fn check_promises(
    order: Order,
    curves: &[Vec<f64>],
    budget: u64,
    window: usize,
    slack: f64,
) -> Result<(), TestCaseError> {
    // The best arm is the one that would end best with the whole budget to itself: by the paper's theorem it stays
    // when remaining pulls are counted from the arm's own.
    let last = |curve: &Vec<f64>| *curve.last().unwrap();
    let best = (0..curves.len()).max_by(|a, b| last(&curves[*a]).total_cmp(&last(&curves[*b]))).unwrap();
    let patient = BanditOptions { window, slack, patient: true, ..BanditOptions::default() };
    let reports = play_in(order, curves, budget, &patient);
    prop_assert!(reports[best].alive, "{:?}", reports);
    // Counted from the study's pulls, an arm that leaves could not have won with all that was left.
    let options = BanditOptions { window, slack, ..BanditOptions::default() };
    let reports = play_in(order, curves, budget, &options);
    prop_assert!(reports.iter().any(|report| report.alive));
    let reached = reports.iter().filter_map(|report| report.best).fold(f64::MIN, f64::max);
    for (report, curve) in reports.iter().zip(curves) {
        if let Some(at) = report.at_pull {
            let most = (report.pulls + budget - at).min(budget) as usize;
            prop_assert!(curve[most - 1] <= reached + 1e-9, "{:?}", report);
        }
    }
    Ok(())
}

#[test]
fn hopeless_arms_leave_early() {
    // Sixteen arms of which three are close. None can leave before it has eight pulls, which is pull 128 of 500.
    let curves: Vec<Vec<f64>> = (0..16_u32)
        .map(|arm| concave(if arm < 3 { 0.95 - 0.001 * f64::from(arm) } else { 0.7 }, 0.1, 0.2, 500))
        .collect();
    let published = BanditOptions { window: 7, slack: 0.0, ..BanditOptions::default() };
    let reports = play(&curves, 500, &published);
    let left: Vec<u64> = reports.iter().filter_map(|report| report.at_pull).collect();
    println!("left at pulls {left:?}");
    assert!(left.iter().filter(|pull| **pull <= 500 / 3).count() >= 10);
    assert!(reports[0].alive);
    let report = reports.iter().find(|report| !report.alive).unwrap();
    assert_eq!(report.eliminated_by.as_deref(), Some("arm0"));
    assert!(report.reason.as_deref().unwrap().contains("it can reach"));
    assert!(report.upper.unwrap() < 0.95);
}

#[test]
fn rewards_far_from_the_unit_interval_work_and_a_limit_caps_the_bound() {
    let curves = vec![concave(-1000.0, 300.0, 0.7, 60), concave(-5000.0, 300.0, 0.7, 60)];
    let reports = play(&curves, 60, &BanditOptions::default());
    assert!(reports[0].alive && !reports[1].alive);
    assert!(reports[0].best.unwrap() < -999.0);
}

#[test]
fn an_arm_that_only_fails_is_dropped_and_one_stays_when_all_do() {
    let problem = problem(3, 100);
    let options = BanditOptions::default();
    let mut trials: Vec<TrialView> = (1..=5).map(|n| trial(&problem, n, 1, None, 0)).collect();
    trials.push(trial(&problem, 6, 0, Some(0.5), 1));
    let view = StudyView::new(problem.clone(), Change(9), trials.clone());
    let reports = arm_report(&view, &options);
    assert_eq!(reports.iter().map(|report| report.alive).collect::<Vec<_>>(), [true, false, true]);
    assert!(reports[1].reason.as_deref().unwrap().contains("failed"));
    let all: Vec<TrialView> = (0..15).map(|n| trial(&problem, n + 1, (n / 5) as usize, None, 0)).collect();
    let reports = arm_report(&StudyView::new(problem, Change(9), all), &options);
    assert_eq!(reports.iter().filter(|report| report.alive).count(), 1);
}

#[test]
fn the_best_arm_gets_the_budget_and_losers_are_not_promoted() {
    let test = CashArms { max_resource: 9, ..CashArms::default() };
    let mut spec = SolverSpec::named("rising_bandit");
    spec.parameters.insert("inner".into(), serde_json::json!({"name": "asha_delayed"}));
    spec.parameters.insert("window".into(), 4.into());
    let options = Simulation { workers: 4, max_trials: Some(120), seed: 3, ..Simulation::default() };
    let problem = options.problem(&test).unwrap();
    let trace = options.run(&test, build(&spec, &problem).unwrap().as_ref()).unwrap();
    let bandit = BanditOptions { window: 4, ..BanditOptions::default() };
    let reports = arm_report(&trace.view, &bandit);
    for report in &reports {
        println!("{report:?}");
    }
    assert!(reports[1].alive, "the arm with the best optimum survives");
    assert!(reports.iter().any(|report| !report.alive), "some arm leaves");
    assert!(reports[1].started > 30, "the survivors share what is left");
    assert!(trace.notes.iter().any(|note| note.contains("left at pull")));
    assert_eq!(reports, arm_report(&trace.view, &bandit), "the report is a function of the view");
}

#[test]
fn cost_aware_bounds_count_seconds() {
    let problem = problem(2, 400);
    let mut trials = Vec::new();
    for n in 1..=40_u32 {
        let arm = (n % 2) as usize;
        let value = if arm == 0 { 0.9 } else { 0.5 + 0.001 * f64::from(n) };
        let mut next = trial(&problem, n, arm, Some(value), u64::from(n));
        next.results[0].seconds = Some(if arm == 1 { 100.0 } else { 1.0 });
        trials.push(next);
    }
    let view = StudyView::new(problem, Change(40), trials);
    let by_trials = arm_report(&view, &BanditOptions::default());
    let options =
        BanditOptions { cost_aware: true, budget_seconds: Some(3000.0), ..BanditOptions::default() };
    let by_seconds = arm_report(&view, &options);
    assert!(by_trials[1].alive, "360 more pulls could lift the arm: {by_trials:?}");
    assert!(!by_seconds[1].alive, "ten more pulls at 100 seconds cannot: {by_seconds:?}");
}

/// The arm of the next trial after a history of one result per pull, `curves[arm]` in native values.
fn next_arm(curves: &[&[f64]], parameters: &serde_json::Value) -> usize {
    let problem = problem(curves.len(), 100);
    let mut trials = Vec::new();
    for pull in 0..curves.iter().map(|curve| curve.len()).max().unwrap() {
        for (arm, curve) in curves.iter().enumerate() {
            if let Some(value) = curve.get(pull) {
                let number = trials.len() as u32 + 1;
                trials.push(trial(&problem, number, arm, Some(*value), u64::from(number)));
            }
        }
    }
    let mut spec = SolverSpec::named("rising_bandit");
    spec.parameters.clone_from(parameters.as_object().unwrap());
    spec.parameters.insert("inner".into(), "random".into());
    let view = StudyView::new(problem.clone(), Change(trials.len() as u64), trials);
    let solver = build(&spec, &problem).unwrap();
    let plan = solver.plan(&view, Ask::of(1), Seed(1), &StopFlag::default()).unwrap();
    let Move::Start { provenance, .. } = &plan.moves[0] else { panic!("{plan:?}") };
    provenance.arm.as_ref().unwrap()[3..].parse().unwrap()
}

#[test]
fn an_improving_leader_gets_its_share_and_a_stagnant_one_its_turn() {
    let none = serde_json::json!({});
    let turns = serde_json::json!({"allocation": "turns"});
    // An arm without a trial comes before the leader.
    assert_eq!(next_arm(&[&[0.9], &[0.1], &[]], &none), 2);
    assert_eq!(next_arm(&[&[0.9], &[0.1], &[0.2]], &none), 0);
    // Three of five trials are less than two thirds, three of four are more.
    assert_eq!(next_arm(&[&[0.9, 0.9, 0.9], &[0.1], &[0.2]], &none), 0);
    assert_eq!(next_arm(&[&[0.9, 0.9, 0.9], &[0.1]], &none), 1);
    assert_eq!(next_arm(&[&[0.9, 0.9, 0.9], &[0.1], &[0.2]], &turns), 1);
    // Ten pulls of which the last five gained nothing, against ten that still rise.
    let flat = [0.9; 10];
    let rising: Vec<f64> = (0..10).map(|pull| 0.8 + 0.01 * f64::from(pull)).collect();
    let others: &[f64] = &[0.1; 4];
    assert_eq!(next_arm(&[&flat, others, &[0.2; 5]], &none), 1);
    assert_eq!(next_arm(&[&rising, others, &[0.2; 5]], &none), 0);
    let longer = serde_json::json!({"leader_pulls": 11});
    assert_eq!(next_arm(&[&flat, others, &[0.2; 5]], &longer), 0);
}
