//! Search space, points, goals, rung ladder, seeds, study view and the [`Solver`] trait.
//!
//! Everything here is pure: no clock, no I/O, no environment, no globals. A solver is a function of a
//! [`StudyView`], an [`Ask`] and a [`Seed`]; equal inputs give equal plans, in another process and on another day.

mod goal;
mod ladder;
mod problem;
mod seed;
mod solver;
pub mod space;
mod view;

pub use goal::{Bound, Constraint, Goal, Loss, Metrics, NotFinite, Objective};
pub use ladder::{Bracket, Fidelity, LadderError, Resource, Rung, RungLadder};
pub use problem::{Problem, ProblemError, ProblemSpec, SolverSpec};
pub use seed::{Seed, SeedRng};
pub use solver::{
    Ask, Diagnostics, Move, Plan, PlanEnd, Solver, SolverError, StopFlag, Unsupported, Verdict,
};
pub use space::{Point, SearchSpace, SpaceError, SpaceSpec, Value};
pub use view::{
    Change, Origin, Provenance, RungResult, StudyView, TrialNumber, TrialStatus, TrialView, rung_results,
};
