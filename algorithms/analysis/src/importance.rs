//! Importance of parameters by PED-ANOVA (Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter
//! Importance in Arbitrary Subspaces", IJCAI 2023).
//!
//! The importance of a parameter for being among the best `target` share of a region is proportional to the Pearson
//! divergence between the density of its values among those best observations and their density among all observations of
//! the region (their theorem 1 with the top-`target` set as the target and the region's own density as the baseline). No
//! model is fitted.
//!
//! Densities live on cells: the levels of a dimension with at most [`CELLS`] of them, else [`CELLS`] equal parts of the
//! unit interval with a Gaussian kernel, cut at the bounds, of Scott's width `1.06 min(deviation, IQR / 1.34) n^(-1/5)`.
//! Deviation from the paper, for conditional spaces: both densities are those of the observations where the parameter is
//! active, and the divergence is multiplied by their share of the region.

use boxwood_core::space::DimensionKind;
use boxwood_core::{Rung, StudyView};
use serde::Serialize;

use crate::observed::{Observed, observed_at};

/// Cells of a density.
const CELLS: usize = 50;

/// Fewest observations of which an importance is told.
const FEWEST: usize = 8;

/// What to compare.
///
/// | name | default | range | meaning |
/// |---|---|---|---|
/// | `target` | 0.1 | (0, 1) | share of the observations that counts as the best ones |
/// | `region` | 1.0 | (`target`, 1] | share of the observations that is looked at: smaller is local importance |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImportanceOptions {
    /// Share of best observations.
    pub target: f64,
    /// Share of observations that are looked at.
    pub region: f64,
}

impl Default for ImportanceOptions {
    fn default() -> Self {
        Self { target: 0.1, region: 1.0 }
    }
}

/// Importance of one parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Importance {
    /// Full name of the parameter.
    pub parameter: String,
    /// Share of the sum over all parameters; the shares add up to 1, or are all 0 where nothing matters.
    pub share: f64,
    /// Pearson divergence behind it.
    pub divergence: f64,
}

/// Importances of all parameters with a dimension for one objective at one rung, most important first, by PED-ANOVA
/// (Watanabe, Bansal and Hutter, IJCAI 2023).
///
/// `None` with fewer than eight finite results at the rung, an unknown objective or options out of range.
pub fn importance(
    view: &StudyView,
    objective: usize,
    rung: Rung,
    options: ImportanceOptions,
) -> Option<Vec<Importance>> {
    let ImportanceOptions { target, region } = options;
    if !(0.0 < target && target < region && region <= 1.0) {
        return None;
    }
    let mut observed: Vec<(f64, Observed<'_>)> = observed_at(view, rung)
        .into_iter()
        .filter_map(|observed| Some((*observed.result.losses.get(objective)?, observed)))
        .filter(|(loss, _)| loss.is_finite())
        .collect();
    if observed.len() < FEWEST {
        return None;
    }
    observed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.trial.number.cmp(&b.1.trial.number)));
    let count = |share: f64| ((share * observed.len() as f64).ceil() as usize).clamp(2, observed.len());
    // Ties with the last one inside belong inside: a flat objective then has no best observations.
    let up_to = |count: usize| observed.partition_point(|(loss, _)| *loss <= observed[count - 1].0);
    let (best, all) = (up_to(count(target)), up_to(count(region)));
    let rows: Vec<&[f64]> = observed[..all].iter().map(|(_, o)| o.trial.encoded.as_slice()).collect();
    let dimensions = view.problem().space().dimensions();
    let mut importances: Vec<Importance> = dimensions
        .iter()
        .enumerate()
        .map(|(i, dimension)| {
            let active = |rows: &[&[f64]]| -> Vec<f64> {
                rows.iter().filter_map(|row| row.get(i).copied()).filter(|number| !number.is_nan()).collect()
            };
            let (top, whole) = (active(&rows[..best]), active(&rows));
            let divergence = if top.is_empty() {
                0.0
            } else {
                let share = whole.len() as f64 / rows.len() as f64;
                share * pearson(&density(dimension.kind, &top), &density(dimension.kind, &whole))
            };
            Importance { parameter: dimension.name.clone(), share: 0.0, divergence }
        })
        .collect();
    let total: f64 = importances.iter().map(|importance| importance.divergence).sum();
    if total > 0.0 {
        for importance in &mut importances {
            importance.share = importance.divergence / total;
        }
    }
    importances.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.parameter.cmp(&b.parameter)));
    Some(importances)
}

/// Pearson divergence of `top` from `base`: the mean under `base` of `(top / base - 1)^2`.
fn pearson(top: &[f64], base: &[f64]) -> f64 {
    top.iter().zip(base).map(|(p, q)| (p / q - 1.0).powi(2) * q).sum()
}

/// Probabilities of the cells, all positive.
fn density(kind: DimensionKind, numbers: &[f64]) -> Vec<f64> {
    let levels = match kind {
        DimensionKind::Continuous => None,
        DimensionKind::Discrete { levels } => Some(levels).filter(|levels| *levels <= CELLS as u64),
        DimensionKind::Categorical { choices } => Some(choices),
    };
    let mut cells = levels.map_or_else(|| kernel_counts(numbers), |levels| level_counts(levels, numbers));
    let total: f64 = cells.iter().sum();
    for cell in &mut cells {
        *cell /= total;
    }
    cells
}

/// Observations per level; one more, spread over all levels, keeps each of them possible.
fn level_counts(levels: u64, numbers: &[f64]) -> Vec<f64> {
    let mut cells = vec![1.0 / levels as f64; levels as usize];
    for number in numbers {
        cells[((number * levels as f64) as usize).min(levels as usize - 1)] += 1.0;
    }
    cells
}

/// Observations per cell, smoothed; one more is spread over all cells.
fn kernel_counts(numbers: &[f64]) -> Vec<f64> {
    let width = bandwidth(numbers);
    let centre = |cell: usize| (cell as f64 + 0.5) / CELLS as f64;
    let kernel = |cell: usize, number: f64| (-0.5 * ((centre(cell) - number) / width).powi(2)).exp();
    let mut cells = vec![1.0 / CELLS as f64; CELLS];
    for number in numbers {
        // Each observation counts as one, whatever part of its kernel lies beyond the bounds.
        let mass: f64 = (0..CELLS).map(|cell| kernel(cell, *number)).sum();
        for (i, cell) in cells.iter_mut().enumerate() {
            *cell += kernel(i, *number) / mass;
        }
    }
    cells
}

/// Scott's width, at least one cell.
fn bandwidth(numbers: &[f64]) -> f64 {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    let spread = (quantile(0.75) - quantile(0.25)) / 1.34;
    let deviation = if spread > 0.0 { variance.sqrt().min(spread) } else { variance.sqrt() };
    (1.06 * deviation * count.powf(-0.2)).max(1.0 / CELLS as f64)
}

#[cfg(test)]
mod tests {
    use boxwood_core::Seed;

    use super::*;
    use crate::fixture::Study;

    const PARAMETERS: &str = r#"
        {"name":"strong","type":"float","low":0,"high":1},
        {"name":"weak","type":"float","low":0,"high":1},
        {"name":"none","type":"float","low":0,"high":1},
        {"name":"kind","type":"categorical","choices":["good","bad","ugly"]},
        {"name":"extra","type":"integer","low":1,"high":200,"when":{"parameter":"kind","equals":"bad"}}"#;

    fn study(count: usize, loss: impl Fn(&[f64]) -> f64) -> Study {
        let mut study = Study::new(PARAMETERS, 1);
        let space = study.view().problem().space().clone();
        for row in space.sobol(Seed(3).0, 0, count) {
            let point = serde_json::to_string(&space.decode(&row)).expect("a point is JSON");
            let loss = loss(&row);
            study.add(&point, &[vec![loss]]);
        }
        study
    }

    fn share(found: &[Importance], name: &str) -> f64 {
        found.iter().find(|importance| importance.parameter == name).map_or(f64::NAN, |i| i.share)
    }

    #[test]
    fn what_drives_the_loss_is_found() {
        let study = study(400, |row| 10.0 * (row[0] - 0.3).powi(2) + 0.5 * row[1]);
        let found =
            importance(&study.view(), 0, Rung(0), ImportanceOptions::default()).expect("enough results");
        assert_eq!(found[0].parameter, "strong");
        assert!(share(&found, "strong") > 0.6, "{found:?}");
        assert!(share(&found, "weak") > share(&found, "none"), "{found:?}");
        assert!((found.iter().map(|importance| importance.share).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn choices_count_and_a_flat_objective_has_no_importance() {
        let by_choice = study(200, |row| if row[3] < 0.3 { 0.01 * row[2] } else { 1.0 + row[2] });
        let found =
            importance(&by_choice.view(), 0, Rung(0), ImportanceOptions::default()).expect("enough results");
        assert!(share(&found, "kind") > share(&found, "strong"), "{found:?}");
        assert_eq!(share(&found, "extra"), 0.0, "never active among the best");
        let flat = study(50, |_| 1.0);
        let found =
            importance(&flat.view(), 0, Rung(0), ImportanceOptions::default()).expect("enough results");
        assert!(found.iter().all(|importance| importance.share == 0.0), "{found:?}");
    }

    #[test]
    fn too_little_is_no_answer() {
        let few = study(7, |row| row[0]);
        assert_eq!(importance(&few.view(), 0, Rung(0), ImportanceOptions::default()), None);
        let enough = study(20, |row| row[0]);
        let options = |target, region| ImportanceOptions { target, region };
        assert!(importance(&enough.view(), 0, Rung(0), options(0.1, 0.5)).is_some());
        assert_eq!(importance(&enough.view(), 0, Rung(0), options(0.5, 0.1)), None);
        assert_eq!(importance(&enough.view(), 0, Rung(0), options(f64::NAN, 1.0)), None);
        assert_eq!(importance(&enough.view(), 1, Rung(0), options(0.1, 1.0)), None);
        assert_eq!(importance(&enough.view(), 0, Rung(2), options(0.1, 1.0)), None);
    }

    #[test]
    fn the_divergence_of_two_known_densities() {
        assert!((pearson(&[0.75, 0.25], &[0.5, 0.5]) - 0.25).abs() < 1e-15);
        assert_eq!(pearson(&[0.5, 0.5], &[0.5, 0.5]), 0.0);
    }
}
