//! Why a study's solver is what it is, what it learned, and why nothing runs where nothing does.

use std::collections::BTreeMap;

use boxwood_core::{Diagnostics, Point, SolverSpec, StudyView};
use boxwood_solvers::{ArmReport, BanditOptions, arm_report};
use boxwood_store::{Role, Store};
use boxwood_study::{PlanNumber, StudyId, StudyState, TrialState};
use serde::Serialize;

use crate::error::AppError;
use crate::hub::{Trouble, lock};
use crate::snapshot::Seen;
use crate::{App, Principal};

/// Newest plans that are shown.
const PLANS: u64 = 5;

/// Why things are as they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Study.
    pub study: String,
    /// State.
    pub state: StudyState,
    /// Why it is in that state.
    pub state_reason: Option<String>,
    /// Solver of the specification.
    pub solver_asked: String,
    /// Solver that makes the plans.
    pub solver: String,
    /// Why that one, where the rule of `auto` chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_solver: Option<String>,
    /// Newest change.
    pub change: u64,
    /// Trials by state.
    pub counts: BTreeMap<TrialState, u64>,
    /// Best feasible trial.
    pub best: Option<BestPoint>,
    /// Results by rung.
    pub rungs: Vec<RungCount>,
    /// Arms of a CASH space.
    pub arms: Vec<ArmSummary>,
    /// What is left of the budget.
    pub budget_left: BudgetSummary,
    /// Newest plans, newest first.
    pub plans: Vec<PlanSummary>,
    /// Why nothing runs; empty while something does.
    pub why_idle: Vec<String>,
}

/// The best point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestPoint {
    /// Number of the trial.
    pub trial: u32,
    /// Rung of the result.
    pub rung: u32,
    /// Native values of the objectives, by metric.
    pub values: BTreeMap<String, f64>,
    /// The point.
    pub point: Point,
}

/// Results at one rung.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RungCount {
    /// Index.
    pub rung: u32,
    /// Resource units.
    pub resource: u64,
    /// Trials measured there.
    pub measured: u64,
}

/// What became of one arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmSummary {
    /// Arm.
    pub arm: String,
    /// Trials, cancelled ones left out.
    pub trials: u64,
    /// Best native value of the first objective at the highest rung that the arm reached.
    pub best: Option<f64>,
    /// That rung.
    pub rung: Option<u32>,
    /// What the rising bandit makes of it; absent under other solvers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandit: Option<ArmReport>,
}

/// What is left of the budget; absent where there is no such limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetSummary {
    /// Trials.
    pub trials: Option<u64>,
    /// Seconds.
    pub seconds: Option<f64>,
    /// Resource units.
    pub resource: Option<u64>,
    /// Seconds of training over all workers.
    pub training_seconds: Option<f64>,
}

/// A plan in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanSummary {
    /// Number.
    pub plan: u64,
    /// Change that it had seen.
    pub change: u64,
    /// Moves asked for.
    pub want: u32,
    /// Moves made.
    pub moves: usize,
    /// Seconds that it took.
    pub seconds: f64,
    /// Notes and numbers of the solver.
    pub diagnostics: Diagnostics,
}

impl<S: Store> App<S> {
    /// Explains a study.
    pub async fn explain(&self, caller: &Principal, id: StudyId) -> Result<Explanation, AppError> {
        caller.require(Role::Viewer)?;
        self.check_study(caller, id).await?;
        let hub = self.hub(id);
        let seen = self.sync(&hub).await?;
        let newest = seen.study.plan.0;
        let from = PlanNumber(newest.saturating_sub(PLANS - 1).max(1));
        let mut plans = self.inner.store.plans(id, from, PLANS as u32).await?;
        plans.reverse();
        let left = self.budget_left(&seen).await?;
        let trouble = lock(&hub.trouble).clone();
        let why_idle = self.why_idle(&seen, trouble).await?;
        Ok(Explanation {
            study: seen.study.spec.name.clone(),
            state: seen.study.state,
            state_reason: seen.study.state_reason.clone(),
            solver_asked: seen.study.spec.solver.name.clone(),
            solver: seen.model.solver.name().to_owned(),
            why_solver: (seen.study.spec.solver.name == "auto")
                .then(|| boxwood_solvers::auto(seen.view.problem()).explanation),
            change: seen.study.change.0,
            counts: seen.study.counts.clone(),
            best: best(&seen.view),
            rungs: rungs(&seen.view),
            arms: arms(&seen.view, &seen.study.spec.solver),
            budget_left: BudgetSummary {
                trials: left.starts,
                seconds: left.seconds,
                resource: left.resource,
                training_seconds: left.training_seconds,
            },
            plans: plans
                .into_iter()
                .map(|plan| PlanSummary {
                    plan: plan.number.0,
                    change: plan.change.0,
                    want: plan.want,
                    moves: plan.moves.len(),
                    seconds: plan.seconds,
                    diagnostics: plan.diagnostics,
                })
                .collect(),
            why_idle,
        })
    }

    /// Why no trial is leased, in sentences.
    async fn why_idle(&self, seen: &Seen, trouble: Option<Trouble>) -> Result<Vec<String>, AppError> {
        let mut why = Vec::new();
        if seen.count(TrialState::Leased) > 0 {
            return Ok(why);
        }
        match seen.study.state {
            StudyState::Active => {}
            StudyState::Paused | StudyState::Completed | StudyState::Cancelled => {
                let reason = seen.study.state_reason.clone().unwrap_or_else(|| "no reason was given".into());
                why.push(format!("the study is {:?}: {reason}", seen.study.state).to_lowercase());
                return Ok(why);
            }
        }
        match trouble {
            Some(Trouble::Timeout { seconds }) => why.push(format!("no plan was made within {seconds} s")),
            Some(Trouble::Waiting) => why.push("the solver waits for running trials to report".into()),
            Some(Trouble::Exhausted(reason)) => why.push(reason),
            None => {}
        }
        if seen.count(TrialState::Queued) == 0 {
            why.push("the queue is empty: nobody has asked since the last result".into());
        }
        if let Some(program) = &seen.study.spec.program {
            let workers = self.inner.store.workers(seen.study.project).await?;
            let able = workers.iter().filter(|worker| worker.programs.contains(&program.name));
            if able.clone().count() == 0 {
                why.push(format!("no worker with the program `{}` was seen in the last day", program.name));
            } else {
                let requires = &seen.study.spec.requires;
                let fits = |worker: &boxwood_study::WorkerRecord| {
                    requires.iter().all(|(label, value)| worker.labels.get(label) == Some(value))
                };
                if !able.clone().any(fits) {
                    why.push("no worker carries the labels that the study requires".into());
                } else if able.clone().all(|worker| worker.draining || worker.quarantined_until.is_some()) {
                    why.push("every worker that fits is draining or in quarantine".into());
                }
            }
        } else {
            why.push("the study has no program: it runs when a script asks for suggestions".into());
        }
        Ok(why)
    }
}

fn best(view: &StudyView) -> Option<BestPoint> {
    let (trial, result) = view.best()?;
    let objectives = view.problem().objectives().iter().zip(&result.losses);
    let native = |(objective, loss): (&boxwood_core::Objective, &f64)| {
        boxwood_core::Loss::new(*loss).ok().map(|loss| (objective.metric.clone(), objective.native(loss)))
    };
    Some(BestPoint {
        trial: trial.number.0,
        rung: result.rung.0,
        values: objectives.filter_map(native).collect(),
        point: trial.point.clone(),
    })
}

fn rungs(view: &StudyView) -> Vec<RungCount> {
    let measured = |rung| view.trials().iter().filter(|trial| trial.result(rung).is_some()).count() as u64;
    let rungs = view.problem().ladder().rungs();
    rungs.map(|(rung, r)| RungCount { rung: rung.0, resource: r.0, measured: measured(rung) }).collect()
}

fn arms(view: &StudyView, solver: &SolverSpec) -> Vec<ArmSummary> {
    let space = view.problem().space();
    let mut reports = bandit_reports(view, solver);
    let objective = &view.problem().objectives()[0];
    let mut summary = |arm: &String| {
        let trials: Vec<_> = view
            .trials()
            .iter()
            .filter(|trial| trial.status != boxwood_core::TrialStatus::Cancelled)
            .filter(|trial| space.arm_of(&trial.point) == Some(arm.as_str()))
            .collect();
        let last = trials.iter().filter_map(|trial| trial.last());
        let top = last.clone().map(|result| result.rung).max();
        let at_top = last.filter(|result| Some(result.rung) == top);
        let loss = at_top.filter_map(|result| result.losses.first().copied()).min_by(f64::total_cmp);
        ArmSummary {
            arm: arm.clone(),
            trials: trials.len() as u64,
            best: loss.and_then(|loss| boxwood_core::Loss::new(loss).ok()).map(|loss| objective.native(loss)),
            rung: top.map(|rung| rung.0),
            bandit: reports.remove(arm),
        }
    };
    space.arms().iter().map(&mut summary).collect()
}

/// The bandit's reports by arm; none where another solver chooses the arms.
fn bandit_reports(view: &StudyView, solver: &SolverSpec) -> BTreeMap<String, ArmReport> {
    let chosen =
        if solver.name == "auto" { boxwood_solvers::auto(view.problem()).spec } else { solver.clone() };
    if chosen.name != "rising_bandit" || view.problem().space().arms().is_empty() {
        return BTreeMap::new();
    }
    // The study was created with this specification, so its options have been read before.
    let Ok(options) = BanditOptions::read(&chosen) else { return BTreeMap::new() };
    arm_report(view, &options).into_iter().map(|report| (report.name.clone(), report)).collect()
}
