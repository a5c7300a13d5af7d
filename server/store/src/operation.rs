//! Mutations as values, so that a writer can take many of them into one transaction.

use boxwood_core::Point;
use boxwood_study::{
    Finish, FinishOutcome, LeaseKey, ProjectId, Report, ReportAnswer, StudyId, StudyRecord, TokenId, TrialId,
    TrialRecord, WorkerName,
};

use crate::{
    AcquireRequest, Created, Enqueued, Grant, HeartbeatAnswer, NewPlan, NewProject, NewStudy, NewToken,
    PlanResult, ProjectRecord, Reaped, Requested, StoreResult, StudyPatch, TokenRecord, WorkerHello,
};

/// A mutation.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    CreateProject(NewProject),
    CreateToken(NewToken),
    RevokeToken(TokenId),
    CreateStudy(Box<Requested<NewStudy>>),
    PatchStudy(StudyId, Requested<StudyPatch>),
    CommitPlan(Box<NewPlan>),
    Enqueue(StudyId, Requested<Vec<Point>>),
    Acquire(Requested<AcquireRequest>),
    Heartbeat(WorkerHello, Vec<LeaseKey>),
    Report(Vec<(LeaseKey, Report)>),
    Finish(LeaseKey, Box<Finish>),
    Reap(u32),
    CancelTrial(TrialId, String),
    RetryTrial(TrialId),
    DrainWorker(ProjectId, WorkerName),
}

impl Operation {
    /// Rows that it may write, roughly: what bounds the size of a transaction.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::CommitPlan(plan) => 1 + plan.moves.len(),
            Self::Enqueue(_, points) => 1 + points.body.len(),
            Self::Acquire(request) => 1 + request.body.slots as usize,
            Self::Heartbeat(_, keys) => 1 + keys.len(),
            Self::Report(reports) => 1 + reports.len(),
            Self::Reap(limit) => 1 + *limit as usize,
            _ => 1,
        }
    }
}

/// The answer to a mutation.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Done,
    Project(ProjectRecord),
    Token(TokenRecord),
    Created(Box<Created>),
    Study(Box<StudyRecord>),
    Plan(PlanResult),
    Enqueued(Enqueued),
    Grants(Vec<Grant>),
    Heartbeats(Vec<HeartbeatAnswer>),
    Reports(Vec<StoreResult<ReportAnswer>>),
    Finished(FinishOutcome),
    Reaped(Reaped),
    Trial(Box<TrialRecord>),
}

/// Takes the answer of the expected kind.
macro_rules! take {
    ($answer:expr, $variant:ident) => {
        match $answer {
            $crate::operation::Answer::$variant(value) => $crate::StoreResult::Ok(value),
            other => unreachable!("an operation was answered by {other:?}"),
        }
    };
}
pub(crate) use take;
