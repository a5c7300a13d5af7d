//! Goals, losses and metrics: the only place where a direction is applied.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Direction of an objective. Required everywhere; there is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

/// A finite number that is always smaller-is-better, with a total order.
///
/// Made only by [`Objective::loss`] (and [`Loss::new`] for solvers that already hold a loss).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct Loss(f64);

/// A value that was NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("value {0} is not finite")]
pub struct NotFinite(pub f64);

impl Loss {
    /// Accepts finite values only.
    pub fn new(value: f64) -> Result<Self, NotFinite> {
        // Adding zero turns a negative zero into zero, so that equality and order agree.
        if value.is_finite() { Ok(Self(value + 0.0)) } else { Err(NotFinite(value)) }
    }

    /// The number; smaller is better.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl From<Loss> for f64 {
    fn from(loss: Loss) -> Self {
        loss.0
    }
}

impl TryFrom<f64> for Loss {
    type Error = NotFinite;

    fn try_from(value: f64) -> Result<Self, NotFinite> {
        Self::new(value)
    }
}

impl Eq for Loss {}

// The derived partial order is total on finite values; `Ord` says so.
#[allow(clippy::derive_ord_xor_partial_ord)]
impl Ord for Loss {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Reported metrics by name; every value is finite once it has passed [`Metrics::check`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metrics(pub BTreeMap<String, f64>);

impl Metrics {
    /// Names the first metric that is not finite.
    pub fn check(&self) -> Result<(), (String, NotFinite)> {
        match self.0.iter().find(|(_, value)| !value.is_finite()) {
            Some((name, value)) => Err((name.clone(), NotFinite(*value))),
            None => Ok(()),
        }
    }

    /// The value of one metric.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

impl<K: Into<String>, const N: usize> From<[(K, f64); N]> for Metrics {
    fn from(pairs: [(K, f64); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

/// A metric with its required direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Name of the reported metric.
    pub metric: String,
    /// Direction.
    pub goal: Goal,
    /// Best value that the metric can take, in native units, where the user knows it (1.0 for an AUC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Value at which the study is done, in native units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
}

impl Objective {
    /// Turns a native value into a loss: the one function that applies a goal.
    pub fn loss(&self, value: f64) -> Result<Loss, NotFinite> {
        Loss::new(match self.goal {
            Goal::Minimize => value,
            Goal::Maximize => -value,
        })
    }

    /// Turns a loss back into the native value of the metric.
    pub fn native(&self, loss: Loss) -> f64 {
        match self.goal {
            Goal::Minimize => loss.get(),
            // Adding zero keeps a zero from becoming a negative one.
            Goal::Maximize => -loss.get() + 0.0,
        }
    }
}

/// Side of a constraint's bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Satisfied when the metric is at most this value.
    AtMost(f64),
    /// Satisfied when the metric is at least this value.
    AtLeast(f64),
}

/// A reported metric with a bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// Name of the reported metric.
    pub metric: String,
    /// Bound in native units.
    pub bound: Bound,
}

impl Constraint {
    /// Signed violation in native units: at most zero means satisfied.
    pub fn violation(&self, value: f64) -> Result<f64, NotFinite> {
        let violation = match self.bound {
            Bound::AtMost(bound) => value - bound,
            Bound::AtLeast(bound) => bound - value,
        };
        if violation.is_finite() { Ok(violation) } else { Err(NotFinite(value)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn objective(goal: Goal) -> Objective {
        Objective { metric: "auc".into(), goal, limit: None, target: None }
    }

    #[test]
    fn flipping_goal_and_sign_gives_the_same_loss() {
        for value in [0.0, -0.0, 0.7, -3.5, 1e300, -1e-300] {
            let (small, large) = (objective(Goal::Minimize), objective(Goal::Maximize));
            assert_eq!(small.loss(value), large.loss(-value));
            assert_eq!(small.native(small.loss(value).unwrap()), value);
            assert_eq!(large.native(large.loss(value).unwrap()), value);
        }
        assert!(objective(Goal::Maximize).loss(0.8).unwrap() < objective(Goal::Maximize).loss(0.7).unwrap());
        assert!(objective(Goal::Minimize).loss(0.7).unwrap() < objective(Goal::Minimize).loss(0.8).unwrap());
    }

    #[test]
    fn losses_are_finite_and_zero_has_one_form() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Loss::new(bad).is_err());
        }
        let (plus, minus) = (Loss::new(0.0).unwrap(), Loss::new(-0.0).unwrap());
        assert_eq!(plus.cmp(&minus), std::cmp::Ordering::Equal);
        assert_eq!(minus.get().to_bits(), 0);
        assert_eq!(serde_json::to_string(&plus).unwrap(), "0.0");
        assert_eq!(serde_json::from_str::<Loss>("1.5").unwrap(), Loss::new(1.5).unwrap());
    }

    #[test]
    fn the_direction_of_an_objective_is_required() {
        let error = serde_json::from_str::<Objective>(r#"{"metric":"auc"}"#).unwrap_err();
        assert!(error.to_string().contains("goal"), "{error}");
    }

    #[test]
    fn violations_are_at_most_zero_when_satisfied() {
        let constraint = |bound| Constraint { metric: "ms".into(), bound };
        assert_eq!(constraint(Bound::AtMost(5.0)).violation(7.0), Ok(2.0));
        assert_eq!(constraint(Bound::AtMost(5.0)).violation(5.0), Ok(0.0));
        assert_eq!(constraint(Bound::AtLeast(5.0)).violation(7.0), Ok(-2.0));
        assert!(constraint(Bound::AtLeast(5.0)).violation(f64::NAN).is_err());
        assert!(Metrics::from([("a", 1.0), ("b", f64::NAN)]).check().is_err_and(|(name, _)| name == "b"));
    }
}
