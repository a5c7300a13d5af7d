//! Every trial is run once, to the top.

use boxwood_core::{Ask, Seed, StudyView, TrialStatus};

use super::{Advice, Resume, Schedule, Scheduler, Start};
use crate::history::History;

/// Starts every trial at the top rung; a trial that was paused below it (a user's) is trained on to the top first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Full;

impl Scheduler for Full {
    fn schedule(
        &self,
        view: &StudyView,
        history: &History<'_>,
        ask: Ask,
        _advice: &dyn Advice,
        _seed: Seed,
    ) -> Schedule {
        let top = view.problem().ladder().top();
        let paused = view.trials().iter().filter(|trial| trial.status == TrialStatus::Paused);
        let below = paused.filter(|trial| trial.last().is_none_or(|result| result.rung < top));
        let resumes: Vec<Resume> =
            below.take(ask.want).map(|trial| Resume { trial: trial.number, rung: top }).collect();
        let starts = ask.starts().min(ask.want - resumes.len());
        let starts = vec![Start { rung: top, bracket: None }; starts];
        Schedule::unranked(resumes, starts, ask, history)
    }

    fn ranks(&self) -> bool {
        false
    }
}
