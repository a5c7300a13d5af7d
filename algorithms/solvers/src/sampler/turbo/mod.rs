//! Bayesian optimization in a trust region.
//!
//! `region` replays where the region is and how long, `space` draws candidates inside it.
//!
//! Letters: n results, d encoded dimensions.

mod region;
mod space;

use boxwood_acquisition::{
    Acquisition, AcquisitionError, Constrained, Feasibility, LogExpectedImprovement, maximize,
    noisy_incumbent,
};
use boxwood_core::{Problem, Seed, Signal, SolverError, Unsupported};
use boxwood_numeric::Rows;
use boxwood_surrogate::{GpCache, GpModel, Layout, Posterior, SurrogateError, local_rows, refit_length};

use self::region::Region;
use self::space::RegionSpace;
use super::gp::{fit, fit_violations, one_objective};
use super::model::{Candidates, Design, fence, numeric, predict_loss};
use super::{Proposal, Proposals, Request, Sampler};
use crate::fill::random_rows;
use crate::history::{Entry, Known, Level};
use crate::parameters::Parameters;

/// Results of a region from which its models see a part only, and that part's size when hyperparameters are fitted.
const LONG_HISTORY: usize = 400;
/// Failed trials that take part, the newest ones.
const FAILURES_KEPT: usize = 64;

/// Bayesian optimization in one trust region: TuRBO-1 (Eriksson et al., "Scalable global optimization via local Bayesian
/// optimization", `NeurIPS` 2019), with constraints as in SCBO (Eriksson and Poloczek, "Scalable constrained Bayesian
/// optimization", AISTATS 2021).
///
/// Each region starts with a design over the whole space and learns from its own results only; when it has become too
/// small, a new one starts. Deviations: points maximize the logarithm of the expected improvement rather than Thompson
/// draws, pending points are believed to return their posterior means, and failed trials count as bad results.
#[derive(Debug)]
pub(crate) struct TurboSampler {
    design: Design,
    cache: GpCache,
}

impl TurboSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let design = Design::without_random(parameters)?;
        Ok(Self { design, cache: GpCache::new() })
    }
}

impl Sampler for TurboSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        one_objective(problem)
    }

    fn tells(&self, _: &Problem, signal: Signal) -> Result<(), String> {
        match signal {
            Signal::ExpectedImprovement => Ok(()),
            Signal::RegretBound => {
                Err("its model learns from a region and is too sure of the space around it".into())
            }
        }
    }

    fn starts_from_default(&self, _problem: &Problem) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let space = Candidates::new(problem.space()).within(request.within);
        let width = space.layout().len();
        let design = self.design.size(problem);
        let rung = request.history.model_rung(2);
        let empty = Level::default();
        let level = rung.map_or(&empty, |rung| &request.history.levels[rung.0 as usize]);
        let region = Region::replay(level, design, width);
        let pending = request.history.pending.iter().filter(|trial| {
            region.has_planned(trial) && rung.is_none_or(|rung| trial.result(rung).is_none())
        });
        let mut waiting: Vec<Vec<f64>> = pending.map(|trial| trial.encoded.clone()).collect();
        waiting.extend(request.placed.iter().cloned());
        let failed = level.failed.iter().filter(|trial| region.has_planned(trial)).count();
        let mut proposals = Proposals::default();
        let mut models: Option<Models<'_>> = None;
        for (index, _) in request.starts.iter().enumerate() {
            request.stop.check()?;
            let seed = request.seed.derive("proposal", index as u64);
            let designed = region.entries.len() + failed + waiting.len() < design;
            let mut proposal = None;
            if designed || region.entries.len() < 2 || width == 0 {
                let own = proposals.list.iter().map(|proposal: &Proposal| proposal.row.clone());
                let chosen: Vec<Vec<f64>> = request.placed.iter().cloned().chain(own).collect();
                let row = self.design.initial.row(request, design, &chosen, known);
                proposal = row.map(|(row, name)| Proposal::plain(row, name));
            } else {
                let fitted = match models.take() {
                    Some(fitted) => fitted,
                    None => Models::fit(&region, level, space.layout(), problem, &self.cache)?,
                };
                let fitted = fitted.believe(&waiting).map_err(|error| numeric(&error))?;
                let picked = fitted.pick(&space, &self.design, seed.derive("acquisition", 0), known)?;
                models = Some(fitted);
                if let Some(picked) = picked {
                    known.insert(&picked.row);
                    proposal = Some(picked);
                }
            }
            let Some(proposal) = proposal.or_else(|| {
                let row = random_rows(problem.space(), known, 1, seed.derive("random", 0)).pop();
                row.map(|row| Proposal::plain(row, "random"))
            }) else {
                break;
            };
            waiting.push(proposal.row.clone());
            proposals.list.push(proposal);
        }
        proposals.numbers = vec![
            ("region".into(), region.index as f64),
            ("region_length".into(), region.length),
            ("region_results".into(), region.entries.len() as f64),
        ];
        Ok(proposals)
    }
}

/// Models of one region, conditioned on rows without a result as a plan chooses them.
struct Models<'a> {
    /// The region's best row.
    centre: &'a [f64],
    length: f64,
    /// Number of results of the region.
    results: usize,
    objective: GpModel,
    constraints: Vec<GpModel>,
    /// Rows that satisfy every constraint, as measured.
    feasible: Rows,
    /// Rows that the models believe in.
    waiting: Rows,
}

impl<'a> Models<'a> {
    fn fit(
        region: &'a Region<'a>,
        level: &Level<'_>,
        layout: &Layout,
        problem: &Problem,
        cache: &GpCache,
    ) -> Result<Self, SolverError> {
        let Some(best) = &region.best else {
            return Err(SolverError::Bug("a trust region without results has no model".into()));
        };
        let entries = kept(region, layout, problem.seed())?;
        let rows = rows_of(layout.len(), &entries)?;
        let mut losses: Vec<f64> = entries.iter().map(Entry::loss).collect();
        let mut with_failed = rows.clone();
        if let Some(bad) = fence(&losses) {
            let failed: Vec<&[f64]> = level
                .failed
                .iter()
                .rev()
                .take(FAILURES_KEPT)
                .rev()
                .map(|trial| trial.encoded.as_slice())
                .collect();
            let failed = Rows::from_rows(layout.len(), &failed).map_err(|error| numeric(&error))?;
            with_failed.push_rows(&failed).map_err(|error| numeric(&error))?;
            losses.resize(with_failed.len(), bad);
        }
        let objective = fit(layout, &with_failed, &losses, problem, "turbo", Some(cache))
            .map_err(|error| numeric(&error))?;
        let count = entries.iter().map(|entry| entry.result.violations.len()).min().unwrap_or(0);
        let mut constraints = Vec::with_capacity(count);
        for index in 0..count {
            let violations: Vec<f64> = entries.iter().map(|entry| entry.result.violations[index]).collect();
            let model = fit_violations(layout, &rows, &violations, problem, "turbo constraint", Some(cache));
            constraints.push(model.map_err(|error| numeric(&error))?);
        }
        let feasible: Vec<usize> =
            (0..entries.len()).filter(|index| entries[*index].violation() <= 0.0).collect();
        Ok(Self {
            centre: &best.trial.encoded,
            length: region.length,
            results: region.entries.len(),
            objective,
            constraints,
            feasible: rows.select(&feasible),
            waiting: Rows::new(layout.len()),
        })
    }

    /// The same models, which take rows without a result to return their posterior means.
    fn believe(mut self, waiting: &[Vec<f64>]) -> Result<Self, SurrogateError> {
        let new = Rows::from_rows(self.waiting.width(), &waiting[self.waiting.len()..])?;
        if !new.is_empty() {
            self.objective = self.objective.append_believed(&new)?;
            for model in &mut self.constraints {
                *model = model.append_believed(&new)?;
            }
            self.waiting.push_rows(&new)?;
        }
        Ok(self)
    }

    /// Rows with a mean to beat: the feasible ones, and waiting ones that are expected to be where some are.
    fn to_beat(&self) -> Result<Rows, AcquisitionError> {
        let mut rows = self.feasible.clone();
        if rows.is_empty() {
            return Ok(rows);
        }
        let mut holds = vec![true; self.waiting.len()];
        for model in &self.constraints {
            let limit = model.to_model_scale(0.0);
            for (hold, mean) in holds.iter_mut().zip(model.predict_mean(&self.waiting)?) {
                *hold &= mean <= limit;
            }
        }
        let expected: Vec<usize> = (0..holds.len()).filter(|index| holds[*index]).collect();
        rows.push_rows(&self.waiting.select(&expected))?;
        Ok(rows)
    }

    /// The region's best row by the models that is not known; nothing when all that were looked at are.
    fn pick(
        &self,
        space: &Candidates<'_>,
        design: &Design,
        seed: Seed,
        known: &Known,
    ) -> Result<Option<Proposal>, SolverError> {
        let rows = self.to_beat().map_err(|error| numeric(&error))?;
        let best = noisy_incumbent(&self.objective, &rows).map_err(|error| numeric(&error))?;
        let improvement = best.map(|best| LogExpectedImprovement::new(&self.objective, best.value));
        let mut feasibility = Feasibility::new();
        for model in &self.constraints {
            feasibility = feasibility.with_constraint(model, 0.0);
        }
        let objective = improvement.as_ref().map(|improvement| improvement as &dyn Acquisition);
        let constrained = Constrained::new(objective, &feasibility);
        let acquisition = match objective {
            Some(objective) if feasibility.is_empty() => objective,
            _ => &constrained,
        };
        let inside = RegionSpace::new(space, self.centre, self.length, self.objective.length_scales());
        let size = self.objective.len() as f64 * ((1 + self.constraints.len()) as f64).sqrt();
        let budget = design.budget(size as usize, space.layout().len());
        // Candidates are mutated from the centre alone, as in the paper.
        let starts = Rows::from_rows(self.centre.len(), &[self.centre]).map_err(|error| numeric(&error))?;
        let ranked =
            maximize(acquisition, &inside, &starts, &budget, seed.0).map_err(|error| numeric(&error))?;
        let chosen = ranked.into_iter().find(|candidate| !known.contains(&candidate.row));
        Ok(chosen.map(|candidate| Proposal {
            prediction: predict_loss(&self.objective, &candidate.row),
            acquisition: Some(candidate.value),
            log_improvement: improvement.is_some().then_some(candidate.value),
            regret_bound: None,
            model: Some(format!("Gaussian process on {} results of a trust region", self.results)),
            row: candidate.row,
            sampler: "turbo",
            parent: None,
        }))
    }
}

/// What the models of a region learn from: all results, or where there are many, those near its best as it was when
/// hyperparameters were last fitted, and all later ones.
fn kept<'a>(region: &Region<'a>, layout: &Layout, seed: u64) -> Result<Vec<Entry<'a>>, SolverError> {
    let entries = &region.entries;
    if entries.len() <= LONG_HISTORY {
        return Ok(entries.clone());
    }
    let length = refit_length(entries.len());
    let rows = rows_of(layout.len(), &entries[..length])?;
    let mut order: Vec<usize> = (0..length).collect();
    order.sort_by(|a, b| entries[*a].compare(&entries[*b]));
    let mut places = vec![0.0; length];
    for (place, index) in order.into_iter().enumerate() {
        places[index] = place as f64;
    }
    let seed = Seed(seed).derive("turbo kept", 0).0;
    let chosen =
        local_rows(layout, &rows, &places, None, LONG_HISTORY, seed).map_err(|error| numeric(&error))?;
    let mut kept: Vec<Entry<'a>> = chosen.into_iter().map(|index| entries[index]).collect();
    kept.extend(&entries[length..]);
    Ok(kept)
}

fn rows_of(width: usize, entries: &[Entry<'_>]) -> Result<Rows, SolverError> {
    let rows: Vec<&[f64]> = entries.iter().map(|entry| entry.trial.encoded.as_slice()).collect();
    Rows::from_rows(width, &rows).map_err(|error| numeric(&error))
}
