//! Accuracies of learners after training on so many rows (LCDB, Mohr et al., 2022).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use boxwood_core::{Fidelity, Goal, Point, ProblemSpec, Resource, Seed};
use boxwood_testkit::problems::{minimize, text, value};
use boxwood_testkit::{Outcome, TestProblem};
use serde_json::{Map, Value as Json, json};

use super::{name_of, read_csv};
use crate::error::BenchError;

/// Rows of the lowest rung.
const FIRST_ROWS: u64 = 64;
/// Ratio of the rows of neighbouring rungs.
const FACTOR: u64 = 4;
/// Rungs that a data set needs, the one of all its rows included.
const RUNGS: usize = 4;
/// Learners measured on all rows that a data set needs.
const LEARNERS: usize = 16;

/// Accuracy of each learner by the number of training rows. Learners have no hyperparameters: each arm is one point, and
/// the study is about which to train on more rows.
#[derive(Debug, Clone)]
pub struct LearnerTable {
    name: String,
    rungs: Vec<u64>,
    /// Per learner, (rows, mean validation accuracy), by rows.
    arms: Vec<(String, Vec<(u64, f64)>)>,
}

/// The first data sets, in order of their `OpenML` numbers, with enough learners measured on all rows, and enough rungs.
pub fn load(path: &Path, count: usize) -> Result<Vec<LearnerTable>, BenchError> {
    let content = |reason: String| BenchError::Content { path: path.to_owned(), reason };
    let (header, rows) = read_csv(path)?;
    let column = |name: &str| {
        let found = header.iter().position(|column| column == name);
        found.ok_or_else(|| content(format!("no column `{name}`")))
    };
    let (set, learner) = (column("openmlid")?, column("learner")?);
    let (size, accuracy) = (column("size_train")?, column("valid")?);
    let mut sets: BTreeMap<u64, BTreeMap<String, BTreeMap<u64, f64>>> = BTreeMap::new();
    for row in rows {
        let (Ok(set), Ok(size), Ok(value)) =
            (row[set].parse(), row[size].parse(), row[accuracy].parse::<f64>())
        else {
            continue;
        };
        if value.is_finite() {
            let short = row[learner].rsplit('.').next().unwrap_or_default();
            sets.entry(set).or_default().entry(name_of(short)).or_default().insert(size, value);
        }
    }
    let tables: Vec<LearnerTable> =
        sets.into_iter().filter_map(|(set, arms)| table(set, arms)).take(count).collect();
    if tables.is_empty() {
        let reason = format!("no data set with {LEARNERS} learners on all rows and {RUNGS} rungs");
        return Err(content(reason));
    }
    Ok(tables)
}

fn table(set: u64, arms: BTreeMap<String, BTreeMap<u64, f64>>) -> Option<LearnerTable> {
    let sizes: BTreeSet<u64> = arms.values().flat_map(|curve| curve.keys().copied()).collect();
    let most = *sizes.last()?;
    let steps = std::iter::successors(Some(FIRST_ROWS), |rows| Some(rows * FACTOR));
    // A rung just below the last one would say the same for the same price.
    let rungs: Vec<u64> = steps.take_while(|rows| rows * 2 <= most).chain([most]).collect();
    let arms: Vec<(String, Vec<(u64, f64)>)> = arms
        .into_iter()
        .filter(|(_, curve)| curve.contains_key(&most))
        .map(|(name, curve)| (name, curve.into_iter().collect()))
        .collect();
    let enough = arms.len() >= LEARNERS && rungs.len() >= RUNGS;
    enough.then(|| LearnerTable { name: format!("lcdb_{set}"), rungs, arms })
}

impl LearnerTable {
    /// Number of learners.
    pub fn arms(&self) -> usize {
        self.arms.len()
    }

    /// Per learner, its best accuracy so far over the recorded numbers of rows: the reward curve of an arm.
    pub fn curves(&self) -> Vec<Vec<f64>> {
        let curve = |(_, measured): &(String, Vec<(u64, f64)>)| {
            let mut best = f64::NEG_INFINITY;
            let rise = |(_, value): &(u64, f64)| {
                best = best.max(*value);
                best
            };
            measured.iter().map(rise).collect()
        };
        self.arms.iter().map(curve).collect()
    }
}

impl TestProblem for LearnerTable {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn spec(&self) -> ProblemSpec {
        let choice = |(name, _): &(String, Vec<(u64, f64)>)| (name.clone(), json!({"parameters": []}));
        let choices: Map<String, Json> = self.arms.iter().map(choice).collect();
        let mut spec = minimize(&json!({"arms": {"parameter": "arm", "choices": choices}}));
        spec.objectives[0].goal = Goal::Maximize;
        spec.fidelity = Some(Fidelity {
            resource: "rows".into(),
            min: None,
            max: None,
            reduction_factor: None,
            rungs: Some(self.rungs.clone()),
        });
        spec
    }

    fn optimum(&self) -> f64 {
        let last = self.arms.iter().filter_map(|(_, curve)| curve.last());
        last.map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The accuracy at the number of rows that was recorded nearest to the resource, in ratio; the smaller of two.
    fn evaluate(&self, point: &Point, resource: Resource, _draw: Seed) -> Outcome {
        let arm = text(point, "arm");
        let Some((_, curve)) = self.arms.iter().find(|(name, _)| name == arm) else {
            return Outcome::Infeasible(format!("no learner `{arm}`"));
        };
        let distance = |rows: u64| (rows as f64 / resource.0 as f64).ln().abs();
        let nearest = curve.iter().min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
        nearest.map_or_else(|| Outcome::Failed("nothing was recorded".into()), |(_, score)| value(*score))
    }
}
