//! The multi-fidelity ensemble surrogate of MFES-HB (Li et al., 2021).
//!
//! One base surrogate per rung on all results at that rung, a Gaussian process below [`FOREST_FROM`] results and a
//! forest beyond; a product of experts weighted by the pairs of top-rung results that each member orders rightly. Two
//! deviations from the paper: the ensemble is used as soon as one rung has enough results, with the incumbent taken as
//! the best ensemble mean over all observed points (the paper draws at random while the top rung is empty); weights are
//! those of the present data, not those of the last cycle, so that nothing needs to be remembered.

use std::sync::Arc;

use boxwood_acquisition::{LogExpectedImprovement, noisy_incumbent};
use boxwood_core::{Problem, Rung, Seed, SolverError, StudyView, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{
    Combination, Ensemble, GpCache, GpModel, Layout, Posterior, RankWeights, SurrogateError, rank_weights,
};

use super::forest::fit_believing;
use super::gp::{GpSampler, believed, fit, one_objective};
use super::model::{Candidates, Design, Training, best_unknown, layout, mix, numeric, predict_loss};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::{History, Known};
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Results from which a rung's base surrogate is a forest.
const FOREST_FROM: usize = 150;
/// Fewest results of a rung that takes part.
const MEMBER_FROM: usize = 3;
/// Top-rung results from which brackets are chosen by weight instead of in turn.
const CHOOSE_FROM: usize = 10;

/// Parameters of the ensemble.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "random_fraction",
        kind: ParameterKind::Number { default: 0.3, low: 0.0, high: 1.0 },
        meaning: "Share of points drawn at random once the model is used; not used with a single rung.",
    },
    ParameterInfo {
        name: "combination",
        kind: ParameterKind::Choice {
            default: "product_of_experts",
            choices: &["product_of_experts", "independent_sum"],
        },
        meaning: "How the rungs' models are combined.",
    },
];

/// Ensemble of one surrogate per rung; with a single rung it is the Gaussian process sampler.
#[derive(Debug)]
pub(crate) struct MfesSampler {
    design: Design,
    combination: Combination,
    single: GpSampler,
    /// Fits of the rungs.
    cache: GpCache,
    /// Fits of the top rung's cross-validation; apart, so that neither drives the other out.
    fold_cache: GpCache,
}

impl MfesSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let design = Design::read(parameters)?;
        let combination = match parameters.choice("combination")? {
            "independent_sum" => Combination::IndependentSum,
            _ => Combination::ProductOfExperts,
        };
        let single = GpSampler::new(Design { random_fraction: 0.0, ..design });
        Ok(Self { design, combination, single, cache: GpCache::new(), fold_cache: GpCache::new() })
    }

    fn fit_member(
        layout: &Layout,
        rows: &Rows,
        losses: &[f64],
        problem: &Problem,
        rung: usize,
        cache: &GpCache,
    ) -> Result<Base, SurrogateError> {
        if rows.len() < FOREST_FROM {
            let cache = Some(cache);
            return fit(layout, rows, losses, problem, &format!("rung {rung}"), cache)
                .map(|model| Base::Process(Box::new(model)));
        }
        let seed = Seed(problem.seed()).derive("forest", rung as u64);
        Ok(Base::Forest { layout: layout.clone(), rows: rows.clone(), losses: losses.to_vec(), seed })
    }

    /// Base surrogates of all rungs and their weights.
    fn fit_levels(&self, problem: &Problem, history: &History<'_>) -> Result<Levels, SolverError> {
        let layout = layout(problem.space());
        let mut training = Vec::with_capacity(history.levels.len());
        let mut bases = Vec::with_capacity(history.levels.len());
        for (rung, level) in history.levels.iter().enumerate() {
            let data = Training::new(level, layout.len())?;
            let enough = data.measured >= MEMBER_FROM;
            let base = enough
                .then(|| Self::fit_member(&layout, &data.rows, &data.losses, problem, rung, &self.cache))
                .transpose();
            bases.push(base.map_err(|error| numeric(&error))?);
            training.push(data);
        }
        let none = Rows::new(layout.len());
        let members: Result<Vec<_>, SurrogateError> =
            bases.iter().map(|base| base.as_ref().map(|base| base.believing(&none)).transpose()).collect();
        let members = members.map_err(|error| numeric(&error))?;
        let top = training.len() - 1;
        let fit_top = |rows: &Rows, losses: &[f64]| {
            Self::fit_member(&layout, rows, losses, problem, top, &self.fold_cache)?
                .believing(&Rows::new(layout.len()))
        };
        let data = &training[top];
        let weights = rank_weights(&members, &data.measured_rows(), data.measured_losses(), &fit_top, None)
            .map_err(|error| numeric(&error))?;
        Ok(Levels { training, bases, weights })
    }
}

/// A rung's base surrogate before anything is believed.
enum Base {
    Process(Box<GpModel>),
    Forest { layout: Layout, rows: Rows, losses: Vec<f64>, seed: Seed },
}

impl Base {
    fn believing(&self, pending: &Rows) -> Result<Arc<dyn Posterior>, SurrogateError> {
        match self {
            Self::Process(model) => believed(model, pending),
            Self::Forest { layout, rows, losses, seed } => {
                Ok(Arc::new(fit_believing(layout, rows, losses, pending, *seed)?))
            }
        }
    }
}

/// All rungs of one plan.
struct Levels {
    training: Vec<Training>,
    bases: Vec<Option<Base>>,
    weights: RankWeights,
}

impl Levels {
    /// Fits the ensemble with pending and chosen rows believed at every rung that has not measured them.
    fn ensemble(
        &self,
        history: &History<'_>,
        chosen: &[Vec<f64>],
        width: usize,
        combination: Combination,
    ) -> Result<Ensemble, SolverError> {
        let mut members = Vec::new();
        for (rung, (base, weight)) in self.bases.iter().zip(&self.weights.weights).enumerate() {
            let Some(base) = base else { continue };
            let waiting = history.pending.iter().filter(|trial| trial.result(Rung(rung as u32)).is_none());
            let rows: Vec<&[f64]> = waiting
                .map(|trial| trial.encoded.as_slice())
                .chain(chosen.iter().map(Vec::as_slice))
                .collect();
            let rows = Rows::from_rows(width, &rows).map_err(|error| numeric(&error))?;
            members.push((base.believing(&rows).map_err(|error| numeric(&error))?, *weight));
        }
        Ensemble::new(members, combination).map_err(|error| numeric(&error))
    }

    /// Measured rows of all rungs that take part.
    fn observed(&self, width: usize) -> Result<Rows, SolverError> {
        let mut rows = Rows::new(width);
        for (training, _) in self.training.iter().zip(&self.bases).filter(|(_, base)| base.is_some()) {
            rows.push_rows(&training.measured_rows()).map_err(|error| numeric(&error))?;
        }
        Ok(rows)
    }

    /// Best rows of every rung, the highest rung first.
    fn starts(&self, width: usize) -> Result<Rows, SolverError> {
        let mut rows = Rows::new(width);
        for training in self.training.iter().rev() {
            rows.push_rows(&training.best_rows()).map_err(|error| numeric(&error))?;
        }
        let kept: Vec<usize> = (0..rows.len().min(24)).collect();
        Ok(rows.select(&kept))
    }

    fn text(&self, view: &StudyView) -> String {
        let ladder = view.problem().ladder();
        let part =
            |(rung, weight): (usize, &f64)| format!("{}: {weight:.2}", ladder.resource(Rung(rung as u32)).0);
        let parts: Vec<String> = self.weights.weights.iter().enumerate().map(part).collect();
        format!("ensemble over {} ({})", ladder.resource_name(), parts.join(", "))
    }
}

impl Sampler for MfesSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        if !problem.constraints().is_empty() && problem.ladder().len() > 1 {
            return Err("constraints: the ensemble does not model them, use `asha` with sampler `gp`".into());
        }
        one_objective(problem)
    }

    fn starts_from_default(&self) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        if problem.ladder().len() == 1 {
            return self.single.propose(request, known);
        }
        let space = Candidates::new(problem.space());
        let width = space.layout().len();
        let wanted = self.design.initial(problem).div_ceil(2).max(MEMBER_FROM);
        let ready = request.history.levels.iter().any(|level| level.entries.len() >= wanted);
        let mut levels: Option<Levels> = None;
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            if levels.is_none() {
                levels = Some(self.fit_levels(problem, request.history)?);
            }
            let levels = levels.as_ref().expect("fitted just above");
            let ensemble = levels.ensemble(request.history, chosen, width, self.combination)?;
            let incumbent = noisy_incumbent(&ensemble, &levels.observed(width)?);
            let Some(incumbent) = incumbent.map_err(|error| numeric(&error))? else { return Ok(None) };
            let acquisition = LogExpectedImprovement::new(&ensemble, incumbent.value);
            let largest = levels.training.iter().map(|training| training.measured).max().unwrap_or(0);
            let budget = self.design.budget(largest, width);
            let found = best_unknown(&acquisition, &space, &levels.starts(width)?, &budget, seed, known)?;
            Ok(found.map(|candidate| Proposal {
                prediction: predict_loss(&ensemble, &candidate.row),
                acquisition: Some(candidate.value),
                model: Some(levels.text(request.view)),
                row: candidate.row,
                sampler: "mfes",
            }))
        };
        let mut proposals = mix(request, known, &self.design, ready, &mut pick)?;
        if let Some(levels) = levels {
            for (rung, weight) in levels.weights.weights.iter().enumerate() {
                proposals.numbers.push((format!("weight_rung_{rung}"), *weight));
            }
        }
        Ok(proposals)
    }

    /// Hyper-Tune's bracket choice (Li et al., 2022): `w_i = theta_i / r_i`, normalized by its user. Here `theta` are
    /// the ensemble's rank weights, where the paper counts posterior draws.
    fn rung_weights(&self, view: &StudyView, history: &History<'_>, _seed: Seed) -> Option<Vec<f64>> {
        let top = history.levels.last()?;
        if history.levels.len() < 2 || top.entries.len() < CHOOSE_FROM {
            return None;
        }
        let levels = self.fit_levels(view.problem(), history).ok()?;
        let ladder = view.problem().ladder();
        let weight = |(rung, weight): (usize, &f64)| weight / ladder.resource(Rung(rung as u32)).0 as f64;
        Some(levels.weights.weights.iter().enumerate().map(weight).collect())
    }
}
