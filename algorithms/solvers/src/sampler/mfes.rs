//! Points from all rungs at once: an autoregressive chain, or the multi-fidelity ensemble of MFES-HB (Li et al., 2021).
//!
//! Deviations from the paper: the chain of processes is the default, because it was ahead on four of five problems
//! (docs/decisions/2026-11-26-chain-of-fidelities.md); the model is used as soon as one rung has enough results, with the
//! incumbent taken as the best predicted mean over all observed points (the paper draws at random while the top rung is
//! empty); an ensemble's weights are those of the present data, not those of the last cycle, so that nothing needs to be
//! remembered.

use boxwood_acquisition::{LogExpectedImprovement, noisy_incumbent};
use boxwood_core::{Problem, Rung, Seed, SolverError, StudyView, TrialView, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::Combination;
use rand::RngExt;

use super::gp::{GpSampler, one_objective};
use super::levels::{Caches, Combine, Levels, MEMBER_FROM, Weighting};
use super::model::{Candidates, Design, best_unknown, mix, numeric, predict_loss};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::{History, Known};
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of the model over rungs.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "random_fraction",
        kind: ParameterKind::Number { default: 0.0, low: 0.0, high: 1.0 },
        meaning: "Share of points drawn at random once the model is used; not used with a single rung. Of the others, a \
                  chain draws the share that it does not foresee, by leave-one-out predictions at its lowest rung.",
    },
    ParameterInfo {
        name: "combination",
        kind: ParameterKind::Choice {
            default: "chain",
            choices: &["chain", "product_of_experts", "independent_sum"],
        },
        meaning: "How the rungs' models are combined: each on what the one below leaves over, or as a weighted ensemble.",
    },
    ParameterInfo {
        name: "weights",
        kind: ParameterKind::Choice { default: "draws", choices: &["draws", "ranks"] },
        meaning: "Weights of an ensemble: how often a rung's posterior draws order the top's results best, or MFES-HB's \
                  cubed shares of pairs in order. As published: combination product_of_experts, weights ranks, \
                  random_fraction 0.3.",
    },
];

/// One model per rung; with a single rung it is the Gaussian process sampler.
#[derive(Debug)]
pub(crate) struct MfesSampler {
    design: Design,
    combine: Combine,
    single: GpSampler,
    caches: Caches,
}

impl MfesSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let design = Design::read(parameters)?;
        let weighting = match parameters.choice("weights")? {
            "ranks" => Weighting::Ranks,
            _ => Weighting::Draws,
        };
        let combine = match parameters.choice("combination")? {
            "independent_sum" => Combine::Weighted(Combination::IndependentSum, weighting),
            "product_of_experts" => Combine::Weighted(Combination::ProductOfExperts, weighting),
            _ => Combine::Chain,
        };
        let single = GpSampler::new(Design { random_fraction: 0.0, ..design });
        Ok(Self { design, combine, single, caches: Caches::new() })
    }

    /// Whether a rung has enough results for the model to be used.
    fn is_ready(&self, problem: &Problem, history: &History<'_>) -> bool {
        let wanted = self.design.size(problem).div_ceil(2).max(MEMBER_FROM);
        history.levels.iter().any(|level| level.entries.len() >= wanted)
    }

    fn text(levels: &Levels, view: &StudyView) -> String {
        let ladder = view.problem().ladder();
        let part =
            |(rung, weight): (usize, &f64)| format!("{}: {weight:.2}", ladder.resource(Rung(rung as u32)).0);
        let parts: Vec<String> = levels.weights.iter().enumerate().map(part).collect();
        format!("{} over {} ({})", levels.kind(), ladder.resource_name(), parts.join(", "))
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
        let ready = self.is_ready(problem, request.history);
        let mut levels: Option<Levels> = None;
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            if levels.is_none() {
                levels = Some(Levels::fit(problem, request.history, self.combine, &self.caches)?);
            }
            let levels = levels.as_ref().expect("fitted just above");
            // What the model cannot foresee is looked for at random, where the design does not do that already.
            let doubt = 1.0 - levels.foresight().unwrap_or(1.0);
            if seed.derive("doubt", 0).rng().random::<f64>() < doubt {
                return Ok(None);
            }
            let posterior = levels.posterior(request.history, chosen, width)?;
            let incumbent = noisy_incumbent(posterior.as_ref(), &levels.observed(width)?);
            let Some(incumbent) = incumbent.map_err(|error| numeric(&error))? else { return Ok(None) };
            let acquisition = LogExpectedImprovement::new(posterior.as_ref(), incumbent.value);
            let budget = self.design.budget(levels.largest(), width);
            let found = best_unknown(&acquisition, &space, &levels.starts(width)?, &budget, seed, known)?;
            Ok(found.map(|candidate| Proposal {
                prediction: predict_loss(posterior.as_ref(), &candidate.row),
                acquisition: Some(candidate.value),
                log_improvement: Some(candidate.value),
                regret_bound: None,
                model: Some(Self::text(levels, request.view)),
                row: candidate.row,
                sampler: "mfes",
            }))
        };
        let mut proposals = mix(request, known, &self.design, ready, &mut pick)?;
        if let Some(levels) = levels {
            for (rung, weight) in levels.weights.iter().enumerate() {
                proposals.numbers.push((format!("weight_rung_{rung}"), *weight));
            }
        }
        Ok(proposals)
    }

    /// The top rung counts as much as all others together, a rung that says nothing about the top counts nothing.
    fn rung_weights(&self, view: &StudyView, history: &History<'_>) -> Option<Vec<f64>> {
        let rungs = history.levels.len();
        let mut weights = vec![1.0; rungs];
        *weights.last_mut()? = rungs.saturating_sub(1).max(1) as f64;
        if history.levels.last()?.entries.len() >= MEMBER_FROM {
            let levels = Levels::fit(view.problem(), history, self.combine, &self.caches).ok()?;
            for (rung, weight) in weights.iter_mut().enumerate().rev().skip(1) {
                if levels.is_misleading(rung) {
                    *weight = 0.0;
                }
            }
        }
        Some(weights)
    }

    fn forecast(&self, view: &StudyView, history: &History<'_>, trials: &[&TrialView]) -> Option<Vec<f64>> {
        if !self.is_ready(view.problem(), history) {
            return None;
        }
        let levels = Levels::fit(view.problem(), history, self.combine, &self.caches).ok()?;
        let rows: Vec<&[f64]> = trials.iter().map(|trial| trial.encoded.as_slice()).collect();
        let rows = Rows::from_rows(view.problem().space().dimensions().len(), &rows).ok()?;
        levels.expected(&rows).ok()
    }
}
