//! The stable error codes: one table with HTTP status, gRPC code and whether the same call may go through later.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident => $text:literal, $http:literal, $grpc:ident, $retry:literal;)*) => {
        /// Stable code of an error, equal in REST and gRPC.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Stable text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// HTTP status.
            pub fn http(self) -> u16 {
                match self { $(Self::$name => $http,)* }
            }

            /// gRPC status code.
            pub fn grpc(self) -> tonic::Code {
                match self { $(Self::$name => tonic::Code::$grpc,)* }
            }

            /// Whether the same call may go through later.
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }
        }
    };
}

codes! {
    /// A field of the request is wrong; the message names it.
    SpecInvalid => "spec_invalid", 400, InvalidArgument, false;
    /// A metric is NaN or infinite.
    ValueNotFinite => "value_not_finite", 400, InvalidArgument, false;
    /// No token, or a wrong one.
    Unauthenticated => "unauthenticated", 401, Unauthenticated, false;
    /// The token's role does not allow it.
    Forbidden => "forbidden", 403, PermissionDenied, false;
    /// Nothing has this id or name, or the token may not know of it.
    NotFound => "not_found", 404, NotFound, false;
    /// The name is taken by a study with another specification.
    StudyExists => "study_exists", 409, AlreadyExists, false;
    /// The request id was used with another payload.
    RequestConflict => "request_conflict", 409, AlreadyExists, false;
    /// The point was tried before and the study forbids duplicates.
    DuplicatePoint => "duplicate_point", 409, AlreadyExists, false;
    /// The trial is finished.
    TrialFinished => "trial_finished", 409, FailedPrecondition, false;
    /// The trial's state does not allow it.
    TrialState => "trial_state", 409, FailedPrecondition, false;
    /// The study takes no such request in its state.
    StudyClosed => "study_closed", 409, FailedPrecondition, false;
    /// Drop the work and acquire again.
    LeaseLost => "lease_lost", 409, Aborted, false;
    /// The same step was reported with other values.
    ReportConflict => "report_conflict", 409, Aborted, false;
    /// A limit was passed; the message says which.
    TooLarge => "too_large", 413, ResourceExhausted, false;
    /// Too many requests; carries a delay.
    RateLimited => "rate_limited", 429, ResourceExhausted, true;
    /// The database is busy or away.
    StoreBusy => "store_busy", 503, Unavailable, true;
    /// No plan was made in time.
    SolverTimeout => "solver_timeout", 504, DeadlineExceeded, true;
    /// A fault of the server; carries an incident id only.
    Internal => "internal", 500, Internal, false;
}

impl std::str::FromStr for ErrorCode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!((400..600).contains(&code.http()));
        }
    }
}
