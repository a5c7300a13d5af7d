//! What can go wrong in a call, and what the caller can do about it.

use boxwood_wire::{CODE_METADATA, ErrorCode};

/// Error of the SDK.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused the call; the code says why.
    #[error("{}: {message}", code.as_str())]
    Refused {
        /// Stable code.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// The server could not be reached before the deadline of the retry policy.
    #[error("server not reached after {attempts} attempts: {reason}")]
    Unreachable {
        /// Calls made.
        attempts: u32,
        /// The last failure.
        reason: String,
    },
    /// An answer without a code of ours, for example from a proxy or another service at the endpoint.
    #[error("unexpected answer {:?}: {}", .0.code(), .0.message())]
    Status(Box<tonic::Status>),
    /// An answer that this version of the SDK cannot read.
    #[error("the server's answer has a {field} that cannot be read: {reason}")]
    Answer {
        /// Field of the answer.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The options of the client are not usable.
    #[error("{field}: {reason}")]
    Options {
        /// Field of the options.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A space or study was built wrongly.
    #[error("{0}")]
    Specification(String),
    /// The point has no such parameter, or one of another type.
    #[error("parameter `{name}` {problem}")]
    Parameter {
        /// Name asked for.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A metric is NaN or infinite: finish the trial as infeasible instead.
    #[error("metric {metric} is {value}")]
    NotFinite {
        /// Name of the metric.
        metric: String,
        /// The value.
        value: f64,
    },
}

impl Error {
    /// The stable code, where the server or a check of the SDK gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::NotFinite { .. } => Some(ErrorCode::ValueNotFinite),
            Self::Specification(_) => Some(ErrorCode::SpecInvalid),
            _ => None,
        }
    }

    /// Whether the lease is lost: drop the work and ask for another point.
    pub fn is_lease_lost(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::LeaseLost | ErrorCode::TrialFinished))
    }

    /// Whether the server could not be reached in time; the same call may go through later.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { code, .. } => code.is_retryable(),
            _ => false,
        }
    }

    pub(crate) fn refused(code: &str, message: &str) -> Self {
        match code.parse() {
            Ok(code) => Self::Refused { code, message: message.to_owned() },
            Err(()) => Self::Answer { field: "error_code", reason: format!("`{code}` ({message})") },
        }
    }

    pub(crate) fn from_status(status: tonic::Status) -> Self {
        match code_of(&status) {
            Some(code) => Self::Refused { code, message: status.message().to_owned() },
            None => Self::Status(Box::new(status)),
        }
    }
}

/// The stable code that a status carries.
pub(crate) fn code_of(status: &tonic::Status) -> Option<ErrorCode> {
    status.metadata().get(CODE_METADATA)?.to_str().ok()?.parse().ok()
}
