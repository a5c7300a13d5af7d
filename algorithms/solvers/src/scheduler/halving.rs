//! Synchronous successive halving and Hyperband.
//!
//! A bracket starts `n` trials at its lowest rung and keeps the best `floor(n / eta^i)` of them for stage `i`, after
//! all trials of the stage before have ended (Jamieson and Talwalkar, 2016; Li et al., 2018, algorithm 1; table from
//! [`boxwood_core::RungLadder::brackets`]). Which trials a stage keeps follows from results that no longer change, so
//! a bracket needs no memory beyond the bracket index in its trials' provenance.

use boxwood_core::{Ask, Bracket, Origin, Rung, Seed, StudyView, TrialStatus, TrialView, Unsupported};

use super::stream::Stream;
use super::{Advice, Resume, Schedule, ScheduleEnd, Scheduler, Start, bracket_of};
use crate::history::{Entry, History};
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of synchronous brackets.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "overlap",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 64 },
        meaning: "Further brackets that may be open while earlier ones wait for a stage to end; not used by a stream.",
    },
    ParameterInfo {
        name: "stages",
        kind: ParameterKind::Choice { default: "halving", choices: &["halving", "flattened", "fixed"] },
        meaning: "What becomes of a bracket's stages. halving: each keeps the best trials of the one below. flattened: each starts \
                  trials of its own, in one stream without waiting (OpenBox's bohb_flatten and mfes_flatten). fixed: no \
                  brackets, every trial is trained to `fixed_rung`.",
    },
    ParameterInfo {
        name: "fixed_rung",
        kind: ParameterKind::Integer { default: 1_000, low: 0, high: 1_000 },
        meaning: "With `stages` = `fixed`: the rung, counted from 0; the top one when it is larger.",
    },
];

/// Reads the scheduler that the parameters name.
pub(crate) fn read(parameters: &Parameters<'_>, hyperband: bool) -> Result<Box<dyn Scheduler>, Unsupported> {
    Ok(match parameters.choice("stages")? {
        "flattened" => Box::new(Stream::Flattened { hyperband }),
        "fixed" => Box::new(Stream::Fixed(Rung(parameters.integer("fixed_rung")? as u32))),
        _ => Box::new(Halving::read(parameters, hyperband)?),
    })
}

/// Synchronous brackets, one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halving {
    /// Whether all brackets of Hyperband are cycled, or only the most exploring one.
    hyperband: bool,
    overlap: usize,
}

/// What a bracket wants.
enum Stage {
    /// All stages have ended.
    Ended,
    /// These moves are still missing in the present stage; with none it waits.
    Open { resumes: Vec<Resume>, missing_starts: usize, rung: Rung },
}

impl Halving {
    fn read(parameters: &Parameters<'_>, hyperband: bool) -> Result<Self, Unsupported> {
        Ok(Self { hyperband, overlap: parameters.integer("overlap")? as usize })
    }
}

/// Trials of each bracket: the solver's by their provenance; a user's trial joins the first bracket that was filled up
/// after it was enqueued, or the last one while that is not full.
fn members<'a>(view: &'a StudyView, table: &[Bracket]) -> Vec<Vec<&'a TrialView>> {
    let mut members: Vec<Vec<&TrialView>> = Vec::new();
    for trial in view.trials() {
        let Some(bracket) = bracket_of(trial, view, table.len()) else { continue };
        let index = bracket as usize;
        if members.len() <= index {
            members.resize_with(index + 1, Vec::new);
        }
        members[index].push(trial);
    }
    let own: Vec<(usize, Option<u32>)> = members
        .iter()
        .map(|trials| (trials.len(), trials.iter().map(|trial| trial.number.0).max()))
        .collect();
    for trial in view.trials().iter().filter(|trial| trial.origin == Origin::User) {
        let home = own.iter().enumerate().position(|(index, (started, last))| {
            let full = *started as u64 >= table[index % table.len()].stages[0];
            last.is_some_and(|last| trial.number.0 < last) || (!full && *started > 0)
        });
        if let Some(home) = home {
            members[home].push(trial);
        }
    }
    members
}

/// Where a bracket stands.
fn stage(bracket: &Bracket, members: &[&TrialView], factor: u64, starts_left: bool) -> Stage {
    let own = members.iter().filter(|trial| trial.origin == Origin::Solver).count() as u64;
    let mut missing_starts = bracket.stages[0].saturating_sub(own) as usize;
    if !starts_left {
        missing_starts = 0;
    }
    let mut participants: Vec<&TrialView> = members.to_vec();
    participants.retain(|trial| trial.status != TrialStatus::Cancelled);
    for index in 0..bracket.stages.len() {
        let rung = Rung(bracket.start.0 + index as u32);
        let unmeasured = || participants.iter().filter(|trial| trial.result(rung).is_none());
        let waits = unmeasured().any(|trial| trial.is_pending());
        let resumes: Vec<Resume> = unmeasured()
            .filter(|trial| trial.status == TrialStatus::Paused)
            .map(|trial| Resume { trial: trial.number, rung })
            .collect();
        if waits || !resumes.is_empty() || missing_starts > 0 {
            return Stage::Open { resumes, missing_starts, rung };
        }
        let mut ranked: Vec<Entry<'_>> = participants
            .iter()
            .filter_map(|trial| trial.result(rung).map(|result| Entry { trial, result }))
            .collect();
        ranked.sort_by(Entry::compare);
        let keep = (own / factor.pow(index as u32 + 1)).max(1) as usize;
        participants = ranked.into_iter().take(keep).map(|entry| entry.trial).collect();
    }
    Stage::Ended
}

impl Scheduler for Halving {
    fn schedule(
        &self,
        view: &StudyView,
        history: &History<'_>,
        ask: Ask,
        _advice: &dyn Advice,
        _seed: Seed,
    ) -> Schedule {
        let ladder = view.problem().ladder();
        let factor = u64::from(ladder.reduction_factor());
        let mut table = ladder.brackets();
        if !self.hyperband {
            table.truncate(1);
        }
        let members = members(view, &table);
        let mut resumes = Vec::new();
        let mut starts: Vec<Start> = Vec::new();
        let mut open = 0;
        for index in 0_usize.. {
            let left = ask.want - resumes.len() - starts.len();
            if left == 0 || open > self.overlap {
                break;
            }
            let starts_left = ask.starts() > starts.len();
            let trials = members.get(index).map_or(&[][..], Vec::as_slice);
            if trials.is_empty() && index >= members.len() && !starts_left {
                break;
            }
            let bracket = &table[index % table.len()];
            // A bracket that every trial left by cancellation or that the budget never filled is passed over.
            match stage(bracket, trials, factor, starts_left) {
                Stage::Ended => {}
                Stage::Open { resumes: wanted, missing_starts, rung } => {
                    open += 1;
                    resumes.extend(wanted.into_iter().take(left));
                    let left = ask.want - resumes.len() - starts.len();
                    let count = missing_starts.min(left).min(ask.starts() - starts.len());
                    starts.extend(vec![Start { rung, bracket: Some(index as u32) }; count]);
                }
            }
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
