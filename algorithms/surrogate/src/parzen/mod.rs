//! Tree-structured Parzen estimator: densities of good and bad points.

mod density;
mod published;

use crate::{Layout, SurrogateError};
use boxwood_numeric::Rows;
use density::Density;
use rand::Rng;

pub use published::{KernelDensityModel, KernelDensityOptions};

/// How the densities are built.
///
/// | name | default | meaning |
/// |---|---|---|
/// | `multivariate` | true | one density over the columns that are active together, or one for each column |
/// | `prior_weight` | 1 | weight of the uniform component, beside one for a point |
/// | `category_prior` | 1 | weight of every choice in a kernel times the kernels, beside the kernels for its own |
/// | `recent` | 25 | latest bad points that count in full |
/// | `kernels` | 256 | most kernels of the bad density |
#[derive(Debug, Clone, PartialEq)]
pub struct ParzenOptions {
    /// Whether columns that are active together share a product kernel.
    pub multivariate: bool,
    /// Weight of the uniform component; positive.
    pub prior_weight: f64,
    /// Weight of each choice of a category beside the number of kernels for a kernel's own; positive.
    pub category_prior: f64,
    /// Latest bad points that count in full; the weight of earlier ones falls with age.
    pub recent: usize,
    /// Most kernels of the bad density, at least 2.
    pub kernels: usize,
}

impl Default for ParzenOptions {
    fn default() -> Self {
        Self { multivariate: true, prior_weight: 1.0, category_prior: 1.0, recent: 25, kernels: 256 }
    }
}

impl ParzenOptions {
    /// How many of n points count as good: a tenth, rounded up, at most 25 (Bergstra et al., 2013; Optuna's default).
    pub fn good_count(count: usize) -> usize {
        count.div_ceil(10).min(25)
    }
}

/// Densities l (good) and g (bad) over encoded rows (Bergstra et al., 2011).
///
/// Columns that are active in the same rows form a group (the group decomposition of Optuna); the density of a row is
/// the product of those of its active groups. A group that is active in part, as in no observed row, counts for
/// nothing. Kernels are as wide as the normal reference rule says, and no narrower than `1 / min(100, m + 2)` for m
/// points (the "magic clipping" of Bergstra et al., 2011; see Watanabe, 2023, section 4.4).
#[derive(Debug, Clone)]
pub struct ParzenModel {
    layout: Layout,
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
struct Group {
    columns: Vec<usize>,
    good: Density,
    bad: Density,
}

impl ParzenModel {
    /// Fits both densities to rows given from the oldest to the latest and to the weight of each in the good density,
    /// beside the prior's: positive for a good row, zero for a bad one. Points that are being evaluated belong to the bad
    /// ones.
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for unusable rows.
    pub fn fit(
        layout: &Layout,
        rows: &Rows,
        good: &[f64],
        options: &ParzenOptions,
    ) -> Result<Self, SurrogateError> {
        layout.check(rows)?;
        if rows.len() != good.len() {
            return Err(SurrogateError::Shape { what: "labels", expected: rows.len(), found: good.len() });
        }
        let groups = partition(layout, rows, options.multivariate)
            .into_iter()
            .map(|columns| {
                let active = (0..rows.len()).filter(|&row| !rows.row(row)[columns[0]].is_nan());
                let (above, below): (Vec<usize>, Vec<usize>) = active.partition(|&row| good[row] > 0.0);
                let above: Vec<(usize, f64)> = above.into_iter().map(|row| (row, good[row])).collect();
                let below = weigh(&below, options.recent, options.kernels.max(2));
                let density =
                    |members: &[(usize, f64)]| Density::fit(layout, &columns, rows, members, options);
                let (good, bad) = (density(&above), density(&below));
                Group { columns, good, bad }
            })
            .collect();
        Ok(Self { layout: layout.clone(), groups })
    }

    /// `ln l - ln g` of `(m, d)` rows; to be maximized.
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for rows that do not fit.
    pub fn log_ratio(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        self.layout.check(rows)?;
        Ok(rows
            .iter()
            .map(|row| {
                let active = |group: &&Group| group.columns.iter().all(|&column| !row[column].is_nan());
                let ratio = |group: &Group| group.good.log_density(row) - group.bad.log_density(row);
                self.groups.iter().filter(active).map(ratio).sum()
            })
            .collect())
    }

    /// A draw from the good density with a value in every column. The caller resolves conditions.
    pub fn sample(&self, rng: &mut dyn Rng) -> Vec<f64> {
        let mut row = vec![f64::NAN; self.layout.len()];
        for group in &self.groups {
            group.good.sample(&mut row, rng);
        }
        row
    }
}

/// Columns by the rows in which they are active, in order of their first column.
fn partition(layout: &Layout, rows: &Rows, multivariate: bool) -> Vec<Vec<usize>> {
    if !multivariate {
        return (0..layout.len()).map(|column| vec![column]).collect();
    }
    let mut groups: Vec<(Vec<bool>, Vec<usize>)> = Vec::new();
    for column in 0..layout.len() {
        let pattern: Vec<bool> = if layout.dimensions[column].conditional {
            rows.iter().map(|row| !row[column].is_nan()).collect()
        } else {
            vec![true; rows.len()]
        };
        match groups.iter_mut().find(|(known, _)| *known == pattern) {
            Some((_, columns)) => columns.push(column),
            None => groups.push((pattern, vec![column])),
        }
    }
    groups.into_iter().map(|(_, columns)| columns).collect()
}

/// Weights of rows given from the oldest to the latest: one for the latest `recent`, rising in a line from `1 / n` for
/// the oldest (Bergstra et al., 2013). More than `most` rows are thinned: the latest half of `most` stay, the others
/// are spread evenly over age and weigh for what they replace.
fn weigh(members: &[usize], recent: usize, most: usize) -> Vec<(usize, f64)> {
    let count = members.len();
    let older = count.saturating_sub(recent);
    let weight = |age: usize| {
        if age >= older {
            return 1.0;
        }
        let low = 1.0 / count as f64;
        low + (1.0 - low) * age as f64 / (older.max(2) - 1) as f64
    };
    if count <= most {
        return members.iter().enumerate().map(|(age, &row)| (row, weight(age))).collect();
    }
    let (picks, latest) = (most - most / 2, count - most / 2);
    let thinned = (0..picks).map(|pick| {
        let replaced = pick * latest / picks..(pick + 1) * latest / picks;
        (members[usize::midpoint(replaced.start, replaced.end - 1)], replaced.map(weight).sum())
    });
    thinned.chain((latest..count).map(|age| (members[age], weight(age)))).collect()
}

#[cfg(test)]
mod tests;
