//! Budgets and the circuit breaker of a study.

use std::collections::BTreeMap;

use crate::ids::Timestamp;
use crate::record::StudyRecord;
use crate::spec::FailureLimit;
use crate::state::TrialState;

/// What is left of a study's budget; `None` where there is no such limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetLeft {
    /// Trials that may still be started.
    pub starts: Option<u64>,
    /// Seconds until no more trial may be started, at least 0.
    pub seconds: Option<f64>,
    /// Resource units that may still be trained.
    pub resource: Option<u64>,
    /// Seconds that may still be trained, over all workers.
    pub training_seconds: Option<f64>,
}

impl BudgetLeft {
    /// Whether no new trial may be started. Trials that are open still finish.
    pub fn is_spent(&self) -> bool {
        self.starts == Some(0) || self.is_time_or_resource_spent()
    }

    /// Whether time or resource has run out, which also ends resumes of paused trials.
    pub fn is_time_or_resource_spent(&self) -> bool {
        let over = |left: Option<f64>| left.is_some_and(|left| left <= 0.0);
        over(self.seconds) || over(self.training_seconds) || self.resource == Some(0)
    }
}

/// What is left of the study's budget at `now`. Cancelled trials do not count.
pub fn budget_left(study: &StudyRecord, now: Timestamp) -> BudgetLeft {
    let budget = &study.spec.budget;
    let cancelled = study.counts.get(&TrialState::Cancelled).copied().unwrap_or(0);
    let started = u64::from(study.trials).saturating_sub(cancelled);
    let training = study.spec.stop.training_seconds;
    BudgetLeft {
        starts: budget.trials.map(|trials| trials.saturating_sub(started)),
        seconds: budget.seconds.map(|seconds| (seconds - now.seconds_since(study.budget_from)).max(0.0)),
        resource: budget.resource.map(|resource| resource.saturating_sub(study.resource_used)),
        training_seconds: training.map(|most| (most - study.training_seconds).max(0.0)),
    }
}

/// Why the failure limit pauses a study with these counts, if it does.
pub fn failure_reason(limit: &FailureLimit, counts: &BTreeMap<TrialState, u64>) -> Option<String> {
    let count = |state: TrialState| counts.get(&state).copied().unwrap_or(0);
    let failed = count(TrialState::Failed);
    let finished =
        failed + count(TrialState::Completed) + count(TrialState::Pruned) + count(TrialState::Infeasible);
    let trips = finished >= u64::from(limit.after_trials)
        && limit.share < 1.0
        && failed as f64 > limit.share * finished as f64;
    trips.then(|| format!("{failed} of {finished} finished trials failed; the study was paused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(failed: u64, completed: u64) -> BTreeMap<TrialState, u64> {
        BTreeMap::from([(TrialState::Failed, failed), (TrialState::Completed, completed)])
    }

    #[test]
    fn the_breaker_waits_for_enough_trials_and_a_large_share() {
        let limit = FailureLimit { after_trials: 5, share: 0.5 };
        assert_eq!(failure_reason(&limit, &counts(4, 0)), None);
        assert_eq!(failure_reason(&limit, &counts(3, 3)), None);
        assert!(failure_reason(&limit, &counts(3, 2)).is_some());
        assert_eq!(failure_reason(&FailureLimit { after_trials: 1, share: 1.0 }, &counts(9, 0)), None);
    }
}
