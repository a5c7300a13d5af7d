//! The rows that one transaction works on.
//!
//! The memory store keeps one of these with every row in it. The SQL stores fill one with the rows that a group of
//! operations needs, apply the operations, and write back what [`Tables::written`] names. So the rules of the store exist
//! once, and the engines differ only in how rows come and go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use boxwood_core::{Change, Rung};
use boxwood_study::{
    CheckedStudy, CurvePoint, LeaseEpoch, PlanNumber, PlanRecord, ProjectId, StudyId, StudyRecord, Timestamp,
    TokenId, TrialId, TrialRow, TrialState, WorkerName, WorkerRow,
};

use crate::{ProjectRecord, StoreError, StoreResult, TokenRecord};

/// Key of a report.
pub(crate) type ReportKey = (TrialId, LeaseEpoch, u64);

/// A stored answer to a request id.
#[derive(Debug, Clone)]
pub(crate) struct RequestRow {
    /// Digest of the request.
    pub payload: String,
    /// The answer as JSON.
    pub response: String,
    /// When it was stored.
    pub at: Timestamp,
}

/// A token with its hash.
#[derive(Debug, Clone)]
pub(crate) struct TokenRow {
    pub record: TokenRecord,
    pub hash: String,
    pub revoked: bool,
}

/// What must be written back.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub new_projects: BTreeSet<ProjectId>,
    pub tokens: BTreeSet<TokenId>,
    pub new_studies: BTreeSet<StudyId>,
    pub studies: BTreeSet<StudyId>,
    /// Trials to write in full.
    pub trials: BTreeSet<TrialId>,
    /// Trials of which only the end of the lease has moved.
    pub renewed: BTreeSet<TrialId>,
    pub reports: BTreeSet<ReportKey>,
    pub plans: BTreeSet<(StudyId, PlanNumber)>,
    pub promotions: BTreeSet<(TrialId, Rung, PlanNumber)>,
    pub workers: BTreeSet<(ProjectId, WorkerName)>,
    pub requests: BTreeSet<(ProjectId, String)>,
    /// Request ids stored before this time are forgotten.
    pub forget_before: Option<Timestamp>,
    /// Studies to tell listeners about.
    pub notices: BTreeSet<StudyId>,
}

/// Ids handed out by the database before the operations run.
#[derive(Debug, Default)]
pub(crate) struct FreshIds {
    pub projects: Vec<i64>,
    pub tokens: Vec<i64>,
    pub studies: Vec<i64>,
}

/// Rows by key, with the indexes that the operations use.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// The database's clock at the start of the transaction.
    pub now: Timestamp,
    pub projects: BTreeMap<ProjectId, ProjectRecord>,
    pub tokens: BTreeMap<TokenId, TokenRow>,
    studies: BTreeMap<StudyId, StudyRecord>,
    names: BTreeMap<(ProjectId, String), StudyId>,
    /// Checked specifications as created; immutable. May hold studies whose row is not loaded.
    pub specs: HashMap<StudyId, Arc<CheckedStudy>>,
    trials: BTreeMap<TrialId, TrialRow>,
    queue: BTreeSet<(StudyId, u8, u32)>,
    hashes: BTreeMap<(StudyId, String), BTreeSet<u32>>,
    pub reports: BTreeMap<ReportKey, CurvePoint>,
    pub plans: BTreeMap<(StudyId, PlanNumber), PlanRecord>,
    pub workers: BTreeMap<(ProjectId, WorkerName), WorkerRow>,
    pub requests: BTreeMap<(ProjectId, String), RequestRow>,
    pub fresh: FreshIds,
    pub written: Written,
}

impl Tables {
    /// A loaded study.
    pub(crate) fn study(&self, id: StudyId) -> StoreResult<&StudyRecord> {
        self.studies.get(&id).ok_or(StoreError::NotFound { what: "study" })
    }

    /// Every loaded study.
    pub(crate) fn studies(&self) -> impl DoubleEndedIterator<Item = &StudyRecord> {
        self.studies.values()
    }

    /// The checked specification of a study.
    pub(crate) fn spec(&self, id: StudyId) -> StoreResult<Arc<CheckedStudy>> {
        self.specs.get(&id).cloned().ok_or(StoreError::NotFound { what: "study" })
    }

    /// The study of a name.
    pub(crate) fn study_by_name(&self, project: ProjectId, name: &str) -> Option<&StudyRecord> {
        self.names.get(&(project, name.to_owned())).and_then(|id| self.studies.get(id))
    }

    /// A loaded trial.
    pub(crate) fn trial(&self, id: TrialId) -> StoreResult<&TrialRow> {
        self.trials.get(&id).ok_or(StoreError::NotFound { what: "trial" })
    }

    /// Every loaded trial of a study, by number.
    pub(crate) fn trials_of(&self, study: StudyId) -> impl DoubleEndedIterator<Item = &TrialRow> {
        self.trials.range(TrialId::of(study, 0)..TrialId::of(StudyId(study.0 + 1), 0)).map(|(_, row)| row)
    }

    /// Every loaded trial.
    pub(crate) fn all_trials(&self) -> impl Iterator<Item = &TrialRow> {
        self.trials.values()
    }

    /// Every loaded report of a study, by trial, epoch and step.
    pub(crate) fn reports_of(&self, study: StudyId) -> impl Iterator<Item = &CurvePoint> {
        let key = |id: StudyId| (TrialId::of(id, 0), LeaseEpoch(0), 0);
        self.reports.range(key(study)..key(StudyId(study.0 + 1))).map(|(_, point)| point)
    }

    /// Every loaded report of a trial, by epoch and step.
    pub(crate) fn curve(&self, trial: TrialId) -> impl Iterator<Item = &CurvePoint> {
        let key = |id: i64| (TrialId(id), LeaseEpoch(0), 0);
        self.reports.range(key(trial.0)..key(trial.0 + 1)).map(|(_, point)| point)
    }

    /// The last report of a lease.
    pub(crate) fn last_report(&self, trial: TrialId, epoch: LeaseEpoch) -> Option<&CurvePoint> {
        self.reports.range((trial, epoch, 0)..=(trial, epoch, u64::MAX)).next_back().map(|(_, point)| point)
    }

    /// First queued trial of a study.
    pub(crate) fn first_queued(&self, study: StudyId) -> Option<&TrialRow> {
        let next = self.queue.range((study, 0, 0)..=(study, u8::MAX, u32::MAX)).next();
        next.and_then(|(study, _, number)| self.trials.get(&TrialId::of(*study, *number)))
    }

    /// Loaded trials with this point, cancelled ones left out, by number.
    pub(crate) fn same_point(&self, study: StudyId, hash: &str) -> Vec<&TrialRow> {
        let numbers = self.hashes.get(&(study, hash.to_owned())).into_iter().flatten();
        let rows = numbers.filter_map(|number| self.trials.get(&TrialId::of(study, *number)));
        rows.filter(|row| row.record.state != TrialState::Cancelled).collect()
    }

    /// Puts a loaded study in place.
    pub(crate) fn load_study(&mut self, record: StudyRecord) {
        self.names.insert((record.project, record.spec.name.clone()), record.id);
        self.studies.insert(record.id, record);
    }

    /// Puts a loaded trial in place.
    pub(crate) fn load_trial(&mut self, row: TrialRow) {
        let (study, number) = (row.record.study, row.record.number);
        if let Some(old) = self.trials.get(&row.record.id) {
            self.queue.remove(&(study, old.queue_rank(), number));
        }
        if row.record.state == TrialState::Queued {
            self.queue.insert((study, row.queue_rank(), number));
        }
        self.hashes.entry((study, row.point_hash.clone())).or_default().insert(number);
        self.trials.insert(row.record.id, row);
    }

    /// A new study.
    pub(crate) fn add_study(&mut self, record: StudyRecord, checked: Arc<CheckedStudy>) {
        self.written.new_studies.insert(record.id);
        self.written.notices.insert(record.id);
        self.specs.insert(record.id, checked);
        self.load_study(record);
    }

    /// The study row for a change in place; it will be written back.
    pub(crate) fn study_mut(&mut self, id: StudyId) -> StoreResult<&mut StudyRecord> {
        let record = self.studies.get_mut(&id).ok_or(StoreError::NotFound { what: "study" })?;
        self.written.studies.insert(id);
        self.written.notices.insert(id);
        Ok(record)
    }

    /// The next change of a study.
    pub(crate) fn bump(&mut self, id: StudyId) -> StoreResult<Change> {
        let study = self.study_mut(id)?;
        study.change = Change(study.change.0 + 1);
        Ok(study.change)
    }

    /// Writes a trial at a change and keeps the study's counts.
    pub(crate) fn put_trial(&mut self, mut row: TrialRow, change: Change) -> StoreResult<()> {
        row.stamp(change);
        let old = self.trials.get(&row.record.id).map(|old| old.record.state);
        let study = self.study_mut(row.record.study)?;
        if let Some(old) = old {
            let count = study.counts.entry(old).or_default();
            *count = count.saturating_sub(1);
            if *count == 0 {
                study.counts.remove(&old);
            }
        }
        *study.counts.entry(row.record.state).or_default() += 1;
        self.written.trials.insert(row.record.id);
        self.load_trial(row);
        Ok(())
    }

    /// Moves the end of a lease; readers see it, solvers do not.
    pub(crate) fn renew(&mut self, id: TrialId, expires_at: Timestamp) {
        if let Some(lease) = self.trials.get_mut(&id).and_then(|row| row.record.lease.as_mut()) {
            lease.expires_at = expires_at;
            self.written.renewed.insert(id);
        }
    }

    /// Stores a report.
    pub(crate) fn put_report(&mut self, point: CurvePoint) {
        let key = (point.trial, point.epoch, point.report.step);
        self.reports.insert(key, point);
        self.written.reports.insert(key);
    }
}

/// Trials of a study in a state.
pub(crate) fn count(study: &StudyRecord, state: TrialState) -> u64 {
    study.counts.get(&state).copied().unwrap_or(0)
}

/// Trials of a study that are not finished.
pub(crate) fn open_trials(study: &StudyRecord) -> u64 {
    count(study, TrialState::Queued) + count(study, TrialState::Leased) + count(study, TrialState::Paused)
}
