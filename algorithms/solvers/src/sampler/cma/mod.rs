//! CMA-ES with margin, replayed from the history.

mod distribution;
mod margin;
mod memo;
mod strategy;

use std::cmp::Ordering;

use boxwood_core::{
    Problem, SearchSpace, Seed, SolverError, StudyView, TrialNumber, TrialStatus, TrialView, Unsupported,
};

use super::gp::one_objective;
use super::model::{Design, mix};
use super::population::Member as Ended;
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::{History, Known};
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};
use distribution::{Columns, Distribution, Member};
use margin::keep_margin;
use memo::Memo;
use strategy::Strategy;

/// Parameters of the evolution strategy.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "population",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 10_000 },
        meaning: "Trials per generation until the first restart; 0 is 4 + 3 ln d. Each restart doubles it.",
    },
    ParameterInfo {
        name: "sigma",
        kind: ParameterKind::Number { default: 0.2, low: 1e-6, high: 1.0 },
        meaning: "First standard deviation of each number, as a share of its range.",
    },
];

/// Draws per trial until one is new and valid; the history's numbers are found again among as many.
const DRAWS: u64 = 8;
/// Deviation of every continuous number, in the unit cube, below which a run has converged.
const SMALLEST_DEVIATION: f64 = 1e-8;
/// Condition of the covariance above which a run has degenerated.
const LARGEST_CONDITION: f64 = 1e14;
/// Restarts that still double the population.
const DOUBLINGS: u32 = 8;

/// The covariance matrix adaptation evolution strategy (Hansen, 2016) with margin for discrete numbers (Hamano et al.,
/// 2022) and restarts with doubled populations (Auger and Hansen, IPOP-CMA-ES, 2005).
///
/// Trials in order of their numbers fall into generations, whoever proposed them. A generation updates the distribution
/// once half of it has ended; what is still pending is left out until it reports, and nobody waits. Failures rank last.
/// Generations of which nothing is pending are replayed once.
#[derive(Debug)]
pub(crate) struct CmaSampler {
    population: usize,
    sigma: f64,
    memo: Memo,
}

impl CmaSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        Ok(Self {
            population: parameters.integer("population")? as usize,
            sigma: parameters.number("sigma")?,
            memo: Memo::default(),
        })
    }
}

/// The point that a trial number draws; further attempts are for points that are known or invalid.
fn draw(
    distribution: &Distribution,
    columns: &Columns,
    space: &SearchSpace,
    problem: &Problem,
    number: u32,
    attempt: u64,
) -> Option<(Member, Vec<f64>)> {
    let seed = Seed(problem.seed()).derive("cma_es", u64::from(number) * DRAWS + attempt);
    let (member, mut row) = distribution.draw(columns, space.dimensions().len(), &mut seed.rng());
    if !space.snap(&mut row) {
        return None;
    }
    // Only what is active has been chosen.
    let choices = member.choices.iter().zip(&columns.choices);
    let choices = choices.map(|(choice, (column, _))| choice.filter(|_| !row[*column].is_nan())).collect();
    Some((Member { choices, ..member }, row))
}

/// The strategy's state after everything that a view shows.
#[derive(Debug, Clone)]
struct Search {
    columns: Columns,
    distribution: Distribution,
    population: usize,
    restarts: u32,
    /// Best member of this run: violation, loss and number.
    best: Option<(f64, f64, TrialNumber)>,
    /// Generations since the best member came.
    stalled: u64,
    /// Losses of the best members of the latest generations.
    latest: Vec<f64>,
}

impl Search {
    fn new(problem: &Problem, sampler: &CmaSampler) -> Result<Self, SolverError> {
        let space = problem.space();
        let columns = Columns::new(space);
        let population = match sampler.population {
            0 => Strategy::population(columns.numbers.len() + columns.choices.len()),
            given => given.max(2),
        };
        let default = space.default_point().and_then(|point| space.encode(&point).ok());
        let center = default.unwrap_or_else(|| vec![0.5; space.dimensions().len()]);
        let distribution = Distribution::new(&columns, &center, sampler.sigma)?;
        let (best, latest) = (None, Vec::new());
        Ok(Self { columns, distribution, population, restarts: 0, best, stalled: 0, latest })
    }

    /// Replays every generation whose trials have all been started.
    fn replay(
        problem: &Problem,
        view: &StudyView,
        history: &History<'_>,
        sampler: &CmaSampler,
    ) -> Result<Self, SolverError> {
        let ended = history.levels.last().map(Ended::all).unwrap_or_default();
        let counts = |trial: &&TrialView| trial.status != TrialStatus::Cancelled;
        let numbers: Vec<_> = view.trials().iter().filter(counts).map(|trial| trial.number).collect();
        let (mut search, mut first) = match sampler.memo.recall(problem, &numbers, &ended) {
            Some(recalled) => recalled,
            None => (Self::new(problem, sampler)?, 0),
        };
        let known = first;
        let (mut seen, mut settled) = (first, None);
        while first + search.population <= numbers.len() {
            let last = numbers[first + search.population - 1];
            let count = ended[seen..].iter().take_while(|member| member.trial.number <= last).count();
            first += search.population;
            let generation = ended[seen..seen + count].to_vec();
            seen += count;
            search.apply(problem, generation, sampler)?;
            if seen == first {
                settled = Some((search.clone(), first));
            }
        }
        if let Some((search, count)) = settled {
            sampler.memo.keep(problem, &search, &ended[..count], known);
        }
        Ok(search)
    }

    fn apply(
        &mut self,
        problem: &Problem,
        mut generation: Vec<Ended<'_>>,
        sampler: &CmaSampler,
    ) -> Result<(), SolverError> {
        if generation.len() < self.population.div_ceil(2).max(2) {
            return Ok(());
        }
        generation.sort_by(Ended::compare);
        let ranked: Vec<Member> = generation.iter().map(|ended| self.member(problem, ended.trial)).collect();
        self.distribution.update(&ranked)?;
        if self.columns.round() {
            let width = self.columns.numbers.len() + self.columns.choices.len();
            let alpha = 1.0 / (width * self.population) as f64;
            keep_margin(&mut self.distribution, &self.columns, problem.space(), alpha.min(0.3));
        }
        let first = generation.first().and_then(|first| Some((first, first.result?)));
        let Some((first, result)) = first else { return Ok(()) };
        let loss = result.losses.first().copied().unwrap_or(f64::MAX);
        self.stalled += 1;
        let found = (first.violation(), loss, first.trial.number);
        if self.best.is_none_or(|best| compare(&found, &best).is_lt()) {
            self.best = Some(found);
            self.stalled = 0;
        }
        self.latest.push(loss);
        if self.has_converged() { self.restart(problem, sampler) } else { Ok(()) }
    }

    /// A trial as a member: with the latent numbers that it was drawn from where they can be found again.
    fn member(&self, problem: &Problem, trial: &TrialView) -> Member {
        let space = problem.space();
        if self.columns.round() {
            for attempt in 0..DRAWS {
                let drawn = draw(&self.distribution, &self.columns, space, problem, trial.number.0, attempt);
                let same = |row: &[f64]| {
                    row.iter().zip(&trial.encoded).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
                };
                if let Some((member, _)) = drawn.filter(|(_, row)| same(row)) {
                    return member;
                }
            }
        }
        Member::of_row(&self.columns, &trial.encoded)
    }

    /// The usual reasons to stop a run: no width left, a degenerate shape, equal best losses for long, no progress.
    fn has_converged(&self) -> bool {
        let d = self.columns.numbers.len().max(1) as f64;
        let population = self.population as f64;
        let mut continuous =
            self.columns.numbers.iter().enumerate().filter(|(_, (_, levels))| !levels).peekable();
        let narrow = continuous.peek().is_some()
            && continuous.all(|(i, _)| self.distribution.deviation(i) < SMALLEST_DEVIATION);
        let window = (10.0 + 30.0 * d / population).ceil() as usize;
        let flat = self.latest.len() >= window && {
            let latest = &self.latest[self.latest.len() - window..];
            latest.iter().all(|loss| *loss == latest[0])
        };
        let stalled = self.stalled as f64 > 100.0 + 100.0 * d.powf(1.5) / population;
        narrow || flat || stalled || self.distribution.condition() > LARGEST_CONDITION
    }

    fn restart(&mut self, problem: &Problem, sampler: &CmaSampler) -> Result<(), SolverError> {
        self.restarts += 1;
        if self.restarts <= DOUBLINGS {
            self.population *= 2;
        }
        let seed = Seed(problem.seed()).derive("restart", u64::from(self.restarts));
        let space = problem.space();
        let center = space.sample(&mut seed.rng()).unwrap_or_else(|_| vec![0.5; space.dimensions().len()]);
        self.distribution = Distribution::new(&self.columns, &center, sampler.sigma)?;
        self.best = None;
        self.stalled = 0;
        self.latest.clear();
        Ok(())
    }
}

/// Better first, as [`Ended::compare`].
fn compare(a: &(f64, f64, TrialNumber), b: &(f64, f64, TrialNumber)) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
}

impl Sampler for CmaSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        one_objective(problem)
    }

    fn starts_from_default(&self, _problem: &Problem) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let search = Search::replay(problem, request.view, request.history, self)?;
        let next = request.view.trials().last().map_or(1, |trial| trial.number.0 + 1);
        let design = Design::of_trials(1);
        let mut pick = |chosen: &[Vec<f64>], _: Seed, known: &Known| {
            let number = next + chosen.len() as u32;
            let space = problem.space();
            let mut drawn = (0..DRAWS).filter_map(|attempt| {
                draw(&search.distribution, &search.columns, space, problem, number, attempt)
            });
            let row = drawn.find(|(_, row)| !known.contains(row));
            Ok(row.map(|(_, row)| Proposal::plain(row, "cma_es")))
        };
        let mut proposals = mix(request, known, &design, true, &mut pick)?;
        proposals.numbers.push(("sigma".into(), search.distribution.sigma));
        proposals.numbers.push(("restarts".into(), f64::from(search.restarts)));
        Ok(proposals)
    }
}

#[cfg(test)]
mod tests;
