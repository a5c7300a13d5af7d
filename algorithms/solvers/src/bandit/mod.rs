//! The rising bandit: which arm of a CASH space gets the next trial.

mod allocation;
mod elimination;
mod options;

use std::sync::Arc;

use boxwood_core::{
    Ask, Diagnostics, Move, Plan, PlanEnd, Problem, Seed, Signal, Solver, SolverError, SolverSpec,
    SpaceError, StopFlag, StudyView, TrialStatus, TrialView, Unsupported,
};

pub use elimination::{ArmReport, arm_report};
pub(crate) use options::BANDIT_PARAMETERS;
pub use options::BanditOptions;

use allocation::{Turn, in_turn, to_leader};
use elimination::standings;

use crate::auto::plain;
use crate::composed::{BUDGET_SPENT, Composed, Placed, SPACE_USED_UP};
use crate::history::History;
use crate::parameters::Parameters;
use crate::registry::composed;
use crate::scheduler::{Resume, Schedule, Start};

const NAME: &str = "rising_bandit";

/// A bandit over the arms with a solver of its own inside each arm's subspace.
///
/// An arm's solver sees the trials of its arm only, in the arm's subspace. Every arm gets a first trial; then the arm with
/// the best result gets its share of the trials (or of the seconds) as long as that result improves, and what is left goes
/// to the survivor that had the least. A leader that was only lucky so loses its lead after few trials, and the right one
/// is tuned long before the others have left. As published, survivors are pulled in turn, whoever leads. Paused trials of
/// arms that left stay paused.
pub(crate) struct RisingBandit {
    options: BanditOptions,
    /// One solver per arm, in the order of the space.
    inner: Vec<Composed>,
}

impl RisingBandit {
    pub(crate) fn read(spec: &SolverSpec, problem: &Problem) -> Result<Self, Unsupported> {
        let refuse = |reason: String| Unsupported { solver: NAME.into(), reason };
        let options = BanditOptions::read(spec)?;
        let given = Parameters::new(spec, &[BANDIT_PARAMETERS]).solver("inner")?;
        if problem.space().arms().is_empty() {
            return Err(refuse("space: it has no arms to choose among".into()));
        }
        let mut inner = Vec::new();
        for arm in problem.space().arms() {
            let own = arm_problem(problem, arm).map_err(|error| refuse(format!("arm `{arm}`: {error}")))?;
            let spec = match &given {
                Some(spec) if spec.name != "auto" => spec.clone(),
                _ => plain(&own).spec,
            };
            let solver = composed(&spec).map_err(|error| refuse(format!("inner: {error}")))?;
            if solver.stops_early() {
                return Err(refuse("inner: `early_stopping` is not used inside an arm".into()));
            }
            solver.accepts(&own).map_err(|error| refuse(format!("inner, arm `{arm}`: {error}")))?;
            inner.push(solver);
        }
        Ok(Self { options, inner })
    }

    fn schedule(&self, turn: &mut Turn<'_>, ask: Ask, seed: Seed) {
        let starts_left = match turn.cap {
            Some(cap) => Some(ask.starts_left.unwrap_or(u64::MAX).min(cap as u64)),
            None => ask.starts_left,
        };
        let ask = Ask { want: ask.want, starts_left };
        turn.schedule = self.inner[turn.index].schedule(turn.view, &turn.history, ask, arm_seed(seed, turn));
    }
}

fn arm_seed(seed: Seed, turn: &Turn<'_>) -> Seed {
    seed.derive("arm", turn.index as u64)
}

/// The problem of one arm: its subspace, its initial points, an even share of the budget.
fn arm_problem(problem: &Problem, arm: &str) -> Result<Problem, SpaceError> {
    let space = problem.space();
    let subspace = Arc::new(space.subspace(arm)?);
    let own = problem.initial_points().iter().filter(|point| space.arm_of(point) == Some(arm));
    let points: Result<Vec<_>, SpaceError> = own.map(|point| subspace.canonical(point)).collect();
    let share = problem.max_trials().map(|max| max.div_ceil(space.arms().len() as u64));
    Ok(problem.on_space(subspace).with_initial_points(points?).with_max_trials(share))
}

/// The study as an arm's solver sees it: its own trials, encoded in its subspace.
fn arm_view(view: &StudyView, arm: &str) -> Result<StudyView, SpaceError> {
    let space = view.problem().space();
    let problem = arm_problem(view.problem(), arm)?;
    let column = |dimension: &boxwood_core::space::Dimension| {
        space.dimensions().iter().position(|other| other.name == dimension.name)
    };
    let columns: Option<Vec<usize>> = problem.space().dimensions().iter().map(column).collect();
    let own = view.trials().iter().filter(|trial| space.arm_of(&trial.point) == Some(arm));
    let trials: Result<Vec<TrialView>, SpaceError> = own
        .map(|trial| {
            let encoded = match &columns {
                Some(columns) => columns.iter().map(|column| trial.encoded[*column]).collect(),
                None => problem.space().encode(&trial.point)?,
            };
            Ok(TrialView { encoded, ..trial.clone() })
        })
        .collect();
    Ok(StudyView::new(Arc::new(problem), view.change(), trials?))
}

impl Solver for RisingBandit {
    fn name(&self) -> &str {
        NAME
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Unsupported> {
        if problem.space().arms().len() == self.inner.len() && problem.objectives().len() == 1 {
            return Ok(());
        }
        let reason = "it serves the arms of the one-objective study that it was built for".into();
        Err(Unsupported { solver: NAME.into(), reason })
    }

    /// The solvers of all arms must tell the improvement: any of them may be the last one.
    fn tells(&self, problem: &Problem, signal: Signal) -> Result<(), Unsupported> {
        let refuse = |reason: String| Unsupported { solver: NAME.into(), reason };
        if signal == Signal::RegretBound {
            return Err(refuse("a bound within an arm says nothing of the others".into()));
        }
        for (arm, solver) in problem.space().arms().iter().zip(&self.inner) {
            let own = arm_problem(problem, arm).map_err(|error| refuse(format!("arm `{arm}`: {error}")))?;
            solver.tells(&own, signal).map_err(|error| refuse(format!("inner, arm `{arm}`: {error}")))?;
        }
        Ok(())
    }

    fn plan(&self, view: &StudyView, ask: Ask, seed: Seed, stop: &StopFlag) -> Result<Plan, SolverError> {
        stop.check()?;
        self.accepts(view.problem())?;
        let standings = standings(view, &self.options);
        let reports = &standings.reports;
        let names = view.problem().space().arms();
        let alive: Vec<usize> = (0..names.len()).filter(|index| reports[*index].alive).collect();
        let views: Result<Vec<StudyView>, SpaceError> =
            alive.iter().map(|index| arm_view(view, &names[*index])).collect();
        let views = views.map_err(|error| SolverError::Bug(format!("arm view: {error}")))?;
        let mut turns: Vec<Turn<'_>> = Vec::with_capacity(alive.len());
        for (index, own) in alive.iter().zip(&views) {
            let (load, step) = load(&reports[*index], own, self.options.cost_aware);
            let empty =
                Schedule { resumes: vec![], starts: vec![], end: crate::scheduler::ScheduleEnd::Waiting };
            let mut turn = Turn {
                index: *index,
                view: own,
                history: History::new(own),
                schedule: empty,
                load,
                step,
                cap: None,
                resumes: 0,
                starts: 0,
                placed: Placed::default(),
            };
            self.schedule(&mut turn, ask, seed);
            turns.push(turn);
        }
        let gone = reports.iter().filter(|report| !report.alive);
        let elsewhere: f64 = gone
            .map(|report| if self.options.cost_aware { report.spent_seconds } else { report.started as f64 })
            .sum();
        let mut used_up = false;
        loop {
            if self.options.in_turn {
                in_turn(&mut turns, ask);
            } else {
                to_leader(&mut turns, ask, &self.options, standings.improving_leader, elsewhere);
            }
            let mut short = false;
            for turn in &mut turns {
                let starts: &[Start] = &turn.schedule.starts[..turn.starts];
                let own_seed = arm_seed(seed, turn);
                turn.placed =
                    self.inner[turn.index].place(turn.view, &turn.history, starts, own_seed, stop)?;
                let found = turn.placed.list.len();
                if found < turn.starts {
                    // The arm's space gives no more: its solver winds up, and the others share what is left.
                    turn.cap = Some(found);
                    self.schedule(turn, ask, seed);
                    short = true;
                }
            }
            used_up |= short;
            if !short {
                break;
            }
        }
        let mut moves = Vec::new();
        let mut diagnostics = diagnose(reports);
        for turn in &mut turns {
            let resumes: &[Resume] = &turn.schedule.resumes[..turn.resumes];
            let starts = &turn.schedule.starts[..turn.starts];
            let proposals = std::mem::take(&mut turn.placed.list);
            let own = self.inner[turn.index].moves(turn.view, resumes, starts, proposals);
            moves.extend(own.into_iter().map(|planned| signed(planned, &names[turn.index])));
            diagnostics.notes.append(&mut turn.placed.diagnostics.notes);
            let numbers = std::mem::take(&mut turn.placed.diagnostics.numbers);
            diagnostics.numbers.extend(
                numbers.into_iter().map(|(key, value)| (format!("{}.{key}", names[turn.index]), value)),
            );
        }
        let pending = view.trials().iter().any(|trial| trial.status == TrialStatus::Pending);
        let end = if moves.len() == ask.want {
            PlanEnd::More
        } else if pending || !moves.is_empty() {
            PlanEnd::NotNow
        } else {
            PlanEnd::Exhausted(if used_up { SPACE_USED_UP } else { BUDGET_SPENT }.into())
        };
        Ok(Plan { moves, end, diagnostics })
    }
}

/// An arm's load and the cost of one more trial: trials and 1, or seconds and the mean cost of a trial.
fn load(report: &ArmReport, view: &StudyView, cost_aware: bool) -> (f64, f64) {
    let started = report.started as f64;
    if !cost_aware || report.spent_seconds <= 0.0 {
        return (started, 1.0);
    }
    let pending = view.trials().iter().filter(|trial| trial.is_pending()).count() as f64;
    let mean = report.spent_seconds / (started - pending).max(1.0);
    (report.spent_seconds + pending * mean, mean)
}

fn signed(mut planned: Move, arm: &str) -> Move {
    let (Move::Start { provenance, .. } | Move::Resume { provenance, .. }) = &mut planned;
    NAME.clone_into(&mut provenance.solver);
    provenance.arm = Some(arm.to_owned());
    // A bound within an arm says nothing of the others.
    provenance.regret_bound = None;
    planned
}

fn diagnose(reports: &[ArmReport]) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    for report in reports {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.6}"));
        let state = match (&report.eliminated_by, &report.reason) {
            (Some(by), Some(reason)) => {
                format!("left at pull {} to `{by}`: {reason}", report.at_pull.unwrap_or_default())
            }
            (None, Some(reason)) => format!("left: {reason}"),
            _ => "alive".into(),
        };
        diagnostics.notes.push(format!(
            "arm `{}`: {} pulls, best {}, upper {}, {state}",
            report.name,
            report.pulls,
            number(report.best),
            number(report.upper)
        ));
        let mut put = |key: &str, value: Option<f64>| {
            if let Some(value) = value {
                diagnostics.numbers.insert(format!("{}.{key}", report.name), value);
            }
        };
        put("alive", Some(f64::from(u8::from(report.alive))));
        put("pulls", Some(report.pulls as f64));
        put("lower", report.best);
        put("upper", report.upper);
    }
    diagnostics
}
