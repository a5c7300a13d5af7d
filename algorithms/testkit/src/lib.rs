//! Problems with known optima, simulated workers on a virtual clock, and the conformance suite of solvers.
//!
//! For tests and benchmarks: [`problems`] says what to optimize, [`Simulation`] drives any solver without a server,
//! [`solver_conformance`] checks the contract of [`boxwood_core::Solver`].

mod audit;
mod conformance;
mod hypervolume;
pub mod problems;
mod simulation;
mod trace;

pub use conformance::{MakeSolver, Tier, solver_conformance};
pub use hypervolume::hypervolume;
pub use problems::{Outcome, TestProblem};
pub use simulation::{Simulation, SimulationError};
pub use trace::{Arrival, Improvement, PlannedMove, Trace};
