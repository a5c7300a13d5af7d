//! Gaussian processes on the results of one rung, for analyses.
//!
//! Letters: n observations, d encoded dimensions.

use boxwood_core::SearchSpace;
use boxwood_core::space::DimensionKind;
use boxwood_numeric::{Rows, mix_seed};
use boxwood_surrogate::{Dimension, GaussianProcess, GpModel, GpOptions, Kind, Layout};

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
