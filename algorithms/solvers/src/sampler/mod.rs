//! Samplers choose points; they know nothing of brackets and promotions.

mod blend;
mod candidates;
mod cma;
mod compress;
mod design;
mod evolution;
mod forest;
mod gp;
mod grid;
mod latin;
mod levels;
mod mfes;
mod model;
mod population;
mod random;
mod regret;
mod sobol;
mod tpe;
mod turbo;

use boxwood_core::{Problem, Seed, Signal, SolverError, StopFlag, StudyView, TrialNumber, TrialView};

pub(crate) use blend::{BlendSampler, LOCAL_PARAMETERS, PARAMETERS as BLEND_PARAMETERS};
pub(crate) use cma::{CmaSampler, PARAMETERS as CMA_PARAMETERS};
pub(crate) use compress::{Compressed, PARAMETERS as COMPRESSION_PARAMETERS};
pub(crate) use evolution::{EvolutionSampler, PARAMETERS as EVOLUTION_PARAMETERS};
pub(crate) use forest::{ForestSampler, PARAMETERS as FOREST_PARAMETERS};
pub(crate) use gp::{
    GpSampler, PARAMETERS as GP_PARAMETERS, SHARED_PARAMETERS as GP_SHARED_PARAMETERS, TRANSFER_PARAMETERS,
};
pub(crate) use grid::{GridSampler, PARAMETERS as GRID_PARAMETERS};
pub(crate) use latin::{LatinSampler, PARAMETERS as LATIN_PARAMETERS};
pub(crate) use mfes::{MfesSampler, PARAMETERS as MFES_PARAMETERS};
pub(crate) use model::DESIGN_PARAMETERS;
pub(crate) use random::RandomSampler;
pub(crate) use sobol::SobolSampler;
pub(crate) use tpe::{BOHB_PARAMETERS, PARAMETERS as TPE_PARAMETERS, TpeSampler};
pub(crate) use turbo::TurboSampler;

use crate::history::{History, Known};
use crate::scheduler::Start;

/// What a sampler is asked.
pub(crate) struct Request<'a> {
    /// The study.
    pub(crate) view: &'a StudyView,
    /// Its data by rung.
    pub(crate) history: &'a History<'a>,
    /// New trials wanted, one proposal each.
    pub(crate) starts: &'a [Start],
    /// Rows that this plan starts before those wanted here (initial points), with nothing measured yet.
    pub(crate) placed: &'a [Vec<f64>],
    /// The part of the space, one range per column, that models choose from; all of it where there is none.
    pub(crate) within: Option<&'a [model::Range]>,
    /// Seed of the plan.
    pub(crate) seed: Seed,
    /// Raised when the plan is no longer wanted.
    pub(crate) stop: &'a StopFlag,
}

/// A proposed row and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Proposal {
    /// Canonical row in the unit cube.
    pub(crate) row: Vec<f64>,
    /// What chose it, for the trial's provenance.
    pub(crate) sampler: &'static str,
    /// Model behind it.
    pub(crate) model: Option<String>,
    /// Acquisition value, log domain.
    pub(crate) acquisition: Option<f64>,
    /// Logarithm of the expected improvement in deviations of the losses, where the acquisition is one.
    pub(crate) log_improvement: Option<f64>,
    /// Bound on the regret of stopping now, native units of the loss; `gp/regret.rs`.
    pub(crate) regret_bound: Option<f64>,
    /// Predicted mean and standard deviation of the first objective's loss, native units.
    pub(crate) prediction: Option<(f64, f64)>,
    /// Trial that a local search stepped from.
    pub(crate) parent: Option<TrialNumber>,
}

impl Proposal {
    pub(crate) fn plain(row: Vec<f64>, sampler: &'static str) -> Self {
        Self {
            row,
            sampler,
            model: None,
            acquisition: None,
            log_improvement: None,
            regret_bound: None,
            prediction: None,
            parent: None,
        }
    }
}

/// A sampler's answer: at most one proposal per start; fewer only when the space has no further point.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proposals {
    pub(crate) list: Vec<Proposal>,
    pub(crate) notes: Vec<String>,
    pub(crate) numbers: Vec<(String, f64)>,
}

/// Chooses points. Pure: equal requests give equal proposals.
pub(crate) trait Sampler: Send + Sync {
    /// Whether this sampler can serve the problem; the reason when it cannot.
    fn accepts(&self, _problem: &Problem) -> Result<(), String> {
        Ok(())
    }

    /// Whether its proposals for an accepted problem carry a signal once there are enough results; the reason when none
    /// ever does.
    fn tells(&self, _problem: &Problem, _signal: Signal) -> Result<(), String> {
        Err("no model of the losses is behind its points".into())
    }

    /// Whether a study starts with the space's default point.
    fn starts_from_default(&self, _problem: &Problem) -> bool {
        false
    }

    /// Rows from elsewhere that a study tries after its initial points and before its default point, best first.
    fn warm_rows(&self, _problem: &Problem) -> Vec<Vec<f64>> {
        Vec::new()
    }

    /// Proposes rows that `known` does not hold and adds them to it.
    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError>;

    /// One weight per rung by how well it predicts the top one; none without enough data.
    fn rung_weights(&self, _view: &StudyView, _history: &History<'_>) -> Option<Vec<f64>> {
        None
    }

    /// Losses that trials are expected to have at the top rung, on any one scale; none without a model over rungs.
    fn forecast(
        &self,
        _view: &StudyView,
        _history: &History<'_>,
        _trials: &[&TrialView],
    ) -> Option<Vec<f64>> {
        None
    }
}
