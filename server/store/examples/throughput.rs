//! Measures a store by itself: lease and finish pairs, reports in batches, heartbeats beside many live leases.
//!
//! `cargo run -p boxwood-store --example throughput -- sqlite:/tmp/boxwood-throughput.db`
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, bail};
use boxwood_core::{Diagnostics, Metrics, Move, PlanEnd, Point, Provenance, Rung, Value};
use boxwood_store::{
    AcquireRequest, AnyStore, NewPlan, NewStudy, PlanResult, Requested, Store, WorkerHello, connect,
};
use boxwood_study::{
    Ending, EndingKind, Finish, LeaseKey, PlanNumber, ProjectId, Report, StudyId, StudySpec, WorkerName,
};

const CLIENTS: u32 = 32;
const PAIRS: u32 = 6_400;
const LIVE: u32 = 1_000;
const BATCHES: u64 = 50;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).context("name a store: sqlite:PATH, postgres://... or memory:")?;
    let store = connect(&url).await?;
    store.migrate().await?;
    let study = study(&store).await?;
    fill(&store, study, 1, PAIRS + LIVE).await?;
    pairs(&store, study).await?;
    let keys = lease(&store, study, LIVE).await?;
    reports(&store, &keys).await?;
    heartbeats(&store, &keys).await?;
    store.close().await;
    Ok(())
}

async fn study(store: &AnyStore) -> anyhow::Result<StudyId> {
    let parameters: Vec<_> = (0..8)
        .map(|i| serde_json::json!({"name": format!("x{i}"), "type": "float", "low": 0.0, "high": 1e6}))
        .collect();
    let spec = serde_json::json!({
        "name": format!("throughput{}", store.now().await?.0), "space": {"parameters": parameters},
        "objectives": [{"metric": "loss", "goal": "minimize"}], "lease_seconds": 600.0
    });
    let study = StudySpec::from_value(spec)?.check()?;
    Ok(store.create_study(Requested::once(NewStudy { project: ProjectId(1), study })).await?.study.id)
}

async fn fill(store: &AnyStore, study: StudyId, first: u64, count: u32) -> anyhow::Result<()> {
    for (index, chunk) in (0..count).collect::<Vec<_>>().chunks(200).enumerate() {
        let moves = chunk.iter().map(|x| {
            let point = Point((0..8).map(|i| (format!("x{i}"), Value::Float(f64::from(*x)))).collect());
            (Move::Start { point, rung: Rung(0), provenance: Provenance::default() }, None)
        });
        let plan = NewPlan {
            study,
            number: PlanNumber(first + index as u64),
            change: store.study(study).await?.change,
            want: chunk.len() as u32,
            starts_left: None,
            moves: moves.collect(),
            replaces: Vec::new(),
            end: PlanEnd::More,
            diagnostics: Diagnostics::default(),
            seconds: 0.0,
        };
        if store.commit_plan(plan).await? == PlanResult::Conflict {
            bail!("another planner works on this study");
        }
    }
    Ok(())
}

fn hello(client: u32) -> WorkerHello {
    WorkerHello {
        project: ProjectId(1),
        name: WorkerName(format!("client{client}")),
        slots: 1,
        labels: BTreeMap::new(),
        programs: Vec::new(),
    }
}

fn report(step: u64) -> Report {
    Report { step, metrics: Metrics::from([("loss", 1.0 / step as f64)]), seconds: Some(1.0) }
}

async fn lease(store: &AnyStore, study: StudyId, slots: u32) -> anyhow::Result<Vec<LeaseKey>> {
    let request = AcquireRequest { worker: hello(0), slots, study: Some(study) };
    let grants = store.acquire(Requested::once(request)).await?;
    Ok(grants.iter().map(|grant| LeaseKey { trial: grant.trial.id, epoch: grant.trial.epoch }).collect())
}

async fn pairs(store: &AnyStore, study: StudyId) -> anyhow::Result<()> {
    let begun = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..PAIRS / CLIENTS {
                let body = AcquireRequest { worker: hello(client), slots: 1, study: Some(study) };
                let id = Some(format!("{}-{client}-{number}", study.0));
                let grants = store.acquire(Requested { id, body }).await?;
                let grant = grants.first().context("a queued trial")?;
                let key = LeaseKey { trial: grant.trial.id, epoch: grant.trial.epoch };
                let ending = Ending { kind: EndingKind::Reached, reason: None };
                let finish = Finish { ending, result: Some(report(1)), checkpoint: None, seconds: 1.0 };
                store.finish(key, finish).await?;
            }
            anyhow::Ok(())
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await??;
    }
    let rate = f64::from(PAIRS) / begun.elapsed().as_secs_f64();
    println!("{rate:.0} lease and finish pairs per second with {CLIENTS} clients");
    Ok(())
}

async fn reports(store: &AnyStore, keys: &[LeaseKey]) -> anyhow::Result<()> {
    let begun = Instant::now();
    for batch in 1..=BATCHES {
        let reports = keys.iter().map(|key| (*key, report(batch))).collect();
        for answer in store.report(reports).await? {
            answer?;
        }
    }
    let rate = BATCHES as f64 * keys.len() as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} reports per second in batches of {}", keys.len());
    Ok(())
}

async fn heartbeats(store: &AnyStore, keys: &[LeaseKey]) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for round in 0..500 {
        let key = keys[round * 7 % keys.len()];
        let begun = Instant::now();
        store.heartbeat(hello(0), vec![key]).await?;
        times.push(begun.elapsed());
    }
    times.sort();
    println!(
        "heartbeat: median {:?}, 99th percentile {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    Ok(())
}
