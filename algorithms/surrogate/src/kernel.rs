//! Covariance of encoded rows: Matern-5/2 on numbers and arcs times an exponential of the Hamming distance.
//!
//! `k(a, b) = s M(r) exp(-h)` with `M(r) = (1 + sqrt5 r + 5 r^2 / 3) exp(-sqrt5 r)`, `r^2` the squared distance of the
//! embedded numbers and `h` the sum of `1 / l_j` over categories that differ.
//!
//! A number that is always active embeds as `x / l`. A conditional one embeds as the origin when inactive and
//! otherwise as a point of an arc of radius `1 / l`: `(sin(pi rho x), cos(pi rho x)) / l` (Swersky et al., "Raiders
//! of the lost architecture", 2014). Distances are Euclidean in the embedding, so the kernel stays positive
//! definite. An inactive category is one more choice.
//!
//! `M` may be the squared exponential `exp(-r^2 / 2)` instead, and numbers that are always active may pass through a
//! Kumaraswamy distribution function first (see [`crate::input_warp`]). Where there are numbers and categories, product and
//! sum may be mixed: `k(a, b) = s (w M(r) exp(-h) + (1 - w) (M(r) + exp(-h)) / 2)` with a weight w in (0, 1) (Ru et al.,
//! "Bayesian optimisation over multiple continuous and categorical inputs", 2020), so that rows of different categories
//! still tell about the numbers.

use crate::input_warp::Kumaraswamy;
use crate::{CategoryKernel, Dimension, GpOptions, KernelFunction, Layout};
use boxwood_numeric::{DMatrix, Rows};
use std::f64::consts::PI;

const SQRT_5: f64 = 2.236_067_977_499_79;

/// Code of an inactive category; no choice has it.
const INACTIVE: u32 = u32::MAX;

/// How one column enters the kernel, and where its embedded values start.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Plain { at: usize },
    Arc { at: usize, angle: usize },
    Category { at: usize, choices: usize },
}

/// The kernel's structure: what each column becomes. Parameters come with each call.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    parts: Vec<Part>,
    width: usize,
    categories: usize,
    arcs: usize,
    /// Columns that may be warped: numbers that are always active.
    warpable: Vec<usize>,
    function: KernelFunction,
    mixed: bool,
}

/// Kernel parameters on their natural scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KernelParameters {
    /// `s`, the prior variance.
    pub(crate) signal_variance: f64,
    /// One per column: `l`.
    pub(crate) length_scales: Vec<f64>,
    /// One per arc: `rho` in (0, 1).
    pub(crate) arc_angles: Vec<f64>,
    /// Input warps: one per column, or none at all.
    pub(crate) input_warps: Vec<Kumaraswamy>,
    /// `w`, the weight of the product; one where product and sum are not mixed.
    pub(crate) product_weight: f64,
}

impl KernelParameters {
    fn warp(&self, column: usize) -> Kumaraswamy {
        self.input_warps.get(column).copied().unwrap_or_default()
    }
}

/// Rows after embedding: `(n, width)` numbers and `(n, categories)` codes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Embedded {
    len: usize,
    numbers: Vec<f64>,
    codes: Vec<u32>,
}

impl Embedded {
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// Sums of weighted kernel derivatives over pairs, by parameter.
#[derive(Debug, Clone)]
pub(crate) struct ParameterGradient {
    /// By `ln l`, one per column.
    pub(crate) log_length_scales: Vec<f64>,
    /// By `rho`, one per arc.
    pub(crate) arc_angles: Vec<f64>,
    /// By the logarithms of both exponents, one pair per column that may be warped; empty without input warps.
    pub(crate) log_warps: Vec<[f64; 2]>,
    /// By `w`; zero where product and sum are not mixed.
    pub(crate) product_weight: f64,
}

impl Kernel {
    pub(crate) fn new(layout: &Layout, options: &GpOptions) -> Self {
        let (mut width, mut categories, mut arcs) = (0, 0, 0);
        let parts = layout
            .dimensions
            .iter()
            .map(|dimension: &Dimension| match dimension.kind {
                crate::Kind::Categorical { choices } => {
                    categories += 1;
                    Part::Category { at: categories - 1, choices }
                }
                _ if dimension.conditional => {
                    width += 2;
                    arcs += 1;
                    Part::Arc { at: width - 2, angle: arcs - 1 }
                }
                _ => {
                    width += 1;
                    Part::Plain { at: width - 1 }
                }
            })
            .collect();
        let warpable = (0..layout.len())
            .filter(|&column| {
                layout.dimensions[column].is_numeric() && !layout.dimensions[column].conditional
            })
            .collect();
        let mixed = options.categories == CategoryKernel::Mixture && width > 0 && categories > 0;
        Self { parts, width, categories, arcs, warpable, function: options.kernel, mixed }
    }

    /// Columns that may be warped.
    pub(crate) fn warpable(&self) -> &[usize] {
        &self.warpable
    }

    /// Whether the weight of the product is a parameter.
    pub(crate) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// The correlation of two rows and its derivative by `r^2`.
    fn profile(&self, squared: f64, hamming: f64, product_weight: f64) -> (f64, f64) {
        if !self.mixed {
            return self.product(squared, hamming);
        }
        let (number, slope) = self.product(squared, 0.0);
        let category = (-hamming).exp();
        let half = 0.5 * (1.0 - product_weight);
        let value = product_weight * number * category + half * (number + category);
        (value, slope * (product_weight * category + half))
    }

    /// `M(r) exp(-h)` and its derivative by `r^2`.
    fn product(&self, squared: f64, hamming: f64) -> (f64, f64) {
        match self.function {
            KernelFunction::Matern52 => matern(squared, hamming),
            KernelFunction::SquaredExponential => {
                let value = (-0.5 * squared - hamming).exp();
                (value, -0.5 * value)
            }
        }
    }

    /// Derivatives of the correlation of two rows by `h`, negated, and by the weight of the product.
    fn mixture_slopes(&self, squared: f64, hamming: f64, product_weight: f64) -> (f64, f64) {
        let (number, _) = self.product(squared, 0.0);
        let category = (-hamming).exp();
        let fall = category * (product_weight * number + 0.5 * (1.0 - product_weight));
        (fall, number * category - 0.5 * (number + category))
    }

    /// Number of arcs, that is of angle parameters.
    pub(crate) fn arcs(&self) -> usize {
        self.arcs
    }

    /// Number of categorical columns.
    pub(crate) fn categories(&self) -> usize {
        self.categories
    }

    pub(crate) fn is_category(&self, column: usize) -> bool {
        matches!(self.parts[column], Part::Category { .. })
    }

    /// Index of the angle of a column, if it is an arc.
    pub(crate) fn arc_of(&self, column: usize) -> Option<usize> {
        match self.parts[column] {
            Part::Arc { angle, .. } => Some(angle),
            _ => None,
        }
    }

    pub(crate) fn embed(&self, rows: &Rows, parameters: &KernelParameters) -> Embedded {
        let mut embedded = Embedded {
            len: 0,
            numbers: Vec::with_capacity(rows.len() * self.width),
            codes: Vec::with_capacity(rows.len() * self.categories),
        };
        for row in rows.iter() {
            self.embed_row(row, parameters, &mut embedded);
        }
        embedded
    }

    pub(crate) fn embed_row(&self, row: &[f64], parameters: &KernelParameters, into: &mut Embedded) {
        for (column, (part, &value)) in self.parts.iter().zip(row).enumerate() {
            let inverse = 1.0 / parameters.length_scales[column];
            match *part {
                Part::Plain { .. } => into.numbers.push(parameters.warp(column).apply(value) * inverse),
                Part::Arc { .. } if value.is_nan() => into.numbers.extend([0.0, 0.0]),
                Part::Arc { angle, .. } => {
                    let turn = PI * parameters.arc_angles[angle] * value;
                    into.numbers.extend([turn.sin() * inverse, turn.cos() * inverse]);
                }
                Part::Category { choices, .. } => {
                    into.codes.push(if value.is_nan() {
                        INACTIVE
                    } else {
                        Layout::bin(value, choices) as u32
                    });
                }
            }
        }
        into.len += 1;
    }

    /// `1 / l` of each category, in the order of the codes.
    fn category_weights(&self, parameters: &KernelParameters) -> Vec<f64> {
        let mut weights = vec![0.0; self.categories];
        for (column, part) in self.parts.iter().enumerate() {
            if let Part::Category { at, .. } = *part {
                weights[at] = 1.0 / parameters.length_scales[column];
            }
        }
        weights
    }

    fn squared_distance(&self, a: &Embedded, i: usize, b: &Embedded, j: usize) -> f64 {
        let left = &a.numbers[i * self.width..(i + 1) * self.width];
        let right = &b.numbers[j * self.width..(j + 1) * self.width];
        left.iter().zip(right).map(|(x, y)| (x - y) * (x - y)).sum()
    }

    fn hamming(&self, a: &Embedded, i: usize, b: &Embedded, j: usize, weights: &[f64]) -> f64 {
        let left = &a.codes[i * self.categories..(i + 1) * self.categories];
        let right = &b.codes[j * self.categories..(j + 1) * self.categories];
        left.iter().zip(right).zip(weights).map(|((x, y), weight)| if x == y { 0.0 } else { *weight }).sum()
    }

    /// Lower triangle of the `(n, n)` covariance, and of its derivative by the squared distance.
    pub(crate) fn covariance_with_slope(
        &self,
        inputs: &Embedded,
        parameters: &KernelParameters,
    ) -> (DMatrix<f64>, DMatrix<f64>) {
        let n = inputs.len;
        let weights = self.category_weights(parameters);
        let mut covariance = DMatrix::zeros(n, n);
        let mut slope = DMatrix::zeros(n, n);
        for j in 0..n {
            for i in j..n {
                let squared = self.squared_distance(inputs, i, inputs, j);
                let hamming = self.hamming(inputs, i, inputs, j, &weights);
                let (value, by_squared) = self.profile(squared, hamming, parameters.product_weight);
                covariance[(i, j)] = parameters.signal_variance * value;
                slope[(i, j)] = parameters.signal_variance * by_squared;
            }
        }
        (covariance, slope)
    }

    /// The full symmetric `(n, n)` covariance.
    pub(crate) fn covariance(&self, inputs: &Embedded, parameters: &KernelParameters) -> DMatrix<f64> {
        let mut covariance = self.cross(inputs, inputs, 0, inputs.len, parameters);
        covariance.fill_upper_triangle_with_lower_triangle();
        covariance
    }

    /// Covariance `(n, m)` of `a` with rows `start..end` of `b`.
    pub(crate) fn cross(
        &self,
        a: &Embedded,
        b: &Embedded,
        start: usize,
        end: usize,
        parameters: &KernelParameters,
    ) -> DMatrix<f64> {
        let weights = self.category_weights(parameters);
        let mut values = Vec::with_capacity(a.len * (end - start));
        for j in start..end {
            for i in 0..a.len {
                let squared = self.squared_distance(a, i, b, j);
                let hamming = self.hamming(a, i, b, j, &weights);
                values.push(
                    parameters.signal_variance * self.profile(squared, hamming, parameters.product_weight).0,
                );
            }
        }
        DMatrix::from_vec(a.len, end - start, values)
    }

    /// Covariance of `inputs` with one embedded row, and its derivative by the squared distance.
    pub(crate) fn column_with_slope(
        &self,
        inputs: &Embedded,
        row: &Embedded,
        parameters: &KernelParameters,
    ) -> (Vec<f64>, Vec<f64>) {
        let weights = self.category_weights(parameters);
        (0..inputs.len)
            .map(|i| {
                let squared = self.squared_distance(inputs, i, row, 0);
                let hamming = self.hamming(inputs, i, row, 0, &weights);
                let (value, slope) = self.profile(squared, hamming, parameters.product_weight);
                (parameters.signal_variance * value, parameters.signal_variance * slope)
            })
            .unzip()
    }

    /// `sum_i weights_i dk(x_i, x) / dx` for one row, given the slopes of [`Kernel::column_with_slope`]; `raw` is the row
    /// before embedding.
    pub(crate) fn row_gradient(
        &self,
        inputs: &Embedded,
        raw: &[f64],
        row: &Embedded,
        slopes: &[f64],
        weights: &[f64],
        parameters: &KernelParameters,
    ) -> Vec<f64> {
        let mut by_number = vec![0.0; self.width];
        for (i, (slope, weight)) in slopes.iter().zip(weights).enumerate() {
            let factor = 2.0 * slope * weight;
            let other = &inputs.numbers[i * self.width..(i + 1) * self.width];
            for ((sum, here), there) in by_number.iter_mut().zip(&row.numbers).zip(other) {
                *sum += factor * (here - there);
            }
        }
        self.parts
            .iter()
            .enumerate()
            .map(|(column, part)| match *part {
                Part::Plain { at } => {
                    by_number[at] * parameters.warp(column).slope(raw[column])
                        / parameters.length_scales[column]
                }
                Part::Arc { at, angle } => {
                    let turn = PI * parameters.arc_angles[angle];
                    turn * (by_number[at] * row.numbers[at + 1] - by_number[at + 1] * row.numbers[at])
                }
                Part::Category { .. } => 0.0,
            })
            .collect()
    }

    /// `sum_{i>j} w_ij dk_ij / dparameter`, for a lower triangle of weights.
    pub(crate) fn parameter_gradient(
        &self,
        rows: &Rows,
        inputs: &Embedded,
        covariance: &DMatrix<f64>,
        slope: &DMatrix<f64>,
        weights: &DMatrix<f64>,
        parameters: &KernelParameters,
    ) -> ParameterGradient {
        let n = inputs.len;
        let mut by_number = vec![0.0; self.width];
        let mut by_category = vec![0.0; self.categories];
        let mut arc_angles = vec![0.0; self.arcs];
        let mut by_product_weight = 0.0;
        let category_weights = self.category_weights(parameters);
        let warps = !parameters.input_warps.is_empty();
        // Derivatives by the embedded numbers themselves, needed for input warps only.
        let mut forces = vec![0.0; if warps { n * self.width } else { 0 }];
        for j in 0..n {
            let there = &inputs.numbers[j * self.width..(j + 1) * self.width];
            for i in j + 1..n {
                let factor = weights[(i, j)] * slope[(i, j)];
                let here = &inputs.numbers[i * self.width..(i + 1) * self.width];
                for ((sum, x), y) in by_number.iter_mut().zip(here).zip(there) {
                    *sum += factor * (x - y) * (x - y);
                }
                if warps {
                    for (at, (x, y)) in here.iter().zip(there).enumerate() {
                        let force = 2.0 * factor * (x - y);
                        forces[i * self.width + at] += force;
                        forces[j * self.width + at] -= force;
                    }
                }
                if self.categories > 0 {
                    let mut weighted = weights[(i, j)] * covariance[(i, j)];
                    if self.mixed {
                        let squared = self.squared_distance(inputs, i, inputs, j);
                        let hamming = self.hamming(inputs, i, inputs, j, &category_weights);
                        let (fall, by_weight) =
                            self.mixture_slopes(squared, hamming, parameters.product_weight);
                        let scaled = weights[(i, j)] * parameters.signal_variance;
                        weighted = scaled * fall;
                        by_product_weight += scaled * by_weight;
                    }
                    let left = &inputs.codes[i * self.categories..(i + 1) * self.categories];
                    let right = &inputs.codes[j * self.categories..(j + 1) * self.categories];
                    for ((sum, x), y) in by_category.iter_mut().zip(left).zip(right) {
                        *sum += if x == y { 0.0 } else { weighted };
                    }
                }
                if self.arcs > 0 {
                    self.add_angle_terms(rows, i, j, factor, parameters, &mut arc_angles);
                }
            }
        }
        let log_length_scales = self
            .parts
            .iter()
            .enumerate()
            .map(|(column, part)| match *part {
                Part::Plain { at } => -2.0 * by_number[at],
                Part::Arc { at, .. } => -2.0 * (by_number[at] + by_number[at + 1]),
                Part::Category { at, .. } => by_category[at] / parameters.length_scales[column],
            })
            .collect();
        let log_warps = if warps { self.warp_gradient(rows, &forces, parameters) } else { Vec::new() };
        ParameterGradient { log_length_scales, arc_angles, log_warps, product_weight: by_product_weight }
    }

    /// Chains derivatives by embedded numbers, `(n, width)`, to the log exponents of the input warps.
    fn warp_gradient(&self, rows: &Rows, forces: &[f64], parameters: &KernelParameters) -> Vec<[f64; 2]> {
        self.warpable
            .iter()
            .map(|&column| {
                let mut sums = [0.0; 2];
                if let Part::Plain { at } = self.parts[column] {
                    let warp = parameters.warp(column);
                    for (index, row) in rows.iter().enumerate() {
                        let force = forces[index * self.width + at] / parameters.length_scales[column];
                        let [first, second] = warp.log_exponent_slopes(row[column]);
                        sums[0] += force * first;
                        sums[1] += force * second;
                    }
                }
                sums
            })
            .collect()
    }

    /// Adds the derivative of `4 sin^2(pi rho (x - y) / 2) / l^2` by `rho` for the arcs on which both are active.
    fn add_angle_terms(
        &self,
        rows: &Rows,
        i: usize,
        j: usize,
        factor: f64,
        parameters: &KernelParameters,
        sums: &mut [f64],
    ) {
        for (column, part) in self.parts.iter().enumerate() {
            if let Part::Arc { angle, .. } = *part {
                let difference = rows.row(i)[column] - rows.row(j)[column];
                if !difference.is_nan() {
                    let inverse = 1.0 / parameters.length_scales[column];
                    let turn = PI * parameters.arc_angles[angle] * difference;
                    sums[angle] += factor * 2.0 * inverse * inverse * turn.sin() * PI * difference;
                }
            }
        }
    }
}

/// `M(r) exp(-h)` and its derivative by `r^2`.
fn matern(squared: f64, hamming: f64) -> (f64, f64) {
    let scaled = SQRT_5 * squared.sqrt();
    let decay = (-scaled - hamming).exp();
    let value = (1.0 + scaled + scaled * scaled / 3.0) * decay;
    (value, -(5.0 / 6.0) * (1.0 + scaled) * decay)
}
