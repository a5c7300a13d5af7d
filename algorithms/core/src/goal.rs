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
#[serde(transparent)]
pub struct Loss(f64);

/// A value that was NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("value {0} is not finite")]
pub struct NotFinite(pub f64);

impl Loss {
    /// Accepts finite values only.
    pub fn new(value: f64) -> Result<Self, NotFinite> {
        if value.is_finite() { Ok(Self(value)) } else { Err(NotFinite(value)) }
    }

    /// The number; smaller is better.
    pub fn get(self) -> f64 {
        self.0
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
            Goal::Maximize => -loss.get(),
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
