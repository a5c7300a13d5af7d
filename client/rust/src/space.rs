//! Builder of search spaces.

use serde_json::{Map, Value, json};

use crate::error::Error;

/// A search space in the making. `log`, `step`, `default_value` and the `when` family speak of the parameter added last.
///
/// ```
/// use boxwood_client::Space;
///
/// let space = Space::new()
///     .float("lr", 1e-5, 1e-1).log()
///     .integer("layers", 1, 4)
///     .categorical("optimizer", ["adam", "sgd"])
///     .float("momentum", 0.0, 0.99).when("optimizer", "sgd");
/// assert_eq!(space.to_json().unwrap()["parameters"].as_array().unwrap().len(), 4);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Space {
    parameters: Vec<Map<String, Value>>,
    arm_parameter: Option<String>,
    arms: Vec<(String, Space)>,
    forbidden: Vec<Value>,
    relations: Vec<String>,
    mistake: Option<String>,
}

impl Space {
    /// A space without parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a float between two inclusive bounds.
    #[must_use]
    pub fn float(self, name: impl Into<String>, low: f64, high: f64) -> Self {
        self.parameter(name, &json!({"type": "float", "low": low, "high": high}))
    }

    /// Adds an integer between two inclusive bounds.
    #[must_use]
    pub fn integer(self, name: impl Into<String>, low: i64, high: i64) -> Self {
        self.parameter(name, &json!({"type": "integer", "low": low, "high": high}))
    }

    /// Adds one of several values without an order.
    #[must_use]
    pub fn categorical<V: Into<Value>>(
        self,
        name: impl Into<String>,
        choices: impl IntoIterator<Item = V>,
    ) -> Self {
        self.parameter(name, &json!({"type": "categorical", "choices": list(choices)}))
    }

    /// Adds one of several values in the given order.
    #[must_use]
    pub fn ordinal<V: Into<Value>>(
        self,
        name: impl Into<String>,
        choices: impl IntoIterator<Item = V>,
    ) -> Self {
        self.parameter(name, &json!({"type": "ordinal", "choices": list(choices)}))
    }

    /// Adds true or false.
    #[must_use]
    pub fn boolean(self, name: impl Into<String>) -> Self {
        self.parameter(name, &json!({"type": "boolean"}))
    }

    /// Adds a fixed value that is part of every point.
    #[must_use]
    pub fn constant(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.parameter(name, &json!({"type": "constant", "value": value.into()}))
    }

    /// Searches the last parameter on a log scale.
    #[must_use]
    pub fn log(self) -> Self {
        self.set("log", "scale", "log".into())
    }

    /// Puts the last parameter on the grid `low + i * step`.
    #[must_use]
    pub fn step(self, step: impl Into<Value>) -> Self {
        self.set("step", "step", step.into())
    }

    /// Value of the last parameter in the first point.
    #[must_use]
    pub fn default_value(self, value: impl Into<Value>) -> Self {
        self.set("default_value", "default", value.into())
    }

    /// Activates the last parameter only where another one has this value.
    #[must_use]
    pub fn when(self, parameter: &str, equals: impl Into<Value>) -> Self {
        self.set("when", "when", json!({"parameter": parameter, "equals": equals.into()}))
    }

    /// Activates the last parameter only where another one has one of these values.
    #[must_use]
    pub fn when_in<V: Into<Value>>(self, parameter: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.set("when_in", "when", json!({"parameter": parameter, "in": list(values)}))
    }

    /// Activates the last parameter under any condition, as in a specification: `{"all": [...]}`, `{"any": [...]}`.
    #[must_use]
    pub fn when_condition(self, condition: Value) -> Self {
        self.set("when_condition", "when", condition)
    }

    /// Refuses points in which every named parameter has the given value.
    #[must_use]
    pub fn forbid<K: Into<String>, V: Into<Value>>(
        mut self,
        clause: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let clause = clause.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.forbidden.push(Value::Object(clause.collect()));
        self
    }

    /// Requires a relation between parameters, for example `"min_leaf <= max_leaf"`.
    #[must_use]
    pub fn relation(mut self, relation: impl Into<String>) -> Self {
        self.relations.push(relation.into());
        self
    }

    /// Adds an arm: a named subspace of which a point has exactly one.
    #[must_use]
    pub fn arm(mut self, name: impl Into<String>, space: Self) -> Self {
        self.arms.push((name.into(), space));
        self
    }

    /// Names the parameter that holds the arm. Default `arm`.
    #[must_use]
    pub fn arm_parameter(mut self, name: impl Into<String>) -> Self {
        self.arm_parameter = Some(name.into());
        self
    }

    /// The document of the space. The server checks its contents; here only misuse of the builder is an error.
    pub fn to_json(&self) -> Result<Value, Error> {
        if let Some(mistake) = &self.mistake {
            return Err(Error::Specification(mistake.clone()));
        }
        let mut space = Map::new();
        space.insert("parameters".into(), json!(self.parameters));
        if !self.arms.is_empty() {
            let mut choices = Map::new();
            for (name, arm) in &self.arms {
                if choices.insert(name.clone(), arm.to_json()?).is_some() {
                    return Err(Error::Specification(format!("space: arm `{name}` is declared twice")));
                }
            }
            let parameter = self.arm_parameter.as_deref().unwrap_or("arm");
            space.insert("arms".into(), json!({"parameter": parameter, "choices": choices}));
        }
        if !self.forbidden.is_empty() {
            space.insert("forbidden".into(), json!(self.forbidden));
        }
        if !self.relations.is_empty() {
            space.insert("relations".into(), json!(self.relations));
        }
        Ok(Value::Object(space))
    }

    fn parameter(mut self, name: impl Into<String>, domain: &Value) -> Self {
        let mut parameter = Map::from_iter([("name".to_owned(), Value::String(name.into()))]);
        if let Value::Object(domain) = domain {
            parameter.extend(domain.clone());
        }
        // JSON has no NaN and no infinity: such a bound became null.
        if let Some((bound, _)) = parameter.iter().find(|(key, value)| *key != "value" && value.is_null()) {
            let mistake = format!("space.parameters: `{bound}` of {} is not finite", parameter["name"]);
            self.mistake.get_or_insert(mistake);
        }
        self.parameters.push(parameter);
        self
    }

    fn set(mut self, method: &str, field: &str, value: Value) -> Self {
        match self.parameters.last_mut() {
            Some(parameter) => {
                parameter.insert(field.into(), value);
            }
            None => {
                self.mistake.get_or_insert(format!("space: `{method}` comes before any parameter"));
            }
        }
        self
    }
}

fn list<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Vec<Value> {
    values.into_iter().map(Into::into).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_space_reads_as_its_document() {
        let space = Space::new()
            .float("lr", 1e-5, 1e-1)
            .log()
            .integer("batch", 16, 64)
            .step(16)
            .default_value(32)
            .arm("fm", Space::new().ordinal("rank", [4, 8]))
            .arm("lr", Space::new())
            .arm_parameter("model")
            .forbid([("lr", 0.1)])
            .relation("batch >= 32");
        assert_eq!(
            space.to_json().unwrap(),
            json!({
                "parameters": [
                    {"name": "lr", "type": "float", "low": 1e-5, "high": 1e-1, "scale": "log"},
                    {"name": "batch", "type": "integer", "low": 16, "high": 64, "step": 16, "default": 32},
                ],
                "arms": {"parameter": "model", "choices": {
                    "fm": {"parameters": [{"name": "rank", "type": "ordinal", "choices": [4, 8]}]},
                    "lr": {"parameters": []},
                }},
                "forbidden": [{"lr": 0.1}],
                "relations": ["batch >= 32"],
            })
        );
    }

    #[test]
    fn misuse_is_an_error_at_the_end() {
        assert!(Space::new().log().float("x", 0.0, 1.0).to_json().is_err());
        assert!(Space::new().float("x", 0.0, f64::NAN).to_json().is_err());
        assert!(Space::new().arm("a", Space::new()).arm("a", Space::new()).to_json().is_err());
    }
}
