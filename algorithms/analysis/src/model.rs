//! Models of the results of one rung, for analyses.
//!
//! Letters: n observations, d encoded dimensions.

use boxwood_core::SearchSpace;
use boxwood_core::space::DimensionKind;
use boxwood_numeric::{Rows, mix_seed};
use boxwood_surrogate::{
    Dimension, Forest, ForestOptions, GaussianProcess, GpModel, GpOptions, Kind, Layout, Posterior,
};

use crate::observed::Observed;

/// Results that a model is fitted on at most: an analysis of a long study costs no more than that of a short one.
pub(crate) const MOST_RESULTS: usize = 300;

/// The columns of a space as surrogates compare them.
pub(crate) fn layout(space: &SearchSpace) -> Layout {
    let columns = space.dimensions().iter().map(|dimension| Dimension {
        kind: match dimension.kind {
            DimensionKind::Continuous => Kind::Numeric,
            DimensionKind::Discrete { levels } => Kind::Integer { levels: levels as usize },
            DimensionKind::Categorical { choices } => Kind::Categorical { choices: choices as usize },
        },
        conditional: dimension.conditional,
    });
    Layout::new(columns.collect())
}

/// Rows and losses of one objective, all or the better half of [`MOST_RESULTS`] and a drawn rest; in order of trials.
pub(crate) fn sample(observed: &[Observed<'_>], objective: usize, seed: u64) -> Vec<(Vec<f64>, f64)> {
    let known = observed.iter().filter_map(|observed| {
        let loss = observed.result.losses.get(objective).copied().filter(|loss| loss.is_finite())?;
        Some((observed.trial.number, observed.trial.encoded.clone(), loss))
    });
    let mut known: Vec<_> = known.collect();
    if known.len() > MOST_RESULTS {
        known.sort_by(|a, b| a.2.total_cmp(&b.2).then(a.0.cmp(&b.0)));
        known[MOST_RESULTS / 2..].sort_by_key(|(number, ..)| mix_seed(seed, u64::from(number.0)));
        known.truncate(MOST_RESULTS);
        known.sort_by_key(|(number, ..)| *number);
    }
    known.into_iter().map(|(_, row, loss)| (row, loss)).collect()
}

/// A process on rows and targets; nothing where it cannot be fitted.
pub(crate) fn fit(layout: &Layout, rows: &[&[f64]], targets: &[f64], seed: u64) -> Option<GpModel> {
    let rows = Rows::from_rows(layout.len(), rows).ok()?;
    GaussianProcess::fit(layout, &rows, targets, &GpOptions::default(), seed).ok()
}

/// A forest on rows and losses; nothing where it cannot be grown.
pub(crate) fn grow(layout: &Layout, known: &[(Vec<f64>, f64)], seed: u64) -> Option<Forest> {
    let rows: Vec<&[f64]> = known.iter().map(|(row, _)| row.as_slice()).collect();
    let losses: Vec<f64> = known.iter().map(|(_, loss)| *loss).collect();
    let rows = Rows::from_rows(layout.len(), &rows).ok()?;
    Forest::fit(layout, &rows, &losses, &ForestOptions::default(), seed).ok()
}

/// Mean predictions of a forest as losses.
pub(crate) fn losses_of(forest: &Forest, layout: &Layout, rows: &[Vec<f64>]) -> Option<Vec<f64>> {
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let answers = forest.predict(&Rows::from_rows(layout.len(), &rows).ok()?).ok()?;
    Some(answers.mean.into_iter().map(|mean| forest.to_loss(mean)).collect())
}
