//! When a study has done enough, judged by what its trials measured.

use boxwood_core::{Problem, StudyView, TrialStatus, TrialView};
use serde::{Deserialize, Serialize};

/// Samplers whose acquisition value is the logarithm of an expected improvement.
const IMPROVEMENT_SAMPLERS: [&str; 5] = ["forest", "gp", "mfes", "transfer", "turbo"];

/// Rules that end a study beside its budget and its objectives' targets; each may be absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRules {
    /// The best result no longer improves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_improvement: Option<NoImprovement>,
    /// Training seconds of all trials together, as their results report them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_seconds: Option<f64>,
    /// The solver's model expects nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_improvement: Option<ExpectedImprovement>,
}

/// Ends a study of one objective whose best result has not improved for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoImprovement {
    /// Full results in a row that do not improve on the best one before them.
    pub trials: u64,
    /// Improvements up to this do not count, in units of the metric.
    #[serde(default)]
    pub tolerance: f64,
}

/// Ends a study whose model expects little of every point that it proposes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedImprovement {
    /// Expected improvement in standard deviations of the losses.
    pub below: f64,
    /// Measured proposals of the model in a row that were expected to bring less.
    pub proposals: u64,
}

impl StopRules {
    /// Whether there is no rule.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The field that is wrong, and why.
    pub(crate) fn check(&self, objectives: usize) -> Result<(), (&'static str, &'static str)> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if let Some(rule) = &self.no_improvement {
            if objectives > 1 {
                return Err(("stop.no_improvement", "it looks at one objective, the study has more"));
            }
            if rule.trials == 0 {
                return Err(("stop.no_improvement.trials", "it must be at least 1"));
            }
            if !(rule.tolerance.is_finite() && rule.tolerance >= 0.0) {
                return Err(("stop.no_improvement.tolerance", "it must be finite and not negative"));
            }
        }
        if self.training_seconds.is_some_and(|seconds| !positive(seconds)) {
            return Err(("stop.training_seconds", "it must be finite and positive"));
        }
        if let Some(rule) = &self.expected_improvement {
            if objectives > 1 {
                return Err(("stop.expected_improvement", "it looks at one objective, the study has more"));
            }
            if !positive(rule.below) {
                return Err(("stop.expected_improvement.below", "it must be finite and positive"));
            }
            if rule.proposals == 0 {
                return Err(("stop.expected_improvement.proposals", "it must be at least 1"));
            }
        }
        Ok(())
    }

    /// Why the study is done: the first rule that holds, one sentence. Pure: equal views give equal answers.
    pub fn reason(&self, view: &StudyView) -> Option<String> {
        let flat = self.no_improvement.as_ref().and_then(|rule| rule.reason(view));
        flat.or_else(|| self.spent(view))
            .or_else(|| self.expected_improvement.as_ref().and_then(|rule| rule.reason(view)))
    }

    fn spent(&self, view: &StudyView) -> Option<String> {
        let most = self.training_seconds?;
        let seconds =
            |trial: &TrialView| trial.results.iter().filter_map(|result| result.seconds).next_back();
        let spent: f64 = view.trials().iter().filter_map(seconds).sum();
        (spent >= most).then(|| format!("the trials took {spent:.0} of {most:.0} seconds of training"))
    }
}

/// Trials with a full result, in the order in which the results became visible.
fn in_order(view: &StudyView) -> Vec<(&TrialView, &boxwood_core::RungResult)> {
    let top = view.problem().ladder().top();
    let counted =
        |trial: &&TrialView| !matches!(trial.status, TrialStatus::Infeasible | TrialStatus::Cancelled);
    let mut results: Vec<_> = view
        .trials()
        .iter()
        .filter(counted)
        .filter_map(|trial| trial.result(top).map(|result| (trial, result)))
        .collect();
    results.sort_by_key(|(trial, result)| (result.change, trial.number));
    results
}

impl NoImprovement {
    fn reason(&self, view: &StudyView) -> Option<String> {
        let mut best: Option<f64> = None;
        let mut since = 0;
        for (_, result) in in_order(view) {
            since += 1;
            let feasible = result.violations.iter().all(|violation| *violation <= 0.0);
            let Some(loss) = result.losses.first().copied().filter(|_| feasible) else { continue };
            match best {
                None => (best, since) = (Some(loss), 0),
                Some(before) if loss < before - self.tolerance => (best, since) = (Some(loss), 0),
                // Small steps add up: the best that they are compared with stays.
                Some(_) => {}
            }
        }
        let metric = metric(view.problem());
        (best.is_some() && since >= self.trials).then(|| {
            format!("`{metric}` has not improved by more than {} for {since} trials", self.tolerance)
        })
    }
}

fn metric(problem: &Problem) -> &str {
    problem.objectives().first().map_or("", |objective| objective.metric.as_str())
}

impl ExpectedImprovement {
    fn reason(&self, view: &StudyView) -> Option<String> {
        let limit = self.below.ln();
        let proposed = in_order(view).into_iter().rev().filter_map(|(trial, _)| {
            let by_model = IMPROVEMENT_SAMPLERS.contains(&trial.provenance.sampler.as_str());
            trial.provenance.acquisition.filter(|_| by_model)
        });
        let low = proposed.take_while(|value| *value < limit).take(self.proposals as usize).count() as u64;
        (low >= self.proposals).then(|| {
            format!(
                "the last {low} proposals were each expected to improve by less than {} standard deviations",
                self.below
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use boxwood_core::{Change, Origin, ProblemSpec, Provenance, Rung, RungResult, TrialNumber};

    use super::*;

    /// A study whose trials have these losses, expected improvements and ten seconds each.
    fn view(trials: &[(f64, f64)]) -> StudyView {
        let spec: ProblemSpec = serde_json::from_str(
            r#"{"space": {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]},
                "objectives": [{"metric": "loss", "goal": "minimize"}]}"#,
        )
        .unwrap();
        let problem = Arc::new(spec.check().unwrap());
        let trial = |(index, (loss, improvement)): (usize, &(f64, f64))| {
            let encoded = vec![index as f64 / 100.0];
            TrialView {
                number: TrialNumber(index as u32 + 1),
                point: problem.space().decode(&encoded),
                encoded,
                origin: Origin::Solver,
                provenance: Provenance {
                    sampler: "gp".into(),
                    acquisition: Some(improvement.ln()),
                    ..Provenance::default()
                },
                status: TrialStatus::Completed,
                target: Rung(0),
                results: vec![RungResult {
                    rung: Rung(0),
                    losses: vec![*loss],
                    violations: vec![],
                    seconds: Some(10.0),
                    change: Change(index as u64 + 1),
                }],
            }
        };
        let trials = trials.iter().enumerate().map(trial).collect();
        StudyView::new(problem, Change(99), trials)
    }

    fn flat(trials: u64, tolerance: f64) -> StopRules {
        StopRules { no_improvement: Some(NoImprovement { trials, tolerance }), ..StopRules::default() }
    }

    #[test]
    fn a_flat_end_stops_and_small_steps_add_up() {
        let falling: Vec<(f64, f64)> = (0..10).map(|n| (1.0 - 0.04 * f64::from(n), 1.0)).collect();
        assert_eq!(flat(3, 0.0).reason(&view(&falling)), None);
        // A step of 0.04 alone does not count, but after three of them the best has improved by 0.12.
        assert_eq!(flat(3, 0.1).reason(&view(&falling)), None);
        assert!(flat(2, 0.1).reason(&view(&falling[..9])).is_some());
        let reason = flat(2, 0.0).reason(&view(&[(1.0, 1.0), (0.5, 1.0), (0.5, 1.0), (0.7, 1.0)])).unwrap();
        assert_eq!(reason, "`loss` has not improved by more than 0 for 2 trials");
        assert_eq!(flat(1, 0.0).reason(&view(&[])), None);
    }

    #[test]
    fn seconds_add_up_over_trials() {
        let rules = StopRules { training_seconds: Some(30.0), ..StopRules::default() };
        assert_eq!(rules.reason(&view(&[(1.0, 1.0); 2])), None);
        assert!(rules.reason(&view(&[(1.0, 1.0); 3])).unwrap().contains("30 of 30 seconds"));
    }

    #[test]
    fn low_expectations_in_a_row_stop() {
        let rule = ExpectedImprovement { below: 0.01, proposals: 2 };
        let rules = StopRules { expected_improvement: Some(rule), ..StopRules::default() };
        assert_eq!(rules.reason(&view(&[(1.0, 0.001), (1.0, 0.5), (1.0, 0.001)])), None);
        assert!(rules.reason(&view(&[(1.0, 0.5), (1.0, 0.001), (1.0, 0.001)])).is_some());
    }

    #[test]
    fn nonsense_is_named() {
        let field = |rules: StopRules, objectives| rules.check(objectives).unwrap_err().0;
        assert_eq!(field(flat(0, 0.0), 1), "stop.no_improvement.trials");
        assert_eq!(field(flat(1, f64::NAN), 1), "stop.no_improvement.tolerance");
        assert_eq!(field(flat(1, 0.0), 2), "stop.no_improvement");
        let seconds = StopRules { training_seconds: Some(0.0), ..StopRules::default() };
        assert_eq!(field(seconds, 1), "stop.training_seconds");
        let rule = ExpectedImprovement { below: -1.0, proposals: 1 };
        let rules = StopRules { expected_improvement: Some(rule), ..StopRules::default() };
        assert_eq!(field(rules, 1), "stop.expected_improvement.below");
    }
}
