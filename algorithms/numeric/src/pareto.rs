//! Dominance, non-dominated sorting and hypervolume. All values are losses: smaller is better.

use crate::rows::check_length;
use crate::{NumericError, Rows};
use std::cmp::Ordering;

/// Share of a front's range that an inferred reference point adds to its worst value.
const REFERENCE_MARGIN: f64 = 0.1;

/// Whether `a` is at least as good as `b` in every objective and better in one.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    let mut better = false;
    for (x, y) in a.iter().zip(b) {
        if x > y {
            return false;
        }
        better |= x < y;
    }
    better
}

/// The front of every row: zero for rows that no other dominates, one for those that only front zero dominates, ...
///
/// `losses` is `(n, m)`. The efficient non-dominated sort of Zhang et al. (IEEE TEVC 19(2), 2015): in lexicographic
/// order a row can only be dominated by rows before it. `O(n^2 m)` at worst.
pub fn nondominated_ranks(losses: &Rows) -> Vec<usize> {
    let mut order: Vec<usize> = (0..losses.len()).collect();
    order.sort_by(|&a, &b| lexicographic(losses.row(a), losses.row(b)).then(a.cmp(&b)));
    let mut ranks = vec![0; losses.len()];
    let mut fronts: Vec<Vec<usize>> = Vec::new();
    for index in order {
        let row = losses.row(index);
        let free = fronts
            .iter()
            .position(|front| !front.iter().rev().any(|&member| dominates(losses.row(member), row)));
        let rank = free.unwrap_or(fronts.len());
        if rank == fronts.len() {
            fronts.push(Vec::new());
        }
        fronts[rank].push(index);
        ranks[index] = rank;
    }
    ranks
}

/// Indices of the rows that no other row dominates, in order; of equal rows all are kept.
pub fn nondominated(losses: &Rows) -> Vec<usize> {
    let mut order: Vec<usize> = (0..losses.len()).collect();
    order.sort_by(|&a, &b| lexicographic(losses.row(a), losses.row(b)).then(a.cmp(&b)));
    let mut front: Vec<usize> = Vec::new();
    for index in order {
        // With two objectives the last member of the front has the least second loss so far.
        let rivals = if losses.width() == 2 { front.len().saturating_sub(1) } else { 0 };
        if !front[rivals..].iter().any(|&member| dominates(losses.row(member), losses.row(index))) {
            front.push(index);
        }
    }
    front.sort_unstable();
    front
}

/// A reference point for a front: its worst loss in each objective plus a tenth of its range there (Ishibuchi et al.,
/// "How to specify a reference point in hypervolume calculation", 2018). An objective without a range gets a margin of
/// one, which is a standard deviation on the model scale.
pub fn inferred_reference(front: &Rows) -> Vec<f64> {
    if front.is_empty() {
        return vec![1.0; front.width()];
    }
    (0..front.width())
        .map(|objective| {
            let values = || front.iter().map(|row| row[objective]);
            let least = values().fold(f64::INFINITY, f64::min);
            let most = values().fold(f64::NEG_INFINITY, f64::max);
            if most > least { most + REFERENCE_MARGIN * (most - least) } else { most + 1.0 }
        })
        .collect()
}

/// Exact volume that the rows dominate up to a reference point; rows not below it everywhere add nothing.
///
/// Two and three objectives by a sweep that keeps the staircase of the first two (Fonseca, Paquete and Lopez-Ibanez,
/// CEC 2006, with a sorted list), `O(n^2)` at worst; more by the WFG recursion (While, Bradstreet and Barone, IEEE TEVC
/// 16(1), 2012) down to three.
///
/// # Errors
/// `Shape` when the reference has another number of objectives.
pub fn hypervolume(losses: &Rows, reference: &[f64]) -> Result<f64, NumericError> {
    check_length("reference point", losses.width(), reference.len())?;
    let inside = losses.iter().filter(|row| row.iter().zip(reference).all(|(loss, limit)| loss < limit));
    Ok(volume(inside.map(<[f64]>::to_vec).collect(), reference))
}

fn volume(mut points: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    if points.is_empty() {
        return 0.0;
    }
    match reference.len() {
        0 => 0.0,
        1 => reference[0] - points.iter().map(|point| point[0]).fold(f64::INFINITY, f64::min),
        2 => {
            let mut stairs = Staircase::new(reference[0], reference[1]);
            for point in &points {
                stairs.insert(point[0], point[1]);
            }
            stairs.area
        }
        3 => {
            points.sort_by(|a, b| a[2].total_cmp(&b[2]));
            let mut stairs = Staircase::new(reference[0], reference[1]);
            let mut total = 0.0;
            for (index, point) in points.iter().enumerate() {
                stairs.insert(point[0], point[1]);
                let next = points.get(index + 1).map_or(reference[2], |next| next[2]);
                total += stairs.area * (next - point[2]);
            }
            total
        }
        count => {
            // Worst last loss first, so that what is left of a row after its successors are cut to it lies in one
            // plane: one objective less.
            let last = count - 1;
            points.sort_by(|a, b| b[last].total_cmp(&a[last]));
            let mut total = 0.0;
            for (index, point) in points.iter().enumerate() {
                let cut: Vec<Vec<f64>> = points[index + 1..]
                    .iter()
                    .map(|other| (0..last).map(|k| other[k].max(point[k])).collect())
                    .collect();
                let inclusive: f64 = (0..last).map(|k| reference[k] - point[k]).product();
                let exclusive = inclusive - volume(front_of(cut), &reference[..last]);
                total += (reference[last] - point[last]) * exclusive;
            }
            total
        }
    }
}

/// The points that no other dominates, one of each.
pub(crate) fn front_of(mut points: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    points.sort_by(|a, b| lexicographic(a, b));
    let mut front: Vec<Vec<f64>> = Vec::new();
    for point in points {
        if !front.iter().any(|member| member.iter().zip(&point).all(|(x, y)| x <= y)) {
            front.push(point);
        }
    }
    front
}

pub(crate) fn lexicographic(a: &[f64], b: &[f64]) -> Ordering {
    let differing = a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
    differing.unwrap_or(Ordering::Equal)
}

/// Area dominated in two objectives, updated point by point.
struct Staircase {
    /// By rising first and falling second coordinate.
    corners: Vec<(f64, f64)>,
    reference: (f64, f64),
    area: f64,
}

impl Staircase {
    fn new(first: f64, second: f64) -> Self {
        Self { corners: Vec::new(), reference: (first, second), area: 0.0 }
    }

    fn insert(&mut self, first: f64, second: f64) {
        let start = self.corners.partition_point(|corner| corner.0 <= first);
        let above = if start == 0 { self.reference.1 } else { self.corners[start - 1].1 };
        if above <= second {
            return;
        }
        // A corner straight above the new one is replaced by it.
        let from = if start > 0 && self.corners[start - 1].0 == first { start - 1 } else { start };
        let (mut edge, mut height, mut end) = (first, above, start);
        while end < self.corners.len() && self.corners[end].1 >= second {
            self.area += (self.corners[end].0 - edge) * (height - second);
            (edge, height) = self.corners[end];
            end += 1;
        }
        let limit = self.corners.get(end).map_or(self.reference.0, |corner| corner.0);
        self.area += (limit - edge) * (height - second);
        self.corners.splice(from..end, [(first, second)]);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(width: usize, points: &[Vec<u8>]) -> Rows {
        let rows: Vec<Vec<f64>> =
            points.iter().map(|point| point.iter().map(|&v| f64::from(v)).collect()).collect();
        Rows::from_rows(width, &rows).unwrap()
    }

    fn cells(points: &[Vec<u8>], side: u8, width: usize) -> f64 {
        let total = usize::from(side).pow(width as u32);
        let inside = (0..total).filter(|&index| {
            let place = |k: usize| (index / usize::from(side).pow(k as u32) % usize::from(side)) as u8;
            points.iter().any(|point| (0..width).all(|k| point[k] <= place(k)))
        });
        inside.count() as f64
    }

    proptest! {
        #[test]
        fn volumes_count_cells(
            (width, points) in (1..6usize).prop_flat_map(|width| {
                (Just(width), prop::collection::vec(prop::collection::vec(0..6u8, width), 0..9))
            })
        ) {
            let found = hypervolume(&table(width, &points), &vec![5.0; width]).unwrap();
            prop_assert!((found - cells(&points, 5, width)).abs() < 1e-9);
        }

        #[test]
        fn ranks_peel_fronts(points in prop::collection::vec(prop::collection::vec(0..6u8, 3), 0..25)) {
            let losses = table(3, &points);
            let ranks = nondominated_ranks(&losses);
            let mut left: Vec<usize> = (0..losses.len()).collect();
            let mut rank = 0;
            while !left.is_empty() {
                let free: Vec<usize> = left
                    .iter()
                    .copied()
                    .filter(|&a| !left.iter().any(|&b| dominates(losses.row(b), losses.row(a))))
                    .collect();
                prop_assert!(free.iter().all(|&index| ranks[index] == rank));
                if rank == 0 {
                    prop_assert_eq!(&nondominated(&losses), &free);
                }
                left.retain(|index| !free.contains(index));
                rank += 1;
            }
        }
    }

    #[test]
    fn references_lie_beyond_the_front() {
        let front = Rows::from_rows(2, &[[0.0, 5.0], [10.0, 5.0]]).unwrap();
        assert_eq!(inferred_reference(&front), [11.0, 6.0]);
        assert_eq!(inferred_reference(&Rows::new(2)), [1.0, 1.0]);
        assert!(hypervolume(&front, &[1.0]).is_err());
    }

    #[test]
    fn the_front_of_zdt1_has_its_known_volume() {
        // f2 = 1 - sqrt(f1): the volume up to (11, 11) is 120 2/3 in the limit.
        let mut front = Rows::new(2);
        for index in 0..=20_000 {
            let first = f64::from(index) / 20_000.0;
            front.push_row(&[first, 1.0 - first.sqrt()]).unwrap();
        }
        let found = hypervolume(&front, &[11.0, 11.0]).unwrap();
        assert!((found - (120.0 + 2.0 / 3.0)).abs() < 1e-3);
    }
}
