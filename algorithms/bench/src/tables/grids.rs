//! Whole grids of recorded results: neural architectures, networks on tabular data, GPU kernels.

use std::collections::BTreeMap;
use std::path::Path;

use boxwood_core::{Goal, Point, ProblemSpec, Resource, Seed, Value};
use boxwood_testkit::problems::{minimize, value};
use boxwood_testkit::{Outcome, TestProblem};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Array, name_of, read_csv};
use crate::error::BenchError;

#[derive(Debug, Clone, PartialEq)]
struct Axis {
    name: String,
    /// Numbers in ascending order, or texts.
    choices: Vec<Json>,
}

impl Axis {
    fn is_ordered(&self) -> bool {
        self.choices.iter().all(Json::is_number)
    }

    fn parameter(&self) -> Json {
        let kind = if self.is_ordered() { "ordinal" } else { "categorical" };
        json!({"name": self.name, "type": kind, "choices": self.choices})
    }

    fn index(&self, point: &Point) -> Option<usize> {
        let value = point.0.get(&self.name)?;
        self.choices.iter().position(|choice| match value {
            Value::Text(text) => choice.as_str() == Some(text),
            value => choice.as_f64().is_some_and(|number| value.as_number() == Some(number)),
        })
    }
}

/// A score for every combination of choices; a combination without one fails.
#[derive(Debug, Clone, PartialEq)]
pub struct GridTable {
    name: String,
    axes: Vec<Axis>,
    /// By index in mixed radix, the last axis fastest; not finite where a combination fails.
    scores: Vec<f64>,
    goal: Goal,
}

impl GridTable {
    fn place(&self, point: &Point) -> Option<usize> {
        self.axes.iter().try_fold(0, |place, axis| Some(place * axis.choices.len() + axis.index(point)?))
    }
}

impl TestProblem for GridTable {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn spec(&self) -> ProblemSpec {
        let parameters: Vec<Json> = self.axes.iter().map(Axis::parameter).collect();
        let mut spec = minimize(&json!({"parameters": parameters}));
        spec.objectives[0].goal = self.goal;
        spec
    }

    fn optimum(&self) -> f64 {
        let scores = self.scores.iter().copied().filter(|score| score.is_finite());
        match self.goal {
            Goal::Minimize => scores.fold(f64::INFINITY, f64::min),
            Goal::Maximize => scores.fold(f64::NEG_INFINITY, f64::max),
        }
    }

    fn evaluate(&self, point: &Point, _resource: Resource, _draw: Seed) -> Outcome {
        match self.place(point).and_then(|place| self.scores.get(place)) {
            Some(score) if score.is_finite() => value(*score),
            _ => Outcome::Failed("no result was recorded".into()),
        }
    }
}

#[derive(Deserialize)]
struct Spec {
    families: BTreeMap<String, Family>,
}

#[derive(Deserialize)]
struct Family {
    space: Vec<SpaceAxis>,
    main_metric: String,
    columns: Vec<String>,
    directions: BTreeMap<String, String>,
    datasets: BTreeMap<String, DataSet>,
}

#[derive(Deserialize)]
struct SpaceAxis {
    name: String,
    choices: Vec<Json>,
}

#[derive(Deserialize)]
struct DataSet {
    file: String,
}

/// The grids of a folder whose files are there, by family and data set: scores are means over repetitions.
pub fn tabular(folder: &Path) -> Result<Vec<GridTable>, BenchError> {
    let path = folder.join("spec.json");
    let content = |path: &Path, reason: String| BenchError::Content { path: path.to_owned(), reason };
    let spec: Spec =
        serde_json::from_slice(&super::read(&path)?).map_err(|error| content(&path, error.to_string()))?;
    let mut tables = Vec::new();
    for family in spec.families.values() {
        let maximize = family.directions.get(&family.main_metric).is_some_and(|word| word == "maximize");
        let repetition = format!("{}_rep", family.main_metric);
        let wanted: Vec<usize> = (0..family.columns.len())
            .filter(|index| family.columns[*index].starts_with(&repetition))
            .collect();
        for (name, data_set) in &family.datasets {
            let path = folder.join(&data_set.file);
            if !path.exists() {
                continue;
            }
            let array = Array::read(&path)?;
            let axes: Vec<Axis> = family
                .space
                .iter()
                .map(|axis| Axis { name: name_of(&axis.name), choices: axis.choices.clone() })
                .collect();
            let size: usize = axes.iter().map(|axis| axis.choices.len()).product();
            if array.shape != [size, family.columns.len()] || wanted.is_empty() {
                return Err(content(&path, format!("the shape {:?} does not fit the grid", array.shape)));
            }
            let mean = |row: &[f64]| {
                let found: Vec<f64> =
                    wanted.iter().map(|index| row[*index]).filter(|score| score.is_finite()).collect();
                found.iter().sum::<f64>() / found.len() as f64
            };
            let scores = array.values.chunks(family.columns.len()).map(mean).collect();
            let goal = if maximize { Goal::Maximize } else { Goal::Minimize };
            tables.push(GridTable { name: format!("grid_{name}"), axes, scores, goal });
        }
    }
    Ok(tables)
}

/// A table of kernel timings: every column but the last is an axis of numbers, the last is the time to minimize. A
/// combination that is not in the table, or has no time, does not run.
pub fn kernel(path: &Path) -> Result<GridTable, BenchError> {
    let content = |reason: &str| BenchError::Content { path: path.to_owned(), reason: reason.into() };
    let (header, rows) = read_csv(path)?;
    let Some((_, names)) = header.split_last() else { return Err(content("there is no column")) };
    let parse = |text: &String| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let numbers = |row: &Vec<String>| row.iter().take(names.len()).map(parse).collect::<Option<Vec<f64>>>();
    let settings: Option<Vec<Vec<f64>>> = rows.iter().map(numbers).collect();
    let settings = settings.ok_or_else(|| content("a setting is no number"))?;
    let mut axes: Vec<(usize, Vec<f64>)> = Vec::new();
    for column in 0..names.len() {
        let mut values: Vec<f64> = settings.iter().map(|row| row[column]).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.len() > 1 {
            axes.push((column, values));
        }
    }
    let size: usize = axes.iter().map(|(_, values)| values.len()).product();
    let mut scores = vec![f64::NAN; size];
    for (row, setting) in rows.iter().zip(&settings) {
        let step = |place: usize, (column, values): &(usize, Vec<f64>)| {
            place * values.len() + values.partition_point(|value| *value < setting[*column])
        };
        scores[axes.iter().fold(0, step)] = row.last().and_then(parse).unwrap_or(f64::NAN);
    }
    if !scores.iter().any(|score| score.is_finite()) {
        return Err(content("no row has a time"));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.trim_end_matches(".gz").trim_end_matches(".csv").to_owned();
    let axis = |(column, values): (usize, Vec<f64>)| Axis {
        name: name_of(&names[column]),
        choices: values.into_iter().map(|value| json!(value)).collect(),
    };
    let axes = axes.into_iter().map(axis).collect();
    Ok(GridTable { name: format!("kernel_{name}"), axes, scores, goal: Goal::Minimize })
}
