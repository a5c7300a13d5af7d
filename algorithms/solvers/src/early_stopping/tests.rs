#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boxwood_core::{Change, Origin, ProblemSpec, Provenance, RungResult, SolverSpec};
use rand::RngExt;
use serde_json::json;

use super::*;

/// Rungs of 1, 3 and 9.
fn problem(goal: &str) -> Arc<Problem> {
    let spec: ProblemSpec = serde_json::from_value(json!({
        "space": {"parameters": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}]},
        "objectives": [{"metric": "loss", "goal": goal}],
        "fidelity": {"resource": "epochs", "max": 9},
    }))
    .unwrap();
    Arc::new(spec.check().unwrap())
}

fn trial(number: u32, losses: &[f64], status: TrialStatus) -> TrialView {
    let result = |(rung, loss): (usize, &f64)| RungResult {
        rung: Rung(rung as u32),
        losses: vec![*loss],
        violations: Vec::new(),
        seconds: None,
        change: Change(u64::from(number)),
    };
    TrialView {
        number: TrialNumber(number),
        point: boxwood_core::Point::default(),
        encoded: vec![0.5],
        origin: Origin::Solver,
        provenance: Provenance::default(),
        status,
        target: Rung(2),
        results: losses.iter().enumerate().map(result).collect(),
    }
}

/// The verdict on a trial with the given losses beside completed ones.
fn verdict(parameters: serde_json::Value, completed: &[[f64; 3]], own: &[f64]) -> Verdict {
    let mut given = parameters;
    given["name"] = "random".into();
    let spec: SolverSpec = serde_json::from_value(given).unwrap();
    let rule = EarlyStopping::read(&Parameters::new(&spec, &[PARAMETERS])).unwrap();
    let mut trials: Vec<TrialView> =
        (1..).zip(completed).map(|(number, losses)| trial(number, losses, TrialStatus::Completed)).collect();
    let number = completed.len() as u32 + 1;
    trials.push(trial(number, own, TrialStatus::Pending));
    // The order of trials in the view must not matter.
    trials.reverse();
    let view = StudyView::new(problem("minimize"), Change(99), trials);
    rule.map_or(Verdict::Continue, |rule| rule.judge(&view, TrialNumber(number)))
}

fn stops(parameters: &serde_json::Value, completed: &[[f64; 3]], own: &[f64]) -> bool {
    matches!(verdict(parameters.clone(), completed, own), Verdict::Stop(_))
}

/// Five curves that end between 0.1 and 0.5, each 0.4 above that at first and 0.1 at the second rung.
fn curves() -> Vec<[f64; 3]> {
    (1..=5).map(|i| f64::from(i) / 10.0).map(|last| [last + 0.4, last + 0.1, last]).collect()
}

#[test]
fn the_median_rule_compares_the_best_with_running_means() {
    let median = json!({"early_stopping": "median"});
    // The means up to the second rung are 0.35, 0.45, ..., 0.75; their median is 0.55.
    assert!(stops(&median, &curves(), &[0.9, 0.56]));
    assert!(!stops(&median, &curves(), &[0.9, 0.55]));
    assert!(!stops(&median, &curves(), &[0.54, 0.9]), "the best so far counts");
    assert!(!stops(&median, &curves()[..4], &[9.0]), "four trials are too few");
    assert!(!stops(&json!({"early_stopping": "none"}), &curves(), &[9.0]));
    assert!(!stops(&json!({"early_stopping": "median", "stopping_rung": 1}), &curves(), &[9.0]));
    assert!(!stops(&median, &curves(), &[9.0, 9.0, 9.0]), "at the top there is nothing to save");
    assert!(!stops(&median, &curves(), &[]));
}

#[test]
fn the_percentile_rule_takes_the_share_that_goes_on() {
    let percentile = |share: f64| json!({"early_stopping": "percentile", "stopping_percentile": share});
    // The best losses at the first rung are 0.5, 0.6, ..., 0.9.
    assert!(stops(&percentile(25.0), &curves(), &[0.61]) && !stops(&percentile(25.0), &curves(), &[0.59]));
    assert!(!stops(&percentile(100.0), &curves(), &[0.9]) && stops(&percentile(100.0), &curves(), &[0.91]));
    assert!(stops(&percentile(0.0), &curves(), &[0.51]));
}

#[test]
fn a_threshold_is_in_units_of_the_metric() {
    let threshold = json!({"early_stopping": "threshold", "stopping_threshold": 0.7});
    assert!(stops(&threshold, &[], &[0.71]) && !stops(&threshold, &[], &[0.7]));
    let spec = SolverSpec { name: "random".into(), parameters: threshold.as_object().unwrap().clone() };
    let rule = EarlyStopping::read(&Parameters::new(&spec, &[PARAMETERS])).unwrap().unwrap();
    let accuracy = |value: f64| {
        let view =
            StudyView::new(problem("maximize"), Change(1), vec![trial(1, &[-value], TrialStatus::Pending)]);
        rule.judge(&view, TrialNumber(1))
    };
    assert!(matches!(accuracy(0.69), Verdict::Stop(_)));
    assert_eq!(accuracy(0.71), Verdict::Continue);
    let missing = SolverSpec {
        parameters: json!({"early_stopping": "threshold"}).as_object().unwrap().clone(),
        ..spec
    };
    let error = EarlyStopping::read(&Parameters::new(&missing, &[PARAMETERS])).unwrap_err();
    assert!(error.reason.contains("stopping_threshold"), "{error}");
}

#[test]
fn a_forecast_adds_what_similar_curves_still_gained() {
    let forecast = json!({"early_stopping": "forecast"});
    // Curves of two kinds: fast ones stay where they are, slow ones come down by 0.5 from wherever they are.
    let fast = (0..6).map(|i| 0.3 + 0.02 * f64::from(i)).map(|last| [last, last, last - 0.01 * last]);
    let slow = (0..6).map(|i| 0.8 + 0.02 * f64::from(i)).map(|first| [first, first - 0.05, first - 0.5]);
    let completed: Vec<[f64; 3]> = fast.chain(slow).collect();
    assert!(!stops(&forecast, &completed, &[0.81, 0.76]), "a slow curve may still win");
    assert!(stops(&forecast, &completed, &[9.0, 9.0]), "a curve far above all others cannot");
    assert!(!stops(&forecast, &completed[..6], &[9.0, 9.0]), "six curves are too few to rule a win out");
    assert!(!stops(&forecast, &completed, &[0.2, 0.2]));
    let same = vec![[0.5, 0.5, 0.5]; 6];
    assert_eq!(verdict(forecast, &same, &[0.6]), Verdict::Continue, "without any spread nothing is forecast");
}

/// Families of learning curves on steps 1, 3 and 9: exponential, power and logarithmic decay, some with late gains.
fn family(rng: &mut impl RngExt, noise: f64) -> [f64; 3] {
    let (last, first, rate) =
        (0.1 + 0.4 * rng.random::<f64>(), 0.3 + 0.7 * rng.random::<f64>(), 0.1 + 0.9 * rng.random::<f64>());
    let kind = rng.random_range(0..3);
    let steps = [1.0_f64, 3.0, 9.0];
    steps.map(|step| {
        let left = match kind {
            0 => (-rate * step).exp(),
            1 => step.powf(-rate),
            _ => 1.0 - step.ln() / 9.0_f64.ln() * rate,
        };
        last + first * left + noise * (rng.random::<f64>() - 0.5)
    })
}

/// Share of stopped trials that would have ended below the best completed one, and share of trials that were stopped.
fn false_stops(parameters: &serde_json::Value, noise: f64) -> (f64, f64) {
    let mut spec = parameters.clone();
    spec["name"] = "random".into();
    let spec: SolverSpec = serde_json::from_value(spec).unwrap();
    let rule = EarlyStopping::read(&Parameters::new(&spec, &[PARAMETERS])).unwrap().unwrap();
    let (mut wrong, mut stopped, mut all) = (0, 0, 0);
    for seed in 0..20 {
        let mut rng = boxwood_core::Seed(seed).rng();
        let mut trials: Vec<TrialView> = Vec::new();
        let mut best = f64::INFINITY;
        for number in 1..=40 {
            let curve = family(&mut rng, noise);
            all += 1;
            let stop = (1..3).find(|passed| {
                let mut view = trials.clone();
                view.push(trial(number, &curve[..*passed], TrialStatus::Pending));
                let view = StudyView::new(problem("minimize"), Change(99), view);
                matches!(rule.judge(&view, TrialNumber(number)), Verdict::Stop(_))
            });
            if let Some(passed) = stop {
                stopped += 1;
                wrong += usize::from(curve[2] < best);
                trials.push(trial(number, &curve[..passed], TrialStatus::Pruned));
            } else {
                best = best.min(curve[2]);
                trials.push(trial(number, &curve, TrialStatus::Completed));
            }
        }
    }
    (f64::from(wrong as u32) / f64::from(stopped.max(1)), f64::from(stopped) / f64::from(all))
}

/// 800 curves with fixed seeds: no chance is involved, the bounds leave room for other rounding.
#[test]
fn a_parametric_forecast_continues_the_trials_own_curve() {
    let of = |curves: &str| json!({"early_stopping": "forecast", "stopping_curves": curves});
    // Completed curves end between 0.3 and 0.6.
    let end = |k: u32| 0.3 + 0.025 * f64::from(k);
    let completed: Vec<[f64; 3]> = (0..12).map(|k| [end(k) + 0.3, end(k) + 0.1, end(k)]).collect();
    for curves in ["nearest", "parametric", "both"] {
        assert!(!stops(&of(curves), &completed, &[0.9, 0.4]), "{curves}");
    }
    assert!(stops(&of("parametric"), &completed, &[0.9, 0.89]));
    // Both have to be sure.
    for own in [[0.9, 0.89], [0.7, 0.55], [0.62, 0.6], [0.9, 0.4]] {
        let each = ["nearest", "parametric"].map(|curves| stops(&of(curves), &completed, &own));
        assert_eq!(stops(&of("both"), &completed, &own), each[0] && each[1], "{own:?}: {each:?}");
    }
    let found = verdict(of("parametric"), &completed, &[0.9, 0.89]);
    assert!(matches!(&found, Verdict::Stop(text) if text.starts_with("forecast at rung 1")), "{found:?}");
}

#[test]
fn forecasts_stop_many_trials_and_few_winners() {
    for noise in [0.0, 0.05] {
        let (wrong, stopped) = false_stops(&json!({"early_stopping": "forecast"}), noise);
        assert!(wrong <= 0.05, "{wrong} of the stopped trials would have won");
        assert!(stopped >= 0.1, "only {stopped} of the trials were stopped");
    }
}
