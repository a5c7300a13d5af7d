//! Acquisitions built from others: constraints and costs.

use crate::improvement::log_probability_below;
use crate::moments::{score_gradient, score_rows};
use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::Rows;
use boxwood_surrogate::Posterior;

/// `sum_c ln P[c(x) <= limit_c]`: the log probability that all constraints hold, taken as independent.
///
/// Alone it is what to maximize before any feasible point is known.
#[derive(Default)]
pub struct Feasibility<'a> {
    /// Model of a constraint and its limit on that model's scale.
    constraints: Vec<(&'a dyn Posterior, f64)>,
}

impl<'a> Feasibility<'a> {
    /// No constraint: every point is feasible.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the constraint "the modelled quantity is at most `limit`", the limit in the quantity's own units.
    #[must_use]
    pub fn with_constraint(mut self, posterior: &'a dyn Posterior, limit: f64) -> Self {
        self.constraints.push((posterior, posterior.to_model_scale(limit)));
        self
    }

    /// Whether there is no constraint.
    pub fn is_empty(&self) -> bool {
        self.constraints.is_empty()
    }
}

impl Acquisition for Feasibility<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let mut sums = vec![0.0; rows.len()];
        for &(posterior, limit) in &self.constraints {
            let values =
                score_rows(posterior, rows, |mean, deviation| log_probability_below(limit, mean, deviation))?;
            add(&mut sums, &values);
        }
        Ok(sums)
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let mut sum = (0.0, vec![0.0; row.len()]);
        for &(posterior, limit) in &self.constraints {
            let part = score_gradient(posterior, row, |mean, deviation| {
                log_probability_below(limit, mean, deviation)
            })?;
            let Some((value, gradient)) = part else { return Ok(None) };
            sum.0 += value;
            add(&mut sum.1, &gradient);
        }
        Ok(Some(sum))
    }
}

/// An acquisition times the probability of feasibility (in logs, their sum): with [`crate::LogExpectedImprovement`]
/// the constrained expected improvement of Gardner et al. (2014).
///
/// Before any feasible point there is no incumbent: use [`Feasibility`] alone, which is what `objective: None` does.
pub struct Constrained<'a> {
    objective: Option<&'a dyn Acquisition>,
    feasibility: &'a Feasibility<'a>,
}

impl<'a> Constrained<'a> {
    /// Combines the objective's acquisition, if there is a feasible incumbent, with the constraints.
    pub fn new(objective: Option<&'a dyn Acquisition>, feasibility: &'a Feasibility<'a>) -> Self {
        Self { objective, feasibility }
    }
}

impl Acquisition for Constrained<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let mut sums = self.feasibility.log_value(rows)?;
        if let Some(objective) = self.objective {
            add(&mut sums, &objective.log_value(rows)?);
        }
        Ok(sums)
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let Some(mut sum) = self.feasibility.log_value_gradient(row)? else { return Ok(None) };
        if let Some(objective) = self.objective {
            let Some((value, gradient)) = objective.log_value_gradient(row)? else { return Ok(None) };
            sum.0 += value;
            add(&mut sum.1, &gradient);
        }
        Ok(Some(sum))
    }
}

/// An acquisition per cost: `ln a(x) - exponent * E[ln cost(x)]`.
///
/// With an exponent that falls from one to zero as the budget is used this is the cost cooling of Lee et al.,
/// "Cost-aware Bayesian optimization" (2020).
pub struct CostCooled<'a> {
    objective: &'a dyn Acquisition,
    log_cost: &'a dyn Posterior,
    factor: f64,
}

impl<'a> CostCooled<'a> {
    /// Divides by the cost to the power `exponent`. `log_cost` models the LOGARITHM of the cost, without an output
    /// warp, so that its model scale is a linear function of it.
    pub fn new(objective: &'a dyn Acquisition, log_cost: &'a dyn Posterior, exponent: f64) -> Self {
        let per_unit = log_cost.to_model_scale(1.0) - log_cost.to_model_scale(0.0);
        let factor = if per_unit > 0.0 { exponent / per_unit } else { 0.0 };
        Self { objective, log_cost, factor }
    }
}

impl Acquisition for CostCooled<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let mut values = self.objective.log_value(rows)?;
        let costs = self.log_cost.predict_mean(rows)?;
        for (value, cost) in values.iter_mut().zip(costs) {
            *value -= self.factor * cost;
        }
        Ok(values)
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let Some((value, mut gradient)) = self.objective.log_value_gradient(row)? else { return Ok(None) };
        let Some(cost) = self.log_cost.predict_gradient(row)? else { return Ok(None) };
        for (part, slope) in gradient.iter_mut().zip(&cost.mean_gradient) {
            *part -= self.factor * slope;
        }
        Ok(Some((value - self.factor * cost.mean, gradient)))
    }
}

fn add(sums: &mut [f64], values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// The logarithm of a weighted mean of acquisitions given as logarithms: with the expected improvements of models under
/// several hyperparameters the integrated acquisition of Snoek et al. (2012).
pub struct LogAverage<'a> {
    members: Vec<(Box<dyn Acquisition + 'a>, f64)>,
}

impl<'a> LogAverage<'a> {
    /// Averages at least one acquisition; weights are positive and need not sum to one.
    pub fn new(members: Vec<(Box<dyn Acquisition + 'a>, f64)>) -> Self {
        let total: f64 = members.iter().map(|(_, weight)| weight).sum();
        Self { members: members.into_iter().map(|(part, weight)| (part, (weight / total).ln())).collect() }
    }
}

impl Acquisition for LogAverage<'_> {
    fn log_value(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let mut parts = Vec::with_capacity(self.members.len());
        for (part, log_weight) in &self.members {
            parts.push((part.log_value(rows)?, log_weight));
        }
        let at = |row: usize| {
            let terms = || parts.iter().map(|(values, log_weight)| values[row] + **log_weight);
            let highest = terms().fold(f64::NEG_INFINITY, f64::max);
            if highest == f64::NEG_INFINITY {
                highest
            } else {
                highest + terms().map(|term| (term - highest).exp()).sum::<f64>().ln()
            }
        };
        Ok((0..rows.len()).map(at).collect())
    }

    fn log_value_gradient(&self, row: &[f64]) -> Result<Option<(f64, Vec<f64>)>, AcquisitionError> {
        let mut parts = Vec::with_capacity(self.members.len());
        for (part, log_weight) in &self.members {
            let Some((value, gradient)) = part.log_value_gradient(row)? else { return Ok(None) };
            parts.push((value + log_weight, gradient));
        }
        let highest = parts.iter().map(|(value, _)| *value).fold(f64::NEG_INFINITY, f64::max);
        if highest == f64::NEG_INFINITY {
            return Ok(Some((highest, vec![0.0; row.len()])));
        }
        let mut sum = 0.0;
        let mut total = vec![0.0; row.len()];
        for (value, gradient) in &parts {
            let share = (value - highest).exp();
            sum += share;
            for (part, slope) in total.iter_mut().zip(gradient) {
                *part += share * slope;
            }
        }
        for part in &mut total {
            *part /= sum;
        }
        Ok(Some((highest + sum.ln(), total)))
    }
}
