//! Which columns matter, by a forest.

use boxwood_core::{SearchSpace, Seed, SolverError};
use boxwood_surrogate::{Forest, ForestOptions, Posterior};
use rand::RngExt;

use crate::sampler::model::{Training, layout, numeric};

/// Best results whose predictions are compared.
const COMPARED: usize = 100;
/// Other results that each of them takes a value from.
const PARTNERS: usize = 2;

/// Columns to search, in order: three quarters of them those that matter most, the rest drawn, so that others can show that
/// they matter.
pub(super) fn choose(
    space: &SearchSpace,
    training: &Training,
    wanted: usize,
    seed: Seed,
) -> Result<Vec<usize>, SolverError> {
    let importances = importances(space, training, seed)?;
    let mut order: Vec<usize> = (0..importances.len()).collect();
    order.sort_by(|a, b| importances[*b].total_cmp(&importances[*a]).then(a.cmp(b)));
    let mut rng = seed.derive("columns", training.measured as u64).rng();
    for place in wanted - wanted / 4..wanted.min(order.len()) {
        let drawn = rng.random_range(place..order.len());
        order.swap(place, drawn);
    }
    order.truncate(wanted);
    order.sort_unstable();
    Ok(order)
}

/// Mean squared change of a forest's prediction at good results when one column takes another result's value: an estimate of
/// twice the column's total share of the variance (Jansen, "Analysis of variance designs for model output", 1999).
fn importances(space: &SearchSpace, training: &Training, seed: Seed) -> Result<Vec<f64>, SolverError> {
    let layout = layout(space);
    let (rows, losses) = (training.measured_rows(), training.measured_losses());
    let forest = Forest::fit(&layout, &rows, losses, &ForestOptions::default(), seed.0)
        .map_err(|error| numeric(&error))?;
    let order = training.best(COMPARED);
    let mut rng = seed.derive("partners", training.measured as u64).rng();
    let pairs: Vec<(usize, usize)> = order
        .iter()
        .flat_map(|row| std::iter::repeat_n(*row, PARTNERS))
        .map(|row| (row, rng.random_range(0..rows.len())))
        .collect();
    let from = rows.select(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
    let before = forest.predict_mean(&from).map_err(|error| numeric(&error))?;
    let changed = |column: usize| -> Result<f64, SolverError> {
        let mut moved = boxwood_numeric::Rows::new(layout.len());
        for (row, partner) in &pairs {
            let mut row = rows.row(*row).to_vec();
            row[column] = rows.row(*partner)[column];
            moved.push_row(&row).map_err(|error| numeric(&error))?;
        }
        let after = forest.predict_mean(&moved).map_err(|error| numeric(&error))?;
        Ok(before.iter().zip(&after).map(|(before, after)| (before - after).powi(2)).sum())
    };
    (0..layout.len()).map(changed).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use boxwood_core::SpaceSpec;
    use boxwood_numeric::Rows;

    use super::*;

    #[test]
    fn columns_that_matter_are_found_among_many() {
        let parameters: Vec<String> =
            (0..20).map(|i| format!(r#"{{"name": "x{i}", "type": "float", "low": 0, "high": 1}}"#)).collect();
        let spec: SpaceSpec =
            serde_json::from_str(&format!(r#"{{"parameters": [{}]}}"#, parameters.join(","))).unwrap();
        let space = spec.check().unwrap();
        let rows = space.sobol(3, 0, 80);
        let losses = rows.iter().map(|row| 3.0 * row[4] + 2.0 * (row[11] - 0.5).abs()).collect();
        let rows = Rows::from_rows(20, &rows).unwrap();
        let training = Training { rows, losses, violations: Vec::new(), measured: 80 };
        for seed in 0..5 {
            let columns = choose(&space, &training, 8, Seed(seed)).unwrap();
            assert_eq!(columns.len(), 8);
            assert!(columns.contains(&4) && columns.contains(&11), "seed {seed}: {columns:?}");
            assert!(columns.is_sorted() && columns.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }
}
