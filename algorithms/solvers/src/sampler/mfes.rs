//! Points from all rungs at once: an autoregressive chain, or the multi-fidelity ensemble of MFES-HB (Li et al., 2021).
//!
//! Deviations from the paper: the chain of processes is the default, because it was ahead on four of five problems
//! (docs/decisions/2026-11-26-chain-of-fidelities.md); the model is used as soon as one rung has enough results, with the
//! incumbent taken as the best predicted mean over all observed points (the paper draws at random while the top rung is
//! empty); an ensemble's weights are those of the present data, not those of the last cycle, so that nothing needs to be
//! remembered.

use std::sync::Arc;

use boxwood_acquisition::{Acquisition, Constrained, Feasibility, LogExpectedImprovement, noisy_incumbent};
use boxwood_core::{Problem, Rung, Seed, Signal, SolverError, StudyView, TrialView, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{Combination, Posterior};
use rand::RngExt;

use super::gp::{GpSampler, one_objective};
use super::levels::{Caches, Combine, Levels, MEMBER_FROM, Surrogate, Weighting};
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
    ParameterInfo {
        name: "rung_model",
        kind: ParameterKind::Choice { default: "auto", choices: &["auto", "process", "forest"] },
        meaning: "What an ensemble has at each rung: Gaussian processes, random forests, or by auto a forest from 150 results \
                  on. A chain is made of processes.",
    },
];

/// One model per rung; with a single rung it is the Gaussian process sampler.
#[derive(Debug)]
pub(crate) struct MfesSampler {
    design: Design,
    combine: Combine,
    single: GpSampler,
    caches: Caches,
    /// Fits of constraints.
    limits: Caches,
}

impl MfesSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let design = Design::read(parameters)?;
        let weighting = match parameters.choice("weights")? {
            "ranks" => Weighting::Ranks,
            _ => Weighting::Draws,
        };
        let surrogate = match parameters.choice("rung_model")? {
            "process" => Surrogate::Process,
            "forest" => Surrogate::Forest,
            _ => Surrogate::BySize,
        };
        let combine = match parameters.choice("combination")? {
            "independent_sum" => Combine::Weighted(Combination::IndependentSum, weighting, surrogate),
            "product_of_experts" => Combine::Weighted(Combination::ProductOfExperts, weighting, surrogate),
            _ => Combine::Chain,
        };
        let single = GpSampler::new(Design { random_fraction: 0.0, ..design });
        Ok(Self { design, combine, single, caches: Caches::new(), limits: Caches::new() })
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

/// Rows at which every constraint is predicted to hold at the top rung.
fn holding(rows: &Rows, limits: &[Arc<dyn Posterior>]) -> Result<Rows, SolverError> {
    let mut holds = vec![true; rows.len()];
    for limit in limits {
        let bound = limit.to_model_scale(0.0);
        let means = limit.predict_mean(rows).map_err(|error| numeric(&error))?;
        holds.iter_mut().zip(means).for_each(|(hold, mean)| *hold &= mean <= bound);
    }
    let kept: Vec<usize> = (0..rows.len()).filter(|index| holds[*index]).collect();
    Ok(rows.select(&kept))
}

/// How many entries each one is worse than: less broken comes first, then less loss.
fn places(broken: &[f64], losses: &[f64]) -> Vec<f64> {
    let is_better =
        |a: usize, b: usize| broken[a].total_cmp(&broken[b]).then(losses[a].total_cmp(&losses[b])).is_lt();
    let entries = 0..losses.len();
    entries.clone().map(|own| entries.clone().filter(|other| is_better(*other, own)).count() as f64).collect()
}

impl Sampler for MfesSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        one_objective(problem)
    }

    fn tells(&self, problem: &Problem, signal: Signal) -> Result<(), String> {
        if problem.ladder().len() == 1 {
            return self.single.tells(problem, signal);
        }
        match signal {
            Signal::ExpectedImprovement => self.design.models(),
            Signal::RegretBound if self.combine == Combine::Chain => self.design.models(),
            Signal::RegretBound => {
                Err("combination: the deviations of an ensemble are those of no posterior; chain has one"
                    .into())
            }
        }
    }

    fn starts_from_default(&self, _problem: &Problem) -> bool {
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
        let mut fitted: Option<(Levels, Vec<Levels>)> = None;
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            if fitted.is_none() {
                let levels = Levels::fit(problem, request.history, self.combine, &self.caches)?;
                let limits = (0..problem.constraints().len())
                    .map(|index| levels.constraint(problem, index, self.combine, &self.limits));
                let limits = limits.collect::<Result<_, _>>()?;
                fitted = Some((levels, limits));
            }
            let (levels, limits) = fitted.as_ref().expect("fitted just above");
            // What the model cannot foresee is looked for at random, where the design does not do that already.
            let doubt = 1.0 - levels.foresight().unwrap_or(1.0);
            if seed.derive("doubt", 0).rng().random::<f64>() < doubt {
                return Ok(None);
            }
            let posterior = levels.posterior(request.history, chosen, width)?;
            let bounding = limits.iter().map(|limit| limit.posterior(request.history, chosen, width));
            let bounding = bounding.collect::<Result<Vec<_>, _>>()?;
            let holding = holding(&levels.observed(width)?, &bounding)?;
            let incumbent = noisy_incumbent(posterior.as_ref(), &holding).map_err(|error| numeric(&error))?;
            let improvement =
                incumbent.map(|best| LogExpectedImprovement::new(posterior.as_ref(), best.value));
            let mut feasibility = Feasibility::new();
            for limit in &bounding {
                feasibility = feasibility.with_constraint(limit.as_ref(), 0.0);
            }
            let objective = improvement.as_ref().map(|improvement| improvement as &dyn Acquisition);
            let constrained = Constrained::new(objective, &feasibility);
            let acquisition = match objective {
                Some(objective) if feasibility.is_empty() => objective,
                None if feasibility.is_empty() => return Ok(None),
                _ => &constrained,
            };
            let size = levels.largest() as f64 * ((1 + limits.len()) as f64).sqrt();
            let budget = self.design.budget(size as usize, width);
            let found = best_unknown(acquisition, &space, &levels.starts(width)?, &budget, seed, known)?;
            Ok(found.map(|candidate| Proposal {
                prediction: predict_loss(posterior.as_ref(), &candidate.row),
                acquisition: Some(candidate.value),
                log_improvement: objective.map(|_| candidate.value),
                regret_bound: levels
                    .evidence(request.history, limits)
                    .and_then(|evidence| evidence.regret_bound(&space, &budget, seed)),
                model: Some(Self::text(levels, request.view)),
                row: candidate.row,
                sampler: "mfes",
                parent: None,
            }))
        };
        let mut proposals = mix(request, known, &self.design, ready, &mut pick)?;
        if let Some((levels, _)) = fitted {
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
        let losses = levels.expected(&rows).ok()?;
        let constraints = view.problem().constraints().len();
        if constraints == 0 {
            return Some(losses);
        }
        let mut broken = vec![0.0; losses.len()];
        for index in 0..constraints {
            let limit = levels.constraint(view.problem(), index, self.combine, &self.limits).ok()?;
            let violation = limit.expected_violation(&rows).ok()?;
            broken.iter_mut().zip(violation).for_each(|(sum, part)| *sum += part);
        }
        Some(places(&broken, &losses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_constraints_comes_before_what_is_better() {
        assert_eq!(places(&[1.0, 0.0, 0.0, 2.0], &[0.0, 5.0, 4.0, 9.0]), [2.0, 1.0, 0.0, 3.0]);
        assert_eq!(places(&[0.0, 0.0], &[1.0, 1.0]), [0.0, 0.0]);
    }
}
