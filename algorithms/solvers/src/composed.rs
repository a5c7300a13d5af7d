//! A solver is a sampler and a scheduler.

use boxwood_core::{
    Ask, Diagnostics, Move, Plan, PlanEnd, Problem, Provenance, Seed, Signal, Solver, SolverError, StopFlag,
    StudyView, TrialNumber, TrialView, Unsupported, Verdict,
};

use crate::early_stopping::EarlyStopping;
use crate::fill::random_rows;
use crate::history::{History, Known};
use crate::sampler::{Proposal, Request, Sampler};
use crate::scheduler::{Advice, Resume, Schedule, ScheduleEnd, Scheduler, Start};

/// Reason of a plan that ends because the space has run out.
pub(crate) const SPACE_USED_UP: &str = "the space has no further valid point that was not tried";
/// Reason of a plan that ends because the budget has.
pub(crate) const BUDGET_SPENT: &str = "the budget of trials is spent and nothing is left to promote";

/// A named composition of a sampler and a scheduler.
pub(crate) struct Composed {
    name: String,
    sampler: Box<dyn Sampler>,
    scheduler: Box<dyn Scheduler>,
    stopping: Option<EarlyStopping>,
}

/// A sampler's model as a scheduler sees it.
struct Model<'a> {
    sampler: &'a dyn Sampler,
    view: &'a StudyView,
    history: &'a History<'a>,
}

impl Advice for Model<'_> {
    fn weights(&self) -> Option<Vec<f64>> {
        self.sampler.rung_weights(self.view, self.history)
    }

    fn forecast(&self, trials: &[&TrialView]) -> Option<Vec<f64>> {
        self.sampler.forecast(self.view, self.history, trials)
    }
}

/// New points for a schedule's starts.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    pub(crate) list: Vec<Proposal>,
    pub(crate) diagnostics: Diagnostics,
}

impl Composed {
    pub(crate) fn new(name: &str, sampler: Box<dyn Sampler>, scheduler: Box<dyn Scheduler>) -> Self {
        Self { name: name.to_owned(), sampler, scheduler, stopping: None }
    }

    /// The same solver with a rule that stops running trials.
    pub(crate) fn with_early_stopping(self, stopping: Option<EarlyStopping>) -> Self {
        Self { stopping, ..self }
    }

    /// Whether running trials may be stopped.
    pub(crate) fn stops_early(&self) -> bool {
        self.stopping.is_some()
    }

    /// Who runs next and where new trials start.
    pub(crate) fn schedule(&self, view: &StudyView, history: &History<'_>, ask: Ask, seed: Seed) -> Schedule {
        let advice = Model { sampler: self.sampler.as_ref(), view, history };
        self.scheduler.schedule(view, history, ask, &advice, seed)
    }

    /// Points for new trials: initial points, the default point where the sampler wants it, then the sampler's own.
    /// Fewer than `starts` only when the space has no further point.
    pub(crate) fn place(
        &self,
        view: &StudyView,
        history: &History<'_>,
        starts: &[Start],
        seed: Seed,
        stop: &StopFlag,
    ) -> Result<Placed, SolverError> {
        let mut placed = Placed::default();
        if starts.is_empty() {
            return Ok(placed);
        }
        let mut known = history.known.clone();
        placed.list = self.first_points(view.problem(), &mut known, starts.len())?;
        let rest = &starts[placed.list.len()..];
        if rest.is_empty() {
            return Ok(placed);
        }
        let rows: Vec<Vec<f64>> = placed.list.iter().map(|proposal| proposal.row.clone()).collect();
        let request = Request { view, history, starts: rest, placed: &rows, within: None, seed, stop };
        match self.sampler.propose(&request, &mut known) {
            Ok(proposals) => {
                placed.list.extend(proposals.list);
                placed.diagnostics.notes.extend(proposals.notes);
                placed.diagnostics.numbers.extend(proposals.numbers);
            }
            Err(SolverError::Numeric(reason)) => {
                let note = format!("numeric failure, random points instead: {reason}");
                placed.diagnostics.notes.push(note);
                // The failed sampler may have marked rows that it then did not propose.
                let mut known = history.known.clone();
                for row in &rows {
                    known.insert(row);
                }
                let space = view.problem().space();
                let rows = random_rows(space, &mut known, rest.len(), seed.derive("fallback", 0));
                placed.list.extend(rows.into_iter().map(|row| Proposal::plain(row, "random")));
            }
            Err(error) => return Err(error),
        }
        Ok(placed)
    }

    fn first_points(
        &self,
        problem: &Problem,
        known: &mut Known,
        count: usize,
    ) -> Result<Vec<Proposal>, SolverError> {
        let space = problem.space();
        let default = if self.sampler.starts_from_default(problem) { space.default_point() } else { None };
        let initial = problem.initial_points().iter().map(|point| (point, "initial"));
        let encode = |(point, sampler)| match space.encode(point) {
            Ok(row) => Ok((row, sampler)),
            Err(error) => Err(SolverError::Bug(format!("encode: {error}"))),
        };
        let warm = self.sampler.warm_rows(problem).into_iter().map(|row| Ok((row, "warm_start")));
        let first =
            initial.map(encode).chain(warm).chain(default.iter().map(|point| encode((point, "default"))));
        let mut list = Vec::new();
        for row in first {
            if list.len() == count {
                break;
            }
            let (row, sampler) = row?;
            if known.insert(&row) {
                list.push(Proposal::plain(row, sampler));
            }
        }
        Ok(list)
    }

    /// The moves of a schedule whose starts have their points.
    pub(crate) fn moves(
        &self,
        view: &StudyView,
        resumes: &[Resume],
        starts: &[Start],
        proposals: Vec<Proposal>,
    ) -> Vec<Move> {
        let resumed = resumes.iter().map(|resume| {
            let before = view.trial(resume.trial).map(|trial| trial.provenance.clone());
            let provenance = Provenance { solver: self.name.clone(), ..before.unwrap_or_default() };
            Move::Resume { trial: resume.trial, rung: resume.rung, provenance }
        });
        let started = starts.iter().zip(proposals).map(|(start, proposal)| {
            let provenance = Provenance {
                solver: self.name.clone(),
                sampler: proposal.sampler.to_owned(),
                model: proposal.model,
                bracket: start.bracket,
                acquisition: proposal.acquisition,
                log_improvement: proposal.log_improvement,
                regret_bound: proposal.regret_bound,
                predicted_mean: proposal.prediction.map(|(mean, _)| mean),
                predicted_deviation: proposal.prediction.map(|(_, deviation)| deviation),
                parent: proposal.parent,
                ..Provenance::default()
            };
            let point = view.problem().space().decode(&proposal.row);
            Move::Start { point, rung: start.rung, provenance }
        });
        resumed.chain(started).collect()
    }
}

impl Solver for Composed {
    fn name(&self) -> &str {
        &self.name
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Unsupported> {
        let refuse = |reason: String| Unsupported { solver: self.name.clone(), reason };
        if self.scheduler.ranks() && problem.objectives().len() > 1 {
            return Err(refuse("objectives: promotions rank trials by one objective".into()));
        }
        if self.stops_early() {
            EarlyStopping::accepts(problem).map_err(refuse)?;
        }
        self.sampler.accepts(problem).map_err(refuse)
    }

    fn tells(&self, problem: &Problem, signal: Signal) -> Result<(), Unsupported> {
        let refuse = |reason| Unsupported { solver: self.name.clone(), reason };
        self.sampler.tells(problem, signal).map_err(refuse)
    }

    fn plan(&self, view: &StudyView, ask: Ask, seed: Seed, stop: &StopFlag) -> Result<Plan, SolverError> {
        stop.check()?;
        let history = History::new(view);
        let mut schedule = self.schedule(view, &history, ask, seed);
        let mut placed = self.place(view, &history, &schedule.starts, seed, stop)?;
        let used_up = placed.list.len() < schedule.starts.len();
        if used_up {
            // What the space still gives is all there will be: the scheduler winds up with it.
            let ask = Ask { want: ask.want, starts_left: Some(placed.list.len() as u64) };
            schedule = self.schedule(view, &history, ask, seed);
        }
        let end = match schedule.end {
            ScheduleEnd::More => PlanEnd::More,
            ScheduleEnd::Waiting => PlanEnd::NotNow,
            ScheduleEnd::Spent if used_up => PlanEnd::Exhausted(SPACE_USED_UP.into()),
            ScheduleEnd::Spent => PlanEnd::Exhausted(BUDGET_SPENT.into()),
        };
        let proposals = std::mem::take(&mut placed.list);
        let moves = self.moves(view, &schedule.resumes, &schedule.starts, proposals);
        Ok(Plan { moves, end, diagnostics: placed.diagnostics })
    }

    fn judge(&self, view: &StudyView, trial: TrialNumber) -> Verdict {
        self.stopping.as_ref().map_or(Verdict::Continue, |stopping| stopping.judge(view, trial))
    }
}
