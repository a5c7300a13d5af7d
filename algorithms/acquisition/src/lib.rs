//! Acquisition functions in the log domain, and their maximization.
//!
//! Every [`Acquisition`] works on the model scale of its [`boxwood_surrogate::Posterior`] (losses, smaller is
//! better) and is to be MAXIMIZED. [`maximize`] searches any [`CandidateSpace`] with bounded work.
//!
//! Letters (docs/notation.md): m candidates, d encoded dimensions, mu and sigma the posterior mean and deviation.

mod acquisition;
mod combine;
mod confidence;
mod error;
mod improvement;
mod incumbent;
mod maximize;
mod moments;
mod penalty;

pub use acquisition::Acquisition;
pub use combine::{Constrained, CostCooled, Feasibility};
pub use confidence::LowerConfidenceBound;
pub use error::AcquisitionError;
pub use improvement::{LogExpectedImprovement, LogProbabilityOfImprovement};
pub use incumbent::{Incumbent, believe_pending, noisy_incumbent};
pub use maximize::{Budget, Candidate, CandidateSpace, maximize};
pub use penalty::{LocalPenalty, Pending, lipschitz_estimate};
