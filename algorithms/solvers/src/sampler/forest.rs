//! Sequential model-based optimization with a random forest, in the manner of SMAC.

use boxwood_acquisition::LogExpectedImprovement;
use boxwood_core::{Problem, Seed, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{Forest, ForestOptions, Layout, Posterior, SurrogateError};

use super::gp::one_objective;
use super::model::{Candidates, Design, Training, best_unknown, mix, numeric, predict_loss};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Share of random points: SMAC interleaves them.
pub(crate) const RANDOM_PARAMETERS: &[ParameterInfo] = &[ParameterInfo {
    name: "random_fraction",
    kind: ParameterKind::Number { default: 0.1, low: 0.0, high: 1.0 },
    meaning: "Share of points drawn at random once the model is used.",
}];

/// Random forest + log expected improvement below the best loss (Hutter et al., 2011).
///
/// Pending points take part with the loss that a forest without them predicts. Infeasible results take part with
/// their true loss, ranked behind feasible ones as incumbents; constraints are not modelled.
#[derive(Debug)]
pub(crate) struct ForestSampler {
    design: Design,
}

impl ForestSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        Ok(Self { design: Design::read(parameters)? })
    }
}

/// A forest that takes part of its rows on belief: a first forest without them predicts their losses.
pub(crate) fn fit_believing(
    layout: &Layout,
    rows: &Rows,
    losses: &[f64],
    pending: &Rows,
    seed: Seed,
) -> Result<Forest, SurrogateError> {
    let options = ForestOptions::default();
    let plain = Forest::fit(layout, rows, losses, &options, seed.0)?;
    if pending.is_empty() {
        return Ok(plain);
    }
    let means = plain.predict(pending)?.mean;
    let (mut rows, mut losses) = (rows.clone(), losses.to_vec());
    rows.push_rows(pending)?;
    losses.extend(means.into_iter().map(|mean| plain.to_loss(mean)));
    Forest::fit(layout, &rows, &losses, &options, seed.0)
}

impl Sampler for ForestSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        if !problem.constraints().is_empty() {
            return Err("constraints: the forest sampler does not model them, use `bo`".into());
        }
        one_objective(problem)
    }

    fn starts_from_default(&self) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let space = Candidates::new(problem.space());
        let width = space.layout().len();
        let rung = request.history.model_rung(width + 2);
        let level = rung.map(|rung| &request.history.levels[rung.0 as usize]);
        let ready = level.is_some_and(|level| level.entries.len() >= 2);
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            let Some((level, rung)) = level.zip(rung) else { return Ok(None) };
            let training = Training::new(level, width)?;
            let waiting = request.history.pending.iter().filter(|trial| trial.result(rung).is_none());
            let pending: Vec<&[f64]> = waiting
                .map(|trial| trial.encoded.as_slice())
                .chain(chosen.iter().map(Vec::as_slice))
                .collect();
            let pending = Rows::from_rows(width, &pending).map_err(|error| numeric(&error))?;
            let fit_seed = Seed(problem.seed()).derive("forest", 0);
            let forest = fit_believing(space.layout(), &training.rows, &training.losses, &pending, fit_seed)
                .map_err(|error| numeric(&error))?;
            let best = training.measured_losses().iter().copied().fold(f64::INFINITY, f64::min);
            let acquisition = LogExpectedImprovement::new(&forest, forest.to_model_scale(best));
            let budget = self.design.budget(training.measured, width);
            let starts = training.best_rows();
            let found = best_unknown(&acquisition, &space, &starts, &budget, seed, known)?;
            Ok(found.map(|candidate| Proposal {
                prediction: predict_loss(&forest, &candidate.row),
                acquisition: Some(candidate.value),
                model: Some(format!("random forest on {} results", training.measured)),
                row: candidate.row,
                sampler: "forest",
            }))
        };
        mix(request, known, &self.design, ready, &mut pick)
    }
}
