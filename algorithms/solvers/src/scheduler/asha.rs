//! Asynchronous successive halving: plain, delayed, and over the brackets of Hyperband.
//!
//! When a worker is free, rungs are scanned from the second highest down; at a rung the best `floor(n / eta)` of the
//! `n` trials that ended there are promotable, and one that has not been promoted goes up; otherwise a new trial starts
//! (Li et al., 2020, algorithm 2). Delayed promotion (Li et al., 2022, D-ASHA) also requires
//! `(promoted + 1) / ended <= 1 / eta` at the rung, so that early and lucky trials do not flood the rungs above.
//! Failed and infeasible trials count as ended and rank last.

use boxwood_core::{Ask, Bracket, Origin, Rung, Seed, StudyView, TrialStatus, TrialView, Unsupported};

use super::drawn::Draws;
use super::{Advice, Resume, Schedule, ScheduleEnd, Scheduler, Start, bracket_of, waits_at};
use crate::history::{Entry, History};
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of asynchronous halving.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "start_threshold",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 1_000_000 },
        meaning: "Trials that must have ended at a rung before the first of them is promoted.",
    },
    ParameterInfo {
        name: "brackets",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 64 },
        meaning: "Hyperband brackets that new trials cycle through, most exploring first; 0 is the solver's own number.",
    },
];

/// Asynchronous halving on one ladder shared by all brackets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asynchronous {
    delayed: bool,
    /// Number of brackets cycled through; `usize::MAX` for all.
    brackets: usize,
    start_threshold: usize,
    /// Whether each move that is no promotion by rank draws its bracket (Hyper-Tune).
    choose: bool,
}

impl Asynchronous {
    pub(crate) fn read(
        parameters: &Parameters<'_>,
        delayed: bool,
        all_brackets: bool,
        choose: bool,
    ) -> Result<Self, Unsupported> {
        let brackets = match parameters.integer("brackets")? {
            0 if all_brackets => usize::MAX,
            0 => 1,
            given => given as usize,
        };
        let start_threshold = parameters.integer("start_threshold")? as usize;
        Ok(Self { delayed, brackets, start_threshold, choose })
    }

    /// Brackets of one cycle.
    fn table(&self, view: &StudyView) -> Vec<Bracket> {
        let mut table = view.problem().ladder().brackets();
        table.truncate(self.brackets);
        table
    }
}

/// One rung while a schedule is made.
struct Standing<'a> {
    /// Trials measured at the rung, best first.
    ranked: Vec<Entry<'a>>,
    /// Trials that ended at the rung, failures included.
    ended: usize,
    /// The same without trials that started above the rung and only passed it.
    ended_here: usize,
    /// Of those, the ones that went on to a higher rung.
    promoted_here: usize,
    /// Trials promoted by this schedule, by position in `ranked`.
    issued: Vec<bool>,
}

impl<'a> Standing<'a> {
    fn new(rung: Rung, history: &History<'a>, table: &[Bracket]) -> Self {
        let level = &history.levels[rung.0 as usize];
        let ranked = level.ranked();
        let start = |trial: &TrialView| match trial.provenance.bracket {
            Some(bracket) if trial.origin == Origin::Solver => table[bracket as usize % table.len()].start,
            _ => Rung(0),
        };
        let here: Vec<&Entry<'_>> = ranked.iter().filter(|entry| start(entry.trial) <= rung).collect();
        let promoted_here = here.iter().filter(|entry| went_on(entry.trial, rung)).count();
        let (ended, ended_here) = (level.ended(), here.len() + level.failed.len());
        let issued = vec![false; ranked.len()];
        Self { ranked, ended, ended_here, promoted_here, issued }
    }
}

/// Whether a trial left a rung for a higher one.
fn went_on(trial: &TrialView, rung: Rung) -> bool {
    trial.last().is_some_and(|last| last.rung > rung)
        || (trial.target > rung && trial.status != TrialStatus::Paused)
}

impl Scheduler for Asynchronous {
    fn schedule(
        &self,
        view: &StudyView,
        history: &History<'_>,
        ask: Ask,
        advice: &dyn Advice,
        seed: Seed,
    ) -> Schedule {
        let ladder = view.problem().ladder();
        let factor = ladder.reduction_factor() as usize;
        let table = self.table(view);
        let rungs = 0..ladder.top().0;
        let mut standings: Vec<Standing<'_>> =
            rungs.map(|rung| Standing::new(Rung(rung), history, &table)).collect();
        let mut resumes = Vec::new();
        while resumes.len() < ask.want {
            let Some(resume) = self.promote(&mut standings, factor) else { break };
            resumes.push(resume);
        }
        let left = ask.want - resumes.len();
        let starts = if self.choose && table.len() > 1 {
            let draws = Draws { view, history, table: &table, advice, seed };
            let (direct, starts) = draws.moves(left, ask.starts(), &resumes);
            resumes.extend(direct);
            starts
        } else {
            starts_in_turn(view, &table, ask.starts().min(left))
        };
        if ask.want > 0 && ask.starts() == 0 && resumes.is_empty() && history.pending.is_empty() {
            resumes.extend(last_promotion(&standings, history));
        }
        let moves = resumes.len() + starts.len();
        let end = if moves == ask.want {
            ScheduleEnd::More
        } else if moves > 0 || !history.pending.is_empty() {
            ScheduleEnd::Waiting
        } else {
            ScheduleEnd::Spent
        };
        Schedule { resumes, starts, end }
    }
}

impl Asynchronous {
    /// The next promotion, from the highest rung down.
    fn promote(&self, standings: &mut [Standing<'_>], factor: usize) -> Option<Resume> {
        for (index, standing) in standings.iter_mut().enumerate().rev() {
            let rung = Rung(index as u32);
            if standing.ended < self.start_threshold {
                continue;
            }
            if self.delayed && (standing.promoted_here + 1) * factor > standing.ended_here {
                continue;
            }
            let promotable = standing.ended / factor;
            let best = standing.ranked.iter().take(promotable).enumerate();
            let found = best.filter(|(i, _)| !standing.issued[*i]).find(|(_, e)| waits_at(e.trial, rung));
            if let Some((position, entry)) = found {
                let resume = Resume { trial: entry.trial.number, rung: Rung(rung.0 + 1) };
                standing.issued[position] = true;
                standing.promoted_here += 1;
                return Some(resume);
            }
        }
        None
    }
}

/// New trials by turns of whole brackets.
///
/// A bracket's index is `cycle * brackets + bracket`, and it rises, so that the last index and the number of its
/// trials say where the study stands.
fn starts_in_turn(view: &StudyView, table: &[Bracket], count: usize) -> Vec<Start> {
    let len = table.len() as u32;
    let indices: Vec<u32> =
        view.trials().iter().filter_map(|trial| bracket_of(trial, view, table.len())).collect();
    let mut current = indices.iter().copied().max().unwrap_or(0);
    let mut filled = indices.iter().filter(|index| **index == current).count() as u64;
    let mut starts = Vec::with_capacity(count);
    while starts.len() < count {
        if filled >= table[(current % len) as usize].stages[0] {
            current += 1;
            filled = 0;
        }
        let rung = table[(current % len) as usize].start;
        starts.push(Start { rung, bracket: (len > 1).then_some(current) });
        filled += 1;
    }
    starts
}

/// The study's last act: with no start left, nothing running and nothing measured at the top, the best trial of the
/// highest rung where one waits goes on, so that a small budget too ends with a full measurement.
fn last_promotion(standings: &[Standing<'_>], history: &History<'_>) -> Option<Resume> {
    if history.levels.last().is_none_or(|top| !top.entries.is_empty()) {
        return None;
    }
    standings.iter().enumerate().rev().find_map(|(index, standing)| {
        let rung = Rung(index as u32);
        let entry = standing.ranked.iter().find(|entry| waits_at(entry.trial, rung))?;
        Some(Resume { trial: entry.trial.number, rung: Rung(rung.0 + 1) })
    })
}
