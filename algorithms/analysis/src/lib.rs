//! Analysis of finished and running studies for people to look at: pure functions over a
//! [`StudyView`](boxwood_core::StudyView).
//!
//! Everything is computed from losses (smaller is better) and handed out in the metric's native units where a person
//! reads it. Results of different rungs are never compared with each other.

mod arms;
mod convergence;
mod importance;
mod observed;
mod pareto;

pub use arms::{ArmSummary, arm_summaries};
pub use convergence::{ConvergenceStep, convergence};
pub use importance::{Importance, ImportanceOptions, importance};
pub use observed::{Observed, observed_at, observed_rung};
pub use pareto::{ParetoPoint, hypervolume, is_dominated, pareto_front, reference_point};

#[cfg(test)]
mod fixture;
