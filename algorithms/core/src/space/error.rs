//! What is wrong with a space or a point.

/// A refused space or point; the message names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// A declared field is wrong.
    #[error("{field}: {reason}")]
    Field {
        /// Path of the field, for example `parameters[2].low`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value of a point is wrong.
    #[error("parameter `{parameter}`: {reason}")]
    Value {
        /// Full name of the parameter.
        parameter: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// A point breaks a forbidden clause or a relation.
    #[error("the point breaks `{rule}`")]
    Rule {
        /// The clause or relation as declared.
        rule: String,
    },
    /// No valid point was found in a bounded number of draws.
    #[error("no valid point found in {draws} draws; are the forbidden clauses and relations too tight?")]
    NoValidPoint {
        /// Number of draws made.
        draws: u32,
    },
}
