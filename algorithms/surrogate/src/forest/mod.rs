//! Random forest for mixed and conditional spaces.

use crate::layout::check_observations;
use crate::tree::{Cuts, Tree, TreeOptions};
use crate::warp::{self, TargetScale, Warp};
use crate::{Layout, MeanVariance, Posterior, SurrogateError, TreeEnsemble};
use boxwood_numeric::{Rows, mix_seed};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Floor of a predicted variance on standardized targets: 1e-5, as in `OpenBox`.
const VARIANCE_FLOOR: f64 = 1e-5;

/// How a forest is grown.
///
/// | name | default | meaning |
/// |---|---|---|
/// | `trees` | 30 | trees, each with its own random stream |
/// | `column_share` | 2/3 | share of the columns tried at a split, rounded up |
/// | `split_rows` | 2 | fewest rows of a node that is split |
/// | `leaf_rows` | 1 | fewest rows on each side of a split |
/// | `depth` | 48 | deepest split |
/// | `bootstrap` | false | each tree sees n rows drawn with replacement, else each row once |
/// | `random_cuts` | true | numbers are cut at one random place, else at the best one |
/// | `tree_rows` | 1000 | most rows that a tree is grown on; of more, as many are drawn with replacement |
/// | `total_variance` | true | the variance takes in that of the rows of a leaf, else the squared error of their mean |
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
    /// Whether numbers are cut at one random place of their range instead of the best one.
    pub random_cuts: bool,
    /// Most rows that a tree is grown on.
    pub tree_rows: usize,
    /// Whether the predicted variance takes in that of the rows of a leaf, instead of the error of their mean.
    pub total_variance: bool,
}

impl Default for ForestOptions {
    fn default() -> Self {
        Self {
            trees: 30,
            column_share: 2.0 / 3.0,
            split_rows: 2,
            leaf_rows: 1,
            depth: 48,
            bootstrap: false,
            random_cuts: true,
            tree_rows: 1000,
            total_variance: true,
        }
    }
}

impl ForestOptions {
    fn tree(&self) -> TreeOptions {
        TreeOptions {
            column_share: self.column_share,
            split_rows: self.split_rows,
            leaf_rows: self.leaf_rows,
            depth: self.depth,
            cuts: if self.random_cuts { Cuts::Random } else { Cuts::Best },
        }
    }
}

/// A fitted forest.
///
/// Numbers are cut at a random place of their range among a node's rows, and the best column is taken (extremely
/// randomized trees; Geurts et al., 2006), which makes for smoother means and wider spread between observations than
/// the best cut of SMAC (Hutter et al., 2011), the other option. Categories are cut into subsets in the order of their
/// mean targets (Fisher, 1958), in which an inactive category is one more choice; inactive numbers go to whichever side
/// fits better. The variance is the total one, the mean of the leaves' variances plus the variance of their means
/// (Hutter et al., 2014, section 4.3.2), or with the leaves' variances over their numbers of rows. Targets are standardized; the worse half goes by rank when one outlier dwarfs
/// the rest.
#[derive(Debug, Clone)]
pub struct Forest {
    layout: Layout,
    scale: TargetScale,
    trees: Vec<Tree>,
    total_variance: bool,
    out_of_bag: Vec<Option<f64>>,
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
        let scale = model_scale(targets);
        let values: Vec<f64> = targets.iter().map(|&target| scale.to_model(target)).collect();
        let mut unseen = Unseen::new(if options.bootstrap { rows.len() } else { 0 });
        let trees = (0..options.trees.max(1))
            .map(|number| {
                let mut rng = ChaCha8Rng::seed_from_u64(mix_seed(seed, number as u64));
                let count = rows.len();
                let chosen: Vec<usize> = if options.bootstrap || count > options.tree_rows {
                    (0..count.min(options.tree_rows)).map(|_| rng.random_range(0..count)).collect()
                } else {
                    (0..count).collect()
                };
                let seen = if options.bootstrap { chosen.clone() } else { Vec::new() };
                let tree = Tree::grow(layout, rows, &values, chosen, &options.tree(), &mut rng);
                if options.bootstrap {
                    unseen.add(&tree, rows, &seen);
                }
                tree
            })
            .collect();
        Ok(Self {
            layout: layout.clone(),
            scale,
            trees,
            total_variance: options.total_variance,
            out_of_bag: unseen.means(),
        })
    }

    /// What the trees that have not seen a row predict for it on the model scale (Breiman, 2001), one entry per row that the
    /// forest was grown on: nothing where every tree has seen it; no entries without a bootstrap.
    pub fn out_of_bag(&self) -> &[Option<f64>] {
        &self.out_of_bag
    }

    /// Adds rows and losses to the leaves of every tree; neither splits nor the model scale change.
    ///
    /// # Errors
    /// As [`Forest::fit`]; no rows are no error.
    pub fn absorb(&mut self, rows: &Rows, targets: &[f64]) -> Result<(), SurrogateError> {
        if rows.is_empty() {
            return Ok(());
        }
        check_observations(&self.layout, rows, targets)?;
        let values: Vec<f64> = targets.iter().map(|&target| self.scale.to_model(target)).collect();
        self.add(rows, &values);
        Ok(())
    }

    /// Adds rows in the belief that they return what the forest predicts for them.
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for rows that do not fit.
    pub fn believe(&mut self, rows: &Rows) -> Result<(), SurrogateError> {
        let means = self.predict_mean(rows)?;
        self.add(rows, &means);
        Ok(())
    }

    /// Adds values of the model scale, tree by tree, so that each stays in the cache for all rows.
    fn add(&mut self, rows: &Rows, values: &[f64]) {
        for tree in &mut self.trees {
            tree.absorb(rows, values);
        }
    }

    /// The map between losses and the model scale.
    pub fn target_scale(&self) -> &TargetScale {
        &self.scale
    }
}

/// Predictions of rows by the trees that have not seen them.
struct Unseen {
    sums: Vec<f64>,
    counts: Vec<f64>,
}

impl Unseen {
    fn new(count: usize) -> Self {
        Self { sums: vec![0.0; count], counts: vec![0.0; count] }
    }

    fn add(&mut self, tree: &Tree, rows: &Rows, seen: &[usize]) {
        let mut is_seen = vec![false; rows.len()];
        for &row in seen {
            is_seen[row] = true;
        }
        tree.leaves(rows, |row, leaf| {
            if !is_seen[row] {
                self.sums[row] += leaf.mean;
                self.counts[row] += 1.0;
            }
        });
    }

    fn means(&self) -> Vec<Option<f64>> {
        let sums = self.sums.iter().zip(&self.counts);
        sums.map(|(sum, count)| (*count > 0.0).then(|| sum / count)).collect()
    }
}

impl TreeEnsemble for Forest {
    type Options = ForestOptions;

    fn fit(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &ForestOptions,
        seed: u64,
    ) -> Result<Self, SurrogateError> {
        Forest::fit(layout, rows, targets, options, seed)
    }

    fn absorb(&mut self, rows: &Rows, targets: &[f64]) -> Result<(), SurrogateError> {
        Forest::absorb(self, rows, targets)
    }

    fn believe(&mut self, rows: &Rows) -> Result<(), SurrogateError> {
        Forest::believe(self, rows)
    }
}

/// Standardizes; the worse half goes by rank when one outlier dwarfs the rest.
pub(crate) fn model_scale(targets: &[f64]) -> TargetScale {
    let chosen = if warp::has_extreme_outlier(targets) { warp::half_rank(targets) } else { None };
    TargetScale::standardize(chosen.unwrap_or(Warp::Identity), targets)
}

impl Posterior for Forest {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        self.layout.check(rows)?;
        let count = self.trees.len() as f64;
        let mut sums = vec![(0.0, 0.0, 0.0); rows.len()];
        // Tree by tree, so that each stays in the cache for all rows.
        for tree in &self.trees {
            tree.leaves(rows, |row, leaf| {
                let (sum, squares, within) = &mut sums[row];
                *sum += leaf.mean;
                *squares += leaf.mean * leaf.mean;
                *within += if self.total_variance { leaf.variance } else { leaf.variance / leaf.count };
            });
        }
        let moments = sums.into_iter().map(|(sum, squares, within)| {
            let center = sum / count;
            let between = (squares / count - center * center).max(0.0);
            (center, (within / count + between).max(VARIANCE_FLOOR))
        });
        let (mean, variance) = moments.unzip();
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
