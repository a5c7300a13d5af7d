//! Problems that are looked up in tables of recorded results.
//!
//! A space is derived from the columns of a table; a point is answered by the nearest recorded row. All formats are public
//! ones: gzipped CSV, and `NumPy` arrays.

mod nearest;
mod npy;

pub mod bars;
pub mod curves;
pub mod grids;
pub mod lcbench;
pub mod lcdb;
pub mod mindware;
pub mod moot;

use std::io::Read;
use std::path::Path;

use boxwood_core::{Goal, Point, ProblemSpec, Resource, Seed};
use boxwood_testkit::problems::{minimize, text, value};
use boxwood_testkit::{Outcome, TestProblem};
use flate2::read::GzDecoder;
use serde_json::{Map, Value as Json, json};

use crate::error::BenchError;

pub use nearest::NearestTable;
pub use npy::Array;

/// Whole content of a file, unpacked when its name ends in `.gz`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, BenchError> {
    let error = |source| BenchError::Read { path: path.to_owned(), source };
    let raw = std::fs::read(path).map_err(error)?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok(raw);
    }
    let mut content = Vec::new();
    GzDecoder::new(raw.as_slice()).read_to_end(&mut content).map_err(error)?;
    Ok(content)
}

/// Header and rows of a CSV file.
pub(crate) fn read_csv(path: &Path) -> Result<(Vec<String>, Vec<Vec<String>>), BenchError> {
    let content = read(path)?;
    let error = |error: csv::Error| BenchError::Content { path: path.to_owned(), reason: error.to_string() };
    let mut reader = csv::Reader::from_reader(content.as_slice());
    let header = reader.headers().map_err(error)?.iter().map(str::to_owned).collect();
    let rows = reader.records().map(|record| Ok(record.map_err(error)?.iter().map(str::to_owned).collect()));
    Ok((header, rows.collect::<Result<_, BenchError>>()?))
}

/// A text as a name that spaces accept: letters, digits, `_` and `-`.
pub(crate) fn name_of(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    text.chars().map(keep).collect()
}

/// Arms with a table each: model and hyperparameters to a score.
#[derive(Debug, Clone)]
pub struct ArmTable {
    name: String,
    arms: Vec<(String, NearestTable)>,
    goal: Goal,
}

impl ArmTable {
    /// Arms by name. A table without rows must not be given.
    pub fn new(name: impl Into<String>, arms: Vec<(String, NearestTable)>, goal: Goal) -> Self {
        Self { name: name.into(), arms, goal }
    }

    /// Number of arms.
    pub fn arms(&self) -> usize {
        self.arms.len()
    }
}

impl TestProblem for ArmTable {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn spec(&self) -> ProblemSpec {
        let choice = |(name, table): &(String, NearestTable)| {
            (name.clone(), json!({"parameters": table.parameters()}))
        };
        let choices: Map<String, Json> = self.arms.iter().map(choice).collect();
        let mut spec = minimize(&json!({"arms": {"parameter": "arm", "choices": choices}}));
        spec.objectives[0].goal = self.goal;
        spec
    }

    fn optimum(&self) -> f64 {
        let scores = self.arms.iter().flat_map(|(_, table)| table.scores());
        match self.goal {
            Goal::Minimize => scores.fold(f64::INFINITY, f64::min),
            Goal::Maximize => scores.fold(f64::NEG_INFINITY, f64::max),
        }
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        let arm = text(point, "arm");
        let Some((_, table)) = self.arms.iter().find(|(name, _)| name == arm) else {
            return Outcome::Infeasible(format!("no arm `{arm}`"));
        };
        value(table.score(table.nearest(point, &format!("{arm}."))))
    }
}

/// One table without arms.
#[derive(Debug, Clone)]
pub struct PlainTable {
    name: String,
    table: NearestTable,
    goal: Goal,
}

impl PlainTable {
    /// A problem on a table.
    pub fn new(name: impl Into<String>, table: NearestTable, goal: Goal) -> Self {
        Self { name: name.into(), table, goal }
    }
}

impl TestProblem for PlainTable {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn spec(&self) -> ProblemSpec {
        let mut spec = minimize(&json!({"parameters": self.table.parameters()}));
        spec.objectives[0].goal = self.goal;
        spec
    }

    fn optimum(&self) -> f64 {
        match self.goal {
            Goal::Minimize => self.table.scores().fold(f64::INFINITY, f64::min),
            Goal::Maximize => self.table.scores().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        value(self.table.score(self.table.nearest(point, "")))
    }
}
