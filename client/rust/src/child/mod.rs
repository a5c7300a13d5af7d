//! For programs that a worker runs: the trial file, the messages, and a session that speaks them.
//!
//! A worker starts a program with `BOXWOOD_TRIAL` (path of the trial file), `BOXWOOD_SOCKET` (Unix socket for reports)
//! and `BOXWOOD_VERDICT` (path of a file that appears when the program should end). A report is one JSON line on the
//! socket, answered by one line; or a line `boxwood: {"step": 3, "auc": 0.71}` on standard output, not answered.

mod message;
mod session;

use std::path::PathBuf;

pub use message::{Message, MessageError, Numbers, Reply};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
pub use session::{ChildError, Session};

use crate::point::Point;

/// Variable with the path of the trial file.
pub const TRIAL_VARIABLE: &str = "BOXWOOD_TRIAL";
/// Variable with the path of the socket.
pub const SOCKET_VARIABLE: &str = "BOXWOOD_SOCKET";
/// Variable with the path of the verdict file.
pub const VERDICT_VARIABLE: &str = "BOXWOOD_VERDICT";
/// Start of a line on standard output that is a message.
pub const LINE_PREFIX: &str = "boxwood:";

/// What a program is to do: the content of the trial file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialFile {
    /// Id of the study.
    pub study: i64,
    /// Name of the study.
    pub study_name: String,
    /// Id of the trial.
    pub trial: i64,
    /// Number of the trial in its study.
    pub number: u32,
    /// Epoch of the lease.
    pub epoch: u64,
    /// Arm of a study with arms.
    pub arm: Option<String>,
    /// The point under full names.
    pub point: Point,
    /// Its parameters without the arm's prefix and the arm parameter.
    pub parameters: Map<String, Value>,
    /// What to train from and to.
    pub resource: ResourceFile,
    /// Seed of the trial, equal for every attempt.
    pub seed: u64,
    /// Folder or file to resume from.
    pub checkpoint_in: Option<PathBuf>,
    /// Empty folder for the checkpoint of this run; it is kept when something was put there.
    pub checkpoint_out: PathBuf,
    /// Name of the program.
    pub program: String,
    /// Arguments of the study.
    pub arguments: Map<String, Value>,
    /// Metrics that a result must hold.
    pub metrics: Vec<String>,
    /// Folder of this attempt, for files of the program's own.
    pub folder: PathBuf,
    /// Processor threads that this slot may use.
    pub threads: usize,
}

/// Resource units of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceFile {
    /// Name, for example `epochs`.
    pub name: String,
    /// Units trained before.
    pub from: u64,
    /// Units to train to.
    pub to: u64,
    /// Rungs up to the target: report at least there.
    pub rungs: Vec<u64>,
}
