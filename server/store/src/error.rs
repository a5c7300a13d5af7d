//! What can go wrong in a store, by what the caller does about it.

use boxwood_study::Refusal;

/// Failure of a store method. Driver text stays in the log; it never reaches a client.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// Nothing has this id or name.
    #[error("{what} not found")]
    NotFound {
        /// Kind of thing: `study`, `trial`, `project`, `token`, `worker`.
        what: &'static str,
    },
    /// The request is understood and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database is busy or away; the same call may go through later.
    #[error("the database is busy or not reachable")]
    Busy,
    /// A stored row does not parse: written by a newer version, or damaged.
    #[error("stored {what} cannot be read")]
    Corrupt {
        /// Kind of row.
        what: &'static str,
    },
    /// The database cannot be used: wrong file, locked by another server, bad URL, missing permission.
    #[error("{reason}")]
    Backend {
        /// What to tell the operator.
        reason: String,
    },
}
