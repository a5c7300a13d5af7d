//! Best result so far.

use boxwood_core::{Change, Rung, StudyView, TrialNumber, TrialStatus};
use serde::Serialize;

/// One result, and the best one up to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConvergenceStep {
    /// Change at which the result became visible.
    pub change: Change,
    /// The trial.
    pub trial: TrialNumber,
    /// Rung of the result.
    pub rung: Rung,
    /// Value of the metric, native units.
    pub value: f64,
    /// Whether all constraints are satisfied.
    pub feasible: bool,
    /// Best feasible value so far at the highest rung that a feasible result has reached so far, native units.
    pub best: Option<f64>,
    /// Trial of that value.
    pub best_trial: Option<TrialNumber>,
    /// Rung of that value. Where it rises, `best` may get worse: values of two rungs are not compared.
    pub best_rung: Option<Rung>,
}

/// All results in the order in which they became visible, each with the best so far; empty for an unknown objective.
pub fn convergence(view: &StudyView, objective: usize) -> Vec<ConvergenceStep> {
    let Some(declared) = view.problem().objectives().get(objective) else { return Vec::new() };
    let counted = |status| !matches!(status, TrialStatus::Infeasible | TrialStatus::Cancelled);
    let trials = view.trials().iter().filter(|trial| counted(trial.status));
    let mut results: Vec<_> =
        trials.flat_map(|trial| trial.results.iter().map(|result| (trial.number, result))).collect();
    results.sort_by_key(|(number, result)| (result.change, *number, result.rung));
    let mut best: Option<(Rung, f64, TrialNumber)> = None;
    let steps = results.into_iter().filter_map(|(trial, result)| {
        let loss = boxwood_core::Loss::new(*result.losses.get(objective)?).ok()?;
        let value = declared.native(loss);
        let feasible = result.violations.iter().all(|violation| *violation <= 0.0);
        let improves = best
            .is_none_or(|(rung, least, _)| result.rung > rung || (result.rung == rung && loss.get() < least));
        if feasible && improves {
            best = Some((result.rung, loss.get(), trial));
        }
        let native = |loss: f64| boxwood_core::Loss::new(loss).map(|loss| declared.native(loss)).ok();
        Some(ConvergenceStep {
            change: result.change,
            trial,
            rung: result.rung,
            value,
            feasible,
            best: best.and_then(|(_, loss, _)| native(loss)),
            best_trial: best.map(|(_, _, trial)| trial),
            best_rung: best.map(|(rung, _, _)| rung),
        })
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Study;

    const SPACE: &str = r#"{"parameters":[{"name":"x","type":"float","low":0,"high":1}]}"#;

    #[test]
    fn the_curve_improves_within_a_rung_and_restarts_at_a_higher_one() {
        let mut study = Study::of_space(SPACE, 1, "maximize");
        study.add(r#"{"x":0.1}"#, &[vec![-0.6]]);
        study.add(r#"{"x":0.2}"#, &[vec![-0.9]]);
        study.add(r#"{"x":0.3}"#, &[vec![-0.7], vec![-0.8]]);
        study.add(r#"{"x":0.4}"#, &[vec![-0.95], vec![-0.85]]);
        study.trials[3].results[1].violations = vec![1.0];
        let steps = convergence(&study.view(), 0);
        let best: Vec<_> = steps.iter().map(|s| (s.value, s.best, s.best_rung.map(|r| r.0))).collect();
        assert_eq!(
            best,
            [
                (0.6, Some(0.6), Some(0)),
                (0.9, Some(0.9), Some(0)),
                (0.7, Some(0.9), Some(0)),
                (0.8, Some(0.8), Some(1)),
                (0.95, Some(0.8), Some(1)),
                (0.85, Some(0.8), Some(1)),
            ]
        );
        assert!(!steps[5].feasible);
        assert!(convergence(&study.view(), 1).is_empty());
    }
}
