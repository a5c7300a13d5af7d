//! Stored results of other libraries beside a report, at equal numbers of trials.
//!
//! A file of a peer is `{"lib", "task", "budget", "optimum", "ref", "runs": [{"trace" | "mf_trace"}]}`: `trace` holds the best
//! value after each trial (the hypervolume, where there is a reference point), `mf_trace` pairs of full runs spent and true
//! value of the incumbent. A library is judged where at least one of its runs got that far.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::report::Report;
use crate::statistics::{median, quantile, ranks};
use crate::text::{Table, number};

#[derive(Debug, Clone, Deserialize)]
struct PeerFile {
    lib: String,
    task: String,
    optimum: Option<f64>,
    #[serde(rename = "ref")]
    reference: Option<Vec<f64>>,
    runs: Vec<PeerRun>,
}

#[derive(Debug, Clone, Deserialize)]
struct PeerRun {
    trace: Option<Vec<Option<f64>>>,
    mf_trace: Option<Vec<(f64, f64)>>,
    spent: f64,
}

/// One library or solver on one problem after some trials.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Library, or `boxwood/SOLVER`.
    pub name: String,
    /// Gaps of its runs, infinite where nothing feasible was found.
    pub gaps: Vec<f64>,
    /// Rank of its median.
    pub rank: f64,
}

/// All entries at one problem and number of trials (or full runs), best first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checkpoint {
    /// Problem.
    pub problem: String,
    /// Trials, or full runs.
    pub spent: f64,
    /// Entries.
    pub entries: Vec<Entry>,
}

/// Everything that both sides measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// Checkpoints in the order of the report's problems.
    pub checkpoints: Vec<Checkpoint>,
    /// Files that could not be read as results of this kind.
    pub ignored: Vec<String>,
}

impl PeerFile {
    fn gap(&self, run: &PeerRun, spent: f64) -> Option<f64> {
        let optimum = self.optimum?;
        if run.spent < spent * 0.98 {
            return None;
        }
        let value = match (&run.trace, &run.mf_trace) {
            (Some(trace), _) => {
                trace.get((spent as usize).min(trace.len()).checked_sub(1)?).copied().flatten()
            }
            (None, Some(trace)) => trace
                .iter()
                .take_while(|(moment, _)| *moment <= spent * (1.0 + 1e-9))
                .last()
                .map(|(_, value)| *value),
            (None, None) => return None,
        };
        let Some(value) = value else { return Some(f64::INFINITY) };
        Some(if self.reference.is_some() { optimum - value } else { value - optimum })
    }

    /// The amounts at which its runs end: where they can be compared.
    fn ends(&self) -> impl Iterator<Item = f64> + '_ {
        self.runs.iter().map(|run| run.trace.as_ref().map_or(run.spent.round(), |trace| trace.len() as f64))
    }
}

/// Puts a report beside the results under a folder.
///
/// # Errors
/// When the folder cannot be read or holds no result on a problem of the report.
pub fn beside(report: &Report, folder: &Path) -> Result<Beside, BenchError> {
    let mut ignored = Vec::new();
    let mut files = Vec::new();
    for path in json_files(folder)? {
        let text = std::fs::read_to_string(&path)
            .map_err(|source| BenchError::Read { path: path.clone(), source })?;
        // Python writes values that are not finite as words that JSON does not know.
        let text = text.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null");
        match serde_json::from_str::<PeerFile>(&text) {
            Ok(file) => files.push(file),
            Err(_) => ignored.push(path.strip_prefix(folder).unwrap_or(&path).display().to_string()),
        }
    }
    let mut checkpoints = Vec::new();
    for problem in report.problems() {
        let cells: Vec<_> = report.cells.iter().filter(|cell| cell.problem == problem).collect();
        let budget = cells.iter().map(|cell| cell.budget).fold(0.0, f64::max);
        let peers: Vec<&PeerFile> = files.iter().filter(|file| file.task == problem).collect();
        for spent in amounts(&peers, budget) {
            let mut entries: Vec<Entry> = peers
                .iter()
                .map(|file| {
                    entry(file.lib.clone(), file.runs.iter().filter_map(|run| file.gap(run, spent)).collect())
                })
                .chain(cells.iter().map(|cell| {
                    let gaps = cell.runs.iter().map(|run| run.gap_at(spent)).collect();
                    entry(format!("boxwood/{}", cell.solver), gaps)
                }))
                .filter(|entry| !entry.gaps.is_empty())
                .collect();
            let medians: Vec<f64> = entries.iter().map(|entry| median(&entry.gaps)).collect();
            entries.iter_mut().zip(ranks(&medians)).for_each(|(entry, rank)| entry.rank = rank);
            entries.sort_by(|a, b| a.rank.total_cmp(&b.rank));
            checkpoints.push(Checkpoint { problem: problem.to_owned(), spent, entries });
        }
    }
    if checkpoints.is_empty() {
        let reason = "holds no result on a problem of this report".into();
        return Err(BenchError::Content { path: folder.to_owned(), reason });
    }
    Ok(Beside { checkpoints, ignored })
}

fn entry(name: String, gaps: Vec<f64>) -> Entry {
    Entry { name, gaps, rank: 0.0 }
}

/// Every amount at which some peer stopped, up to the budget, and for many such amounts those that the most runs reach.
fn amounts(peers: &[&PeerFile], budget: f64) -> Vec<f64> {
    let mut ends: BTreeMap<u64, usize> = BTreeMap::new();
    for file in peers {
        let mut own: Vec<u64> =
            file.ends().map(|end| end as u64).filter(|end| *end as f64 <= budget).collect();
        own.dedup();
        for end in own {
            *ends.entry(end).or_default() += 1;
        }
    }
    // One library that was cut off by a time limit is no checkpoint; its runs count at the smaller common amounts.
    ends.into_iter()
        .filter(|(end, count)| *count > 1 || *end as f64 == budget)
        .map(|(end, _)| end as f64)
        .collect()
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>, BenchError> {
    let error = |source| BenchError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for item in std::fs::read_dir(folder).map_err(error)? {
        let path = item.map_err(error)?.path();
        if path.is_dir() {
            paths.extend(json_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

impl Beside {
    /// Mean rank, scaled to 0 (always first) to 1 (always last), and number of checkpoints of each name.
    ///
    /// Libraries ran different subsets, so a plain mean of ranks would favour those that met fewer rivals.
    pub fn standings(&self) -> Vec<(String, f64, usize)> {
        let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        for checkpoint in self.checkpoints.iter().filter(|checkpoint| checkpoint.entries.len() > 1) {
            for entry in &checkpoint.entries {
                let sum = sums.entry(&entry.name).or_default();
                sum.0 += (entry.rank - 1.0) / (checkpoint.entries.len() - 1) as f64;
                sum.1 += 1;
            }
        }
        let mut standings: Vec<(String, f64, usize)> = sums
            .into_iter()
            .map(|(name, (sum, count))| (name.to_owned(), sum / count as f64, count))
            .collect();
        standings.sort_by(|a, b| a.1.total_cmp(&b.1));
        standings
    }

    /// The tables for people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&["problem", "spent", "rank", "name", "median gap", "quartiles", "runs"]);
        for checkpoint in &self.checkpoints {
            for entry in &checkpoint.entries {
                table.row(vec![
                    checkpoint.problem.clone(),
                    checkpoint.spent.to_string(),
                    entry.rank.to_string(),
                    entry.name.clone(),
                    number(median(&entry.gaps)),
                    format!(
                        "[{} {}]",
                        number(quantile(&entry.gaps, 0.25)),
                        number(quantile(&entry.gaps, 0.75))
                    ),
                    entry.gaps.len().to_string(),
                ]);
            }
        }
        let mut standing = Table::new(&["name", "mean scaled rank (0 first, 1 last)", "checkpoints"]);
        for (name, rank, count) in self.standings() {
            standing.row(vec![name, format!("{rank:.3}"), count.to_string()]);
        }
        format!("{table}\n{standing}")
    }
}
