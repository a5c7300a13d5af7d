//! The specification of a study as a user writes it, and its checked form.

use std::collections::BTreeMap;
use std::sync::Arc;

use boxwood_core::{
    Constraint, Fidelity, Objective, Point, Problem, ProblemError, SolverSpec, SourceSpec, SpaceSpec,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::stop::StopRules;

/// A study specification, unchecked: the document of `boxwood study create` and of the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudySpec {
    /// Name, unique in its project.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Search space.
    pub space: SpaceSpec,
    /// Objectives, at least one.
    pub objectives: Vec<Objective>,
    /// Constraints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// Fidelity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fidelity: Option<Fidelity>,
    /// Solver; `auto` when absent.
    #[serde(default = "auto_solver")]
    pub solver: SolverSpec,
    /// When the study is done.
    #[serde(default)]
    pub budget: Budget,
    /// Rules that end the study earlier.
    #[serde(default, skip_serializing_if = "StopRules::is_none")]
    pub stop: StopRules,
    /// Points to try first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initial_points: Vec<Point>,
    /// Names of studies of the same project to learn from; what they have measured becomes `sources` at creation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfer_from: Vec<String>,
    /// Results of earlier studies to learn from, in their own parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceSpec>,
    /// Seed of every random draw.
    #[serde(default)]
    pub seed: u64,
    /// What a worker runs; absent for studies driven by a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<ProgramSpec>,
    /// Labels that a worker must carry to lease trials of this study.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requires: BTreeMap<String, String>,
    /// Most leases open at once; unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_open_leases: Option<u32>,
    /// Attempts of a trial whose program fails, at least 1. Lost leases do not count.
    #[serde(default = "default_attempts")]
    pub max_attempts: u32,
    /// Length of a lease in seconds, renewed by heartbeats.
    #[serde(default = "default_lease_seconds")]
    pub lease_seconds: f64,
    /// Whether an ask waits for a plan that has seen every finished trial.
    #[serde(default)]
    pub freshness: Freshness,
    /// What happens when a point comes again.
    #[serde(default)]
    pub duplicates: DuplicatePolicy,
    /// When repeated failures pause the study.
    #[serde(default)]
    pub failure_limit: FailureLimit,
    /// Larger goes first when workers choose among studies.
    #[serde(default)]
    pub priority: i32,
}

fn auto_solver() -> SolverSpec {
    SolverSpec::named("auto")
}

fn default_attempts() -> u32 {
    3
}

fn default_lease_seconds() -> f64 {
    30.0
}

/// Limits that end a study once nothing is open. All may be absent: such a study goes on until it is cancelled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Started trials, cancelled ones not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trials: Option<u64>,
    /// Seconds since the study was created or last resumed by a raised budget, by the database's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Total resource units trained, over all trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<u64>,
}

/// What a worker runs for a trial of this study: a name that the worker's own configuration knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSpec {
    /// Name of a built-in program or of a command in the worker's configuration.
    pub name: String,
    /// Arguments handed to the program as JSON, never to a shell.
    #[serde(default)]
    pub arguments: Map<String, Json>,
}

/// Whether an ask waits for the newest plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// Wait for a plan that has seen every finished trial.
    #[default]
    Latest,
    /// Take what is queued.
    Eager,
}

/// What happens when a point that was tried before comes again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicatePolicy {
    /// The request is refused and names the first trial.
    #[default]
    Forbid,
    /// A new trial is created and finished at once with the first trial's results.
    Reuse,
    /// Up to this many trials of one point are run.
    Replicate(u32),
}

/// When repeated failures pause a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureLimit {
    /// Finished trials before the rule looks.
    pub after_trials: u32,
    /// Share of finished trials that failed, above which the study is paused; 1.0 switches the rule off.
    pub share: f64,
}

impl Default for FailureLimit {
    fn default() -> Self {
        Self { after_trials: 5, share: 0.5 }
    }
}

/// A checked study.
#[derive(Debug, Clone)]
pub struct CheckedStudy {
    /// The specification in normal form.
    pub spec: StudySpec,
    /// The problem that solvers see.
    pub problem: Arc<Problem>,
    /// Hash of the normal form: equal specifications, equal hash.
    pub hash: String,
}

/// What is wrong with a specification; the message names the field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// The optimization problem.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// Any other field.
    #[error("{field}: {reason}")]
    Field {
        /// Path of the field.
        field: String,
        /// What is wrong.
        reason: String,
    },
}
