//! Ensembles of surrogates from several fidelities, and their rank-based weights (MFES-HB).

mod chain;

pub use chain::{ChainLevel, FidelityChain};

use crate::{MeanVariance, PointGradient, Posterior, SurrogateError};
use boxwood_numeric::Rows;
use std::sync::Arc;

/// Power of a member's share of preserved pairs in its weight (Li et al., "MFES-HB", AAAI 2021).
pub const RANK_WEIGHT_POWER: f64 = 3.0;
/// Folds of the cross-validation at the top level.
const FOLDS: usize = 5;
/// Fewest top-level observations for cross-validation; below, the top member's share is zero.
const CROSS_VALIDATED_FROM: usize = 10;
/// Fewest top-level observations for an update of the weights.
const UPDATED_FROM: usize = 3;
/// Floor of a member's variance in a product of experts.
const VARIANCE_FLOOR: f64 = 1e-8;

/// How members are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Combination {
    /// Generalized product of experts: precisions add with the weights, `1 / v = sum w_i / v_i` and
    /// `mu = v sum w_i mu_i / v_i` (the MFES-HB paper).
    #[default]
    ProductOfExperts,
    /// Sum of independent parts: `mu = sum w_i mu_i`, `v = sum w_i^2 v_i` (the released code's variant, which
    /// understates uncertainty as members are added).
    IndependentSum,
    /// Weighted mean with the variance of the last member, the target by convention (two-stage transfer surrogates).
    TargetVariance,
}

/// A weighted combination of posteriors on their model scales, which are all standardized.
///
/// Losses are translated by the LAST member, the top fidelity by convention, whatever its weight.
#[derive(Clone)]
pub struct Ensemble {
    members: Vec<(Arc<dyn Posterior>, f64)>,
    reference: Arc<dyn Posterior>,
    combination: Combination,
}

impl Ensemble {
    /// Combines members with weights of at least zero, which are normalized; all zero means uniform.
    ///
    /// # Errors
    /// `Empty` without members.
    pub fn new(
        members: Vec<(Arc<dyn Posterior>, f64)>,
        combination: Combination,
    ) -> Result<Self, SurrogateError> {
        let Some((reference, _)) = members.last() else { return Err(SurrogateError::Empty) };
        let reference = Arc::clone(reference);
        let raw: Vec<f64> = members.iter().map(|(_, weight)| *weight).collect();
        let weights = normalize(&raw, &vec![true; raw.len()]);
        let members = members
            .into_iter()
            .zip(weights)
            .map(|((member, _), weight)| (member, weight))
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        Ok(Self { members, reference, combination })
    }

    /// Normalized weights of the members that count, in order.
    pub fn weights(&self) -> Vec<f64> {
        self.members.iter().map(|(_, weight)| *weight).collect()
    }
}

impl Posterior for Ensemble {
    fn predict(&self, rows: &Rows) -> Result<MeanVariance, SurrogateError> {
        let (mut first, mut second) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        for (member, weight) in &self.members {
            let part = member.predict(rows)?;
            for (k, (mean, variance)) in part.mean.iter().zip(&part.variance).enumerate() {
                match self.combination {
                    Combination::ProductOfExperts => {
                        let precision = weight / variance.max(VARIANCE_FLOOR);
                        first[k] += precision * mean;
                        second[k] += precision;
                    }
                    Combination::IndependentSum => {
                        first[k] += weight * mean;
                        second[k] += weight * weight * variance;
                    }
                    Combination::TargetVariance => first[k] += weight * mean,
                }
            }
        }
        if self.combination == Combination::TargetVariance {
            second = self.reference.predict(rows)?.variance;
        }
        if self.combination == Combination::ProductOfExperts {
            for (mean, variance) in first.iter_mut().zip(&mut second) {
                *mean /= *variance;
                *variance = 1.0 / *variance;
            }
        }
        Ok(MeanVariance { mean: first, variance: second })
    }

    fn predict_gradient(&self, row: &[f64]) -> Result<Option<PointGradient>, SurrogateError> {
        let (mut mean, mut variance) = (0.0, 0.0);
        let (mut mean_gradient, mut variance_gradient) = (vec![0.0; row.len()], vec![0.0; row.len()]);
        for (member, weight) in &self.members {
            let Some(part) = member.predict_gradient(row)? else { return Ok(None) };
            // Both combinations are sums of a(v) mu and b(v); a and its derivative differ.
            let (factor, factor_slope, term, term_slope) = match self.combination {
                Combination::ProductOfExperts => {
                    let floored = part.variance.max(VARIANCE_FLOOR);
                    let free = if part.variance > VARIANCE_FLOOR { 1.0 } else { 0.0 };
                    let (precision, slope) = (weight / floored, -free * weight / (floored * floored));
                    (precision, slope, precision, slope)
                }
                Combination::IndependentSum => {
                    (*weight, 0.0, weight * weight * part.variance, weight * weight)
                }
                Combination::TargetVariance => (*weight, 0.0, 0.0, 0.0),
            };
            mean += factor * part.mean;
            variance += term;
            for k in 0..row.len() {
                mean_gradient[k] +=
                    factor * part.mean_gradient[k] + factor_slope * part.variance_gradient[k] * part.mean;
                variance_gradient[k] += term_slope * part.variance_gradient[k];
            }
        }
        if self.combination == Combination::TargetVariance {
            let Some(target) = self.reference.predict_gradient(row)? else { return Ok(None) };
            (variance, variance_gradient) = (target.variance, target.variance_gradient);
        }
        if self.combination == Combination::ProductOfExperts {
            let precision = variance;
            mean /= precision;
            variance = 1.0 / precision;
            for (by_mean, by_variance) in mean_gradient.iter_mut().zip(&mut variance_gradient) {
                *by_mean = (*by_mean - mean * *by_variance) * variance;
                *by_variance *= -variance * variance;
            }
        }
        Ok(Some(PointGradient { mean, variance, mean_gradient, variance_gradient }))
    }

    fn to_model_scale(&self, loss: f64) -> f64 {
        self.reference.to_model_scale(loss)
    }

    fn to_loss(&self, value: f64) -> f64 {
        self.reference.to_loss(value)
    }
}

/// How many pairs of observations a prediction orders as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairwiseScore {
    /// Pairs in the right order.
    pub preserved: usize,
    /// All pairs.
    pub pairs: usize,
}

impl PairwiseScore {
    /// Share of preserved pairs; zero when there is no pair.
    pub fn share(&self) -> f64 {
        if self.pairs == 0 { 0.0 } else { self.preserved as f64 / self.pairs as f64 }
    }
}

/// Counts the pairs a < b with `(loss_a > loss_b) == (predicted_a > predicted_b)`; a tie is "not greater".
pub fn pairwise_score(predicted: &[f64], losses: &[f64]) -> PairwiseScore {
    let count = predicted.len().min(losses.len());
    let mut score = PairwiseScore { preserved: 0, pairs: 0 };
    for a in 0..count {
        for b in a + 1..count {
            score.pairs += 1;
            score.preserved += usize::from((losses[a] > losses[b]) == (predicted[a] > predicted[b]));
        }
    }
    score
}

/// Weights of the levels of a multi-fidelity ensemble, lowest level first.
#[derive(Debug, Clone, PartialEq)]
pub struct RankWeights {
    /// One per level, summing to one; zero for a level without data.
    pub weights: Vec<f64>,
    /// Share of preserved pairs per level; empty when the weights were not updated.
    pub shares: Vec<f64>,
}

/// Fits the top level's surrogate on a part of its observations.
pub type FitPart<'a> = dyn Fn(&Rows, &[f64]) -> Result<Arc<dyn Posterior>, SurrogateError> + 'a;

/// Weights `p_i^3 / sum_j p_j^3` of the levels by the pairs of top-level observations that they order rightly.
///
/// `members` has one entry per level, lowest first, `None` where a level has no data. `rows` and `losses` are the top
/// level's observations `D_K`. A lower level predicts all of them; the top level is cross-validated in 5 contiguous
/// folds by `fit_top` from 10 observations on and has p = 0 before. With fewer than 3 observations the `previous`
/// weights stay, or [`initial_rank_weights`]. If every share is zero, levels with data weigh the same.
///
/// # Errors
/// `Empty` when no level has data, `Shape` for lengths that differ, and whatever a member reports.
pub fn rank_weights(
    members: &[Option<Arc<dyn Posterior>>],
    rows: &Rows,
    losses: &[f64],
    fit_top: &FitPart<'_>,
    previous: Option<&[f64]>,
) -> Result<RankWeights, SurrogateError> {
    let has_data: Vec<bool> = members.iter().map(Option::is_some).collect();
    if !has_data.contains(&true) {
        return Err(SurrogateError::Empty);
    }
    if rows.len() != losses.len() {
        return Err(SurrogateError::Shape { what: "losses", expected: rows.len(), found: losses.len() });
    }
    if losses.len() < UPDATED_FROM {
        let weights = match previous {
            Some(weights) if weights.len() == members.len() => normalize(weights, &has_data),
            _ => initial_rank_weights(&has_data),
        };
        return Ok(RankWeights { weights, shares: Vec::new() });
    }
    let top = members.len() - 1;
    let mut shares = Vec::with_capacity(members.len());
    for (level, member) in members.iter().enumerate() {
        let share = match member {
            None => 0.0,
            Some(_) if level == top && losses.len() < CROSS_VALIDATED_FROM => 0.0,
            Some(_) if level == top => {
                pairwise_score(&cross_validated_means(rows, losses, FOLDS, fit_top)?, losses).share()
            }
            Some(member) => pairwise_score(&member.predict_mean(rows)?, losses).share(),
        };
        shares.push(share);
    }
    let powers: Vec<f64> = shares.iter().map(|share| share.powf(RANK_WEIGHT_POWER)).collect();
    Ok(RankWeights { weights: normalize(&powers, &has_data), shares })
}

/// Weights before any update: uniform over the levels with data below the top, zero on the top unless it is alone.
pub fn initial_rank_weights(has_data: &[bool]) -> Vec<f64> {
    let top = has_data.len().saturating_sub(1);
    let below: Vec<f64> = (0..has_data.len()).map(|level| if level < top { 1.0 } else { 0.0 }).collect();
    normalize(&below, has_data)
}

/// Out-of-fold means in the units of the losses, by contiguous folds.
///
/// # Errors
/// Whatever `fit` or a prediction reports.
pub fn cross_validated_means(
    rows: &Rows,
    losses: &[f64],
    folds: usize,
    fit: &FitPart<'_>,
) -> Result<Vec<f64>, SurrogateError> {
    let count = rows.len();
    let folds = folds.clamp(1, count.max(1));
    let mut means = Vec::with_capacity(count);
    for fold in 0..folds {
        let (start, end) = (fold * count / folds, (fold + 1) * count / folds);
        let kept: Vec<usize> = (0..start).chain(end..count).collect();
        let kept_losses: Vec<f64> = kept.iter().map(|&index| losses[index]).collect();
        let model = fit(&rows.select(&kept), &kept_losses)?;
        let held_out = model.predict_mean(&rows.slice(start, end))?;
        means.extend(held_out.iter().map(|&mean| model.to_loss(mean)));
    }
    Ok(means)
}

/// Weights that sum to one over the allowed entries; uniform there when none is positive.
fn normalize(weights: &[f64], allowed: &[bool]) -> Vec<f64> {
    let kept: Vec<f64> = weights
        .iter()
        .zip(allowed)
        .map(|(&weight, &allowed)| if allowed && weight.is_finite() { weight.max(0.0) } else { 0.0 })
        .collect();
    let total: f64 = kept.iter().sum();
    if total > 0.0 {
        return kept.iter().map(|weight| weight / total).collect();
    }
    let count = allowed.iter().filter(|&&allowed| allowed).count().max(1) as f64;
    allowed.iter().map(|&allowed| if allowed { 1.0 / count } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests;
