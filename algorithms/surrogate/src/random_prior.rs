//! A random function over a space, made of trees.

use crate::tree::{Cuts, Tree, TreeOptions};
use crate::{Kind, Layout};
use boxwood_numeric::{Rows, normal_quantile};
use rand::{Rng, RngExt};

/// Trees that are added up.
const TREES: usize = 8;
/// Random rows that a tree is grown on.
const ROWS: usize = 64;
/// Deepest split: at most 32 cells per tree.
const DEPTH: usize = 5;

/// A function drawn before any data is seen, piecewise constant, with values about zero.
///
/// A member of an ensemble that learns what a function of its own leaves over keeps that function's values where there is
/// nothing to learn from, so that members agree at the data and differ away from it: Osband, Aslanides and Cassirer,
/// "Randomized prior functions for deep reinforcement learning" (`NeurIPS` 2018); for boosted trees Ustimenko, Beliakov and
/// Prokhorenkova, "Gradient boosting performs Gaussian process inference" (ICLR 2023). Each tree cuts drawn columns at drawn
/// places of the unit cube, whatever the data, and has normal values in its cells.
#[derive(Debug, Clone)]
pub(crate) struct RandomPrior {
    trees: Vec<Tree>,
    weight: f64,
}

impl RandomPrior {
    /// A function with the given standard deviation at every place, on the model scale; zero everywhere for zero.
    pub(crate) fn draw(layout: &Layout, deviation: f64, rng: &mut impl Rng) -> Self {
        let count = if deviation > 0.0 { TREES } else { 0 };
        let trees = (0..count).map(|_| random_tree(layout, rng)).collect();
        Self { trees, weight: deviation / (TREES as f64).sqrt() }
    }

    /// Adds the function's values at rows to `values`.
    pub(crate) fn add(&self, rows: &Rows, values: &mut [f64]) {
        for tree in &self.trees {
            tree.leaves(rows, |row, leaf| values[row] += self.weight * leaf.mean);
        }
    }
}

/// A tree on random rows with normal targets that is cut at random.
fn random_tree(layout: &Layout, rng: &mut impl Rng) -> Tree {
    let mut table = Vec::with_capacity(ROWS);
    let mut values = Vec::with_capacity(ROWS);
    for _ in 0..ROWS {
        let column = |dimension: &crate::Dimension| {
            let place: f64 = rng.random();
            // Inactive in one of three rows, so that most of a tree's cuts are about values.
            match dimension.kind {
                _ if dimension.conditional && rng.random_range(0..3) == 0 => f64::NAN,
                Kind::Categorical { choices } => {
                    (Layout::bin(place, choices) as f64 + 0.5) / choices.max(1) as f64
                }
                Kind::Numeric | Kind::Integer { .. } | Kind::Ordinal { .. } => place,
            }
        };
        table.push(layout.dimensions.iter().map(column).collect::<Vec<f64>>());
        values.push(normal_quantile(rng.random::<f64>().clamp(1e-12, 1.0 - 1e-12)));
    }
    // A share of no columns: the first drawn one that separates the rows.
    let options =
        TreeOptions { column_share: 0.0, split_rows: 2, leaf_rows: 1, depth: DEPTH, cuts: Cuts::Random };
    let rows = Rows::from_rows(layout.len(), &table).expect("every row has a value per column");
    let chosen = (0..rows.len()).collect();
    Tree::grow(layout, &rows, &values, chosen, &options, rng)
}
