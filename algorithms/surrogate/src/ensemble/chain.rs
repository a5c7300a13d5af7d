//! One process per fidelity, each on what the one below leaves over.

use crate::warp::TargetScale;
use crate::{
    GaussianProcess, GpCache, GpModel, GpOptions, MeanVariance, PointGradient, Posterior, SurrogateError,
};
use boxwood_numeric::{Rows, mix_seed};

/// Variance of the means below under which they explain nothing.
const LEAST_SPREAD: f64 = 1e-10;

/// The observations of one level, lowest first in a list of them.
#[derive(Debug, Clone, Copy)]
pub struct ChainLevel<'a> {
    /// `(n, d)` rows.
    pub rows: &'a Rows,
    /// Process on this level's losses alone; its scale is the level's.
    pub alone: &'a GpModel,
    /// The process that `alone` extends, on the first of the rows; none where it has all of them.
    pub base: Option<&'a GpModel>,
}

impl ChainLevel<'_> {
    /// The rows that hyperparameters come from, and the process on them.
    fn base(&self) -> (Rows, &GpModel) {
        let base = self.base.unwrap_or(self.alone);
        (self.rows.slice(0, base.len()), base)
    }
}

/// Autoregressive chain of Gaussian processes over fidelities; predicts the top one.
///
/// `f_k(x) = rho_k m_{k-1}(x) + delta_k(x)` with independent deltas (Kennedy and O'Hagan, "Predicting the output from a
/// complex computer code when fast approximations are available", 2000), fitted level by level on the posterior mean
/// below (Le Gratiet and Garnier, "Recursive co-kriging model for design of computer experiments with multiple levels of
/// fidelity", 2014), so that `v_k = rho_k^2 v_{k-1} + var delta_k`. `rho` is the least squares slope, and is zero where the
/// level alone is the more likely explanation of its own data by the Bayesian information criterion: a misleading level
/// then drops out with all below it. Every level has the scale of its process alone; the chain has the top one's.
///
/// Which levels are linked, and the hyperparameters of the deltas, come from the base rows of all levels, so that they
/// stay while results are added to them; slopes and residuals are those of all rows.
#[derive(Debug, Clone)]
pub struct FidelityChain {
    links: Vec<Link>,
    scale: TargetScale,
}

#[derive(Debug, Clone)]
struct Link {
    /// Process on residuals, or on the level's own values when `slope` is zero.
    delta: GpModel,
    /// The delta's model scale as values of the level: offset and factor.
    offset: f64,
    factor: f64,
    /// rho.
    slope: f64,
}

impl Link {
    fn alone(model: &GpModel) -> Self {
        Self { delta: model.clone(), offset: 0.0, factor: 1.0, slope: 0.0 }
    }

    fn on(delta: GpModel, slope: f64) -> Self {
        let offset = delta.to_loss(0.0);
        let factor = delta.to_loss(1.0) - offset;
        Self { delta, offset, factor, slope }
    }
}

impl FidelityChain {
    /// Links the levels, lowest first. `seed` and `cache` serve the processes on residuals.
    ///
    /// # Errors
    /// `Empty` without levels; as [`GaussianProcess::fit`] for any of them.
    pub fn fit(
        levels: &[ChainLevel<'_>],
        options: &GpOptions,
        seed: u64,
        cache: Option<&GpCache>,
    ) -> Result<Self, SurrogateError> {
        let Some(top) = levels.last() else { return Err(SurrogateError::Empty) };
        let options = GpOptions { warp_targets: false, ..options.clone() };
        let mut chain =
            Self { links: Vec::with_capacity(levels.len()), scale: top.alone.target_scale().clone() };
        for (index, level) in levels.iter().enumerate() {
            let link = chain.link(level, &options, mix_seed(seed, index as u64), cache)?;
            if link.slope == 0.0 {
                chain.links.clear();
            }
            chain.links.push(link);
        }
        if levels.iter().all(|level| level.base.is_none()) { Ok(chain) } else { chain.extended(levels) }
    }

    /// The link of a level's base rows to the chain so far.
    fn link(
        &self,
        level: &ChainLevel<'_>,
        options: &GpOptions,
        seed: u64,
        cache: Option<&GpCache>,
    ) -> Result<Link, SurrogateError> {
        let (rows, alone) = level.base();
        if self.links.is_empty() {
            return Ok(Link::alone(alone));
        }
        let below = self.predict_mean(&rows)?;
        let values = alone.values();
        let Some(slope) = slope(&below, values) else { return Ok(Link::alone(alone)) };
        let residuals = residuals(values, &below, slope);
        let delta = GaussianProcess::fit_scheduled(alone.layout(), &rows, &residuals, options, seed, cache)?;
        let link = Link::on(delta, slope);
        let count = values.len() as f64;
        let linked = link.delta.log_marginal_likelihood() - count * link.factor.ln() - 0.5 * count.ln();
        if linked > alone.log_marginal_likelihood() { Ok(link) } else { Ok(Link::alone(alone)) }
    }

    /// The same links with the hyperparameters of their base rows, on all rows of the linked levels.
    fn extended(&self, levels: &[ChainLevel<'_>]) -> Result<Self, SurrogateError> {
        let mut chain = Self { links: Vec::with_capacity(self.links.len()), scale: self.scale.clone() };
        for (link, level) in self.links.iter().zip(&levels[levels.len() - self.links.len()..]) {
            let extended = if chain.is_empty() {
                Link::alone(level.alone)
            } else {
                let below = chain.predict_mean(level.rows)?;
                let values = level.alone.values();
                let slope = slope(&below, values).unwrap_or(link.slope);
                let more = level.rows.slice(link.delta.len(), level.rows.len());
                Link::on(link.delta.extend(&more, &residuals(values, &below, slope))?, slope)
            };
            chain.links.push(extended);
        }
        Ok(chain)
    }

    /// The chain that believes its own means at rows that every level in it waits for.
    ///
    /// # Errors
    /// As [`GpModel::append_believed`].
    pub fn append_believed(&self, rows: &Rows) -> Result<Self, SurrogateError> {
        let mut believing = self.clone();
        for link in &mut believing.links {
            link.delta = link.delta.append_believed(rows)?;
        }
        Ok(believing)
    }

    /// Number of levels that the prediction rests on.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Never true: a fitted chain has its top level.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Variance of the noise of the top level's results, on the model scale.
    pub fn noise_variance(&self) -> f64 {
        let noise = |link: &Link| link.factor * link.factor * link.delta.hyperparameters().noise_variance;
        self.links.last().map_or(0.0, noise)
    }

    /// The slopes from the lowest level in use up; the first is zero.
    pub fn slopes(&self) -> Vec<f64> {
        self.links.iter().map(|link| link.slope).collect()
    }
}

/// What the means, times the slope, leave over of the values.
fn residuals(values: &[f64], means: &[f64], slope: f64) -> Vec<f64> {
    values.iter().zip(means).map(|(value, mean)| value - slope * mean).collect()
}

/// Least squares slope of the values on the means; none where the means do not vary or explain nothing.
fn slope(means: &[f64], values: &[f64]) -> Option<f64> {
    let count = means.len() as f64;
    let center = |column: &[f64]| column.iter().sum::<f64>() / count;
    let (mean, value) = (center(means), center(values));
    let (mut spread, mut joint) = (0.0, 0.0);
    for (m, v) in means.iter().zip(values) {
        spread += (m - mean) * (m - mean);
        joint += (m - mean) * (v - value);
    }
    let slope = joint / spread;
    (spread > LEAST_SPREAD * count && slope.is_finite() && slope != 0.0).then_some(slope)
}

impl Posterior for FidelityChain {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        let (mut mean, mut variance) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        for link in &self.links {
            let part = link.delta.predict(rows)?;
            for k in 0..rows.len() {
                mean[k] = link.slope * mean[k] + link.offset + link.factor * part.mean[k];
                variance[k] =
                    link.slope * link.slope * variance[k] + link.factor * link.factor * part.variance[k];
            }
        }
        Ok(MeanVariance { mean, variance })
    }

    fn predict_mean(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        let mut mean = vec![0.0; rows.len()];
        for link in &self.links {
            for (sum, part) in mean.iter_mut().zip(link.delta.predict_mean(rows)?) {
                *sum = link.slope * *sum + link.offset + link.factor * part;
            }
        }
        Ok(mean)
    }

    fn predict_gradient(&self, row: &[f64]) -> Result<Option<PointGradient>, SurrogateError> {
        let width = row.len();
        let (mut mean_gradient, mut variance_gradient) = (vec![0.0; width], vec![0.0; width]);
        let (mut mean, mut variance) = (0.0, 0.0);
        for link in &self.links {
            let part = link.delta.point_gradient(row)?;
            let (slope, factor) = (link.slope, link.factor);
            mean = slope * mean + link.offset + factor * part.mean;
            variance = slope * slope * variance + factor * factor * part.variance;
            for k in 0..width {
                mean_gradient[k] = slope * mean_gradient[k] + factor * part.mean_gradient[k];
                variance_gradient[k] =
                    slope * slope * variance_gradient[k] + factor * factor * part.variance_gradient[k];
            }
        }
        Ok(Some(PointGradient { mean, variance, mean_gradient, variance_gradient }))
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        self.scale.to_model(loss)
    }

    fn to_loss(&self, value: f64) -> f64 {
        self.scale.to_loss(value)
    }
}

#[cfg(test)]
mod tests;
