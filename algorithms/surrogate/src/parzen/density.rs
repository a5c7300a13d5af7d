//! One mixture of product kernels over some columns.

use super::ParzenOptions;
use crate::{Kind, Layout};
use boxwood_numeric::{Rows, normal_cdf, normal_quantile};
use rand::{Rng, RngExt};

/// Levels up to which a whole number has a discretized kernel; beyond, it is taken for a number.
const DISCRETE_LEVELS: usize = 512;
/// `ln sqrt(2 pi)`.
const LOG_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// A mixture of product kernels around its centres and a uniform prior component.
///
/// Kernels are normals truncated to the unit interval on numbers, the masses of such normals on the levels of integers
/// and ordinals, and Aitchison-Aitken kernels on categories.
#[derive(Debug, Clone)]
pub(super) struct Density {
    numbers: Vec<NumberColumn>,
    codes: Vec<CodeColumn>,
    /// Share of the prior component and the log of share times density, which is constant.
    prior: (f64, f64),
    /// Cumulated shares of the kernels, rising from the prior's to one.
    shares: Vec<f64>,
    /// Log of each kernel's share over its normalizing constants.
    offsets: Vec<f64>,
    /// Centres of numbers in units of the bandwidth, `(kernels, numbers)`.
    centres: Vec<f64>,
    /// Codes of the other columns, `(kernels, codes)`.
    levels: Vec<usize>,
}

#[derive(Debug, Clone)]
struct NumberColumn {
    column: usize,
    bandwidth: f64,
}

#[derive(Debug, Clone)]
struct CodeColumn {
    column: usize,
    count: usize,
    kernel: CodeKernel,
}

#[derive(Debug, Clone)]
enum CodeKernel {
    /// Log mass by distance in levels, before truncation.
    Levels { masses: Vec<f64>, bandwidth: f64 },
    /// Log probabilities of the kernel's own choice and of each other one.
    Choices { same: f64, other: f64 },
}

impl CodeKernel {
    fn log_mass(&self, here: usize, there: usize) -> f64 {
        match self {
            Self::Levels { masses, .. } => masses[here.abs_diff(there)],
            Self::Choices { same, other } => {
                if here == there {
                    *same
                } else {
                    *other
                }
            }
        }
    }
}

impl Density {
    /// Kernels around `members`, pairs of a row and its weight, in which every one of `columns` is active.
    pub(super) fn fit(
        layout: &Layout,
        columns: &[usize],
        rows: &Rows,
        members: &[(usize, f64)],
        options: &ParzenOptions,
    ) -> Self {
        let kernels = members.len() as f64 + 1.0;
        let values = |column: usize| members.iter().map(move |&(row, _)| rows.row(row)[column]);
        let (mut numbers, mut codes) = (Vec::new(), Vec::new());
        let mut log_prior = 0.0;
        for &column in columns {
            let bandwidth = || bandwidth(values(column), columns.len());
            match layout.dimensions[column].kind {
                Kind::Categorical { choices } => {
                    let smoothing = options.category_prior / kernels;
                    let total = 1.0 + choices.max(1) as f64 * smoothing;
                    let (same, other) = (((1.0 + smoothing) / total).ln(), (smoothing / total).ln());
                    let kernel = CodeKernel::Choices { same, other };
                    log_prior -= (choices.max(1) as f64).ln();
                    codes.push(CodeColumn { column, count: choices.max(1), kernel });
                }
                Kind::Integer { levels } | Kind::Ordinal { levels } if levels <= DISCRETE_LEVELS => {
                    let count = levels.max(1);
                    log_prior -= (count as f64).ln();
                    let bandwidth = bandwidth();
                    let kernel = CodeKernel::Levels { masses: log_masses(count, bandwidth), bandwidth };
                    codes.push(CodeColumn { column, count, kernel });
                }
                _ => numbers.push(NumberColumn { column, bandwidth: bandwidth() }),
            }
        }
        let total = members.iter().map(|(_, weight)| weight).sum::<f64>() + options.prior_weight;
        let mut density = Self {
            numbers,
            codes,
            prior: (options.prior_weight / total, (options.prior_weight / total).ln() + log_prior),
            shares: Vec::with_capacity(members.len()),
            offsets: Vec::with_capacity(members.len()),
            centres: Vec::new(),
            levels: Vec::new(),
        };
        let mut cumulated = density.prior.0;
        for &(row, weight) in members {
            cumulated += weight / total;
            density.shares.push(cumulated);
            density.push(rows.row(row), (weight / total).ln());
        }
        density
    }

    fn push(&mut self, row: &[f64], log_share: f64) {
        let mut offset = log_share;
        for NumberColumn { column, bandwidth } in &self.numbers {
            let value = row[*column];
            offset -= LOG_SQRT_TWO_PI + (bandwidth * inside(value, *bandwidth)).ln();
            self.centres.push(value / bandwidth);
        }
        for CodeColumn { column, count, kernel } in &self.codes {
            let code = Layout::bin(row[*column], *count);
            if let CodeKernel::Levels { bandwidth, .. } = kernel {
                let centre = (code as f64 + 0.5) / *count as f64;
                offset -= inside(centre, *bandwidth).ln();
            }
            self.levels.push(code);
        }
        self.offsets.push(offset);
    }

    /// Log density of a row in which every column of this density is active.
    pub(super) fn log_density(&self, row: &[f64]) -> f64 {
        let numbers: Vec<f64> =
            self.numbers.iter().map(|number| row[number.column] / number.bandwidth).collect();
        let codes: Vec<usize> =
            self.codes.iter().map(|code| Layout::bin(row[code.column], code.count)).collect();
        let mut terms = Vec::with_capacity(self.offsets.len() + 1);
        terms.push(self.prior.1);
        for (kernel, offset) in self.offsets.iter().enumerate() {
            let centres = &self.centres[kernel * numbers.len()..(kernel + 1) * numbers.len()];
            let squares: f64 =
                centres.iter().zip(&numbers).map(|(centre, x)| (centre - x) * (centre - x)).sum();
            let mut term = offset - 0.5 * squares;
            let levels = &self.levels[kernel * codes.len()..(kernel + 1) * codes.len()];
            for ((column, &here), &there) in self.codes.iter().zip(&codes).zip(levels) {
                term += column.kernel.log_mass(here, there);
            }
            terms.push(term);
        }
        let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + terms.iter().map(|term| (term - largest).exp()).sum::<f64>().ln()
    }

    /// Draws from the mixture into this density's columns of a row.
    pub(super) fn sample(&self, row: &mut [f64], rng: &mut dyn Rng) {
        let share = rng.random::<f64>();
        // Rounding may leave the last share just below one.
        let kernel =
            self.shares.partition_point(|&cumulated| cumulated <= share).min(self.shares.len().max(1) - 1);
        let from_prior = share < self.prior.0 || self.shares.is_empty();
        for (index, NumberColumn { column, bandwidth }) in self.numbers.iter().enumerate() {
            let draw = rng.random::<f64>();
            row[*column] = if from_prior {
                draw
            } else {
                let centre = self.centres[kernel * self.numbers.len() + index] * bandwidth;
                truncated_normal(centre, *bandwidth, draw)
            };
        }
        for (index, CodeColumn { column, count, kernel: shape }) in self.codes.iter().enumerate() {
            let draw = rng.random::<f64>();
            let code = if from_prior {
                Layout::bin(draw, *count)
            } else {
                let centre = self.levels[kernel * self.codes.len() + index];
                match shape {
                    CodeKernel::Levels { bandwidth, .. } => {
                        let centre = (centre as f64 + 0.5) / *count as f64;
                        Layout::bin(truncated_normal(centre, *bandwidth, draw), *count)
                    }
                    // The part of the kernel that all choices share, then the rest on its own choice.
                    CodeKernel::Choices { other, .. } => {
                        let position = draw / other.exp();
                        if position < *count as f64 { position as usize } else { centre }
                    }
                }
            };
            row[*column] = (code as f64 + 0.5) / *count as f64;
        }
    }
}

/// Width of the kernels of a number, in the unit interval: the normal reference rule for a product of `dimensions`
/// (Silverman, 1986, section 4.3.2), above the floor of [`super::ParzenModel`].
fn bandwidth(values: impl Iterator<Item = f64> + Clone, dimensions: usize) -> f64 {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count.max(1.0);
    let deviation = (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count.max(1.0)).sqrt();
    let reference = 1.06 * deviation * count.max(1.0).powf(-1.0 / (4.0 + dimensions as f64));
    reference.max(1.0 / (count + 2.0).min(100.0))
}

/// Log mass that a normal around a level puts on the levels at each distance from it.
fn log_masses(count: usize, bandwidth: f64) -> Vec<f64> {
    let step = 1.0 / count as f64;
    (0..count)
        .map(|distance| {
            let (near, far) = ((distance as f64 - 0.5) * step, (distance as f64 + 0.5) * step);
            // Both in the lower tail, where the difference keeps its precision.
            (normal_cdf(-near / bandwidth) - normal_cdf(-far / bandwidth)).max(f64::MIN_POSITIVE).ln()
        })
        .collect()
}

/// Mass of a normal inside the unit interval.
fn inside(centre: f64, deviation: f64) -> f64 {
    normal_cdf((1.0 - centre) / deviation) - normal_cdf(-centre / deviation)
}

/// The quantile `share` of a normal around `centre`, truncated to the unit interval.
pub(super) fn truncated_normal(centre: f64, deviation: f64, share: f64) -> f64 {
    let (low, high) = (normal_cdf(-centre / deviation), normal_cdf((1.0 - centre) / deviation));
    let z = normal_quantile((low + share * (high - low)).clamp(1e-15, 1.0 - 1e-15));
    (centre + deviation * z).clamp(0.0, 1.0)
}
