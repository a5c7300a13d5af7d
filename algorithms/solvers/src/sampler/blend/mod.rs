//! Blended search: one global search and local threads of direction search.

mod course;
mod step;
mod thread;

use boxwood_core::{Problem, Seed, SolverError, Unsupported};

use self::course::{Course, priority};
use self::step::From;
use self::thread::{Pace, Thread, Threads};
use super::gp::{GpSampler, one_objective};
use super::model::Design;
use super::population::Member;
use super::random::RandomSampler;
use super::sobol::SobolSampler;
use super::tpe::TpeSampler;
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameter of the blend alone.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[ParameterInfo {
    name: "global",
    kind: ParameterKind::Choice { default: "bo", choices: &["bo", "tpe", "random", "none"] },
    meaning: "The global search: a Gaussian process, Parzen densities, random points, or none (`cfo`), so that a new local one \
              starts where the others have converged or wait for results. On the suite `single` the solver `bo` alone is ahead.",
}];

/// Parameters of the local searches.
pub(crate) const LOCAL_PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "step",
        kind: ParameterKind::Number { default: 0.1, low: 1e-3, high: 1.0 },
        meaning: "First length of a local step, as a share of the diagonal of the space.",
    },
    ParameterInfo {
        name: "patience",
        kind: ParameterKind::Number { default: 1.0, low: 0.0, high: 1000.0 },
        meaning: "Steps without improvement, per parameter, after which steps become shorter; between 2 and 10 steps.",
    },
];

/// Steps tried per proposal until one is new; a thread that has none is passed over.
const TRIES: u64 = 32;

/// `BlendSearch` (Wang et al., ICLR 2021) over `FLOW2` threads (Wu et al., AAAI 2021); without a global search CFO.
///
/// A trial that a step has made names its parent, so that the trials are the whole state: threads, their best points, the
/// lengths of their steps and what they cost are played again from them. Each trial goes to the search whose loss,
/// extrapolated by its speed, becomes least. The published region of admissible points around what was tried is left
/// out, because nobody says which parameters are costly; so are its growing steps. A new thread is taken to be as fast as
/// the global search was when it found the first point, and the global search goes on from the best of all.
pub(crate) struct BlendSampler {
    global: Option<Box<dyn Sampler>>,
    pace: Pace,
}

impl BlendSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let design = Design::without_random(parameters)?;
        let global: Option<Box<dyn Sampler>> = match parameters.choice("global")? {
            "tpe" => Some(Box::new(TpeSampler::new(design))),
            "random" => Some(Box::new(RandomSampler)),
            "none" => None,
            _ => Some(Box::new(GpSampler::new(design))),
        };
        Ok(Self { global, ..Self::read_local(parameters)? })
    }

    /// Local threads alone.
    pub(crate) fn read_local(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let pace = Pace { step: parameters.number("step")?, patience: parameters.number("patience")? };
        Ok(Self { global: None, pace })
    }

    /// The thread that gets the next trial; none for the global search.
    fn turn(
        &self,
        request: &Request<'_>,
        threads: &Threads<'_>,
        placed: usize,
        passed: &[bool],
    ) -> Option<usize> {
        let pending = |count: usize| count as f64 * threads.mean_cost;
        let locals = threads.live.iter().map(|thread| (thread.course, pending(thread.pending)));
        let all: Vec<(Course, f64)> =
            locals.chain([(threads.global, pending(threads.global_pending))]).collect();
        let speeds: Vec<Option<f64>> = all.iter().map(|(course, pending)| course.speed(*pending)).collect();
        let fastest = speeds.iter().flatten().copied().fold(0.0, f64::max);
        let left = request.view.problem().max_trials().map_or(f64::INFINITY, |budget| {
            pending(budget.saturating_sub(request.view.started() + placed as u64) as usize)
        });
        let ahead = all.iter().map(|(course, _)| course.cost_of_improvement()).fold(0.0, f64::max).min(left);
        let known = all.iter().map(|(course, _)| course.best).fold(f64::INFINITY, f64::min);
        let global = threads.live.len();
        // Of equals the one that has spent less since its best.
        let rank = |index: usize| {
            let (course, pending) = &all[index];
            // The global search goes on from what all searches have found.
            let best = if index == global { known } else { course.best };
            (priority(best, speeds[index].unwrap_or(fastest), ahead), course.stalled() + pending)
        };
        let compare = |a: usize, b: usize| {
            let (a, b) = (rank(a), rank(b));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        let open = (0..global).filter(|index| threads.live[*index].has_room() && !passed[*index]);
        let best = open.min_by(|a, b| compare(*a, *b))?;
        (self.global.is_none() || compare(best, global).is_le()).then_some(best)
    }

    /// The next step of the thread whose turn it is; none where it is the global search's.
    fn local(
        &self,
        request: &Request<'_>,
        threads: &mut Threads<'_>,
        placed: usize,
        passed: &mut [bool],
        known: &mut Known,
    ) -> Option<Proposal> {
        while let Some(turn) = self.turn(request, threads, placed, passed) {
            let proposal = step(request.view.problem(), &mut threads.live[turn], known);
            if proposal.is_some() {
                return proposal;
            }
            passed[turn] = true;
        }
        None
    }
}

/// The next new step of a thread.
fn step(problem: &Problem, thread: &mut Thread<'_>, known: &mut Known) -> Option<Proposal> {
    let number = thread.incumbent.trial.number;
    let from = From { number, row: thread.incumbent.row(), length: thread.length };
    let seed = Seed(problem.seed()).derive("blend", 0);
    for place in thread.steps..thread.steps + TRIES {
        let row = from.step(problem.space(), place, seed);
        if let Some(row) = row.filter(|row| known.insert(row)) {
            thread.steps = place + 1;
            thread.pending += 1;
            return Some(Proposal { parent: Some(number), ..Proposal::plain(row, "flow2") });
        }
    }
    None
}

impl Sampler for BlendSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        one_objective(problem)?;
        self.global.as_ref().map_or(Ok(()), |global| global.accepts(problem))
    }

    fn starts_from_default(&self, _problem: &Problem) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let members = request.history.levels.last().map(Member::all).unwrap_or_default();
        let mut threads = Threads::replay(request.view, &members, self.pace);
        let mut passed = vec![false; threads.live.len()];
        let mut chosen: Vec<Vec<f64>> = request.placed.to_vec();
        let mut proposals = Proposals::default();
        for index in 0..request.starts.len() {
            request.stop.check()?;
            let mut proposal = self.local(request, &mut threads, chosen.len(), &mut passed, known);
            if proposal.is_none() {
                threads.global_pending += 1;
                let starts = &request.starts[index..=index];
                let seed = request.seed.derive("global", index as u64);
                let request = Request { starts, placed: &chosen, seed, ..*request };
                let global = self.global.as_deref().unwrap_or(&SobolSampler);
                let mut found = global.propose(&request, known)?;
                proposals.notes.append(&mut found.notes);
                proposals.numbers = found.numbers;
                // What the global search's model expects says nothing of the local ones beside it.
                let found = found.list.pop();
                proposal = found.map(|found| Proposal { log_improvement: None, regret_bound: None, ..found });
            }
            let Some(proposal) = proposal else { break };
            chosen.push(proposal.row.clone());
            proposals.list.push(proposal);
        }
        proposals.numbers.push(("threads".into(), threads.live.len() as f64));
        Ok(proposals)
    }
}

#[cfg(test)]
mod tests;
