//! Time to target: which share of the budget a solver needs to get where a reference gets with all of it.

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::report::{Cell, Report};
use crate::statistics::{median, quantile};
use crate::text::{Table, number};

/// One solver's way to the reference's final gap on one problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeToTarget {
    /// Problem.
    pub problem: String,
    /// Solver.
    pub solver: String,
    /// Solver that sets the target.
    pub reference: String,
    /// The target: the reference's median gap over seeds once the whole budget is spent; none where it has no result.
    pub target: Option<f64>,
    /// Per run, the share of the budget in (0, 1] at which the gap is first at most the target; none if it never is.
    pub shares: Vec<Option<f64>>,
    /// Median of the shares with "never" above every share; none when half of the runs or more never get there.
    pub median_share: Option<f64>,
    /// The same median of the shares from which on the gap stays at most the target. It is larger where an incumbent is
    /// replaced by a worse one, as by a noisy result or by one at a higher rung.
    pub median_kept_share: Option<f64>,
}

impl TimeToTarget {
    fn of(cell: &Cell, reference: &str, target: f64) -> Self {
        let within = |course: &[(f64, f64)]| {
            let limit = cell.budget * (1.0 + 1e-9);
            course.iter().take_while(|(spent, _)| *spent <= limit).copied().collect::<Vec<_>>()
        };
        let courses: Vec<Vec<(f64, f64)>> = cell.runs.iter().map(|run| within(&run.course)).collect();
        let first = |course: &Vec<(f64, f64)>| {
            course.iter().find(|(_, gap)| *gap <= target).map(|(spent, _)| spent / cell.budget)
        };
        let kept = |course: &Vec<(f64, f64)>| {
            let stays = course.iter().rev().take_while(|(_, gap)| *gap <= target);
            stays.last().map(|(spent, _)| spent / cell.budget)
        };
        let shares: Vec<Option<f64>> = courses.iter().map(first).collect();
        let kept: Vec<Option<f64>> = courses.iter().map(kept).collect();
        Self {
            problem: cell.problem.clone(),
            solver: cell.solver.clone(),
            reference: reference.to_owned(),
            target: Some(target).filter(|target| target.is_finite()),
            median_share: share_at(&shares, 0.5),
            median_kept_share: share_at(&kept, 0.5),
            shares,
        }
    }

    /// Number of runs that get there.
    pub fn reached(&self) -> usize {
        self.shares.iter().flatten().count()
    }

    /// Quantile of the shares; none where it falls among the runs that never get there.
    pub fn quantile(&self, level: f64) -> Option<f64> {
        share_at(&self.shares, level)
    }
}

/// Quantile of shares with "never" above every share.
fn share_at(shares: &[Option<f64>], level: f64) -> Option<f64> {
    let shares: Vec<f64> = shares.iter().map(|share| share.unwrap_or(f64::INFINITY)).collect();
    Some(quantile(&shares, level)).filter(|share| share.is_finite())
}

/// For every problem that the reference ran, how soon each solver, the reference included, gets to its final median gap.
///
/// A run counts from the first moment at which the gap of its incumbent is at most the target. The reference itself needs less than its budget wherever its runs stand
/// still at the end.
///
/// # Errors
/// When no cell of the report belongs to the reference, or when a solver's budget differs from the reference's.
pub fn time_to_target(report: &Report, reference: &str) -> Result<Vec<TimeToTarget>, BenchError> {
    let mut times = Vec::new();
    for problem in report.problems() {
        let Some(own) = report.cell(problem, reference) else { continue };
        let target = median(&own.gaps(1.0));
        for cell in report.cells.iter().filter(|cell| cell.problem == problem) {
            if cell.budget != own.budget || cell.unit != own.unit {
                let reason = format!(
                    "{problem}: the budgets of `{}` and `{reference}` differ ({} {} and {} {})",
                    cell.solver, cell.budget, cell.unit, own.budget, own.unit
                );
                return Err(BenchError::Option(reason));
            }
            let target = if target.is_finite() { target } else { f64::NEG_INFINITY };
            times.push(TimeToTarget::of(cell, reference, target));
        }
    }
    if times.is_empty() {
        let reason = format!("the target's solver `{reference}` ran on no problem of the report");
        return Err(BenchError::Option(reason));
    }
    Ok(times)
}

/// A share of the budget; a dash for never.
fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |share| format!("{share:.3}"))
}

/// The tables for people: per problem, and per solver over the problems.
pub(crate) fn text(times: &[TimeToTarget]) -> String {
    let Some(first) = times.first() else { return String::new() };
    let mut table = Table::new(&["problem", "solver", "target", "share", "quartiles", "kept", "reached"]);
    let mut solvers: Vec<&str> = Vec::new();
    for time in times {
        if !solvers.contains(&time.solver.as_str()) {
            solvers.push(&time.solver);
        }
        table.row(vec![
            time.problem.clone(),
            time.solver.clone(),
            number(time.target.unwrap_or(f64::INFINITY)),
            share(time.median_share),
            format!("[{} {}]", share(time.quantile(0.25)), share(time.quantile(0.75))),
            share(time.median_kept_share),
            format!("{}/{}", time.reached(), time.shares.len()),
        ]);
    }
    let mut overall = Table::new(&["solver", "median of shares", "at most 0.2", "of problems"]);
    for solver in solvers {
        let own = times.iter().filter(|time| time.solver == solver);
        let shares: Vec<f64> = own.map(|time| time.median_share.unwrap_or(f64::INFINITY)).collect();
        let middle = Some(median(&shares)).filter(|share| share.is_finite());
        let soon = shares.iter().filter(|share| **share <= 0.2).count();
        overall.row(vec![solver.into(), share(middle), soon.to_string(), shares.len().to_string()]);
    }
    format!(
        "share of the budget until the final median gap of `{}` is reached, median [quartiles] over seeds, and\nfrom which on it is kept\n\n{table}\n{overall}",
        first.reference
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::report::Run;

    fn cell(solver: &str, courses: &[&[(f64, f64)]]) -> Cell {
        let run = |(seed, course): (usize, &&[(f64, f64)])| Run {
            seed: seed as u64 + 1,
            course: course.to_vec(),
            trials: 100,
            plan_seconds: 0.0,
            slowest_plan_seconds: 0.0,
            suggestions: 100,
            utilization: 1.0,
        };
        Cell {
            problem: "p".into(),
            solver: solver.into(),
            budget: 100.0,
            unit: "trials".into(),
            workers: 1,
            measure: "regret".into(),
            runs: courses.iter().enumerate().map(run).collect(),
        }
    }

    fn report(cells: Vec<Cell>) -> Report {
        Report {
            suite: "test".into(),
            command: "test".into(),
            seeds: vec![1, 2, 3],
            versions: std::collections::BTreeMap::new(),
            cells,
            skipped: Vec::new(),
            latency: Vec::new(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn shares_are_counted_up_to_the_references_final_median() {
        // Finals 1, 2 and 3: the target is 2, which the third run never gets to.
        let slow = cell("slow", &[&[(10.0, 5.0), (80.0, 1.0)], &[(60.0, 2.0)], &[(5.0, 3.0)]]);
        // The first run passes the target, loses it and comes back; the last gets there beyond the budget.
        let fast = cell("fast", &[&[(20.0, 1.5), (40.0, 9.0), (50.0, 1.0)], &[(10.0, 2.0)], &[(101.0, 0.0)]]);
        let times = time_to_target(&report(vec![slow, fast]), "slow").unwrap();
        assert_eq!(times[0].target, Some(2.0));
        assert_eq!(times[0].shares, [Some(0.8), Some(0.6), None]);
        assert_eq!((times[0].median_share, times[0].reached()), (Some(0.8), 2));
        assert_eq!(times[1].shares, [Some(0.2), Some(0.1), None]);
        assert_eq!((times[1].median_share, times[1].quantile(0.75)), (Some(0.2), None));
        assert_eq!((times[0].median_kept_share, times[1].median_kept_share), (Some(0.8), Some(0.5)));
        let text = text(&times);
        assert!(text.contains("`slow`") && text.contains("2/3"), "{text}");
        let fast = text.lines().find(|line| line.starts_with("fast")).unwrap();
        assert_eq!(fast.split_whitespace().collect::<Vec<_>>(), ["fast", "0.200", "1", "1"]);
    }

    #[test]
    fn a_reference_without_results_is_never_reached_and_survives_json() {
        let empty = cell("empty", &[&[], &[], &[(1.0, 4.0)]]);
        let other = cell("other", &[&[(1.0, 0.0)], &[(1.0, 0.0)], &[(1.0, 0.0)]]);
        let times = time_to_target(&report(vec![empty, other]), "empty").unwrap();
        assert_eq!((times[0].target, times[1].target, times[1].reached()), (None, None, 0));
        let json = serde_json::to_string(&times).unwrap();
        assert_eq!(serde_json::from_str::<Vec<TimeToTarget>>(&json).unwrap(), times);
    }

    #[test]
    fn an_unknown_reference_and_unequal_budgets_are_refused() {
        let one = cell("one", &[&[(1.0, 0.0)]]);
        let message = time_to_target(&report(vec![one.clone()]), "none").unwrap_err().to_string();
        assert!(message.contains("`none`"), "{message}");
        let other = Cell { budget: 50.0, ..cell("other", &[&[(1.0, 0.0)]]) };
        let message = time_to_target(&report(vec![one, other]), "one").unwrap_err().to_string();
        assert!(message.contains("budgets of `other` and `one` differ"), "{message}");
    }
}
