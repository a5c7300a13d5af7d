//! A user's beliefs about where the best point lies, read for one space.

use boxwood_acquisition::{Belief, PriorBelief};
use boxwood_core::SearchSpace;
use boxwood_core::space::Value;
use boxwood_surrogate::{Kind, Layout};
use serde_json::{Map, Value as Json};

/// Standard deviation of a belief about a number as a share of its range.
const DEVIATION: f64 = 0.1;

/// Reads `{parameter: {"center": value, "deviation": share}}` and `{parameter: {"weights": {choice: weight}}}`.
pub(super) fn read(
    table: &Map<String, Json>,
    space: &SearchSpace,
    layout: &Layout,
) -> Result<PriorBelief, String> {
    let mut beliefs = vec![Belief::Uniform; layout.len()];
    for (name, given) in table {
        let column = space.dimensions().iter().position(|dimension| &dimension.name == name);
        let Some(column) = column else {
            return Err(format!("beliefs.{name}: the space has no such parameter that can vary"));
        };
        beliefs[column] = match (layout.dimensions[column].kind, given.get("weights"), given.get("center")) {
            (Kind::Categorical { choices }, Some(Json::Object(weights)), None) => {
                Belief::Weights(read_weights(name, weights, choices, space)?)
            }
            (Kind::Numeric | Kind::Integer { .. } | Kind::Ordinal { .. }, None, Some(center)) => {
                let value = serde_json::from_value(center.clone())
                    .map_err(|_| format!("beliefs.{name}.center: {center} is not a value"))?;
                let center = space.encode_value(name, &value).map_err(|error| format!("beliefs.{error}"))?;
                let deviation = given.get("deviation").map_or(Some(DEVIATION), Json::as_f64);
                let deviation = deviation.filter(|deviation| *deviation > 0.0 && *deviation <= 10.0);
                let Some(deviation) = deviation else {
                    return Err(format!("beliefs.{name}.deviation: a number above 0 and up to 10 is needed"));
                };
                Belief::Normal { center, deviation }
            }
            (Kind::Categorical { .. }, ..) => {
                return Err(format!("beliefs.{name}: a categorical parameter takes `weights` by choice"));
            }
            _ => return Err(format!("beliefs.{name}: a number or rank takes `center` and `deviation`")),
        };
    }
    PriorBelief::new(layout, &beliefs).map_err(|error| format!("beliefs: {error}"))
}

/// One weight per choice; a choice that is not named has the weight zero.
fn read_weights(
    name: &str,
    given: &Map<String, Json>,
    choices: usize,
    space: &SearchSpace,
) -> Result<Vec<f64>, String> {
    let mut weights = vec![0.0; choices];
    for (choice, weight) in given {
        let unit = unit_of(name, choice, space)
            .ok_or_else(|| format!("beliefs.{name}.weights: the parameter has no choice `{choice}`"))?;
        let weight = weight.as_f64().filter(|weight| *weight >= 0.0);
        let weight = weight
            .ok_or_else(|| format!("beliefs.{name}.weights.{choice}: a number of at least 0 is needed"))?;
        let bin = (unit * choices as f64) as usize;
        weights[bin.min(choices - 1)] = weight;
    }
    if weights.iter().sum::<f64>() > 0.0 {
        Ok(weights)
    } else {
        Err(format!("beliefs.{name}.weights: at least one weight must be above 0"))
    }
}

/// Unit number of a choice by its text: the text itself, or the number or boolean that it spells.
fn unit_of(name: &str, choice: &str, space: &SearchSpace) -> Option<f64> {
    let spelled = serde_json::from_str::<Value>(choice).ok();
    let values = [Some(Value::Text(choice.to_owned())), spelled];
    values.into_iter().flatten().find_map(|value| space.encode_value(name, &value).ok())
}
