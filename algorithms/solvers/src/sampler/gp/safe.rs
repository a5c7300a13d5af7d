//! Points that are predicted to keep every constraint, and how the region of such points grows.
//!
//! Sui et al., "Safe exploration for optimization with Gaussian processes" (2015); Berkenkamp et al., "Bayesian optimization with
//! safety constraints" (2016). Deviations: no grid, candidates are drawn around results that hold; the optimistic bound at a
//! candidate, rather than a Lipschitz constant, says whether it could make others safe; among points that may be best, the
//! acquisition decides, and expansion takes every other choice rather than the one of the larger uncertainty.

use boxwood_acquisition::{Acquisition, AcquisitionError, Budget, Candidate, CandidateSpace, candidate_rows};
use boxwood_core::{Seed, SolverError};
use boxwood_numeric::{Rows, normal_quantile};
use boxwood_surrogate::Posterior;
use rand::RngExt;

use super::models::Models;
use crate::history::{Entry, Known};
use crate::sampler::model::{Candidates, Design, Pick};
use crate::sampler::{Proposal, Proposals, Request};

/// Deviation of a step from a point that holds before the model is used, in the unit cube; halved for every result that did
/// not hold.
const STEP: f64 = 0.05;
/// Steps that are tried for one row, the later ones wider where the near rows are known.
const TRIES: usize = 64;
const WIDENING: usize = 16;
/// Share of choices that enlarge the safe set while some point can.
const EXPANSION: f64 = 0.5;
/// Points that are asked whether they enlarge the safe set, and rows beyond its border that they are asked about.
const EXPANDERS: usize = 12;
const BEYOND: usize = 200;
/// Largest distance of a safe row from a result that holds, per root of the number of columns in the unit cube: beyond it the
/// model extrapolates from hyperparameters that few results have settled.
const REACH: f64 = 0.1;
/// Rounds in which the best safe rows are looked around, and how many of them.
const ROUNDS: u64 = 3;
const KEPT: usize = 4;

/// Proposals of a study whose points must be safe: steps around points that hold until the model is usable, then its choices.
///
/// The points that a user gave, or the default one, are taken to hold until results say otherwise.
pub(super) fn propose(
    request: &Request<'_>,
    known: &mut Known,
    design: &Design,
    ready: bool,
    pick: &mut Pick<'_>,
) -> Result<Proposals, SolverError> {
    let initial = design.size(request.view.problem()) as u64;
    let mut chosen: Vec<Vec<f64>> = request.placed.to_vec();
    let mut proposals = Proposals::default();
    for (index, _) in request.starts.iter().enumerate() {
        request.stop.check()?;
        let seed = request.seed.derive("proposal", index as u64);
        let designed = request.view.started() + (chosen.len() as u64) < initial;
        let mut picked = None;
        if ready && !designed {
            picked = match pick(&chosen, seed.derive("acquisition", 0), known) {
                // A random point, which is what other samplers fall back to, would not be safe.
                Err(SolverError::Numeric(reason)) => {
                    proposals
                        .notes
                        .push(format!("numeric failure, a step from a safe point instead: {reason}"));
                    None
                }
                answer => answer?,
            };
        }
        let near =
            || near(request, known, seed.derive("near", 0)).map(|row| Proposal::plain(row, "near_safe"));
        let Some(proposal) = picked.or_else(near) else { break };
        known.insert(&proposal.row);
        chosen.push(proposal.row.clone());
        proposals.list.push(proposal);
    }
    Ok(proposals)
}

/// A new row a small step from one that holds; nothing where all near rows are known.
fn near(request: &Request<'_>, known: &Known, seed: Seed) -> Option<Vec<f64>> {
    let entries = || request.history.levels.iter().flat_map(|level| &level.entries);
    let holds = |entry: &&Entry<'_>| entry.violation() <= 0.0;
    let held = entries().filter(holds).map(|entry| entry.trial.encoded.clone());
    let mut anchors: Vec<Vec<f64>> = held.collect();
    if anchors.is_empty() {
        let trials = request.view.trials().iter().map(|trial| trial.encoded.clone());
        anchors = request.placed.iter().cloned().chain(trials).take(1 + request.placed.len()).collect();
    }
    let broken = entries().count() - entries().filter(holds).count();
    let space = Candidates::new(request.view.problem().space());
    let mut rng = seed.rng();
    for attempt in 0..TRIES {
        if anchors.is_empty() {
            break;
        }
        let widening = 2.0_f64.powi((attempt / WIDENING) as i32);
        let step = STEP * 0.5_f64.powi(broken.min(8) as i32) * widening;
        let mut row = anchors[rng.random_range(0..anchors.len())].clone();
        for (value, dimension) in row.iter_mut().zip(&space.layout().dimensions) {
            let uniform = rng.random::<f64>().clamp(1e-12, 1.0 - 1e-12);
            if !dimension.is_categorical() && !value.is_nan() {
                *value = (*value + step * normal_quantile(uniform)).clamp(0.0, 1.0);
            }
        }
        if space.snap(&mut row) && !known.contains(&row) {
            return Some(row);
        }
    }
    None
}

/// Which rows are safe by the models of the constraints.
pub(super) struct SafeSet<'a> {
    models: &'a Models,
    /// Results that hold.
    held: Rows,
    /// Deviations between a prediction and the bound.
    multiplier: f64,
}

impl<'a> SafeSet<'a> {
    /// Rows at which every constraint is predicted to be measured as holding with a probability.
    pub(super) fn new(probability: f64, models: &'a Models) -> Self {
        Self { models, held: models.feasible_rows(), multiplier: normal_quantile(probability) }
    }

    /// By how many units of each constraint's model a row comes short of being safe, at most zero where it is; the largest.
    fn shortfalls(&self, rows: &Rows) -> Result<Vec<f64>, AcquisitionError> {
        let mut worst = vec![f64::NEG_INFINITY; rows.len()];
        for model in &self.models.limiting {
            let limit = model.to_model_scale(0.0);
            let noise = model.hyperparameters().noise_variance;
            let seen = model.predict(rows)?;
            for (worst, (mean, variance)) in worst.iter_mut().zip(seen.mean.iter().zip(&seen.variance)) {
                *worst = worst.max(mean + self.multiplier * (variance + noise).sqrt() - limit);
            }
        }
        for (worst, row) in worst.iter_mut().zip(rows.iter()) {
            if !self.is_near(row) {
                *worst = f64::INFINITY;
            }
        }
        Ok(worst)
    }

    /// Whether a row lies within reach of a result that holds; a parameter active in one of the two counts one.
    fn is_near(&self, row: &[f64]) -> bool {
        let reach = REACH * REACH * row.len() as f64;
        let part = |(a, b): (&f64, &f64)| match (a.is_nan(), b.is_nan()) {
            (true, true) => 0.0,
            (false, false) => (a - b) * (a - b),
            _ => 1.0,
        };
        self.held.iter().any(|held| held.iter().zip(row).map(part).sum::<f64>() <= reach)
    }

    /// The safe row to try next; nothing where none was found that is not known.
    pub(super) fn best(
        &self,
        acquisition: &dyn Acquisition,
        space: &Candidates<'_>,
        budget: &Budget,
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Candidate>, AcquisitionError> {
        if self.held.is_empty() {
            return Ok(None);
        }
        let best = self.models.observations.starts();
        let best = best.slice(0, best.len().min(self.held.len()));
        let rows = candidate_rows(space, &best, budget.candidates, seed.derive("safe", 0).0)?;
        let shortfalls = self.shortfalls(&rows)?;
        let order =
            |indices: &mut Vec<usize>| indices.sort_by(|a, b| shortfalls[*a].total_cmp(&shortfalls[*b]));
        let new = |index: &usize| shortfalls[*index] <= 0.0 && !known.contains(rows.row(*index));
        let safe = rows.select(&(0..rows.len()).filter(new).collect::<Vec<_>>());
        if safe.is_empty() {
            return Ok(None);
        }
        if seed.derive("expand", 0).rng().random::<f64>() < EXPANSION {
            let mut beyond: Vec<usize> = (0..rows.len())
                .filter(|index| shortfalls[*index] > 0.0 && shortfalls[*index].is_finite())
                .collect();
            order(&mut beyond);
            beyond.truncate(BEYOND);
            if let Some(row) = self.expander(&safe, &rows.select(&beyond))? {
                let value = acquisition.log_value(&Rows::from_rows(row.len(), &[&row])?)?[0];
                return Ok(Some(Candidate { row, value }));
            }
        }
        let mut ranked = Self::ranked(acquisition, &safe)?;
        for round in 1..=ROUNDS {
            let top: Vec<&[f64]> =
                ranked.iter().take(KEPT).map(|candidate| candidate.row.as_slice()).collect();
            let top = Rows::from_rows(rows.width(), &top)?;
            let count = budget.candidates / 4;
            let around = candidate_rows(space, &top, count, seed.derive("safe", round).0)?;
            let shortfalls = self.shortfalls(&around)?;
            let new = |index: &usize| shortfalls[*index] <= 0.0 && !known.contains(around.row(*index));
            let safe = around.select(&(0..around.len()).filter(new).collect::<Vec<_>>());
            ranked.extend(Self::ranked(acquisition, &safe)?);
            ranked.sort_by(|a, b| b.value.total_cmp(&a.value));
        }
        Ok(ranked.into_iter().next())
    }

    /// Rows with their values, best first.
    fn ranked(acquisition: &dyn Acquisition, rows: &Rows) -> Result<Vec<Candidate>, AcquisitionError> {
        let values = acquisition.log_value(rows)?;
        let pairs = rows.iter().zip(values);
        let mut ranked: Vec<Candidate> =
            pairs.map(|(row, value)| Candidate { row: row.to_vec(), value }).collect();
        ranked.sort_by(|a, b| b.value.total_cmp(&a.value));
        Ok(ranked)
    }

    /// The safe row of the most uncertain constraint whose optimistic results would make a row beyond the border safe.
    fn expander(&self, safe: &Rows, beyond: &Rows) -> Result<Option<Vec<f64>>, AcquisitionError> {
        if beyond.is_empty() {
            return Ok(None);
        }
        let mut widths = vec![0.0_f64; safe.len()];
        for model in &self.models.limiting {
            for (width, variance) in widths.iter_mut().zip(model.predict(safe)?.variance) {
                *width = width.max(variance);
            }
        }
        let mut order: Vec<usize> = (0..safe.len()).collect();
        order.sort_by(|a, b| widths[*b].total_cmp(&widths[*a]));
        for index in order.into_iter().take(EXPANDERS) {
            let row = safe.row(index);
            let at = Rows::from_rows(row.len(), &[row])?;
            let mut opened = vec![true; beyond.len()];
            for model in &self.models.limiting {
                let seen = model.predict(&at)?;
                let optimistic = seen.mean[0] - self.multiplier * seen.variance[0].sqrt();
                let model = model.append(row, model.to_loss(optimistic))?;
                let (limit, noise) = (model.to_model_scale(0.0), model.hyperparameters().noise_variance);
                let seen = model.predict(beyond)?;
                for (open, (mean, variance)) in opened.iter_mut().zip(seen.mean.iter().zip(&seen.variance)) {
                    *open &= mean + self.multiplier * (variance + noise).sqrt() <= limit;
                }
            }
            if opened.contains(&true) {
                return Ok(Some(row.to_vec()));
            }
        }
        Ok(None)
    }
}
