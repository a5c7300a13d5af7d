//! Analysis of finished and running studies for people to look at: pure functions over a
//! [`StudyView`](boxwood_core::StudyView).
//!
//! Everything is computed from losses (smaller is better) and handed out in the metric's native units where a person
//! reads it. Results of different rungs are never compared with each other.

mod arms;
mod attribution;
mod convergence;
mod forecast;
mod importance;
mod model;
mod observed;
mod pareto;
mod predicted;
mod quality;
mod variance;
mod volume_history;

pub use arms::{ArmSummary, arm_summaries};
pub use attribution::{Attribution, Contribution, attributions};
pub use convergence::{ConvergenceStep, convergence};
pub use forecast::{GainForecast, TargetForecast, gain_forecast};
pub use importance::{Importance, ImportanceOptions, importance};
pub use observed::{Observed, observed_at, observed_rung};
pub use pareto::{ParetoPoint, hypervolume, is_dominated, pareto_front, reference_point};
pub use predicted::{PredictedBest, predicted_best};
pub use quality::{SurrogateQuality, surrogate_quality};
pub use variance::{PairShare, ParameterShare, VarianceShares, variance_shares};
pub use volume_history::{VolumeHistory, VolumeStep, hypervolume_history};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod oracle;
