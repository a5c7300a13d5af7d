//! Acquisition functions in the log domain, and their maximization.
//!
//! Every [`Acquisition`] works on the model scale of its [`boxwood_surrogate::Posterior`] (losses, smaller is
//! better) and is to be MAXIMIZED. [`maximize`] searches any [`CandidateSpace`] with bounded work.
//!
//! Letters (docs/notation.md): m candidates, d encoded dimensions, mu and sigma the posterior mean and deviation.

mod acquisition;
mod belief;
mod combine;
mod confidence;
mod entropy;
mod error;
mod explore;
mod hypervolume;
mod improvement;
mod incumbent;
mod maximize;
mod moments;
mod noisy;
mod penalty;
mod scalarize;
mod thompson;

pub use acquisition::Acquisition;
pub use belief::{Belief, PriorBelief, PriorWeighted};
pub use combine::{Constrained, CostCooled, Feasibility, LogAverage};
pub use confidence::LowerConfidenceBound;
pub use entropy::{MinValueEntropy, most_uncertain_on_front};
pub use error::AcquisitionError;
pub use explore::PureExploration;
pub use hypervolume::{LogExpectedHypervolumeImprovement, to_model_scales};
pub use improvement::{LogExpectedImprovement, LogProbabilityOfImprovement};
pub use incumbent::{Incumbent, believe_pending, noisy_incumbent};
pub use maximize::{Budget, Candidate, CandidateSpace, candidate_rows, maximize};
pub use noisy::{LogNoisyExpectedHypervolumeImprovement, LogNoisyExpectedImprovement, contenders};
pub use penalty::{LocalPenalty, Pending, lipschitz_estimate};
pub use scalarize::{AugmentedChebyshev, CHEBYSHEV_AUGMENTATION, LogChebyshevImprovement, chebyshev_weights};
pub use thompson::{SampledConstraint, thompson_choices, thompson_choices_multi};
