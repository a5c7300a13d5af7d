//! Pareto front and hypervolume. All objectives are losses: smaller is better.

use boxwood_core::{Loss, StudyView, TrialNumber};
use serde::Serialize;

use crate::observed::{Observed, observed_at};

/// One trial of a front.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParetoPoint {
    /// The trial.
    pub trial: TrialNumber,
    /// Its losses, one per objective.
    pub losses: Vec<f64>,
    /// Its metrics in native units, one per objective.
    pub values: Vec<f64>,
}

/// Whether `other` is at least as good in every objective and better in one.
pub fn is_dominated(losses: &[f64], other: &[f64]) -> bool {
    let pairs = || losses.iter().zip(other);
    pairs().all(|(mine, its)| its <= mine) && pairs().any(|(mine, its)| its < mine)
}

/// The feasible trials that no other dominates, at the highest rung that a feasible trial has reached, by rising first
/// loss. Of trials with equal losses all are kept.
pub fn pareto_front(view: &StudyView) -> Vec<ParetoPoint> {
    let rungs: Vec<_> = view.problem().ladder().rungs().map(|(rung, _)| rung).collect();
    let at = |rung| observed_at(view, rung).into_iter().filter(Observed::is_feasible).collect::<Vec<_>>();
    let observed = rungs.into_iter().rev().map(at).find(|observed| !observed.is_empty()).unwrap_or_default();
    let mut points: Vec<ParetoPoint> = observed
        .into_iter()
        .filter_map(|Observed { trial, result }| {
            let pairs = view.problem().objectives().iter().zip(&result.losses);
            let values = pairs.map(|(objective, loss)| Loss::new(*loss).map(|loss| objective.native(loss)));
            let values = values.collect::<Result<Vec<_>, _>>().ok()?;
            Some(ParetoPoint { trial: trial.number, losses: result.losses.clone(), values })
        })
        .collect();
    // In lexicographic order a point can only be dominated by one before it.
    points.sort_by(|a, b| lexicographic(&a.losses, &b.losses).then(a.trial.cmp(&b.trial)));
    let mut front: Vec<ParetoPoint> = Vec::new();
    for point in points {
        // With two objectives the last member of the front has the least second loss so far.
        let rivals = if point.losses.len() == 2 { front.len().saturating_sub(1) } else { 0 };
        if !front[rivals..].iter().any(|member| is_dominated(&point.losses, &member.losses)) {
            front.push(point);
        }
    }
    front
}

fn lexicographic(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    let differing = a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
    differing.unwrap_or(std::cmp::Ordering::Equal)
}

/// A reference point for a front: its worst loss in each objective plus a tenth of its range there (Ishibuchi et al.,
/// "How to specify a reference point in hypervolume calculation", 2018). A front without a range gets a margin of 1.
pub fn reference_point(front: &[Vec<f64>]) -> Vec<f64> {
    let objectives = front.first().map_or(0, Vec::len);
    let margin = |i: usize| {
        let (least, most) = front.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), losses| {
            (least.min(losses[i]), most.max(losses[i]))
        });
        if most > least { most + 0.1 * (most - least) } else { most + 1.0 }
    };
    (0..objectives).map(margin).collect()
}

/// Exact volume of what the points dominate up to a reference point; points beyond it add nothing.
///
/// Two objectives: one sweep. More: slices along the last objective (Zitzler's "hypervolume by slicing objectives"), each
/// a problem with one objective less, `O(n^(d-1) log n)`: meant for fronts of 2 to 4 objectives.
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside = |point: &&Vec<f64>| {
        point.len() == reference.len() && point.iter().zip(reference).all(|(loss, limit)| loss < limit)
    };
    let points: Vec<&[f64]> = points.iter().filter(inside).map(Vec::as_slice).collect();
    volume(points, reference)
}

fn volume(mut points: Vec<&[f64]>, reference: &[f64]) -> f64 {
    let Some(last) = reference.len().checked_sub(1) else { return 0.0 };
    points.sort_by(|a, b| a[last].total_cmp(&b[last]));
    let Some(first) = points.first() else { return 0.0 };
    if last == 0 {
        return reference[0] - first[0];
    }
    if last == 1 {
        let (mut area, mut edge) = (0.0, reference[0]);
        for point in points {
            if point[0] < edge {
                area += (edge - point[0]) * (reference[1] - point[1]);
                edge = point[0];
            }
        }
        return area;
    }
    let mut total = 0.0;
    for (i, point) in points.iter().enumerate() {
        let next = points.get(i + 1).map_or(reference[last], |next| next[last]);
        if next > point[last] {
            total += (next - point[last]) * volume(points[..=i].to_vec(), &reference[..last]);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::Study;

    #[test]
    fn known_volumes() {
        assert_eq!(hypervolume(&[], &[1.0, 1.0]), 0.0);
        assert_eq!(hypervolume(&[vec![0.25]], &[1.0]), 0.75);
        let stairs = [vec![1.0, 3.0], vec![2.0, 2.0], vec![3.0, 1.0]];
        assert_eq!(hypervolume(&stairs, &[4.0, 4.0]), 6.0);
        assert_eq!(hypervolume(&stairs, &[1.0, 1.0]), 0.0);
        let cubes = [vec![0.0, 1.0, 1.0], vec![1.0, 0.0, 1.0], vec![1.0, 1.0, 0.0]];
        // Three boxes of volume 2 that share the unit cube: 3 * 2 - 2 * 1.
        assert_eq!(hypervolume(&cubes, &[2.0, 2.0, 2.0]), 4.0);
    }

    #[test]
    fn the_front_of_zdt1_has_its_known_volume() {
        // f2 = 1 - sqrt(f1): the volume up to (11, 11) is 120 2/3 in the limit.
        let front: Vec<Vec<f64>> = (0..=20_000)
            .map(|i| f64::from(i) / 20_000.0)
            .map(|first| vec![first, 1.0 - first.sqrt()])
            .collect();
        assert!((hypervolume(&front, &[11.0, 11.0]) - (120.0 + 2.0 / 3.0)).abs() < 1e-3);
    }

    #[test]
    fn the_front_holds_feasible_trials_of_the_highest_rung() {
        let mut study = Study::new(r#"{"name":"x","type":"integer","low":0,"high":99}"#, 2);
        let below = vec![vec![0.0, 0.0]; 2];
        for (i, losses) in
            [[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [3.0, 1.0], [2.0, 2.0], [0.0, 0.0]].iter().enumerate()
        {
            let mut all = below.clone();
            all.push(losses.to_vec());
            study.add(&format!(r#"{{"x":{i}}}"#), &all);
        }
        study.trials[5].results[2].violations = vec![0.5];
        study.add(r#"{"x":50}"#, &below);
        let front: Vec<u32> = pareto_front(&study.view()).iter().map(|point| point.trial.0).collect();
        assert_eq!(front, [1, 2, 5, 4]);
        assert_eq!(reference_point(&[vec![0.0, 5.0], vec![10.0, 5.0]]), [11.0, 6.0]);
        assert!(reference_point(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn volume_agrees_with_counting_cells(points in prop::collection::vec(prop::collection::vec(0_u8..6, 3), 0..8)) {
            let reference = [5_u8, 5, 5];
            let mut cells = 0;
            for x in 0..5_u8 { for y in 0..5_u8 { for z in 0..5_u8 {
                cells += u32::from(points.iter().any(|p| p[0] <= x && p[1] <= y && p[2] <= z));
            }}}
            let floats = |p: &[u8]| p.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let points: Vec<_> = points.iter().map(|p| floats(p)).collect();
            prop_assert!((hypervolume(&points, &floats(&reference)) - f64::from(cells)).abs() < 1e-9);
        }
    }
}
