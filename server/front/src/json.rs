//! JSON in and out, with errors that name the field.

use boxwood_app::AppError;
use boxwood_core::{Metrics, Point};
use boxwood_study::{Budget, StopPatch, StudySpec, TrialState};
use boxwood_wire::ErrorCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::failure::Failure;

/// A value as JSON text.
pub(crate) fn text<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| AppError::internal(&error).into())
}

/// A study specification.
pub(crate) fn spec(text: &str) -> Result<StudySpec, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::invalid("spec_json", "it is required"));
    }
    Ok(StudySpec::from_json(text)?)
}

/// A point.
pub(crate) fn point(text: &str, field: &str) -> Result<Point, Failure> {
    read(text, field)
}

/// A budget.
pub(crate) fn budget(text: &str) -> Result<Option<Budget>, Failure> {
    if text.is_empty() { Ok(None) } else { read(text, "budget_json").map(Some) }
}

/// Changes of stop rules.
pub(crate) fn stop(text: &str) -> Result<Option<StopPatch>, Failure> {
    if text.is_empty() { Ok(None) } else { read(text, "stop_json").map(Some) }
}

fn read<T: DeserializeOwned>(text: &str, field: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::invalid(field, &error.to_string()))
}

/// A request's body. The field at fault is taken from the reader's message.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        let message = error.to_string();
        let field = message.split('`').nth(1).filter(|_| message.contains("field")).map(str::to_owned);
        Failure { field, ..Failure::new(ErrorCode::SpecInvalid, format!("body: {message}")) }
    })
}

/// Metrics of a report. JSON has no NaN: null and the words for it are refused like one.
pub(crate) fn metrics(given: serde_json::Map<String, Json>) -> Result<Metrics, Failure> {
    let mut metrics = Metrics::default();
    for (name, value) in given {
        let field = format!("metrics.{name}");
        match value {
            Json::Number(number) => {
                let number =
                    number.as_f64().ok_or_else(|| Failure::invalid(field, "it is no number of 64 bits"))?;
                metrics.0.insert(name, number);
            }
            Json::Null => return Err(not_finite(name)),
            Json::String(word) if word.trim().parse::<f64>().is_ok_and(|number| !number.is_finite()) => {
                return Err(not_finite(name));
            }
            Json::String(_) | Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
                return Err(Failure::invalid(field, "it must be a number"));
            }
        }
    }
    Ok(metrics)
}

fn not_finite(metric: String) -> Failure {
    AppError::Refused(boxwood_study::Refusal::NotFinite { metric }).into()
}

/// A trial state's name on the wire.
pub(crate) fn trial_state(state: TrialState) -> &'static str {
    match state {
        TrialState::Queued => "queued",
        TrialState::Leased => "leased",
        TrialState::Paused => "paused",
        TrialState::Completed => "completed",
        TrialState::Pruned => "pruned",
        TrialState::Infeasible => "infeasible",
        TrialState::Failed => "failed",
        TrialState::Cancelled => "cancelled",
    }
}
