//! When to plan, and how much: a pure function of what is seen.

use boxwood_core::Change;
use boxwood_study::{Freshness, TrialId};

use crate::snapshot::QueuedStart;

/// Fewest and most trials that a blind solver plans at once.
const BLIND_BATCH: (u32, u32) = (16, 512);

/// What a planner looks at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Situation {
    /// Trials in the queue.
    pub(crate) queued: u64,
    /// Trials leased now.
    pub(crate) leased: u64,
    /// Queued trials that a plan started and nobody has leased.
    pub(crate) starts: Vec<QueuedStart>,
    /// Trials measured or ended since the change that the newest plan had seen.
    pub(crate) results_since_plan: u32,
    /// Committed plans.
    pub(crate) plans: u64,
    /// Trials of the study, of any state.
    pub(crate) trials: u64,
    /// Trials that waiting asks and workers want.
    pub(crate) demand: u32,
    /// Newest result when those asks were first seen: a plan that has seen it is fresh enough for them.
    pub(crate) floor: Change,
    /// Whether asks wait for a plan that has seen every finished trial.
    pub(crate) freshness: Freshness,
    /// Whether results do not change what the solver proposes.
    pub(crate) blind: bool,
    /// Whether workers lease the study's trials without naming it, so that nobody looks at a trial's age.
    pub(crate) shared_queue: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing.
    Wait,
    /// Make a plan.
    Plan {
        /// Moves to ask for, at least 1.
        want: u32,
        /// Queued trials that it replaces.
        replaces: Vec<TrialId>,
    },
}

impl Decision {
    fn plan(want: u64) -> Self {
        if want == 0 { Self::Wait } else { Self::Plan { want: want as u32, replaces: Vec::new() } }
    }
}

/// Trials that a blind solver plans next: more as the study grows, so that the cost of a plan, which looks at every
/// trial, is spread. A function of the number of trials alone, so that equal histories are cut into equal plans.
pub(crate) fn blind_batch(trials: u64) -> u32 {
    ((trials / 4) as u32).clamp(BLIND_BATCH.0, BLIND_BATCH.1)
}

/// When to plan, and how much.
///
/// With `latest`, a plan is made when somebody waits, and at once when the last running trial ends: for as many as
/// have ended since the last plan. A sequential script so finds its next point ready, and the plan that it gets is a
/// function of the history whether its ask or its result was seen first.
pub(crate) fn decide(situation: &Situation) -> Decision {
    let demand = u64::from(situation.demand);
    if situation.blind {
        let batch = u64::from(blind_batch(situation.trials));
        let started = demand > 0 || situation.plans > 0;
        let low = situation.queued < demand.max(batch / 4);
        return Decision::plan(if started && low { batch.max(demand) } else { 0 });
    }
    match situation.freshness {
        Freshness::Eager => {
            let ahead = if situation.leased + demand > 0 {
                situation.leased.max(1)
            } else {
                u64::from(situation.results_since_plan > 0)
            };
            Decision::plan((demand + ahead).saturating_sub(situation.queued))
        }
        Freshness::Latest => decide_latest(situation, demand),
    }
}

fn decide_latest(situation: &Situation, demand: u64) -> Decision {
    let ended = if situation.leased == 0 { u64::from(situation.results_since_plan) } else { 0 };
    let wanted = demand.max(ended);
    let stale: Vec<TrialId> = situation
        .starts
        .iter()
        .filter(|start| start.change < situation.floor)
        .map(|start| start.trial)
        .collect();
    if wanted == 0 && (stale.is_empty() || !situation.shared_queue) {
        return Decision::Wait;
    }
    let usable = situation.queued.saturating_sub(stale.len() as u64);
    let missing = wanted.saturating_sub(usable);
    if stale.is_empty() {
        Decision::plan(missing)
    } else {
        Decision::Plan { want: missing.max(1) as u32, replaces: stale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation() -> Situation {
        Situation {
            queued: 0,
            leased: 0,
            starts: Vec::new(),
            results_since_plan: 0,
            plans: 1,
            trials: 4,
            demand: 0,
            floor: Change(0),
            freshness: Freshness::Latest,
            blind: false,
            shared_queue: false,
        }
    }

    fn start(trial: i64, change: u64) -> QueuedStart {
        QueuedStart { trial: TrialId(trial), change: Change(change) }
    }

    #[test]
    fn latest_plans_the_same_for_an_ask_and_for_a_result() {
        let on_result = Situation { results_since_plan: 1, ..situation() };
        let on_ask = Situation { results_since_plan: 1, demand: 1, ..situation() };
        assert_eq!(decide(&on_result), Decision::plan(1));
        assert_eq!(decide(&on_ask), Decision::plan(1));
        assert_eq!(decide(&situation()), Decision::Wait);
    }

    #[test]
    fn latest_waits_for_an_ask_while_others_run() {
        let running = Situation { results_since_plan: 1, leased: 2, ..situation() };
        assert_eq!(decide(&running), Decision::Wait);
        assert_eq!(decide(&Situation { demand: 3, queued: 1, ..running }), Decision::plan(2));
    }

    #[test]
    fn latest_replaces_what_was_planned_before_a_result() {
        let stale = Situation {
            queued: 2,
            starts: vec![start(1, 4), start(2, 9)],
            floor: Change(7),
            demand: 1,
            leased: 1,
            ..situation()
        };
        assert_eq!(decide(&stale), Decision::Plan { want: 1, replaces: vec![TrialId(1)] });
        let nobody = Situation { demand: 0, ..stale };
        assert_eq!(decide(&nobody), Decision::Wait);
        let shared = Situation { shared_queue: true, ..nobody };
        assert_eq!(decide(&shared), Decision::Plan { want: 1, replaces: vec![TrialId(1)] });
    }

    #[test]
    fn eager_keeps_one_ahead_of_every_lease() {
        let eager = Situation { freshness: Freshness::Eager, leased: 3, queued: 1, ..situation() };
        assert_eq!(decide(&eager), Decision::plan(2));
        assert_eq!(decide(&Situation { leased: 0, queued: 0, ..eager.clone() }), Decision::Wait);
        assert_eq!(decide(&Situation { leased: 0, queued: 0, demand: 1, ..eager }), Decision::plan(2));
    }

    #[test]
    fn blind_batches_depend_on_the_number_of_trials_alone() {
        let first = Situation { blind: true, plans: 0, trials: 0, demand: 1, ..situation() };
        assert_eq!(decide(&first), Decision::plan(16));
        assert_eq!(
            decide(&Situation { queued: 3, trials: 16, plans: 1, ..first.clone() }),
            Decision::plan(16)
        );
        assert_eq!(decide(&Situation { queued: 4, trials: 16, plans: 1, ..first.clone() }), Decision::Wait);
        assert_eq!(decide(&Situation { trials: 4000, plans: 9, ..first.clone() }), Decision::plan(512));
        assert_eq!(decide(&Situation { demand: 0, ..first }), Decision::Wait);
    }
}
