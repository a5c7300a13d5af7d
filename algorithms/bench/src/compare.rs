//! Two reports against each other, seed by seed.

use serde::Serialize;

use crate::error::BenchError;
use crate::report::{Cell, Report};
use crate::statistics::{Paired, median, paired};
use crate::text::{Table, number};

/// A problem under both reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Problem.
    pub problem: String,
    /// Solver of the first report.
    pub first_solver: String,
    /// Solver of the second one.
    pub second_solver: String,
    /// Seeds that both ran.
    pub seeds: usize,
    /// Median final gap of the first.
    pub first_median: f64,
    /// Median final gap of the second.
    pub second_median: f64,
    /// Seeds on which the first is better.
    pub first_better: usize,
    /// Seeds on which the second is better.
    pub second_better: usize,
    /// Two-sided p-value of the signed-rank test over seeds.
    pub signed_rank: f64,
    /// Two-sided p-value of the sign test over seeds.
    pub sign: f64,
}

/// All problems that both reports ran, and the sign test over problems.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Per problem and solver.
    pub rows: Vec<Compared>,
    /// Problems with a smaller median in the first report.
    pub first_better: usize,
    /// Problems with a smaller median in the second report.
    pub second_better: usize,
    /// Two-sided p-value of the sign test over these.
    pub sign: f64,
}

/// Compares cells of the same solver, or, where each report has one solver, these two.
///
/// Pairs are runs of the same seed. Over problems only the signs of the medians are tested, because gaps of different
/// problems have no common unit.
pub fn compare(first: &Report, second: &Report) -> Result<Comparison, BenchError> {
    let (left, right) = (first.solvers(), second.solvers());
    let common: Vec<(&str, &str)> =
        left.iter().filter(|name| right.contains(name)).map(|name| (*name, *name)).collect();
    let pairs = match (common.is_empty(), left.as_slice(), right.as_slice()) {
        (false, _, _) => common,
        (true, [one], [other]) => vec![(*one, *other)],
        _ => {
            let reason = format!(
                "the reports have no solver in common ({} and {}), and more than one each",
                left.join(", "),
                right.join(", ")
            );
            return Err(BenchError::Option(reason));
        }
    };
    let mut rows = Vec::new();
    for problem in first.problems() {
        for (one, other) in &pairs {
            if let (Some(a), Some(b)) = (first.cell(problem, one), second.cell(problem, other)) {
                rows.push(row(a, b)?);
            }
        }
    }
    if rows.is_empty() {
        return Err(BenchError::Option("the reports have no problem in common".into()));
    }
    let medians: Vec<(f64, f64)> = rows.iter().map(|row| (row.first_median, row.second_median)).collect();
    let overall = paired(&medians);
    Ok(Comparison { rows, first_better: overall.first, second_better: overall.second, sign: overall.sign })
}

fn row(a: &Cell, b: &Cell) -> Result<Compared, BenchError> {
    if a.budget != b.budget || a.unit != b.unit {
        let reason = format!(
            "{}: the budgets differ ({} {} and {} {})",
            a.problem, a.budget, a.unit, b.budget, b.unit
        );
        return Err(BenchError::Option(reason));
    }
    let pairs: Vec<(f64, f64)> = a
        .runs
        .iter()
        .filter_map(|run| {
            let other = b.runs.iter().find(|other| other.seed == run.seed)?;
            Some((run.gap_at(a.budget), other.gap_at(b.budget)))
        })
        .collect();
    let Paired { first, second, signed_rank, sign, .. } = paired(&pairs);
    let (firsts, seconds): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    Ok(Compared {
        problem: a.problem.clone(),
        first_solver: a.solver.clone(),
        second_solver: b.solver.clone(),
        seeds: pairs.len(),
        first_median: median(&firsts),
        second_median: median(&seconds),
        first_better: first,
        second_better: second,
        signed_rank,
        sign,
    })
}

impl Comparison {
    /// The table for people.
    pub fn text(&self) -> String {
        let header =
            ["problem", "first", "second", "median 1", "median 2", "better 1:2", "signed rank p", "sign p"];
        let mut table = Table::new(&header);
        for row in &self.rows {
            table.row(vec![
                row.problem.clone(),
                row.first_solver.clone(),
                row.second_solver.clone(),
                number(row.first_median),
                number(row.second_median),
                format!("{}:{}", row.first_better, row.second_better),
                format!("{:.4}", row.signed_rank),
                format!("{:.4}", row.sign),
            ]);
        }
        format!(
            "{table}\nover problems, by medians: {}:{}, sign test p = {:.4}\n",
            self.first_better, self.second_better, self.sign
        )
    }
}
