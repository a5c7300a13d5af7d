//! The kernel density estimators of BOHB as published (Falkner, Klein and Hutter, 2018, and their `HpBandSter`).

use super::density::truncated_normal;
use crate::{Kind, Layout, SurrogateError};
use boxwood_numeric::Rows;
use rand::{Rng, RngExt};

/// Densities count as at least this: 1e-32 in `HpBandSter`.
const LOG_DENSITY_FLOOR: f64 = -73.682_722_976_079_06;
/// `ln sqrt(2 pi)`.
const LOG_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// How the densities of BOHB are built and drawn from.
///
/// | name | default | meaning |
/// |---|---|---|
/// | `top_n_percent` | 15 | percentage of the points that count as good, in `[0, 100]` |
/// | `min_bandwidth` | 1e-3 | narrowest kernel, in the unit interval; positive |
/// | `bandwidth_factor` | 3 | how much wider than its kernels numbers are drawn; positive |
#[derive(Debug, Clone, PartialEq)]
pub struct KernelDensityOptions {
    /// Percentage of the points that count as good.
    pub top_n_percent: f64,
    /// Narrowest kernel.
    pub min_bandwidth: f64,
    /// Widening of the kernels of numbers in draws.
    pub bandwidth_factor: f64,
}

impl Default for KernelDensityOptions {
    fn default() -> Self {
        Self { top_n_percent: 15.0, min_bandwidth: 1e-3, bandwidth_factor: 3.0 }
    }
}

/// Kernel densities l of the good and g of the other points over complete encoded rows.
///
/// A density is the mean of product kernels around its points: normals on numbers, integers and ordinals, which are not
/// truncated to the unit interval, and Aitchison-Aitken kernels on categories, `1 - h` on the own choice and
/// `h / (k - 1)` on each of the k - 1 others. Bandwidths follow the normal reference rule `1.06 s m^(-1 / (4 + d))` with
/// s the deviation of m points in one of d columns (Silverman, 1986, section 4.3.2), for categories the deviation of the
/// numbers of the choices. Inactive values are imputed from other points of the same density that have them.
///
/// Two deviations from `HpBandSter`, which leaves both cases undefined: k counts the choices of the space, not those that
/// happen to occur among the points (its kernel divides by zero where only one does), and h is at most `(k - 1) / k`, the
/// uniform kernel (its own choice can otherwise get a negative density).
#[derive(Debug, Clone)]
pub struct KernelDensityModel {
    layout: Layout,
    good: KernelDensity,
    bad: KernelDensity,
    factor: f64,
}

/// Points without gaps and a bandwidth per column.
#[derive(Debug, Clone)]
struct KernelDensity {
    points: Rows,
    bandwidths: Vec<f64>,
}

impl KernelDensityModel {
    /// The fewest points of a model in d columns: `2 (d + 1)`, as each density needs more points than columns.
    pub fn fewest_points(columns: usize) -> usize {
        2 * (columns + 1)
    }

    /// Fits both densities to `(n, d)` rows, best first; nothing with fewer than [`Self::fewest_points`].
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for rows that do not fit the layout.
    pub fn fit(
        layout: &Layout,
        ranked: &Rows,
        options: &KernelDensityOptions,
        rng: &mut dyn Rng,
    ) -> Result<Option<Self>, SurrogateError> {
        layout.check(ranked)?;
        let (count, fewest) = (ranked.len(), layout.len() + 1);
        if count < Self::fewest_points(layout.len()) {
            return Ok(None);
        }
        let share = |percent: f64| ((percent * count as f64 / 100.0) as usize).max(fewest);
        // No larger than leaves the other density its points.
        let good = share(options.top_n_percent).min(count - fewest);
        let bad = share(100.0 - options.top_n_percent).min(count - good);
        let mut density = |from: usize, to: usize| {
            KernelDensity::fit(layout, &ranked.slice(from, to), options.min_bandwidth, rng)
        };
        let (good, bad) = (density(0, good)?, density(good, good + bad)?);
        Ok(Some(Self { layout: layout.clone(), good, bad, factor: options.bandwidth_factor }))
    }

    /// `ln l - ln g` of complete `(m, d)` rows, each density floored at 1e-32; to be maximized.
    ///
    /// # Errors
    /// `Shape` for rows of another width, `InvalidValue` for values that are not finite.
    pub fn log_ratio(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        self.layout.check(rows)?;
        let mut ratios = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            if let Some(dimension) = row.iter().position(|value| !value.is_finite()) {
                return Err(SurrogateError::InvalidValue { row: index, dimension });
            }
            let log = |density: &KernelDensity| density.log_density(&self.layout, row).max(LOG_DENSITY_FLOOR);
            ratios.push(log(&self.good) - log(&self.bad));
        }
        Ok(ratios)
    }

    /// A good point with every column moved: numbers by a normal of `bandwidth_factor` bandwidths, truncated to the unit
    /// interval; a category, with its bandwidth for a probability, to any choice. The caller resolves conditions.
    pub fn sample(&self, rng: &mut dyn Rng) -> Vec<f64> {
        let centre = self.good.points.row(rng.random_range(0..self.good.points.len()));
        let columns = centre.iter().zip(&self.layout.dimensions).zip(&self.good.bandwidths);
        columns
            .map(|((&value, dimension), &bandwidth)| match dimension.kind {
                Kind::Categorical { choices } => {
                    let (moves, choice) =
                        (rng.random::<f64>() < bandwidth, rng.random_range(0..choices.max(1)));
                    if moves { (choice as f64 + 0.5) / choices.max(1) as f64 } else { value }
                }
                _ => truncated_normal(value, self.factor * bandwidth, rng.random::<f64>()),
            })
            .collect()
    }
}

impl KernelDensity {
    fn fit(layout: &Layout, rows: &Rows, floor: f64, rng: &mut dyn Rng) -> Result<Self, SurrogateError> {
        let points = impute(layout, rows, rng)?;
        let shrink = 1.06 * (points.len() as f64).powf(-1.0 / (4.0 + layout.len() as f64));
        let columns = layout.dimensions.iter().enumerate();
        let bandwidths = columns.map(|(column, dimension)| {
            let mut values: Vec<f64> = points.iter().map(|row| row[column]).collect();
            match dimension.kind {
                Kind::Categorical { choices } => {
                    for value in &mut values {
                        *value = Layout::bin(*value, choices) as f64;
                    }
                    let uniform = (choices.max(1) - 1) as f64 / choices.max(1) as f64;
                    (shrink * deviation(&values)).max(floor).min(uniform)
                }
                _ => (shrink * deviation(&values)).max(floor),
            }
        });
        Ok(Self { bandwidths: bandwidths.collect(), points })
    }

    fn log_density(&self, layout: &Layout, row: &[f64]) -> f64 {
        let log_kernel = |centre: &[f64]| -> f64 {
            let columns = layout.dimensions.iter().zip(&self.bandwidths).zip(row.iter().zip(centre));
            columns
                .map(|((dimension, &bandwidth), (&here, &there))| match dimension.kind {
                    Kind::Categorical { choices } => {
                        if Layout::bin(here, choices) == Layout::bin(there, choices) {
                            (1.0 - bandwidth).ln()
                        } else {
                            (bandwidth / (choices - 1) as f64).ln()
                        }
                    }
                    _ => -0.5 * ((here - there) / bandwidth).powi(2) - bandwidth.ln() - LOG_SQRT_TWO_PI,
                })
                .sum()
        };
        let terms: Vec<f64> = self.points.iter().map(log_kernel).collect();
        let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + (terms.iter().map(|term| (term - largest).exp()).sum::<f64>() / terms.len() as f64).ln()
    }
}

/// Rows without gaps: the inactive values of a row are those of a random row that has the first of them, again and again
/// until none is left; a value that no row has is drawn at random.
fn impute(layout: &Layout, rows: &Rows, rng: &mut dyn Rng) -> Result<Rows, SurrogateError> {
    let mut complete = Rows::new(layout.len());
    for row in rows.iter() {
        let mut row = row.to_vec();
        while let Some(gap) = row.iter().position(|value| value.is_nan()) {
            let donors: Vec<&[f64]> = rows.iter().filter(|other| !other[gap].is_nan()).collect();
            if donors.is_empty() {
                row[gap] = match layout.dimensions[gap].kind {
                    Kind::Categorical { choices } => {
                        (rng.random_range(0..choices.max(1)) as f64 + 0.5) / choices.max(1) as f64
                    }
                    _ => rng.random::<f64>(),
                };
                continue;
            }
            let donor = donors[rng.random_range(0..donors.len())];
            for (value, given) in row.iter_mut().zip(donor).filter(|(value, _)| value.is_nan()) {
                *value = *given;
            }
        }
        complete.push_row(&row)?;
    }
    Ok(complete)
}

/// Standard deviation of a population.
fn deviation(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use boxwood_numeric::sobol_rows;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::Dimension;

    fn ranked(rows: &Rows, loss: impl Fn(&[f64]) -> f64) -> Rows {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|a, b| loss(rows.row(*a)).total_cmp(&loss(rows.row(*b))));
        rows.select(&order)
    }

    #[test]
    fn good_regions_have_the_larger_ratio_and_draws_land_there() {
        let rows = sobol_rows(80, 2, 5).unwrap();
        let rows = ranked(&rows, |row| (row[0] - 0.2).powi(2) + (row[1] - 0.8).powi(2));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let options = KernelDensityOptions { bandwidth_factor: 1.0, ..KernelDensityOptions::default() };
        let model = KernelDensityModel::fit(&Layout::numeric(2), &rows, &options, &mut rng).unwrap().unwrap();
        assert_eq!((model.good.points.len(), model.bad.points.len()), (12, 68));
        let probes = Rows::from_rows(2, &[[0.2, 0.8], [0.9, 0.1]]).unwrap();
        let ratio = model.log_ratio(&probes).unwrap();
        assert!(ratio[0] > 0.5 && ratio[1] < -0.5, "{ratio:?}");
        let draws = (0..300).map(|_| model.sample(&mut rng));
        let near = draws.filter(|row| {
            assert!(row.iter().all(|value| (0.0..=1.0).contains(value)));
            (row[0] - 0.2).hypot(row[1] - 0.8) < 0.4
        });
        assert!(near.count() > 200);
    }

    #[test]
    fn a_model_needs_more_points_than_columns_in_both_densities() {
        let rows = sobol_rows(6, 2, 1).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let options = KernelDensityOptions::default();
        let layout = Layout::numeric(2);
        assert!(KernelDensityModel::fit(&layout, &rows, &options, &mut rng).unwrap().is_some());
        assert!(KernelDensityModel::fit(&layout, &rows.slice(0, 5), &options, &mut rng).unwrap().is_none());
        for top_n_percent in [0.0, 100.0] {
            let options = KernelDensityOptions { top_n_percent, ..KernelDensityOptions::default() };
            let model = KernelDensityModel::fit(&layout, &rows, &options, &mut rng).unwrap().unwrap();
            assert_eq!((model.good.points.len(), model.bad.points.len()), (3, 3));
        }
    }

    #[test]
    fn gaps_take_the_values_of_one_point_that_has_them() {
        let conditional = Dimension::numeric().conditional();
        let layout = Layout::new(vec![Dimension::numeric(), conditional, conditional, conditional]);
        let none = f64::NAN;
        let rows = [
            [0.1, none, none, none],
            [0.2, 0.25, 0.5, none],
            [0.3, 0.75, 0.625, none],
            [0.4, 0.75, 0.625, none],
        ];
        let rows = Rows::from_rows(4, &rows).unwrap();
        let complete = impute(&layout, &rows, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
        let given = complete.row(0);
        assert!(given[1..3] == [0.25, 0.5] || given[1..3] == [0.75, 0.625], "{given:?}");
        assert!(complete.iter().all(|row| (0.0..1.0).contains(&row[3])), "what no point has is drawn");
        assert_eq!(complete.row(1)[..3], rows.row(1)[..3]);
    }

    #[test]
    fn categories_that_few_points_have_keep_the_densities_finite() {
        let layout = Layout::new(vec![Dimension::categorical(9), Dimension::categorical(1)]);
        let value = |code: usize| (code as f64 + 0.5) / 9.0;
        // The good points have one choice, the others the two ends, whose deviation exceeds one.
        let codes = [4, 4, 4, 0, 8, 0, 8];
        let rows: Vec<[f64; 2]> = codes.iter().map(|code| [value(*code), 0.5]).collect();
        let rows = Rows::from_rows(2, &rows).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let model = KernelDensityModel::fit(&layout, &rows, &KernelDensityOptions::default(), &mut rng);
        let model = model.unwrap().unwrap();
        let probes: Vec<[f64; 2]> = (0..9).map(|code| [value(code), 0.5]).collect();
        let ratios = model.log_ratio(&Rows::from_rows(2, &probes).unwrap()).unwrap();
        assert!(ratios.iter().all(|ratio| ratio.is_finite()), "{ratios:?}");
        let best = ratios.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        assert_eq!(best, 4);
        let total: f64 = probes.iter().map(|row| model.bad.log_density(&layout, row).exp()).sum();
        assert!((total - 1.0).abs() < 1e-12, "{total}");
    }
}
