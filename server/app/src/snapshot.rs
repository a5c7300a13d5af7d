//! A study's view, kept up to date by the rows that changed.
//!
//! A snapshot is a cache: built from nothing but the store's rows, equal whether they came at once or one by one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use boxwood_core::{
    Change, Metrics, Origin, Resource, RungResult, StudyView, TrialNumber, TrialStatus, TrialView,
    rung_results,
};
use boxwood_store::StudyRows;
use boxwood_study::{CurvePoint, LeaseEpoch, StudyRecord, TrialId, TrialRecord, TrialState};

use crate::error::AppError;
use crate::model::Model;

/// The points of one trial's curve by step and epoch. Of several epochs at a step the newest counts, among those that were
/// visible at the change that is looked at: a trial that starts over must not change what an earlier plan had seen.
pub(crate) type Curve = BTreeMap<(u64, LeaseEpoch), (Metrics, Option<f64>, Change)>;

/// A queued trial that a plan started and nobody has leased yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueuedStart {
    pub(crate) trial: TrialId,
    /// Change that its plan had seen.
    pub(crate) change: Change,
}

/// What a planner reads: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) study: Arc<StudyRecord>,
    pub(crate) model: Model,
    pub(crate) view: Arc<StudyView>,
    pub(crate) queued_starts: Vec<QueuedStart>,
    /// Newest change at which a trial was measured or ended.
    pub(crate) last_result: Change,
    /// Trials measured or ended after the change that the newest plan had seen.
    pub(crate) results_since_plan: u32,
}

impl Seen {
    pub(crate) fn count(&self, state: TrialState) -> u64 {
        self.study.counts.get(&state).copied().unwrap_or(0)
    }
}

/// A study at one change, with what is needed to bring it to a later one.
#[derive(Debug)]
pub(crate) struct Snapshot {
    study: Arc<StudyRecord>,
    model: Model,
    view: Arc<StudyView>,
    curves: HashMap<TrialNumber, Curve>,
    queued_starts: BTreeMap<TrialNumber, QueuedStart>,
    /// Changes at which a trial was measured or ended, in order.
    results: Vec<Change>,
}

/// Where a solver stands with a trial in this state.
pub(crate) fn status(state: TrialState) -> TrialStatus {
    match state {
        TrialState::Queued | TrialState::Leased => TrialStatus::Pending,
        TrialState::Paused => TrialStatus::Paused,
        TrialState::Completed => TrialStatus::Completed,
        TrialState::Pruned => TrialStatus::Pruned,
        TrialState::Infeasible => TrialStatus::Infeasible,
        TrialState::Failed => TrialStatus::Failed,
        TrialState::Cancelled => TrialStatus::Cancelled,
    }
}

/// Whether a trial that comes to this state brings the solver something to know.
pub(crate) fn is_result(state: TrialState) -> bool {
    match state {
        TrialState::Paused
        | TrialState::Completed
        | TrialState::Pruned
        | TrialState::Infeasible
        | TrialState::Failed => true,
        TrialState::Queued | TrialState::Leased | TrialState::Cancelled => false,
    }
}

/// Adds a point to a curve.
pub(crate) fn add_point(curve: &mut Curve, point: CurvePoint) {
    let key = (point.report.step, point.epoch);
    curve.insert(key, (point.report.metrics, point.report.seconds, point.change));
}

/// Results of a trial from its curve, up to a change.
///
/// A study without a fidelity has one rung of resource 1 whatever steps its trials report; there the last point counts,
/// once the trial has ended.
pub(crate) fn results(model: &Model, curve: &Curve, status: TrialStatus, until: Change) -> Vec<RungResult> {
    let visible = curve.iter().filter(|(_, (.., change))| *change <= until);
    let mut points: Vec<(Resource, Metrics, Option<f64>, Change)> = Vec::new();
    for ((step, _), (metrics, seconds, change)) in visible {
        let point = (Resource(*step), metrics.clone(), *seconds, *change);
        match points.last_mut() {
            Some(last) if last.0 == point.0 => *last = point,
            _ => points.push(point),
        }
    }
    if !model.problem().has_fidelity() {
        let last = points.pop().filter(|_| status != TrialStatus::Pending);
        points = last.into_iter().map(|point| (Resource(1), point.1, point.2, point.3)).collect();
    }
    rung_results(model.problem(), &points)
}

/// A trial's view without results.
pub(crate) fn trial_view(model: &Model, record: &TrialRecord) -> Result<TrialView, AppError> {
    let encoded =
        model.problem().space().encode(&record.point).map_err(|error| AppError::internal(&error))?;
    Ok(TrialView {
        number: TrialNumber(record.number),
        point: record.point.clone(),
        encoded,
        origin: record.origin,
        provenance: record.provenance.clone(),
        status: status(record.state),
        target: record.target,
        results: Vec::new(),
    })
}

impl Snapshot {
    /// A snapshot of all rows of a study.
    pub(crate) fn new(model: Model, rows: StudyRows) -> Result<Self, AppError> {
        let study = Arc::new(rows.study.clone());
        let view = Arc::new(StudyView::new(Arc::clone(model.problem()), Change(0), Vec::new()));
        let (curves, queued_starts) = (HashMap::new(), BTreeMap::new());
        let mut snapshot = Self { study, model, view, curves, queued_starts, results: Vec::new() };
        snapshot.apply(rows, None)?;
        Ok(snapshot)
    }

    /// Newest change that it shows.
    pub(crate) fn change(&self) -> Change {
        self.study.change
    }

    /// Whether these rows need another model: the budget is the part of a specification that may change.
    pub(crate) fn outgrown_by(&self, rows: &StudyRows) -> bool {
        rows.study.spec.budget != self.study.spec.budget
    }

    /// Brings it up to date with rows that changed after [`Snapshot::change`], and with a new model where there is one.
    pub(crate) fn apply(&mut self, rows: StudyRows, model: Option<Model>) -> Result<(), AppError> {
        if let Some(model) = model {
            self.model = model;
        }
        let mut touched: Vec<TrialNumber> = Vec::new();
        for point in rows.curves {
            let number = TrialNumber(point.trial.number());
            add_point(self.curves.entry(number).or_default(), point);
            touched.push(number);
        }
        for (_, change, state) in &rows.history {
            if is_result(*state) {
                self.results.push(*change);
            }
        }
        self.results.sort_unstable();
        self.study = Arc::new(rows.study);
        let mut trials = match Arc::try_unwrap(std::mem::replace(
            &mut self.view,
            Arc::new(StudyView::new(Arc::clone(self.model.problem()), Change(0), Vec::new())),
        )) {
            Ok(view) => view.into_trials(),
            Err(shared) => shared.trials().to_vec(),
        };
        for record in &rows.trials {
            self.note_queued(record);
            place(&self.model, &mut trials, record)?;
            touched.push(TrialNumber(record.number));
        }
        touched.sort_unstable();
        touched.dedup();
        for number in touched {
            if let (Ok(index), Some(curve)) =
                (trials.binary_search_by_key(&number, |trial| trial.number), self.curves.get(&number))
            {
                trials[index].results = results(&self.model, curve, trials[index].status, self.study.change);
            }
        }
        self.view = Arc::new(StudyView::new(Arc::clone(self.model.problem()), self.study.change, trials));
        Ok(())
    }

    fn note_queued(&mut self, record: &TrialRecord) {
        let number = TrialNumber(record.number);
        let unleased = record.state == TrialState::Queued && record.epoch.0 == 0;
        if unleased && record.origin == Origin::Solver {
            let queued = QueuedStart { trial: record.id, change: Change(record.provenance.change) };
            self.queued_starts.insert(number, queued);
        } else {
            self.queued_starts.remove(&number);
        }
    }

    /// What a planner reads.
    pub(crate) fn seen(&self) -> Seen {
        let since = self.results.partition_point(|change| *change <= self.study.plan_change);
        Seen {
            study: Arc::clone(&self.study),
            model: self.model.clone(),
            view: Arc::clone(&self.view),
            queued_starts: self.queued_starts.values().copied().collect(),
            last_result: self.results.last().copied().unwrap_or_default(),
            results_since_plan: (self.results.len() - since) as u32,
        }
    }
}

/// Puts a record in its place among views in order of their numbers.
fn place(model: &Model, trials: &mut Vec<TrialView>, record: &TrialRecord) -> Result<(), AppError> {
    let number = TrialNumber(record.number);
    match trials.binary_search_by_key(&number, |trial| trial.number) {
        Ok(index) => {
            let trial = &mut trials[index];
            trial.status = status(record.state);
            trial.target = record.target;
            trial.provenance = record.provenance.clone();
        }
        Err(index) => trials.insert(index, trial_view(model, record)?),
    }
    Ok(())
}
