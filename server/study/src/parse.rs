//! Reading a study specification from JSON or TOML with errors that name the field.

use boxwood_core::{Constraint, Fidelity, Objective, Point, SolverSpec, SourceSpec, SpaceSpec};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::spec::{Budget, FailureLimit, ProgramSpec, SpecError, StudySpec};
use crate::stop::StopRules;

/// The fields of a specification, for the message about an unknown one.
const FIELDS: [&str; 22] = [
    "name",
    "description",
    "space",
    "objectives",
    "constraints",
    "fidelity",
    "solver",
    "budget",
    "initial_points",
    "transfer_from",
    "sources",
    "seed",
    "program",
    "requires",
    "max_open_leases",
    "stop",
    "max_attempts",
    "lease_seconds",
    "freshness",
    "duplicates",
    "failure_limit",
    "priority",
];

fn error(field: impl Into<String>, reason: impl Into<String>) -> SpecError {
    SpecError::Field { field: field.into(), reason: reason.into() }
}

impl StudySpec {
    /// Reads a specification from JSON text.
    ///
    /// # Errors
    /// A syntax error with its line and column, or the first field that is unknown, missing or of the wrong type.
    pub fn from_json(text: &str) -> Result<Self, SpecError> {
        let json = serde_json::from_str(text).map_err(|e| error("study", format!("not valid JSON: {e}")))?;
        Self::from_value(json)
    }

    /// Reads a specification from TOML text; errors as for JSON.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        let json: Json = toml::from_str(text).map_err(|e| error("study", format!("not valid TOML: {e}")))?;
        Self::from_value(json)
    }

    /// Reads a specification from a JSON value.
    pub fn from_value(json: Json) -> Result<Self, SpecError> {
        let Json::Object(fields) = json else {
            return Err(error("study", "a specification is an object with named fields"));
        };
        for key in fields.keys() {
            if !FIELDS.contains(&key.as_str()) {
                return Err(error(key, format!("unknown field; known are {}", FIELDS.join(", "))));
            }
        }
        for required in ["name", "space", "objectives"] {
            if !fields.contains_key(required) {
                return Err(error(required, "this field is required"));
            }
        }
        each::<Objective>(&fields, "objectives")?;
        each::<Constraint>(&fields, "constraints")?;
        each::<Point>(&fields, "initial_points")?;
        each::<String>(&fields, "transfer_from")?;
        each::<SourceSpec>(&fields, "sources")?;
        space(&fields)?;
        one::<Fidelity>(&fields, "fidelity")?;
        one::<SolverSpec>(&fields, "solver")?;
        one::<Budget>(&fields, "budget")?;
        one::<StopRules>(&fields, "stop")?;
        one::<ProgramSpec>(&fields, "program")?;
        one::<FailureLimit>(&fields, "failure_limit")?;
        one::<u64>(&fields, "seed")?;
        one::<String>(&fields, "name")?;
        one::<f64>(&fields, "lease_seconds")?;
        serde_json::from_value(Json::Object(fields)).map_err(|e| error("study", e.to_string()))
    }
}

fn parse<T: DeserializeOwned>(path: &str, value: &Json) -> Result<(), SpecError> {
    T::deserialize(value).map(drop).map_err(|e| error(path, e.to_string()))
}

fn one<T: DeserializeOwned>(fields: &Map<String, Json>, name: &str) -> Result<(), SpecError> {
    match fields.get(name) {
        None | Some(Json::Null) => Ok(()),
        Some(value) => parse::<T>(name, value),
    }
}

fn each<T: DeserializeOwned>(fields: &Map<String, Json>, name: &str) -> Result<(), SpecError> {
    match fields.get(name) {
        None => Ok(()),
        Some(Json::Array(items)) => {
            items.iter().enumerate().try_for_each(|(i, item)| parse::<T>(&format!("{name}[{i}]"), item))
        }
        Some(_) => Err(error(name, "this field is a list")),
    }
}

fn space(fields: &Map<String, Json>) -> Result<(), SpecError> {
    let Some(value) = fields.get("space") else { return Ok(()) };
    if let Some(Json::Array(parameters)) = value.get("parameters") {
        for (i, parameter) in parameters.iter().enumerate() {
            parse::<boxwood_core::space::ParameterSpec>(&format!("space.parameters[{i}]"), parameter)?;
        }
    }
    parse::<SpaceSpec>("space", value)
}
