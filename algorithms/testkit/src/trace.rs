//! What a simulation leaves behind.

use boxwood_core::{Move, Rung, StudyView, TrialNumber, TrialStatus};

/// A new best result at the top rung.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Improvement {
    /// Virtual seconds since the start.
    pub seconds: f64,
    /// Trials started by then.
    pub started: u64,
    /// Loss of the first objective, smaller is better.
    pub loss: f64,
}

/// A result that arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Virtual seconds since the start.
    pub seconds: f64,
    /// Trial that it belongs to.
    pub trial: TrialNumber,
    /// Rung that it was measured at.
    pub rung: Rung,
}

/// A move with the plan that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedMove {
    /// Number of the plan, from 1.
    pub plan: u64,
    /// The move.
    pub planned: Move,
}

/// The whole course of a simulated study.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Best feasible loss at the top rung over time.
    pub improvements: Vec<Improvement>,
    /// Every result in order.
    pub arrivals: Vec<Arrival>,
    /// Every move in order.
    pub moves: Vec<PlannedMove>,
    /// The study at its end.
    pub view: StudyView,
    /// Number of plans asked for.
    pub plans: u64,
    /// Virtual seconds until the last trial ended or the deadline came.
    pub seconds: f64,
    /// Share of all workers' time in which they ran a trial.
    pub utilization: f64,
    /// Attempts that a worker lost.
    pub crashes: u64,
    /// Reason with which the solver ended; none when the deadline came first.
    pub exhausted: Option<String>,
    /// Notes of all plans' diagnostics.
    pub notes: Vec<String>,
}

impl Trace {
    /// Best feasible loss at the top rung.
    pub fn best_loss(&self) -> Option<f64> {
        self.improvements.last().map(|improvement| improvement.loss)
    }

    /// Best feasible loss at the top rung by a moment.
    pub fn best_loss_at(&self, seconds: f64) -> Option<f64> {
        let earlier = self.improvements.iter().take_while(|improvement| improvement.seconds <= seconds);
        earlier.last().map(|improvement| improvement.loss)
    }

    /// Number of trials in a state.
    pub fn count(&self, status: TrialStatus) -> usize {
        self.view.trials().iter().filter(|trial| trial.status == status).count()
    }

    /// The moves alone.
    pub fn sequence(&self) -> Vec<&Move> {
        self.moves.iter().map(|planned| &planned.planned).collect()
    }
}
