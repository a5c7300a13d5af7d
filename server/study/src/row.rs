//! A trial with what the stores keep beside its record, and the changes that need no message of a worker.

use boxwood_core::{Change, Rung};
use serde::{Deserialize, Serialize};

use crate::ids::{LeaseEpoch, LeaseKey, Timestamp, WorkerName};
use crate::record::{FinishOutcome, LeaseRecord, TrialRecord};
use crate::refusal::Refusal;
use crate::state::{TrialEvent, TrialState};

/// Leases that a trial may lose before it counts as failed: something about it kills its workers.
pub const LOST_LEASE_LIMIT: u32 = 100;

/// The last accepted finish of a trial, so that an equal repeat gets the first answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishMark {
    /// Epoch that sent it.
    pub epoch: LeaseEpoch,
    /// Digest of the message.
    pub digest: String,
    /// The answer.
    pub outcome: FinishOutcome,
}

/// One step of a trial's history: the change, the state since then and the target rung since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry(pub Change, pub TrialState, pub Rung);

/// The newest lease that was lost, so that a result that still comes is not counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LostLease {
    /// Its epoch.
    pub epoch: LeaseEpoch,
    /// Seconds of training that the study counts for it.
    pub seconds: f64,
}

/// A trial as the stores keep it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRow {
    /// What readers see.
    pub record: TrialRecord,
    /// Canonical hash of the point.
    pub point_hash: String,
    /// Attempts that ran out of memory.
    pub memory_failures: u32,
    /// Resource units that the checkpoint holds.
    pub checkpoint_step: u64,
    /// The last accepted finish.
    pub finish: Option<FinishMark>,
    /// The newest lease that was lost.
    pub lost: Option<LostLease>,
    /// Every state that the trial went through.
    pub history: Vec<HistoryEntry>,
}

impl TrialRow {
    /// Marks the row as changed at `change`, and remembers the state and target where they differ from the last entry.
    pub fn stamp(&mut self, change: Change) {
        self.record.updated_change = change;
        let entry = HistoryEntry(change, self.record.state, self.record.target);
        if self.history.last().is_none_or(|last| last.1 != entry.1 || last.2 != entry.2) {
            self.history.push(entry);
        }
    }

    /// Place in the queue: points of a user, then resumed trials, then new ones.
    pub fn queue_rank(&self) -> u8 {
        match self.record.origin {
            boxwood_core::Origin::User => 0,
            boxwood_core::Origin::Solver => u8::from(self.record.reached.is_none()) + 1,
        }
    }

    /// Whether `key` is the current lease.
    pub fn holds(&self, key: LeaseKey) -> bool {
        self.record.state == TrialState::Leased && self.record.epoch == key.epoch
    }

    /// Resource units from which a new lease goes on: those of the checkpoint, 0 without one.
    pub fn resumes_from(&self) -> u64 {
        if self.record.checkpoint.is_some() { self.checkpoint_step } else { 0 }
    }

    pub(crate) fn moved(&self, event: TrialEvent) -> Result<Self, Refusal> {
        let mut row = self.clone();
        row.record.state = self.record.state.after(event)?;
        row.record.lease = None;
        Ok(row)
    }

    pub(crate) fn ended(mut self, reason: Option<String>, now: Timestamp) -> Self {
        if self.record.state.is_finished() {
            self.record.finished_at = Some(now);
        }
        self.record.reason = reason;
        self
    }

    /// Leased by a worker, under the next epoch.
    pub fn leased(&self, worker: WorkerName, now: Timestamp, lease_seconds: f64) -> Result<Self, Refusal> {
        let mut row = self.moved(TrialEvent::Lease)?;
        row.record.epoch = LeaseEpoch(self.record.epoch.0 + 1);
        row.record.lease =
            Some(LeaseRecord { worker, granted_at: now, expires_at: now.plus_seconds(lease_seconds) });
        row.record.started_at.get_or_insert(now);
        Ok(row)
    }

    /// Queued again by a plan for a rung above the last one that it reached.
    pub fn resumed(&self, rung: Rung) -> Result<Self, Refusal> {
        if self.record.reached.is_some_and(|reached| reached >= rung) {
            return Err(Refusal::TrialState {
                state: self.record.state,
                event: "be resumed to a rung it has reached",
            });
        }
        let mut row = self.moved(TrialEvent::Resume)?;
        row.record.target = rung;
        Ok(row)
    }

    /// Its lease has expired: back to the queue, or ended where its study is closed or too many leases were lost.
    /// `lease_seconds` is the length of a lease: the worker was last heard of that long before the end.
    pub fn reaped(&self, lease_seconds: f64, study_closed: bool, now: Timestamp) -> Result<Self, Refusal> {
        let lost = self.record.lost_leases + 1;
        let mut row = self.returned(lost, study_closed, now)?;
        row.record.lost_leases = lost;
        let held = self.record.lease.as_ref().map(|lease| lease.expires_at.seconds_since(lease.granted_at));
        let seconds = (held.unwrap_or(0.0) - lease_seconds).max(0.0);
        row.lost = Some(LostLease { epoch: self.record.epoch, seconds });
        Ok(row)
    }

    /// Seconds since the current lease was granted, 0 without one.
    pub fn leased_seconds(&self, now: Timestamp) -> f64 {
        self.record.lease.as_ref().map_or(0.0, |lease| now.seconds_since(lease.granted_at).max(0.0))
    }

    /// A lease given up without a result: see [`TrialRow::reaped`].
    pub(crate) fn returned(&self, lost: u32, study_closed: bool, now: Timestamp) -> Result<Self, Refusal> {
        if study_closed || self.record.stop_requested {
            return self.closed("its study has ended", now);
        }
        if lost >= LOST_LEASE_LIMIT {
            let reason = format!("{lost} leases were lost; something about this trial may kill its workers");
            return Ok(self.moved(TrialEvent::Fail)?.ended(Some(reason), now));
        }
        self.moved(TrialEvent::Requeue)
    }

    /// Ended because its study has: pruned when it was measured at a rung, cancelled otherwise.
    pub fn closed(&self, reason: &str, now: Timestamp) -> Result<Self, Refusal> {
        let event = if self.record.reached.is_some() { TrialEvent::Prune } else { TrialEvent::Cancel };
        Ok(self.moved(event)?.ended(Some(reason.to_owned()), now))
    }

    /// Withdrawn by a person, or replaced by a newer plan. A leased one keeps its stop request for the next heartbeat.
    pub fn cancelled(&self, reason: String, now: Timestamp) -> Result<Self, Refusal> {
        let mut row = self.moved(TrialEvent::Cancel)?.ended(Some(reason), now);
        row.record.stop_requested = self.record.state == TrialState::Leased;
        Ok(row)
    }

    /// Queued again with fresh attempts after it had failed.
    pub fn retried(&self) -> Result<Self, Refusal> {
        let mut row = self.moved(TrialEvent::Retry)?;
        row.record.failed_attempts = 0;
        row.record.lost_leases = 0;
        row.memory_failures = 0;
        row.record.reason = None;
        row.record.finished_at = None;
        row.record.stop_requested = false;
        Ok(row)
    }
}
