//! Reading a declaration from JSON or TOML, with errors that name the field.
//!
//! The types of a declaration are flat and tagged, where derived readers neither refuse unknown fields nor say where they
//! are; so they are read by hand from a JSON tree.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};

use super::spec::default_arm_parameter;
use super::{ArmsSpec, ConditionSpec, Domain, OneOrMany, ParameterSpec, Scale, SpaceError, SpaceSpec, Value};

const TYPES: [&str; 6] = ["float", "integer", "ordinal", "categorical", "boolean", "constant"];

type Read<T> = Result<T, SpaceError>;

impl SpaceSpec {
    /// Reads a declaration from JSON. It is not checked yet; see [`SpaceSpec::check`].
    pub fn from_json(text: &str) -> Result<Self, SpaceError> {
        let json: Json = serde_json::from_str(text).map_err(|error| fault("JSON", error.to_string()))?;
        space(&json, "")
    }

    /// Reads a declaration from TOML. It is not checked yet; see [`SpaceSpec::check`].
    pub fn from_toml(text: &str) -> Result<Self, SpaceError> {
        let json: Json = toml::from_str(text).map_err(|error| fault("TOML", error.to_string()))?;
        space(&json, "")
    }
}

/// Lets serde read a type through the reader below, so that every way in gives the same messages.
macro_rules! deserialize_by {
    ($($type:ty => $reader:ident),+ $(,)?) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $reader(&Json::deserialize(deserializer)?, "").map_err(D::Error::custom)
            }
        }
    )+};
}

deserialize_by!(
    SpaceSpec => space,
    ArmsSpec => arms,
    ParameterSpec => parameter,
    ConditionSpec => condition,
    OneOrMany => one_or_many,
);

fn fault(field: &str, reason: impl Into<String>) -> SpaceError {
    let field = if field.is_empty() { "space" } else { field };
    SpaceError::Field { field: field.to_owned(), reason: reason.into() }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn expected<T>(path: &str, wanted: &str, json: &Json) -> Read<T> {
    let found = match json {
        Json::Null => "null (or a number that is not finite)".to_owned(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => json.to_string(),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "a table".to_owned(),
    };
    Err(fault(path, format!("expected {wanted}, got {found}")))
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

fn table<'a>(json: &'a Json, path: &str) -> Read<&'a Map<String, Json>> {
    json.as_object().map_or_else(|| expected(path, "a table of fields", json), Ok)
}

fn refuse_unknown(map: &Map<String, Json>, path: &str, known: &[&str]) -> Read<()> {
    match map.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            let reason = format!("unknown field \"{name}\", expected one of {}", quoted(known));
            Err(fault(path, reason))
        }
        None => Ok(()),
    }
}

/// A field that is neither absent nor null.
fn given<'a>(map: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    map.get(name).filter(|json| !json.is_null())
}

fn optional<T>(
    map: &Map<String, Json>,
    path: &str,
    name: &str,
    read: impl Fn(&Json, &str) -> Read<T>,
) -> Read<Option<T>> {
    given(map, name).map(|json| read(json, &below(path, name))).transpose()
}

fn required<T>(
    map: &Map<String, Json>,
    path: &str,
    name: &str,
    read: impl Fn(&Json, &str) -> Read<T>,
) -> Read<T> {
    match map.get(name) {
        Some(json) => read(json, &below(path, name)),
        None => Err(fault(path, format!("field \"{name}\" is missing"))),
    }
}

fn list<T>(json: &Json, path: &str, read: impl Fn(&Json, &str) -> Read<T>) -> Read<Vec<T>> {
    let Some(items) = json.as_array() else { return expected(path, "a list", json) };
    items.iter().enumerate().map(|(i, item)| read(item, &format!("{path}[{i}]"))).collect()
}

fn text(json: &Json, path: &str) -> Read<String> {
    json.as_str().map_or_else(|| expected(path, "a text", json), |text| Ok(text.to_owned()))
}

fn float(json: &Json, path: &str) -> Read<f64> {
    json.as_f64().map_or_else(|| expected(path, "a finite number", json), Ok)
}

/// An integer, also written as a float without a fraction.
fn integer(json: &Json, path: &str) -> Read<i64> {
    let whole = |number: &f64| number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    match json.as_i64().or_else(|| json.as_f64().filter(whole).map(|number| number as i64)) {
        Some(number) => Ok(number),
        None => expected(path, "an integer", json),
    }
}

fn value(json: &Json, path: &str) -> Read<Value> {
    match Value::deserialize(json) {
        Ok(value) => Ok(value),
        Err(_) => expected(path, "a finite number, a text, true or false", json),
    }
}

fn values(json: &Json, path: &str) -> Read<Vec<Value>> {
    list(json, path, value)
}

fn one_or_many(json: &Json, path: &str) -> Read<OneOrMany> {
    if json.is_array() {
        values(json, path).map(OneOrMany::Many)
    } else {
        value(json, path).map(OneOrMany::One)
    }
}

fn scale(json: &Json, path: &str) -> Read<Scale> {
    match json.as_str() {
        Some("linear") => Ok(Scale::Linear),
        Some("log") => Ok(Scale::Log),
        _ => expected(path, "\"linear\" or \"log\"", json),
    }
}

fn space(json: &Json, path: &str) -> Read<SpaceSpec> {
    let map = table(json, path)?;
    refuse_unknown(map, path, &["parameters", "arms", "forbidden", "relations"])?;
    Ok(SpaceSpec {
        parameters: optional(map, path, "parameters", |json, path| list(json, path, parameter))?
            .unwrap_or_default(),
        arms: optional(map, path, "arms", arms)?,
        forbidden: optional(map, path, "forbidden", |json, path| list(json, path, clause))?
            .unwrap_or_default(),
        relations: optional(map, path, "relations", |json, path| list(json, path, text))?.unwrap_or_default(),
    })
}

fn arms(json: &Json, path: &str) -> Read<ArmsSpec> {
    let map = table(json, path)?;
    refuse_unknown(map, path, &["parameter", "choices"])?;
    let choices = |json: &Json, path: &str| -> Read<BTreeMap<String, SpaceSpec>> {
        let read = |(name, json): (&String, &Json)| Ok((name.clone(), space(json, &below(path, name))?));
        table(json, path)?.iter().map(read).collect()
    };
    Ok(ArmsSpec {
        parameter: optional(map, path, "parameter", text)?.unwrap_or_else(default_arm_parameter),
        choices: required(map, path, "choices", choices)?,
    })
}

fn clause(json: &Json, path: &str) -> Read<BTreeMap<String, OneOrMany>> {
    let read = |(name, json): (&String, &Json)| Ok((name.clone(), one_or_many(json, &below(path, name))?));
    table(json, path)?.iter().map(read).collect()
}

fn parameter(json: &Json, path: &str) -> Read<ParameterSpec> {
    let map = table(json, path)?;
    let kind = match given(map, "type").and_then(Json::as_str) {
        Some(kind) if TYPES.contains(&kind) => kind,
        Some(other) => {
            let reason = format!("unknown type \"{other}\", expected one of {}", quoted(&TYPES));
            return Err(fault(&below(path, "type"), reason));
        }
        None => return Err(fault(path, format!("field \"type\" is missing: one of {}", quoted(&TYPES)))),
    };
    let own: &[&str] = match kind {
        "float" | "integer" => &["low", "high", "scale", "step"],
        "ordinal" => &["choices"],
        "categorical" => &["choices", "weights"],
        "constant" => &["value"],
        _ => &[],
    };
    let known: Vec<&str> = ["name", "type"].iter().chain(own).chain(&["default", "when"]).copied().collect();
    refuse_unknown(map, path, &known)?;
    let domain = match kind {
        "float" => Domain::Float {
            low: required(map, path, "low", float)?,
            high: required(map, path, "high", float)?,
            scale: optional(map, path, "scale", scale)?.unwrap_or_default(),
            step: optional(map, path, "step", float)?,
        },
        "integer" => Domain::Integer {
            low: required(map, path, "low", integer)?,
            high: required(map, path, "high", integer)?,
            scale: optional(map, path, "scale", scale)?.unwrap_or_default(),
            step: optional(map, path, "step", integer)?,
        },
        "ordinal" => Domain::Ordinal { choices: required(map, path, "choices", values)? },
        "categorical" => Domain::Categorical {
            choices: required(map, path, "choices", values)?,
            weights: optional(map, path, "weights", |json, path| list(json, path, float))?,
        },
        "constant" => Domain::Constant { value: required(map, path, "value", value)? },
        _ => Domain::Boolean,
    };
    Ok(ParameterSpec {
        name: required(map, path, "name", text)?,
        domain,
        default: optional(map, path, "default", value)?,
        when: optional(map, path, "when", condition)?,
    })
}

fn condition(json: &Json, path: &str) -> Read<ConditionSpec> {
    let map = table(json, path)?;
    let inner = |json: &Json, path: &str| list(json, path, condition);
    let form = ["equals", "in", "all", "any"].into_iter().find(|form| map.contains_key(*form));
    let known: &[&str] = match form {
        Some("equals") => &["parameter", "equals"],
        Some("in") => &["parameter", "in"],
        Some("all") => &["all"],
        Some("any") => &["any"],
        _ => &["parameter", "equals", "in", "all", "any"],
    };
    refuse_unknown(map, path, known)?;
    Ok(match form {
        Some("equals") => ConditionSpec::Equals {
            parameter: required(map, path, "parameter", text)?,
            equals: required(map, path, "equals", value)?,
        },
        Some("in") => ConditionSpec::In {
            parameter: required(map, path, "parameter", text)?,
            values: required(map, path, "in", values)?,
        },
        Some("all") => ConditionSpec::All { all: required(map, path, "all", inner)? },
        Some("any") => ConditionSpec::Any { any: required(map, path, "any", inner)? },
        _ => {
            let forms = quoted(&["equals", "in", "all", "any"]);
            return Err(fault(path, format!("a condition needs one of {forms}")));
        }
    })
}
