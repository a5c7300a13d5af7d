//! A solver that checks another one's purity while it works.

use std::sync::atomic::{AtomicU64, Ordering};

use boxwood_core::{
    Ask, Plan, Problem, Seed, Signal, Solver, SolverError, StopFlag, StudyView, TrialNumber, Unsupported,
    Verdict,
};

/// Plans with a warm instance and repeats some of the plans with a fresh one on the same trials in reverse order.
pub(crate) struct Audit<'a> {
    pub(crate) warm: Box<dyn Solver>,
    pub(crate) fresh: &'a (dyn Fn() -> Box<dyn Solver> + Sync),
    pub(crate) every: u64,
    pub(crate) plans: AtomicU64,
}

impl Solver for Audit<'_> {
    fn name(&self) -> &str {
        self.warm.name()
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Unsupported> {
        self.warm.accepts(problem)
    }

    fn tells(&self, problem: &Problem, signal: Signal) -> Result<(), Unsupported> {
        self.warm.tells(problem, signal)
    }

    fn plan(&self, view: &StudyView, ask: Ask, seed: Seed, stop: &StopFlag) -> Result<Plan, SolverError> {
        let plan = self.warm.plan(view, ask, seed, stop)?;
        if self.plans.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every) {
            let reversed = view.trials().iter().rev().cloned().collect();
            let reversed = StudyView::new(view.problem().clone(), view.change(), reversed);
            let again = (self.fresh)().plan(&reversed, ask, seed, stop)?;
            if again != plan {
                let reason = format!(
                    "a fresh instance plans differently after {} trials: {again:?} instead of {plan:?}",
                    view.trials().len()
                );
                return Err(SolverError::Bug(reason));
            }
        }
        Ok(plan)
    }

    fn judge(&self, view: &StudyView, trial: TrialNumber) -> Verdict {
        self.warm.judge(view, trial)
    }
}
