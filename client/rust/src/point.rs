//! The values of a trial's parameters.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;

/// Values of the active parameters by name. In a study with arms the name of a parameter is `ARM.NAME`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point(pub Map<String, Value>);

impl Point {
    pub(crate) fn parse(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json)
            .map_err(|error| Error::Answer { field: "point_json", reason: error.to_string() })
    }

    /// The value of a parameter; `None` when it is not active.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whether the parameter is active.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A number.
    pub fn float(&self, name: &str) -> Result<f64, Error> {
        self.typed(name, "a number", Value::as_f64)
    }

    /// An integer.
    pub fn integer(&self, name: &str) -> Result<i64, Error> {
        self.typed(name, "an integer", Value::as_i64)
    }

    /// A text, for example of a categorical parameter.
    pub fn text(&self, name: &str) -> Result<&str, Error> {
        self.typed(name, "a text", Value::as_str)
    }

    /// True or false.
    pub fn boolean(&self, name: &str) -> Result<bool, Error> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// The arm's name and its parameters under their short names. Parameters outside the arms are kept.
    pub fn split_arm(&self, arm_parameter: &str) -> (Option<String>, Map<String, Value>) {
        let Some(Value::String(arm)) = self.0.get(arm_parameter).filter(|_| !arm_parameter.is_empty()) else {
            return (None, self.0.clone());
        };
        let prefix = format!("{arm}.");
        let parameters = self
            .0
            .iter()
            .filter(|(name, _)| *name != arm_parameter)
            .map(|(name, value)| (name.strip_prefix(&prefix).unwrap_or(name).to_owned(), value.clone()));
        (Some(arm.clone()), parameters.collect())
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        kind: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<T, Error> {
        let problem = |problem: String| Error::Parameter { name: name.to_owned(), problem };
        let value = self.get(name).ok_or_else(|| problem("is not active in this point".into()))?;
        read(value).ok_or_else(|| problem(format!("is {value}, not {kind}")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_type() {
        let point = Point::parse(r#"{"lr":0.1,"layers":3,"act":"relu","bias":true}"#).unwrap();
        assert_eq!(point.float("lr").unwrap(), 0.1);
        assert_eq!(point.float("layers").unwrap(), 3.0);
        assert_eq!(point.integer("layers").unwrap(), 3);
        assert_eq!(point.text("act").unwrap(), "relu");
        assert!(point.boolean("bias").unwrap());
        assert_eq!(point.integer("lr").unwrap_err().to_string(), "parameter `lr` is 0.1, not an integer");
        assert_eq!(point.text("x").unwrap_err().to_string(), "parameter `x` is not active in this point");
    }

    #[test]
    fn an_arm_loses_its_prefix() {
        let point = Point::parse(r#"{"model":"fm","fm.rank":8,"lr":0.1}"#).unwrap();
        let (arm, parameters) = point.split_arm("model");
        assert_eq!(arm.as_deref(), Some("fm"));
        assert_eq!(Value::Object(parameters), serde_json::json!({"rank": 8, "lr": 0.1}));
        assert_eq!(point.split_arm("").0, None);
    }
}
