//! Why a legal-looking request is refused.

use crate::state::{StudyState, TrialState};

/// A refused request; each variant has one wire code.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The presented epoch is not the current one, or the lease was reaped: `lease_lost`.
    #[error("the lease on this trial is lost; drop the work and acquire again")]
    LeaseLost,
    /// The trial is finished: `trial_finished`.
    #[error("the trial is already {0:?}")]
    TrialFinished(TrialState),
    /// The same step was reported before with other values: `report_conflict`.
    #[error("step {step} was reported before with other values")]
    ReportConflict {
        /// The step.
        step: u64,
    },
    /// A metric is NaN or infinite: `value_not_finite`.
    #[error("metric `{metric}` is not finite")]
    NotFinite {
        /// The metric.
        metric: String,
    },
    /// An objective or constraint is missing from a result that must have it: `spec_invalid`.
    #[error("metric `{metric}` is missing; the study's objectives and constraints need it")]
    MissingMetric {
        /// The metric.
        metric: String,
    },
    /// The study takes no such request in its state: `study_closed`.
    #[error("the study is {0:?}")]
    StudyClosed(StudyState),
    /// A study of this name exists with another specification: `study_exists`.
    #[error("a study named `{name}` exists with another specification")]
    StudyExists {
        /// The name.
        name: String,
    },
    /// The same request id came with another payload: `request_conflict`.
    #[error("request id was used before with another payload")]
    RequestConflict,
    /// The point is a duplicate and the study forbids them: `duplicate_point`.
    #[error("the point was tried before as trial {number}")]
    DuplicatePoint {
        /// Number of the first trial with this point.
        number: u32,
    },
    /// The event is not legal in the trial's state: `trial_state`.
    #[error("a trial that is {state:?} cannot {event}")]
    TrialState {
        /// Its state.
        state: TrialState,
        /// What was asked, as a verb phrase.
        event: &'static str,
    },
    /// A limit of the server or the study: `too_large`.
    #[error("{what} is limited to {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A field of the request is wrong: `spec_invalid`.
    #[error("{field}: {reason}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// What is wrong.
        reason: String,
    },
}
