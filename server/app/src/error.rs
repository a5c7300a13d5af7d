//! What can go wrong in a use case, by what the caller does about it.

use boxwood_core::Unsupported;
use boxwood_store::{Role, StoreError};
use boxwood_study::{Refusal, SpecError};

/// Failure of a use case. It knows no status code; the front ends have one table for that.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AppError {
    /// A study specification is wrong: fix the named field.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The solver cannot serve the study: fix the named parameter.
    #[error(transparent)]
    Solver(#[from] Unsupported),
    /// A field of the request is wrong.
    #[error("{field}: {reason}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// The request is understood and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing has this id or name, or the caller may not know of it.
    #[error("{what} not found")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
    },
    /// No token, or a wrong one.
    #[error("a valid bearer token is required")]
    Unauthenticated,
    /// The caller's role does not allow it.
    #[error("this needs the role `{}`", role_name(*needs))]
    Forbidden {
        /// Least role that would do.
        needs: Role,
    },
    /// The database is busy or away: the same call may go through later.
    #[error("the database is busy or not reachable; try again")]
    Busy,
    /// No plan was made in time: the same call may go through later.
    #[error("no plan was made within {seconds} s; try again")]
    SolverTimeout {
        /// The deadline.
        seconds: f64,
    },
    /// A fault of the server. The incident id is in the log with the cause; the cause goes to no client.
    #[error("internal error, incident {incident}")]
    Internal {
        /// What to look for in the log.
        incident: String,
    },
}

impl AppError {
    /// A fault of the server: logs the cause once under a new incident id.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        let incident = uuid::Uuid::new_v4().simple().to_string();
        tracing::error!(incident, cause = %cause, "internal error");
        Self::Internal { incident }
    }

    /// A wrong field.
    pub fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), reason: reason.into() }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => Self::NotFound { what },
            StoreError::Refused(refusal) => Self::Refused(refusal),
            StoreError::Busy => Self::Busy,
            error @ (StoreError::Corrupt { .. } | StoreError::Backend { .. }) => Self::internal(&error),
        }
    }
}

/// A role's name on the wire.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Worker => "worker",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

/// A role by its name on the wire.
pub fn role_by_name(name: &str) -> Option<Role> {
    [Role::Viewer, Role::Worker, Role::Operator, Role::Admin]
        .into_iter()
        .find(|role| role_name(*role) == name)
}
