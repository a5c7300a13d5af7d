//! State machines of studies, trials, leases and budgets. No I/O and no clock: `now` is an argument.
//!
//! A store loads the rows that a use case touches, asks this crate what the event does to them, writes the answer and
//! commits. Nothing else decides a transition.

mod budget;
mod check;
mod decide;
mod finish;
mod ids;
mod parse;
mod record;
mod refusal;
mod row;
mod spec;
mod state;
mod stop;
mod transition;
mod worker;

pub use budget::{BudgetLeft, budget_left, failure_reason};
pub use decide::{HeartbeatDecision, ReportDecision, counted_curve, decide_heartbeat, decide_report};
pub use finish::{FinishDecision, FinishEffect, WorkerSign, decide_finish};
pub use ids::{
    LeaseEpoch, LeaseKey, MAX_TRIALS, PlanNumber, ProjectId, StudyId, Timestamp, TokenId, TrialId, WorkerName,
};
pub use record::{
    CurvePoint, Ending, EndingKind, Finish, FinishOutcome, LeaseRecord, PlanRecord, Report, ReportAnswer,
    StudyRecord, TrialRecord, WorkerRecord,
};
pub use refusal::Refusal;
pub use row::{FinishMark, HistoryEntry, LOST_LEASE_LIMIT, LostLease, TrialRow};
pub use spec::{
    Budget, CheckedStudy, DuplicatePolicy, FailureLimit, Freshness, ProgramSpec, SpecError, StudySpec,
};
pub use state::{StudyEvent, StudyState, TrialEvent, TrialState};
pub use stop::{ExpectedImprovement, NoImprovement, RegretBound, StopPatch, StopRules, Tolerance};
pub use worker::{WorkerRow, quarantine_rule};
