//! A study's view at any earlier change, rebuilt from its history: what replay needs.

use std::collections::HashMap;
use std::sync::Arc;

use boxwood_core::{Change, Origin, Rung, StudyView, TrialNumber, TrialStatus, TrialView};
use boxwood_store::StudyRows;
use boxwood_study::{PlanRecord, TrialState};

use crate::error::AppError;
use crate::model::Model;
use crate::snapshot::{Curve, add_point, results, status, trial_view};

/// One trial through time.
struct Course {
    view: TrialView,
    created: Change,
    /// States by the change at which the trial came to them.
    states: Vec<(Change, TrialState)>,
    /// Targets by the change from which they hold.
    targets: Vec<(Change, Rung)>,
    curve: Curve,
}

/// A study through time.
pub(crate) struct History {
    model: Model,
    courses: Vec<Course>,
}

impl History {
    /// Puts all rows of a study in order of time.
    pub(crate) fn new(model: Model, rows: StudyRows) -> Result<Self, AppError> {
        let mut curves: HashMap<u32, Curve> = HashMap::new();
        for point in rows.curves {
            add_point(curves.entry(point.trial.number()).or_default(), point);
        }
        let mut states: HashMap<u32, Vec<(Change, TrialState)>> = HashMap::new();
        for (trial, change, state) in rows.history {
            states.entry(trial.number()).or_default().push((change, state));
        }
        let mut targets: HashMap<u32, Vec<(Change, Rung)>> = HashMap::new();
        for (trial, change, rung) in rows.targets {
            targets.entry(trial.number()).or_default().push((change, rung));
        }
        let mut courses = Vec::with_capacity(rows.trials.len());
        for record in &rows.trials {
            let mut states = states.remove(&record.number).unwrap_or_default();
            states.sort_by_key(|(change, _)| *change);
            let mut targets = targets.remove(&record.number).unwrap_or_default();
            targets.sort_by_key(|(change, _)| *change);
            let curve = curves.remove(&record.number).unwrap_or_default();
            let view = trial_view(&model, record)?;
            courses.push(Course { view, created: record.created_change, states, targets, curve });
        }
        Ok(Self { model, courses })
    }

    /// The view that a solver had when it made this plan.
    pub(crate) fn view_of(&self, plan: &PlanRecord) -> Arc<StudyView> {
        let replaced = self.replaced_by(plan);
        let mut view = self.trials_at(plan.change);
        for trial in view.iter_mut().filter(|trial| replaced.contains(&trial.number)) {
            trial.status = TrialStatus::Cancelled;
        }
        Arc::new(StudyView::new(Arc::clone(self.model.problem()), plan.change, view))
    }

    /// Trials as they stood at this change.
    pub(crate) fn trials_at(&self, change: Change) -> Vec<TrialView> {
        let trials = self.courses.iter().filter(|course| course.created <= change);
        trials.map(|course| course.at(&self.model, change)).collect()
    }

    /// Trials that a plan replaced: never leased, withdrawn in the transaction that made the plan's trials. To the solver
    /// they were cancelled already.
    fn replaced_by(&self, plan: &PlanRecord) -> Vec<TrialNumber> {
        let own = |course: &&Course| {
            course.view.origin == Origin::Solver && course.view.provenance.plan == plan.number.0
        };
        let Some(made) = self.courses.iter().find(own).map(|course| course.created) else {
            return Vec::new();
        };
        let replaced = |course: &&Course| {
            course.created < made
                && course.states.last() == Some(&(made, TrialState::Cancelled))
                && course.states.iter().all(|(_, state)| *state != TrialState::Leased)
        };
        self.courses.iter().filter(replaced).map(|course| course.view.number).collect()
    }
}

impl Course {
    fn at(&self, model: &Model, change: Change) -> TrialView {
        let state = self.states.iter().rev().find(|(at, _)| *at <= change).map(|(_, state)| *state);
        let status = state.map_or(TrialStatus::Pending, status);
        let mut view = self.view.clone();
        view.status = status;
        if let Some((_, rung)) = self.targets.iter().rev().find(|(at, _)| *at <= change) {
            view.target = *rung;
        }
        view.results = results(model, &self.curve, status, change);
        view
    }
}
