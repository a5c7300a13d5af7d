//! Tree-structured Parzen estimator: densities of good and bad points.

use crate::layout::check_observations;
use crate::{Kind, Layout, SurrogateError};
use boxwood_numeric::{Rows, normal_cdf, normal_pdf, normal_quantile};
use rand::{Rng, RngExt};

/// How the densities are built; the defaults are those of `HpBandSter`.
///
/// | name | default | meaning |
/// |---|---|---|
/// | `good_share` | 0.15 | share of the observations that count as good |
/// | `bandwidth_floor` | 1e-3 | narrowest kernel |
/// | `bandwidth_factor` | 3 | how much wider than the density the sampling kernels are |
#[derive(Debug, Clone, PartialEq)]
pub struct ParzenOptions {
    /// Share of the observations that count as good.
    pub good_share: f64,
    /// Narrowest kernel.
    pub bandwidth_floor: f64,
    /// Widening of the kernels when sampling.
    pub bandwidth_factor: f64,
}

impl Default for ParzenOptions {
    fn default() -> Self {
        Self { good_share: 0.15, bandwidth_floor: 1e-3, bandwidth_factor: 3.0 }
    }
}

/// Densities l (good) and g (bad) over encoded rows, as in BOHB (Falkner et al., 2018).
///
/// Product kernels with normal-reference bandwidths: truncated Gaussians on numbers, integers and ordinals,
/// Aitchison-Aitken kernels on categories. Two deviations from `HpBandSter`. Activity is a binary part of the density
/// (a kernel keeps the activity of its centre with probability `1 - 1 / (m + 2)`) instead of values imputed into
/// inactive columns. The spread of a category is `sqrt(1 - sum p^2)`, which does not depend on the order of choices.
#[derive(Debug, Clone)]
pub struct ParzenModel {
    layout: Layout,
    good: Density,
    bad: Density,
    factor: f64,
}

/// A mixture of product kernels around its centres.
#[derive(Debug, Clone)]
struct Density {
    centres: Rows,
    bandwidths: Vec<f64>,
    /// Probability that a kernel flips the activity of a conditional column.
    flip: f64,
}

/// Densities below this count as this: 1e-32, as in `HpBandSter`.
const DENSITY_FLOOR: f64 = 1e-32;

impl ParzenModel {
    /// Splits the observations by rank and fits both densities; nothing while there are fewer than d + 2.
    ///
    /// # Errors
    /// `Empty`, `Shape`, `TargetNotFinite`, `InvalidValue` for unusable observations.
    pub fn fit(
        layout: &Layout,
        rows: &Rows,
        losses: &[f64],
        options: &ParzenOptions,
    ) -> Result<Option<Self>, SurrogateError> {
        check_observations(layout, rows, losses)?;
        let fewest = layout.len() + 1;
        let count = losses.len();
        if count < fewest + 1 {
            return Ok(None);
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]).then(a.cmp(&b)));
        let good = ((options.good_share * count as f64) as usize).max(fewest).min(count);
        let bad = (((1.0 - options.good_share) * count as f64) as usize).max(fewest).min(count);
        let density = |indices: &[usize]| Density::fit(layout, rows.select(indices), options);
        Ok(Some(Self {
            layout: layout.clone(),
            good: density(&order[..good]),
            bad: density(&order[count - bad..]),
            factor: options.bandwidth_factor,
        }))
    }

    /// `ln l - ln g` of `(m, d)` rows, each density floored; to be maximized.
    pub fn log_ratio(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        self.layout.check(rows)?;
        let floor = DENSITY_FLOOR.ln();
        Ok(rows
            .iter()
            .map(|row| {
                self.good.log_density(&self.layout, row).max(floor)
                    - self.bad.log_density(&self.layout, row).max(floor)
            })
            .collect())
    }

    /// A good point with every active column perturbed by a widened kernel. The caller moves it onto the grid and
    /// resolves conditions.
    pub fn sample(&self, rng: &mut dyn Rng) -> Vec<f64> {
        let centre = self.good.centres.row(rng.random_range(0..self.good.centres.len()));
        centre
            .iter()
            .zip(&self.layout.dimensions)
            .zip(&self.good.bandwidths)
            .map(|((&value, dimension), &bandwidth)| {
                if value.is_nan() {
                    return value;
                }
                match dimension.kind {
                    Kind::Categorical { choices } => {
                        if rng.random::<f64>() < 1.0 - bandwidth {
                            value
                        } else {
                            (rng.random_range(0..choices.max(1)) as f64 + 0.5) / choices.max(1) as f64
                        }
                    }
                    Kind::Numeric | Kind::Integer { .. } | Kind::Ordinal { .. } => {
                        truncated_normal(value, self.factor * bandwidth, rng.random::<f64>())
                    }
                }
            })
            .collect()
    }

    /// Number of good points.
    pub fn good_count(&self) -> usize {
        self.good.centres.len()
    }
}

impl Density {
    fn fit(layout: &Layout, centres: Rows, options: &ParzenOptions) -> Self {
        let count = centres.len() as f64;
        // The normal reference rule, 1.06 sigma m^(-1 / (4 + d)) (Silverman, 1986, section 4.3.2).
        let shrink = 1.06 * count.powf(-1.0 / (4.0 + layout.len() as f64));
        let bandwidths = layout
            .dimensions
            .iter()
            .enumerate()
            .map(|(column, dimension)| {
                let active: Vec<f64> =
                    centres.iter().map(|row| row[column]).filter(|value| !value.is_nan()).collect();
                match dimension.kind {
                    Kind::Categorical { choices } => {
                        let widest = (choices.max(1) - 1) as f64 / choices.max(1) as f64;
                        (shrink * category_spread(&active, choices)).max(options.bandwidth_floor).min(widest)
                    }
                    Kind::Numeric => (shrink * deviation(&active)).max(options.bandwidth_floor),
                    Kind::Integer { levels } | Kind::Ordinal { levels } => {
                        // A kernel much narrower than a level would forbid the neighbours.
                        let floor = options.bandwidth_floor.max(0.25 / levels.max(1) as f64);
                        (shrink * deviation(&active)).max(floor)
                    }
                }
            })
            .collect();
        Self { centres, bandwidths, flip: 1.0 / (count + 2.0) }
    }

    fn log_density(&self, layout: &Layout, row: &[f64]) -> f64 {
        let terms: Vec<f64> =
            self.centres.iter().map(|centre| self.log_kernel(layout, centre, row)).collect();
        let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return largest;
        }
        let sum: f64 = terms.iter().map(|term| (term - largest).exp()).sum();
        largest + (sum / terms.len() as f64).ln()
    }

    fn log_kernel(&self, layout: &Layout, centre: &[f64], row: &[f64]) -> f64 {
        let mut log = 0.0;
        for (column, dimension) in layout.dimensions.iter().enumerate() {
            let (here, there, bandwidth) = (row[column], centre[column], self.bandwidths[column]);
            if dimension.conditional {
                let same = here.is_nan() == there.is_nan();
                log += if same { 1.0 - self.flip } else { self.flip }.ln();
            }
            if here.is_nan() {
                continue;
            }
            log += match dimension.kind {
                // Newly active: uniform over the column.
                Kind::Categorical { choices } if there.is_nan() => -(choices.max(1) as f64).ln(),
                _ if there.is_nan() => 0.0,
                Kind::Categorical { choices } => {
                    if Layout::bin(here, choices) == Layout::bin(there, choices) {
                        (1.0 - bandwidth).ln()
                    } else {
                        (bandwidth / (choices - 1) as f64).ln()
                    }
                }
                Kind::Numeric | Kind::Integer { .. } | Kind::Ordinal { .. } => {
                    let mass = normal_cdf((1.0 - there) / bandwidth) - normal_cdf(-there / bandwidth);
                    (normal_pdf((here - there) / bandwidth) / (bandwidth * mass)).max(f64::MIN_POSITIVE).ln()
                }
            };
        }
        log
    }
}

fn deviation(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// `sqrt(1 - sum p^2)` over the shares of the choices: zero when all agree.
fn category_spread(values: &[f64], choices: usize) -> f64 {
    let mut counts = vec![0.0; choices.max(1)];
    for &value in values {
        counts[Layout::bin(value, choices.max(1))] += 1.0;
    }
    let total = values.len().max(1) as f64;
    (1.0 - counts.iter().map(|count| (count / total).powi(2)).sum::<f64>()).max(0.0).sqrt()
}

/// The quantile `share` of a normal around `centre`, truncated to the unit interval.
fn truncated_normal(centre: f64, deviation: f64, share: f64) -> f64 {
    let (low, high) = (normal_cdf(-centre / deviation), normal_cdf((1.0 - centre) / deviation));
    let z = normal_quantile((low + share * (high - low)).clamp(1e-15, 1.0 - 1e-15));
    (centre + deviation * z).clamp(0.0, 1.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Dimension;
    use boxwood_numeric::sobol_rows;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn numeric_case() -> (Rows, Vec<f64>) {
        let rows = sobol_rows(60, 2, 5).unwrap();
        let losses = rows.iter().map(|row| (row[0] - 0.2).powi(2) + (row[1] - 0.8).powi(2)).collect();
        (rows, losses)
    }

    #[test]
    fn good_regions_have_the_larger_ratio_and_samples_land_there() {
        let (rows, losses) = numeric_case();
        let layout = Layout::numeric(2);
        let model = ParzenModel::fit(&layout, &rows, &losses, &ParzenOptions::default()).unwrap().unwrap();
        assert_eq!(model.good_count(), 9);
        let probe = Rows::from_rows(2, &[[0.2, 0.8], [0.9, 0.1]]).unwrap();
        let ratio = model.log_ratio(&probe).unwrap();
        assert!(ratio[0] > 0.5 && ratio[1] < -0.5, "{ratio:?}");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let near = (0..200).map(|_| model.sample(&mut rng)).filter(|row| {
            assert!(row.iter().all(|value| (0.0..=1.0).contains(value)));
            (row[0] - 0.2).hypot(row[1] - 0.8) < 0.5
        });
        assert!(near.count() > 120);
    }

    #[test]
    fn densities_integrate_to_one() {
        let layout = Layout::new(vec![Dimension::numeric().conditional(), Dimension::categorical(3)]);
        let mut rows = Rows::new(2);
        for k in 0..12 {
            let active = k % 3 != 0;
            let choice = (f64::from(k % 2) + 0.5) / 3.0;
            rows.push_row(&[if active { f64::from(k) / 12.0 } else { f64::NAN }, choice]).unwrap();
        }
        let density = Density::fit(&layout, rows, &ParzenOptions::default());
        let mut total = 0.0;
        for choice in [0.5 / 3.0, 1.5 / 3.0, 2.5 / 3.0] {
            total += density.log_density(&layout, &[f64::NAN, choice]).exp();
            for step in 0..2000 {
                let x = (f64::from(step) + 0.5) / 2000.0;
                total += density.log_density(&layout, &[x, choice]).exp() / 2000.0;
            }
        }
        assert!((total - 1.0).abs() < 1e-3, "{total}");
    }

    #[test]
    fn too_few_points_give_no_model_and_one_choice_is_served() {
        let layout = Layout::new(vec![Dimension::categorical(1)]);
        let rows = Rows::from_rows(1, &[[0.5], [0.5]]).unwrap();
        assert!(ParzenModel::fit(&layout, &rows, &[1.0, 2.0], &ParzenOptions::default()).unwrap().is_none());
        let rows = Rows::from_rows(1, &[[0.5], [0.5], [0.5]]).unwrap();
        let model =
            ParzenModel::fit(&layout, &rows, &[1.0, 1.0, 1.0], &ParzenOptions::default()).unwrap().unwrap();
        assert_eq!(model.log_ratio(&rows).unwrap(), vec![0.0; 3]);
    }
}
