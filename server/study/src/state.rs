//! States and the table of transitions.

use serde::{Deserialize, Serialize};

/// State of a study. `archived` is a flag beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StudyState {
    /// Plans are made and trials are leased.
    Active,
    /// No new lease is granted; running trials go on.
    Paused,
    /// Budget spent, space used up or target reached, and nothing open.
    Completed,
    /// Ended by a person.
    Cancelled,
}

/// What can happen to a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StudyEvent {
    /// A person, or the failure limit, stops new leases.
    Pause,
    /// A person lets it go on. A completed study goes on after its budget was raised.
    Resume,
    /// Budget spent and nothing open.
    Complete,
    /// A person ends it.
    Cancel,
}

/// State of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Waiting for a worker.
    Queued,
    /// Held by one worker under a lease.
    Leased,
    /// Measured up to a rung below the top, checkpoint kept, waiting for a plan.
    Paused,
    /// Measured at its last rung.
    Completed,
    /// Ended early on purpose; what it measured counts.
    Pruned,
    /// The point cannot be evaluated.
    Infeasible,
    /// The program failed until its attempts were used up.
    Failed,
    /// Withdrawn by a person.
    Cancelled,
}

/// What can happen to a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrialEvent {
    /// A worker takes it.
    Lease,
    /// The worker reached a rung below the top and gives it back with its checkpoint.
    Yield,
    /// A plan resumes it at a higher rung.
    Resume,
    /// The lease was lost, preempted, or an attempt failed and others are left.
    Requeue,
    /// It was measured at the top rung.
    Complete,
    /// It was stopped by a verdict, or its study ended while it was paused.
    Prune,
    /// The program says that the point cannot be evaluated.
    Reject,
    /// The last attempt failed.
    Fail,
    /// A person withdraws it.
    Cancel,
    /// A person asks for another attempt at a failed trial.
    Retry,
}
