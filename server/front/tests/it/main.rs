//! Both front ends over the store in memory, in process, on free ports.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, missing_docs, unreachable_pub)]

mod analysis;
mod auth;
mod config;
mod contract;
mod errors;
mod harness;
mod life;
