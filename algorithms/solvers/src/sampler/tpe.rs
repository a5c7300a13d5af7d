//! The tree-structured Parzen estimator.

use boxwood_acquisition::CandidateSpace;
use boxwood_core::{Problem, Seed, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{ParzenModel, ParzenOptions};

use super::gp::one_objective;
use super::model::{Candidates, Design, Training, mix, numeric};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of the estimator. Few random points keep it from settling; measured on the suite `single`.
pub(crate) const PARAMETERS: &[ParameterInfo] =
    &[random_fraction(0.05), INITIAL_TRIALS, CANDIDATES, MULTIVARIATE];
/// The same with the random share of BOHB (solvers.md 2.2.4).
pub(crate) const BOHB_PARAMETERS: &[ParameterInfo] =
    &[random_fraction(1.0 / 3.0), INITIAL_TRIALS, CANDIDATES, MULTIVARIATE];

const fn random_fraction(default: f64) -> ParameterInfo {
    ParameterInfo {
        name: "random_fraction",
        kind: ParameterKind::Number { default, low: 0.0, high: 1.0 },
        meaning: "Share of points drawn at random once the model is used.",
    }
}

const INITIAL_TRIALS: ParameterInfo = ParameterInfo {
    name: "initial_trials",
    kind: ParameterKind::Integer { default: 0, low: 0, high: 100_000 },
    meaning: "Trials before the model is used: initial points, the default point, then Sobol points. 0 is d + 1, \
              between 4 and 10 and at most a third of the budget.",
};

const CANDIDATES: ParameterInfo = ParameterInfo {
    name: "candidates",
    kind: ParameterKind::Integer { default: 64, low: 1, high: 1_000_000 },
    meaning: "Points drawn from the good density, of which the one with the best ratio is proposed.",
};

const MULTIVARIATE: ParameterInfo = ParameterInfo {
    name: "multivariate",
    kind: ParameterKind::Flag { default: true },
    meaning: "Whether parameters that are active together share one density; else each has its own.",
};

/// Ratio of a good and a bad density (Bergstra et al., 2011) on the highest rung with at least d + 2 results.
///
/// Feasible results come before infeasible ones, which are ranked by violation, and failures come last. Pending points
/// and points chosen earlier in the plan count as bad, so that parallel trials keep apart (a constant liar).
#[derive(Debug)]
pub(crate) struct TpeSampler {
    design: Design,
    options: ParzenOptions,
}

impl TpeSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let options =
            ParzenOptions { multivariate: parameters.flag(MULTIVARIATE.name)?, ..ParzenOptions::default() };
        Ok(Self { design: Design::read(parameters)?, options })
    }

    /// The drawn row with the best ratio, nothing when all draws are known.
    fn pick(
        &self,
        space: &Candidates<'_>,
        split: &Split,
        chosen: &[Vec<f64>],
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Proposal>, SolverError> {
        let layout = space.layout();
        let (mut rows, mut good) = (split.rows.clone(), split.good.clone());
        for row in chosen {
            rows.push_row(row).map_err(|error| numeric(&error))?;
        }
        good.resize(rows.len(), false);
        let model = ParzenModel::fit(layout, &rows, &good, &self.options).map_err(|error| numeric(&error))?;
        let mut rng = seed.rng();
        let mut drawn = Rows::new(layout.len());
        for _ in 0..self.design.candidates {
            let mut row = model.sample(&mut rng);
            if space.snap(&mut row) && !known.contains(&row) {
                drawn.push_row(&row).map_err(|error| numeric(&error))?;
            }
        }
        let ratios = model.log_ratio(&drawn).map_err(|error| numeric(&error))?;
        let best = ratios.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
        Ok(best.map(|(index, ratio)| Proposal {
            model: Some(format!("Parzen densities on {} results", split.measured)),
            acquisition: Some(*ratio),
            ..Proposal::plain(drawn.row(index).to_vec(), "tpe")
        }))
    }
}

/// What the densities are fitted to: measured, failed and pending rows, and which of them are good.
struct Split {
    rows: Rows,
    good: Vec<bool>,
    measured: usize,
}

impl Split {
    fn new(training: Training, pending: &[&[f64]]) -> Result<Self, SolverError> {
        let mut order: Vec<(f64, f64, usize)> = (0..training.measured)
            .map(|row| {
                let violation = training.violations.iter().map(|values| values[row].max(0.0)).sum();
                (violation, training.losses[row], row)
            })
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        let count = ParzenOptions::good_count(training.rows.len());
        let mut rows = training.rows;
        for row in pending {
            rows.push_row(row).map_err(|error| numeric(&error))?;
        }
        let mut good = vec![false; rows.len()];
        for (.., row) in order.iter().take(count) {
            good[*row] = true;
        }
        Ok(Self { rows, good, measured: training.measured })
    }
}

impl Sampler for TpeSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        one_objective(problem)
    }

    fn starts_from_default(&self) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let space = Candidates::new(request.view.problem().space());
        let width = space.layout().len();
        let rung = request.history.model_rung(width + 2);
        let mut split: Option<Split> = None;
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            let Some(rung) = rung else { return Ok(None) };
            if split.is_none() {
                let training = Training::new(&request.history.levels[rung.0 as usize], width)?;
                let waiting = request.history.pending.iter().filter(|trial| trial.result(rung).is_none());
                let pending: Vec<&[f64]> = waiting.map(|trial| trial.encoded.as_slice()).collect();
                split = Some(Split::new(training, &pending)?);
            }
            let split = split.as_ref().expect("made just above");
            self.pick(&space, split, chosen, seed, known)
        };
        mix(request, known, &self.design, rung.is_some(), &mut pick)
    }
}
