//! How much each source and the target count.

use crate::ensemble::{FitPart, pairwise_score};
use crate::{Posterior, SurrogateError};
use boxwood_numeric::{MinimizeOptions, Rows, minimize, mix_seed, normal_quantile, sobol_rows};
use std::sync::Arc;

/// Folds of the target's cross-validation, by index modulo this number: rows come in the order of time.
const FOLDS: usize = 5;
/// Fewest target observations for cross-validation.
const CROSS_VALIDATED_FROM: usize = 5;
/// Share of discordant pairs from which a two-stage source counts nothing, and the target's fixed weight.
const TWO_STAGE_BANDWIDTH: f64 = 0.45;
const TWO_STAGE_TARGET: f64 = 0.75;
/// Least target share of `TransBO`, in force from this many observations.
const LEAST_TARGET_SHARE: f64 = 0.3;
const LEAST_SHARE_FROM: usize = 10;

/// Weights of sources and target, summing to one.
#[derive(Debug, Clone, PartialEq)]
pub struct TransferWeights {
    /// One per source.
    pub sources: Vec<f64>,
    /// The target's.
    pub target: f64,
}

impl TransferWeights {
    fn normalized(mut sources: Vec<f64>, mut target: f64) -> Self {
        let total = sources.iter().sum::<f64>() + target;
        if total > 0.0 && total.is_finite() {
            for weight in &mut sources {
                *weight /= total;
            }
            target /= total;
        } else {
            sources.fill(0.0);
            target = 1.0;
        }
        Self { sources, target }
    }

    /// Without the sources whose [`agreements`] are not positive: an earlier study that orders the target's results at
    /// random or the wrong way round can only mislead. Their weight is shared by the others and the target.
    #[must_use]
    pub fn without_negative_transfer(&self, agreements: &[f64]) -> Self {
        let keep = |(index, weight): (usize, &f64)| {
            if agreements.get(index).is_none_or(|agreement| *agreement > 0.0) { *weight } else { 0.0 }
        };
        Self::normalized(self.sources.iter().enumerate().map(keep).collect(), self.target)
    }
}

/// Kendall's rank correlation of each source's means with the target's losses, in [-1, 1]; zero without a pair.
///
/// # Errors
/// Whatever a source reports.
pub fn agreements(
    sources: &[Arc<dyn Posterior>],
    rows: &Rows,
    losses: &[f64],
) -> Result<Vec<f64>, SurrogateError> {
    sources
        .iter()
        .map(|source| {
            let score = pairwise_score(&source.predict_mean(rows)?, losses);
            Ok(if score.pairs == 0 { 0.0 } else { 2.0 * score.share() - 1.0 })
        })
        .collect()
}

/// Ranking-weighted ensemble (Feurer et al., "Practical transfer learning for Bayesian optimization", 2018).
///
/// A member's weight is the share of `count` posterior draws at the target's rows in which it misorders the fewest pairs,
/// ties shared. The target is drawn by five-fold cross-validation from five observations on; before, its loss is n^2. A
/// source is dropped when its median loss exceeds the 95th percentile of the target's. Draws use standard deviations,
/// their own quasi-random numbers, and rows independently of each other. Without observations sources weigh the same.
///
/// # Errors
/// `Shape` for lengths that differ, and whatever a member reports.
pub fn rgpe_weights(
    sources: &[Arc<dyn Posterior>],
    rows: &Rows,
    losses: &[f64],
    fit_target: &FitPart<'_>,
    count: usize,
    seed: u64,
) -> Result<TransferWeights, SurrogateError> {
    check_lengths(rows, losses)?;
    let (observed, count) = (losses.len(), count.max(1));
    if observed == 0 {
        return Ok(equal_sources(sources.len()));
    }
    let mut misordered: Vec<Vec<usize>> = Vec::with_capacity(sources.len() + 1);
    for (index, source) in sources.iter().enumerate() {
        let prediction = source.predict(rows)?;
        let spread: Vec<f64> = prediction.variance.iter().map(|variance| variance.sqrt()).collect();
        let draws = normal_draws(count, observed, mix_seed(seed, index as u64))?;
        let drawn = draws.iter().map(|draw| -> Vec<f64> {
            (0..observed).map(|k| prediction.mean[k] + spread[k] * draw[k]).collect()
        });
        misordered.push(drawn.map(|values| discordant(&values, losses)).collect());
    }
    let validated = observed >= CROSS_VALIDATED_FROM;
    if validated {
        let draws = normal_draws(count, observed, mix_seed(seed, u64::MAX))?;
        let mut values = vec![vec![0.0; observed]; count];
        each_fold(rows, losses, fit_target, |model, held, part| {
            let prediction = model.predict(part)?;
            for (place, &index) in held.iter().enumerate() {
                for (draw, values) in draws.iter().zip(&mut values) {
                    let deviation = prediction.variance[place].sqrt();
                    // Folds have scales of their own; losses have one.
                    values[index] = model.to_loss(prediction.mean[place] + deviation * draw[index]);
                }
            }
            Ok(())
        })?;
        misordered.push(values.iter().map(|values| discordant(values, losses)).collect());
    } else {
        misordered.push(vec![observed * observed; count]);
    }
    let mut weights = vec![0.0; misordered.len()];
    for draw in 0..count {
        let least = misordered.iter().map(|member| member[draw]).min().unwrap_or(0);
        let winners: Vec<usize> =
            (0..weights.len()).filter(|&member| misordered[member][draw] == least).collect();
        for &winner in &winners {
            weights[winner] += 1.0 / winners.len() as f64;
        }
    }
    let target = weights.pop().unwrap_or(0.0);
    if validated {
        let mut target_losses = misordered.pop().unwrap_or_default();
        target_losses.sort_unstable();
        let limit = target_losses[((target_losses.len() - 1) as f64 * 0.95).round() as usize];
        for (weight, member) in weights.iter_mut().zip(&mut misordered) {
            member.sort_unstable();
            if member[(member.len() - 1) / 2] > limit {
                *weight = 0.0;
            }
        }
    }
    Ok(TransferWeights::normalized(weights, target))
}

/// Two-stage surrogate weights: `0.75 (1 - (d / 0.45)^2)` for a source with a share d of discordant pairs below 0.45,
/// zero beyond, and 0.75 for the target (Wistuba, Schilling and Schmidt-Thieme, "Two-stage transfer surrogate model",
/// ECML 2016, with the ranking distance). Combine with [`crate::Combination::TargetVariance`].
///
/// # Errors
/// `Shape` for lengths that differ, and whatever a source reports.
pub fn two_stage_weights(
    sources: &[Arc<dyn Posterior>],
    rows: &Rows,
    losses: &[f64],
) -> Result<TransferWeights, SurrogateError> {
    check_lengths(rows, losses)?;
    let mut weights = Vec::with_capacity(sources.len());
    for source in sources {
        let score = pairwise_score(&source.predict_mean(rows)?, losses);
        let distance = if score.pairs == 0 { 0.0 } else { 1.0 - score.share() } / TWO_STAGE_BANDWIDTH;
        weights.push(TWO_STAGE_TARGET * (1.0 - distance * distance).max(0.0));
    }
    Ok(TransferWeights::normalized(weights, TWO_STAGE_TARGET))
}

/// Product-of-experts weights: one half for the target, the other shared equally by the sources (Schilling, Wistuba and
/// Schmidt-Thieme, "Scalable hyperparameter optimization with products of Gaussian process experts", ECML 2016). Combine
/// with [`crate::Combination::ProductOfExperts`].
pub fn uniform_expert_weights(sources: usize) -> TransferWeights {
    TransferWeights::normalized(vec![0.5 / sources.max(1) as f64; sources], 0.5)
}

/// `TransBO` weights: on the simplex they minimize `sum ln(1 + exp(f_i - f_j))` over the pairs with `y_i < y_j`, for the
/// weighted means f (Li et al., "`TransBO`: hyperparameter optimization via two-phase transfer learning", KDD 2022).
///
/// The target's column is its five-fold cross-validated mean; below five observations only sources count. From ten
/// observations on the target's share is at least 0.3 and at least `previous_share`, the share of the step before. The
/// simplex is parametrized by a softmax.
///
/// # Errors
/// `Shape` for lengths that differ, and whatever a member reports.
pub fn trans_bo_weights(
    sources: &[Arc<dyn Posterior>],
    target: &dyn Posterior,
    rows: &Rows,
    losses: &[f64],
    fit_target: &FitPart<'_>,
    previous_share: Option<f64>,
) -> Result<TransferWeights, SurrogateError> {
    check_lengths(rows, losses)?;
    let observed = losses.len();
    if observed == 0 {
        return Ok(equal_sources(sources.len()));
    }
    let mut columns: Vec<Vec<f64>> = Vec::with_capacity(sources.len() + 1);
    for source in sources {
        columns.push(source.predict_mean(rows)?);
    }
    let validated = observed >= CROSS_VALIDATED_FROM;
    if validated {
        let mut means = vec![0.0; observed];
        each_fold(rows, losses, fit_target, |model, held, part| {
            for (mean, &index) in model.predict_mean(part)?.into_iter().zip(held) {
                means[index] = target.to_model_scale(model.to_loss(mean));
            }
            Ok(())
        })?;
        columns.push(means);
    }
    if columns.is_empty() {
        return Ok(TransferWeights { sources: Vec::new(), target: 1.0 });
    }
    let pairs: Vec<(usize, usize)> = (0..observed)
        .flat_map(|i| (0..observed).map(move |j| (i, j)))
        .filter(|&(i, j)| losses[i] < losses[j])
        .collect();
    let start = vec![0.0; columns.len()];
    let found =
        minimize(|theta| ranking_loss(&columns, &pairs, theta), &start, None, &MinimizeOptions::default());
    let mut weights = softmax(&found.point);
    let mut share = if validated { weights.pop().unwrap_or(0.0) } else { 0.0 };
    if observed >= LEAST_SHARE_FROM {
        let least = LEAST_TARGET_SHARE.max(previous_share.unwrap_or(0.0)).min(1.0);
        if share < least {
            let total: f64 = weights.iter().sum();
            for weight in &mut weights {
                *weight *= (1.0 - least) / total.max(f64::MIN_POSITIVE);
            }
            share = least;
        }
    }
    Ok(TransferWeights::normalized(weights, share))
}

/// Mean logistic loss over pairs with its gradient by the softmax parameters.
fn ranking_loss(columns: &[Vec<f64>], pairs: &[(usize, usize)], theta: &[f64]) -> (f64, Vec<f64>) {
    let weights = softmax(theta);
    let mut by_weight = vec![0.0; weights.len()];
    let mut loss = 0.0;
    for &(better, worse) in pairs {
        let gap: f64 = columns
            .iter()
            .zip(&weights)
            .map(|(column, weight)| weight * (column[better] - column[worse]))
            .sum();
        loss += boxwood_numeric::softplus(gap);
        let slope = 1.0 / (1.0 + (-gap).exp());
        for (sum, column) in by_weight.iter_mut().zip(columns) {
            *sum += slope * (column[better] - column[worse]);
        }
    }
    let share = 1.0 / pairs.len().max(1) as f64;
    let average: f64 = by_weight.iter().zip(&weights).map(|(part, weight)| part * weight).sum();
    let gradient = by_weight.iter().zip(&weights).map(|(part, weight)| share * weight * (part - average));
    (share * loss, gradient.collect())
}

fn softmax(theta: &[f64]) -> Vec<f64> {
    let highest = theta.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = theta.iter().map(|value| (value - highest).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|power| power / total).collect()
}

fn equal_sources(count: usize) -> TransferWeights {
    TransferWeights::normalized(vec![1.0; count], if count == 0 { 1.0 } else { 0.0 })
}

fn check_lengths(rows: &Rows, losses: &[f64]) -> Result<(), SurrogateError> {
    if rows.len() == losses.len() {
        return Ok(());
    }
    Err(SurrogateError::Shape { what: "losses", expected: rows.len(), found: losses.len() })
}

/// Pairs that a prediction orders otherwise than the losses.
fn discordant(predicted: &[f64], losses: &[f64]) -> usize {
    let score = pairwise_score(predicted, losses);
    score.pairs - score.preserved
}

/// `(count, width)` quasi-random standard normal numbers.
fn normal_draws(count: usize, width: usize, seed: u64) -> Result<Rows, SurrogateError> {
    let mut draws = Rows::new(width);
    for unit in sobol_rows(count, width, seed)?.iter() {
        let row: Vec<f64> = unit.iter().map(|&u| normal_quantile(u.clamp(1e-9, 1.0 - 1e-9))).collect();
        draws.push_row(&row)?;
    }
    Ok(draws)
}

/// Fits the target without each fold and hands over the model, the fold's indices and its rows.
fn each_fold(
    rows: &Rows,
    losses: &[f64],
    fit: &FitPart<'_>,
    mut visit: impl FnMut(&dyn Posterior, &[usize], &Rows) -> Result<(), SurrogateError>,
) -> Result<(), SurrogateError> {
    for fold in 0..FOLDS {
        let (held, kept): (Vec<usize>, Vec<usize>) =
            (0..losses.len()).partition(|index| index % FOLDS == fold);
        let kept_losses: Vec<f64> = kept.iter().map(|&index| losses[index]).collect();
        let model = fit(&rows.select(&kept), &kept_losses)?;
        visit(model.as_ref(), &held, &rows.select(&held))?;
    }
    Ok(())
}
