//! Surrogate models: Gaussian process, random forest, Parzen estimators, ensembles.
//!
//! Inputs are rows of a [`Layout`]: encoded parameters in the unit cube, `f64::NAN` for an inactive conditional
//! one. Targets are losses, smaller is better. A fitted model is an immutable [`Posterior`]; it depends on data,
//! options and seed only, never on an earlier fit.
//!
//! Letters (docs/notation.md): n observations, m candidates, d encoded dimensions.

mod ensemble;
mod error;
mod forest;
mod gaussian_process;
mod kernel;
mod layout;
mod parzen;
mod posterior;
mod warp;

pub use ensemble::{
    Combination, Ensemble, FitPart, PairwiseScore, RANK_WEIGHT_POWER, RankWeights, cross_validated_means,
    initial_rank_weights, pairwise_score, rank_weights,
};
pub use error::SurrogateError;
pub use forest::{Forest, ForestOptions};
pub use gaussian_process::{
    GaussianProcess, GpCache, GpModel, GpOptions, Hyperparameters, MeanFunction, refit_length,
};
pub use layout::{Dimension, Kind, Layout};
pub use parzen::{ParzenModel, ParzenOptions};
pub use posterior::{MeanVariance, PointGradient, Posterior};
pub use warp::{TargetScale, Warp};
