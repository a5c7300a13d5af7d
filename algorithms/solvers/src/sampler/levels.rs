//! The models of all rungs of one plan, and their combination into a prediction of the top one.

use std::sync::Arc;

use boxwood_core::{Problem, Rung, Seed, SolverError};
use boxwood_numeric::{NumericError, Rows};
use boxwood_surrogate::{
    ChainLevel, Combination, Ensemble, FidelityChain, GpCache, GpModel, GpOptions, Layout, Posterior,
    SurrogateError, initial_rank_weights, rank_weights, rgpe_weights,
};

use super::forest::fit_believing;
use super::gp::{believed, fit};
use super::model::{Training, layout, numeric};
use super::regret::{Evidence, caution};
use crate::history::History;

/// Results from which a rung's base surrogate in an ensemble is a forest.
const FOREST_FROM: usize = 150;
/// Results of a rung that the hyperparameters of its process in a chain come from; later ones are added as they come.
const CHAIN_ROWS: usize = 300;
/// Posterior draws per rung behind an ensemble's weights.
const DRAWS: usize = 64;
/// Fewest results of a rung that takes part.
pub(super) const MEMBER_FROM: usize = 3;

/// How the rungs' models are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Combine {
    /// Each rung's process learns what the one below leaves over.
    Chain,
    /// One surrogate per rung, each with a weight.
    Weighted(Combination, Weighting, Surrogate),
}

/// What an ensemble has at each rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surrogate {
    /// A process below [`FOREST_FROM`] results, else a forest.
    BySize,
    Process,
    Forest,
}

/// What an ensemble's weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weighting {
    /// How often a posterior draw of the rung orders the top rung's results best (Hyper-Tune, Li et al., 2022).
    Draws,
    /// The cubed share of pairs of the top rung's results that the rung's means order rightly (MFES-HB, Li et al., 2021).
    Ranks,
}

/// Fits that are kept between plans; each kind apart, so that none drives another out.
#[derive(Debug)]
pub(super) struct Caches {
    /// Fits of the rungs alone.
    alone: GpCache,
    /// Fits of a chain's residuals.
    residuals: GpCache,
    /// Fits of the top rung's cross-validation.
    folds: GpCache,
}

impl Caches {
    pub(super) fn new() -> Self {
        Self { alone: GpCache::new(), residuals: GpCache::new(), folds: GpCache::new() }
    }
}

/// A rung's surrogate in an ensemble before anything is believed.
enum Base {
    Process(Box<GpModel>),
    Forest { layout: Layout, rows: Rows, losses: Vec<f64>, seed: Seed },
}

impl Base {
    fn fit(
        layout: &Layout,
        rows: &Rows,
        losses: &[f64],
        problem: &Problem,
        rung: usize,
        surrogate: Surrogate,
        cache: &GpCache,
    ) -> Result<Self, SurrogateError> {
        let small = rows.len() < FOREST_FROM;
        if surrogate == Surrogate::Process || small && surrogate == Surrogate::BySize {
            return fit(layout, rows, losses, problem, &format!("rung {rung}"), Some(cache))
                .map(|model| Self::Process(Box::new(model)));
        }
        let seed = Seed(problem.seed()).derive("forest", rung as u64);
        Ok(Self::Forest { layout: layout.clone(), rows: rows.clone(), losses: losses.to_vec(), seed })
    }

    fn believing(&self, pending: &Rows) -> Result<Arc<dyn Posterior>, SurrogateError> {
        match self {
            Self::Process(model) => believed(model, pending),
            Self::Forest { layout, rows, losses, seed } => {
                Ok(Arc::new(fit_believing(layout, rows, losses, pending, *seed)?))
            }
        }
    }
}

/// What predicts the top rung.
enum Model {
    Chain {
        chain: FidelityChain,
        /// Share of the variance at its lowest rung that is predicted when each result is left out in turn.
        foresight: f64,
    },
    Weighted {
        /// One per rung, none where it has too few results.
        bases: Vec<Option<Base>>,
        combination: Combination,
    },
}

/// All rungs of one plan.
pub(super) struct Levels {
    training: Vec<Training>,
    /// One per rung, summing to one: weights in an ensemble, or equal shares of a chain's links.
    pub(super) weights: Vec<f64>,
    /// Rungs that have too few results to say anything about.
    unknown: Vec<bool>,
    model: Model,
}

impl Levels {
    /// Fits the loss at all rungs.
    pub(super) fn fit(
        problem: &Problem,
        history: &History<'_>,
        combine: Combine,
        caches: &Caches,
    ) -> Result<Self, SolverError> {
        let width = problem.space().dimensions().len();
        let training = history.levels.iter().map(|level| Training::new(level, width));
        Self::of(problem, training.collect::<Result<_, _>>()?, combine, caches)
    }

    /// Fits a constraint's violation at all rungs where these are those of the loss.
    pub(super) fn constraint(
        &self,
        problem: &Problem,
        index: usize,
        combine: Combine,
        caches: &Caches,
    ) -> Result<Self, SolverError> {
        let training = self.training.iter().map(|training| training.of_constraint(index)).collect();
        Self::of(problem, training, combine, caches)
    }

    fn of(
        problem: &Problem,
        training: Vec<Training>,
        combine: Combine,
        caches: &Caches,
    ) -> Result<Self, SolverError> {
        let layout = layout(problem.space());
        let unknown: Vec<bool> = training.iter().map(|data| data.measured < MEMBER_FROM).collect();
        let (weights, model) = match combine {
            Combine::Chain => chain(&layout, problem, &training, caches),
            Combine::Weighted(combination, weighting, surrogate) => {
                let weights = weighted(&layout, problem, &training, weighting, surrogate, caches);
                weights.map(|(weights, bases)| (weights, Model::Weighted { bases, combination }))
            }
        }
        .map_err(|error| numeric(&error))?;
        Ok(Self { training, weights, unknown, model })
    }

    /// The prediction of the top rung with pending and chosen rows believed.
    pub(super) fn posterior(
        &self,
        history: &History<'_>,
        chosen: &[Vec<f64>],
        width: usize,
    ) -> Result<Arc<dyn Posterior>, SolverError> {
        let waiting = |rung: Option<Rung>| {
            let open =
                history.pending.iter().filter(|trial| rung.is_none_or(|rung| trial.result(rung).is_none()));
            let rows: Vec<&[f64]> =
                open.map(|trial| trial.encoded.as_slice()).chain(chosen.iter().map(Vec::as_slice)).collect();
            Rows::from_rows(width, &rows)
        };
        self.believing(&waiting).map_err(|error| numeric(&error))
    }

    /// The prediction of the top rung that believes its own means at rows: those of one rung, or of all for a chain.
    fn believing(
        &self,
        rows: &dyn Fn(Option<Rung>) -> Result<Rows, NumericError>,
    ) -> Result<Arc<dyn Posterior>, SurrogateError> {
        match &self.model {
            Model::Chain { chain, .. } => Ok(Arc::new(chain.append_believed(&rows(None)?)?)),
            Model::Weighted { bases, combination } => {
                let mut members = Vec::new();
                for (rung, (base, weight)) in bases.iter().zip(&self.weights).enumerate() {
                    let Some(base) = base else { continue };
                    members.push((base.believing(&rows(Some(Rung(rung as u32)))?)?, *weight));
                }
                Ok(Arc::new(Ensemble::new(members, *combination)?))
            }
        }
    }

    /// Expected values at the top rung, on the model's scale.
    pub(super) fn expected(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        match &self.model {
            Model::Chain { chain, .. } => chain.predict_mean(rows),
            Model::Weighted { .. } => self.believing(&|_| Ok(Rows::new(rows.width())))?.predict_mean(rows),
        }
    }

    /// The same less a quantity's zero: by how much a constraint is expected to be broken where these are its violations.
    pub(super) fn expected_violation(&self, rows: &Rows) -> Result<Vec<f64>, SurrogateError> {
        let above_zero = |posterior: &dyn Posterior| {
            let zero = posterior.to_model_scale(0.0);
            Ok(posterior.predict_mean(rows)?.into_iter().map(|mean| (mean - zero).max(0.0)).collect())
        };
        match &self.model {
            Model::Chain { chain, .. } => above_zero(chain),
            Model::Weighted { .. } => above_zero(&*self.believing(&|_| Ok(Rows::new(rows.width())))?),
        }
    }

    /// Measured rows of all rungs that take part.
    pub(super) fn observed(&self, width: usize) -> Result<Rows, SolverError> {
        let mut rows = Rows::new(width);
        for (training, _) in self.training.iter().zip(&self.unknown).filter(|(_, unknown)| !**unknown) {
            rows.push_rows(&training.measured_rows()).map_err(|error| numeric(&error))?;
        }
        Ok(rows)
    }

    /// What bounds the regret of the best full result; none for an ensemble, or with too few full results.
    ///
    /// `limits` are the same of every constraint.
    pub(super) fn evidence<'a>(&'a self, history: &History<'_>, limits: &'a [Self]) -> Option<Evidence<'a>> {
        let chain = self.chain()?;
        let constraints = limits.iter().map(|limit| limit.chain().map(|chain| chain as &dyn Posterior));
        let constraints = constraints.collect::<Option<Vec<_>>>()?;
        let (top, unknown) = self.training.last().zip(self.unknown.last())?;
        let entries = history.levels.last().map_or(&[][..], |level| &level.entries);
        (!unknown).then(|| Evidence {
            objective: chain,
            constraints,
            feasible: top.best_feasible_rows(),
            results: self.largest(),
            caution: caution(chain, chain.noise_variance(), entries),
        })
    }

    /// Best rows of every rung, the highest rung first.
    pub(super) fn starts(&self, width: usize) -> Result<Rows, SolverError> {
        let mut rows = Rows::new(width);
        for training in self.training.iter().rev() {
            rows.push_rows(&training.best_rows()).map_err(|error| numeric(&error))?;
        }
        let kept: Vec<usize> = (0..rows.len().min(24)).collect();
        Ok(rows.select(&kept))
    }

    /// Number of results of the rung that has most.
    pub(super) fn largest(&self) -> usize {
        self.training.iter().map(|training| training.measured).max().unwrap_or(0)
    }

    /// Whether the rung's results are known to say nothing about the top.
    pub(super) fn is_misleading(&self, rung: usize) -> bool {
        !self.unknown[rung] && self.weights[rung] == 0.0
    }

    /// How well a chain knows results before they are measured, between 0 and 1; none for an ensemble.
    pub(super) fn foresight(&self) -> Option<f64> {
        match &self.model {
            Model::Chain { foresight, .. } => Some(*foresight),
            Model::Weighted { .. } => None,
        }
    }

    fn chain(&self) -> Option<&FidelityChain> {
        match &self.model {
            Model::Chain { chain, .. } => Some(chain),
            Model::Weighted { .. } => None,
        }
    }

    /// The model's kind, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self.model {
            Model::Chain { .. } => "chain",
            Model::Weighted { .. } => "ensemble",
        }
    }
}

type Combined = (Vec<f64>, Model);

fn chain(
    layout: &Layout,
    problem: &Problem,
    training: &[Training],
    caches: &Caches,
) -> Result<Combined, SurrogateError> {
    let mut rungs = Vec::new();
    let mut models: Vec<(Rows, GpModel, Option<GpModel>)> = Vec::new();
    for (rung, data) in training.iter().enumerate().filter(|(_, data)| data.measured >= MEMBER_FROM) {
        let (rows, losses, base) = data.growing(CHAIN_ROWS);
        let (first, purpose) = (rows.slice(0, base), format!("rung {rung}"));
        let model = fit(layout, &first, &losses[..base], problem, &purpose, Some(&caches.alone))?;
        models.push(if base == rows.len() {
            (rows, model, None)
        } else {
            let all = model.extend(&rows.slice(base, rows.len()), &losses)?;
            (rows, all, Some(model))
        });
        rungs.push(rung);
    }
    let levels: Vec<ChainLevel<'_>> =
        models.iter().map(|(rows, alone, base)| ChainLevel { rows, alone, base: base.as_ref() }).collect();
    let seed = Seed(problem.seed()).derive("chain", 0).0;
    let chain = FidelityChain::fit(&levels, &GpOptions::default(), seed, Some(&caches.residuals))?;
    let mut weights = vec![0.0; training.len()];
    for rung in &rungs[rungs.len() - chain.len()..] {
        weights[*rung] = 1.0 / chain.len() as f64;
    }
    let lowest = &models[models.len() - chain.len()].1;
    let foresight = explained(lowest);
    Ok((weights, Model::Chain { chain, foresight }))
}

/// Share of the variance of a process's values that it predicts when each is left out in turn, between 0 and 1.
fn explained(model: &GpModel) -> f64 {
    let (values, left_out) = (model.values(), model.leave_one_out());
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let total: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let missed: f64 =
        values.iter().zip(&left_out.mean).map(|(value, mean)| (value - mean) * (value - mean)).sum();
    if total > 0.0 { (1.0 - missed / total).clamp(0.0, 1.0) } else { 0.0 }
}

fn weighted(
    layout: &Layout,
    problem: &Problem,
    training: &[Training],
    weighting: Weighting,
    surrogate: Surrogate,
    caches: &Caches,
) -> Result<(Vec<f64>, Vec<Option<Base>>), SurrogateError> {
    let none = Rows::new(layout.len());
    let mut bases = Vec::with_capacity(training.len());
    let mut members = Vec::with_capacity(training.len());
    for (rung, data) in training.iter().enumerate() {
        let base = (data.measured >= MEMBER_FROM)
            .then(|| Base::fit(layout, &data.rows, &data.losses, problem, rung, surrogate, &caches.alone))
            .transpose()?;
        members.push(base.as_ref().map(|base| base.believing(&none)).transpose()?);
        bases.push(base);
    }
    let top = training.len() - 1;
    let known: Vec<bool> = members.iter().map(Option::is_some).collect();
    let fit_top = |rows: &Rows, losses: &[f64]| {
        Base::fit(layout, rows, losses, problem, top, surrogate, &caches.folds)?.believing(&none)
    };
    if !known[top] {
        return Ok((initial_rank_weights(&known), bases));
    }
    let data = &training[top];
    let (rows, losses) = (data.measured_rows(), data.measured_losses());
    if weighting == Weighting::Ranks {
        return Ok((rank_weights(&members, &rows, losses, &fit_top, None)?.weights, bases));
    }
    let below: Vec<Arc<dyn Posterior>> = members[..top].iter().flatten().map(Arc::clone).collect();
    let seed = Seed(problem.seed()).derive("weights", 0).0;
    let drawn = rgpe_weights(&below, &rows, losses, &fit_top, DRAWS, seed)?;
    let mut given = drawn.sources.into_iter();
    let mut weights: Vec<f64> =
        known[..top].iter().map(|known| if *known { given.next().unwrap_or(0.0) } else { 0.0 }).collect();
    weights.push(drawn.target);
    Ok((weights, bases))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use boxwood_numeric::sobol_rows;
    use boxwood_surrogate::GaussianProcess;

    #[test]
    fn foresight_is_high_on_a_smooth_function_and_low_on_noise() {
        let rows = sobol_rows(60, 2, 1).unwrap();
        let explained_of = |value: &dyn Fn(&[f64]) -> f64| {
            let losses: Vec<f64> = rows.iter().map(value).collect();
            let options = GpOptions::default();
            explained(&GaussianProcess::fit(&Layout::numeric(2), &rows, &losses, &options, 1).unwrap())
        };
        let smooth = explained_of(&|row| (3.0 * row[0]).sin() + row[1]);
        let noise = explained_of(&|row| (row[0] * 1e4).sin() * 1e4 % 1.0);
        assert!(smooth > 0.95 && noise < 0.3, "{smooth}, {noise}");
        assert_eq!(explained_of(&|_| 1.0), 0.0);
    }
}
