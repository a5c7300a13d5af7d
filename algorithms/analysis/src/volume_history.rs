//! How the front grew: its hypervolume after each result. All objectives are losses: smaller is better.

use boxwood_core::{Change, Rung, StudyView, TrialNumber};
use serde::Serialize;

use crate::observed::{Observed, observed_at};
use crate::pareto::{hypervolume, is_dominated, reference_point};

/// The history of a front.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VolumeHistory {
    /// Rung of the results: the highest that a feasible trial has reached.
    pub rung: Rung,
    /// Losses up to which volume counts: [`reference_point`] of the front as it is now.
    pub reference: Vec<f64>,
    /// One step per feasible result, in the order in which they became visible.
    pub steps: Vec<VolumeStep>,
}

/// The front after one more result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VolumeStep {
    /// Change at which the result became visible.
    pub change: Change,
    /// The trial.
    pub trial: TrialNumber,
    /// Hypervolume of the front.
    pub hypervolume: f64,
    /// Distinct loss vectors on the front.
    pub front: usize,
}

/// Hypervolume of the front after each feasible result at the highest rung that a feasible trial has reached; `None`
/// without any.
///
/// A result adds the volume of its own box less what the others dominate of it (the exclusive volume of While, Bradstreet
/// and Barone, "A fast way of calculating exact hypervolumes", 2012): only results on the front cost more than a
/// comparison with it.
pub fn hypervolume_history(view: &StudyView) -> Option<VolumeHistory> {
    let objectives = view.problem().objectives().len();
    let complete = |observed: &Observed<'_>| {
        let losses = &observed.result.losses;
        observed.is_feasible() && losses.len() == objectives && losses.iter().all(|loss| loss.is_finite())
    };
    let rungs: Vec<Rung> = view.problem().ladder().rungs().map(|(rung, _)| rung).collect();
    let at = |rung: Rung| (rung, observed_at(view, rung).into_iter().filter(complete).collect::<Vec<_>>());
    let (rung, mut observed) = rungs.into_iter().rev().map(at).find(|(_, observed)| !observed.is_empty())?;
    observed.sort_by_key(|observed| (observed.result.change, observed.trial.number));
    let mut last: Vec<Vec<f64>> = Vec::new();
    for observed in &observed {
        join(&mut last, &observed.result.losses);
    }
    let reference = reference_point(&last);
    let (mut front, mut volume) = (Vec::new(), 0.0);
    let steps = observed.into_iter().map(|Observed { trial, result }| {
        if !is_beaten(&front, &result.losses) {
            volume += exclusive(&front, &result.losses, &reference);
            join(&mut front, &result.losses);
        }
        VolumeStep { change: result.change, trial: trial.number, hypervolume: volume, front: front.len() }
    });
    Some(VolumeHistory { rung, steps: steps.collect(), reference: reference.clone() })
}

/// Whether a front has a loss vector or a better one.
fn is_beaten(front: &[Vec<f64>], losses: &[f64]) -> bool {
    front.iter().any(|member| member == losses || is_dominated(losses, member))
}

/// Puts a loss vector on a front, unless it is beaten, and takes off what it dominates.
fn join(front: &mut Vec<Vec<f64>>, losses: &[f64]) {
    if !is_beaten(front, losses) {
        front.retain(|member| !is_dominated(member, losses));
        front.push(losses.to_vec());
    }
}

/// Volume that a point dominates up to the reference and no member of the front does.
fn exclusive(front: &[Vec<f64>], point: &[f64], reference: &[f64]) -> f64 {
    if point.iter().zip(reference).any(|(loss, limit)| loss >= limit) {
        return 0.0;
    }
    let own: f64 = point.iter().zip(reference).map(|(loss, limit)| limit - loss).product();
    let mut shared = Vec::new();
    for member in front {
        let corner: Vec<f64> = member.iter().zip(point).map(|(a, b)| a.max(*b)).collect();
        join(&mut shared, &corner);
    }
    (own - hypervolume(&shared, reference)).max(0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::fixture::Study;
    use crate::pareto::pareto_front;

    const SPACE: &str = r#"{"name":"x","type":"integer","low":0,"high":99}"#;

    fn study(losses: &[Vec<f64>]) -> Study {
        let mut study = Study::new(SPACE, losses[0].len());
        for (i, losses) in losses.iter().enumerate() {
            study.add(&format!(r#"{{"x":{i}}}"#), std::slice::from_ref(losses));
        }
        study
    }

    #[test]
    fn a_known_front_grows_in_known_steps() {
        let losses = [vec![1.0, 3.0], vec![3.0, 1.0], vec![3.5, 3.5], vec![2.0, 2.0], vec![2.0, 2.0]];
        let found = hypervolume_history(&study(&losses).view()).unwrap();
        assert_eq!(found.reference, [3.2, 3.2]);
        let steps: Vec<(f64, usize)> = found.steps.iter().map(|s| (s.hypervolume, s.front)).collect();
        for (step, expected) in steps.iter().zip([(0.44, 1), (0.84, 2), (0.84, 2), (1.84, 3), (1.84, 3)]) {
            assert!((step.0 - expected.0).abs() < 1e-12 && step.1 == expected.1, "{steps:?}");
        }
    }

    #[test]
    fn what_is_infeasible_or_below_does_not_count() {
        assert_eq!(hypervolume_history(&Study::new(SPACE, 2).view()), None);
        let mut study = study(&[vec![1.0, 1.0], vec![0.0, 0.0]]);
        study.trials[1].results[0].violations = vec![0.1];
        study.add(r#"{"x":9}"#, &[vec![0.0, 0.0], vec![5.0, 5.0]]);
        let found = hypervolume_history(&study.view()).unwrap();
        assert_eq!((found.rung, found.steps.len(), found.steps[0].hypervolume), (Rung(1), 1, 1.0));
    }

    proptest! {
        #[test]
        fn each_step_agrees_with_the_front_so_far(
            objectives in 1..=4_usize,
            draws in prop::collection::vec(prop::collection::vec(0_u8..12, 4), 1..25),
        ) {
            let floats = |draw: &Vec<u8>| draw[..objectives].iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
            let losses: Vec<Vec<f64>> = draws.iter().map(floats).collect();
            let view = study(&losses).view();
            let found = hypervolume_history(&view).unwrap();
            for (i, step) in found.steps.iter().enumerate() {
                let volume = hypervolume(&losses[..=i], &found.reference);
                prop_assert!((step.hypervolume - volume).abs() < 1e-9 * volume.max(1.0), "step {i}: {step:?}, {volume}");
            }
            let mut distinct: Vec<Vec<f64>> = pareto_front(&view).into_iter().map(|point| point.losses).collect();
            distinct.dedup();
            prop_assert_eq!(found.steps.last().unwrap().front, distinct.len());
        }
    }
}
