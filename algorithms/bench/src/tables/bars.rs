//! Tuning runs of click-through-rate models (BARS, Zhu et al., 2022).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use boxwood_core::Goal;
use serde_json::{Map, Value as Json};

use super::{ArmTable, NearestTable, name_of, read_csv};
use crate::error::BenchError;

/// Runs that a model needs to be an arm: fewer make a study of choosing, not of tuning.
const ROWS: usize = 8;

/// A configuration with its score.
type Scored = (Map<String, Json>, f64);

/// One problem per data set: arm = model, score = validation AUC.
pub fn load(folder: &Path, sets: &[&str]) -> Result<Vec<ArmTable>, BenchError> {
    sets.iter().map(|set| one_set(&folder.join(format!("{set}.csv.gz")), set)).collect()
}

fn one_set(path: &Path, set: &str) -> Result<ArmTable, BenchError> {
    let content = |reason: String| BenchError::Content { path: path.to_owned(), reason };
    let (header, rows) = read_csv(path)?;
    let column = |name: &str| {
        let found = header.iter().position(|column| column == name);
        found.ok_or_else(|| content(format!("no column `{name}`")))
    };
    let (model, score, configuration) = (column("model")?, column("val_AUC")?, column("config")?);
    let mut models: BTreeMap<String, Vec<Scored>> = BTreeMap::new();
    for row in rows {
        let Ok(value) = row[score].parse::<f64>() else { continue };
        let parsed = serde_json::from_str(&row[configuration]).map_err(|error| content(error.to_string()))?;
        models.entry(row[model].clone()).or_default().push((parsed, value));
    }
    let arms: Vec<(String, NearestTable)> = models
        .into_iter()
        .filter(|(_, runs)| runs.len() >= ROWS)
        .map(|(model, runs)| (name_of(&model), table(&runs)))
        .collect();
    if arms.is_empty() {
        return Err(content(format!("no model with {ROWS} runs")));
    }
    Ok(ArmTable::new(format!("bars_{set}"), arms, Goal::Maximize))
}

fn table(runs: &[Scored]) -> NearestTable {
    let names: BTreeSet<&String> = runs.iter().flat_map(|(configuration, _)| configuration.keys()).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let cell = |configuration: &Map<String, Json>, name: &String| match configuration.get(name) {
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "null".into(),
    };
    let cells: Vec<Vec<String>> = runs
        .iter()
        .map(|(configuration, _)| names.iter().map(|name| cell(configuration, name)).collect())
        .collect();
    NearestTable::new(&names, &cells, runs.iter().map(|(_, score)| *score).collect())
}
