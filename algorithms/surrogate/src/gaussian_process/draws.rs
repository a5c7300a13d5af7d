//! Joint draws of a process at some rows, and the process conditioned on each of them.

use super::GpModel;
use super::model::{BLOCK, dot};
use crate::kernel::Embedded;
use crate::{Posterior, SurrogateError};
use boxwood_numeric::{DMatrix, Rows, mix_seed, normal_quantile, sobol_rows};

/// Noise variance at drawn rows relative to the prior variance: draws are of the noise-free function.
const DRAW_NOISE: f64 = 1e-9;

/// A Gaussian process conditioned on s joint draws of its own noise-free values at b rows.
///
/// All draws share inputs and factor, so a prediction has s means and ONE variance. With the drawn rows among the
/// observed ones this is what noisy acquisition functions integrate over: each draw is a possible truth behind the
/// noisy results (Letham et al., "Constrained Bayesian optimization with noisy experiments", 2019).
#[derive(Debug, Clone)]
pub struct GpDraws {
    model: GpModel,
    /// `(n + b, s)`: inverse covariance times centred values, one column per draw.
    weights: DMatrix<f64>,
    /// `(s, b)` drawn values on the model scale.
    values: Rows,
}

/// Predictions for m rows under s draws.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawsPrediction {
    /// `(m, s)` means on the model scale.
    pub mean: Rows,
    /// Length m, the same for all draws.
    pub variance: Vec<f64>,
}

/// Predictions with derivatives at one row under s draws.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawsGradient {
    /// Length s.
    pub mean: Vec<f64>,
    /// The same for all draws.
    pub variance: f64,
    /// `(s, d)`.
    pub mean_gradient: Rows,
    /// Length d.
    pub variance_gradient: Vec<f64>,
}

impl GpModel {
    /// Conditions on `count` quasi-random joint draws of the noise-free values at `(b, d)` rows.
    ///
    /// Draws are a scrambled Sobol sequence through the normal quantile: fixed base samples, so that everything
    /// computed from them is a smooth deterministic function. O((n + b)^2 (b + count)).
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for rows that do not fit, `Numeric` when the factor cannot grow.
    pub fn condition_on_draws(
        &self,
        rows: &Rows,
        count: usize,
        seed: u64,
    ) -> Result<GpDraws, SurrogateError> {
        self.layout.check(rows)?;
        let (old, added, count) = (self.values.len(), rows.len(), count.max(1));
        let model = if rows.is_empty() {
            self.clone()
        } else {
            self.extend_inputs(rows, DRAW_NOISE * self.parameters.signal_variance)?
        };
        let expected = self.predict_mean(rows)?;
        let units = sobol_rows(count, added, mix_seed(seed, 0x64_72_61_77))?;
        let mut values = Rows::new(added);
        let mut weights = DMatrix::zeros(old + added, count);
        for (draw, unit) in units.iter().enumerate() {
            let normals: Vec<f64> =
                unit.iter().map(|&u| normal_quantile(u.clamp(1e-9, 1.0 - 1e-9))).collect();
            // The corner of the factor is that of the posterior covariance at the new rows.
            let drawn: Vec<f64> = (0..added)
                .map(|i| {
                    let sum: f64 =
                        (0..=i).map(|j| model.factor.lower()[(old + i, old + j)] * normals[j]).sum();
                    expected[i] + sum
                })
                .collect();
            let mut column: Vec<f64> =
                self.values.iter().chain(&drawn).map(|value| value - self.fitted.mean).collect();
            model.factor.solve(&mut column)?;
            weights.column_mut(draw).copy_from_slice(&column);
            values.push_row(&drawn)?;
        }
        Ok(GpDraws { model, weights, values })
    }
}

impl GpDraws {
    /// Number of draws, s.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no draw; never true.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The drawn values, `(s, b)`, on the model scale.
    pub fn values(&self) -> &Rows {
        &self.values
    }

    /// Means under each draw and the common variance, at `(m, d)` rows.
    ///
    /// # Errors
    /// `Shape` or `InvalidValue` for rows that do not fit.
    pub fn predict(&self, rows: &Rows) -> Result<DrawsPrediction, SurrogateError> {
        let model = &self.model;
        model.layout.check(rows)?;
        let points = model.kernel.embed(rows, &model.parameters);
        let mut prediction = DrawsPrediction { mean: Rows::new(self.len()), variance: Vec::new() };
        for start in (0..rows.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(rows.len());
            let mut cross = model.kernel.cross(&model.inputs, &points, start, end, &model.parameters);
            // (s, block), so that one row's means are contiguous.
            let mut means = self.weights.transpose() * &cross;
            means.add_scalar_mut(model.fitted.mean);
            for column in means.column_iter() {
                prediction.mean.push_row(column.as_slice())?;
            }
            model.factor.solve_lower_block(&mut cross)?;
            let explained = cross.column_iter().map(|column| dot(column.as_slice(), column.as_slice()));
            prediction.variance.extend(explained.map(|value| model.floor_variance(value)));
        }
        Ok(prediction)
    }

    /// Means, variance and their derivatives at one row, O((n + b)^2 + s (n + b) d).
    ///
    /// # Errors
    /// As [`GpDraws::predict`].
    pub fn predict_gradient(&self, row: &[f64]) -> Result<DrawsGradient, SurrogateError> {
        let model = &self.model;
        model.layout.check_row(0, row)?;
        let mut here = Embedded::default();
        model.kernel.embed_row(row, &model.parameters, &mut here);
        let (column, slopes) = model.kernel.column_with_slope(&model.inputs, &here, &model.parameters);
        let gradient = |weights: &[f64]| {
            model.kernel.row_gradient(&model.inputs, row, &here, &slopes, weights, &model.parameters)
        };
        let mut mean = Vec::with_capacity(self.len());
        let mut mean_gradient = Rows::new(row.len());
        for weights in self.weights.column_iter() {
            mean.push(model.fitted.mean + dot(&column, weights.as_slice()));
            mean_gradient.push_row(&gradient(weights.as_slice()))?;
        }
        let mut solved = column;
        model.factor.solve_lower(&mut solved)?;
        let variance = model.floor_variance(dot(&solved, &solved));
        model.factor.solve_upper(&mut solved)?;
        let variance_gradient = gradient(&solved).iter().map(|part| -2.0 * part).collect();
        Ok(DrawsGradient { mean, variance, mean_gradient, variance_gradient })
    }
}
