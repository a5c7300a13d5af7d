//! What earlier studies measured, as rows of the problem's columns.

use boxwood_core::{Problem, Source, SourceRow};
use boxwood_numeric::Rows;

use crate::sampler::gp::data::order;

/// A source's results of one study's worth, cut to what a model uses.
#[derive(Debug, Clone)]
pub(super) struct SourceData {
    /// Place among the problem's sources.
    pub(super) index: usize,
    /// Name of the source.
    pub(super) name: String,
    /// Rows with at least one value, the best half first where there were too many.
    pub(super) rows: Vec<SourceRow>,
}

/// Every source with at most `most` of its trials: the best half of that number by the first objective, the others evenly
/// spread over the ranks that are left, so that the model knows bad regions too.
pub(super) fn source_data(problem: &Problem, most: usize) -> Vec<SourceData> {
    let data = |(index, source): (usize, &Source)| {
        let ranked = ranked(source);
        let kept = if ranked.len() <= most { ranked } else { best_and_spread(&ranked, most) };
        let rows = kept.into_iter().cloned().collect();
        SourceData { index, name: source.name().to_owned(), rows }
    };
    problem.sources().iter().enumerate().map(data).collect()
}

fn best_and_spread<'a>(ranked: &[&'a SourceRow], most: usize) -> Vec<&'a SourceRow> {
    let (best, rest) = ranked.split_at(most.div_ceil(2));
    let wanted = most - best.len();
    // The last of each of `wanted` stretches of equal length: the worst row is always among them.
    let spread = (1..=wanted).map(|stretch| rest[stretch * rest.len() / wanted - 1]);
    best.iter().copied().chain(spread).collect()
}

/// Up to `count` rows to try first: the best of every source in the order of the sources, then the second best, and so on.
pub(super) fn best_rows(problem: &Problem, count: usize) -> Vec<Vec<f64>> {
    let ranked: Vec<Vec<&SourceRow>> = problem.sources().iter().map(ranked).collect();
    let longest = ranked.iter().map(Vec::len).max().unwrap_or(0);
    let in_turn = (0..longest).flat_map(|place| ranked.iter().filter_map(move |rows| rows.get(place)));
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for row in in_turn {
        if rows.len() == count {
            break;
        }
        if is_complete(row) && !rows.iter().any(|seen| same(seen, &row.encoded)) {
            rows.push(row.encoded.clone());
        }
    }
    rows
}

/// Equal numbers, inactive ones alike.
fn same(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
}

/// Rows of a source, best first: least violation, then the rank among fronts (with one objective the loss), then as given;
/// rows without all losses come last.
fn ranked(source: &Source) -> Vec<&SourceRow> {
    let violation =
        |row: &SourceRow| row.violations.iter().flatten().map(|value| value.max(0.0)).sum::<f64>();
    let (complete, partial): (Vec<&SourceRow>, Vec<&SourceRow>) =
        source.rows().iter().partition(|row| is_complete(row));
    let losses: Vec<Vec<f64>> =
        complete.iter().map(|row| row.losses.iter().flatten().copied().collect()).collect();
    let width = losses.first().map_or(0, Vec::len);
    let losses = Rows::from_rows(width, &losses).expect("a complete row has one loss per objective");
    let violations: Vec<f64> = complete.iter().map(|row| violation(row)).collect();
    let best_first = order(&violations, &losses).indices;
    best_first.into_iter().map(|index| complete[index]).chain(partial).collect()
}

fn is_complete(row: &SourceRow) -> bool {
    !row.losses.is_empty() && row.losses.iter().all(Option::is_some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use boxwood_core::{Metrics, Point, ProblemSpec, SourceSpec, SourceTrial};

    fn problem(sources: &[(&str, &[(f64, f64)])]) -> Problem {
        let mut spec: ProblemSpec = serde_json::from_str(
            r#"{"space": {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]},
                "objectives": [{"metric": "loss", "goal": "minimize"}]}"#,
        )
        .unwrap();
        let trial = |(x, loss): &(f64, f64)| SourceTrial {
            point: Point::from([("x", *x)]),
            metrics: Metrics::from([("loss", *loss)]),
        };
        let source = |(name, trials): &(&str, &[(f64, f64)])| SourceSpec {
            name: (*name).into(),
            trials: trials.iter().map(trial).collect(),
        };
        spec.sources = sources.iter().map(source).collect();
        spec.check().unwrap()
    }

    #[test]
    fn sources_take_turns_with_their_best_points() {
        let problem =
            problem(&[("a", &[(0.1, 5.0), (0.2, 1.0), (0.3, 2.0)]), ("b", &[(0.2, 70.0), (0.4, 90.0)])]);
        let found: Vec<f64> = best_rows(&problem, 3).iter().map(|row| row[0]).collect();
        // Both sources have 0.2 as their best.
        assert_eq!(found, [0.2, 0.3, 0.4]);
        assert_eq!(best_rows(&problem, 100).len(), 4);
        assert!(best_rows(&problem, 0).is_empty());
    }

    #[test]
    fn a_cut_source_keeps_its_best_and_its_worst() {
        let trials: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i) / 20.0, f64::from(19 - i))).collect();
        let problem = problem(&[("a", &trials)]);
        let losses = |most| -> Vec<f64> {
            source_data(&problem, most)[0].rows.iter().map(|row| row.losses[0].unwrap()).collect()
        };
        assert_eq!(losses(6), [0.0, 1.0, 2.0, 7.0, 13.0, 19.0]);
        assert_eq!(losses(3), [0.0, 1.0, 19.0]);
        assert_eq!(losses(20).len(), 20);
    }
}
