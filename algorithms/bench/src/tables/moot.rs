//! Measured configurations of software (the MOOT collection); the first objective is tuned.

use std::path::Path;

use boxwood_core::Goal;

use super::{NearestTable, PlainTable, read_csv};
use crate::error::BenchError;

/// Reads a table whose objectives end in `+` (maximized) or `-` (minimized).
pub fn load(path: &Path) -> Result<PlainTable, BenchError> {
    let content = |reason: &str| BenchError::Content { path: path.to_owned(), reason: reason.into() };
    let (header, rows) = read_csv(path)?;
    let is_objective = |name: &String| name.ends_with(['+', '-']);
    let objective =
        header.iter().position(is_objective).ok_or_else(|| content("no column ends in + or -"))?;
    let goal = if header[objective].ends_with('+') { Goal::Maximize } else { Goal::Minimize };
    let kept: Vec<usize> = (0..header.len()).filter(|index| !is_objective(&header[*index])).collect();
    let names: Vec<String> = kept.iter().map(|index| header[*index].clone()).collect();
    let mut cells = Vec::new();
    let mut scores = Vec::new();
    for row in rows {
        let Ok(score) = row[objective].parse::<f64>() else { continue };
        if score.is_finite() {
            cells.push(kept.iter().map(|index| row[*index].clone()).collect());
            scores.push(score);
        }
    }
    if scores.is_empty() {
        return Err(content("no row has a score"));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.trim_end_matches(".gz").trim_end_matches(".csv").to_owned();
    Ok(PlainTable::new(format!("moot_{name}"), NearestTable::new(&names, &cells, scores), goal))
}
