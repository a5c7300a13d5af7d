//! Typed, checked reading of solver parameters; the documented table is the code.

use boxwood_core::{SolverSpec, Unsupported};
use serde_json::{Map, Value as Json};

/// One documented parameter of a solver.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParameterInfo {
    /// Name in the solver's specification.
    pub name: &'static str,
    /// Type, default and range.
    pub kind: ParameterKind,
    /// What it does, one sentence.
    pub meaning: &'static str,
}

/// Type, default and accepted range of a parameter; bounds are inclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParameterKind {
    /// A finite float.
    Number {
        /// Value when absent.
        default: f64,
        /// Smallest accepted value.
        low: f64,
        /// Largest accepted value.
        high: f64,
    },
    /// A float that may be absent.
    OptionalNumber {
        /// Smallest accepted value.
        low: f64,
        /// Largest accepted value.
        high: f64,
    },
    /// A whole number.
    Integer {
        /// Value when absent.
        default: u64,
        /// Smallest accepted value.
        low: u64,
        /// Largest accepted value.
        high: u64,
    },
    /// True or false.
    Flag {
        /// Value when absent.
        default: bool,
    },
    /// One of several words.
    Choice {
        /// Value when absent.
        default: &'static str,
        /// Accepted words.
        choices: &'static [&'static str],
    },
    /// A JSON value that the solver reads itself and that may be absent.
    Document {
        /// What it looks like, for people.
        shape: &'static str,
    },
    /// Another solver: its name, or an object with a name and parameters; chosen by rule when absent.
    Solver,
}

/// Parameters of one solver while they are read.
///
/// [`Parameters::finish`] refuses every name that was given and is not in the table.
#[derive(Debug)]
pub(crate) struct Parameters<'a> {
    solver: &'a str,
    given: &'a Map<String, Json>,
    table: Vec<ParameterInfo>,
}

impl<'a> Parameters<'a> {
    pub(crate) fn new(spec: &'a SolverSpec, tables: &[&[ParameterInfo]]) -> Self {
        Self { solver: &spec.name, given: &spec.parameters, table: tables.concat() }
    }

    pub(crate) fn refuse(&self, reason: impl Into<String>) -> Unsupported {
        Unsupported { solver: self.solver.to_owned(), reason: reason.into() }
    }

    /// Refuses unknown names.
    pub(crate) fn finish(&self) -> Result<(), Unsupported> {
        let unknown = self.given.keys().find(|name| self.table.iter().all(|info| info.name != name.as_str()));
        let Some(unknown) = unknown else { return Ok(()) };
        let known: Vec<&str> = self.table.iter().map(|info| info.name).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
        Err(self.refuse(format!("unknown parameter `{unknown}` (known: {known})")))
    }

    fn kind(&self, name: &str) -> ParameterKind {
        let info = self.table.iter().find(|info| info.name == name);
        info.expect("parameters are read under names of the solver's own table").kind
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64, Unsupported> {
        let ParameterKind::Number { default, low, high } = self.kind(name) else {
            unreachable!("`{name}` is declared as a number")
        };
        Ok(self.number_in(name, low, high)?.unwrap_or(default))
    }

    pub(crate) fn optional_number(&self, name: &str) -> Result<Option<f64>, Unsupported> {
        let ParameterKind::OptionalNumber { low, high } = self.kind(name) else {
            unreachable!("`{name}` is declared as an optional number")
        };
        self.number_in(name, low, high)
    }

    fn number_in(&self, name: &str, low: f64, high: f64) -> Result<Option<f64>, Unsupported> {
        let value = match self.given.get(name) {
            None | Some(Json::Null) => return Ok(None),
            Some(value) => value,
        };
        match value.as_f64() {
            Some(number) if low <= number && number <= high => Ok(Some(number)),
            _ => Err(self.refuse(format!("`{name}` must be a number in [{low}, {high}], got {value}"))),
        }
    }

    pub(crate) fn integer(&self, name: &str) -> Result<u64, Unsupported> {
        let ParameterKind::Integer { default, low, high } = self.kind(name) else {
            unreachable!("`{name}` is declared as an integer")
        };
        let value = match self.given.get(name) {
            None | Some(Json::Null) => return Ok(default),
            Some(value) => value,
        };
        match value.as_u64() {
            Some(number) if low <= number && number <= high => Ok(number),
            _ => Err(self.refuse(format!("`{name}` must be an integer in [{low}, {high}], got {value}"))),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Unsupported> {
        let ParameterKind::Flag { default } = self.kind(name) else {
            unreachable!("`{name}` is declared as a flag")
        };
        match self.given.get(name) {
            None | Some(Json::Null) => Ok(default),
            Some(Json::Bool(value)) => Ok(*value),
            Some(value) => Err(self.refuse(format!("`{name}` must be true or false, got {value}"))),
        }
    }

    pub(crate) fn choice(&self, name: &str) -> Result<&'static str, Unsupported> {
        let ParameterKind::Choice { default, choices } = self.kind(name) else {
            unreachable!("`{name}` is declared as a choice")
        };
        let value = match self.given.get(name) {
            None | Some(Json::Null) => return Ok(default),
            Some(value) => value,
        };
        let found = value.as_str().and_then(|word| choices.iter().find(|choice| **choice == word));
        found.copied().ok_or_else(|| {
            self.refuse(format!("`{name}` must be one of {}, got {value}", choices.join(", ")))
        })
    }

    /// A value as it was given; the caller checks it.
    pub(crate) fn document(&self, name: &str) -> Option<&Json> {
        self.given.get(name).filter(|value| !value.is_null())
    }

    /// A nested solver: a name, or an object with a name and parameters.
    pub(crate) fn solver(&self, name: &str) -> Result<Option<SolverSpec>, Unsupported> {
        match self.given.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(inner)) => Ok(Some(SolverSpec::named(inner.clone()))),
            Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|_| {
                self.refuse(format!("`{name}` must be a solver's name or an object with `name`, got {value}"))
            }),
        }
    }
}
