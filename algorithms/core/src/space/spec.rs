//! The declared form of a search space, as read from JSON or TOML.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Value;

/// A search space as a person writes it; [`SpaceSpec::check`] turns it into a [`super::SearchSpace`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SpaceSpec {
    /// Parameters in order.
    pub parameters: Vec<ParameterSpec>,
    /// Arms of a CASH space: a named subspace each, chosen by one categorical parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arms: Option<ArmsSpec>,
    /// Forbidden clauses: a point is refused when every named parameter is active and has (one of) the value(s).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<BTreeMap<String, OneOrMany>>,
    /// Relations between parameters, for example `"min_leaf <= max_leaf"`; one that names an inactive parameter holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<String>,
}

/// The arms of a CASH space.
///
/// The full name of a parameter of arm `fm` is `fm.NAME`; in conditions, forbidden clauses and relations inside the arm's
/// own space the short name is used. The arm itself is a categorical parameter with the name `parameter`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmsSpec {
    /// Name of the parameter that holds the arm. Default `arm`.
    pub parameter: String,
    /// The subspace of each arm, by name. An arm may have no parameter; arms have no arms of their own.
    pub choices: BTreeMap<String, SpaceSpec>,
}

pub(super) fn default_arm_parameter() -> String {
    "arm".into()
}

/// A parameter with its domain, default and activation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParameterSpec {
    /// Name, unique in its space: letters, digits, `_`, `-`; dots only come from arms.
    pub name: String,
    /// Domain, flattened: `{"type": "float", "low": 1e-5, "high": 0.1, "scale": "log"}`.
    #[serde(flatten)]
    pub domain: Domain,
    /// Value of the first point; the middle of the domain when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Condition under which the parameter is active; always when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<ConditionSpec>,
}

/// Scale of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal differences.
    #[default]
    Linear,
    /// Equal ratios; needs a positive lower bound.
    Log,
}

/// What values a parameter can take. Bounds are inclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Domain {
    /// A float between two bounds, optionally on the grid `low + i * step`.
    Float {
        /// Lower bound.
        low: f64,
        /// Upper bound, at least `low`.
        high: f64,
        /// Scale.
        #[serde(default)]
        scale: Scale,
        /// Distance of grid points; only on a linear scale.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<f64>,
    },
    /// An integer between two bounds, optionally on the grid `low + i * step`.
    Integer {
        /// Lower bound.
        low: i64,
        /// Upper bound, at least `low`.
        high: i64,
        /// Scale.
        #[serde(default)]
        scale: Scale,
        /// Distance of grid points, at least 1; only on a linear scale when above 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<i64>,
    },
    /// One of several values with an order.
    Ordinal {
        /// Values in order, each once.
        choices: Vec<Value>,
    },
    /// One of several values without an order.
    Categorical {
        /// Values, each once.
        choices: Vec<Value>,
        /// Sampling weights, one per choice, positive; equal when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weights: Option<Vec<f64>>,
    },
    /// True or false.
    Boolean,
    /// A fixed value that is part of every point.
    Constant {
        /// The value.
        value: Value,
    },
}

/// Condition on other parameters. An inactive parent makes `equals` and `in` false.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ConditionSpec {
    /// The parent has this value.
    Equals {
        /// Name of the parent.
        parameter: String,
        /// Required value.
        equals: Value,
    },
    /// The parent has one of these values.
    In {
        /// Name of the parent.
        parameter: String,
        /// Allowed values.
        #[serde(rename = "in")]
        values: Vec<Value>,
    },
    /// All of these hold.
    All {
        /// Conditions, at least one.
        all: Vec<ConditionSpec>,
    },
    /// At least one of these holds.
    Any {
        /// Conditions, at least one.
        any: Vec<ConditionSpec>,
    },
}

/// A value or a list of values.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One value.
    One(Value),
    /// Several values.
    Many(Vec<Value>),
}
