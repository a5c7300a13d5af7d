#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boxwood_core::{
    Change, Origin, ProblemSpec, Provenance, Rung, RungResult, StudyView, TrialNumber, TrialStatus, TrialView,
};

use super::thread::{Pace, Threads};
use crate::history::History;
use crate::sampler::population::Member;

const PACE: Pace = Pace { step: 0.1, patience: 1.0 };

/// One trial: number, x, loss (none is pending, a negative one a failure), parent, seconds.
type Given = (u32, f64, Option<f64>, Option<u32>, Option<f64>);

fn view(trials: &[Given]) -> StudyView {
    let float = |name: &str| serde_json::json!({"name": name, "type": "float", "low": 0, "high": 1});
    let spec: ProblemSpec = serde_json::from_value(serde_json::json!({
        "space": {"parameters": [float("x"), float("y")]},
        "objectives": [{"metric": "loss", "goal": "minimize"}],
    }))
    .unwrap();
    let problem = Arc::new(spec.check().unwrap());
    let trial = |&(number, x, loss, parent, seconds): &Given| {
        let losses = vec![loss.unwrap_or_default()];
        let change = Change(u64::from(number));
        let result = RungResult { rung: Rung(0), losses, violations: vec![], seconds, change };
        let (status, results) = match loss {
            None => (TrialStatus::Pending, vec![]),
            Some(loss) if loss < 0.0 => (TrialStatus::Failed, vec![]),
            Some(_) => (TrialStatus::Completed, vec![result]),
        };
        let parent = parent.map(TrialNumber);
        TrialView {
            number: TrialNumber(number),
            point: problem.space().decode(&[x, 0.5]),
            encoded: vec![x, 0.5],
            origin: Origin::Solver,
            provenance: Provenance { parent, ..Provenance::default() },
            status,
            target: Rung(0),
            results,
        }
    };
    let trials = trials.iter().map(trial).collect();
    StudyView::new(problem.clone(), Change(99), trials)
}

/// Incumbent, steps from it, pending trials and length of each thread.
fn threads(trials: &[Given]) -> Vec<(u32, u64, usize, f64)> {
    let view = view(trials);
    let history = History::new(&view);
    let members = Member::all(&history.levels[0]);
    let found = Threads::replay(&view, &members, PACE);
    let tell = |thread: &super::Thread<'_>| {
        let rounded = (thread.length * 1e6).round() / 1e6;
        (thread.incumbent.trial.number.0, thread.steps, thread.pending, rounded)
    };
    found.live.iter().map(tell).collect()
}

#[test]
fn a_thread_moves_to_what_improves_and_counts_its_steps() {
    let start = (1, 0.5, Some(4.0), None, None);
    assert_eq!(threads(&[start]), [(1, 0, 0, 0.1)]);
    assert_eq!(threads(&[(1, 0.5, None, None, None)]), [], "nothing measured, nothing to start from");
    assert_eq!(threads(&[(1, 0.5, Some(-1.0), None, None)]), [], "a failure is no start");
    let worse = (2, 0.6, Some(5.0), Some(1), None);
    assert_eq!(threads(&[start, worse, (3, 0.4, None, Some(1), None)]), [(1, 2, 1, 0.1)]);
    let better = (3, 0.4, Some(3.0), Some(1), None);
    assert_eq!(threads(&[start, worse, better]), [(3, 0, 0, 0.1)]);
    assert_eq!(threads(&[better, start, worse]), [(3, 0, 0, 0.1)], "in any order");
    // As many failures as dimensions.
    let failures = [(4, 0.3, Some(9.0), Some(3), None), (5, 0.5001, Some(-1.0), Some(3), None)];
    let found = threads(&[start, worse, better, failures[0], failures[1]]);
    assert_eq!(found, [(3, 2, 0, 0.07)]);
}

#[test]
fn good_points_become_threads_and_threads_that_meet_are_one() {
    let start = (1, 0.1, Some(4.0), None, None);
    assert_eq!(threads(&[start, (2, 0.9, Some(5.0), None, None)]).len(), 1, "worse than all that live");
    let found = threads(&[start, (2, 0.9, Some(3.0), None, None)]);
    assert_eq!(found.iter().map(|thread| thread.0).collect::<Vec<_>>(), [1, 2]);
    // The first thread comes to within a step (0.1 times the square root of 2) of the better one.
    let near = [start, (2, 0.9, Some(3.0), None, None), (3, 0.8, Some(3.5), Some(1), None)];
    assert_eq!(threads(&near), [(2, 0, 0, 0.1)]);
    // What steps had made of a thread that has ended belongs to none.
    let late = [near[0], near[1], near[2], (4, 0.7, Some(1.0), Some(3), None)];
    assert_eq!(threads(&late), [(2, 0, 0, 0.1)]);
}

#[test]
fn costs_are_seconds_where_all_results_have_them() {
    let cost = |seconds: [Option<f64>; 3]| {
        let view = view(&[
            (1, 0.5, Some(4.0), None, seconds[0]),
            (2, 0.6, Some(5.0), Some(1), seconds[1]),
            (3, 0.4, Some(6.0), Some(1), seconds[2]),
        ]);
        let history = History::new(&view);
        let found = Threads::replay(&view, &Member::all(&history.levels[0]), PACE);
        (found.live[0].course.cost, found.global.cost, found.mean_cost)
    };
    assert_eq!(cost([Some(1.0), Some(2.0), Some(6.0)]), (9.0, 1.0, 3.0));
    assert_eq!(cost([Some(1.0), None, Some(6.0)]), (3.0, 1.0, 1.0));
}
