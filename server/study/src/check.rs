//! Checks of a study specification, and its canonical hash.

use std::sync::Arc;

use boxwood_core::ProblemSpec;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::ids::MAX_TRIALS;
use crate::refusal::Refusal;
use crate::spec::{CheckedStudy, DuplicatePolicy, SpecError, StudySpec};

const NAME_LENGTH: usize = 100;
const LABEL_LENGTH: usize = 100;
const DESCRIPTION_BYTES: usize = 10_000;
const INITIAL_POINTS: usize = 10_000;
const TRANSFER_FROM: usize = 16;
const ATTEMPTS: u32 = 100;
/// Shortest and longest lease. Tests use fractions of a second.
const LEASE_SECONDS: (f64, f64) = (0.05, 86_400.0);

fn field(name: impl Into<String>, reason: impl Into<String>) -> SpecError {
    SpecError::Field { field: name.into(), reason: reason.into() }
}

fn require(holds: bool, name: &str, reason: &str) -> Result<(), SpecError> {
    if holds { Ok(()) } else { Err(field(name, reason)) }
}

/// Letters, digits, `.`, `_` and `-`, starting with a letter or digit.
fn check_name(name: &str, path: &str) -> Result<(), SpecError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Err(field(path, "it is empty"))
    } else if name.len() > NAME_LENGTH {
        Err(field(path, format!("it is longer than {NAME_LENGTH} characters")))
    } else if !name.chars().all(plain) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Err(field(path, "use letters, digits, `.`, `_` and `-`, starting with a letter or digit"))
    } else {
        Ok(())
    }
}

impl StudySpec {
    /// Checks every field and builds the problem that solvers see; the error names the first field that is wrong.
    ///
    /// Whether the solver accepts the problem is for the caller to ask.
    pub fn check(&self) -> Result<CheckedStudy, SpecError> {
        check_name(&self.name, "name")?;
        require(self.description.len() <= DESCRIPTION_BYTES, "description", "it is longer than 10000 bytes")?;
        self.check_budget()?;
        self.check_stop()?;
        self.check_running()?;
        require(self.initial_points.len() <= INITIAL_POINTS, "initial_points", "there are more than 10000")?;
        self.check_transfer()?;
        require(!self.solver.name.trim().is_empty(), "solver.name", "it is empty")?;
        let problem = ProblemSpec {
            space: self.space.clone(),
            objectives: self.objectives.clone(),
            constraints: self.constraints.clone(),
            fidelity: self.fidelity.clone(),
            max_trials: self.budget.trials,
            initial_points: self.initial_points.clone(),
            sources: self.sources.clone(),
            seed: self.seed,
        }
        .check()?;
        let spec = Self { initial_points: problem.initial_points().to_vec(), ..self.clone() };
        let hash = hash(&spec, &problem.space().hash());
        Ok(CheckedStudy { spec, problem: Arc::new(problem), hash })
    }

    fn check_budget(&self) -> Result<(), SpecError> {
        let budget = &self.budget;
        require(budget.trials != Some(0), "budget.trials", "it must be at least 1")?;
        let most = u64::from(MAX_TRIALS);
        require(budget.trials.is_none_or(|n| n <= most), "budget.trials", "it is limited to 9999999")?;
        require(
            budget.seconds.is_none_or(|s| s.is_finite() && s > 0.0),
            "budget.seconds",
            "it must be finite and positive",
        )?;
        require(budget.resource != Some(0), "budget.resource", "it must be at least 1")
    }

    fn check_stop(&self) -> Result<(), SpecError> {
        self.stop.check(self.objectives.len()).map_err(|(name, reason)| field(name, reason))
    }

    fn check_transfer(&self) -> Result<(), SpecError> {
        let names = &self.transfer_from;
        require(names.len() <= TRANSFER_FROM, "transfer_from", "there are more than 16")?;
        for (index, name) in names.iter().enumerate() {
            let path = format!("transfer_from[{index}]");
            check_name(name, &path)?;
            require(*name != self.name, &path, "a study cannot learn from itself")?;
            require(!names[..index].contains(name), &path, "it is named twice")?;
        }
        Ok(())
    }

    fn check_running(&self) -> Result<(), SpecError> {
        if let Some(program) = &self.program {
            check_name(&program.name, "program.name")?;
        }
        for (label, value) in &self.requires {
            check_name(label, &format!("requires.{label}"))?;
            require(value.len() <= LABEL_LENGTH, &format!("requires.{label}"), "its value is too long")?;
        }
        require(
            self.max_open_leases != Some(0),
            "max_open_leases",
            "it must be at least 1; pause the study instead",
        )?;
        require((1..=ATTEMPTS).contains(&self.max_attempts), "max_attempts", "it must be between 1 and 100")?;
        let (shortest, longest) = LEASE_SECONDS;
        require(
            (shortest..=longest).contains(&self.lease_seconds),
            "lease_seconds",
            "it must be between 0.05 and 86400",
        )?;
        require(
            self.duplicates != DuplicatePolicy::Replicate(0),
            "duplicates.replicate",
            "it must be at least 1",
        )?;
        let share = self.failure_limit.share;
        require(share > 0.0 && share <= 1.0, "failure_limit.share", "it must be above 0 and at most 1")?;
        require(self.failure_limit.after_trials >= 1, "failure_limit.after_trials", "it must be at least 1")
    }
}

impl CheckedStudy {
    /// Canonical form and hash of a user's point.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] names the parameter.
    pub fn admit(
        &self,
        point: &boxwood_core::Point,
        field: &str,
    ) -> Result<(boxwood_core::Point, String), Refusal> {
        let space = self.problem.space();
        let point = space
            .canonical(point)
            .map_err(|error| Refusal::Invalid { field: field.to_owned(), reason: error.to_string() })?;
        let hash = space.point_hash(&point);
        Ok((point, hash))
    }
}

/// Hash of a specification in normal form. The space counts by its meaning; the description does not count, and a study
/// named in `transfer_from` counts by its name: what it had measured by then does not make another specification.
fn hash(spec: &StudySpec, space: &str) -> String {
    let mut json = serde_json::to_value(spec).expect("a specification has text keys only");
    if let Json::Object(fields) = &mut json {
        fields.remove("description");
        if let Some(Json::Array(sources)) = fields.get_mut("sources") {
            let named = |source: &Json| spec.transfer_from.iter().any(|name| source["name"] == name.as_str());
            sources.retain(|source| !named(source));
            if sources.is_empty() {
                fields.remove("sources");
            }
        }
        fields.insert("space".into(), Json::String(space.to_owned()));
    }
    let mut text = String::new();
    canonical(&json, &mut text);
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// JSON with sorted keys and no spaces, whatever map the JSON crate was built with.
fn canonical(json: &Json, text: &mut String) {
    match json {
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in fields {
                text.push_str(&Json::String(key.clone()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Json::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => text.push_str(&json.to_string()),
    }
}
