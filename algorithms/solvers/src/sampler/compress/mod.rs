//! Any sampler on a smaller space than the study's.
//!
//! `projection` maps rows of the study's space to rows of a smaller one and back, `importance` chooses columns, `region`
//! chooses a box, `schedule` says from how many results. All are functions of the space, the study's seed and its history.
//!
//! Letters: n results, d encoded dimensions, k of the smaller space.

mod importance;
mod projection;
mod region;
mod schedule;

use boxwood_core::{Problem, Seed, Signal, SolverError, Unsupported};

use self::projection::Projection;
use self::schedule::Refresh;
use super::model::Training;
use super::{Proposal, Proposals, Request, Sampler};
use crate::fill::random_rows;
use crate::history::{History, Known};
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Dimensions of a smaller space, where nobody says.
const DIMENSIONS: usize = 8;
/// Times that the inner sampler is asked again for rows which the study does not have yet.
const ATTEMPTS: u64 = 4;

pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "compression",
        kind: ParameterKind::Choice {
            default: "none",
            choices: &["none", "hesbo", "rembo", "selection", "box", "density"],
        },
        meaning: "A smaller space to search: a random embedding in which every parameter follows one of a few numbers (hesbo) \
                  or a mixture of them (rembo), the parameters that matter most with the others as in the best result \
                  (selection), or the part of each range where the best results lie, from end to end (box) or by a kernel \
                  density (density).",
    },
    ParameterInfo {
        name: "compressed_dimensions",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 1000 },
        meaning: "With hesbo, rembo and selection: dimensions of the smaller space. 0 is 8, and at most half of the space's.",
    },
    ParameterInfo {
        name: "quantize",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 10_000 },
        meaning: "Most values of a number that are told apart, evenly spaced on its scale, 2 or more; 0 tells all apart. Not \
                  with box and density.",
    },
    ParameterInfo {
        name: "refresh",
        kind: ParameterKind::Choice { default: "growth", choices: &["growth", "improvement", "stagnation"] },
        meaning: "When selection, box and density are chosen again: whenever there are a quarter more results, with every \
                  new best result, or after ten results without one.",
    },
];

/// The smaller space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Hesbo,
    Rembo,
    Selection,
    Box,
    Density,
}

/// A sampler on a smaller space.
///
/// Embeddings are those of `HeSBO` (Nayebi, Munteanu and Poloczek, "A framework for Bayesian optimization in embedded
/// subspaces", ICML 2019) and REMBO (Wang et al., "Bayesian optimization in a billion dimensions via random embeddings",
/// JAIR 2016), with categories as bins of a number and at most `quantize` values of it as in `LlamaTune` (Kanellis et al.,
/// VLDB 2022). Parameters that are left out keep their values of the best result (the copy of Li et al., "High dimensional
/// Bayesian optimization using dropout", IJCAI 2017). Boxes are those of Perrone et al., "Learning search spaces for
/// Bayesian optimization" (`NeurIPS` 2019), with the study's own best results in the place of other studies'.
///
/// An embedding is fixed by the study's seed; rows that do not lie in it are no data of its models. In a smaller space every
/// column is always active: what it says about an inactive parameter is ignored.
pub(crate) struct Compressed {
    inner: Box<dyn Sampler>,
    compression: Compression,
    dimensions: usize,
    steps: u64,
    refresh: Refresh,
}

impl Compressed {
    /// The sampler that `parameters` ask for: the inner one itself where nothing is compressed. One that searches a moving
    /// box already takes no other box.
    pub(crate) fn wrap(
        inner: Box<dyn Sampler>,
        inner_is_region: bool,
        parameters: &Parameters<'_>,
    ) -> Result<Box<dyn Sampler>, Unsupported> {
        let compression = match parameters.choice("compression")? {
            "hesbo" => Compression::Hesbo,
            "rembo" => Compression::Rembo,
            "selection" => Compression::Selection,
            "box" => Compression::Box,
            "density" => Compression::Density,
            _ => Compression::None,
        };
        let steps = parameters.integer("quantize")?;
        if steps == 1 {
            return Err(parameters.refuse("`quantize` must be 0 or at least 2"));
        }
        let is_box = matches!(compression, Compression::Box | Compression::Density);
        if is_box && steps > 0 {
            return Err(parameters.refuse("`quantize` does not go with the compressions `box` and `density`"));
        }
        if is_box && inner_is_region {
            return Err(parameters.refuse("`compression`: a trust region is a box already"));
        }
        let dimensions = parameters.integer("compressed_dimensions")? as usize;
        let refresh = Refresh::read(parameters.choice("refresh")?);
        if compression == Compression::None && steps == 0 {
            return Ok(inner);
        }
        if parameters.document("safe_probability").is_some() {
            return Err(parameters.refuse("`safe_probability` does not go with a smaller space"));
        }
        if !is_box && parameters.document("beliefs").is_some() {
            return Err(
                parameters.refuse("`beliefs` are about parameters that a smaller space does not have")
            );
        }
        Ok(Box::new(Self { inner, compression, dimensions, steps, refresh }))
    }

    /// Dimensions of a smaller space of one with d.
    fn wanted(&self, d: usize) -> usize {
        let rule = if self.dimensions == 0 { DIMENSIONS.min(d.div_ceil(2)) } else { self.dimensions };
        rule.clamp(1.min(d), d)
    }

    /// The smaller space; nothing where it would be the study's own.
    fn projection(&self, request: &Request<'_>) -> Result<Option<Projection>, SolverError> {
        let problem = request.view.problem();
        let space = problem.space();
        let d = space.dimensions().len();
        let wanted = self.wanted(d);
        let seed = Seed(problem.seed()).derive("compression", 0);
        let projection = match self.compression {
            _ if d == 0 => return Ok(None),
            Compression::Hesbo if wanted < d => Projection::hashed(space, wanted, self.steps, seed)?,
            Compression::Rembo if wanted < d => Projection::mixed(space, wanted, self.steps, seed)?,
            Compression::Selection if wanted < d => {
                let chosen = self.training(request, schedule::FIRST)?.map(|training| {
                    let columns = importance::choose(space, &training, wanted, seed)?;
                    Ok::<_, SolverError>((columns, training.best_rows().row(0).to_vec()))
                });
                match chosen.transpose()? {
                    Some((columns, base)) => Projection::columns(space, columns, base, self.steps)?,
                    None if self.steps == 0 => return Ok(None),
                    None => Projection::columns(space, (0..d).collect(), vec![f64::NAN; d], self.steps)?,
                }
            }
            _ if self.steps == 0 => return Ok(None),
            _ => Projection::columns(space, (0..d).collect(), vec![f64::NAN; d], self.steps)?,
        };
        Ok(Some(projection))
    }

    /// The results that the next choice is made of, at least `least`; none before there are so many.
    fn training(&self, request: &Request<'_>, least: usize) -> Result<Option<Training>, SolverError> {
        let width = request.view.problem().space().dimensions().len();
        let Some(rung) = request.history.model_rung(least) else { return Ok(None) };
        let level = &request.history.levels[rung.0 as usize];
        let training = Training::new(level, width)?;
        let length = self.refresh.length(&training.losses[..training.measured]);
        Ok((length >= least).then(|| training.first(length)))
    }

    fn propose_projected(
        &self,
        projection: &Projection,
        request: &Request<'_>,
        known: &mut Known,
    ) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let view = projection.view(request.view)?;
        let history = History::new(&view);
        let mut tried = history.known.clone();
        let mut placed: Vec<Vec<f64>> =
            request.placed.iter().filter_map(|row| projection.shrink(problem.space(), row)).collect();
        let mut proposals = Proposals::default();
        for attempt in 0..ATTEMPTS {
            let starts = &request.starts[proposals.list.len()..];
            if starts.is_empty() {
                break;
            }
            let seed = if attempt == 0 { request.seed } else { request.seed.derive("again", attempt) };
            let inner = Request {
                view: &view,
                history: &history,
                starts,
                placed: &placed,
                within: None,
                seed,
                stop: request.stop,
            };
            let answer = self.inner.propose(&inner, &mut tried)?;
            if attempt == 0 {
                proposals.notes = answer.notes;
                proposals.numbers = answer.numbers;
            }
            for proposal in answer.list {
                let Some(row) = projection.expand(problem.space(), &proposal.row) else { continue };
                if known.insert(&row) {
                    placed.push(proposal.row.clone());
                    let model = proposal.model.map(|model| format!("{model}, {}", projection.text()));
                    proposals.list.push(Proposal { row, model, regret_bound: None, ..proposal });
                }
            }
        }
        let missing = request.starts.len() - proposals.list.len();
        let rest = random_rows(problem.space(), known, missing, request.seed.derive("uncompressed", 0));
        proposals.list.extend(rest.into_iter().map(|row| Proposal::plain(row, "random")));
        Ok(proposals)
    }

    fn propose_within(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let space = request.view.problem().space();
        let training = self.training(request, schedule::FIRST)?;
        let ranges = training.map(|training| match self.compression {
            Compression::Density => region::density(space, &training),
            _ => region::hull(space, &training),
        });
        let inner = Request {
            view: request.view,
            history: request.history,
            starts: request.starts,
            placed: request.placed,
            within: ranges.as_deref(),
            seed: request.seed,
            stop: request.stop,
        };
        let mut proposals = self.inner.propose(&inner, known)?;
        if ranges.is_some() {
            for proposal in &mut proposals.list {
                proposal.regret_bound = None;
                proposal.model = proposal.model.take().map(|model| format!("{model}, within a box"));
            }
        }
        Ok(proposals)
    }
}

impl Sampler for Compressed {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        self.inner.accepts(problem)
    }

    fn tells(&self, problem: &Problem, signal: Signal) -> Result<(), String> {
        match signal {
            Signal::ExpectedImprovement => self.inner.tells(problem, signal),
            Signal::RegretBound => Err("compression: a smaller space says nothing of the rest".into()),
        }
    }

    fn starts_from_default(&self, problem: &Problem) -> bool {
        self.inner.starts_from_default(problem)
    }

    fn warm_rows(&self, problem: &Problem) -> Vec<Vec<f64>> {
        self.inner.warm_rows(problem)
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        if matches!(self.compression, Compression::Box | Compression::Density) {
            return self.propose_within(request, known);
        }
        match self.projection(request)? {
            Some(projection) => self.propose_projected(&projection, request, known),
            None => self.inner.propose(request, known),
        }
    }
}
