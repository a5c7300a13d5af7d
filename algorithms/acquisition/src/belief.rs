//! Prior beliefs of the user about where the optimum is (piBO).

use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::{NumericError, Rows, normal_cdf};
use boxwood_surrogate::{Kind, Layout};

/// Least density relative to the uniform one, so that no belief rules a value out for good.
const DENSITY_FLOOR: f64 = 1e-6;

/// What a user believes about one encoded column, as a density on the unit interval or a weight per choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Belief {
    /// Nothing: every value is as likely.
    Uniform,
    /// A normal density around a place of the unit interval, cut off at its ends.
    Normal {
        /// Its centre, in the unit interval.
        center: f64,
        /// Its standard deviation, positive.
        deviation: f64,
    },
    /// One weight of at least zero per choice or rank.
    Weights(Vec<f64>),
}

/// A density over encoded rows, the product of one belief per column; an inactive column counts nothing.
///
/// Densities are relative to the uniform one, so that rows with different active columns compare fairly.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorBelief {
    columns: Vec<Column>,
}

/// A belief ready to be evaluated.
#[derive(Debug, Clone, PartialEq)]
enum Column {
    Uniform,
    Normal {
        center: f64,
        deviation: f64,
        log_scale: f64,
    },
    /// Log densities of equal bins of the unit interval.
    Bins(Vec<f64>),
}

impl PriorBelief {
    /// One belief per column of the layout.
    ///
    /// # Errors
    /// `Numeric` when the numbers differ, for a centre outside the unit interval, a deviation that is not positive,
    /// weights on a number or integer, or weights that are negative, all zero or not one per choice.
    pub fn new(layout: &Layout, beliefs: &[Belief]) -> Result<Self, AcquisitionError> {
        let shape =
            |what, expected, found| AcquisitionError::from(NumericError::Shape { what, expected, found });
        if beliefs.len() != layout.len() {
            return Err(shape("beliefs", layout.len(), beliefs.len()));
        }
        let invalid = |what| AcquisitionError::from(NumericError::NotFinite { what });
        let columns: Result<Vec<Column>, AcquisitionError> = beliefs
            .iter()
            .zip(&layout.dimensions)
            .map(|(belief, dimension)| match belief {
                Belief::Uniform => Ok(Column::Uniform),
                Belief::Normal { center, deviation } => {
                    let usable = (0.0..=1.0).contains(center) && *deviation > 0.0 && deviation.is_finite();
                    if !usable || dimension.is_categorical() {
                        return Err(invalid("belief about a number"));
                    }
                    let inside = normal_cdf((1.0 - center) / deviation) - normal_cdf(-center / deviation);
                    let root = (2.0 * std::f64::consts::PI).sqrt();
                    let log_scale = -(deviation * root * inside).ln();
                    Ok(Column::Normal { center: *center, deviation: *deviation, log_scale })
                }
                Belief::Weights(weights) => {
                    let count = match dimension.kind {
                        Kind::Ordinal { levels: count } | Kind::Categorical { choices: count } => count,
                        Kind::Numeric | Kind::Integer { .. } => 0,
                    };
                    if weights.len() != count {
                        return Err(shape("weights of a belief", count, weights.len()));
                    }
                    let total: f64 = weights.iter().sum();
                    let usable = weights.iter().all(|weight| *weight >= 0.0);
                    if !(usable && total > 0.0 && total.is_finite()) {
                        return Err(invalid("weights of a belief"));
                    }
                    let relative = count as f64 / total;
                    let logs = weights.iter().map(|weight| (weight * relative).max(DENSITY_FLOOR).ln());
                    Ok(Column::Bins(logs.collect()))
                }
            })
            .collect();
        Ok(Self { columns: columns? })
    }

    /// Log density of a row relative to the uniform one.
    pub fn log_density(&self, row: &[f64]) -> f64 {
        self.columns.iter().zip(row).map(|(column, &value)| column.log_density(value).0).sum()
    }
}

impl Column {
    /// Log density and its derivative.
    fn log_density(&self, value: f64) -> (f64, f64) {
        if value.is_nan() {
            return (0.0, 0.0);
        }
        match self {
            Column::Uniform => (0.0, 0.0),
            Column::Normal { center, deviation, log_scale } => {
                let z = (value - center) / deviation;
                // The density plus the floor: smooth, and flat where the floor is all.
                let log = log_scale - 0.5 * z * z;
                let sum = log.exp() + DENSITY_FLOOR;
                (sum.ln(), -z / deviation * log.exp() / sum)
            }
            Column::Bins(logs) => {
                let bin = ((value * logs.len() as f64) as usize).min(logs.len().saturating_sub(1));
                (logs.get(bin).copied().unwrap_or(0.0), 0.0)
            }
        }
    }
}

/// An acquisition times a belief to the power `strength / n`: `ln a(x) + (strength / n) ln pi(x)`.
///
/// Hvarfner et al., "piBO: augmenting acquisition functions with user beliefs for Bayesian optimization" (ICLR 2022),
/// equation 6: the belief leads at first and fades with the number of observations n, so that a wrong one costs time,
/// not the optimum. The paper's strength is a tenth of the budget in trials ([`PriorWeighted::strength_for_budget`]).
pub struct PriorWeighted<'a> {
    objective: &'a dyn Acquisition,
    belief: &'a PriorBelief,
    exponent: f64,
}

impl<'a> PriorWeighted<'a> {
    /// Weighs an acquisition in the log domain after `observations` results.
    pub fn new(
        objective: &'a dyn Acquisition,
        belief: &'a PriorBelief,
        strength: f64,
        observations: usize,
    ) -> Self {
        Self { objective, belief, exponent: strength / observations.max(1) as f64 }
    }

    /// The paper's strength for a budget in trials.
    pub fn strength_for_budget(trials: usize) -> f64 {
        trials as f64 / 10.0
    }
}

impl Acquisition for PriorWeighted<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let mut values = self.objective.log_value(rows)?;
        for (value, row) in values.iter_mut().zip(rows.iter()) {
            *value += self.exponent * self.belief.log_density(row);
        }
        Ok(values)
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let Some((mut value, mut gradient)) = self.objective.log_value_gradient(row)? else {
            return Ok(None);
        };
        for ((column, &x), part) in self.belief.columns.iter().zip(row).zip(&mut gradient) {
            let (log, slope) = column.log_density(x);
            value += self.exponent * log;
            *part += self.exponent * slope;
        }
        Ok(Some((value, gradient)))
    }
}
