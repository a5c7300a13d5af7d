//! Errors of the trainers, each naming what the caller can change.

use std::path::PathBuf;

/// Why a training program could not run. A diverged run is not an error: see [`crate::TrialEnd::Infeasible`].
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// A hyperparameter has a value outside of what the trainer accepts.
    #[error("parameter `{name}`: {problem}")]
    Parameter {
        /// Name of the parameter as it was sent.
        name: String,
        /// What is wrong with the value.
        problem: String,
    },
    /// A hyperparameter that the chosen arm does not have.
    #[error("parameter `{name}` is unknown to arm `{arm}`; it takes {known}")]
    UnknownParameter {
        /// Name of the parameter as it was sent.
        name: String,
        /// Arm that was chosen.
        arm: String,
        /// Names that the arm takes, separated by commas.
        known: String,
    },
    /// A field of the request, other than a hyperparameter, is wrong.
    #[error("request field `{field}`: {problem}")]
    Request {
        /// Dotted path of the field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A data file has content that cannot be used.
    #[error("{}{}: {problem}", path.display(), line.map_or(String::new(), |line| format!(", line {line}")))]
    Data {
        /// File with the problem.
        path: PathBuf,
        /// Line number counted from 1, where one line is to blame.
        line: Option<u64>,
        /// What is wrong.
        problem: String,
    },
    /// A file or folder could not be read or written.
    #[error("{action} {}", path.display())]
    Io {
        /// Verb phrase: what was tried.
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// Cause given by the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The public data could not be fetched.
    #[error("{problem}. {advice}")]
    Fetch {
        /// What failed.
        problem: String,
        /// What the user can do about it.
        advice: String,
    },
    /// A checkpoint is damaged or belongs to another trial.
    #[error("checkpoint {}: {problem}", path.display())]
    Checkpoint {
        /// Folder of the checkpoint.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The requested device is not there or not compiled in.
    #[error("device: {problem}")]
    Device {
        /// What is wrong.
        problem: String,
    },
    /// The data and the hyperparameters do not fit each other, or a computation failed that should not.
    #[error("training: {problem}")]
    Training {
        /// What is wrong.
        problem: String,
    },
}

impl TrainerError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn data(path: impl Into<PathBuf>, line: Option<u64>, problem: impl Into<String>) -> Self {
        Self::Data { path: path.into(), line, problem: problem.into() }
    }

    pub(crate) fn request(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Request { field: field.into(), problem: problem.into() }
    }

    pub(crate) fn parameter(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Parameter { name: name.into(), problem: problem.into() }
    }
}
