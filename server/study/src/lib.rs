//! State machines of studies, trials, leases and budgets. No I/O and no clock: `now` is an argument.
//!
//! A store loads the rows that a use case touches, asks this crate what the event does to them, writes the answer and
//! commits. Nothing else decides a transition.

mod ids;
mod record;
mod refusal;
mod spec;
mod state;

pub use ids::{LeaseEpoch, LeaseKey, PlanNumber, ProjectId, StudyId, Timestamp, TokenId, TrialId, WorkerName};
pub use record::{
    CurvePoint, Ending, EndingKind, Finish, FinishOutcome, LeaseRecord, PlanRecord, Report, ReportAnswer, StudyRecord,
    TrialRecord, WorkerRecord,
};
pub use refusal::Refusal;
pub use spec::{
    Budget, CheckedStudy, DuplicatePolicy, FailureLimit, Freshness, ProgramSpec, SpecError, StudySpec,
};
pub use state::{StudyEvent, StudyState, TrialEvent, TrialState};
