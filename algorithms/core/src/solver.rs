//! The solver trait and its answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::ladder::Rung;
use crate::problem::Problem;
use crate::seed::Seed;
use crate::space::Point;
use crate::view::{Provenance, StudyView, TrialNumber};

/// How much a planner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Number of moves wanted; a plan may hold fewer, never more.
    pub want: usize,
    /// New trials that the study's budget still allows; `None` without a budget. Resumes are not counted.
    pub starts_left: Option<u64>,
}

impl Ask {
    /// An ask for `want` moves with no budget.
    pub fn of(want: usize) -> Self {
        Self { want, starts_left: None }
    }

    /// Number of new trials that this ask allows.
    pub fn starts(&self) -> usize {
        self.want.min(usize::try_from(self.starts_left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX))
    }
}

/// One thing to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "move")]
pub enum Move {
    /// A new point, to be trained up to a rung.
    Start {
        /// Native values, canonical.
        point: Point,
        /// Rung to train to.
        rung: Rung,
        /// Why.
        provenance: Provenance,
    },
    /// A paused trial, to be trained on up to a higher rung.
    Resume {
        /// The paused trial.
        trial: TrialNumber,
        /// Rung to train to, above the last one it reached.
        rung: Rung,
        /// Why.
        provenance: Provenance,
    },
}

/// Whether there will be more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanEnd {
    /// Another ask may bring more moves at once.
    More,
    /// Nothing more until a pending trial reports (a synchronous bracket waits for its stage).
    NotNow,
    /// Nothing more, ever: budget spent or space used up. Pending trials still finish.
    Exhausted(String),
}

/// Facts about how a plan was made, for people and for replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// Notes in order, one line each: fallbacks, eliminated arms, chosen model.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Named numbers: model weights, arm bounds, length scales.
    #[serde(default)]
    pub numbers: BTreeMap<String, f64>,
}

/// A solver's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What to run, in order.
    pub moves: Vec<Move>,
    /// Whether there will be more.
    pub end: PlanEnd,
    /// How it was made.
    pub diagnostics: Diagnostics,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Train on.
    Continue,
    /// Keep the checkpoint and give the trial back; it may be resumed.
    Yield,
    /// End the trial; what it measured counts.
    Stop(String),
}

/// A study that a solver cannot serve, found at creation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("solver `{solver}`: {reason}")]
pub struct Unsupported {
    /// Name of the solver.
    pub solver: String,
    /// What does not fit, naming the field of the study or the solver's parameter.
    pub reason: String,
}

/// Why no plan was made. Each variant says what the caller does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SolverError {
    /// The study does not fit this solver: pause the study.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A computation failed: fall back to random once and record it on the plan.
    #[error("numeric failure: {0}")]
    Numeric(String),
    /// The stop flag was raised: drop the plan.
    #[error("planning was cancelled")]
    Cancelled,
    /// A broken invariant: pause the study with this reason.
    #[error("solver bug: {0}")]
    Bug(String),
}

/// What a solver's model may say of its own proposals in their [`Provenance`], for rules that end a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// [`Provenance::log_improvement`].
    ExpectedImprovement,
    /// [`Provenance::regret_bound`].
    RegretBound,
}

impl std::fmt::Display for Signal {
    /// Name of the rule that reads it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::ExpectedImprovement => "expected_improvement",
            Self::RegretBound => "regret_bound",
        })
    }
}

/// Raised by the planner when a plan is no longer wanted; solvers look at it between steps.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks the solver to give up soon.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the solver should give up.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// [`SolverError::Cancelled`] once raised.
    pub fn check(&self) -> Result<(), SolverError> {
        if self.is_raised() { Err(SolverError::Cancelled) } else { Ok(()) }
    }
}

/// Proposes what to evaluate next.
///
/// Contract: `plan` and `judge` are pure. Equal view, ask and seed give equal plans, in another process and with any
/// order of calls before; a solver may memoize inside, and must not need to. Points of `Start` moves are canonical
/// points of the view's space and, unless the solver allows replicates, differ from every other trial's point.
/// `Resume` names a paused trial and a rung above its last result. A trial is never resumed to the same rung twice.
pub trait Solver: Send + Sync {
    /// Registered name.
    fn name(&self) -> &str;

    /// Whether this solver can serve the problem; called when a study is created.
    fn accepts(&self, problem: &Problem) -> Result<(), Unsupported>;

    /// Whether proposals for a problem that is accepted carry a signal once there are enough results; the reason when none
    /// ever does.
    fn tells(&self, _problem: &Problem, _signal: Signal) -> Result<(), Unsupported> {
        Err(Unsupported { solver: self.name().to_owned(), reason: "no model is behind its proposals".into() })
    }

    /// Proposes up to `ask.want` moves.
    fn plan(&self, view: &StudyView, ask: Ask, seed: Seed, stop: &StopFlag) -> Result<Plan, SolverError>;

    /// Judges a running trial after a report below its target rung; cheap. At its target a trial always yields.
    fn judge(&self, _view: &StudyView, _trial: TrialNumber) -> Verdict {
        Verdict::Continue
    }
}
