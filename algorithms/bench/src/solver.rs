//! Solvers as they are named on a command line.

use boxwood_core::SolverSpec;
use serde_json::Value;

use crate::error::BenchError;

/// Reads `name` or `name:parameter=value:parameter=value`, for example `asha:sampler=gp`; a value is JSON, or else a text.
pub(crate) fn parse(text: &str) -> Result<SolverSpec, BenchError> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let described = boxwood_solvers::describe();
    if !described.iter().any(|solver| solver.name == name || solver.aliases.contains(&name)) {
        let known = described.iter().map(|solver| solver.name).collect();
        return Err(BenchError::Solver { name: name.into(), known });
    }
    let mut spec = SolverSpec::named(name);
    for part in parts {
        let Some((parameter, value)) = part.split_once('=') else {
            return Err(BenchError::Option(format!("solver `{text}`: `{part}` is not parameter=value")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        spec.parameters.insert(parameter.into(), value);
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_carry_parameters_and_unknown_ones_are_named() {
        let spec = parse("asha:sampler=gp").unwrap();
        assert_eq!((spec.name.as_str(), spec.parameters["sampler"].as_str()), ("asha", Some("gp")));
        assert_eq!(parse("forest:random_fraction=0.1").unwrap().parameters["random_fraction"], 0.1);
        let message = parse("nonesuch").unwrap_err().to_string();
        assert!(message.contains("`nonesuch`") && message.contains("random"), "{message}");
        assert!(parse("bo:x").unwrap_err().to_string().contains("parameter=value"));
    }
}
