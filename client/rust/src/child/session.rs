//! A program's side of the conversation with its worker.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{
    LINE_PREFIX, Message, Numbers, Reply, SOCKET_VARIABLE, TRIAL_VARIABLE, TrialFile, VERDICT_VARIABLE,
};
use crate::model::Verdict;

/// How often [`Session::poll`] looks at the verdict file.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What can go wrong between a program and its worker.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The program was not started by a worker.
    #[error("{TRIAL_VARIABLE} is not set: this program is to be run by a worker")]
    NoTrial,
    /// The trial file cannot be read.
    #[error("read trial file {path}")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The trial file has another form than this version knows.
    #[error("trial file {path}")]
    Form {
        /// Path of the file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The worker has gone away: end without a result.
    #[error("speak with the worker")]
    Worker(#[from] std::io::Error),
    /// The worker refused a message.
    #[error("the worker refused a message: {0}")]
    Refused(String),
}

/// A running trial, from the inside.
#[derive(Debug)]
pub struct Session {
    trial: TrialFile,
    /// Absent where the worker offers no socket: messages then go to standard output.
    socket: Option<BufReader<UnixStream>>,
    verdict_file: Option<PathBuf>,
    verdict: Verdict,
    polled: Instant,
}

impl Session {
    /// Reads the trial file that the environment names and connects to the worker.
    pub fn from_env() -> Result<Self, ChildError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = variable(TRIAL_VARIABLE).ok_or(ChildError::NoTrial)?;
        Self::open(path, variable(SOCKET_VARIABLE), variable(VERDICT_VARIABLE))
    }

    /// The same from given paths.
    pub fn open(
        path: PathBuf,
        socket: Option<PathBuf>,
        verdict_file: Option<PathBuf>,
    ) -> Result<Self, ChildError> {
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(source) => return Err(ChildError::File { path, source }),
        };
        let trial = match serde_json::from_slice(&text) {
            Ok(trial) => trial,
            Err(source) => return Err(ChildError::Form { path, source }),
        };
        let socket = socket.map(UnixStream::connect).transpose()?.map(BufReader::new);
        Ok(Self { trial, socket, verdict_file, verdict: Verdict::Continue, polled: Instant::now() })
    }

    /// What to do.
    pub fn trial(&self) -> &TrialFile {
        &self.trial
    }

    /// Reports metrics at a step and returns what to do next. NaN and infinity end the trial as infeasible.
    pub fn report<K: Into<String>>(
        &mut self,
        step: u64,
        metrics: impl IntoIterator<Item = (K, f64)>,
    ) -> Result<Verdict, ChildError> {
        self.send(&Message::Report(numbers(Some(step), metrics)))
    }

    /// Sends any message, for example a report that carries its own seconds.
    pub fn send(&mut self, message: &Message) -> Result<Verdict, ChildError> {
        let Some(socket) = &mut self.socket else {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{LINE_PREFIX} {}", message.to_line())?;
            out.flush()?;
            return Ok(self.look());
        };
        socket.get_mut().write_all(format!("{}\n", message.to_line()).as_bytes())?;
        let mut line = String::new();
        if socket.read_line(&mut line)? == 0 {
            return Err(ChildError::Worker(std::io::ErrorKind::UnexpectedEof.into()));
        }
        match serde_json::from_str(&line) {
            Ok(Reply::Verdict(verdict)) => {
                self.verdict = self.verdict.max(verdict);
                Ok(self.verdict)
            }
            Ok(Reply::Error(error)) => Err(ChildError::Refused(error)),
            Err(error) => Err(ChildError::Refused(format!("answer `{}`: {error}", line.trim_end()))),
        }
    }

    /// The strongest verdict so far. Cheap: may be called after every step.
    pub fn poll(&mut self) -> Verdict {
        if self.polled.elapsed() >= POLL_INTERVAL { self.look() } else { self.verdict }
    }

    /// Gives the result at the target and ends the session; then end the program with exit code 0.
    pub fn finish<K: Into<String>>(
        mut self,
        metrics: impl IntoIterator<Item = (K, f64)>,
    ) -> Result<(), ChildError> {
        self.send(&Message::Finish(numbers(None, metrics))).map(|_| ())
    }

    /// Says that the point cannot be evaluated; then end the program with exit code 0.
    pub fn infeasible(mut self, reason: impl Into<String>) -> Result<(), ChildError> {
        self.send(&Message::Infeasible(reason.into())).map(|_| ())
    }

    fn look(&mut self) -> Verdict {
        self.polled = Instant::now();
        if let Some(text) = self.verdict_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) {
            let verdict = if text.trim() == "yield" { Verdict::Yield } else { Verdict::Stop };
            self.verdict = self.verdict.max(verdict);
        }
        self.verdict
    }
}

fn numbers<K: Into<String>>(step: Option<u64>, metrics: impl IntoIterator<Item = (K, f64)>) -> Numbers {
    let metrics = metrics.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Numbers { step, metrics, seconds: None }
}
