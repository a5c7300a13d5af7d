//! Search space, points, goals, rung ladder, seeds, study view and the [`Solver`] trait.
//!
//! Everything here is pure: no clock, no I/O, no environment, no globals. A solver is a function of a
//! [`StudyView`], an [`Ask`] and a [`Seed`]; equal inputs give equal plans, in another process and on another day.

//!
//! ```
//! use boxwood_core::{Seed, SpaceSpec};
//!
//! let spec = SpaceSpec::from_toml(
//!     r#"
//!     relations = ["min_leaf <= max_leaf"]
//!
//!     [[parameters]]
//!     name = "learning_rate"
//!     type = "float"
//!     low = 1e-5
//!     high = 0.1
//!     scale = "log"
//!
//!     [[parameters]]
//!     name = "min_leaf"
//!     type = "integer"
//!     low = 1
//!     high = 64
//!
//!     [[parameters]]
//!     name = "max_leaf"
//!     type = "integer"
//!     low = 1
//!     high = 64
//!     default = 64
//!
//!     [[parameters]]
//!     name = "optimizer"
//!     type = "categorical"
//!     choices = ["adam", "sgd"]
//!
//!     [[parameters]]
//!     name = "momentum"
//!     type = "float"
//!     low = 0.0
//!     high = 0.99
//!     when = { parameter = "optimizer", equals = "sgd" }
//!     "#,
//! )?;
//! let space = spec.check()?;
//! let row = space.sample(&mut Seed(1).derive("example", 0).rng())?;
//! let point = space.decode(&row);
//! assert_eq!(space.canonical(&point)?, point);
//! assert_eq!(space.encode(&point)?.len(), space.dimensions().len());
//! assert_eq!(point.get("momentum").is_some(), point.get("optimizer") == Some(&"sgd".into()));
//! # Ok::<(), boxwood_core::SpaceError>(())
//! ```
//!
//! Letters and words are defined once in `docs/notation.md`.

mod goal;
mod ladder;
mod problem;
mod seed;
mod solver;
mod sources;
pub mod space;
mod view;

pub use goal::{Bound, Constraint, Goal, Loss, Metrics, NotFinite, Objective};
pub use ladder::{Bracket, Fidelity, LadderError, Resource, Rung, RungLadder};
pub use problem::{Problem, ProblemError, ProblemSpec, SolverSpec};
pub use seed::{Seed, SeedRng};
pub use solver::{
    Ask, Diagnostics, Move, Plan, PlanEnd, Signal, Solver, SolverError, StopFlag, Unsupported, Verdict,
};
pub use sources::{MAX_SOURCE_TRIALS, MAX_SOURCES, Source, SourceRow, SourceSpec, SourceTrial};
pub use space::{Point, SearchSpace, SpaceError, SpaceSpec, Value};
pub use view::{
    Change, Origin, Provenance, RungResult, StudyView, TrialNumber, TrialStatus, TrialView, rung_results,
};
