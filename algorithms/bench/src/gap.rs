//! How far a study is from the optimum, after every result.

use boxwood_core::{Problem, Resource, RungResult, Seed, StudyView};
use boxwood_testkit::{Outcome, TestProblem, Trace, hypervolume};

use crate::suites::{Measure, Task};

/// Seed of evaluations that have no noise left.
const EXACT: Seed = Seed(0);

/// The course of a run: amount spent (trials, or full runs) and gap, one entry per change; infinite before a first
/// feasible result.
pub(crate) fn course(task: &Task, problem: &Problem, trace: &Trace) -> Vec<(f64, f64)> {
    let top = problem.ladder().resource(problem.ladder().top()).0 as f64;
    let mut follow = Follow::new(task, problem);
    let mut course: Vec<(f64, f64)> = Vec::new();
    for (index, arrival) in trace.arrivals.iter().enumerate() {
        let Some(gap) = follow.arrive(&trace.view, arrival) else { continue };
        let spent = match task.full_runs {
            Some(_) => arrival.seconds * task.workers as f64 / top,
            None => (index + 1) as f64,
        };
        if course.last().is_none_or(|(_, last)| *last != gap) {
            course.push((spent, gap));
        }
    }
    course
}

/// The gap once `spent` was spent.
pub(crate) fn at(course: &[(f64, f64)], spent: f64) -> f64 {
    let within = course.iter().take_while(|(moment, _)| *moment <= spent * (1.0 + 1e-9));
    within.last().map_or(f64::INFINITY, |(_, gap)| *gap)
}

struct Follow<'a> {
    task: &'a Task,
    problem: &'a Problem,
    optimum: f64,
    /// Rung and observed loss of the incumbent, and its true gap.
    incumbent: Option<(u32, f64, f64)>,
    points: Vec<Vec<f64>>,
}

impl<'a> Follow<'a> {
    fn new(task: &'a Task, problem: &'a Problem) -> Self {
        let optimum = problem.objectives()[0].loss(task.problem.optimum());
        let optimum = optimum.map_or(f64::NEG_INFINITY, boxwood_core::Loss::get);
        Self { task, problem, optimum, incumbent: None, points: Vec::new() }
    }

    fn arrive(&mut self, view: &StudyView, arrival: &boxwood_testkit::Arrival) -> Option<f64> {
        let trial = view.trial(arrival.trial)?;
        let result = trial.result(arrival.rung)?;
        if let Measure::Hypervolume { reference, largest } = &self.task.measure {
            if is_feasible(result) {
                self.points.push(result.losses.clone());
            }
            return Some(largest - hypervolume(&self.points, reference));
        }
        let loss = result.losses[0];
        let better = self
            .incumbent
            .is_none_or(|(rung, best, _)| arrival.rung.0 > rung || (arrival.rung.0 == rung && loss < best));
        if is_feasible(result) && better {
            let gap = self.true_loss(&trial.point).unwrap_or(f64::INFINITY) - self.optimum;
            self.incumbent = Some((arrival.rung.0, loss, gap));
        }
        self.incumbent.map(|(_, _, gap)| gap)
    }

    /// Loss of a point at full resource without noise.
    fn true_loss(&self, point: &boxwood_core::Point) -> Option<f64> {
        let truth: &dyn TestProblem = self.task.truth.as_deref().unwrap_or(self.task.problem.as_ref());
        let resource: Resource = self.problem.ladder().resource(self.problem.ladder().top());
        match truth.evaluate(point, resource, EXACT) {
            Outcome::Measured(metrics) => Some(self.problem.losses(&metrics).ok()?.ok()?[0]),
            Outcome::Failed(_) | Outcome::Infeasible(_) => None,
        }
    }
}

fn is_feasible(result: &RungResult) -> bool {
    result.violations.iter().all(|violation| *violation <= 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_holds_from_one_change_to_the_next() {
        let course = [(1.0, 5.0), (4.0, 2.0)];
        assert_eq!(
            [0.5, 1.0, 3.9, 4.0, 9.0].map(|spent| at(&course, spent)),
            [f64::INFINITY, 5.0, 5.0, 2.0, 2.0]
        );
        assert_eq!(at(&[], 1.0), f64::INFINITY);
    }
}
