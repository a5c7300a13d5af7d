//! The conformance suite of stores, and what tests share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::wildcard_imports,
    clippy::needless_pass_by_value,
    clippy::missing_panics_doc,
    missing_docs
)]

pub mod data;
pub mod lists;
pub mod plans;
pub mod results;
pub mod studies;
pub mod workers;

use std::collections::BTreeMap;

use boxwood_core::{Diagnostics, Metrics, Move, PlanEnd, Point, Provenance, Rung, Value};
use boxwood_store::testing::{self, SqliteFolder};
use boxwood_store::{
    AcquireRequest, AnyStore, Grant, NewPlan, NewStudy, PlanResult, Requested, Store, StoreError,
    WorkerHello, connect,
};
use boxwood_study::{
    Ending, EndingKind, Finish, FinishOutcome, LeaseKey, PlanNumber, ProjectId, Refusal, Report, StudyId,
    StudyRecord, StudySpec, TrialId, TrialRecord, WorkerName,
};
use serde_json::json;

pub const PROJECT: ProjectId = ProjectId(1);

/// A database for one test, with two stores on it.
pub struct Database {
    pub store: AnyStore,
    /// Another server where the engine allows one, else a clone.
    pub other: AnyStore,
    folder: Option<SqliteFolder>,
}

pub async fn memory() -> Option<Database> {
    let store = connect("memory:").await.unwrap();
    store.migrate().await.unwrap();
    Some(Database { other: store.clone(), store, folder: None })
}

pub async fn sqlite() -> Option<Database> {
    sqlite_with("full").await
}

pub async fn sqlite_with(synchronous: &str) -> Option<Database> {
    let folder = SqliteFolder::new();
    let store = connect(&format!("{}?synchronous={synchronous}", folder.url())).await.unwrap();
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    Some(Database { other: store.clone(), store, folder: Some(folder) })
}

pub async fn postgres() -> Option<Database> {
    let url = testing::postgres().await?;
    let store = connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    let other = connect(&url).await.unwrap();
    other.migrate().await.unwrap();
    Some(Database { store, other, folder: None })
}

/// One test per engine and function of the suite.
#[macro_export]
macro_rules! store_conformance {
    ($engine:ident: $($group:ident { $($test:ident),+ $(,)? })+) => {
        mod $engine {
            $(mod $group {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(database) = $crate::suite::$engine().await {
                        $crate::suite::$group::$test(&database).await;
                        database.store.close().await;
                        database.other.close().await;
                    }
                })+
            })+
        }
    };
}

/// A specification with changes laid over it.
pub fn spec(name: &str, changes: serde_json::Value) -> StudySpec {
    let mut json = json!({
        "name": name,
        "space": {"parameters": [{"name": "x", "type": "float", "low": 0.0, "high": 1000.0}]},
        "objectives": [{"metric": "auc", "goal": "maximize"}],
        "fidelity": {"resource": "epochs", "rungs": [1, 3, 9]},
        "program": {"name": "fm"},
        "seed": 7
    });
    for (key, value) in changes.as_object().unwrap() {
        json[key] = value.clone();
    }
    StudySpec::from_value(json).unwrap()
}

pub async fn create(store: &AnyStore, name: &str, changes: serde_json::Value) -> StudyRecord {
    let study = spec(name, changes).check().unwrap();
    store.create_study(Requested::once(NewStudy { project: PROJECT, study })).await.unwrap().study
}

pub fn point(x: f64) -> Point {
    Point(BTreeMap::from([("x".into(), Value::Float(x))]))
}

pub fn start(x: f64, rung: u32) -> (Move, Option<String>) {
    let provenance = Provenance { solver: "test".into(), ..Provenance::default() };
    (Move::Start { point: point(x), rung: Rung(rung), provenance }, None)
}

pub fn resume(trial: &TrialRecord, rung: u32) -> (Move, Option<String>) {
    let trial = boxwood_core::TrialNumber(trial.number);
    (Move::Resume { trial, rung: Rung(rung), provenance: Provenance::default() }, None)
}

pub fn plan(study: &StudyRecord, moves: Vec<(Move, Option<String>)>) -> NewPlan {
    NewPlan {
        study: study.id,
        number: PlanNumber(study.plan.0 + 1),
        change: study.change,
        want: moves.len() as u32,
        starts_left: None,
        moves,
        replaces: Vec::new(),
        end: PlanEnd::More,
        diagnostics: Diagnostics::default(),
        seconds: 0.25,
    }
}

/// Commits the next plan of a study.
pub async fn commit(
    store: &AnyStore,
    study: StudyId,
    moves: Vec<(Move, Option<String>)>,
) -> Vec<TrialRecord> {
    let study = store.study(study).await.unwrap();
    match store.commit_plan(plan(&study, moves)).await.unwrap() {
        PlanResult::Committed(trials) => trials,
        PlanResult::Conflict => panic!("a conflict"),
    }
}

pub fn hello(name: &str) -> WorkerHello {
    WorkerHello {
        project: PROJECT,
        name: WorkerName(name.into()),
        slots: 8,
        labels: BTreeMap::new(),
        programs: vec!["fm".into()],
    }
}

pub fn ask(name: &str, slots: u32) -> AcquireRequest {
    AcquireRequest { worker: hello(name), slots, study: None }
}

pub async fn acquire(store: &AnyStore, name: &str, slots: u32) -> Vec<Grant> {
    store.acquire(Requested::once(ask(name, slots))).await.unwrap()
}

pub fn key(grant: &Grant) -> LeaseKey {
    LeaseKey { trial: grant.trial.id, epoch: grant.trial.epoch }
}

pub fn report(step: u64, auc: f64) -> Report {
    Report { step, metrics: Metrics::from([("auc", auc)]), seconds: Some(step as f64) }
}

pub fn finish(kind: EndingKind, result: Option<Report>) -> Finish {
    Finish {
        ending: Ending { kind, reason: Some("because".into()) },
        result,
        checkpoint: Some("file:///checkpoint".into()),
        seconds: 1.5,
    }
}

pub fn reached(step: u64, auc: f64) -> Finish {
    finish(EndingKind::Reached, Some(report(step, auc)))
}

pub async fn end(store: &AnyStore, grant: &Grant, message: Finish) -> FinishOutcome {
    store.finish(key(grant), message).await.unwrap()
}

pub async fn record(store: &AnyStore, id: TrialId) -> TrialRecord {
    store.trial(id).await.unwrap().trial
}

pub fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Refusal {
    match result.unwrap_err() {
        StoreError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Waits, by the database's clock, until leases of 0.2 seconds have ended.
pub async fn let_leases_end(store: &AnyStore) {
    let end = store.now().await.unwrap().plus_seconds(0.25);
    while store.now().await.unwrap() < end {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
