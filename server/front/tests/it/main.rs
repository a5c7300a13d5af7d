//! Both front ends over the store in memory, in process, on free ports.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod auth;
mod config;
mod contract;
mod errors;
mod harness;
mod life;
