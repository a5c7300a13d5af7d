//! Surrogate models: Gaussian process, random forest, boosted trees, Parzen estimators, classifiers of failures, cost models,
//! ensembles over fidelities and over earlier studies.
//!
//! Inputs are rows of a [`Layout`]: encoded parameters in the unit cube, `f64::NAN` for an inactive conditional
//! one. Targets are losses, smaller is better. A fitted model is an immutable [`Posterior`]; it depends on data,
//! options and seed only, never on an earlier fit.
//!
//! Letters (docs/notation.md): n observations, m candidates, d encoded dimensions.

mod boosted;
mod cost;
mod curves;
mod ensemble;
mod error;
mod failure_forest;
mod forest;
mod gaussian_process;
mod input_warp;
mod kernel;
mod layout;
mod noise;
mod parzen;
mod posterior;
mod random_prior;
mod transfer;
mod tree;
mod tree_ensemble;
mod warp;

pub use boosted::{Boosted, BoostedOptions};
pub use cost::CostModel;
pub use curves::{CurvePosterior, CurvePrior};
pub use ensemble::{
    ChainLevel, Combination, Ensemble, FidelityChain, FitPart, PairwiseScore, RANK_WEIGHT_POWER, RankWeights,
    cross_validated_means, initial_rank_weights, pairwise_score, rank_weights,
};
pub use error::SurrogateError;
pub use failure_forest::FailureForest;
pub use forest::{Forest, ForestOptions};
pub use gaussian_process::{
    CategoryKernel, DrawsGradient, DrawsPrediction, FailureModel, GaussianProcess, GpCache, GpDraws, GpModel,
    GpOptions, Hyperparameters, InputWarps, KernelFunction, MeanFunction, Priors, local_rows, refit_length,
};
pub use input_warp::Kumaraswamy;
pub use layout::{Dimension, Kind, Layout};
pub use noise::is_noisy;
pub use parzen::{KernelDensityModel, KernelDensityOptions, ParzenModel, ParzenOptions};
pub use posterior::{JointPosterior, MeanVariance, PointGradient, Posterior};
pub use transfer::{
    StackedTransfer, TransferWeights, agreements, copula_values, rgpe_weights, trans_bo_weights,
    transfer_ensemble, two_stage_weights, uniform_expert_weights,
};
pub use tree_ensemble::{TreeCache, TreeEnsemble};
pub use warp::{TargetScale, Warp};
