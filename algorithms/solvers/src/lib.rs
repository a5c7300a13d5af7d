//! Solvers composed of samplers, schedulers and bandits; [`build`] makes one by name.
//!
//! A *sampler* chooses points, a *scheduler* chooses rungs, a *bandit* chooses the arm of a CASH space. Each named
//! solver is one line in the registry. All of them are pure functions of the study view, so that equal histories give
//! equal plans in another process and on another day.

mod auto;
mod bandit;
mod composed;
mod early_stopping;
mod fill;
mod history;
mod parameters;
mod registry;
mod sampler;
mod scheduler;

pub use auto::{Choice, auto};
pub use bandit::{ArmReport, BanditOptions, arm_report};
pub use parameters::{ParameterInfo, ParameterKind};
pub use registry::{SolverInfo, build, describe, names, telling};
