//! Errors as both front ends give them: a code of the one table, a text, the field where one is at fault.

use boxwood_app::AppError;
use boxwood_study::{Refusal, SpecError};
use boxwood_wire::{CODE_METADATA, ErrorCode};

/// Metadata key and member of the problem document that name the field at fault.
const FIELD_METADATA: &str = "boxwood-field";
/// Metadata key of the delay before a repeat, in seconds.
const RETRY_METADATA: &str = "retry-after";

/// A refused or failed request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) field: Option<String>,
    pub(crate) retry_after_seconds: Option<u32>,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, retry_after_seconds: None }
    }

    /// A wrong field of a request.
    pub(crate) fn invalid(field: impl Into<String>, reason: &str) -> Self {
        let field = field.into();
        Self { field: Some(field.clone()), ..Self::new(ErrorCode::SpecInvalid, format!("{field}: {reason}")) }
    }

    /// More calls than the server serves at once.
    pub(crate) fn rate_limited(limit: u32) -> Self {
        let message = format!("the server serves {limit} calls at once; try again in a second");
        Self { retry_after_seconds: Some(1), ..Self::new(ErrorCode::RateLimited, message) }
    }

    /// A body above the limit.
    pub(crate) fn body_too_large(limit: u64) -> Self {
        Self::new(ErrorCode::TooLarge, format!("the body of a request is limited to {limit} bytes"))
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        let message = error.to_string();
        let (code, field) = match error {
            AppError::Spec(SpecError::Field { field, .. }) | AppError::Invalid { field, .. } => {
                (ErrorCode::SpecInvalid, Some(field))
            }
            AppError::Spec(SpecError::Problem(_)) => {
                (ErrorCode::SpecInvalid, message.split_once(':').map(|(field, _)| field.to_owned()))
            }
            AppError::Solver(_) => (ErrorCode::SpecInvalid, Some("solver".into())),
            AppError::Refused(refusal) => refused(refusal),
            AppError::NotFound { .. } => (ErrorCode::NotFound, None),
            AppError::Unauthenticated => (ErrorCode::Unauthenticated, None),
            AppError::Forbidden { .. } => (ErrorCode::Forbidden, None),
            AppError::Busy => (ErrorCode::StoreBusy, None),
            AppError::SolverTimeout { .. } => (ErrorCode::SolverTimeout, None),
            AppError::Internal { .. } => (ErrorCode::Internal, None),
        };
        Self { code, message, field, retry_after_seconds: None }
    }
}

fn refused(refusal: Refusal) -> (ErrorCode, Option<String>) {
    match refusal {
        Refusal::LeaseLost => (ErrorCode::LeaseLost, None),
        Refusal::TrialFinished(_) => (ErrorCode::TrialFinished, None),
        Refusal::ReportConflict { .. } => (ErrorCode::ReportConflict, None),
        Refusal::NotFinite { metric } => (ErrorCode::ValueNotFinite, Some(format!("metrics.{metric}"))),
        Refusal::MissingMetric { metric } => (ErrorCode::SpecInvalid, Some(format!("metrics.{metric}"))),
        Refusal::StudyClosed(_) => (ErrorCode::StudyClosed, None),
        Refusal::StudyExists { .. } => (ErrorCode::StudyExists, None),
        Refusal::RequestConflict => (ErrorCode::RequestConflict, None),
        Refusal::DuplicatePoint { .. } => (ErrorCode::DuplicatePoint, None),
        Refusal::TrialState { .. } => (ErrorCode::TrialState, None),
        Refusal::Limit { .. } => (ErrorCode::TooLarge, None),
        Refusal::Invalid { field, .. } => (ErrorCode::SpecInvalid, Some(field)),
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        AppError::Spec(error).into()
    }
}

impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> Self {
        let mut status = Self::new(failure.code.grpc(), failure.message);
        let metadata = status.metadata_mut();
        metadata.insert(CODE_METADATA, tonic::metadata::MetadataValue::from_static(failure.code.as_str()));
        if let Some(field) = failure.field.and_then(|field| field.parse().ok()) {
            metadata.insert(FIELD_METADATA, field);
        }
        if let Some(seconds) = failure.retry_after_seconds {
            metadata.insert(RETRY_METADATA, seconds.into());
        }
        status
    }
}
