//! What the model-based samplers share: training data, the initial design, the choice of a row.
//!
//! Letters: n observations, d encoded dimensions.

use boxwood_acquisition::{Acquisition, Budget, Candidate, maximize};
use boxwood_core::{Problem, Seed, SolverError};
use boxwood_numeric::Rows;
use boxwood_surrogate::{Posterior, refit_length};
use rand::RngExt;

pub(crate) use super::candidates::{Candidates, Range, layout};
use super::design::{INITIAL_DESIGN, InitialDesign};
use super::{Proposal, Proposals, Request};
use crate::fill::random_rows;
use crate::history::{Entry, Known, Level};
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Failed rows of a rung that take part beside a base of results, the newest ones.
const FAILURES_KEPT: usize = 100;
/// Best observed rows around which candidates are mutated.
const STARTS: usize = 16;

/// When the model takes over.
pub(super) const INITIAL_TRIALS: ParameterInfo = ParameterInfo {
    name: "initial_trials",
    kind: ParameterKind::Integer { default: 0, low: 0, high: 100_000 },
    meaning: "Trials before the model is used: initial points, the default point, then those of the initial design. 0 \
              is d + 1, between 4 and 10 and at most a third of the budget.",
};

/// Parameters of every model-based sampler but the random share.
pub(crate) const DESIGN_PARAMETERS: &[ParameterInfo] = &[
    INITIAL_TRIALS,
    INITIAL_DESIGN,
    ParameterInfo {
        name: "candidates",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 1_000_000 },
        meaning: "Rows scored per proposal before refinement; 0 bounds the work by the size of the model, and is 600 \
                  for a forest.",
    },
];

/// When random and quasi-random points are used instead of the model's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Design {
    pub(crate) initial_trials: usize,
    pub(crate) initial: InitialDesign,
    pub(crate) candidates: usize,
    pub(crate) random_fraction: f64,
}

impl Design {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, boxwood_core::Unsupported> {
        let random_fraction = parameters.number("random_fraction")?;
        Ok(Self { random_fraction, ..Self::without_random(parameters)? })
    }

    /// The design of a sampler that has no such share as a parameter.
    pub(crate) fn without_random(parameters: &Parameters<'_>) -> Result<Self, boxwood_core::Unsupported> {
        Ok(Self {
            initial_trials: parameters.integer("initial_trials")? as usize,
            initial: InitialDesign::read(parameters)?,
            candidates: parameters.integer("candidates")? as usize,
            random_fraction: 0.0,
        })
    }

    /// Sobol points for this many trials, without random points later.
    pub(crate) fn of_trials(initial_trials: usize) -> Self {
        Self { initial_trials, initial: InitialDesign::Sobol, candidates: 0, random_fraction: 0.0 }
    }

    /// Number of trials before the model is used.
    pub(crate) fn size(&self, problem: &Problem) -> usize {
        if self.initial_trials > 0 {
            return self.initial_trials;
        }
        let third = problem.max_trials().map_or(usize::MAX, |max| (max / 3) as usize);
        (problem.space().dimensions().len() + 1).clamp(4, 10).min(third.max(2))
    }

    /// Whether the model ever chooses a point; the reason when it does not.
    pub(crate) fn models(&self) -> Result<(), String> {
        if self.random_fraction < 1.0 {
            Ok(())
        } else {
            Err("random_fraction: every point is drawn at random".into())
        }
    }

    /// Work of one maximization over a model of `n` observations.
    pub(crate) fn budget(&self, n: usize, d: usize) -> Budget {
        let budget = Budget::for_gaussian_process(n, d);
        match self.candidates {
            0 => budget,
            given => Budget { candidates: given, refined: budget.refined.min(given), ..budget },
        }
    }
}

/// A failure of the model as the solver's error: the caller falls back to random points.
pub(crate) fn numeric(error: &dyn std::error::Error) -> SolverError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    SolverError::Numeric(text)
}

/// Rows and targets of one rung, in the order in which results became visible; failures come last.
#[derive(Debug, Clone)]
pub(crate) struct Training {
    /// Measured rows, then failed ones.
    pub(crate) rows: Rows,
    /// Losses; failed rows have [`fence`].
    pub(crate) losses: Vec<f64>,
    /// Violations by constraint, of measured rows only.
    pub(crate) violations: Vec<Vec<f64>>,
    /// Number of measured rows.
    pub(crate) measured: usize,
}

impl Training {
    pub(crate) fn new(level: &Level<'_>, width: usize) -> Result<Self, SolverError> {
        let mut entries = level.entries.clone();
        entries.sort_by_key(|entry| (entry.result.change, entry.trial.number));
        let mut rows: Vec<&[f64]> = entries.iter().map(|entry| entry.trial.encoded.as_slice()).collect();
        let mut losses: Vec<f64> = entries.iter().map(Entry::loss).collect();
        let constraints = entries.iter().map(|entry| entry.result.violations.len()).min().unwrap_or(0);
        let violations = (0..constraints)
            .map(|index| entries.iter().map(|entry| entry.result.violations[index]).collect())
            .collect();
        let measured = losses.len();
        let bad = if level.failed.is_empty() { None } else { fence(&losses) };
        if let Some(fence) = bad {
            rows.extend(level.failed.iter().map(|trial| trial.encoded.as_slice()));
            losses.resize(rows.len(), fence);
        }
        let rows = Rows::from_rows(width, &rows).map_err(|error| numeric(&error))?;
        Ok(Self { rows, losses, violations, measured })
    }

    /// What one constraint's violations teach, known of measured rows only.
    pub(crate) fn of_constraint(&self, index: usize) -> Self {
        let losses = self.violations.get(index).cloned().unwrap_or_default();
        let measured = losses.len();
        Self { rows: self.rows.slice(0, measured), losses, violations: Vec::new(), measured }
    }

    /// The first results alone, without failures.
    pub(crate) fn first(&self, length: usize) -> Self {
        self.select(&(0..length).collect::<Vec<_>>())
    }

    /// The best results alone, best first, without failures.
    pub(crate) fn leading(&self, count: usize) -> Self {
        self.select(&self.best(count))
    }

    /// The measured rows with other losses, without failures.
    pub(crate) fn with_losses(&self, losses: &[f64]) -> Self {
        Self { losses: losses.to_vec(), ..self.first(self.measured) }
    }

    fn select(&self, measured: &[usize]) -> Self {
        let of = |values: &[f64]| measured.iter().map(|index| values[*index]).collect();
        Self {
            rows: self.rows.select(measured),
            losses: of(&self.losses),
            violations: self.violations.iter().map(|values| of(values)).collect(),
            measured: measured.len(),
        }
    }

    /// Rows that were measured.
    pub(crate) fn measured_rows(&self) -> Rows {
        self.rows.slice(0, self.measured)
    }

    /// Losses that were measured.
    pub(crate) fn measured_losses(&self) -> &[f64] {
        &self.losses[..self.measured]
    }

    /// Rows and losses with the number of those at the front that hyperparameters come from.
    ///
    /// The base is the first [`refit_length`] results, or where these are more than `most`, the better half of that number
    /// and an even rest of them: it stays until the next refit. Later results follow as they came, and then the newest
    /// failed rows, up to [`FAILURES_KEPT`], which have a say in what is predicted but not in the hyperparameters.
    pub(crate) fn growing(&self, most: usize) -> (Rows, Vec<f64>, usize) {
        let length = refit_length(self.measured);
        let mut kept = self.thinned(length, most);
        let base = kept.len();
        kept.extend(length..self.measured);
        kept.extend(self.measured.max(self.rows.len().saturating_sub(FAILURES_KEPT))..self.rows.len());
        (self.rows.select(&kept), kept.iter().map(|index| self.losses[*index]).collect(), base)
    }

    /// Indices of the first results, or where they are more than `most`, the better half of that number and an even rest.
    fn thinned(&self, length: usize, most: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        if length <= most {
            return order;
        }
        order.sort_by(|a, b| self.losses[*a].total_cmp(&self.losses[*b]).then(a.cmp(b)));
        let mut rest = order.split_off(most / 2);
        rest.sort_unstable();
        let wanted = most - most / 2;
        order.extend((0..wanted).map(|place| rest[place * rest.len() / wanted]));
        order.sort_unstable();
        order
    }

    fn violation(&self, index: usize) -> f64 {
        self.violations.iter().map(|values| values[index].max(0.0)).sum()
    }

    /// Better first: least violation, then least loss.
    fn compare(&self, a: usize, b: usize) -> std::cmp::Ordering {
        let losses = self.losses[a].total_cmp(&self.losses[b]);
        self.violation(a).total_cmp(&self.violation(b)).then(losses).then(a.cmp(&b))
    }

    /// Indices of the best measured rows, best first.
    pub(crate) fn best(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.measured).collect();
        if order.len() > count {
            order.select_nth_unstable_by(count, |a, b| self.compare(*a, *b));
            order.truncate(count);
        }
        order.sort_by(|a, b| self.compare(*a, *b));
        order
    }

    /// The best measured rows, best first.
    pub(crate) fn best_rows(&self) -> Rows {
        self.rows.select(&self.best(STARTS))
    }

    /// The same without rows that break a constraint.
    pub(crate) fn best_feasible_rows(&self) -> Rows {
        let holds = |index: &usize| self.violation(*index) == 0.0;
        self.rows.select(&self.best(STARTS).into_iter().filter(holds).collect::<Vec<_>>())
    }
}

/// The loss that a failed point is given: the worst one measured, but no further out than Tukey's upper fence
/// (third quartile plus 1.5 interquartile ranges; Tukey, 1977), so that one outlier does not make a failure a cliff.
pub(crate) fn fence(losses: &[f64]) -> Option<f64> {
    let mut sorted = losses.to_vec();
    sorted.sort_by(f64::total_cmp);
    let worst = *sorted.last()?;
    let quartile = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    Some(worst.min(quartile(0.75) + 1.5 * (quartile(0.75) - quartile(0.25))))
}

/// Mean and standard deviation of a model-scale prediction in units of the loss.
pub(crate) fn predict_loss(posterior: &dyn Posterior, row: &[f64]) -> Option<(f64, f64)> {
    let rows = Rows::from_rows(row.len(), &[row]).ok()?;
    let prediction = posterior.predict(&rows).ok()?;
    let (mean, deviation) = (prediction.mean[0], prediction.variance[0].sqrt());
    let spread = posterior.to_loss(mean + deviation) - posterior.to_loss(mean - deviation);
    let loss = posterior.to_loss(mean);
    (loss.is_finite() && spread.is_finite()).then_some((loss, spread.abs() / 2.0))
}

/// The best row of an acquisition that is not known yet, with its value.
pub(crate) fn best_unknown(
    acquisition: &dyn Acquisition,
    space: &Candidates<'_>,
    starts: &Rows,
    budget: &Budget,
    seed: Seed,
    known: &Known,
) -> Result<Option<Candidate>, SolverError> {
    let ranked = maximize(acquisition, space, starts, budget, seed.0).map_err(|error| numeric(&error))?;
    Ok(ranked.into_iter().find(|candidate| !known.contains(&candidate.row)))
}

/// Chooses one row by a model, given the rows that this plan has chosen before.
pub(crate) type Pick<'a> = dyn FnMut(&[Vec<f64>], Seed, &Known) -> Result<Option<Proposal>, SolverError> + 'a;

/// Mixes the initial design, random points and the model's points as the design says.
///
/// `pick` is only called when `ready`; before, points of the initial design are used. Where it finds nothing new, a random point is.
pub(crate) fn mix(
    request: &Request<'_>,
    known: &mut Known,
    design: &Design,
    ready: bool,
    pick: &mut Pick<'_>,
) -> Result<Proposals, SolverError> {
    let problem = request.view.problem();
    let space = problem.space();
    let initial = design.size(problem) as u64;
    let mut chosen: Vec<Vec<f64>> = request.placed.to_vec();
    let mut proposals = Proposals::default();
    for (index, _) in request.starts.iter().enumerate() {
        request.stop.check()?;
        let seed = request.seed.derive("proposal", index as u64);
        let designed = request.view.started() + (chosen.len() as u64) < initial;
        let exploring = seed.derive("share", 0).rng().random::<f64>() < design.random_fraction;
        let mut proposal = None;
        if designed || !ready || space.dimensions().is_empty() {
            let row = design.initial.row(request, initial as usize, &chosen, known);
            proposal = row.map(|(row, name)| Proposal::plain(row, name));
        } else if !exploring {
            proposal = pick(&chosen, seed.derive("acquisition", 0), known)?;
            if let Some(proposal) = &proposal {
                known.insert(&proposal.row);
            }
        }
        let Some(proposal) = proposal.or_else(|| {
            let row = random_rows(space, known, 1, seed.derive("random", 0)).pop();
            row.map(|row| Proposal::plain(row, "random"))
        }) else {
            break;
        };
        chosen.push(proposal.row.clone());
        proposals.list.push(proposal);
    }
    Ok(proposals)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Measured losses 0, 1, 2, ... in a scrambled order, then failed rows; the row holds the index.
    fn training(measured: usize, failed: usize) -> Training {
        let rows: Vec<[f64; 1]> = (0..measured + failed).map(|index| [index as f64]).collect();
        let losses = (0..measured).map(|index| (index * 7919 % measured) as f64);
        let losses: Vec<f64> = losses.chain(std::iter::repeat_n(measured as f64, failed)).collect();
        Training { rows: Rows::from_rows(1, &rows).unwrap(), losses, violations: Vec::new(), measured }
    }

    fn indices(rows: &Rows) -> Vec<usize> {
        rows.iter().map(|row| row[0] as usize).collect()
    }

    #[test]
    fn the_base_stays_until_the_next_refit_and_all_later_results_follow() {
        let mut bases = Vec::new();
        for measured in 300..420 {
            let (rows, losses, base) = training(measured, 0).growing(200);
            let kept = indices(&rows);
            assert_eq!((base, losses.len()), (200, kept.len()));
            let late: Vec<usize> = (refit_length(measured)..measured).collect();
            assert_eq!(kept[base..], late);
            bases.push(kept[..base].to_vec());
        }
        // The losses of the helper change with their number, as they never do in a study: count choices by their lengths.
        let mut lengths: Vec<usize> = (300..420).map(refit_length).collect();
        lengths.dedup();
        assert!(lengths.len() < 12, "{lengths:?}");
        let fixed = training(419, 0);
        let choice = |length: usize| fixed.thinned(length, 200);
        assert_eq!(choice(refit_length(410)), choice(refit_length(411)));
        let best = (0..fixed.measured).filter(|index| fixed.losses[*index] < 50.0).count();
        assert_eq!(choice(419).iter().filter(|index| fixed.losses[**index] < 50.0).count(), best);
        assert!(bases.iter().all(|base| base.is_sorted() && base.len() == 200));
    }

    #[test]
    fn failed_rows_come_last_and_only_the_newest_of_many() {
        let (rows, losses, base) = training(20, 3).growing(200);
        assert_eq!((base, indices(&rows)), (20, (0..23).collect()));
        assert_eq!(losses[20..], [20.0; 3]);
        let (rows, ..) = training(20, 150).growing(200);
        assert_eq!(indices(&rows)[20..], (70..170).collect::<Vec<usize>>());
    }
}
