//! Computing a plan on the bounded CPU pool, with a deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boxwood_core::space::SearchSpace;
use boxwood_core::{Ask, Change, Move, Plan, SolverError, StopFlag, StudyView, TrialNumber, TrialStatus};
use boxwood_store::Store;
use boxwood_study::TrialId;

use crate::App;
use crate::snapshot::Seen;

/// A plan with the time that it took.
pub(crate) struct Computed {
    pub(crate) plan: Plan,
    pub(crate) seconds: f64,
}

/// Why no plan was computed.
pub(crate) enum Failure {
    /// The deadline passed.
    Timeout {
        /// The deadline.
        seconds: f64,
    },
    /// The solver said so.
    Solver(SolverError),
}

/// Asks a solver to give up when its plan is no longer waited for: past the deadline, or when the server closes. One that
/// does not look keeps its place in the pool until it ends.
struct RaiseOnDrop(StopFlag);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// The view without the queued trials that the plan will replace: to the solver they are cancelled.
pub(crate) fn without(view: &Arc<StudyView>, replaces: &[TrialId]) -> Arc<StudyView> {
    if replaces.is_empty() {
        return Arc::clone(view);
    }
    let numbers: Vec<TrialNumber> = replaces.iter().map(|trial| TrialNumber(trial.number())).collect();
    let mut trials = view.trials().to_vec();
    for trial in trials.iter_mut().filter(|trial| numbers.contains(&trial.number)) {
        trial.status = TrialStatus::Cancelled;
    }
    Arc::new(StudyView::new(Arc::clone(view.problem()), view.change(), trials))
}

/// Completes the provenance of a plan's moves.
pub(crate) fn complete(moves: &mut [Move], number: u64, change: Change, space: &SearchSpace) {
    for planned in moves {
        if let Move::Start { point, provenance, .. } = planned
            && provenance.arm.is_none()
        {
            provenance.arm = space.arm_of(point).map(str::to_owned);
        }
        let (Move::Start { provenance, .. } | Move::Resume { provenance, .. }) = planned;
        provenance.plan = number;
        provenance.change = change.0;
    }
}

impl<S: Store> App<S> {
    /// Computes a plan from what was seen. No lock is held meanwhile; the view does not change.
    pub(crate) async fn compute(
        &self,
        seen: &Seen,
        ask: Ask,
        number: u64,
        replaces: &[TrialId],
    ) -> Result<Computed, Failure> {
        let seconds = self.inner.settings.plan_deadline_seconds;
        let deadline = Duration::from_secs_f64(seconds);
        // Waiting for a place counts: an ask is told in time that the server is too busy for its plan.
        let place = tokio::time::timeout(deadline, Arc::clone(&self.inner.pool).acquire_owned());
        let place = place.await.map_err(|_| Failure::Timeout { seconds })?;
        let permit = place.expect("the pool of planners is never closed");
        let (model, view) = (seen.model.clone(), without(&seen.view, replaces));
        let stop = RaiseOnDrop(StopFlag::default());
        let flag = stop.0.clone();
        let started = Instant::now();
        let work = tokio::task::spawn_blocking(move || {
            let plan = model.plan(&view, ask, number, &flag);
            drop(permit);
            plan
        });
        let Ok(result) = tokio::time::timeout(deadline, work).await else {
            return Err(Failure::Timeout { seconds });
        };
        match result {
            Ok(Ok(plan)) => Ok(Computed { plan, seconds: started.elapsed().as_secs_f64() }),
            Ok(Err(error)) => Err(Failure::Solver(error)),
            Err(panic) => Err(Failure::Solver(SolverError::Bug(format!("it panicked: {panic}")))),
        }
    }
}
