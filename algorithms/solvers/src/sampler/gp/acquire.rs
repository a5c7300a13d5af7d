//! From models to the next point.

use std::sync::Arc;

use boxwood_acquisition::{
    Acquisition, AcquisitionError, AugmentedChebyshev, Budget, Constrained, CostCooled, Feasibility,
    LocalPenalty, LogAverage, LogChebyshevImprovement, LogExpectedHypervolumeImprovement,
    LogExpectedImprovement, LogNoisyExpectedHypervolumeImprovement, LogNoisyExpectedImprovement,
    LogProbabilityOfImprovement, LowerConfidenceBound, MinValueEntropy, PriorBelief, PriorWeighted,
    PureExploration, candidate_rows, chebyshev_weights, contenders, lipschitz_estimate,
    most_uncertain_on_front, noisy_incumbent, thompson_choices, thompson_choices_multi,
};
use boxwood_core::{Seed, SolverError};
use boxwood_numeric::Rows;
use boxwood_surrogate::{GpModel, JointPosterior, Posterior};

use super::front::Front;
use super::line::{best_on_line, direction};
use super::models::{Fitting, Models, Target, pending};
use super::safe::SafeSet;
use super::settings::{Batch, Criterion, Subspace};
use crate::history::{Entry, Known};
use crate::sampler::Proposal;
use crate::sampler::model::{Candidates, Design, best_unknown, numeric, predict_loss};
use crate::sampler::regret::{Evidence, caution};

/// Improvement that the probability of improvement asks for, in deviations of the losses.
const IMPROVEMENT_MARGIN: f64 = 0.01;
/// Variance of the noise, relative to that of the losses, from which the improvement of one loss is averaged over what the
/// observed points may really be worth. On the suite `noisy` (3 seeds) this was better on four of five problems, without
/// noise it was worse on five of six of `single`; estimates are above 0.01 in the one and mostly below 1e-3 in the other.
const NOISY_VARIANCE: f64 = 0.01;
/// Joint draws of noisy acquisitions, and the most observed rows that they are drawn at.
const DRAWS: usize = 32;
const FRONT_DRAWS: usize = 16;
const CONTENDERS: usize = 24;
/// Deviations within which an observed row may still be the best.
const CONTENDER_WIDTH: f64 = 2.0;
/// Candidates of choices among a fixed set, and those that are looked at for one that is new.
const CHOICE_CANDIDATES: usize = 600;
const CHOICES: usize = 8;
/// Candidates on which fronts are sampled, and the number of samples.
const ENTROPY_CANDIDATES: usize = 300;
const ENTROPY_SAMPLES: usize = 8;
/// Multiplier of the upper confidence bound of a batch (Song et al., 2024).
const BATCH_MULTIPLIER: f64 = 1.8;
/// Rows on which the slope of the posterior mean is estimated.
const SLOPE_ROWS: usize = 128;

/// What a choice depends on beside the models.
pub(super) struct Choosing<'a> {
    pub(super) fitting: Fitting<'a>,
    pub(super) space: &'a Candidates<'a>,
    pub(super) design: &'a Design,
    pub(super) criterion: Criterion,
    pub(super) belief: Option<&'a PriorBelief>,
    /// Trials at which a belief has the power one.
    pub(super) belief_strength: f64,
    /// Power of the cost, between zero and one.
    pub(super) cost_exponent: f64,
    /// The user's reference point, losses.
    pub(super) reference: Option<Vec<f64>>,
    /// Whether the model of the one objective is one of full results.
    pub(super) bounds_regret: bool,
    /// Results of the rung that is modelled.
    pub(super) measured: &'a [Entry<'a>],
}

impl Choosing<'_> {
    /// The next row, or nothing when all rows that were looked at are known.
    pub(super) fn pick(
        &self,
        models: &Models,
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Proposal>, SolverError> {
        if let Some(rows) = self.choices(models, seed).map_err(|error| numeric(&error))? {
            let row = rows.iter().find(|row| !known.contains(row));
            return Ok(row.map(|row| self.proposal(models, row.to_vec(), seed)));
        }
        let scalar = self.scalarized(models, seed).map_err(|error| numeric(&error))?;
        // What earlier studies say is not drawn from.
        let own = scalar.as_ref().or(models.believing.first().map(AsRef::as_ref));
        let own = own.filter(|_| !models.counts_a_source());
        let alternatives =
            own.map_or(Ok(Vec::new()), GpModel::alternatives).map_err(|error| numeric(&error))?;
        let improvement = self
            .improvement(models, scalar.as_ref(), &alternatives, seed)
            .map_err(|error| numeric(&error))?;
        let mut feasibility = Feasibility::new();
        for constraint in &models.constraints {
            feasibility = feasibility.with_constraint(constraint.as_ref(), 0.0);
        }
        if let Some(failure) = &models.failure {
            feasibility = feasibility.with_constraint(failure, 0.0);
        }
        let penalized = match &improvement {
            Some(improvement) => {
                self.penalized(models, improvement.as_ref()).map_err(|error| numeric(&error))?
            }
            None => None,
        };
        let objective = penalized.as_ref().map(|penalized| penalized as &dyn Acquisition);
        let objective = objective.or(improvement.as_deref());
        let constrained = Constrained::new(objective, &feasibility);
        let unpenalized = Constrained::new(improvement.as_deref(), &feasibility);
        let mut acquisition: &dyn Acquisition = match objective {
            Some(objective) if feasibility.is_empty() => objective,
            _ => &constrained,
        };
        let cooled;
        if let Some(cost) = &models.cost {
            cooled = CostCooled::new(acquisition, cost, self.cost_exponent);
            acquisition = &cooled;
        }
        let weighted;
        if let Some(belief) = self.belief {
            weighted =
                PriorWeighted::new(acquisition, belief, self.belief_strength, models.observations.measured);
            acquisition = &weighted;
        }
        let budget = self.budget(models);
        let starts = models.starts().map_err(|error| numeric(&error))?;
        let settings = self.fitting.settings;
        let best = if let Some(probability) = settings.safe {
            SafeSet::new(probability, models)
                .best(acquisition, self.space, &budget, seed, known)
                .map_err(|error| numeric(&error))?
        } else {
            let on_line = self
                .direction(models, &starts, seed)
                .map_err(|error| numeric(&error))?
                .map(|direction| {
                    best_on_line(acquisition, self.space, starts.row(0), &direction, seed, known)
                })
                .transpose()
                .map_err(|error| numeric(&error))?
                .flatten();
            match on_line {
                Some(found) => Some(found),
                None => best_unknown(acquisition, self.space, &starts, &budget, seed, known)?,
            }
        };
        let Some(candidate) = best else { return Ok(None) };
        // What cost, beliefs and waiting points made of the improvement does not count as less of it.
        let expects = matches!(self.criterion_for(models), Criterion::LogEi | Criterion::NoisyEi);
        let log_improvement = match &improvement {
            Some(_) if expects => {
                let rows = Rows::from_rows(candidate.row.len(), &[&candidate.row]);
                let rows = rows.map_err(|error| numeric(&error))?;
                unpenalized.log_value(&rows).map_err(|error| numeric(&error))?.first().copied()
            }
            _ => None,
        };
        let proposal = self.proposal(models, candidate.row, seed);
        Ok(Some(Proposal { acquisition: Some(candidate.value), log_improvement, ..proposal }))
    }

    /// Work of a proposal. A candidate is scored by every model, so several count like more results.
    fn budget(&self, models: &Models) -> Budget {
        let size = models.observations.len() as f64 * (models.count() as f64).sqrt();
        self.design.budget(size as usize, self.space.layout().len())
    }

    /// Where the line through the best result leads; nothing where the whole space is searched.
    fn direction(
        &self,
        models: &Models,
        starts: &Rows,
        seed: Seed,
    ) -> Result<Option<Vec<f64>>, AcquisitionError> {
        let subspace = self.fitting.settings.subspace;
        if subspace == Subspace::Full || starts.is_empty() {
            return Ok(None);
        }
        let model = models.objectives.first().map(AsRef::as_ref);
        let slope = match model.filter(|_| subspace == Subspace::Descent) {
            Some(model) => model.predict_gradient(starts.row(0))?.map(|point| point.mean_gradient),
            None => None,
        };
        Ok(direction(subspace, self.space.layout(), starts.row(0), slope.as_deref(), seed))
    }

    /// A row with what the models say of it, but for its acquisition.
    fn proposal(&self, models: &Models, row: Vec<f64>, seed: Seed) -> Proposal {
        let measured = models.observations.measured;
        let (sampler, model) = match &models.learned {
            Some(learned) => ("transfer", learned.text(measured)),
            None => ("gp", format!("Gaussian process on {measured} results")),
        };
        let bound = self.bounds_regret.then(|| self.regret_bound(models, seed));
        Proposal {
            prediction: models.objectives.first().and_then(|model| predict_loss(model.as_ref(), &row)),
            regret_bound: bound.flatten(),
            model: Some(model),
            ..Proposal::plain(row, sampler)
        }
    }

    fn regret_bound(&self, models: &Models, seed: Seed) -> Option<f64> {
        let model = models.plain.first()?;
        let evidence = Evidence {
            objective: model,
            constraints: models.limits.iter().map(|limit| limit.as_ref() as &dyn Posterior).collect(),
            feasible: models.observations.best_feasible(),
            results: models.observations.measured,
            caution: caution(model, model.hyperparameters().noise_variance, self.measured),
        };
        evidence.regret_bound(self.space, &self.budget(models), seed)
    }

    /// The acquisition of the objectives, logarithmic but for bounds; nothing before the first feasible result.
    fn improvement<'a>(
        &self,
        models: &'a Models,
        scalar: Option<&'a GpModel>,
        alternatives: &'a [(GpModel, f64)],
        seed: Seed,
    ) -> Result<Option<Box<dyn Acquisition + 'a>>, AcquisitionError> {
        let feasible = models.feasible_rows();
        let scalar = scalar.map(|scalar| scalar as &dyn Posterior);
        let Some(first) = scalar.or(models.objectives.first().map(AsRef::as_ref)) else { return Ok(None) };
        // A believed result may be the one to beat; before any feasible result there is none.
        let mut seen = feasible.clone();
        if !feasible.is_empty() && self.fitting.batch == Batch::Believer {
            seen.push_rows(&models.promising_rows()?)?;
        }
        let Some(best) = noisy_incumbent(first, &seen)? else { return Ok(None) };
        let draw = seed.derive("draws", 0).0;
        let observed = &models.observations;
        Ok(Some(match self.criterion_for(models) {
            Criterion::ParEgo if models.counts_a_source() => Box::new(Self::chebyshev(models, &seen, seed)?),
            Criterion::LogEi | Criterion::ParEgo if alternatives.is_empty() => {
                Box::new(LogExpectedImprovement::new(first, best.value))
            }
            Criterion::LogEi | Criterion::ParEgo => {
                let mut members: Vec<(Box<dyn Acquisition + 'a>, f64)> =
                    vec![(Box::new(LogExpectedImprovement::new(first, best.value)), 1.0)];
                for (model, weight) in alternatives {
                    let best = noisy_incumbent(model, &seen)?.map_or(best.value, |best| best.value);
                    members.push((Box::new(LogExpectedImprovement::new(model, best)), *weight));
                }
                Box::new(LogAverage::new(members))
            }
            Criterion::Pi => {
                Box::new(LogProbabilityOfImprovement::new(first, best.value, IMPROVEMENT_MARGIN))
            }
            Criterion::Lcb if self.fitting.batch == Batch::UcbPe => {
                if models.has_chosen() {
                    let plain = &models.plain[0];
                    Box::new(PureExploration::new(plain, first, &feasible, BATCH_MULTIPLIER)?)
                } else {
                    Box::new(LowerConfidenceBound::new(first, BATCH_MULTIPLIER))
                }
            }
            Criterion::Lcb => {
                let dimensions = self.space.layout().len();
                Box::new(LowerConfidenceBound::scheduled(first, dimensions, observed.measured))
            }
            Criterion::NoisyEi => {
                let base = base(models, &feasible)?;
                Box::new(LogNoisyExpectedImprovement::new(&models.plain[0], &base, DRAWS, draw)?)
            }
            Criterion::NoisyEhvi => {
                let base = base(models, &feasible)?;
                let reference = self.front(&posteriors(&models.plain), &feasible, seed)?.reference;
                let plain: Vec<&GpModel> = models.plain.iter().collect();
                let draws = FRONT_DRAWS;
                Box::new(LogNoisyExpectedHypervolumeImprovement::new(&plain, &base, &reference, draws, draw)?)
            }
            Criterion::Ehvi => {
                let mut rows = feasible;
                rows.push_rows(&models.promising_rows()?)?;
                let models = models.objective_posteriors();
                let Front { values, reference } = self.front(&models, &rows, seed)?;
                Box::new(LogExpectedHypervolumeImprovement::new(models, &values, &reference)?)
            }
            Criterion::Mes | Criterion::Mesmo | Criterion::Thompson | Criterion::Usemo => {
                let rows = candidate_rows(self.space, &observed.starts(), ENTROPY_CANDIDATES, draw)?;
                Box::new(MinValueEntropy::new(&joint(&models.believing), &rows, ENTROPY_SAMPLES, draw)?)
            }
        }))
    }

    /// The improvement of a random scalarization, from one model per objective.
    fn chebyshev<'a>(
        models: &'a Models,
        rows: &Rows,
        seed: Seed,
    ) -> Result<LogChebyshevImprovement<'a>, AcquisitionError> {
        let posteriors = models.objective_posteriors();
        let weights = chebyshev_weights(posteriors.len(), seed.derive("weights", 0).0);
        let draw = seed.derive("draws", 0).0;
        LogChebyshevImprovement::new(posteriors, weights, rows, DRAWS, draw)
    }

    fn front(&self, models: &[&dyn Posterior], rows: &Rows, seed: Seed) -> Result<Front, AcquisitionError> {
        Front::new(models, rows, self.reference.as_deref(), seed)
    }

    /// All objectives as one random scalar, where the criterion wants that.
    fn scalarized(&self, models: &Models, seed: Seed) -> Result<Option<GpModel>, AcquisitionError> {
        if self.criterion != Criterion::ParEgo || models.counts_a_source() {
            return Ok(None);
        }
        let observed = &models.observations;
        let weights = chebyshev_weights(observed.losses.width(), seed.derive("weights", 0).0);
        let scalars = AugmentedChebyshev::new(weights, &observed.losses)?.scalars(&observed.losses);
        let model = self.fitting.fit(observed, scalars.clone(), Target::Loss, "scalar")?;
        Ok(Some(pending(&model, &models.waiting, self.fitting.batch, &scalars)?))
    }

    /// The criterion, which under noise is the noisy improvement where the user left the choice open.
    fn criterion_for(&self, models: &Models) -> Criterion {
        let noise = models.plain.first().map_or(0.0, |model| model.hyperparameters().noise_variance);
        // Joint draws know this study only.
        let open = self.fitting.settings.leaves_open()
            && self.criterion == Criterion::LogEi
            && !models.counts_a_source();
        if open && noise > NOISY_VARIANCE { Criterion::NoisyEi } else { self.criterion }
    }

    fn penalized<'a>(
        &'a self,
        models: &'a Models,
        improvement: &'a dyn Acquisition,
    ) -> Result<Option<LocalPenalty<'a>>, AcquisitionError> {
        let penalizes = self.fitting.batch == Batch::LocalPenalization && !models.waiting.is_empty();
        // Draws of the noisy improvement include the waiting points.
        if !penalizes || self.criterion_for(models) == Criterion::NoisyEi {
            return Ok(None);
        }
        let model = models.objectives[0].as_ref();
        let Some(best) = noisy_incumbent(model, &models.feasible_rows())? else { return Ok(None) };
        let seed = Seed(self.fitting.problem.seed()).derive("slopes", 0).0;
        let rows = candidate_rows(self.space, &models.observations.starts(), SLOPE_ROWS, seed)?;
        let slope = lipschitz_estimate(model, &rows)?;
        LocalPenalty::new(improvement, model, self.space.layout(), &models.waiting, best.value, slope)
            .map(Some)
    }

    /// Rows of criteria that choose among a fixed set of candidates, best first; nothing for the others.
    fn choices(&self, models: &Models, seed: Seed) -> Result<Option<Rows>, AcquisitionError> {
        if !matches!(self.criterion, Criterion::Thompson | Criterion::Usemo) {
            return Ok(None);
        }
        let seed = seed.derive("choice", 0).0;
        let starts = models.observations.starts();
        let rows = candidate_rows(self.space, &starts, CHOICE_CANDIDATES, seed)?;
        let chosen = match (self.criterion, models.believing.as_slice()) {
            (Criterion::Thompson, [objective]) => {
                let limited: Vec<(&dyn JointPosterior, f64)> = models
                    .limiting
                    .iter()
                    .map(|model| -> (&dyn JointPosterior, f64) {
                        (model.as_ref(), model.to_model_scale(0.0))
                    })
                    .collect();
                thompson_choices(objective.as_ref(), &limited, &rows, CHOICES, seed)?
            }
            (Criterion::Thompson, several) => thompson_choices_multi(&joint(several), &rows, CHOICES, seed)?,
            _ => {
                let mut parts = Vec::with_capacity(models.objectives.len());
                for model in &models.objectives {
                    let best = noisy_incumbent(model.as_ref(), &models.observations.rows)?;
                    let best = best.map_or(f64::INFINITY, |best| best.value);
                    parts.push(LogExpectedImprovement::new(model.as_ref(), best));
                }
                let parts: Vec<&dyn Acquisition> =
                    parts.iter().map(|part| part as &dyn Acquisition).collect();
                most_uncertain_on_front(&parts, &models.objective_posteriors(), &rows)?.into_iter().collect()
            }
        };
        Ok(Some(rows.select(&chosen)))
    }
}

/// Observed rows that may be the best or on the front, and pending ones: what noisy acquisitions draw at.
fn base(models: &Models, feasible: &Rows) -> Result<Rows, AcquisitionError> {
    let kept = contenders(&posteriors(&models.plain), feasible, CONTENDER_WIDTH, CONTENDERS)?;
    let mut base = feasible.select(&kept);
    base.push_rows(&models.promising_rows()?)?;
    Ok(base)
}

fn posteriors(models: &[GpModel]) -> Vec<&dyn Posterior> {
    models.iter().map(|model| model as &dyn Posterior).collect()
}

fn joint(models: &[Arc<GpModel>]) -> Vec<&dyn JointPosterior> {
    models.iter().map(|model| model.as_ref() as &dyn JointPosterior).collect()
}
