//! The tree-structured Parzen estimator, for one objective or several, and the densities of BOHB.

mod split;

use boxwood_acquisition::CandidateSpace;
use boxwood_core::{Problem, Seed, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{KernelDensityModel, KernelDensityOptions, ParzenModel, ParzenOptions};

use super::design::INITIAL_DESIGN;
use super::gp::one_objective;
use super::model::{Candidates, Design, INITIAL_TRIALS, mix, numeric};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};
use split::Results;

/// Parameters of the estimator. Few random points keep it from settling; measured on the suite `single`.
pub(crate) const PARAMETERS: &[ParameterInfo] =
    &[random_fraction(0.05), INITIAL_TRIALS, INITIAL_DESIGN, CANDIDATES, MULTIVARIATE];
/// Those of BOHB: the random share and the densities are as published (solvers.md 2.2.4).
pub(crate) const BOHB_PARAMETERS: &[ParameterInfo] = &[
    random_fraction(1.0 / 3.0),
    INITIAL_TRIALS,
    INITIAL_DESIGN,
    CANDIDATES,
    ParameterInfo {
        name: "density",
        kind: ParameterKind::Choice { default: "published", choices: &["published", "tree"] },
        meaning: "Densities: `published`, the kernel densities of BOHB (Falkner et al., 2018), or `tree`, those of `tpe`. On the \
                  suite `multifidelity` they end alike, and `tree` is ahead at half the budget.",
    },
    ParameterInfo {
        name: "top_n_percent",
        kind: ParameterKind::Number { default: 15.0, low: 1.0, high: 99.0 },
        meaning: "Percentage of the results that count as good (`published`).",
    },
    ParameterInfo {
        name: "min_bandwidth",
        kind: ParameterKind::Number { default: 1e-3, low: 1e-6, high: 1.0 },
        meaning: "Narrowest kernel, as a share of a parameter's range (`published`).",
    },
    ParameterInfo {
        name: "bandwidth_factor",
        kind: ParameterKind::Number { default: 3.0, low: 0.01, high: 100.0 },
        meaning: "How many bandwidths wide the draws around a good point are (`published`).",
    },
    MULTIVARIATE,
];

const fn random_fraction(default: f64) -> ParameterInfo {
    ParameterInfo {
        name: "random_fraction",
        kind: ParameterKind::Number { default, low: 0.0, high: 1.0 },
        meaning: "Share of points drawn at random once the model is used.",
    }
}

/// Points drawn per proposal.
const DRAWN: u64 = 64;

const CANDIDATES: ParameterInfo = ParameterInfo {
    name: "candidates",
    kind: ParameterKind::Integer { default: DRAWN, low: 1, high: 1_000_000 },
    meaning: "Points drawn from the good density, of which the one with the best ratio is proposed.",
};

const MULTIVARIATE: ParameterInfo = ParameterInfo {
    name: "multivariate",
    kind: ParameterKind::Flag { default: true },
    meaning: "Whether parameters that are active together share one tree density; else each has its own.",
};

/// Ratio of a good and a bad density on the highest rung with enough results.
///
/// The densities are those of the tree-structured estimator (Bergstra et al., 2011) on the highest rung with at least
/// d + 2 results, or those of BOHB on the highest with at least 2 (d + 1). Feasible results come before infeasible ones,
/// which are ranked by violation, and failures come last. Several objectives are ranked and weighed as [`split`] says.
/// For the tree, pending points and points chosen earlier in the plan count as bad, so that parallel trials keep apart (a
/// constant liar); BOHB ignores them.
#[derive(Debug)]
pub(crate) struct TpeSampler {
    design: Design,
    densities: Densities,
}

#[derive(Debug)]
enum Densities {
    Tree(ParzenOptions),
    Published(KernelDensityOptions),
}

impl TpeSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let multivariate = parameters.flag(MULTIVARIATE.name)?;
        let densities = Densities::Tree(ParzenOptions { multivariate, ..ParzenOptions::default() });
        Ok(Self { design: Design::read(parameters)?, densities })
    }

    /// The estimator of the tree with everything but the design at its default.
    pub(crate) fn new(design: Design) -> Self {
        let candidates = if design.candidates == 0 { DRAWN as usize } else { design.candidates };
        let densities = Densities::Tree(ParzenOptions::default());
        Self { design: Design { candidates, ..design }, densities }
    }

    pub(crate) fn read_bohb(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        if parameters.choice("density")? == "tree" {
            return Self::read(parameters);
        }
        let densities = Densities::Published(KernelDensityOptions {
            top_n_percent: parameters.number("top_n_percent")?,
            min_bandwidth: parameters.number("min_bandwidth")?,
            bandwidth_factor: parameters.number("bandwidth_factor")?,
        });
        Ok(Self { design: Design::read(parameters)?, densities })
    }

    /// The drawn row with the best ratio, nothing when all draws are known. A row is scored as it was drawn, with a value
    /// in every column, where the densities are over complete rows, and else as it will be tried.
    fn pick(
        &self,
        space: &Candidates<'_>,
        model: &Model,
        measured: usize,
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Proposal>, SolverError> {
        let mut rng = seed.rng();
        let width = space.layout().len();
        let (mut drawn, mut snapped) = (Rows::new(width), Vec::new());
        for _ in 0..self.design.candidates {
            let raw = match model {
                Model::Tree(model) => model.sample(&mut rng),
                Model::Published(model) => model.sample(&mut rng),
            };
            let mut row = raw.clone();
            if space.snap(&mut row) && !known.contains(&row) {
                let scored = if matches!(model, Model::Tree(_)) { &row } else { &raw };
                drawn.push_row(scored).map_err(|error| numeric(&error))?;
                snapped.push(row);
            }
        }
        let (ratios, name) = match model {
            Model::Tree(model) => (model.log_ratio(&drawn), "Parzen densities"),
            Model::Published(model) => (model.log_ratio(&drawn), "kernel densities"),
        };
        let ratios = ratios.map_err(|error| numeric(&error))?;
        let best = ratios.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
        Ok(best.map(|(index, ratio)| Proposal {
            model: Some(format!("{name} on {measured} results")),
            acquisition: Some(*ratio),
            ..Proposal::plain(snapped.swap_remove(index), "tpe")
        }))
    }
}

/// Fitted densities.
enum Model {
    Tree(ParzenModel),
    Published(KernelDensityModel),
}

impl Sampler for TpeSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        match self.densities {
            Densities::Tree(_) => Ok(()),
            Densities::Published(_) => one_objective(problem),
        }
    }

    fn starts_from_default(&self, _problem: &Problem) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let space = Candidates::new(request.view.problem().space());
        let layout = space.layout();
        let levels = &request.history.levels;
        match &self.densities {
            Densities::Published(options) => {
                let fewest = KernelDensityModel::fewest_points(layout.len());
                let enough = |level: &&crate::history::Level<'_>| {
                    level.ended() >= fewest && level.entries.len() > layout.len()
                };
                let mut fitted = None;
                if let Some(level) = levels.iter().rev().find(enough) {
                    let results = Results::new(level, layout.len())?;
                    let ranked = results.ranked();
                    let mut rng = request.seed.derive("imputation", 0).rng();
                    let model = KernelDensityModel::fit(layout, &ranked, options, &mut rng);
                    let model = model.map_err(|error| numeric(&error))?;
                    fitted = model.map(|model| (Model::Published(model), results.measured()));
                }
                let mut pick = |_: &[Vec<f64>], seed: Seed, known: &Known| {
                    let Some((model, measured)) = &fitted else { return Ok(None) };
                    self.pick(&space, model, *measured, seed, known)
                };
                mix(request, known, &self.design, fitted.is_some(), &mut pick)
            }
            Densities::Tree(options) => {
                let rung = request.history.model_rung(layout.len() + 2);
                let mut split: Option<(Rows, Vec<f64>, usize)> = None;
                let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
                    let Some(rung) = rung else { return Ok(None) };
                    if split.is_none() {
                        let results = Results::new(&levels[rung.0 as usize], layout.len())?;
                        let good = results.good_weights()?;
                        let measured = results.measured();
                        let mut rows = results.rows;
                        let pending = request.history.pending.iter();
                        for trial in pending.filter(|trial| trial.result(rung).is_none()) {
                            rows.push_row(&trial.encoded).map_err(|error| numeric(&error))?;
                        }
                        split = Some((rows, good, measured));
                    }
                    let (rows, good, measured) = split.as_ref().expect("made just above");
                    let (mut rows, mut good) = (rows.clone(), good.clone());
                    for row in chosen {
                        rows.push_row(row).map_err(|error| numeric(&error))?;
                    }
                    good.resize(rows.len(), 0.0);
                    let model = ParzenModel::fit(layout, &rows, &good, options);
                    let model = Model::Tree(model.map_err(|error| numeric(&error))?);
                    self.pick(&space, &model, *measured, seed, known)
                };
                mix(request, known, &self.design, rung.is_some(), &mut pick)
            }
        }
    }
}
