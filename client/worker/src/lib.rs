//! Worker: leases trials for its free slots and runs the program of each in a child process.
//!
//! The server names a program; what that is stands in this worker's own configuration ([`WorkerConfig::programs`]) and
//! nowhere else. While the server is away children train on: their reports and results wait in a journal and are sent
//! later, in order. A worker that is killed takes its children with it; restarted on the same work folder it sends what
//! its journal holds.

#[cfg(not(unix))]
compile_error!("the worker needs process groups and Unix sockets");

mod checkpoint;
mod config;
mod error;
mod gpu;
mod journal;
mod outbox;
mod process;
mod registry;
mod run;
mod shutdown;
mod slot;
mod worker;

pub use config::{KeepFolders, ProgramConfig, SlotCount, StopSign, WorkerConfig};
pub use error::WorkerError;
pub use gpu::count_gpus;
pub use shutdown::Shutdown;
pub use worker::Worker;
