//! What a benchmark leaves behind: the JSON file, and the tables printed from it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::statistics::{median, quantile, ranks};
use crate::target::{self, TimeToTarget};
use crate::text::{Table, number};

/// Shares of the budget at which gaps are stated.
pub(crate) const SHARES: [f64; 3] = [0.25, 0.5, 1.0];

/// A whole benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Suite.
    pub suite: String,
    /// Command line that made it.
    pub command: String,
    /// Seeds in order.
    pub seeds: Vec<u64>,
    /// Versions by name.
    pub versions: BTreeMap<String, String>,
    /// One cell per problem and solver.
    pub cells: Vec<Cell>,
    /// Problems and cells that were not run.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    /// Cost of suggestions, where it was measured.
    #[serde(default)]
    pub latency: Vec<LatencyRow>,
    /// Time to a named solver's final gap, where it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TimeToTarget>,
}

/// One solver on one problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Problem.
    pub problem: String,
    /// Solver.
    pub solver: String,
    /// Budget, in `unit`.
    pub budget: f64,
    /// `trials` or `full runs`.
    pub unit: String,
    /// Virtual workers.
    pub workers: usize,
    /// `regret` or `hypervolume`.
    pub measure: String,
    /// One run per seed.
    pub runs: Vec<Run>,
}

/// One seed of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Seed.
    pub seed: u64,
    /// Amount spent and gap, at every change of the gap; nothing before a first feasible result.
    pub course: Vec<(f64, f64)>,
    /// Number of trials started.
    pub trials: u64,
    /// CPU seconds of all plans.
    pub plan_seconds: f64,
    /// CPU seconds of the slowest plan.
    pub slowest_plan_seconds: f64,
    /// Suggestions that the plans brought, resumes included.
    pub suggestions: u64,
    /// Share of the workers' time in which they ran a trial.
    pub utilization: f64,
}

/// Something that was not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Cost of a suggestion after a number of random trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// Solver.
    pub solver: String,
    /// Floats of the space.
    pub dimensions: usize,
    /// Trials loaded first.
    pub trials: usize,
    /// CPU seconds of the first plan, which knows nothing of earlier ones.
    pub first_seconds: f64,
    /// CPU seconds of each further plan, one new result before each.
    pub seconds: Vec<f64>,
    /// Why there is no number, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Run {
    /// The gap once `spent` was spent; infinite before a first feasible result.
    pub fn gap_at(&self, spent: f64) -> f64 {
        crate::gap::at(&self.course, spent)
    }
}

impl Cell {
    /// The gaps of all runs once a share of the budget was spent.
    pub fn gaps(&self, share: f64) -> Vec<f64> {
        self.runs.iter().map(|run| run.gap_at(self.budget * share)).collect()
    }

    /// Least share of the workers' time in which they ran a trial, over the runs; 1 without runs.
    pub fn least_utilization(&self) -> f64 {
        self.runs.iter().map(|run| run.utilization).fold(1.0, f64::min)
    }

    /// Mean CPU seconds per suggestion.
    pub fn seconds_per_suggestion(&self) -> f64 {
        let seconds: f64 = self.runs.iter().map(|run| run.plan_seconds).sum();
        let suggestions: u64 = self.runs.iter().map(|run| run.suggestions).sum();
        seconds / suggestions.max(1) as f64
    }
}

/// Mean rank and wins of a solver over the problems that all solvers ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Solver.
    pub solver: String,
    /// Mean rank of its median final gaps, 1 is best.
    pub mean_rank: f64,
    /// Problems on which no other solver has a smaller median.
    pub wins: usize,
    /// Problems that count.
    pub problems: usize,
}

impl Report {
    /// Reads a report from its file.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BenchError::Read { path: path.to_owned(), source })?;
        serde_json::from_str(&text)
            .map_err(|error| BenchError::Content { path: path.to_owned(), reason: error.to_string() })
    }

    /// Writes the report to a file.
    pub fn write(&self, path: &Path) -> Result<(), BenchError> {
        let text = serde_json::to_string(self).expect("a report is plain data with text keys");
        std::fs::write(path, text + "\n").map_err(|source| BenchError::Read { path: path.to_owned(), source })
    }

    /// Solvers in order of appearance.
    pub fn solvers(&self) -> Vec<&str> {
        unique(self.cells.iter().map(|cell| cell.solver.as_str()))
    }

    /// Problems in order of appearance.
    pub fn problems(&self) -> Vec<&str> {
        unique(self.cells.iter().map(|cell| cell.problem.as_str()))
    }

    /// One cell.
    pub fn cell(&self, problem: &str, solver: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.problem == problem && cell.solver == solver)
    }

    /// Mean ranks over the problems that every solver ran, best first.
    pub fn standings(&self) -> Vec<Standing> {
        let solvers = self.solvers();
        let mut sums = vec![(0.0, 0); solvers.len()];
        let mut problems = 0;
        for problem in self.problems() {
            let cells: Option<Vec<&Cell>> = solvers.iter().map(|solver| self.cell(problem, solver)).collect();
            let Some(cells) = cells else { continue };
            let medians: Vec<f64> = cells.iter().map(|cell| median(&cell.gaps(1.0))).collect();
            let best = medians.iter().copied().fold(f64::INFINITY, f64::min);
            problems += 1;
            for (sum, (rank, value)) in sums.iter_mut().zip(ranks(&medians).into_iter().zip(&medians)) {
                sum.0 += rank;
                sum.1 += usize::from(*value == best);
            }
        }
        let standing = |(solver, (sum, wins)): (&&str, (f64, usize))| Standing {
            solver: (*solver).to_owned(),
            mean_rank: if problems > 0 { sum / problems as f64 } else { f64::NAN },
            wins,
            problems,
        };
        let mut standings: Vec<Standing> = solvers.iter().zip(sums).map(standing).collect();
        standings.sort_by(|a, b| a.mean_rank.total_cmp(&b.mean_rank));
        standings
    }

    /// The tables for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if !self.cells.is_empty() {
            let seeds = self.seeds.len();
            text += "suite ";
            text += &self.suite;
            text += &seeds_line(seeds);
            text += &self.gap_table().to_string();
            text += "\n";
            text += &self.standing_table().to_string();
        }
        if !self.targets.is_empty() {
            text += "\n";
            text += &target::text(&self.targets);
        }
        if !self.latency.is_empty() {
            text += "\nCPU milliseconds per suggestion after random trials\n\n";
            text += &self.latency_table().to_string();
        }
        if !self.skipped.is_empty() {
            text += "\nnot run:\n";
            for skipped in &self.skipped {
                text += &["  ", &skipped.what, ": ", &skipped.why, "\n"].concat();
            }
        }
        text
    }

    fn gap_table(&self) -> Table {
        let mut table = Table::new(&[
            "problem",
            "solver",
            "budget",
            "25 %",
            "50 %",
            "100 %",
            "quartiles",
            "ms/suggestion",
            "slowest ms",
            "least busy",
        ]);
        for cell in &self.cells {
            let [quarter, half, whole] = SHARES.map(|share| median(&cell.gaps(share)));
            let last = cell.gaps(1.0);
            let slowest = cell.runs.iter().map(|run| run.slowest_plan_seconds).fold(0.0, f64::max);
            table.row(vec![
                cell.problem.clone(),
                cell.solver.clone(),
                format!("{} {}", cell.budget, cell.unit),
                number(quarter),
                number(half),
                number(whole),
                format!("[{} {}]", number(quantile(&last, 0.25)), number(quantile(&last, 0.75))),
                format!("{:.2}", 1e3 * cell.seconds_per_suggestion()),
                format!("{:.1}", 1e3 * slowest),
                format!("{:.3}", cell.least_utilization()),
            ]);
        }
        table
    }

    fn standing_table(&self) -> Table {
        let mut table = Table::new(&["solver", "mean rank", "wins", "of problems"]);
        for standing in self.standings() {
            table.row(vec![
                standing.solver,
                format!("{:.2}", standing.mean_rank),
                standing.wins.to_string(),
                standing.problems.to_string(),
            ]);
        }
        table
    }

    fn latency_table(&self) -> Table {
        let mut table = Table::new(&["solver", "floats", "trials", "first", "mean of further", "slowest"]);
        for row in &self.latency {
            let slowest = row.seconds.iter().copied().fold(f64::NAN, f64::max);
            let mean = row.seconds.iter().sum::<f64>() / row.seconds.len() as f64;
            let milliseconds =
                |seconds: f64| if seconds.is_nan() { "-".into() } else { format!("{:.2}", 1e3 * seconds) };
            let mut cells = vec![row.solver.clone(), row.dimensions.to_string(), row.trials.to_string()];
            match &row.failed {
                Some(reason) => cells.push(reason.clone()),
                None => cells.extend([row.first_seconds, mean, slowest].map(milliseconds)),
            }
            table.row(cells);
        }
        table
    }
}

fn seeds_line(seeds: usize) -> String {
    format!(", {seeds} seeds; gap to the optimum, median [quartiles]\n\n")
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut known: Vec<&str> = Vec::new();
    for name in names {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    known
}
