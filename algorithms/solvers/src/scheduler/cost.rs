//! What it costs to start a trial at a rung.

use boxwood_core::{RungLadder, RungResult};

use crate::history::History;

/// Cost of training a new trial up to each rung, lowest first, all in one unit and positive.
///
/// The median of the measured seconds where trials reported them; a rung without any is reached from the nearest measured
/// one (the lower of two equally near) in proportion to its resource. Without measured seconds the cost is the resource.
/// A rung never costs less than the one below it.
pub(crate) fn start_costs(ladder: &RungLadder, history: &History<'_>) -> Vec<f64> {
    let resources: Vec<f64> = ladder.rungs().map(|(_, resource)| resource.0 as f64).collect();
    let measured: Vec<Option<f64>> = history
        .levels
        .iter()
        .map(|level| median(level.entries.iter().filter_map(|entry| usable_seconds(entry.result)).collect()))
        .collect();
    if measured.iter().all(Option::is_none) {
        return resources;
    }
    let nearest = |rung: usize| {
        let known = measured.iter().enumerate().filter_map(|(other, seconds)| Some((other, (*seconds)?)));
        known.min_by_key(|(other, _)| (other.abs_diff(rung), *other))
    };
    let mut costs: Vec<f64> = Vec::with_capacity(resources.len());
    for (rung, resource) in resources.iter().enumerate() {
        let cost = nearest(rung).map_or(*resource, |(other, seconds)| seconds * resource / resources[other]);
        costs.push(costs.last().map_or(cost, |below: &f64| cost.max(*below)));
    }
    costs
}

fn usable_seconds(result: &RungResult) -> Option<f64> {
    result.seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0)
}

/// The lower median.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use boxwood_core::{
        Change, Fidelity, Origin, Point, Problem, ProblemSpec, Provenance, Rung, StudyView, TrialNumber,
        TrialStatus, TrialView,
    };
    use serde_json::json;

    use super::*;

    fn problem() -> Problem {
        let fidelity = Fidelity {
            resource: "epochs".into(),
            min: None,
            max: Some(9),
            reduction_factor: None,
            rungs: None,
        };
        let mut spec: ProblemSpec = serde_json::from_value(json!({
            "space": {"parameters": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}]},
            "objectives": [{"metric": "loss", "goal": "minimize"}],
        }))
        .expect("a valid specification");
        spec.fidelity = Some(fidelity);
        spec.check().expect("a valid problem")
    }

    /// Costs of rungs 1, 3 and 9 after trials with the given seconds by rung.
    fn costs(trials: &[&[Option<f64>]]) -> Vec<f64> {
        let problem = Arc::new(problem());
        let result = |(rung, seconds): (usize, &Option<f64>)| RungResult {
            rung: Rung(rung as u32),
            losses: vec![1.0],
            violations: Vec::new(),
            seconds: *seconds,
            change: Change(1),
        };
        let trial = |(number, seconds): (u32, &&[Option<f64>])| TrialView {
            number: TrialNumber(number),
            point: Point::default(),
            encoded: vec![0.5],
            origin: Origin::Solver,
            provenance: Provenance::default(),
            status: TrialStatus::Paused,
            target: Rung(0),
            results: seconds.iter().enumerate().map(result).collect(),
        };
        let view = StudyView::new(Arc::clone(&problem), Change(1), (1..).zip(trials).map(trial).collect());
        start_costs(problem.ladder(), &History::new(&view))
    }

    #[test]
    fn costs_are_measured_where_they_can_be() {
        assert_eq!(costs(&[]), [1.0, 3.0, 9.0]);
        assert_eq!(costs(&[&[None, None]]), [1.0, 3.0, 9.0]);
        // Medians 10 and 14: starting up costs most of it. The top is three times the rung below.
        let trials: [&[Option<f64>]; 3] =
            [&[Some(10.0), Some(14.0)], &[Some(10.0)], &[Some(90.0), Some(14.0)]];
        assert_eq!(costs(&trials), [10.0, 14.0, 42.0]);
        assert_eq!(costs(&[&[None, None, Some(90.0)]]), [10.0, 30.0, 90.0]);
        // Rungs measured on luckier trials are not cheaper than the one below.
        assert_eq!(costs(&[&[Some(8.0)], &[Some(8.0)], &[Some(1.0), Some(2.0)]]), [8.0, 8.0, 8.0]);
        assert_eq!(costs(&[&[Some(0.0)], &[Some(f64::NAN)]]), [1.0, 3.0, 9.0]);
    }
}
