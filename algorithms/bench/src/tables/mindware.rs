//! Histories of tuned classifiers on public data sets (the mindware project of PKU-DAIR).

use std::collections::BTreeMap;
use std::path::Path;

use boxwood_core::Goal;

use super::{ArmTable, NearestTable, name_of, read_csv};
use crate::error::BenchError;

/// Start of the file names: one file per classifier with its balanced accuracies.
const PREFIX: &str = "hpo_bal_acc_";
/// Rows that a classifier needs on a data set to be an arm.
const ROWS: usize = 20;

/// The first data sets on which every classifier has enough rows, in order of their names.
pub fn load(folder: &Path, count: usize) -> Result<Vec<ArmTable>, BenchError> {
    let error = |source| BenchError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for item in std::fs::read_dir(folder).map_err(error)? {
        let path = item.map_err(error)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(arm) = name.strip_prefix(PREFIX) {
            files.push((arm.trim_end_matches(".gz").trim_end_matches(".csv").to_owned(), path));
        }
    }
    files.sort();
    let mut sets: BTreeMap<String, Vec<(String, NearestTable)>> = BTreeMap::new();
    for (arm, path) in &files {
        for (set, table) in one_file(path)? {
            if table.len() >= ROWS {
                sets.entry(set).or_default().push((name_of(arm), table));
            }
        }
    }
    let complete = sets.into_iter().filter(|(_, arms)| !arms.is_empty() && arms.len() == files.len());
    let tables: Vec<ArmTable> = complete
        .take(count)
        .map(|(set, arms)| ArmTable::new(format!("mindware_{set}"), arms, Goal::Maximize))
        .collect();
    if tables.is_empty() {
        let reason = format!("no data set on which every classifier has {ROWS} rows");
        return Err(BenchError::Content { path: folder.to_owned(), reason });
    }
    Ok(tables)
}

/// The tables of one classifier by data set, in order of the names, where there are enough rows.
pub fn by_data_set(folder: &Path, classifier: &str) -> Result<Vec<(String, NearestTable)>, BenchError> {
    let path = folder.join(format!("{PREFIX}{classifier}.csv.gz"));
    let tables: Vec<_> = one_file(&path)?.into_iter().filter(|(_, table)| table.len() >= ROWS).collect();
    if tables.is_empty() {
        let reason = format!("no data set with {ROWS} rows");
        return Err(BenchError::Content { path, reason });
    }
    Ok(tables)
}

/// The table of each data set in a classifier's file.
fn one_file(path: &Path) -> Result<BTreeMap<String, NearestTable>, BenchError> {
    let (header, rows) = read_csv(path)?;
    let column = |name: &str| {
        header.iter().position(|column| column == name).ok_or_else(|| BenchError::Content {
            path: path.to_owned(),
            reason: format!("no column `{name}`"),
        })
    };
    let (set, score) = (column("dataset")?, column("perf")?);
    let kept: Vec<usize> = (0..header.len()).filter(|index| ![set, score].contains(index)).collect();
    let names: Vec<String> = kept.iter().map(|index| header[*index].clone()).collect();
    let mut grouped: BTreeMap<String, (Vec<Vec<String>>, Vec<f64>)> = BTreeMap::new();
    for row in rows {
        let Some(value) = row[score].parse().ok().filter(|value: &f64| value.is_finite()) else { continue };
        let (cells, scores) = grouped.entry(row[set].clone()).or_default();
        cells.push(kept.iter().map(|index| row[*index].clone()).collect());
        scores.push(value);
    }
    let table = |(set, (cells, scores)): (String, (Vec<Vec<String>>, Vec<f64>))| {
        (set, NearestTable::new(&names, &cells, scores))
    };
    Ok(grouped.into_iter().map(table).collect())
}
