//! What each arm of a CASH space has done.

use std::collections::BTreeMap;

use boxwood_core::{Loss, Rung, StudyView, TrialNumber, TrialStatus};
use serde::Serialize;

/// Counts and the best result of one arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmSummary {
    /// Name of the arm.
    pub arm: String,
    /// Trials started, withdrawn ones apart.
    pub trials: u64,
    /// Trials by status.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Number of results at each rung, lowest first.
    pub results_by_rung: Vec<u64>,
    /// Seconds of training in all, as far as reported.
    pub seconds: f64,
    /// Highest rung with a feasible result.
    pub best_rung: Option<Rung>,
    /// Best feasible value of the first objective at that rung, native units.
    pub best_value: Option<f64>,
    /// Trial of that value.
    pub best_trial: Option<TrialNumber>,
}

fn name(status: TrialStatus) -> &'static str {
    match status {
        TrialStatus::Pending => "pending",
        TrialStatus::Paused => "paused",
        TrialStatus::Completed => "completed",
        TrialStatus::Pruned => "pruned",
        TrialStatus::Infeasible => "infeasible",
        TrialStatus::Failed => "failed",
        TrialStatus::Cancelled => "cancelled",
    }
}

/// One summary per arm in the order of the space's arms; empty for a plain space.
pub fn arm_summaries(view: &StudyView) -> Vec<ArmSummary> {
    let space = view.problem().space();
    space.arms().iter().map(|arm| summarize(view, arm)).collect()
}

fn summarize(view: &StudyView, arm: &str) -> ArmSummary {
    let problem = view.problem();
    let mut summary = ArmSummary {
        arm: arm.to_owned(),
        trials: 0,
        by_status: BTreeMap::new(),
        results_by_rung: vec![0; problem.ladder().len()],
        seconds: 0.0,
        best_rung: None,
        best_value: None,
        best_trial: None,
    };
    let mut best: Option<(Rung, f64, TrialNumber)> = None;
    for trial in view.trials().iter().filter(|trial| problem.space().arm_of(&trial.point) == Some(arm)) {
        summary.trials += u64::from(trial.status != TrialStatus::Cancelled);
        *summary.by_status.entry(name(trial.status)).or_default() += 1;
        // Seconds are counted from the start of the trial, so the last ones are the sum.
        summary.seconds += trial.results.iter().rev().find_map(|result| result.seconds).unwrap_or(0.0);
        for result in &trial.results {
            if let Some(count) = summary.results_by_rung.get_mut(result.rung.0 as usize) {
                *count += 1;
            }
            let counts = !matches!(trial.status, TrialStatus::Infeasible | TrialStatus::Cancelled)
                && result.violations.iter().all(|violation| *violation <= 0.0);
            let Some(loss) = result.losses.first().copied().filter(|_| counts) else { continue };
            if best.is_none_or(|(rung, least, _)| result.rung > rung || (result.rung == rung && loss < least))
            {
                best = Some((result.rung, loss, trial.number));
            }
        }
    }
    if let (Some((rung, loss, trial)), Some(objective)) = (best, problem.objectives().first()) {
        summary.best_rung = Some(rung);
        summary.best_value = Loss::new(loss).map(|loss| objective.native(loss)).ok();
        summary.best_trial = Some(trial);
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Study;

    #[test]
    fn each_arm_is_counted_and_has_its_best() {
        let space = r#"{"arms":{"parameter":"model","choices":{"fm":{},"lr":{},"mlp":{}}},
            "parameters":[{"name":"x","type":"float","low":0,"high":1}]}"#;
        let mut study = Study::of_space(space, 1, "maximize");
        study.add(r#"{"model":"lr","x":0.1}"#, &[vec![-0.6], vec![-0.7], vec![-0.75]]);
        study.add(r#"{"model":"lr","x":0.2}"#, &[vec![-0.9]]);
        study.add(r#"{"model":"fm","x":0.3}"#, &[]);
        study.add(r#"{"model":"fm","x":0.4}"#, &[vec![-0.5], vec![-0.6]]);
        let arms = arm_summaries(&study.view());
        let names: Vec<&str> = arms.iter().map(|arm| arm.arm.as_str()).collect();
        assert_eq!(names, ["fm", "lr", "mlp"]);
        let lr = &arms[1];
        assert_eq!(
            (lr.trials, lr.best_rung, lr.best_value, lr.seconds),
            (2, Some(Rung(2)), Some(0.75), 40.0)
        );
        assert_eq!(lr.results_by_rung, [2, 1, 1]);
        assert_eq!(lr.by_status, BTreeMap::from([("completed", 1), ("paused", 1)]));
        assert_eq!(arms[0].by_status, BTreeMap::from([("failed", 1), ("paused", 1)]));
        assert_eq!((arms[2].trials, arms[2].best_value), (0, None));
        let plain = Study::new(r#"{"name":"x","type":"boolean"}"#, 1);
        assert!(arm_summaries(&plain.view()).is_empty());
    }
}
