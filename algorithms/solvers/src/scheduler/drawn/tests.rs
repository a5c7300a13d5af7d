#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boxwood_core::{Change, Origin, Point, ProblemSpec, Provenance, RungResult, TrialStatus};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A model that expects each trial to have the loss of its last result, if it expects anything.
struct Believer {
    knows: bool,
    weights: Option<Vec<f64>>,
}

impl Advice for Believer {
    fn weights(&self) -> Option<Vec<f64>> {
        self.weights.clone()
    }

    fn forecast(&self, trials: &[&TrialView]) -> Option<Vec<f64>> {
        self.knows.then(|| trials.iter().map(|trial| trial.last().unwrap().losses[0]).collect())
    }
}

const BELIEVER: Believer = Believer { knows: true, weights: None };

/// A study with rungs 1, 3 and 9, and one trial per list of losses, which has ended or waits after them.
fn view(losses: &[&[f64]]) -> StudyView {
    let spec: ProblemSpec = serde_json::from_value(json!({
        "space": {"parameters": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}]},
        "objectives": [{"metric": "loss", "goal": "minimize"}],
        "fidelity": {"resource": "epochs", "max": 9},
    }))
    .unwrap();
    let result = |(rung, loss): (usize, &f64)| RungResult {
        rung: Rung(rung as u32),
        losses: vec![*loss],
        violations: Vec::new(),
        seconds: None,
        change: Change(1),
    };
    let trial = |(number, losses): (u32, &&[f64])| TrialView {
        number: TrialNumber(number),
        point: Point::default(),
        encoded: vec![f64::from(number) / 1e3],
        origin: Origin::Solver,
        provenance: Provenance { bracket: Some(0), ..Provenance::default() },
        status: if losses.len() == 3 { TrialStatus::Completed } else { TrialStatus::Paused },
        target: Rung(losses.len() as u32 - 1),
        results: losses.iter().enumerate().map(result).collect(),
    };
    StudyView::new(Arc::new(spec.check().unwrap()), Change(1), (1..).zip(losses).map(trial).collect())
}

fn moves(
    view: &StudyView,
    advice: &dyn Advice,
    want: usize,
    most: usize,
    seed: u64,
) -> (Vec<u32>, Vec<Start>) {
    let history = History::new(view);
    let table = view.problem().ladder().brackets();
    let draws = Draws { view, history: &history, table: &table, advice, seed: Seed(seed) };
    let (resumes, starts) = draws.moves(want, most, &[]);
    assert!(resumes.iter().all(|resume| resume.rung == Rung(2)));
    (resumes.iter().map(|resume| resume.trial.0).collect(), starts)
}

/// One at the top with loss 5; waiting ones with 7, 3, 4 and 6.
const WAITING: &[&[f64]] = &[&[5.0, 5.0, 5.0], &[7.0], &[9.0, 3.0], &[4.0], &[6.0, 6.0]];

#[test]
fn moves_for_the_top_promote_what_is_expected_to_be_better_there() {
    let view = view(WAITING);
    for seed in 1..20 {
        let (resumes, starts) = moves(&view, &BELIEVER, 40, 40, seed);
        assert_eq!((resumes, starts.len()), (vec![3, 4], 38), "seed {seed}");
    }
    let unknowing = Believer { knows: false, weights: None };
    assert!(moves(&view, &unknowing, 40, 40, 1).0.is_empty());
}

/// The same study with these trials on their way to the top.
fn on_their_way(losses: &[&[f64]], numbers: &[u32]) -> StudyView {
    let view = view(losses);
    let mut trials = view.trials().to_vec();
    for trial in trials.iter_mut().filter(|trial| numbers.contains(&trial.number.0)) {
        trial.status = TrialStatus::Pending;
        trial.target = Rung(2);
    }
    StudyView::new(Arc::clone(view.problem()), view.change(), trials)
}

#[test]
fn trials_on_their_way_to_the_top_are_rivals_too() {
    assert_eq!(moves(&on_their_way(WAITING, &[4]), &BELIEVER, 9, 0, 1).0, [3]);
    assert_eq!(moves(&on_their_way(WAITING, &[3]), &BELIEVER, 9, 0, 1).0, Vec::<u32>::new());
    let view = view(WAITING);
    let history = History::new(&view);
    let table = view.problem().ladder().brackets();
    let draws = Draws { view: &view, history: &history, table: &table, advice: &BELIEVER, seed: Seed(1) };
    let taken = |rung| [Resume { trial: TrialNumber(3), rung: Rung(rung) }];
    assert_eq!((draws.promising(&taken(2)), draws.promising(&taken(1))), (vec![], vec![TrialNumber(4)]));
}

#[test]
fn many_trials_on_their_way_to_the_top_end_the_trust_in_low_rungs() {
    let losses: &[&[f64]] = &[&[1.0, 1.0, 1.0], &[2.0], &[3.0]];
    let agreement_of = |numbers: &[u32]| agreement(&History::new(&on_their_way(losses, numbers)), Rung(0));
    assert_eq!([agreement_of(&[]), agreement_of(&[2]), agreement_of(&[2, 3])], [1.0, 1.0, 0.0]);
}

#[test]
fn without_starts_left_promising_trials_go_on_and_nothing_else_does() {
    let view = view(WAITING);
    for seed in 1..20 {
        assert_eq!(moves(&view, &BELIEVER, 1, 0, seed), (vec![3], vec![]), "seed {seed}");
        assert_eq!(moves(&view, &BELIEVER, 9, 0, seed), (vec![3, 4], vec![]), "seed {seed}");
    }
}

#[test]
fn with_nothing_at_the_top_every_forecast_is_better() {
    let view = view(&[&[2.0], &[1.0]]);
    assert_eq!(moves(&view, &BELIEVER, 5, 0, 1).0, [2, 1]);
}

#[test]
fn starts_are_low_as_surely_as_low_results_order_the_top() {
    let rungs = |losses: &[&[f64]]| {
        let (_, starts) = moves(&view(losses), &Believer { knows: false, weights: None }, 200, 200, 1);
        [0, 1, 2].map(|rung| starts.iter().filter(|start| start.rung == Rung(rung)).count())
    };
    let unknown = rungs(&[&[1.0, 1.0, 1.0], &[2.0, 2.0, 0.5]]);
    let ordered = rungs(&[&[1.0, 1.0, 1.0], &[2.0, 1.0, 3.0], &[3.0, 1.0, 4.0]]);
    let reversed = rungs(&[&[1.0, 1.0, 4.0], &[2.0, 1.0, 3.0], &[3.0, 1.0, 1.0]]);
    let tied = rungs(&[&[1.0, 1.0, 4.0], &[1.0, 1.0, 3.0], &[1.0, 1.0, 1.0]]);
    assert_eq!([unknown, ordered], [[200, 0, 0]; 2]);
    for drawn in [reversed, tied] {
        assert!(drawn[0] > drawn[1] && drawn[1] > 30 && drawn[2] > 10, "{drawn:?}");
    }
    // Ranks 1, 2, 3 against 2, 1, 3 correlate by 0.5.
    let losses: &[&[f64]] = &[&[1.0, 1.0, 2.0], &[2.0, 1.0, 1.0], &[3.0, 1.0, 4.0]];
    let view = view(losses);
    assert!((agreement(&History::new(&view), Rung(0)) - 0.25).abs() < 1e-12);
}

#[test]
fn rungs_that_mislead_are_not_started_at() {
    let advice = Believer { knows: false, weights: Some(vec![0.0, 1.0, 2.0]) };
    let (_, starts) = moves(&view(&[&[1.0]]), &advice, 50, 50, 3);
    assert!(starts.iter().all(|start| start.rung == Rung(1)));
    let brackets: Vec<u32> = starts.iter().filter_map(|start| start.bracket).collect();
    assert!(brackets.is_sorted() && brackets.iter().all(|bracket| bracket % 3 == 1), "{brackets:?}");
}

proptest! {
    #[test]
    fn agreement_is_a_share_and_knows_only_orders(losses in prop::collection::vec((0..9u8, 0..9u8), 0..12)) {
        let trials = |low: fn(f64) -> f64| -> Vec<[f64; 3]> {
            losses.iter().map(|(a, b)| [low(f64::from(*a)), 0.0, f64::from(*b)]).collect()
        };
        let share = |trials: Vec<[f64; 3]>| {
            let losses: Vec<&[f64]> = trials.iter().map(<[f64; 3]>::as_slice).collect();
            agreement(&History::new(&view(&losses)), Rung(0))
        };
        let plain = share(trials(|loss| loss));
        prop_assert!((0.0..=1.0 + 1e-12).contains(&plain), "{plain}");
        prop_assert!((plain - share(trials(f64::exp))).abs() < 1e-12);
    }
}
