//! The use cases over the store in memory, with real and scripted solvers.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, missing_docs, unreachable_pub)]

mod determinism;
mod planner;
mod scripted;
mod stops;
mod tenancy;
mod transfer;
