//! Projects, tokens and workers.

use boxwood_study::{ProjectId, TokenId, WorkerName, WorkerRecord, WorkerRow};

use crate::tables::{Tables, TokenRow};
use crate::{NewProject, NewToken, ProjectRecord, StoreError, StoreResult, TokenRecord, WorkerHello};

/// A worker row is written at most this often when nothing but the time has changed.
const SEEN_SECONDS: f64 = 5.0;
/// A worker that was away for so long is a new process under an old name: it is not draining any more.
const AWAY_SECONDS: f64 = 120.0;

pub(super) fn create_project(tables: &mut Tables, new: &NewProject) -> ProjectRecord {
    if let Some(found) = tables.projects.values().find(|project| project.name == new.name) {
        return found.clone();
    }
    let id = ProjectId(tables.fresh.projects.pop().expect("an id was taken for every new project"));
    let record = ProjectRecord { id, name: new.name.clone() };
    tables.projects.insert(id, record.clone());
    tables.written.new_projects.insert(id);
    record
}

pub(super) fn create_token(tables: &mut Tables, new: &NewToken) -> TokenRecord {
    let id = TokenId(tables.fresh.tokens.pop().expect("an id was taken for every new token"));
    let record = TokenRecord {
        id,
        prefix: new.prefix.clone(),
        name: new.name.clone(),
        project: new.project,
        role: new.role,
        created_at: tables.now,
        expires_at: new.expires_at,
    };
    tables.tokens.insert(id, TokenRow { record: record.clone(), hash: new.hash.clone(), revoked: false });
    tables.written.tokens.insert(id);
    record
}

pub(super) fn revoke_token(tables: &mut Tables, id: TokenId) -> StoreResult<()> {
    let row = tables.tokens.get_mut(&id).ok_or(StoreError::NotFound { what: "token" })?;
    row.revoked = true;
    tables.written.tokens.insert(id);
    Ok(())
}

pub(super) fn drain_worker(tables: &mut Tables, project: ProjectId, name: &WorkerName) -> StoreResult<()> {
    let key = (project, name.clone());
    let row = tables.workers.get_mut(&key).ok_or(StoreError::NotFound { what: "worker" })?;
    row.record.draining = true;
    tables.written.workers.insert(key);
    Ok(())
}

/// Notes that a worker was heard from, and returns its row.
pub(super) fn touch_worker<'a>(tables: &'a mut Tables, hello: &WorkerHello) -> &'a WorkerRow {
    let key = (hello.project, hello.name.clone());
    let now = tables.now;
    let fresh = || WorkerRow {
        record: WorkerRecord {
            project: hello.project,
            name: hello.name.clone(),
            slots: 0,
            labels: hello.labels.clone(),
            programs: hello.programs.clone(),
            crashes: 0,
            quarantined_until: None,
            draining: false,
            seen_at: now,
            leases: 0,
        },
        crash_trial: None,
        crash_several: false,
    };
    let row = tables.workers.entry(key.clone()).or_insert_with(fresh);
    let record = &mut row.record;
    let away = now.seconds_since(record.seen_at);
    let changed =
        record.slots != hello.slots || record.labels != hello.labels || record.programs != hello.programs;
    if changed || away >= SEEN_SECONDS {
        record.slots = hello.slots;
        record.labels.clone_from(&hello.labels);
        record.programs.clone_from(&hello.programs);
        record.draining &= away < AWAY_SECONDS;
        record.seen_at = now;
        tables.written.workers.insert(key);
    }
    row
}
