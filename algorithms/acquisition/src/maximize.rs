//! Maximization of an acquisition function over a mixed, conditional space.

mod candidates;
mod refine;

use crate::{Acquisition, AcquisitionError};
use boxwood_numeric::Rows;
use boxwood_surrogate::Layout;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// What the maximizer needs to know about a search space, in encoded rows.
///
/// Rows are canonical: two rows that mean the same point are equal bit by bit (NAN for every inactive column).
pub trait CandidateSpace: Sync {
    /// The columns.
    fn dimensions(&self) -> &Layout;

    /// Where a number may lie: the unit interval, or a trust region's part of it. `snap` must agree.
    fn bounds(&self, dimension: usize) -> (f64, f64) {
        let _ = dimension;
        (0.0, 1.0)
    }

    /// A random valid row.
    fn sample(&self, rng: &mut dyn Rng) -> Vec<f64>;

    /// Repairs a row in place to the nearest canonical valid one: bounds, grid, conditions (NAN for inactive columns,
    /// a value for newly active ones). False when the point is forbidden.
    fn snap(&self, row: &mut Vec<f64>) -> bool;

    /// Valid rows that differ from a valid one in one column (and what depends on it): all other choices of a
    /// category, near levels of an integer or ordinal, a few near values of a number. Empty for an inactive column.
    fn neighbours(&self, row: &[f64], dimension: usize, rng: &mut dyn Rng) -> Vec<Vec<f64>>;
}

/// How much work one maximization may do.
///
/// | name | default | meaning |
/// |---|---|---|
/// | `candidates` | 2000 | rows scored in blocks before refinement |
/// | `refined` | 8 | best candidates that are refined |
/// | `gradient_evaluations` | 40 | gradients per refined candidate and round |
/// | `exchange_rounds` | 4 | rounds of gradient search and best-improvement exchange |
/// | `results` | 64 | ranked rows returned at most |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Rows scored before refinement.
    pub candidates: usize,
    /// Candidates refined.
    pub refined: usize,
    /// Gradients per refined candidate and round.
    pub gradient_evaluations: usize,
    /// Rounds of gradient search and exchange.
    pub exchange_rounds: usize,
    /// Rows returned at most.
    pub results: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { candidates: 2000, refined: 8, gradient_evaluations: 40, exchange_rounds: 4, results: 64 }
    }
}

impl Budget {
    /// A budget that keeps a step over a Gaussian process with n observations near a fixed number of operations:
    /// a candidate costs about n^2 + 30 n d of them and a gradient twice n^2.
    pub fn for_gaussian_process(observations: usize, dimensions: usize) -> Self {
        const OPERATIONS: f64 = 1.2e9;
        let (n, d) = (observations as f64, dimensions as f64);
        let per_candidate = n * n + 30.0 * n * (d + 5.0);
        let candidates = (OPERATIONS / per_candidate).clamp(250.0, 2000.0) as usize;
        let gradients = 0.2 * OPERATIONS / (2.0 * n * n + 60.0 * n * (d + 5.0));
        let refined = (gradients / 40.0).clamp(3.0, 8.0) as usize;
        let gradient_evaluations = (gradients / refined as f64).clamp(12.0, 40.0) as usize;
        Self { candidates, refined, gradient_evaluations, ..Self::default() }
    }
}

/// A row with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Encoded row, canonical.
    pub row: Vec<f64>,
    /// Its acquisition value.
    pub value: f64,
}

/// The best rows found, ranked from the best, without duplicates.
///
/// Candidates come from a scrambled Sobol sequence, from random draws and from mutations of `starts` (rows worth
/// exploiting, best first: the best observed points or an earlier plan's) in one to all columns and at several
/// scales. They are scored in blocks; the best then alternate between L-BFGS on their active numbers and
/// best-improvement exchange over the other columns. Work is bounded by `budget`. Equal arguments give equal answers.
///
/// # Errors
/// Whatever the acquisition reports. An empty answer means that every row tried was forbidden.
pub fn maximize(
    acquisition: &dyn Acquisition,
    space: &dyn CandidateSpace,
    starts: &Rows,
    budget: &Budget,
    seed: u64,
) -> Result<Vec<Candidate>, AcquisitionError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pool = Pool::default();
    for row in candidates::propose(space, starts, budget.candidates, seed, &mut rng)? {
        pool.offer(row);
    }
    let mut ranked = pool.score(acquisition, space.dimensions())?;
    sort(&mut ranked);
    let refined = candidates::spread_choice(&ranked, space.dimensions(), budget.refined);
    for index in refined {
        let start = ranked[index].clone();
        let better = refine::refine(acquisition, space, start, budget, &mut rng)?;
        if pool.known.insert(key(&better.row)) {
            ranked.push(better);
        }
    }
    sort(&mut ranked);
    ranked.truncate(budget.results.max(1));
    Ok(ranked)
}

/// About `count` distinct valid rows from the sources of [`maximize`], `starts` first: what choices among a fixed set of
/// candidates are made from (Thompson sampling, sampled fronts). Equal arguments give equal rows.
///
/// # Errors
/// `Numeric` for starts that do not fit the space.
pub fn candidate_rows(
    space: &dyn CandidateSpace,
    starts: &Rows,
    count: usize,
    seed: u64,
) -> Result<Rows, AcquisitionError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pool = Pool::default();
    for row in candidates::propose(space, starts, count, seed, &mut rng)? {
        pool.offer(row);
    }
    Ok(Rows::from_rows(space.dimensions().len(), &pool.rows)?)
}

/// Best first; ties keep the order of discovery.
fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| b.value.total_cmp(&a.value));
}

/// Distinct rows, in order of discovery.
#[derive(Default)]
struct Pool {
    known: HashSet<Vec<u64>>,
    rows: Vec<Vec<f64>>,
}

impl Pool {
    fn offer(&mut self, row: Vec<f64>) {
        if self.known.insert(key(&row)) {
            self.rows.push(row);
        }
    }

    fn score(
        &mut self,
        acquisition: &dyn Acquisition,
        layout: &Layout,
    ) -> Result<Vec<Candidate>, AcquisitionError> {
        let rows = std::mem::take(&mut self.rows);
        let values = acquisition.log_value(&Rows::from_rows(layout.len(), &rows)?)?;
        Ok(rows.into_iter().zip(values).map(|(row, value)| Candidate { row, value }).collect())
    }
}

/// The bits of a row, with one pattern for every NaN and for both zeros.
fn key(row: &[f64]) -> Vec<u64> {
    row.iter().map(|value| if value.is_nan() { u64::MAX } else { (value + 0.0).to_bits() }).collect()
}
