//! The immutable snapshot of a study that solvers read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::goal::Metrics;
use crate::ladder::{Resource, Rung};
use crate::problem::Problem;
use crate::space::Point;

/// Per-study counter: every report, finish and new trial carries the change at which it became visible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Change(pub u64);

/// Number of a trial within its study, from 1, in order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialNumber(pub u32);

/// Who proposed a trial's point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A plan of the study's solver.
    Solver,
    /// A person or script that enqueued the point.
    User,
}

/// Where a solver stands with a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialStatus {
    /// Queued or leased: its next rung has not been measured in full.
    Pending,
    /// Measured up to a rung below the top, with a checkpoint, waiting for a plan.
    Paused,
    /// Measured at its last rung.
    Completed,
    /// Ended early on purpose; what it measured counts.
    Pruned,
    /// The point cannot be evaluated.
    Infeasible,
    /// The program failed until its attempts were used up.
    Failed,
    /// Withdrawn by a person; carries no information.
    Cancelled,
}

/// Why a point was proposed: kept with the trial, shown by the dashboard, read back by stateless schedulers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Solver, and the sampler inside it that chose the point: `hyperband`, `gp`, `random`.
    #[serde(default)]
    pub solver: String,
    /// Sampler that chose the point: `random`, `sobol`, `gp`, `mfes`, `user`.
    #[serde(default)]
    pub sampler: String,
    /// Model behind the sampler, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Running index of the bracket that the trial belongs to (cycle * brackets per cycle + bracket).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bracket: Option<u32>,
    /// Arm of a CASH space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Acquisition value (log domain) of the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquisition: Option<f64>,
    /// Predicted loss of the first objective, native loss units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_mean: Option<f64>,
    /// Standard deviation of that prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_deviation: Option<f64>,
    /// Natural logarithm of the improvement on the best loss that the model expected of the point, in standard deviations
    /// of the losses, whatever acquisition chose it; absent where the sampler computes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_improvement: Option<f64>,
    /// High-probability bound, by the model that chose the point, on how much the best result may be above the least
    /// possible loss of a feasible point, native loss units; absent where the sampler computes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regret_bound: Option<f64>,
    /// Trial from whose point a local search made this one by a step; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TrialNumber>,
    /// Number of the plan; filled in by the planner.
    #[serde(default)]
    pub plan: u64,
    /// Change that the plan had seen; filled in by the planner.
    #[serde(default)]
    pub change: u64,
}

/// What a trial measured at one rung.
#[derive(Debug, Clone, PartialEq)]
pub struct RungResult {
    /// The rung.
    pub rung: Rung,
    /// One loss per objective, finite, smaller is better.
    pub losses: Vec<f64>,
    /// One violation per constraint, finite, at most zero is satisfied.
    pub violations: Vec<f64>,
    /// Seconds of training from the start of the trial up to this rung, where known.
    pub seconds: Option<f64>,
    /// Change at which the result became visible.
    pub change: Change,
}

/// One trial as a solver sees it.
#[derive(Debug, Clone)]
pub struct TrialView {
    /// Number in the study.
    pub number: TrialNumber,
    /// Native values.
    pub point: Point,
    /// The point's row in the unit cube of the study's space; see [`crate::space::SearchSpace::encode`].
    pub encoded: Vec<f64>,
    /// Who proposed it.
    pub origin: Origin,
    /// Why it was proposed.
    pub provenance: Provenance,
    /// Where it stands.
    pub status: TrialStatus,
    /// Rung that it is queued or leased for, or the last one it was asked to reach.
    pub target: Rung,
    /// Results by rising rung; one entry for every rung that the trial has passed.
    pub results: Vec<RungResult>,
}

impl TrialView {
    /// Result at a rung.
    pub fn result(&self, rung: Rung) -> Option<&RungResult> {
        self.results.iter().find(|result| result.rung == rung)
    }

    /// Result at the highest rung reached.
    pub fn last(&self) -> Option<&RungResult> {
        self.results.last()
    }

    /// Whether no plan can change this trial any more.
    pub fn is_finished(&self) -> bool {
        !matches!(self.status, TrialStatus::Pending | TrialStatus::Paused)
    }

    /// Whether the trial is queued or leased.
    pub fn is_pending(&self) -> bool {
        self.status == TrialStatus::Pending
    }
}

/// A study at one change: the whole input of a solver.
#[derive(Debug, Clone)]
pub struct StudyView {
    problem: Arc<Problem>,
    change: Change,
    trials: Vec<TrialView>,
}

impl StudyView {
    /// A view of the given trials, put in order of their numbers.
    pub fn new(problem: Arc<Problem>, change: Change, mut trials: Vec<TrialView>) -> Self {
        trials.sort_by_key(|trial| trial.number);
        Self { problem, change, trials }
    }

    /// The problem.
    pub fn problem(&self) -> &Arc<Problem> {
        &self.problem
    }

    /// The change that this view shows.
    pub fn change(&self) -> Change {
        self.change
    }

    /// All trials in order of their numbers.
    pub fn trials(&self) -> &[TrialView] {
        &self.trials
    }

    /// Takes the trials out again, to build the next view without copying them.
    pub fn into_trials(self) -> Vec<TrialView> {
        self.trials
    }

    /// One trial.
    pub fn trial(&self, number: TrialNumber) -> Option<&TrialView> {
        self.trials.binary_search_by_key(&number, |trial| trial.number).ok().map(|i| &self.trials[i])
    }

    /// Trials that were started by the solver or a user and not cancelled: what a budget of trials counts.
    pub fn started(&self) -> u64 {
        self.trials.iter().filter(|trial| trial.status != TrialStatus::Cancelled).count() as u64
    }

    /// The feasible trial with the lowest first loss at the highest rung that any trial has reached.
    pub fn best(&self) -> Option<(&TrialView, &RungResult)> {
        let candidates = self.trials.iter().filter(|trial| trial.status != TrialStatus::Infeasible);
        let results = candidates.filter_map(|trial| trial.last().map(|result| (trial, result)));
        results.filter(|(_, result)| result.violations.iter().all(|v| *v <= 0.0)).min_by(|a, b| {
            let loss = |result: &RungResult| result.losses.first().copied().unwrap_or(f64::INFINITY);
            b.1.rung.cmp(&a.1.rung).then(loss(a.1).total_cmp(&loss(b.1))).then(a.0.number.cmp(&b.0.number))
        })
    }
}

/// Builds the results of a trial from its learning curve: the value at each rung that the curve has passed.
///
/// `curve` holds `(step, metrics, seconds, change)` by rising step. The result of a rung is the last report at or
/// below the rung's resource, once some report has reached that resource; a report that lacks an objective is skipped.
pub fn rung_results(
    problem: &Problem,
    curve: &[(Resource, Metrics, Option<f64>, Change)],
) -> Vec<RungResult> {
    let usable: Vec<(Resource, RungResult)> = curve
        .iter()
        .filter_map(|(step, metrics, seconds, change)| {
            let losses = problem.losses(metrics).ok()?.ok()?;
            let violations = problem.violations(metrics).ok()?.ok()?;
            let result = RungResult { rung: Rung(0), losses, violations, seconds: *seconds, change: *change };
            Some((*step, result))
        })
        .collect();
    let Some(reached) = usable.last().map(|(step, _)| *step) else { return Vec::new() };
    problem
        .ladder()
        .rungs()
        .take_while(|(_, resource)| *resource <= reached)
        .filter_map(|(rung, resource)| {
            let (_, result) = usable.iter().rev().find(|(step, _)| *step <= resource)?;
            Some(RungResult { rung, ..result.clone() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::problem::ProblemSpec;

    fn problem() -> Problem {
        let spec: ProblemSpec = serde_json::from_str(
            r#"{
                "space": {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]},
                "objectives": [{"metric": "auc", "goal": "maximize"}],
                "constraints": [{"metric": "ms", "bound": {"at_most": 5.0}}],
                "fidelity": {"resource": "epochs", "min": 1, "max": 9}
            }"#,
        )
        .unwrap();
        spec.check().unwrap()
    }

    fn report(step: u64, auc: f64) -> (Resource, Metrics, Option<f64>, Change) {
        (Resource(step), Metrics::from([("auc", auc), ("ms", 4.0)]), Some(step as f64), Change(step))
    }

    fn trial(number: u32, status: TrialStatus, results: Vec<RungResult>) -> TrialView {
        let space = problem().space().clone();
        let encoded = vec![0.5];
        TrialView {
            number: TrialNumber(number),
            point: space.decode(&encoded),
            encoded,
            origin: Origin::Solver,
            provenance: Provenance::default(),
            status,
            target: Rung(2),
            results,
        }
    }

    #[test]
    fn a_curve_gives_one_result_per_rung_that_it_has_passed() {
        let problem = problem();
        let curve: Vec<_> = [(1, 0.5), (2, 0.6), (4, 0.7)].map(|(step, auc)| report(step, auc)).into();
        let results = rung_results(&problem, &curve);
        let found: Vec<_> = results.iter().map(|r| (r.rung.0, r.losses[0], r.change.0)).collect();
        // Rung 1 stands at 3 epochs: the report of epoch 2 is the last one at or below it.
        assert_eq!(found, [(0, -0.5, 1), (1, -0.6, 2)]);
        assert_eq!(results[1].violations, [-1.0]);
        assert_eq!(results[1].seconds, Some(2.0));
    }

    #[test]
    fn reports_without_an_objective_or_with_a_bad_number_are_skipped() {
        let problem = problem();
        let lacking = (Resource(3), Metrics::from([("ms", 4.0)]), None, Change(3));
        let curve = vec![report(1, 0.5), lacking.clone(), report(9, f64::NAN)];
        let rungs: Vec<_> = rung_results(&problem, &curve).iter().map(|r| r.rung.0).collect();
        assert_eq!(rungs, [0]);
        assert!(rung_results(&problem, &[lacking]).is_empty());
        assert!(rung_results(&problem, &[]).is_empty());
    }

    #[test]
    fn a_view_is_in_order_and_knows_its_best_trial() {
        let problem = Arc::new(problem());
        let results = |curve: &[(u64, f64)]| {
            let curve: Vec<_> = curve.iter().map(|(step, auc)| report(*step, *auc)).collect();
            rung_results(&problem, &curve)
        };
        let mut violating = results(&[(1, 0.5), (3, 0.6), (9, 0.99)]);
        violating[2].violations[0] = 1.0;
        let trials = vec![
            trial(5, TrialStatus::Cancelled, vec![]),
            trial(4, TrialStatus::Completed, violating),
            trial(3, TrialStatus::Paused, results(&[(1, 0.95)])),
            trial(2, TrialStatus::Completed, results(&[(1, 0.5), (3, 0.6), (9, 0.8)])),
            trial(1, TrialStatus::Completed, results(&[(1, 0.5), (3, 0.6), (9, 0.7)])),
        ];
        let view = StudyView::new(Arc::clone(&problem), Change(9), trials);
        let numbers: Vec<_> = view.trials().iter().map(|trial| trial.number.0).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert_eq!(view.best().unwrap().0.number, TrialNumber(2));
        assert_eq!(view.started(), 4);
        assert!(view.trial(TrialNumber(3)).is_some_and(|trial| !trial.is_finished()));
        assert!(view.trial(TrialNumber(9)).is_none());
    }
}
