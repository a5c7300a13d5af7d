//! Local penalization of the neighbourhood of pending points.

use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::{Rows, log_normal_cdf, log_normal_cdf_slope};
use boxwood_surrogate::{Layout, Posterior};

/// Smallest scale of a penalty, so that a certain pending point still has a smooth edge.
const SMALLEST_SCALE: f64 = 1e-3;

/// One pending point with its exclusion ball.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Encoded row.
    pub row: Vec<f64>,
    /// Radius `(mu - best) / L`: how far a function of slope L stays above the best value.
    pub radius: f64,
    /// Uncertainty of the radius, `sigma / L`.
    pub scale: f64,
}

/// An acquisition times `P[x is outside the ball of every pending point]`, in logs.
///
/// Gonzalez et al., "Batch Bayesian optimization via local penalization" (2016): adds
/// `sum_j ln Phi((|x - x_j| - r_j) / s_j)`. Distances are Euclidean over numbers; a differing category or a column
/// active in one row only counts one.
pub struct LocalPenalty<'a> {
    objective: &'a dyn Acquisition,
    layout: &'a Layout,
    pending: Vec<Pending>,
}

impl<'a> LocalPenalty<'a> {
    /// Penalizes around pending rows; `best` is the incumbent on the model scale and `lipschitz` the largest slope
    /// of the posterior mean (see [`lipschitz_estimate`]).
    pub fn new(
        objective: &'a dyn Acquisition,
        posterior: &dyn Posterior,
        layout: &'a Layout,
        pending: &Rows,
        best: f64,
        lipschitz: f64,
    ) -> Result<Self, AcquisitionError> {
        let prediction = posterior.predict(pending)?;
        let slope = lipschitz.max(1e-6);
        let pending = pending
            .iter()
            .zip(prediction.mean.iter().zip(&prediction.variance))
            .map(|(row, (mean, variance))| Pending {
                row: row.to_vec(),
                radius: (mean - best).max(0.0) / slope,
                scale: (variance.sqrt() / slope).max(SMALLEST_SCALE),
            })
            .collect();
        Ok(Self { objective, layout, pending })
    }

    /// Distance to a pending row.
    fn distance(&self, row: &[f64], other: &[f64]) -> f64 {
        let columns = row.iter().zip(other).zip(&self.layout.dimensions);
        let squared: f64 = columns
            .map(|((&a, &b), dimension)| match (a.is_nan(), b.is_nan()) {
                (true, true) => 0.0,
                (false, false) if !dimension.is_categorical() => (a - b) * (a - b),
                (false, false) if a == b => 0.0,
                _ => 1.0,
            })
            .sum();
        squared.sqrt()
    }

    fn penalty(&self, row: &[f64]) -> f64 {
        let terms = self.pending.iter().map(|pending| {
            log_normal_cdf((self.distance(row, &pending.row) - pending.radius) / pending.scale)
        });
        terms.sum()
    }
}

impl Acquisition for LocalPenalty<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let mut values = self.objective.log_value(rows)?;
        for (value, row) in values.iter_mut().zip(rows.iter()) {
            *value += self.penalty(row);
        }
        Ok(values)
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let Some((value, mut gradient)) = self.objective.log_value_gradient(row)? else { return Ok(None) };
        for pending in &self.pending {
            let distance = self.distance(row, &pending.row);
            if distance <= 1e-12 {
                continue;
            }
            let slope = log_normal_cdf_slope((distance - pending.radius) / pending.scale) / pending.scale;
            for (column, part) in gradient.iter_mut().enumerate() {
                let difference = row[column] - pending.row[column];
                if !difference.is_nan() && !self.layout.dimensions[column].is_categorical() {
                    *part += slope * difference / distance;
                }
            }
        }
        Ok(Some((value + self.penalty(row), gradient)))
    }
}

/// The largest norm of the gradient of the posterior mean over some rows; one where the model has no gradient.
pub fn lipschitz_estimate(posterior: &dyn Posterior, rows: &Rows) -> Result<f64, AcquisitionError> {
    let mut largest = 0.0_f64;
    for row in rows.iter() {
        if let Some(point) = posterior.predict_gradient(row)? {
            largest = largest.max(point.mean_gradient.iter().map(|part| part * part).sum::<f64>().sqrt());
        }
    }
    Ok(if largest > 0.0 { largest } else { 1.0 })
}
