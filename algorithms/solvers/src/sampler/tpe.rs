//! The tree-structured Parzen estimator as BOHB uses it.

use boxwood_core::{Problem, Seed, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{ParzenModel, ParzenOptions};

use super::gp::one_objective;
use super::model::{Candidates, Design, Training, mix, numeric};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of the estimator (solvers.md 2.2.4).
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "random_fraction",
        kind: ParameterKind::Number { default: 1.0 / 3.0, low: 0.0, high: 1.0 },
        meaning: "Share of points drawn at random once the model is used.",
    },
    ParameterInfo {
        name: "initial_trials",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 100_000 },
        meaning: "Trials before the model is used: initial points, the default point, then Sobol points. 0 is d + 1, \
                  between 4 and 10 and at most a third of the budget.",
    },
    ParameterInfo {
        name: "candidates",
        kind: ParameterKind::Integer { default: 64, low: 1, high: 1_000_000 },
        meaning: "Points drawn from the good density, of which the one with the best ratio is proposed.",
    },
];

/// Ratio of a good and a bad density on the highest rung with at least d + 2 results (Falkner et al., 2018).
#[derive(Debug)]
pub(crate) struct TpeSampler {
    design: Design,
}

impl TpeSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        Ok(Self { design: Design::read(parameters)? })
    }
}

impl Sampler for TpeSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        if !problem.constraints().is_empty() {
            return Err("constraints: the Parzen sampler does not model them, use `bo`".into());
        }
        one_objective(problem)
    }

    fn starts_from_default(&self) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let space = request.view.problem().space();
        let candidates = Candidates::new(space);
        let layout = candidates.layout();
        let rung = request.history.model_rung(layout.len() + 2);
        let mut model = None;
        let mut measured = 0;
        if let Some(rung) = rung {
            let training = Training::new(&request.history.levels[rung.0 as usize], layout.len())?;
            measured = training.measured;
            if measured >= layout.len() + 2 {
                let options = ParzenOptions::default();
                model = ParzenModel::fit(layout, &training.rows, &training.losses, &options)
                    .map_err(|error| numeric(&error))?;
            }
        }
        let mut pick = |_: &[Vec<f64>], seed: Seed, known: &Known| {
            let Some(model) = &model else { return Ok(None) };
            let mut rng = seed.rng();
            let mut rows = Rows::new(layout.len());
            for _ in 0..self.design.candidates {
                let mut row = model.sample(&mut rng);
                if space.snap(&mut row) && !known.contains(&row) {
                    rows.push_row(&row).map_err(|error| numeric(&error))?;
                }
            }
            let ratios = model.log_ratio(&rows).map_err(|error| numeric(&error))?;
            let best = ratios.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
            Ok(best.map(|(index, ratio)| Proposal {
                row: rows.row(index).to_vec(),
                sampler: "tpe",
                model: Some(format!("Parzen densities on {measured} results")),
                acquisition: Some(*ratio),
                prediction: None,
            }))
        };
        mix(request, known, &self.design, model.is_some(), &mut pick)
    }
}
