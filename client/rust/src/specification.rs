//! Builder of study specifications.

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::space::Space;

/// Something that a study can be created from: a JSON document or a [`StudyBuilder`].
pub trait StudySource {
    /// The specification as a document.
    fn document(&self) -> Result<Value, Error>;
}

impl StudySource for Value {
    fn document(&self) -> Result<Value, Error> {
        Ok(self.clone())
    }
}

/// A study specification in the making.
#[derive(Debug, Clone)]
pub struct StudyBuilder {
    space: Space,
    fields: Map<String, Value>,
    mistake: Option<String>,
}

impl StudyBuilder {
    /// A study with a name, unique in its project, and a space.
    pub fn new(name: impl Into<String>, space: Space) -> Self {
        let fields = Map::from_iter([("name".to_owned(), Value::String(name.into()))]);
        Self { space, fields, mistake: None }
    }

    /// Adds an objective whose smaller values are better.
    #[must_use]
    pub fn minimize(self, metric: &str) -> Self {
        self.append("objectives", json!({"metric": metric, "goal": "minimize"}))
    }

    /// Adds an objective whose larger values are better.
    #[must_use]
    pub fn maximize(self, metric: &str) -> Self {
        self.append("objectives", json!({"metric": metric, "goal": "maximize"}))
    }

    /// Requires a metric to be at most a bound.
    #[must_use]
    pub fn at_most(self, metric: &str, bound: f64) -> Self {
        self.append("constraints", json!({"metric": metric, "bound": {"at_most": bound}}))
    }

    /// Requires a metric to be at least a bound.
    #[must_use]
    pub fn at_least(self, metric: &str, bound: f64) -> Self {
        self.append("constraints", json!({"metric": metric, "bound": {"at_least": bound}}))
    }

    /// Measures at these amounts of a resource, for example `rungs("epochs", [1, 3, 9])`.
    #[must_use]
    pub fn rungs(self, resource: &str, rungs: impl IntoIterator<Item = u64>) -> Self {
        let rungs: Vec<u64> = rungs.into_iter().collect();
        self.field("fidelity", json!({"resource": resource, "rungs": rungs}))
    }

    /// Measures on a geometric ladder of a resource.
    #[must_use]
    pub fn ladder(self, resource: &str, min: u64, max: u64, reduction_factor: u32) -> Self {
        self.field(
            "fidelity",
            json!({"resource": resource, "min": min, "max": max, "reduction_factor": reduction_factor}),
        )
    }

    /// Chooses the solver by name.
    #[must_use]
    pub fn solver(self, name: &str) -> Self {
        self.field("solver", json!({"name": name}))
    }

    /// Chooses the solver with its parameters, for example `json!({"name": "asha", "reduction_factor": 4})`.
    #[must_use]
    pub fn solver_with(self, solver: Value) -> Self {
        self.field("solver", solver)
    }

    /// Ends the study after this many trials.
    #[must_use]
    pub fn budget_trials(self, trials: u64) -> Self {
        self.budget("trials", trials.into())
    }

    /// Ends the study after this many seconds.
    #[must_use]
    pub fn budget_seconds(self, seconds: f64) -> Self {
        self.budget("seconds", seconds.into())
    }

    /// Ends the study after this many resource units over all trials.
    #[must_use]
    pub fn budget_resource(self, units: u64) -> Self {
        self.budget("resource", units.into())
    }

    /// Ends the study earlier by rules, for example `json!({"no_improvement": {"trials": 30}})`.
    #[must_use]
    pub fn stop(self, rules: Value) -> Self {
        self.field("stop", rules)
    }

    /// Adds a point to try first.
    #[must_use]
    pub fn initial_point<K: Into<String>, V: Into<Value>>(
        self,
        point: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let point = point.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.append("initial_points", Value::Object(point.collect()))
    }

    /// Seed of every random draw.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.field("seed", seed.into())
    }

    /// Lets workers run a program of their configuration.
    #[must_use]
    pub fn program(self, name: &str, arguments: &Map<String, Value>) -> Self {
        self.field("program", json!({"name": name, "arguments": arguments}))
    }

    /// Length of a lease in seconds.
    #[must_use]
    pub fn lease_seconds(self, seconds: f64) -> Self {
        self.field("lease_seconds", seconds.into())
    }

    /// Sets any other field of the specification.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.into(), value);
        self
    }

    fn budget(self, limit: &str, value: Value) -> Self {
        self.edit("budget", json!({}), |budget| {
            budget.as_object_mut().map(|budget| {
                budget.insert(limit.into(), value);
            })
        })
    }

    fn append(self, field: &str, value: Value) -> Self {
        self.edit(field, json!([]), |list| list.as_array_mut().map(|list| list.push(value)))
    }

    fn edit(mut self, field: &str, empty: Value, edit: impl FnOnce(&mut Value) -> Option<()>) -> Self {
        if edit(self.fields.entry(field).or_insert(empty)).is_none() {
            self.mistake.get_or_insert(format!("{field}: was set to a value of another kind"));
        }
        self
    }
}

impl StudySource for StudyBuilder {
    fn document(&self) -> Result<Value, Error> {
        if let Some(mistake) = &self.mistake {
            return Err(Error::Specification(mistake.clone()));
        }
        if !self.fields.contains_key("objectives") {
            return Err(Error::Specification(
                "objectives: call `minimize` or `maximize` at least once".into(),
            ));
        }
        let mut document = self.fields.clone();
        document.insert("space".into(), self.space.to_json()?);
        Ok(Value::Object(document))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_study_reads_as_its_document() {
        let study = StudyBuilder::new("digits", Space::new().boolean("bias"))
            .maximize("auc")
            .at_most("milliseconds", 5.0)
            .rungs("epochs", [1, 3])
            .solver("asha")
            .budget_trials(9)
            .budget_seconds(60.0)
            .stop(json!({"training_seconds": 30}))
            .initial_point([("bias", true)])
            .seed(7);
        assert_eq!(
            study.document().unwrap(),
            json!({
                "name": "digits",
                "space": {"parameters": [{"name": "bias", "type": "boolean"}]},
                "objectives": [{"metric": "auc", "goal": "maximize"}],
                "constraints": [{"metric": "milliseconds", "bound": {"at_most": 5.0}}],
                "fidelity": {"resource": "epochs", "rungs": [1, 3]},
                "solver": {"name": "asha"},
                "budget": {"trials": 9, "seconds": 60.0},
                "stop": {"training_seconds": 30},
                "initial_points": [{"bias": true}],
                "seed": 7,
            })
        );
        assert!(StudyBuilder::new("x", Space::new()).document().is_err());
        assert!(
            StudyBuilder::new("x", Space::new())
                .field("objectives", json!(1))
                .minimize("y")
                .document()
                .is_err()
        );
    }
}
