//! A leased trial: what to try, and where to report.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use boxwood_wire::{ErrorCode, v1};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::client::Shared;
use crate::error::Error;
use crate::keeper::Signal;
use crate::model::{Ending, Finished, TrialState, Verdict};
use crate::point::Point;

/// A trial that this process holds. Its lease is kept alive in the background until it is ended.
///
/// Dropping it without an end gives it back as far as that is possible: as preempted, or as stopped after a stop verdict.
#[derive(Debug)]
pub struct Trial {
    shared: Arc<Shared>,
    lease: v1::Lease,
    point: Point,
    signal: watch::Receiver<Signal>,
    started: Instant,
    last: Option<v1::ReportEntry>,
    verdict: Verdict,
    checkpoint: String,
    ended: bool,
}

impl Trial {
    pub(crate) fn new(shared: &Arc<Shared>, lease: v1::Lease) -> Result<Self, Error> {
        let point = Point::parse(&lease.point_json)?;
        let signal = shared.keeper.add((lease.trial, lease.epoch), lease.lease_seconds);
        Ok(Self {
            shared: Arc::clone(shared),
            lease,
            point,
            signal,
            started: Instant::now(),
            last: None,
            verdict: Verdict::Continue,
            checkpoint: String::new(),
            ended: false,
        })
    }

    /// Id.
    pub fn id(&self) -> i64 {
        self.lease.trial
    }

    /// Number in the study, from 1.
    pub fn number(&self) -> u32 {
        self.lease.number
    }

    /// Epoch of the lease.
    pub fn epoch(&self) -> u64 {
        self.lease.epoch
    }

    /// The point to try.
    pub fn point(&self) -> &Point {
        &self.point
    }

    /// A number of the point.
    pub fn float(&self, name: &str) -> Result<f64, Error> {
        self.point.float(name)
    }

    /// An integer of the point.
    pub fn integer(&self, name: &str) -> Result<i64, Error> {
        self.point.integer(name)
    }

    /// A text of the point.
    pub fn text(&self, name: &str) -> Result<&str, Error> {
        self.point.text(name)
    }

    /// A truth value of the point.
    pub fn boolean(&self, name: &str) -> Result<bool, Error> {
        self.point.boolean(name)
    }

    /// The arm and its parameters under their short names.
    pub fn arm(&self) -> (Option<String>, Map<String, Value>) {
        self.point.split_arm(&self.lease.arm_parameter)
    }

    /// Resource units trained before.
    pub fn from(&self) -> u64 {
        self.lease.from
    }

    /// Resource units to train to.
    pub fn to(&self) -> u64 {
        self.lease.to
    }

    /// Rungs up to the target: report at least there.
    pub fn rungs(&self) -> &[u64] {
        &self.lease.rungs
    }

    /// Seed of the trial, equal for every attempt.
    pub fn seed(&self) -> u64 {
        self.lease.seed
    }

    /// Checkpoint to resume from.
    pub fn checkpoint(&self) -> Option<&str> {
        Some(self.lease.checkpoint.as_str()).filter(|uri| !uri.is_empty())
    }

    /// Names the checkpoint that the end of this trial will leave.
    pub fn set_checkpoint(&mut self, uri: impl Into<String>) {
        self.checkpoint = uri.into();
    }

    /// The strongest verdict so far, from reports and heartbeats; asks nobody.
    pub fn verdict(&self) -> Verdict {
        self.verdict.max(self.signal.borrow().command)
    }

    /// Whether the lease is known to be lost: drop the work. A final result is welcome all the same.
    pub fn is_lost(&self) -> bool {
        self.signal.borrow().lost
    }

    /// Reports metrics at a step and returns what to do next. A lost lease is an error, see [`Error::is_lease_lost`].
    pub async fn report<K: Into<String>>(
        &mut self,
        step: u64,
        metrics: impl IntoIterator<Item = (K, f64)>,
    ) -> Result<Verdict, Error> {
        let entry = self.entry(step, metrics)?;
        if self.is_lost() {
            let message = format!("trial {} has a newer lease or is closed", self.lease.number);
            return Err(Error::Refused { code: ErrorCode::LeaseLost, message });
        }
        let answer = self.shared.transport.report(v1::ReportRequest { reports: vec![entry.clone()] }).await?;
        let answer = answer.answers.into_iter().next().ok_or_else(|| crate::model::missing("answers"))?;
        if !answer.error_code.is_empty() {
            return Err(Error::refused(&answer.error_code, &answer.error_message));
        }
        self.last = Some(entry);
        self.verdict = self.verdict.max(Verdict::from_wire(answer.verdict)?);
        Ok(self.verdict())
    }

    /// Ends the trial with its result at the target.
    pub async fn finish<K: Into<String>>(
        mut self,
        metrics: impl IntoIterator<Item = (K, f64)>,
    ) -> Result<Finished, Error> {
        let entry = self.entry(self.lease.to, metrics)?;
        // A result that repeats the last report is sent as it was reported, seconds included.
        let entry = match self.last.take() {
            Some(last) if last.step == entry.step && last.metrics == entry.metrics => last,
            _ => entry,
        };
        self.end(Ending::Reached, String::new(), Some(entry)).await
    }

    /// Ends the trial after a stop verdict: what was reported counts.
    pub async fn stop(mut self) -> Result<Finished, Error> {
        self.end(Ending::Stopped, String::new(), None).await
    }

    /// Gives the trial back after a yield verdict or because this process must leave. When the target was reported it
    /// counts as reached.
    pub async fn give_back(mut self) -> Result<Finished, Error> {
        let reached = self.last.take().filter(|last| last.step >= self.lease.to);
        let ending = if reached.is_some() { Ending::Reached } else { Ending::Preempted };
        self.end(ending, String::new(), reached).await
    }

    /// Ends the attempt as failed; the server may queue the trial again.
    pub async fn fail(mut self, reason: impl Into<String>) -> Result<Finished, Error> {
        self.end(Ending::ProgramFailed, reason.into(), None).await
    }

    /// Ends the trial: its point cannot be evaluated.
    pub async fn infeasible(mut self, reason: impl Into<String>) -> Result<Finished, Error> {
        self.end(Ending::Infeasible, reason.into(), None).await
    }

    async fn end(
        &mut self,
        ending: Ending,
        reason: String,
        result: Option<v1::ReportEntry>,
    ) -> Result<Finished, Error> {
        let request = self.finish_request(ending, reason, result);
        // From here on a drop must not end the lease a second time, but heartbeats go on until the answer.
        self.ended = true;
        let answer = self.shared.transport.finish(request).await;
        self.shared.keeper.remove((self.lease.trial, self.lease.epoch));
        let answer = answer?;
        Ok(Finished { state: TrialState::from_wire(answer.state)?, accepted: answer.accepted })
    }

    fn finish_request(
        &self,
        ending: Ending,
        reason: String,
        result: Option<v1::ReportEntry>,
    ) -> v1::FinishRequest {
        v1::FinishRequest {
            lease: Some(self.key()),
            ending: ending.to_wire().into(),
            reason,
            result,
            checkpoint: self.checkpoint.clone(),
            seconds: self.started.elapsed().as_secs_f64(),
        }
    }

    fn entry<K: Into<String>>(
        &self,
        step: u64,
        metrics: impl IntoIterator<Item = (K, f64)>,
    ) -> Result<v1::ReportEntry, Error> {
        let metrics: HashMap<String, f64> =
            metrics.into_iter().map(|(name, value)| (name.into(), value)).collect();
        if let Some((metric, value)) = metrics.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::NotFinite { metric: metric.clone(), value: *value });
        }
        let seconds = Some(self.lease.seconds + self.started.elapsed().as_secs_f64());
        Ok(v1::ReportEntry { lease: Some(self.key()), step, metrics, seconds })
    }

    fn key(&self) -> v1::LeaseKey {
        v1::LeaseKey { trial: self.lease.trial, epoch: self.lease.epoch }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let key = (self.lease.trial, self.lease.epoch);
        if self.ended || self.is_lost() {
            self.shared.keeper.remove(key);
            return;
        }
        let stopped = self.verdict() == Verdict::Stop;
        let ending = if stopped { Ending::Stopped } else { Ending::Preempted };
        let request = self.finish_request(ending, "dropped by the script".into(), None);
        let shared = Arc::clone(&self.shared);
        // Best effort: where the process ends first, the lease runs out.
        self.shared.runtime.spawn(async move {
            let once = shared.transport.with_retry(shared.transport.retry().once());
            if let Err(error) = once.finish(request).await {
                tracing::debug!(%error, trial = key.0, "give back dropped trial");
            }
            shared.keeper.remove(key);
        });
    }
}
