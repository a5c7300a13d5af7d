//! A box where the best results lie.

use boxwood_core::SearchSpace;
use boxwood_core::space::DimensionKind;
use boxwood_numeric::normal_cdf;

use crate::sampler::model::{Range, Training};

/// Share of the results that counts as the best, and their least number.
const BEST_SHARE: f64 = 0.2;
const FEWEST: usize = 5;
/// Share of a box's width by which it is wider than the best results on either side, so that it can move, and its least
/// width.
const MARGIN: f64 = 0.2;
const LEAST_WIDTH: f64 = 0.05;
/// Share of a density's mass beyond either end of a range.
const TAIL: f64 = 0.05;

/// Indices of the best results, best first.
fn best(training: &Training) -> Vec<usize> {
    let count = ((training.measured as f64 * BEST_SHARE).ceil() as usize).max(FEWEST);
    training.best(count)
}

/// The smallest box of the best results, a little wider (Perrone et al., 2019, equation 4); all choices that they have.
pub(super) fn hull(space: &SearchSpace, training: &Training) -> Vec<Range> {
    ranges(space, training, |numbers| {
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let margin = (MARGIN * (high - low)).max((LEAST_WIDTH - (high - low)) / 2.0);
        (low - margin, high + margin)
    })
}

/// The range of each number that holds most of a kernel density of the best results, of Scott's width; all choices that
/// they have.
pub(super) fn density(space: &SearchSpace, training: &Training) -> Vec<Range> {
    ranges(space, training, |numbers| {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count;
        let width = (1.06 * variance.sqrt() * count.powf(-0.2)).max(LEAST_WIDTH / 2.0);
        let below =
            |x: f64| numbers.iter().map(|number| normal_cdf((x - number) / width)).sum::<f64>() / count;
        // The mass inside the unit interval counts.
        let (start, end) = (below(0.0), below(1.0));
        let quantile = |share: f64| {
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..40 {
                let middle = f64::midpoint(low, high);
                if below(middle) < start + share * (end - start) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            low
        };
        (quantile(TAIL), quantile(1.0 - TAIL))
    })
}

/// One range per column; all of a column that none of the best results has.
fn ranges(space: &SearchSpace, training: &Training, of_numbers: impl Fn(&[f64]) -> (f64, f64)) -> Vec<Range> {
    let best = best(training);
    let columns = space.dimensions().iter().enumerate();
    columns
        .map(|(column, dimension)| {
            let values = best.iter().map(|row| training.rows.row(*row)[column]);
            let values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
            match dimension.kind {
                DimensionKind::Categorical { choices } => {
                    let mut found: Vec<f64> = Vec::new();
                    for value in values {
                        if !found.contains(&value) {
                            found.push(value);
                        }
                    }
                    if found.is_empty() {
                        found = (0..choices).map(|choice| space.unit_of_level(column, choice)).collect();
                    }
                    Range::OneOf(found)
                }
                _ if values.is_empty() => Range::Between(0.0, 1.0),
                DimensionKind::Continuous | DimensionKind::Discrete { .. } => {
                    let (low, high) = of_numbers(&values);
                    Range::Between(low.max(0.0), high.min(1.0))
                }
            }
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use boxwood_core::SpaceSpec;
    use boxwood_numeric::Rows;

    use super::*;

    fn case() -> (SearchSpace, Training) {
        let spec: SpaceSpec = serde_json::from_str(
            r#"{"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1},
                               {"name": "c", "type": "categorical", "choices": ["a", "b"]},
                               {"name": "y", "type": "float", "low": 0, "high": 1,
                                "when": {"parameter": "c", "equals": "b"}}]}"#,
        )
        .unwrap();
        // The loss is the distance of x from 0.3; the best five lie in [0.28, 0.32].
        let rows: Vec<[f64; 3]> = (0..25).map(|k| [0.2 + 0.01 * f64::from(k), 0.25, f64::NAN]).collect();
        let losses = rows.iter().map(|row| (row[0] - 0.3).abs()).collect();
        let rows = Rows::from_rows(3, &rows).unwrap();
        (spec.check().unwrap(), Training { rows, losses, violations: Vec::new(), measured: 25 })
    }

    #[test]
    fn a_box_holds_the_best_results_and_their_choices() {
        let (space, training) = case();
        for (name, ranges) in [("hull", hull(&space, &training)), ("density", density(&space, &training))] {
            let Range::Between(low, high) = ranges[0] else { panic!("{name}: {ranges:?}") };
            assert!(low < 0.285 && high > 0.315, "{name}: {low} to {high}");
            assert!(low > 0.2 && high < 0.4 && high - low > 0.9 * LEAST_WIDTH, "{name}: {low} to {high}");
            assert_eq!(ranges[1], Range::OneOf(vec![0.25]), "{name}");
            assert_eq!(ranges[2], Range::Between(0.0, 1.0), "{name}: nothing is known where it is inactive");
        }
    }

    #[test]
    fn a_density_passes_over_a_lone_result_that_stretches_the_box() {
        let (space, mut training) = case();
        let mut rows: Vec<Vec<f64>> = training.rows.iter().map(<[f64]>::to_vec).collect();
        // A lone good result among forty near 0.3.
        rows.extend((0..15).map(|k| vec![0.3 + 0.0001 * f64::from(k), 0.25, f64::NAN]));
        rows[0][0] = 0.9;
        training.losses = rows.iter().map(|row| (row[0] - 0.3).abs()).collect();
        training.losses[0] = 0.0;
        training.rows = Rows::from_rows(3, &rows).unwrap();
        training.measured = rows.len();
        let width = |ranges: Vec<Range>| match ranges[0] {
            Range::Between(low, high) => high - low,
            Range::OneOf(_) => f64::NAN,
        };
        let (hull, density) = (width(hull(&space, &training)), width(density(&space, &training)));
        assert!(hull > 0.6 && density < hull, "hull {hull}, density {density}");
    }
}
