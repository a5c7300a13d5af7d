//! The search distribution and its update by one generation.
//!
//! Letters: d numbers (columns that are not categorical), k ranked members.

use boxwood_core::space::DimensionKind;
use boxwood_core::{SearchSpace, SeedRng, SolverError};
use boxwood_numeric::{Cholesky, DMatrix, DVector};
use rand::RngExt;

use super::strategy::Strategy;
use crate::sampler::model::numeric;
use crate::sampler::population::{activate, normal};

/// Numbers above which only variances are learned: a full matrix takes of the order of d^2 trials to learn.
const FULL_DIMENSIONS: usize = 50;
/// Rate at which shares of choices follow those of the parents.
const CHOICE_RATE: f64 = 0.2;
/// Largest step size, in edges of the unit cube.
const LARGEST_SIGMA: f64 = 1.0;

/// The columns of a space by how they are sampled.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// Numbers and whether they have levels.
    pub(super) numbers: Vec<(usize, bool)>,
    /// Categorical columns with their numbers of choices.
    pub(super) choices: Vec<(usize, usize)>,
}

impl Columns {
    pub(super) fn new(space: &SearchSpace) -> Self {
        let (mut numbers, mut choices) = (Vec::new(), Vec::new());
        for (column, dimension) in space.dimensions().iter().enumerate() {
            match dimension.kind {
                DimensionKind::Continuous => numbers.push((column, false)),
                DimensionKind::Discrete { .. } => numbers.push((column, true)),
                DimensionKind::Categorical { choices: count } => choices.push((column, count as usize)),
            }
        }
        Self { numbers, choices }
    }

    /// Whether a row does not tell the number that it was rounded from.
    pub(super) fn round(&self) -> bool {
        self.numbers.iter().any(|(_, levels)| *levels)
    }
}

/// One point of a generation.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Its numbers before they were moved to levels, length d; NaN where inactive.
    pub(super) latent: DVector<f64>,
    /// Its choice in each categorical column; none where inactive.
    pub(super) choices: Vec<Option<usize>>,
}

impl Member {
    /// A point that some other source proposed, taken as it stands.
    pub(super) fn of_row(columns: &Columns, row: &[f64]) -> Self {
        let numbers = columns.numbers.iter().map(|(column, _)| row[*column]);
        let choice = |(column, count): &(usize, usize)| {
            let value = row[*column];
            (!value.is_nan()).then(|| ((value * *count as f64) as usize).min(count - 1))
        };
        Self {
            latent: DVector::from_iterator(columns.numbers.len(), numbers),
            choices: columns.choices.iter().map(choice).collect(),
        }
    }
}

/// Normal numbers with mean m and covariance `sigma^2 S C S`, S the diagonal scale of the margin, and one distribution of
/// choices per categorical column.
#[derive(Debug, Clone)]
pub(super) struct Distribution {
    pub(super) mean: DVector<f64>,
    pub(super) sigma: f64,
    /// S, length d.
    pub(super) scale: DVector<f64>,
    /// C, `(d, d)`.
    pub(super) covariance: DMatrix<f64>,
    /// Lower factor of C. It stands where the symmetric root stands in the tutorial: both map a standard normal vector to
    /// the same distribution, and this one costs a tenth (Krause, Arbones and Igel, 2016).
    factor: Cholesky,
    path_sigma: DVector<f64>,
    path_covariance: DVector<f64>,
    /// Probability of each choice, by categorical column.
    pub(super) shares: Vec<Vec<f64>>,
    diagonal: bool,
    generation: i32,
}

impl Distribution {
    /// A round distribution about a row of the unit cube.
    pub(super) fn new(columns: &Columns, center: &[f64], sigma: f64) -> Result<Self, SolverError> {
        let d = columns.numbers.len();
        let middle = |value: f64| if value.is_nan() { 0.5 } else { value };
        let mean = columns.numbers.iter().map(|(column, _)| middle(center[*column]));
        let covariance = DMatrix::identity(d, d);
        Ok(Self {
            mean: DVector::from_iterator(d, mean),
            sigma,
            scale: DVector::from_element(d, 1.0),
            factor: Cholesky::factorize(&covariance).map_err(|error| numeric(&error))?,
            covariance,
            path_sigma: DVector::zeros(d),
            path_covariance: DVector::zeros(d),
            shares: columns.choices.iter().map(|(_, count)| vec![1.0 / *count as f64; *count]).collect(),
            diagonal: d > FULL_DIMENSIONS,
            generation: 0,
        })
    }

    /// Standard deviation of number i.
    pub(super) fn deviation(&self, i: usize) -> f64 {
        self.sigma * self.scale[i] * self.covariance[(i, i)].max(0.0).sqrt()
    }

    /// Square of the ratio of the largest to the smallest pivot, at most the condition number of C.
    pub(super) fn condition(&self) -> f64 {
        let diagonal = self.factor.lower().diagonal();
        if diagonal.is_empty() { 1.0 } else { (diagonal.max() / diagonal.min()).powi(2) }
    }

    /// Draws a point: its latent numbers, and its row before snapping.
    pub(super) fn draw(&self, columns: &Columns, width: usize, rng: &mut SeedRng) -> (Member, Vec<f64>) {
        let d = self.mean.len();
        let noise = DVector::from_iterator(d, (0..d).map(|_| normal(rng)));
        let step = self.factor.lower() * noise;
        let latent = &self.mean + self.sigma * self.scale.component_mul(&step);
        let mut row = vec![f64::NAN; width];
        for (value, (column, _)) in latent.iter().zip(&columns.numbers) {
            row[*column] = value.clamp(0.0, 1.0);
        }
        let mut choices = Vec::with_capacity(columns.choices.len());
        for (shares, (column, count)) in self.shares.iter().zip(&columns.choices) {
            let mut left = rng.random::<f64>();
            let choice = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            let choice = choice.unwrap_or(count - 1);
            row[*column] = (choice as f64 + 0.5) / *count as f64;
            choices.push(Some(choice));
        }
        activate(&mut row, rng);
        (Member { latent, choices }, row)
    }

    /// Moves the distribution toward the better members, ranked best first, at least two.
    ///
    /// Members need not have been drawn from this distribution: steps longer than `sqrt d + 2 d / (d + 2)` in its own
    /// metric are cut to that length (Hansen, "Injecting external solutions into CMA-ES", 2011).
    pub(super) fn update(&mut self, ranked: &[Member]) -> Result<(), SolverError> {
        self.generation += 1;
        let d = self.mean.len();
        let strategy = Strategy::new(d, ranked.len(), self.diagonal);
        self.update_choices(&strategy, ranked);
        if d == 0 {
            return Ok(());
        }
        let longest = (d as f64).sqrt() + 2.0 * d as f64 / (d as f64 + 2.0);
        let mut steps: Vec<DVector<f64>> = Vec::with_capacity(ranked.len());
        let mut lengths = Vec::with_capacity(ranked.len());
        for member in ranked {
            let mut step = DVector::from_fn(d, |i, _| {
                let step = (member.latent[i] - self.mean[i]) / (self.sigma * self.scale[i]);
                if step.is_nan() { 0.0 } else { step }
            });
            let length = self.whiten(&step)?.norm();
            if length > longest {
                step *= longest / length;
            }
            lengths.push(length.min(longest));
            steps.push(step);
        }
        let mut mean_step = DVector::zeros(d);
        for (step, weight) in steps.iter().zip(&strategy.weights[..strategy.parents]) {
            mean_step += step * *weight;
        }
        self.mean += self.sigma * self.scale.component_mul(&mean_step);
        self.mean.apply(|value| *value = value.clamp(0.0, 1.0));
        let Strategy { effective, rate_sigma, damping, rate_path, rate_one, rate_many, .. } = strategy;
        self.path_sigma *= 1.0 - rate_sigma;
        self.path_sigma += self.whiten(&mean_step)? * (rate_sigma * (2.0 - rate_sigma) * effective).sqrt();
        let expected = (d as f64).sqrt() * (1.0 - 1.0 / (4.0 * d as f64) + 1.0 / (21.0 * (d * d) as f64));
        let length = self.path_sigma.norm();
        let warm = (1.0 - (1.0 - rate_sigma).powi(2 * self.generation)).sqrt();
        let settled = length / warm < (1.4 + 2.0 / (d as f64 + 1.0)) * expected;
        self.path_covariance *= 1.0 - rate_path;
        if settled {
            self.path_covariance += &mean_step * (rate_path * (2.0 - rate_path) * effective).sqrt();
        }
        let missing = if settled { 0.0 } else { rate_one * rate_path * (2.0 - rate_path) };
        let total: f64 = strategy.weights.iter().sum();
        let mut covariance = &self.covariance * (1.0 + missing - rate_one - rate_many * total);
        covariance.ger(rate_one, &self.path_covariance, &self.path_covariance, 1.0);
        for ((step, length), weight) in steps.iter().zip(&lengths).zip(&strategy.weights) {
            // Bad steps are taken at one length, so that the matrix stays positive definite.
            let weight =
                if *weight >= 0.0 { *weight } else { weight * d as f64 / (length * length).max(1e-12) };
            covariance.ger(rate_many * weight, step, step, 1.0);
        }
        if self.diagonal {
            covariance = DMatrix::from_diagonal(&covariance.diagonal().map(|value| value.max(1e-20)));
        }
        if let Ok(factor) = Cholesky::factorize(&covariance) {
            self.covariance = covariance;
            self.factor = factor;
        }
        let growth = (rate_sigma / damping * (length / expected - 1.0)).min(1.0);
        self.sigma = (self.sigma * growth.exp()).min(LARGEST_SIGMA);
        Ok(())
    }

    /// `L^-1 y`.
    fn whiten(&self, step: &DVector<f64>) -> Result<DVector<f64>, SolverError> {
        let mut whitened = step.clone();
        self.factor.solve_lower(whitened.as_mut_slice()).map_err(|error| numeric(&error))?;
        Ok(whitened)
    }

    /// Shares follow the parents' choices by their weights, and every choice keeps a share (the margin of categories,
    /// Hamano et al., "`CatCMA`", 2024, with a fixed rate).
    fn update_choices(&mut self, strategy: &Strategy, ranked: &[Member]) {
        let columns = self.mean.len() + self.shares.len();
        for (place, shares) in self.shares.iter_mut().enumerate() {
            for (member, weight) in ranked.iter().zip(&strategy.weights[..strategy.parents]) {
                let Some(choice) = member.choices[place] else { continue };
                for (index, share) in shares.iter_mut().enumerate() {
                    let chosen = f64::from(u8::from(index == choice));
                    *share += CHOICE_RATE * weight * (chosen - *share);
                }
            }
            let rest = (shares.len().max(2) - 1) as f64;
            let least = 1.0 / (columns * ranked.len()) as f64 / rest;
            for share in shares.iter_mut() {
                *share = share.max(least);
            }
            let sum: f64 = shares.iter().sum();
            for share in shares.iter_mut() {
                *share /= sum;
            }
        }
    }
}
