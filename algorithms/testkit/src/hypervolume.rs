//! Exact hypervolume of a set of losses.

/// Volume that is dominated by the points and dominates the reference; all objectives are minimized.
///
/// Two objectives by a sweep, more by slicing along the last one (While et al., 2006, "A faster algorithm for calculating
/// hypervolume"). Points that do not dominate the reference, or are not finite, count nothing. Cost grows fast with the
/// number of objectives: meant for some hundred points.
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside = |point: &&Vec<f64>| {
        point.len() == reference.len() && point.iter().zip(reference).all(|(value, limit)| value < limit)
    };
    let points: Vec<&[f64]> = points.iter().filter(inside).map(Vec::as_slice).collect();
    volume(&front(&points), reference)
}

/// The points that no other point dominates, each once.
fn front<'a>(points: &[&'a [f64]]) -> Vec<&'a [f64]> {
    let covers = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a <= b);
    let mut kept: Vec<&[f64]> = Vec::new();
    for &point in points {
        if kept.iter().any(|other| covers(other, point)) {
            continue;
        }
        kept.retain(|other| !covers(point, other));
        kept.push(point);
    }
    kept
}

fn volume(points: &[&[f64]], reference: &[f64]) -> f64 {
    match reference.len() {
        0 => 0.0,
        1 => points.iter().map(|point| reference[0] - point[0]).fold(0.0, f64::max),
        2 => {
            let mut sorted = points.to_vec();
            sorted.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
            let mut total = 0.0;
            let mut height = reference[1];
            for point in sorted {
                if point[1] < height {
                    total += (reference[0] - point[0]) * (height - point[1]);
                    height = point[1];
                }
            }
            total
        }
        dimensions => {
            let last = dimensions - 1;
            let mut sorted = points.to_vec();
            sorted.sort_by(|a, b| a[last].total_cmp(&b[last]));
            let mut total = 0.0;
            for i in 0..sorted.len() {
                let upper = sorted.get(i + 1).map_or(reference[last], |next| next[last]);
                let thickness = upper - sorted[i][last];
                if thickness > 0.0 {
                    let slice: Vec<&[f64]> = sorted[..=i].iter().map(|point| &point[..last]).collect();
                    total += thickness * volume(&front(&slice), &reference[..last]);
                }
            }
            total
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_sets_have_known_volumes() {
        let two = [vec![1.0, 2.0], vec![2.0, 1.0], vec![2.5, 2.5], vec![4.0, 0.0]];
        assert_eq!(hypervolume(&two, &[3.0, 3.0]), 3.0);
        assert_eq!(hypervolume(&[vec![0.5]], &[2.0]), 1.5);
        // Three unit cubes that share a corner cube: inclusion and exclusion.
        let three = [vec![0.0, 1.0, 1.0], vec![1.0, 0.0, 1.0], vec![1.0, 1.0, 0.0]];
        assert_eq!(hypervolume(&three, &[2.0, 2.0, 2.0]), 4.0);
        let five = [vec![0.0; 5], vec![0.5, 0.5, 0.5, 0.5, -1.0]];
        assert!((hypervolume(&five, &[1.0; 5]) - (1.0 + 0.5_f64.powi(4))).abs() < 1e-12);
        assert_eq!(hypervolume(&[], &[1.0, 1.0]), 0.0);
        assert_eq!(hypervolume(&[vec![f64::NAN, 0.0]], &[1.0, 1.0]), 0.0);
    }

    #[test]
    fn dominated_points_and_order_change_nothing() {
        let mut points =
            vec![vec![1.0, 5.0, 2.0], vec![2.0, 3.0, 3.0], vec![3.0, 1.0, 4.0], vec![2.0, 4.0, 1.0]];
        let volume = hypervolume(&points, &[6.0, 6.0, 6.0]);
        points.push(vec![3.0, 5.0, 5.0]);
        points.reverse();
        assert!((hypervolume(&points, &[6.0, 6.0, 6.0]) - volume).abs() < 1e-12);
    }
}
