//! Gradient-boosted regression trees for mixed and conditional spaces.
//!
//! Letters: n observations, d encoded dimensions.

use crate::forest::model_scale;
use crate::layout::check_observations;
use crate::random_prior::RandomPrior;
use crate::tree::{Cuts, Tree, TreeOptions};
use crate::warp::TargetScale;
use crate::{Layout, MeanVariance, Posterior, SurrogateError, TreeEnsemble};
use boxwood_numeric::{Rows, mix_seed};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Floor of a predicted variance on standardized targets, as of a forest.
const VARIANCE_FLOOR: f64 = 1e-5;

/// How boosted trees are grown.
///
/// | name | default | meaning |
/// |---|---|---|
/// | `boosters` | 10 | ensembles, each with its own random stream, whose mean and spread are predicted |
/// | `trees` | 50 | trees of each, one after the other |
/// | `learning_rate` | 0.1 | share of the residuals that a tree takes away |
/// | `depth` | 6 | deepest split |
/// | `leaf_rows` | 1 | fewest rows on each side of a split |
/// | `column_share` | 5/6 | share of the columns tried at a split, rounded up |
/// | `random_cuts` | true | numbers are cut at one random place, else half-way at the best one |
/// | `prior_deviation` | 0.3 | standard deviation of each booster's random prior function, in those of the targets |
/// | `bootstrap` | false | each booster sees n rows drawn with replacement, else each row once |
/// | `tree_rows` | 1000 | most rows that a booster is grown on; of more, as many are drawn with replacement |
#[derive(Debug, Clone, PartialEq)]
pub struct BoostedOptions {
    /// Number of ensembles, at least one.
    pub boosters: usize,
    /// Trees of each.
    pub trees: usize,
    /// Share of the residuals that a tree takes away.
    pub learning_rate: f64,
    /// Deepest split.
    pub depth: usize,
    /// Fewest rows on each side of a split.
    pub leaf_rows: usize,
    /// Share of the columns tried at each split.
    pub column_share: f64,
    /// Whether numbers are cut at one random place of their range instead of the best one.
    pub random_cuts: bool,
    /// Standard deviation of the random prior functions on the model scale.
    pub prior_deviation: f64,
    /// Whether boosters see resampled rows.
    pub bootstrap: bool,
    /// Most rows that a booster is grown on.
    pub tree_rows: usize,
}

impl Default for BoostedOptions {
    fn default() -> Self {
        Self {
            boosters: 10,
            trees: 50,
            learning_rate: 0.1,
            depth: 6,
            leaf_rows: 1,
            column_share: 5.0 / 6.0,
            random_cuts: true,
            prior_deviation: 0.3,
            bootstrap: false,
            tree_rows: 1000,
        }
    }
}

impl BoostedOptions {
    /// Fewer, shallower trees with leaves of several resampled rows, which average noise.
    pub fn averaging() -> Self {
        Self { trees: 30, depth: 4, leaf_rows: 5, bootstrap: true, ..Self::default() }
    }

    fn tree(&self) -> TreeOptions {
        TreeOptions {
            column_share: self.column_share,
            split_rows: 2,
            leaf_rows: self.leaf_rows,
            depth: self.depth,
            cuts: if self.random_cuts { Cuts::Random } else { Cuts::Halfway },
        }
    }
}

/// Ensembles of boosted trees (Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics
/// 2001, algorithm 2: squared loss), splits and inactive values as in a [`crate::Forest`].
///
/// The prediction is the mean of the boosters, its variance their spread. They see the same rows, cut them at different
/// places, and each learns what a random prior function of its own leaves over: that keeps them apart away from the data.
/// Targets are standardized; the worse half goes by rank when one outlier dwarfs the rest.
#[derive(Debug, Clone)]
pub struct Boosted {
    layout: Layout,
    scale: TargetScale,
    learning_rate: f64,
    boosters: Vec<Booster>,
}

/// A prior function, the mean of what it leaves over, and trees of which each predicts the residuals of those before.
#[derive(Debug, Clone)]
struct Booster {
    prior: RandomPrior,
    center: f64,
    trees: Vec<Tree>,
}

/// Adds a share of what a tree predicts.
fn add(tree: &Tree, rows: &Rows, share: f64, values: &mut [f64]) {
    tree.leaves(rows, |row, leaf| values[row] += share * leaf.mean);
}

fn residuals(values: &[f64], predicted: &[f64]) -> Vec<f64> {
    values.iter().zip(predicted).map(|(value, predicted)| value - predicted).collect()
}

impl Booster {
    fn grow(layout: &Layout, rows: &Rows, values: &[f64], options: &BoostedOptions, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let count = rows.len();
        let chosen: Vec<usize> = if options.bootstrap || count > options.tree_rows {
            (0..count.min(options.tree_rows)).map(|_| rng.random_range(0..count)).collect()
        } else {
            (0..count).collect()
        };
        let (rows, values) = (rows.select(&chosen), chosen.iter().map(|index| values[*index]));
        let values: Vec<f64> = values.collect();
        let prior = RandomPrior::draw(layout, options.prior_deviation, &mut rng);
        let mut predicted = vec![0.0; rows.len()];
        prior.add(&rows, &mut predicted);
        let center = residuals(&values, &predicted).iter().sum::<f64>() / rows.len().max(1) as f64;
        for value in &mut predicted {
            *value += center;
        }
        let mut trees = Vec::with_capacity(options.trees);
        for _ in 0..options.trees {
            let left = residuals(&values, &predicted);
            let all = (0..rows.len()).collect();
            let tree = Tree::grow(layout, &rows, &left, all, &options.tree(), &mut rng);
            add(&tree, &rows, options.learning_rate, &mut predicted);
            trees.push(tree);
        }
        Self { prior, center, trees }
    }

    /// Takes rows into the leaves, tree after tree as when it was grown.
    fn absorb(&mut self, rows: &Rows, values: &[f64], learning_rate: f64) {
        let mut predicted = vec![self.center; rows.len()];
        self.prior.add(rows, &mut predicted);
        for tree in &mut self.trees {
            tree.absorb(rows, &residuals(values, &predicted));
            add(tree, rows, learning_rate, &mut predicted);
        }
    }

    fn predict(&self, rows: &Rows, learning_rate: f64) -> Vec<f64> {
        let mut predicted = vec![self.center; rows.len()];
        self.prior.add(rows, &mut predicted);
        for tree in &self.trees {
            add(tree, rows, learning_rate, &mut predicted);
        }
        predicted
    }
}

impl Boosted {
    /// The map between losses and the model scale.
    pub fn target_scale(&self) -> &TargetScale {
        &self.scale
    }

    fn add(&mut self, rows: &Rows, values: &[f64]) {
        for booster in &mut self.boosters {
            booster.absorb(rows, values, self.learning_rate);
        }
    }
}

impl TreeEnsemble for Boosted {
    type Options = BoostedOptions;

    fn fit(
        layout: &Layout,
        rows: &Rows,
        targets: &[f64],
        options: &BoostedOptions,
        seed: u64,
    ) -> Result<Self, SurrogateError> {
        check_observations(layout, rows, targets)?;
        let scale = model_scale(targets);
        let values: Vec<f64> = targets.iter().map(|&target| scale.to_model(target)).collect();
        let grow = |number| Booster::grow(layout, rows, &values, options, mix_seed(seed, number));
        let boosters = (0..options.boosters.max(1) as u64).map(grow).collect();
        Ok(Self { layout: layout.clone(), scale, learning_rate: options.learning_rate, boosters })
    }

    fn absorb(&mut self, rows: &Rows, targets: &[f64]) -> Result<(), SurrogateError> {
        if rows.is_empty() {
            return Ok(());
        }
        check_observations(&self.layout, rows, targets)?;
        let values: Vec<f64> = targets.iter().map(|&target| self.scale.to_model(target)).collect();
        self.add(rows, &values);
        Ok(())
    }

    fn believe(&mut self, rows: &Rows) -> Result<(), SurrogateError> {
        let means = self.predict_mean(rows)?;
        self.add(rows, &means);
        Ok(())
    }
}

impl Posterior for Boosted {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        self.layout.check(rows)?;
        let count = self.boosters.len() as f64;
        let mut sums = vec![(0.0, 0.0); rows.len()];
        for booster in &self.boosters {
            for ((sum, squares), value) in sums.iter_mut().zip(booster.predict(rows, self.learning_rate)) {
                *sum += value;
                *squares += value * value;
            }
        }
        let moments = sums.into_iter().map(|(sum, squares)| {
            let center = sum / count;
            (center, (squares / count - center * center).max(VARIANCE_FLOOR))
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
