//! The planner: one task per active study that keeps its queue as long as its demand.
//!
//! A step looks at who waits, brings the snapshot up to date, decides, computes a plan on the CPU pool with no lock
//! held, and commits it under its number. Several servers may plan for one study: a conflict throws a plan away.

mod compute;
mod demand;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use boxwood_core::{Ask, Change, PlanEnd, SolverError};
use boxwood_store::{NewPlan, PlanResult, Requested, Store, StudyPatch};
use boxwood_study::{BudgetLeft, PlanNumber, StudyEvent, StudyState, TrialId, TrialState, budget_left};

use crate::App;
use crate::error::AppError;
use crate::hub::{Hub, Trouble, lock};
use crate::snapshot::Seen;
pub(crate) use compute::{Computed, Failure, complete};
use demand::{Decision, Situation, blind_batch, decide};

/// How often a planner looks without being woken: notices may drop.
const IDLE_POLL: Duration = Duration::from_secs(5);
/// The same while somebody waits.
const WAITING_POLL: Duration = Duration::from_millis(500);
/// Pause after a failed step.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Conflicts in a row, with nothing else changed, after which the plan itself must be at fault.
const MOST_CONFLICTS: u32 = 10;

/// What a step found.
enum Step {
    /// Something was done: look again.
    Again,
    /// Nothing to do until something changes.
    Idle,
    /// The study takes no plans in its state.
    Ended,
}

/// What a planner remembers between steps. Losing it costs a recomputation.
#[derive(Debug, Default)]
struct Memory {
    /// Newest result when a registration was first seen.
    first_seen: BTreeMap<u64, Change>,
    /// The state of affairs for which the solver had no move.
    fruitless: Option<Fingerprint>,
    /// Change at which waiting asks were last told to look again.
    announced: Change,
    /// Plan number and change of the last conflict, and conflicts there in a row.
    conflict_at: (u64, Change),
    conflicts: u32,
}

/// What has to differ before a solver that had nothing is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    last_result: Change,
    trials: u32,
    cancelled: u64,
    starts_left: Option<u64>,
}

impl<S: Store> App<S> {
    /// Wakes the study's planner, starting its task where none runs.
    pub(crate) fn plan_soon(&self, hub: &Arc<Hub>) {
        hub.woken.store(true, Ordering::Release);
        if hub.planning.swap(true, Ordering::AcqRel) {
            hub.wake.notify_one();
        } else {
            tokio::spawn(run(self.clone(), Arc::clone(hub)));
        }
    }

    /// Trials wanted by asks and workers that wait for this study now, by registration.
    fn wanted(&self, hub: &Hub, seen: Option<&Seen>) -> BTreeMap<u64, u32> {
        let mut wanted = hub.asks();
        for (id, worker) in lock(&self.inner.waiting).iter() {
            if seen.is_none_or(|seen| worker.fits(seen.study.project, &seen.study.spec)) {
                wanted.insert(*id, worker.slots);
            }
        }
        wanted
    }
}

async fn run<S: Store>(app: App<S>, hub: Arc<Hub>) {
    let mut memory = Memory::default();
    let mut closing = app.inner.closing.subscribe();
    loop {
        hub.woken.store(false, Ordering::Release);
        let step = tokio::select! {
            step = step(&app, &hub, &mut memory) => step,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        match step {
            Ok(Step::Again) => {}
            Ok(Step::Idle) => {
                let poll = if hub.asks().is_empty() { IDLE_POLL } else { WAITING_POLL };
                tokio::select! {
                    () = hub.wake.notified() => {}
                    () = tokio::time::sleep(poll) => {}
                    _ = closing.wait_for(|closing| *closing) => break,
                }
            }
            Ok(Step::Ended) | Err(AppError::NotFound { .. }) => {
                hub.announce();
                hub.planning.store(false, Ordering::Release);
                // A wake since the step began found this task running and left it to us.
                if hub.woken.swap(false, Ordering::AcqRel) && !hub.planning.swap(true, Ordering::AcqRel) {
                    continue;
                }
                return;
            }
            Err(error) => {
                tracing::warn!(study = hub.study.0, %error, "planning step failed, trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
    hub.planning.store(false, Ordering::Release);
}

async fn step<S: Store>(app: &App<S>, hub: &Arc<Hub>, memory: &mut Memory) -> Result<Step, AppError> {
    // Only asks that wait before and after the rows were read count: an ask seen before has its caller's earlier results
    // in these rows, and one seen after is not taking a trial at this moment.
    let before = app.wanted(hub, None);
    let seen = app.sync(hub).await?;
    if seen.study.state != StudyState::Active {
        return Ok(Step::Ended);
    }
    let now = app.wanted(hub, Some(&seen));
    let left = app.budget_left(&seen).await?;
    let stop = seen.study.spec.stop.reason(&seen.view, seen.study.reopened);
    let is_stopping = stop.is_some();
    if finish_study(app, &seen, &left, stop).await? {
        return Ok(Step::Again);
    }
    let queued = seen.count(TrialState::Queued);
    if queued > 0 && memory.announced < seen.study.change {
        memory.announced = seen.study.change;
        hub.announce();
        app.announce_to_workers();
    }
    memory.first_seen.retain(|id, _| now.contains_key(id));
    for id in now.keys().filter(|id| before.contains_key(id)) {
        memory.first_seen.entry(*id).or_insert(seen.last_result);
    }
    let situation = situation(app, &seen, &before, &now, memory);
    // A blind solver's planner sleeps while its queue is long, unless a result or the clock may end the study.
    let ends_by_result = left.resource.is_some()
        || left.seconds.is_some()
        || !seen.study.spec.stop.is_none()
        || seen.model.problem().objectives().iter().any(|objective| objective.target.is_some());
    let sleeps = seen.model.is_blind() && !ends_by_result && left.starts.is_none_or(|starts| starts > 0);
    let low_water = if sleeps { i64::from(blind_batch(situation.trials) / 4) } else { i64::MAX };
    hub.low_water.store(low_water, Ordering::Relaxed);
    if is_stopping || left.is_time_or_resource_spent() {
        return withdraw(app, &seen).await;
    }
    let Decision::Plan { want, replaces } = decide(&situation) else { return Ok(Step::Idle) };
    let starts_left = starts_left(app, &seen, &left, replaces.len() as u64, want);
    let fingerprint = Fingerprint {
        last_result: seen.last_result,
        trials: seen.study.trials,
        cancelled: seen.count(TrialState::Cancelled),
        starts_left,
    };
    if memory.fruitless == Some(fingerprint) {
        return Ok(Step::Idle);
    }
    plan(app, hub, memory, &seen, want, starts_left, replaces, fingerprint).await
}

fn situation<S: Store>(
    app: &App<S>,
    seen: &Seen,
    before: &BTreeMap<u64, u32>,
    now: &BTreeMap<u64, u32>,
    memory: &Memory,
) -> Situation {
    let counted = || now.iter().filter(|(id, _)| before.contains_key(id));
    let floor = counted().filter_map(|(id, _)| memory.first_seen.get(id)).max().copied();
    let shared_queue = seen.study.spec.program.is_some();
    let leased = seen.count(TrialState::Leased);
    let open = seen.study.spec.max_open_leases.map_or(u64::MAX, u64::from).saturating_sub(leased);
    let demand = counted().map(|(_, count)| u64::from(*count)).sum::<u64>().min(open);
    Situation {
        queued: seen.count(TrialState::Queued),
        leased,
        starts: seen.queued_starts.clone(),
        results_since_plan: seen.results_since_plan,
        plans: seen.study.plan.0,
        trials: u64::from(seen.study.trials),
        demand: demand.min(app.inner.settings.limits.trials_per_study) as u32,
        floor: floor.unwrap_or(seen.last_result),
        freshness: seen.study.spec.freshness,
        blind: seen.model.is_blind(),
        shared_queue,
    }
}

/// New trials that the budget and the server's limit still allow.
fn starts_left<S: Store>(
    app: &App<S>,
    seen: &Seen,
    left: &BudgetLeft,
    replaced: u64,
    want: u32,
) -> Option<u64> {
    let limit = app.inner.settings.limits.trials_per_study.saturating_sub(u64::from(seen.study.trials));
    match left.starts {
        Some(starts) => Some((starts + replaced).min(limit)),
        // The server's own limit is no part of the study: it joins in only where it would be passed.
        None => (limit < u64::from(want)).then_some(limit),
    }
}

#[allow(clippy::too_many_arguments)]
async fn plan<S: Store>(
    app: &App<S>,
    hub: &Arc<Hub>,
    memory: &mut Memory,
    seen: &Seen,
    want: u32,
    starts_left: Option<u64>,
    replaces: Vec<TrialId>,
    fingerprint: Fingerprint,
) -> Result<Step, AppError> {
    let number = seen.study.plan.0 + 1;
    *lock(&hub.trouble) = None;
    let ask = Ask { want: want as usize, starts_left };
    let Computed { mut plan, seconds } = match app.compute(seen, ask, number, &replaces).await {
        Ok(computed) => computed,
        Err(Failure::Timeout { seconds }) => {
            app.inner.counters.add_failed();
            *lock(&hub.trouble) = Some(Trouble::Timeout { seconds });
            hub.timeouts.fetch_add(1, Ordering::AcqRel);
            hub.announce();
            return Ok(Step::Idle);
        }
        Err(Failure::Solver(SolverError::Cancelled)) => return Ok(Step::Idle),
        Err(Failure::Solver(error)) => {
            app.inner.counters.add_failed();
            pause(app, seen, error.to_string()).await?;
            return Ok(Step::Again);
        }
    };
    if plan.moves.is_empty() {
        memory.fruitless = Some(fingerprint);
        hub.accepted.fetch_max(seen.last_result.0, Ordering::AcqRel);
        let open = seen.count(TrialState::Queued) + seen.count(TrialState::Leased);
        if let PlanEnd::Exhausted(reason) = plan.end {
            *lock(&hub.trouble) = Some(Trouble::Exhausted(reason.clone()));
            if open == 0 {
                end(app, seen, reason).await?;
                return Ok(Step::Again);
            }
        } else {
            *lock(&hub.trouble) = Some(Trouble::Waiting);
        }
        hub.announce();
        return Ok(Step::Idle);
    }
    complete(&mut plan.moves, number, seen.view.change(), seen.model.problem().space());
    let space = seen.model.problem().space();
    let hashed = |m: boxwood_core::Move| {
        let hash = match &m {
            boxwood_core::Move::Start { point, .. } => Some(space.point_hash(point)),
            boxwood_core::Move::Resume { .. } => None,
        };
        (m, hash)
    };
    let new = NewPlan {
        study: seen.study.id,
        number: PlanNumber(number),
        change: seen.view.change(),
        want,
        starts_left,
        moves: plan.moves.into_iter().map(hashed).collect(),
        replaces,
        end: plan.end,
        diagnostics: plan.diagnostics,
        seconds,
    };
    match app.inner.store.commit_plan(new).await? {
        PlanResult::Committed(trials) => {
            app.inner.counters.add_plan(trials.len() as u64, seconds);
            *lock(&hub.trouble) = None;
            hub.queued.fetch_add(trials.len() as i64, Ordering::Relaxed);
            hub.announce();
            app.announce_to_workers();
        }
        PlanResult::Conflict => {
            app.inner.counters.add_conflict();
            let place = (number, seen.study.change);
            memory.conflicts = if memory.conflict_at == place { memory.conflicts + 1 } else { 1 };
            memory.conflict_at = place;
            if memory.conflicts > MOST_CONFLICTS {
                let reason = "solver bug: its plan is refused again and again, for a duplicate point or a trial that is \
                              not paused";
                pause(app, seen, reason.into()).await?;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(Step::Again)
}

/// Cancels what a plan has queued and nobody has leased, in a study that ends with the trials that run.
async fn withdraw<S: Store>(app: &App<S>, seen: &Seen) -> Result<Step, AppError> {
    if seen.queued_starts.is_empty() {
        return Ok(Step::Idle);
    }
    let patch = StudyPatch { withdraws_queued: true, ..StudyPatch::default() };
    match app.inner.store.patch_study(seen.study.id, Requested::once(patch)).await {
        // Another server, or a person, was faster.
        Ok(_) | Err(boxwood_store::StoreError::Refused(_)) => Ok(Step::Again),
        Err(error) => Err(error.into()),
    }
}

/// Completes a study whose target is reached, or of which nothing runs any more when a stop rule holds, the reason of
/// which is given, or time or resource is spent. True when the study changed.
async fn finish_study<S: Store>(
    app: &App<S>,
    seen: &Seen,
    left: &BudgetLeft,
    stop: Option<String>,
) -> Result<bool, AppError> {
    let stop = stop.filter(|_| seen.count(TrialState::Leased) == 0);
    if let Some(reason) = target_reached(seen).or(stop) {
        end(app, seen, reason).await?;
        return Ok(true);
    }
    if left.is_time_or_resource_spent() && seen.count(TrialState::Leased) == 0 {
        let reason = match seen.study.spec.stop.training_seconds {
            _ if left.resource == Some(0) => "the budget of resource is spent".into(),
            Some(most) if left.training_seconds == Some(0.0) => {
                format!("the trials took {:.0} of {most:.0} seconds of training", seen.study.training_seconds)
            }
            _ => "the budget of time is spent".into(),
        };
        end(app, seen, reason).await?;
        return Ok(true);
    }
    Ok(false)
}

/// Why the study's target counts as reached: every objective's target is met by one feasible trial at the top rung. A
/// study that was reopened after that goes on without it.
fn target_reached(seen: &Seen) -> Option<String> {
    let problem = seen.model.problem();
    let targets: Vec<f64> = problem
        .objectives()
        .iter()
        .map(|objective| {
            objective.target.and_then(|target| objective.loss(target).ok()).map(boxwood_core::Loss::get)
        })
        .collect::<Option<_>>()?;
    let top = problem.ladder().top();
    let met = |trial: &&boxwood_core::TrialView| {
        !matches!(trial.status, boxwood_core::TrialStatus::Pending | boxwood_core::TrialStatus::Infeasible)
            && trial.result(top).is_some_and(|result| {
                result.violations.iter().all(|violation| *violation <= 0.0)
                    && result.losses.iter().zip(&targets).all(|(loss, target)| loss <= target)
            })
    };
    let reached = |trial: &boxwood_core::TrialView| trial.result(top).map(|result| result.change);
    let trial = seen.view.trials().iter().filter(met).min_by_key(|trial| reached(trial))?;
    (reached(trial)? > seen.study.reopened).then(|| format!("trial {} reached the target", trial.number.0))
}

async fn end<S: Store>(app: &App<S>, seen: &Seen, reason: String) -> Result<(), AppError> {
    patch(app, seen, StudyEvent::Complete, reason).await
}

async fn pause<S: Store>(app: &App<S>, seen: &Seen, reason: String) -> Result<(), AppError> {
    tracing::warn!(study = seen.study.id.0, reason, "study paused");
    patch(app, seen, StudyEvent::Pause, reason).await
}

async fn patch<S: Store>(
    app: &App<S>,
    seen: &Seen,
    event: StudyEvent,
    reason: String,
) -> Result<(), AppError> {
    let patch = StudyPatch { event: Some(event), reason: Some(reason), ..StudyPatch::default() };
    match app.inner.store.patch_study(seen.study.id, Requested::once(patch)).await {
        // Another server, or a person, was faster.
        Ok(_) | Err(boxwood_store::StoreError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl<S: Store> App<S> {
    /// What is left of the budget; the database's clock is asked only where the budget has seconds.
    pub(crate) async fn budget_left(&self, seen: &Seen) -> Result<BudgetLeft, AppError> {
        let now = match seen.study.spec.budget.seconds {
            Some(_) => self.inner.store.now().await?,
            None => seen.study.budget_from,
        };
        Ok(budget_left(&seen.study, now))
    }
}
