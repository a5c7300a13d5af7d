//! Canonical hashes of spaces and points: SHA-256 of a canonical JSON text.
//!
//! Equal for equal meaning: key order, absent against written-out defaults, `1` against `1.0`, the order of rules and of
//! the values in a condition, and white space in relations do not matter. The order of parameters and of choices does: it
//! decides what an encoded row means.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::value::number_text;
use super::{ConditionSpec, Domain, OneOrMany, ParameterSpec, Point, Scale, SearchSpace, SpaceSpec, Value};

fn hexadecimal(text: &str, bytes: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut hash = String::with_capacity(2 * bytes);
    for byte in digest.iter().take(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

impl SearchSpace {
    /// Canonical hash of the space: equal for equal meaning, 64 hexadecimal digits.
    pub fn hash(&self) -> String {
        self.hash.clone()
    }

    /// Canonical hash of a canonical point of this space, 32 hexadecimal digits: the key of duplicates.
    pub fn point_hash(&self, point: &Point) -> String {
        let mut text = String::from("{");
        for (i, (name, value)) in point.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{}:{}", Json::from(name.as_str()), value.canonical_text());
        }
        text.push('}');
        hexadecimal(&text, 16)
    }

    pub(super) fn compute_hash(&self) -> String {
        let text = match &self.only_arm {
            None => space(&self.spec).to_string(),
            Some(arm) => json!({"space": space(&self.spec), "arm": arm}).to_string(),
        };
        hexadecimal(&text, 32)
    }
}

/// Canonical JSON of a space. `serde_json` maps are sorted by key, numbers are texts.
fn space(spec: &SpaceSpec) -> Json {
    let mut map = Map::new();
    map.insert("parameters".into(), spec.parameters.iter().map(parameter).collect());
    if let Some(arms) = &spec.arms {
        let choices: Map<String, Json> =
            arms.choices.iter().map(|(name, own)| (name.clone(), space(own))).collect();
        map.insert("arms".into(), json!({"parameter": arms.parameter, "choices": choices}));
    }
    let clauses = spec.forbidden.iter().map(|clause| {
        let tests: Map<String, Json> =
            clause.iter().map(|(name, values)| (name.clone(), any_of(values))).collect();
        Json::from(tests)
    });
    map.insert("forbidden".into(), sorted(clauses));
    map.insert("relations".into(), sorted(spec.relations.iter().map(|text| Json::from(without_space(text)))));
    Json::from(map)
}

fn parameter(spec: &ParameterSpec) -> Json {
    let number = |value: f64| Json::from(number_text(value + 0.0));
    let integer = |value: i64| Json::from(value.to_string());
    let scale = |scale: Scale| if scale == Scale::Log { "log" } else { "linear" };
    let mut map = Map::new();
    map.insert("name".into(), spec.name.clone().into());
    map.insert(
        "domain".into(),
        match &spec.domain {
            Domain::Float { low, high, scale: s, step } => {
                json!({"float": [number(*low), number(*high)], "scale": scale(*s), "step": step.map(number)})
            }
            Domain::Integer { low, high, scale: s, step } => json!({
                "integer": [integer(*low), integer(*high)], "scale": scale(*s), "step": integer(step.unwrap_or(1))
            }),
            Domain::Ordinal { choices } => json!({"ordinal": values(choices)}),
            Domain::Categorical { choices, weights } => {
                let uneven = weights.as_ref().filter(|w| w.iter().any(|weight| *weight != w[0]));
                let weights = uneven.map(|w| w.iter().map(|weight| number(*weight)).collect::<Vec<_>>());
                json!({"categorical": values(choices), "weights": weights})
            }
            Domain::Boolean => json!("boolean"),
            Domain::Constant { value } => json!({"constant": value.canonical_text()}),
        },
    );
    if let Some(default) = &spec.default {
        map.insert("default".into(), default.canonical_text().into());
    }
    if let Some(when) = &spec.when {
        map.insert("when".into(), condition(when));
    }
    Json::from(map)
}

fn values(values: &[Value]) -> Vec<Json> {
    values.iter().map(|value| Json::from(value.canonical_text())).collect()
}

fn any_of(test: &OneOrMany) -> Json {
    match test {
        OneOrMany::One(value) => sorted([Json::from(value.canonical_text())]),
        OneOrMany::Many(many) => sorted(values(many)),
    }
}

fn condition(spec: &ConditionSpec) -> Json {
    match spec {
        ConditionSpec::Equals { parameter, equals } => {
            json!({"parameter": parameter, "in": sorted([Json::from(equals.canonical_text())])})
        }
        ConditionSpec::In { parameter, values: many } => {
            json!({"parameter": parameter, "in": sorted(values(many))})
        }
        ConditionSpec::All { all } => json!({"all": sorted(all.iter().map(condition))}),
        ConditionSpec::Any { any } => json!({"any": sorted(any.iter().map(condition))}),
    }
}

fn sorted(items: impl IntoIterator<Item = Json>) -> Json {
    let mut items: Vec<Json> = items.into_iter().collect();
    items.sort_by_cached_key(Json::to_string);
    Json::from(items)
}

/// A relation with single blanks between words and none elsewhere; texts stay as they are.
fn without_space(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut quote, mut blank) = (None, false);
    for character in text.chars() {
        if quote.is_none() && character.is_whitespace() {
            blank = true;
            continue;
        }
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        if blank && word(character) && kept.chars().last().is_some_and(word) {
            kept.push(' ');
        }
        blank = false;
        match quote {
            None if matches!(character, '"' | '\'' | '`') => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ => {}
        }
        kept.push(character);
    }
    kept
}
