//! Native values and points.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A native value of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Boolean.
    Boolean(bool),
    /// Integer.
    Integer(i64),
    /// Finite float.
    Float(f64),
    /// Text.
    Text(String),
}

impl Value {
    /// The number that this value is, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Boolean(_) | Self::Text(_) => None,
        }
    }

    /// The text that this value is, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(value) => Some(value),
            Self::Boolean(_) | Self::Integer(_) | Self::Float(_) => None,
        }
    }

    /// Equality of meaning: numbers are compared as numbers, so that `2` and `2.0` are the same.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Integer(_) | Self::Float(_), Self::Integer(_) | Self::Float(_)) => {
                self.as_number() == other.as_number()
            }
            _ => false,
        }
    }

    /// Whether the value is a number that JSON cannot hold.
    pub(super) fn is_not_finite(&self) -> bool {
        matches!(self, Self::Float(value) if !value.is_finite())
    }

    /// JSON text that is equal for values that are the same: `2.0` is written `2`, `-0.0` is written `0`.
    pub(super) fn canonical_text(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => number_text(*value),
            Self::Text(value) => serde_json::Value::from(value.as_str()).to_string(),
        }
    }
}

/// Largest magnitude up to which every integer is a float.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// Shortest text of a number, without a fraction where it has none.
pub(super) fn number_text(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() <= EXACT_INTEGERS {
        (value as i64).to_string()
    } else {
        format!("{value:?}")
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(formatter),
            Self::Integer(value) => value.fmt(formatter),
            Self::Float(value) => value.fmt(formatter),
            Self::Text(value) => value.fmt(formatter),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

struct ValueVisitor;

impl Visitor<'_> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a finite number, a text, true or false")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        if value.is_finite() {
            Ok(Value::Float(value))
        } else {
            Err(E::invalid_value(Unexpected::Float(value), &self))
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Native values of the active parameters of one space, by name.
///
/// Read from JSON, a `null` counts as absent: that is how a caller may spell an inactive parameter.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Point(pub BTreeMap<String, Value>);

impl Point {
    /// The value of one parameter.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, Option<Value>>::deserialize(deserializer)
            .map_err(|error| D::Error::custom(format!("point: {error}")))?;
        Ok(Self(values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()))
    }
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Point {
    fn from(pairs: [(K, V); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_are_the_same_across_types_and_text_is_not() {
        assert!(Value::from(2).same(&Value::from(2.0)));
        assert!(!Value::from("2").same(&Value::from(2)));
        assert!(!Value::from(true).same(&Value::from(1)));
        assert_eq!(Value::from(2.0).canonical_text(), Value::from(2).canonical_text());
        assert_eq!(Value::from(-0.0).canonical_text(), "0");
        assert_eq!(Value::from("a\"b").canonical_text(), r#""a\"b""#);
    }

    #[test]
    fn points_read_null_as_absent_and_keep_integers_apart_from_floats() {
        let point: Point = serde_json::from_str(r#"{"a":null,"b":2,"c":2.0,"d":"x","e":true}"#).unwrap();
        assert_eq!(point.get("a"), None);
        assert_eq!(point.get("b"), Some(&Value::Integer(2)));
        assert_eq!(point.get("c"), Some(&Value::Float(2.0)));
        assert_eq!(serde_json::to_string(&point).unwrap(), r#"{"b":2,"c":2.0,"d":"x","e":true}"#);
        let error = serde_json::from_str::<Point>(r#"{"a":[1]}"#).unwrap_err().to_string();
        assert!(error.contains("a finite number, a text, true or false"), "{error}");
        assert!(serde_json::from_str::<Value>("1e999").is_err());
        assert_eq!(
            serde_json::from_str::<Value>("18446744073709551615").unwrap(),
            Value::Float(u64::MAX as f64)
        );
    }
}
