//! Disjoint boxes that fill the part of the objective space which a front leaves open.

use crate::pareto::front_of;
use crate::rows::check_length;
use crate::{NumericError, Rows};

/// Axis-parallel boxes, `(c, m)` lower and upper corners; lower bounds may be negative infinity.
#[derive(Debug, Clone, PartialEq)]
pub struct Boxes {
    lower: Rows,
    upper: Rows,
}

impl Boxes {
    fn new(objectives: usize) -> Self {
        Self { lower: Rows::new(objectives), upper: Rows::new(objectives) }
    }

    /// Number of boxes, c.
    pub fn len(&self) -> usize {
        self.lower.len()
    }

    /// Whether there is no box.
    pub fn is_empty(&self) -> bool {
        self.lower.is_empty()
    }

    /// Number of objectives, m.
    pub fn objectives(&self) -> usize {
        self.lower.width()
    }

    /// Lower and upper corner of each box.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[f64], &[f64])> {
        self.lower.iter().zip(self.upper.iter())
    }

    /// Adds a box unless it has no volume.
    fn push(&mut self, lower: &[f64], upper: &[f64]) -> Result<(), NumericError> {
        if lower.iter().zip(upper).all(|(low, high)| low < high) {
            self.lower.push_row(lower)?;
            self.upper.push_row(upper)?;
        }
        Ok(())
    }
}

/// Fills `{y <= reference : no row of the front is at least as good as y everywhere}` with disjoint boxes.
///
/// `front` is `(n, m)` losses; dominated rows and rows beyond the reference are ignored. Two objectives need n + 1
/// strips; three 2 n + 1 boxes by the sweep of Yang et al., "Efficient computation of expected hypervolume
/// improvement" (J. Global Optimization 75, 2019); more use the local upper bounds of Lacour, Klamroth and Fonseca
/// (Computers and Operations Research 79, 2017), applied twice.
///
/// # Errors
/// `Shape` when the reference has another number of objectives, `NotFinite` for losses or a reference that are not.
pub fn nondominated_boxes(front: &Rows, reference: &[f64]) -> Result<Boxes, NumericError> {
    let objectives = front.width();
    check_length("reference point", objectives, reference.len())?;
    if !reference.iter().chain(front.iter().flatten()).all(|value| value.is_finite()) {
        return Err(NumericError::NotFinite { what: "front or reference point" });
    }
    let inside = front.iter().filter(|row| row.iter().zip(reference).all(|(loss, limit)| loss < limit));
    let points = front_of(inside.map(<[f64]>::to_vec).collect());
    match objectives {
        0 => Ok(Boxes::new(0)),
        1 => {
            let mut boxes = Boxes::new(1);
            boxes.push(&[f64::NEG_INFINITY], &[points.first().map_or(reference[0], |point| point[0])])?;
            Ok(boxes)
        }
        2 => strips(&points, reference),
        3 => sweep(points, reference),
        _ => partition(&points, reference),
    }
}

/// Strips between the first losses of a front in rising order of them.
fn strips(points: &[Vec<f64>], reference: &[f64]) -> Result<Boxes, NumericError> {
    let mut boxes = Boxes::new(2);
    let (mut left, mut height) = (f64::NEG_INFINITY, reference[1]);
    for point in points {
        boxes.push(&[left, f64::NEG_INFINITY], &[point[0], height])?;
        (left, height) = (point[0], point[1]);
    }
    boxes.push(&[left, f64::NEG_INFINITY], &[reference[0], height])?;
    Ok(boxes)
}

/// An open box of the sweep: first loss in `(left, right)`, second below `height`, third from `start` on.
#[derive(Clone, Copy)]
struct Open {
    left: f64,
    right: f64,
    height: f64,
    start: f64,
}

/// Sweeps along the third loss; a point closes what it dominates of the open boxes and opens one below itself.
fn sweep(mut points: Vec<Vec<f64>>, reference: &[f64]) -> Result<Boxes, NumericError> {
    points.sort_by(|a, b| a[2].total_cmp(&b[2]));
    let mut boxes = Boxes::new(3);
    let close = |boxes: &mut Boxes, open: Open, left: f64, end: f64| {
        boxes.push(&[left, f64::NEG_INFINITY, open.start], &[open.right, open.height, end])
    };
    let mut opened = vec![Open {
        left: f64::NEG_INFINITY,
        right: reference[0],
        height: reference[1],
        start: f64::NEG_INFINITY,
    }];
    for point in &points {
        // The open boxes stand side by side with falling heights.
        let first = opened.partition_point(|open| open.right <= point[0]);
        let end = opened.partition_point(|open| open.height > point[1]);
        if first >= end {
            continue;
        }
        let mut replaced = Vec::with_capacity(2);
        for open in &opened[first..end] {
            close(&mut boxes, *open, open.left.max(point[0]), point[2])?;
        }
        if opened[first].left < point[0] {
            replaced.push(Open { right: point[0], ..opened[first] });
        }
        let right = opened[end - 1].right;
        replaced.push(Open { left: point[0], right, height: point[1], start: point[2] });
        opened.splice(first..end, replaced);
    }
    for open in opened {
        close(&mut boxes, open, open.left, reference[2])?;
    }
    Ok(boxes)
}

/// A local upper bound of a set of points with the points that define it, one per objective.
#[derive(Clone)]
struct Bound {
    corner: Vec<f64>,
    defining: Vec<Vec<f64>>,
}

/// All local upper bounds of points below a reference (algorithm 2 of Lacour et al.).
fn local_upper_bounds(points: &[Vec<f64>], reference: &[f64]) -> Vec<Bound> {
    let objectives = reference.len();
    let dummies = (0..objectives).map(|k| {
        let mut dummy = vec![f64::NEG_INFINITY; objectives];
        dummy[k] = reference[k];
        dummy
    });
    let mut bounds = vec![Bound { corner: reference.to_vec(), defining: dummies.collect() }];
    for point in points {
        let hit = |bound: &Bound| bound.corner.iter().zip(point).all(|(limit, value)| limit > value);
        let (split, mut kept): (Vec<Bound>, Vec<Bound>) = bounds.into_iter().partition(hit);
        for bound in &split {
            for k in 0..objectives {
                let others = (0..objectives).filter(|&j| j != k);
                let highest = others.map(|j| bound.defining[j][k]).fold(f64::NEG_INFINITY, f64::max);
                if point[k] >= highest {
                    let mut new = bound.clone();
                    new.corner[k] = point[k];
                    new.defining[k].clone_from(point);
                    kept.push(new);
                }
            }
        }
        bounds = kept;
    }
    bounds
}

/// The open part is what the local upper bounds dominate when every axis is turned round, and the dominated part of a
/// set is cut into one box per local upper bound of that set (Lacour et al., section 4).
fn partition(points: &[Vec<f64>], reference: &[f64]) -> Result<Boxes, NumericError> {
    let objectives = reference.len();
    let turned: Vec<Vec<f64>> = local_upper_bounds(points, reference)
        .iter()
        .map(|bound| bound.corner.iter().map(|value| -value).collect())
        .collect();
    let mut boxes = Boxes::new(objectives);
    for bound in local_upper_bounds(&front_of(turned), &vec![f64::INFINITY; objectives]) {
        let mut lower = vec![bound.defining[0][0]];
        let mut upper = vec![f64::INFINITY];
        for k in 1..objectives {
            let before = bound.defining[..k].iter().map(|point| point[k]);
            lower.push(before.fold(f64::NEG_INFINITY, f64::max));
            upper.push(bound.corner[k]);
        }
        let turn = |corner: &[f64]| corner.iter().map(|value| -value).collect::<Vec<f64>>();
        boxes.push(&turn(&upper), &turn(&lower))?;
    }
    Ok(boxes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sobol_rows;
    use proptest::prelude::*;

    fn covering(boxes: &Boxes, place: &[f64]) -> usize {
        boxes
            .iter()
            .filter(|(lower, upper)| (0..place.len()).all(|k| lower[k] < place[k] && place[k] < upper[k]))
            .count()
    }

    proptest! {
        #[test]
        fn every_open_place_is_in_one_box_and_no_other_place_in_any(
            (width, points) in (1..6usize).prop_flat_map(|width| {
                (Just(width), prop::collection::vec(prop::collection::vec(0..7u8, width), 0..9))
            })
        ) {
            let rows: Vec<Vec<f64>> =
                points.iter().map(|point| point.iter().map(|&v| f64::from(v)).collect()).collect();
            let front = Rows::from_rows(width, &rows).unwrap();
            let boxes = nondominated_boxes(&front, &vec![6.0; width]).unwrap();
            // Places between the grid lines, from below the least loss to beyond the reference.
            for unit in sobol_rows(300, width, 3).unwrap().iter() {
                let place: Vec<f64> = unit.iter().map(|u| (u * 8.0).floor() - 0.5).collect();
                let open = place.iter().all(|&value| value < 6.0)
                    && !rows.iter().any(|row| row.iter().zip(&place).all(|(loss, value)| loss < value));
                prop_assert_eq!(covering(&boxes, &place), usize::from(open), "{:?}", place);
            }
        }
    }

    #[test]
    fn few_boxes_are_enough() {
        for (width, limit) in [(2, 31), (3, 61)] {
            // Points of a plane do not dominate each other.
            let points = sobol_rows(30, width, 5).unwrap();
            let rows: Vec<Vec<f64>> = points
                .iter()
                .map(|row| {
                    let sum: f64 = row.iter().sum();
                    row.iter().map(|value| value / sum).collect()
                })
                .collect();
            let front = Rows::from_rows(width, &rows).unwrap();
            let boxes = nondominated_boxes(&front, &vec![2.0; width]).unwrap();
            assert!(boxes.len() <= limit, "{} boxes", boxes.len());
        }
        assert_eq!(nondominated_boxes(&Rows::new(3), &[1.0; 3]).unwrap().len(), 1);
        assert!(nondominated_boxes(&Rows::new(2), &[1.0, f64::NAN]).is_err());
    }
}
