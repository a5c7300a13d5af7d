//! The simulator keeps time and notices broken contracts.

#![allow(clippy::unwrap_used)]

use boxwood_core::{
    Ask, Diagnostics, Move, Plan, PlanEnd, Problem, Provenance, Rung, Seed, Solver, SolverError, StopFlag,
    StudyView, TrialNumber, TrialStatus, Unsupported,
};
use boxwood_testkit::problems::NoisyHartmann6;
use boxwood_testkit::{Simulation, SimulationError};

/// A solver given as a function of the view.
struct Scripted<F>(F);

impl<F: Fn(&StudyView, Ask, Seed) -> (Vec<Move>, PlanEnd) + Send + Sync> Solver for Scripted<F> {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn accepts(&self, _problem: &Problem) -> Result<(), Unsupported> {
        Ok(())
    }

    fn plan(&self, view: &StudyView, ask: Ask, seed: Seed, _stop: &StopFlag) -> Result<Plan, SolverError> {
        let (moves, end) = (self.0)(view, ask, seed);
        Ok(Plan { moves, end, diagnostics: Diagnostics::default() })
    }
}

fn start(view: &StudyView, seed: Seed, rung: u32) -> Move {
    let space = view.problem().space();
    let point = space.decode(&space.sample(&mut seed.rng()).unwrap());
    Move::Start { point, rung: Rung(rung), provenance: Provenance::default() }
}

fn resume(trial: u32, rung: u32) -> Move {
    Move::Resume { trial: TrialNumber(trial), rung: Rung(rung), provenance: Provenance::default() }
}

const TEST: NoisyHartmann6 = NoisyHartmann6 { max_resource: 9, noise: 1.0 };

fn over() -> PlanEnd {
    PlanEnd::Exhausted("done".into())
}

/// One trial to rung 0 (1 s), then on to the top (9 s in all).
fn in_two_steps(view: &StudyView, _ask: Ask, seed: Seed) -> (Vec<Move>, PlanEnd) {
    match view.trials() {
        [] => (vec![start(view, seed, 0)], PlanEnd::NotNow),
        [trial] if trial.status == TrialStatus::Paused => (vec![resume(1, 2)], PlanEnd::NotNow),
        [trial] if trial.is_pending() => (vec![], PlanEnd::NotNow),
        _ => (vec![], over()),
    }
}

#[test]
fn a_resumed_trial_pays_the_difference_and_reports_every_rung() {
    let trace =
        Simulation { workers: 2, ..Simulation::default() }.run(&TEST, &Scripted(in_two_steps)).unwrap();
    assert_eq!(trace.seconds, 9.0);
    assert_eq!(trace.utilization, 0.5);
    let trial = &trace.view.trials()[0];
    assert_eq!(trial.status, TrialStatus::Completed);
    assert_eq!(trial.results.iter().map(|result| result.rung.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(trial.results.windows(2).all(|pair| pair[0].change < pair[1].change));
    assert_eq!(trace.improvements.len(), 1);
    assert_eq!(trial.provenance.plan, 1);
}

#[test]
fn a_lost_attempt_is_repeated_from_the_checkpoint() {
    let options = Simulation { crash_share: 0.8, seed: 5, ..Simulation::default() };
    let trace = options.run(&TEST, &Scripted(in_two_steps)).unwrap();
    assert!(trace.crashes > 0);
    assert!(trace.seconds > 9.0 && trace.count(TrialStatus::Completed) == 1);
}

#[test]
fn equal_seeds_give_equal_traces() {
    let options =
        Simulation { crash_share: 0.3, failed_share: 0.3, straggler_share: 0.3, ..Simulation::default() };
    let solver = Scripted(|view: &StudyView, ask: Ask, seed: Seed| match ask.starts() {
        0 => (vec![], over()),
        _ => (vec![start(view, seed, 1)], PlanEnd::NotNow),
    });
    let options = Simulation { max_trials: Some(20), workers: 3, ..options };
    let (first, again) = (options.run(&TEST, &solver).unwrap(), options.run(&TEST, &solver).unwrap());
    assert_eq!((first.seconds, &first.moves), (again.seconds, &again.moves));
    assert!(first.count(TrialStatus::Failed) > 0);
}

#[test]
fn broken_contracts_are_noticed() {
    type Script = fn(&StudyView, Ask, Seed) -> (Vec<Move>, PlanEnd);
    let scripts: [(Script, &str); 7] = [
        (|view, _, _| (vec![start(view, Seed(1), 0)], PlanEnd::More), "tried before"),
        (|view, _, seed| (vec![start(view, seed, 0); 9], PlanEnd::More), "were wanted"),
        (|_, _, _| (vec![], PlanEnd::More), "fewer moves than wanted"),
        (|_, _, _| (vec![], PlanEnd::NotNow), "nothing pending"),
        (|_, _, _| (vec![], PlanEnd::Exhausted(String::new())), "without a reason"),
        (|_, _, _| (vec![resume(4, 1)], PlanEnd::More), "does not exist"),
        (
            |view, _, seed| match view.trials() {
                [] => (vec![start(view, seed, 1)], PlanEnd::More),
                _ => (vec![resume(1, 1)], PlanEnd::More),
            },
            "is resumed to rung 1",
        ),
    ];
    for (script, complaint) in scripts {
        let error = Simulation::default().run(&TEST, &Scripted(script)).unwrap_err();
        assert!(matches!(error, SimulationError::Contract { .. }));
        assert!(error.to_string().contains(complaint), "{error}");
    }
}
