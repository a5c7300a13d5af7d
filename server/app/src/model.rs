//! A study's checked problem with its solver.

use std::sync::Arc;

use boxwood_core::{Ask, Plan, Problem, Seed, Solver, SolverError, SolverSpec, StopFlag, StudyView};
use boxwood_study::{CheckedStudy, StudySpec};

use crate::error::AppError;

/// Solvers whose points do not depend on results; their plans may be made far ahead.
const BLIND_SOLVERS: [&str; 3] = ["random", "sobol", "grid"];

/// What a study's specification amounts to. A function of the specification, so it is kept and never stored.
#[derive(Clone)]
pub struct Model {
    /// The checked specification.
    pub checked: Arc<CheckedStudy>,
    /// Its solver.
    pub solver: Arc<dyn Solver>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Model").field("solver", &self.solver.name()).finish_non_exhaustive()
    }
}

impl Model {
    /// Checks a specification and builds its solver.
    ///
    /// # Errors
    /// The first field that is wrong, or the parameter that the solver does not take.
    pub fn new(spec: &StudySpec) -> Result<Self, AppError> {
        let checked = spec.check()?;
        let solver = boxwood_solvers::build(&checked.spec.solver, &checked.problem)?;
        Ok(Self::with_solver(checked, Arc::from(solver)))
    }

    /// Refuses a stop rule that no proposal of the solver ever feeds, and says what can be used instead.
    ///
    /// # Errors
    /// `Invalid` names the rule. Studies that were stored before this was checked are opened all the same.
    pub fn check_stop(&self) -> Result<(), AppError> {
        for signal in self.checked.spec.stop.signals() {
            let Err(refusal) = self.solver.tells(self.problem(), signal) else { continue };
            let others = boxwood_solvers::telling(self.problem(), signal);
            let instead = match others.as_slice() {
                [] => "no solver feeds it in this study".to_owned(),
                names => format!("solvers that feed it in this study: {}", names.join(", ")),
            };
            let reason =
                format!("nothing would ever feed this rule: {refusal}; use no_improvement; {instead}");
            return Err(AppError::invalid(format!("stop.{signal}"), reason));
        }
        Ok(())
    }

    /// A model with a given solver.
    pub fn with_solver(checked: CheckedStudy, solver: Arc<dyn Solver>) -> Self {
        Self { checked: Arc::new(checked), solver }
    }

    /// The problem that the solver sees.
    pub fn problem(&self) -> &Arc<Problem> {
        &self.checked.problem
    }

    /// Whether results do not change what the solver proposes.
    pub fn is_blind(&self) -> bool {
        BLIND_SOLVERS.contains(&self.solver.name())
    }

    /// Computes a plan: the seed of plan k is a function of the study's seed and k, and a numeric failure falls back to
    /// random points once, with a note on the plan.
    pub fn plan(
        &self,
        view: &StudyView,
        ask: Ask,
        number: u64,
        stop: &StopFlag,
    ) -> Result<Plan, SolverError> {
        let seed = Seed(self.problem().seed()).derive("plan", number);
        let plan = match self.solver.plan(view, ask, seed, stop) {
            Err(SolverError::Numeric(reason)) => {
                let random = boxwood_solvers::build(&SolverSpec::named("random"), self.problem())?;
                let mut plan = random.plan(view, ask, seed.derive("fallback", 0), stop)?;
                plan.diagnostics.notes.push(format!("random points after a numeric failure: {reason}"));
                plan
            }
            other => other?,
        };
        if plan.moves.len() > ask.want {
            return Err(SolverError::Bug(format!("{} moves for an ask of {}", plan.moves.len(), ask.want)));
        }
        Ok(plan)
    }
}
