//! `TaskSet`: recorded learning curves of 1,000 configurations of an optimizer (Metz et al., 2020).

use std::path::Path;

use boxwood_core::{Fidelity, Point, ProblemSpec, Resource, Seed};
use boxwood_testkit::problems::{minimize, value};
use boxwood_testkit::{Outcome, TestProblem};
use serde::Deserialize;
use serde_json::json;

use super::{Array, NearestTable};
use crate::error::BenchError;

#[derive(Deserialize)]
struct Spec {
    hp_names: Vec<String>,
    hps_file: String,
    tasks: std::collections::BTreeMap<String, TaskSpec>,
}

#[derive(Deserialize)]
struct TaskSpec {
    file: String,
}

/// The curve of the nearest recorded configuration: validation loss at step `r`; a curve that diverged has failed.
#[derive(Debug, Clone)]
pub struct CurveTable {
    name: String,
    table: NearestTable,
    /// Validation loss per configuration and step.
    curves: Vec<Vec<f64>>,
}

/// Axis of the curves that holds the validation loss.
const VALIDATION: usize = 1;

/// The first tasks of a folder, in order of their names.
pub fn taskset(folder: &Path, count: usize) -> Result<Vec<CurveTable>, BenchError> {
    let path = folder.join("spec.json");
    let content = |path: &Path, reason: String| BenchError::Content { path: path.to_owned(), reason };
    let spec: Spec =
        serde_json::from_slice(&super::read(&path)?).map_err(|error| content(&path, error.to_string()))?;
    let hyperparameters = Array::read(&folder.join(&spec.hps_file))?;
    let [rows, columns] = hyperparameters.shape[..] else {
        return Err(content(&path, "the hyperparameters are no matrix".into()));
    };
    if columns != spec.hp_names.len() || columns == 0 {
        return Err(content(&path, "the hyperparameters have other columns than names".into()));
    }
    let cells: Vec<Vec<String>> =
        hyperparameters.values.chunks(columns).map(|row| row.iter().map(f64::to_string).collect()).collect();
    let mut tables = Vec::new();
    for (name, task) in spec.tasks.into_iter().take(count) {
        let path = folder.join(task.file);
        let array = Array::read(&path)?;
        let [configurations, splits, steps] = array.shape[..] else {
            return Err(content(&path, "the curves do not have three axes".into()));
        };
        if configurations != rows || splits <= VALIDATION || steps < 2 {
            return Err(content(
                &path,
                format!("curves of shape {:?} for {rows} configurations", array.shape),
            ));
        }
        let curve = |i: usize| {
            let start = (i * splits + VALIDATION) * steps;
            array.values[start..start + steps].to_vec()
        };
        let curves: Vec<Vec<f64>> = (0..configurations).map(curve).collect();
        let last = curves.iter().map(|curve| curve[steps - 1]).collect();
        let short = name.trim_start_matches("FixedTextRNNClassification_");
        let table = NearestTable::new(&spec.hp_names, &cells, last);
        tables.push(CurveTable { name: format!("taskset_{short}"), table, curves });
    }
    Ok(tables)
}

impl TestProblem for CurveTable {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn spec(&self) -> ProblemSpec {
        let max = Some(self.curves[0].len() as u64 - 1);
        let resource = "steps".into();
        let fidelity = Some(Fidelity { resource, min: Some(1), max, reduction_factor: Some(3), rungs: None });
        ProblemSpec { fidelity, ..minimize(&json!({"parameters": self.table.parameters()})) }
    }

    fn optimum(&self) -> f64 {
        self.table.scores().filter(|loss| loss.is_finite()).fold(f64::INFINITY, f64::min)
    }

    fn evaluate(&self, point: &Point, resource: Resource, _draw: Seed) -> Outcome {
        let curve = &self.curves[self.table.nearest(point, "")];
        let loss = curve[(resource.0 as usize).min(curve.len() - 1)];
        if loss.is_finite() { value(loss) } else { Outcome::Failed("diverged".into()) }
    }
}
