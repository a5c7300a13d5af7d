//! The lines between a program and its worker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::model::Verdict;

/// Step and metrics of a report as a program gave them; values may be NaN or infinite.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    /// Step in units of the resource; only a finish may lack it.
    pub step: Option<u64>,
    /// Metrics by name.
    pub metrics: BTreeMap<String, f64>,
    /// Seconds of this run so far, where the program measured them.
    pub seconds: Option<f64>,
}

/// What a program says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Metrics at a step: `{"report": {"step": 3, "auc": 0.71}}`, or without the outer object.
    Report(Numbers),
    /// The result: `{"finish": {"auc": 0.71}}`; its step is the target unless given.
    Finish(Numbers),
    /// The point cannot be evaluated: `{"infeasible": "why"}`.
    Infeasible(String),
}

/// What the worker answers on the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What to do next.
    Verdict(Verdict),
    /// The line was not understood.
    Error(String),
}

/// A line that is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MessageError(String);

impl Message {
    /// Reads one line. NaN and infinity are read as Python's `json` writes them, `null` as NaN, and values that are no
    /// numbers are passed over.
    pub fn parse(line: &str) -> Result<Self, MessageError> {
        let value: Value = serde_json::from_str(line)
            .or_else(|error| serde_json::from_str(&quote_non_finite(line)).map_err(|_| error))
            .map_err(|error| MessageError(error.to_string()))?;
        let Value::Object(mut object) = value else { return Err(MessageError("not a JSON object".into())) };
        if let Some(reason) = object.remove("infeasible") {
            return Ok(Self::Infeasible(reason.as_str().map_or_else(|| reason.to_string(), str::to_owned)));
        }
        match (object.remove("finish"), object.remove("report")) {
            (Some(Value::Object(finish)), _) => Ok(Self::Finish(numbers(finish)?)),
            (None, Some(Value::Object(report))) => Self::report(report),
            (None, None) => Self::report(object),
            _ => Err(MessageError("`report` and `finish` hold an object".into())),
        }
    }

    fn report(object: Map<String, Value>) -> Result<Self, MessageError> {
        let numbers = numbers(object)?;
        if numbers.step.is_none() {
            return Err(MessageError("a report needs `step`, an integer of at least 1".into()));
        }
        Ok(Self::Report(numbers))
    }

    /// The line of this message, without its end.
    pub fn to_line(&self) -> String {
        match self {
            Self::Report(numbers) => json!({"report": object(numbers)}),
            Self::Finish(numbers) => json!({"finish": object(numbers)}),
            Self::Infeasible(reason) => json!({"infeasible": reason}),
        }
        .to_string()
    }
}

fn numbers(object: Map<String, Value>) -> Result<Numbers, MessageError> {
    let mut numbers = Numbers::default();
    for (name, value) in object {
        match name.as_str() {
            "step" => {
                // Python programs count in floats now and then: 3.0 is a step, 2.5 is not.
                let step = value.as_u64().or_else(|| {
                    value
                        .as_f64()
                        .filter(|step| step.fract() == 0.0 && (1.0..9e15).contains(step))
                        .map(|step| step as u64)
                });
                let step = step.filter(|step| *step >= 1);
                numbers.step = Some(step.ok_or_else(|| {
                    MessageError(format!("`step` is {value}, it must be an integer of at least 1"))
                })?);
            }
            "seconds" => {
                numbers.seconds = value.as_f64().filter(|seconds| *seconds >= 0.0 && seconds.is_finite());
            }
            _ => {
                if let Some(number) = number(&value) {
                    numbers.metrics.insert(name, number);
                }
            }
        }
    }
    Ok(numbers)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::NAN),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn object(numbers: &Numbers) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in &numbers.metrics {
        let value = if value.is_finite() {
            json!(value)
        } else if value.is_nan() {
            json!("NaN")
        } else {
            json!(if *value > 0.0 { "Infinity" } else { "-Infinity" })
        };
        object.insert(name.clone(), value);
    }
    if let Some(step) = numbers.step {
        object.insert("step".into(), step.into());
    }
    if let Some(seconds) = numbers.seconds {
        object.insert("seconds".into(), json!(seconds));
    }
    object
}

/// Puts quotes around bare `NaN`, `Infinity` and `-Infinity` outside of texts.
fn quote_non_finite(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let (mut rest, mut in_text) = (line, false);
    while let Some(first) = rest.chars().next() {
        let word =
            ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !in_text && rest.starts_with(word));
        let taken = match (word, first) {
            (Some(word), _) => {
                out.push('"');
                out.push_str(word);
                out.push('"');
                rest = &rest[word.len()..];
                continue;
            }
            (None, '\\') if in_text => first.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, '"') => {
                in_text = !in_text;
                1
            }
            (None, _) => first.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn report(line: &str) -> Numbers {
        match Message::parse(line).unwrap() {
            Message::Report(numbers) => numbers,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flat_and_wrapped_reports_read_alike() {
        let flat = report(r#"{"step":3,"auc":0.71,"seconds":1.5,"decayed":true,"note":"x"}"#);
        assert_eq!(flat, report(r#"{"report":{"step":3.0,"auc":0.71,"seconds":1.5}}"#));
        assert_eq!(flat.metrics, BTreeMap::from([("auc".into(), 0.71)]));
        assert_eq!((flat.step, flat.seconds), (Some(3), Some(1.5)));
    }

    #[test]
    fn non_finite_values_are_read_in_every_spelling() {
        for text in ["NaN", "null", "\"NaN\""] {
            assert!(
                report(&format!(r#"{{"step": 1, "auc": {text}, "N\"aNaN": 1}}"#)).metrics["auc"].is_nan()
            );
        }
        assert_eq!(report(r#"{"step": 1, "loss": -Infinity}"#).metrics["loss"], f64::NEG_INFINITY);
    }

    #[test]
    fn messages_survive_their_own_line() {
        let metrics = BTreeMap::from([("auc".to_owned(), 0.1 + 0.2), ("loss".to_owned(), f64::INFINITY)]);
        for message in [
            Message::Report(Numbers { step: Some(7), metrics: metrics.clone(), seconds: Some(0.25) }),
            Message::Finish(Numbers { step: None, metrics, seconds: None }),
            Message::Infeasible("rank \"above\" width".into()),
        ] {
            assert_eq!(Message::parse(&message.to_line()).unwrap(), message);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for line in [
            "",
            "3",
            "{",
            r#"{"auc":1}"#,
            r#"{"step":0}"#,
            r#"{"step":1.5}"#,
            r#"{"step":-1}"#,
            r#"{"report":3}"#,
        ] {
            assert!(Message::parse(line).is_err(), "{line}");
        }
    }
}
