//! What can go wrong before or between runs.

use std::path::PathBuf;

/// Why a benchmark could not be run or read.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// No suite has this name.
    #[error("there is no suite `{name}`; the suites are {}", known.join(", "))]
    Suite {
        /// Name that was asked for.
        name: String,
        /// Names that exist.
        known: Vec<&'static str>,
    },
    /// No problem of the suite has this name.
    #[error("suite `{suite}` has no problem `{name}`; it has {}", known.join(", "))]
    Problem {
        /// The suite.
        suite: String,
        /// Name that was asked for.
        name: String,
        /// Names that exist.
        known: Vec<String>,
    },
    /// No solver has this name.
    #[error("there is no solver `{name}`; the solvers are {}", known.join(", "))]
    Solver {
        /// Name that was asked for.
        name: String,
        /// Names that exist.
        known: Vec<&'static str>,
    },
    /// An option makes no sense.
    #[error("{0}")]
    Option(String),
    /// A solver failed in the middle of a run.
    #[error("{solver} on {problem}, seed {seed}: {reason}")]
    Run {
        /// The solver.
        solver: String,
        /// The problem.
        problem: String,
        /// The seed.
        seed: u64,
        /// What happened.
        reason: String,
    },
    /// A file could not be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
