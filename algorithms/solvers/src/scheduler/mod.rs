//! Schedulers choose rungs: who is promoted, and where new trials start. Stateless; all is derived from the view.

mod asha;
mod cost;
mod drawn;
mod full;
mod halving;
mod stream;

use boxwood_core::{Ask, Origin, Rung, Seed, StudyView, TrialNumber, TrialStatus, TrialView};

pub(crate) use asha::{Asynchronous, PARAMETERS as ASHA_PARAMETERS};
pub(crate) use full::Full;
pub(crate) use halving::{PARAMETERS as HALVING_PARAMETERS, read as read_halving};

use crate::history::History;

/// A new trial to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// Rung to train to.
    pub(crate) rung: Rung,
    /// Running index of its bracket.
    pub(crate) bracket: Option<u32>,
}

/// A paused trial to train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resume {
    /// The trial.
    pub(crate) trial: TrialNumber,
    /// Rung to train to.
    pub(crate) rung: Rung,
}

/// Why a schedule holds fewer moves than wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScheduleEnd {
    /// It does not.
    More,
    /// A pending trial has to report first.
    Waiting,
    /// No start is left and nothing can be promoted any more.
    Spent,
}

/// What to run next; resumes come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) resumes: Vec<Resume>,
    pub(crate) starts: Vec<Start>,
    pub(crate) end: ScheduleEnd,
}

impl Schedule {
    /// The moves of a scheduler that promotes nobody: what is missing comes with a pending trial, or not at all.
    fn unranked(resumes: Vec<Resume>, starts: Vec<Start>, ask: Ask, history: &History<'_>) -> Self {
        let end = if resumes.len() + starts.len() == ask.want {
            ScheduleEnd::More
        } else if history.pending.is_empty() && resumes.is_empty() && starts.is_empty() {
            ScheduleEnd::Spent
        } else {
            ScheduleEnd::Waiting
        };
        Self { resumes, starts, end }
    }
}

/// What the sampler's model says of rungs and trials; asked only where a bracket is drawn.
pub(crate) trait Advice {
    /// Weights of the rungs by how well they predict the top one; none without enough data.
    fn weights(&self) -> Option<Vec<f64>>;

    /// Losses that trials are expected to have at the top, on any one scale; none without a model.
    fn forecast(&self, trials: &[&TrialView]) -> Option<Vec<f64>>;
}

/// Whether a trial waits at a rung.
pub(crate) fn waits_at(trial: &TrialView, rung: Rung) -> bool {
    trial.status == TrialStatus::Paused && trial.last().is_some_and(|last| last.rung == rung)
}

/// Bracket index of a trial that this solver started; none when it is beyond any index that this study can have reached
/// (a bracket holds at least one trial, and choosing a bracket skips less than one cycle).
pub(crate) fn bracket_of(trial: &TrialView, view: &StudyView, brackets: usize) -> Option<u32> {
    let reachable = (view.trials().len() + 1) * brackets;
    let own = trial.provenance.bracket.filter(|_| trial.origin == Origin::Solver);
    own.filter(|bracket| (*bracket as usize) <= reachable)
}

/// Chooses rungs. Pure: equal views and asks give equal schedules.
pub(crate) trait Scheduler: Send + Sync {
    /// Up to `ask.want` moves, of which at most `ask.starts()` are starts.
    fn schedule(
        &self,
        view: &StudyView,
        history: &History<'_>,
        ask: Ask,
        advice: &dyn Advice,
        seed: Seed,
    ) -> Schedule;

    /// Whether trials are ranked against each other, which needs one objective.
    fn ranks(&self) -> bool {
        true
    }
}
