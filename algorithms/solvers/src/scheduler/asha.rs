//! Asynchronous successive halving: plain, delayed, and over the brackets of Hyperband.
//!
//! When a worker is free, rungs are scanned from the second highest down; at a rung the best `floor(n / eta)` of the
//! `n` trials that ended there are promotable, and one that has not been promoted goes up; otherwise a new trial starts
//! (Li et al., 2020, algorithm 2). Delayed promotion (Li et al., 2022, D-ASHA) also requires
//! `(promoted + 1) / ended <= 1 / eta` at the rung, so that early and lucky trials do not flood the rungs above.
//! Failed and infeasible trials count as ended and rank last.

use boxwood_core::{Ask, Bracket, Origin, Rung, Seed, StudyView, TrialStatus, TrialView, Unsupported};
use rand::RngExt;

use super::cost::start_costs;
use super::{Resume, RungWeights, Schedule, ScheduleEnd, Scheduler, Start, bracket_of};
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

/// Fraction of the golden ratio: its multiples modulo one are evenly spread at any length.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;

/// Asynchronous halving on one ladder shared by all brackets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asynchronous {
    delayed: bool,
    /// Number of brackets cycled through; `usize::MAX` for all.
    brackets: usize,
    start_threshold: usize,
    /// Whether each new trial draws its bracket by the sampler's rung weights and the rungs' costs (Hyper-Tune).
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

/// Whether a trial waits at a rung.
fn waits_at(trial: &TrialView, rung: Rung) -> bool {
    trial.status == TrialStatus::Paused && trial.last().is_some_and(|last| last.rung == rung)
}

impl Scheduler for Asynchronous {
    fn schedule(
        &self,
        view: &StudyView,
        history: &History<'_>,
        ask: Ask,
        weights: RungWeights<'_>,
        _seed: Seed,
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
        let count = ask.starts().min(ask.want - resumes.len());
        let starts = self.starts(view, history, &table, count, weights);
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

    /// New trials, by turns of whole brackets or each by its own draw.
    ///
    /// A bracket's index is `cycle * brackets + bracket`, and it rises, so that the last index and the number of its
    /// trials say where the study stands.
    fn starts(
        &self,
        view: &StudyView,
        history: &History<'_>,
        table: &[Bracket],
        count: usize,
        weights: RungWeights<'_>,
    ) -> Vec<Start> {
        let len = table.len() as u32;
        let own = |trial| bracket_of(trial, view, table.len());
        let indices: Vec<u32> = view.trials().iter().filter_map(own).collect();
        let current = indices.iter().copied().max();
        if self.choose && len > 1 && count > 0 {
            let shares = bracket_shares(view, history, table, weights().as_deref());
            return drawn_starts(view, table, count, &shares, current);
        }
        let mut current = current.unwrap_or(0);
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
}

/// Share of new trials per bracket: `w_i = theta_i / c_i` with the sampler's weight theta of the bracket's start rung and
/// the cost c of a start there (Li et al., 2022, equation 3). Without weights theta is equal, which spends about the same
/// on every bracket, as Hyperband does.
fn bracket_shares(
    view: &StudyView,
    history: &History<'_>,
    table: &[Bracket],
    weights: Option<&[f64]>,
) -> Vec<f64> {
    let costs = start_costs(view.problem().ladder(), history);
    let share = |weighted: bool, bracket: &Bracket| {
        let rung = bracket.start.0 as usize;
        let theta =
            weights.filter(|_| weighted).map_or(1.0, |weights| weights.get(rung).copied().unwrap_or(0.0));
        theta.max(0.0) / cost(bracket, &costs)
    };
    let shares: Vec<f64> = table.iter().map(|bracket| share(true, bracket)).collect();
    if shares.iter().sum::<f64>() > 0.0 {
        return shares;
    }
    table.iter().map(|bracket| share(false, bracket)).collect()
}

/// What a bracket costs per trial that starts in it, promotions in full included.
fn cost(bracket: &Bracket, costs: &[f64]) -> f64 {
    let started = bracket.stages[0] as f64;
    let stages = bracket.stages.iter().zip(&costs[bracket.start.0 as usize..]);
    stages.map(|(trials, cost)| *trials as f64 / started * cost).sum()
}

/// One bracket per trial, drawn by its share.
///
/// The draws are a golden-ratio sequence over the study's own starts, so that any stretch of trials holds about its share
/// of every bracket.
fn drawn_starts(
    view: &StudyView,
    table: &[Bracket],
    count: usize,
    shares: &[f64],
    current: Option<u32>,
) -> Vec<Start> {
    let len = table.len() as u32;
    let offset = Seed(view.problem().seed()).derive("bracket", 0).rng().random::<f64>();
    let before = view.trials().iter().filter(|trial| trial.origin == Origin::Solver).count();
    let mut cycle = current.map_or(0, |current| current / len + 1);
    (before..before + count)
        .map(|index| {
            let chosen = pick(shares, (offset + index as f64 * GOLDEN_RATIO).fract());
            let bracket = Some(cycle * len + chosen as u32);
            cycle += 1;
            Start { rung: table[chosen].start, bracket }
        })
        .collect()
}

/// The index at which the running sum of the shares passes `uniform` of their total; the last positive one at the end.
fn pick(shares: &[f64], uniform: f64) -> usize {
    let total: f64 = shares.iter().sum();
    let mut left = uniform * total;
    let mut last = 0;
    for (index, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        last = index;
        left -= share;
        if left < 0.0 {
            break;
        }
    }
    last
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
