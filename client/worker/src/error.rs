//! What keeps a worker from starting or going on.

use std::path::PathBuf;

/// Error of a worker. Trouble of one trial is no error: it ends that trial.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The configuration file cannot be read.
    #[error("read {path}")]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file is no TOML, or has unknown keys.
    #[error("{path}: {source}")]
    Parse {
        /// Path of the file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A setting is not usable.
    #[error("{field}: {reason}")]
    Setting {
        /// Key of the setting.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// Another worker uses the work folder.
    #[error("work_folder: {0} is in use by another worker; give each worker a folder of its own")]
    InUse(PathBuf),
    /// A folder of the worker cannot be used.
    #[error("{action} {path}")]
    Folder {
        /// What was tried.
        action: &'static str,
        /// Path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server refuses this worker, for example its token.
    #[error("the server refuses this worker")]
    Refused(#[source] boxwood_client::Error),
}

impl WorkerError {
    pub(crate) fn setting(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Setting { field: field.into(), reason: reason.into() }
    }

    pub(crate) fn folder(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Folder { action, path, source }
    }
}
