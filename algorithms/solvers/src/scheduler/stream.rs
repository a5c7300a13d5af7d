//! Trials that are neither promoted nor dropped: all at one rung, or the rungs of Hyperband's brackets in one stream.

use boxwood_core::{Ask, Bracket, Origin, Rung, Seed, StudyView, TrialStatus, TrialView};

use super::{Advice, Resume, Schedule, Scheduler, Start, bracket_of};
use crate::history::History;

/// How the rungs of a stream are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Every trial is trained to this rung, or to the top where the ladder ends below it.
    Fixed(Rung),
    /// Every stage of a bracket starts trials of its own: as many results at each rung as the bracket has, at about the same
    /// cost, with no stage waiting for the one below. `hyperband`: whether all brackets are cycled, or the first repeated.
    Flattened { hyperband: bool },
}

impl Stream {
    fn starts(self, view: &StudyView, count: usize) -> Vec<Start> {
        let ladder = view.problem().ladder();
        match self {
            Self::Fixed(rung) => {
                vec![Start { rung: rung.min(ladder.top()), bracket: None }; count]
            }
            Self::Flattened { hyperband } => {
                let mut table = ladder.brackets();
                if !hyperband {
                    table.truncate(1);
                }
                flattened(view, &table, count)
            }
        }
    }
}

/// The next starts of the stream, less what was started before: brackets in order, and within one the stage that is least
/// complete, by `(started + 1/2) / wanted`, so that results at all rungs come in as the bracket mixes them.
fn flattened(view: &StudyView, table: &[Bracket], count: usize) -> Vec<Start> {
    let own: Vec<(u32, Rung)> = view
        .trials()
        .iter()
        .filter(|trial| trial.origin == Origin::Solver)
        .filter_map(|trial| Some((bracket_of(trial, view, table.len())?, trial.target)))
        .collect();
    let mut starts = Vec::with_capacity(count);
    for index in 0_u32.. {
        if starts.len() == count {
            break;
        }
        let bracket = &table[index as usize % table.len()];
        let rung = |stage: usize| Rung(bracket.start.0 + stage as u32);
        let before = |stage: usize| own.iter().filter(|own| **own == (index, rung(stage))).count() as u64;
        let mut started: Vec<u64> = (0..bracket.stages.len()).map(before).collect();
        while starts.len() < count {
            let missing = (0..started.len()).filter(|stage| started[*stage] < bracket.stages[*stage]);
            let share = |stage: &usize| (2 * started[*stage] + 1) as f64 / bracket.stages[*stage] as f64;
            let next = missing.min_by(|a, b| share(a).total_cmp(&share(b)).then(a.cmp(b)));
            let Some(stage) = next else { break };
            started[stage] += 1;
            starts.push(Start { rung: rung(stage), bracket: Some(index) });
        }
    }
    starts
}

impl Scheduler for Stream {
    fn schedule(
        &self,
        view: &StudyView,
        history: &History<'_>,
        ask: Ask,
        _advice: &dyn Advice,
        _seed: Seed,
    ) -> Schedule {
        // A user's trial that waits below the one rung is trained on to it.
        let below = |trial: &&TrialView| match *self {
            Self::Fixed(rung) => {
                let rung = rung.min(view.problem().ladder().top());
                trial.status == TrialStatus::Paused && trial.last().is_none_or(|result| result.rung < rung)
            }
            Self::Flattened { .. } => false,
        };
        let target = self.starts(view, 1).first().map_or(Rung(0), |start| start.rung);
        let resumes: Vec<Resume> = view
            .trials()
            .iter()
            .filter(below)
            .take(ask.want)
            .map(|trial| Resume { trial: trial.number, rung: target })
            .collect();
        let starts = self.starts(view, ask.starts().min(ask.want - resumes.len()));
        Schedule::unranked(resumes, starts, ask, history)
    }

    fn ranks(&self) -> bool {
        false
    }
}
