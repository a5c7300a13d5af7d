//! Benchmarks of solvers, in process: suites of problems, a runner, latency, statistics, and peers' stored results.
//!
//! [`run`] drives solvers over a suite on the simulator's virtual clock and returns a [`Report`], which is also the JSON
//! file; [`compare`] tests two reports against each other, [`target`] says how soon a
//! solver gets to another's final result, [`peers`] puts one beside the results of other libraries.
//! Everything printed is a text of a report, so that a command line stays a thin shell.

mod cpu;
mod error;
mod gap;
mod latency;
mod network;
mod report;
mod run;
mod solver;
mod stops;
mod suites;
mod text;

pub mod compare;
pub mod peers;
pub mod statistics;
pub mod tables;
pub mod target;

pub use error::BenchError;
pub use latency::latency;
pub use network::{Input, Network};
pub use report::{Cell, LatencyRow, Report, Run, Skipped};
pub use run::{Options, run};
pub use stops::{Stops, stops};
pub use suites::{Measure, Suite, Task, names, suite};
