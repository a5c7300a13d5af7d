//! The operations on loaded rows. Each one makes all of its checks before its first write, so that a refusal leaves the
//! tables as they were and does not spoil the other operations of its transaction.

mod admin;
mod lease;
mod plan;
mod result;
mod study;

use boxwood_study::{ProjectId, Refusal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::operation::{Answer, Operation};
use crate::tables::{RequestRow, Tables};
use crate::{AcquireRequest, NewStudy, StoreError, StoreResult, StudyPatch};

/// Applies one operation.
pub(crate) fn apply(tables: &mut Tables, operation: &Operation) -> StoreResult<Answer> {
    match operation {
        Operation::CreateProject(new) => Ok(Answer::Project(admin::create_project(tables, new))),
        Operation::CreateToken(new) => Ok(Answer::Token(admin::create_token(tables, new))),
        Operation::RevokeToken(id) => admin::revoke_token(tables, *id).map(|()| Answer::Done),
        Operation::CreateStudy(new) => {
            study::create_study(tables, new).map(|created| Answer::Created(Box::new(created)))
        }
        Operation::PatchStudy(id, patch) => {
            study::patch_study(tables, *id, patch).map(|study| Answer::Study(Box::new(study)))
        }
        Operation::CommitPlan(new) => plan::commit_plan(tables, new).map(Answer::Plan),
        Operation::Enqueue(id, points) => plan::enqueue(tables, *id, points).map(Answer::Enqueued),
        Operation::Acquire(request) => lease::acquire(tables, request).map(Answer::Grants),
        Operation::Heartbeat(hello, keys) => lease::heartbeat(tables, hello, keys).map(Answer::Heartbeats),
        Operation::Report(reports) => Ok(Answer::Reports(result::report(tables, reports))),
        Operation::Finish(key, finish) => result::finish(tables, *key, finish).map(Answer::Finished),
        Operation::Reap(limit) => lease::reap(tables, *limit).map(Answer::Reaped),
        Operation::CancelTrial(id, reason) => {
            study::cancel_trial(tables, *id, reason).map(|trial| Answer::Trial(Box::new(trial)))
        }
        Operation::RetryTrial(id) => {
            study::retry_trial(tables, *id).map(|trial| Answer::Trial(Box::new(trial)))
        }
        Operation::DrainWorker(project, name) => {
            admin::drain_worker(tables, *project, name).map(|()| Answer::Done)
        }
    }
}

/// A request id with the digest of what was asked.
pub(crate) struct RequestKey<'a> {
    id: Option<&'a str>,
    project: ProjectId,
    payload: String,
}

impl<'a> RequestKey<'a> {
    fn new(id: Option<&'a str>, project: ProjectId, kind: &str, payload: &Json) -> Self {
        Self { id, project, payload: format!("{kind}:{payload}") }
    }

    /// The stored answer to the same request.
    fn answered<T: DeserializeOwned>(&self, tables: &Tables) -> StoreResult<Option<T>> {
        let Some(id) = self.id else { return Ok(None) };
        let Some(row) = tables.requests.get(&(self.project, id.to_owned())) else { return Ok(None) };
        if row.payload != digest(&self.payload) {
            return Err(Refusal::RequestConflict.into());
        }
        serde_json::from_str(&row.response).map(Some).map_err(|_| StoreError::Corrupt { what: "request" })
    }

    /// Keeps the answer for a repeat.
    fn remember<T: Serialize>(&self, tables: &mut Tables, answer: &T) {
        if let Some(id) = self.id {
            let response = serde_json::to_string(answer).expect("answers have text keys and finite numbers");
            let row = RequestRow { payload: digest(&self.payload), response, at: tables.now };
            let key = (self.project, id.to_owned());
            tables.requests.insert(key.clone(), row);
            tables.written.requests.insert(key);
        }
    }
}

/// A short digest of a payload: FNV-1a in 128 bits. It tells a repeat from a mistake; it keeps no secret.
fn digest(text: &str) -> String {
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    for byte in text.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    format!("{hash:032x}")
}

fn create_payload(new: &NewStudy) -> Json {
    json!([new.study.spec.name, new.study.hash])
}

fn patch_payload(patch: &StudyPatch) -> Json {
    let event = patch.event.map(|event| format!("{event:?}"));
    json!([
        event,
        patch.reason,
        patch.budget,
        patch.stop,
        patch.max_open_leases,
        patch.archived,
        patch.withdraws_queued
    ])
}

fn acquire_payload(request: &AcquireRequest) -> Json {
    json!([request.worker.name, request.slots, request.study])
}
