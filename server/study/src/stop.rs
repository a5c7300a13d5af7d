//! When a study has done enough, judged by what its trials measured: the rules, their checks and changes of them.

mod reason;

use boxwood_core::Signal;
use serde::{Deserialize, Deserializer, Serialize};

/// Rules that end a study beside its budget and its objectives' targets; each may be absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRules {
    /// The best result, or with several objectives the front, no longer improves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_improvement: Option<NoImprovement>,
    /// Seconds that workers have trained in all, whatever became of it; see `StudyRecord::training_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_seconds: Option<f64>,
    /// The solver's model expects nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_improvement: Option<ExpectedImprovement>,
    /// The solver's model is sure that the best result is nearly the best possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regret_bound: Option<RegretBound>,
}

/// Ends a study whose best result has not improved for a while.
///
/// A feasible full result improves unless an earlier one that did is at most the tolerance worse in every objective:
/// the archive of additive epsilon-dominance (Laumanns et al., "Combining convergence and diversity in evolutionary
/// multiobjective optimization", 2002), which needs no reference point. With one objective that is a loss below the best
/// one by more than the tolerance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoImprovement {
    /// Full results in a row that do not improve on those before them.
    pub trials: u64,
    /// Improvements up to this do not count, in units of the metrics.
    #[serde(default)]
    pub tolerance: Tolerance,
}

/// How much worse is as good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "use a number, or a list with one number per objective")]
pub enum Tolerance {
    /// The same for every objective.
    Same(f64),
    /// One per objective, in their order.
    Each(Vec<f64>),
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

/// Ends a study whose model bounds the regret of stopping now (Makarova et al., "Automatic termination for
/// hyperparameter optimization", 2022).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegretBound {
    /// Bound in units of the metric.
    pub below: f64,
    /// Measured proposals of the model in a row for which the bound was below.
    pub proposals: u64,
}

/// A change of the rules; absent ones stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopPatch {
    /// `Some(None)` removes the rule.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub no_improvement: Option<Option<NoImprovement>>,
    /// `Some(None)` removes the rule.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub training_seconds: Option<Option<f64>>,
    /// `Some(None)` removes the rule.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub expected_improvement: Option<Option<ExpectedImprovement>>,
    /// `Some(None)` removes the rule.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub regret_bound: Option<Option<RegretBound>>,
}

/// A field that is there: null is a value.
#[allow(clippy::option_option)]
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl StopPatch {
    /// The rules after this change.
    #[must_use]
    pub fn apply(&self, rules: &StopRules) -> StopRules {
        let Self { no_improvement, training_seconds, expected_improvement, regret_bound } = self.clone();
        let rules = rules.clone();
        StopRules {
            no_improvement: no_improvement.unwrap_or(rules.no_improvement),
            training_seconds: training_seconds.unwrap_or(rules.training_seconds),
            expected_improvement: expected_improvement.unwrap_or(rules.expected_improvement),
            regret_bound: regret_bound.unwrap_or(rules.regret_bound),
        }
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Same(0.0)
    }
}

impl Tolerance {
    fn values(&self) -> &[f64] {
        match self {
            Self::Same(value) => std::slice::from_ref(value),
            Self::Each(values) => values,
        }
    }

    fn of(&self, objective: usize) -> f64 {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values.get(objective).copied().unwrap_or(0.0),
        }
    }
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Same(value) => value.fmt(formatter),
            Self::Each(values) => {
                let texts: Vec<String> = values.iter().map(f64::to_string).collect();
                texts.join(", ").fmt(formatter)
            }
        }
    }
}

/// What is wrong with a rule: the field and why.
type Wrong = (&'static str, &'static str);

fn require(holds: bool, field: &'static str, reason: &'static str) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err((field, reason)) }
}

fn positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

impl StopRules {
    /// Whether there is no rule.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What these rules read of the solver's proposals.
    pub fn signals(&self) -> Vec<Signal> {
        let improvement = self.expected_improvement.as_ref().map(|_| Signal::ExpectedImprovement);
        let regret = self.regret_bound.as_ref().map(|_| Signal::RegretBound);
        improvement.into_iter().chain(regret).collect()
    }

    /// The field that is wrong, and why.
    pub(crate) fn check(&self, objectives: usize) -> Result<(), Wrong> {
        const COUNT: &str = "it must be at least 1";
        const LIMIT: &str = "it must be finite and positive";
        const SEVERAL: &str = "it looks at one objective, the study has more";
        if let Some(rule) = &self.no_improvement {
            let values = rule.tolerance.values();
            let fits = matches!(rule.tolerance, Tolerance::Same(_)) || values.len() == objectives;
            let sound = values.iter().all(|value| value.is_finite() && *value >= 0.0);
            require(rule.trials > 0, "stop.no_improvement.trials", COUNT)?;
            require(fits, "stop.no_improvement.tolerance", "a list has one number per objective")?;
            require(sound, "stop.no_improvement.tolerance", "it must be finite and not negative")?;
        }
        require(self.training_seconds.is_none_or(positive), "stop.training_seconds", LIMIT)?;
        if let Some(rule) = &self.expected_improvement {
            require(objectives == 1, "stop.expected_improvement", SEVERAL)?;
            require(positive(rule.below), "stop.expected_improvement.below", LIMIT)?;
            require(rule.proposals > 0, "stop.expected_improvement.proposals", COUNT)?;
        }
        if let Some(rule) = &self.regret_bound {
            require(objectives == 1, "stop.regret_bound", SEVERAL)?;
            require(positive(rule.below), "stop.regret_bound.below", LIMIT)?;
            require(rule.proposals > 0, "stop.regret_bound.proposals", COUNT)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nonsense_is_named() {
        let check = |json: &str, objectives| {
            let rules: StopRules = serde_json::from_str(json).unwrap();
            rules.check(objectives).map_err(|(field, _)| field)
        };
        for (json, objectives, field) in [
            (r#"{"no_improvement": {"trials": 0}}"#, 1, "stop.no_improvement.trials"),
            (r#"{"no_improvement": {"trials": 1, "tolerance": -1}}"#, 1, "stop.no_improvement.tolerance"),
            (r#"{"no_improvement": {"trials": 1, "tolerance": [1, 2]}}"#, 1, "stop.no_improvement.tolerance"),
            (r#"{"training_seconds": 0}"#, 1, "stop.training_seconds"),
            (
                r#"{"expected_improvement": {"below": 0, "proposals": 1}}"#,
                1,
                "stop.expected_improvement.below",
            ),
            (r#"{"expected_improvement": {"below": 1, "proposals": 1}}"#, 2, "stop.expected_improvement"),
            (r#"{"regret_bound": {"below": 1, "proposals": 0}}"#, 1, "stop.regret_bound.proposals"),
            (r#"{"regret_bound": {"below": -1, "proposals": 1}}"#, 1, "stop.regret_bound.below"),
            (r#"{"regret_bound": {"below": 1, "proposals": 1}}"#, 2, "stop.regret_bound"),
        ] {
            assert_eq!(check(json, objectives), Err(field), "{json}");
        }
        assert_eq!(check(r#"{"no_improvement": {"trials": 1, "tolerance": [1, 2]}}"#, 2), Ok(()));
        let words =
            serde_json::from_str::<StopRules>(r#"{"no_improvement": {"trials": 1, "tolerance": "a"}}"#);
        assert!(words.unwrap_err().to_string().contains("one number per objective"));
    }

    #[test]
    fn a_patch_sets_clears_and_leaves_each_rule() {
        let rules: StopRules =
            serde_json::from_str(r#"{"no_improvement": {"trials": 3}, "training_seconds": 60}"#).unwrap();
        let patch = |json: &str| serde_json::from_str::<StopPatch>(json).unwrap().apply(&rules);
        assert_eq!(patch("{}"), rules);
        let cleared = patch(r#"{"no_improvement": null}"#);
        assert_eq!((cleared.no_improvement, cleared.training_seconds), (None, Some(60.0)));
        let raised = patch(r#"{"training_seconds": 90, "regret_bound": {"below": 0.1, "proposals": 2}}"#);
        assert_eq!((raised.training_seconds, &raised.no_improvement), (Some(90.0), &rules.no_improvement));
        assert!(raised.regret_bound.is_some());
        // A stored request reads as it was: null and absence stay apart.
        let text = r#"{"no_improvement":null}"#;
        let read: StopPatch = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(serde_json::from_str::<StopPatch>(r#"{"no_improvment": null}"#).is_err());
    }
}
