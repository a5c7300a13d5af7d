//! Random forest for mixed and conditional spaces.

mod tree;

use crate::layout::check_observations;
use crate::warp::{self, TargetScale, Warp};
use crate::{Layout, MeanVariance, Posterior, SurrogateError};
use boxwood_numeric::{Rows, mix_seed};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tree::Tree;

/// Floor of a predicted variance on standardized targets: 1e-5, as in `OpenBox`.
const VARIANCE_FLOOR: f64 = 1e-5;

/// How a forest is grown.
///
/// | name | default | meaning |
/// |---|---|---|
/// | `trees` | 30 | trees, each with its own random stream |
/// | `column_share` | 5/6 | share of the columns tried at a split, rounded up |
/// | `split_rows` | 3 | fewest rows of a node that is split |
/// | `leaf_rows` | 3 | fewest rows on each side of a split |
/// | `depth` | 48 | deepest split |
/// | `bootstrap` | true | each tree sees n rows drawn with replacement |
#[derive(Debug, Clone, PartialEq)]
pub struct ForestOptions {
    /// Number of trees, at least one.
    pub trees: usize,
    /// Share of the columns tried at each split.
    pub column_share: f64,
    /// Fewest rows of a node that is split.
    pub split_rows: usize,
    /// Fewest rows on each side of a split.
    pub leaf_rows: usize,
    /// Deepest split.
    pub depth: usize,
    /// Whether trees see resampled rows.
    pub bootstrap: bool,
}

impl Default for ForestOptions {
    fn default() -> Self {
        Self { trees: 30, column_share: 5.0 / 6.0, split_rows: 3, leaf_rows: 3, depth: 48, bootstrap: true }
    }
}

/// A fitted random forest; immutable.
///
/// Splits are the best cut of a column at a random place between neighbouring values, as in SMAC (Hutter et al.,
/// 2011); categories are cut into subsets in the order of their mean targets (Fisher, 1958), in which an inactive
/// category is one more choice; inactive numbers go to whichever side fits better. The variance is the total one,
/// the mean of the leaves' variances plus the variance of their means (Hutter et al., 2014, section 4.3.2). Targets
/// are standardized; the worse half goes by rank when one outlier dwarfs the rest.
#[derive(Debug, Clone)]
pub struct Forest {
    layout: Layout,
    scale: TargetScale,
    trees: Vec<Tree>,
}

impl Forest {
    /// Grows the trees on `(n, d)` rows and n finite losses; a pure function of its arguments.
    ///
    /// # Errors
    /// `Empty`, `Shape`, `TargetNotFinite`, `InvalidValue` for unusable observations.
    pub fn fit(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &ForestOptions,
        seed: u64,
    ) -> Result<Self, SurrogateError> {
        check_observations(layout, rows, targets)?;
        let chosen = if warp::has_extreme_outlier(targets) { warp::half_rank(targets) } else { None };
        let scale = TargetScale::standardize(chosen.unwrap_or(Warp::Identity), targets);
        let values: Vec<f64> = targets.iter().map(|&target| scale.to_model(target)).collect();
        let trees = (0..options.trees.max(1))
            .map(|number| {
                let mut rng = ChaCha8Rng::seed_from_u64(mix_seed(seed, number as u64));
                let count = rows.len();
                let chosen = if options.bootstrap {
                    (0..count).map(|_| rng.random_range(0..count)).collect()
                } else {
                    (0..count).collect()
                };
                Tree::grow(layout, rows, &values, chosen, options, &mut rng)
            })
            .collect();
        Ok(Self { layout: layout.clone(), scale, trees })
    }

    /// The map between losses and the model scale.
    pub fn target_scale(&self) -> &TargetScale {
        &self.scale
    }
}

impl Posterior for Forest {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        self.layout.check(rows)?;
        let count = self.trees.len() as f64;
        let (mut mean, mut variance) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows.iter() {
            let (mut sum, mut squares, mut within) = (0.0, 0.0, 0.0);
            for tree in &self.trees {
                let leaf = tree.leaf(row);
                sum += leaf.mean;
                squares += leaf.mean * leaf.mean;
                within += leaf.variance;
            }
            let center = sum / count;
            let between = (squares / count - center * center).max(0.0);
            mean.push(center);
            variance.push((within / count + between).max(VARIANCE_FLOOR));
        }
        Ok(MeanVariance { mean, variance })
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        self.scale.to_model(loss)
    }

    fn to_loss(&self, value: f64) -> f64 {
        self.scale.to_loss(value)
    }
}

#[cfg(test)]
mod tests;
