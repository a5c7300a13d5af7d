//! Load on a server of its own: clients and server share this machine.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use boxwood_wire::v1::{
    CreateStudyRequest, Ending, FinishRequest, HeartbeatRequest, Lease, LeaseKey, ReportEntry, ReportRequest,
    SuggestRequest, WorkerHello,
};
use serde_json::{Value, json};

use crate::command::demo::Processes;
use crate::output;
use crate::remote::{Remote, plain, request_id};

/// What to do.
pub(crate) struct Load {
    pub(crate) database: String,
    pub(crate) clients: u32,
    pub(crate) seconds: f64,
    pub(crate) leases: u32,
}

/// Reports in one call.
const BATCH: u64 = 100;
/// Leases of one worker while heartbeats are timed.
const LEASES_PER_WORKER: u32 = 50;

/// Count and latencies of one kind of call.
struct Measured {
    count: u64,
    seconds: f64,
    /// Sorted, seconds.
    latencies: Vec<f64>,
}

impl Measured {
    fn new(count: u64, seconds: f64, mut latencies: Vec<f64>) -> Self {
        latencies.sort_by(f64::total_cmp);
        Self { count, seconds, latencies }
    }

    fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// Latency below which a share of the calls lies, milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN) * 1e3
    }

    fn document(&self) -> Value {
        json!({"count": self.count, "seconds": self.seconds, "per_second": self.rate(),
            "p50_ms": self.quantile(0.5), "p99_ms": self.quantile(0.99)})
    }
}

pub(crate) async fn run(load: &Load, as_json: bool) -> Result<()> {
    if load.clients == 0 || load.leases == 0 || !(load.seconds > 0.0 && load.seconds.is_finite()) {
        bail!("--clients and --leases must be at least 1, and --seconds above 0");
    }
    let folder = tempfile::tempdir().context("create a temporary folder")?;
    let database = match load.database.as_str() {
        "sqlite" => format!("sqlite:{}", folder.path().join("bench.db").display()),
        "memory" => "memory:".to_owned(),
        other => other.to_owned(),
    };
    let mut processes = Processes::new(folder.path());
    let server = processes.start_server(&database).await?;
    let pairs = pairs(&server.grpc, load).await.context("measure suggest and finish")?;
    let reports = reports(&server.grpc, load).await.context("measure reports")?;
    let heartbeats = heartbeats(&server.grpc, load).await.context("measure heartbeats")?;
    processes.stop().await?;
    if as_json {
        return output::json(&json!({
            "database": load.database, "clients": load.clients, "leases": load.leases,
            "suggest_finish_pairs": pairs.document(), "reports": reports.document(),
            "heartbeats": heartbeats.document(),
        }));
    }
    let mut table = output::table(["measure", "count", "per second", "p50 ms", "p99 ms"]);
    for (name, measured) in [
        (format!("suggest+finish pairs, {} clients", load.clients), &pairs),
        (format!("reports, batches of {BATCH}"), &reports),
        (format!("heartbeats, {} live leases", load.leases), &heartbeats),
    ] {
        table.add_row([
            name,
            measured.count.to_string(),
            format!("{:.0}", measured.rate()),
            format!("{:.2}", measured.quantile(0.5)),
            format!("{:.2}", measured.quantile(0.99)),
        ]);
    }
    output::right(&mut table, [1, 2, 3, 4]);
    println!("{}", output::lines(&table));
    Ok(())
}

async fn study(remote: &Remote, name: &str) -> Result<i64> {
    let parameters: Vec<Value> =
        (0..8).map(|i| json!({"name": format!("x{i}"), "type": "float", "low": 0.0, "high": 1.0})).collect();
    let spec = json!({
        "name": name, "space": {"parameters": parameters},
        "objectives": [{"metric": "loss", "goal": "minimize"}],
        "fidelity": {"resource": "steps", "rungs": [1_000_000_000_u64]},
        "solver": {"name": "random"}, "freshness": "eager", "lease_seconds": 60.0,
    });
    let request =
        CreateStudyRequest { project: String::new(), spec_json: spec.to_string(), request_id: request_id() };
    let created = remote.studies().create_study(request).await.map_err(|s| plain(&s))?.into_inner();
    Ok(created.study.context("the server's answer holds no study")?.id)
}

fn hello(name: String, slots: u32) -> WorkerHello {
    WorkerHello { project: String::new(), name, slots, labels: HashMap::new(), programs: Vec::new() }
}

async fn suggest(remote: &Remote, study: i64, worker: &WorkerHello, count: u32) -> Result<Vec<Lease>> {
    let request = SuggestRequest {
        study,
        count,
        wait_seconds: 30.0,
        worker: Some(worker.clone()),
        request_id: request_id(),
    };
    let answer = remote.trials().suggest(request).await.map_err(|s| plain(&s))?.into_inner();
    Ok(answer.leases)
}

fn key(lease: &Lease) -> LeaseKey {
    LeaseKey { trial: lease.trial, epoch: lease.epoch }
}

fn entry(lease: &Lease, step: u64) -> ReportEntry {
    ReportEntry {
        lease: Some(key(lease)),
        step,
        metrics: [("loss".to_owned(), 1.0 / step as f64)].into(),
        seconds: Some(step as f64),
    }
}

async fn pairs(server: &str, load: &Load) -> Result<Measured> {
    let remote = Remote::connect(server, None, "").await?;
    let study = study(&remote, "pairs").await?;
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(load.seconds);
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..load.clients {
        let (server, count) = (server.to_owned(), Arc::clone(&count));
        tasks.spawn(async move {
            let remote = Remote::connect(&server, None, "").await?;
            let worker = hello(format!("pairs-{client}"), 1);
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let before = Instant::now();
                for lease in suggest(&remote, study, &worker, 1).await? {
                    let request = FinishRequest {
                        lease: Some(key(&lease)),
                        ending: Ending::Reached.into(),
                        reason: String::new(),
                        result: Some(entry(&lease, lease.to)),
                        checkpoint: String::new(),
                        seconds: 0.0,
                    };
                    remote.workers().finish(request).await.map_err(|s| plain(&s))?;
                    count.fetch_add(1, Ordering::Relaxed);
                    latencies.push(before.elapsed().as_secs_f64());
                }
            }
            Ok::<_, anyhow::Error>(latencies)
        });
    }
    let latencies = gather(tasks).await?;
    Ok(Measured::new(count.load(Ordering::Relaxed), start.elapsed().as_secs_f64(), latencies))
}

async fn gather(mut tasks: tokio::task::JoinSet<Result<Vec<f64>>>) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    while let Some(result) = tasks.join_next().await {
        latencies.extend(result.context("a client task panicked")??);
    }
    Ok(latencies)
}

async fn reports(server: &str, load: &Load) -> Result<Measured> {
    let remote = Remote::connect(server, None, "").await?;
    let study = study(&remote, "reports").await?;
    let mut tasks = tokio::task::JoinSet::new();
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(load.seconds);
    let count = Arc::new(AtomicU64::new(0));
    for client in 0..load.clients.min(8) {
        let (remote, count) = (Remote::connect(server, None, "").await?, Arc::clone(&count));
        tasks.spawn(async move {
            let worker = hello(format!("reports-{client}"), 1);
            let leases = suggest(&remote, study, &worker, 1).await?;
            let lease = leases.first().context("no lease was granted")?;
            let mut latencies = Vec::new();
            let mut step = 1;
            while Instant::now() < end {
                let before = Instant::now();
                let request =
                    ReportRequest { reports: (step..step + BATCH).map(|step| entry(lease, step)).collect() };
                let answer = remote.workers().report(request).await.map_err(|s| plain(&s))?.into_inner();
                if let Some(refused) = answer.answers.iter().find(|answer| !answer.error_code.is_empty()) {
                    bail!("a report was refused: {}", refused.error_message);
                }
                step += BATCH;
                count.fetch_add(BATCH, Ordering::Relaxed);
                latencies.push(before.elapsed().as_secs_f64());
            }
            Ok::<_, anyhow::Error>(latencies)
        });
    }
    let latencies = gather(tasks).await?;
    Ok(Measured::new(count.load(Ordering::Relaxed), start.elapsed().as_secs_f64(), latencies))
}

/// Every worker renews its leases once a second, as workers do, spread over the second.
async fn heartbeats(server: &str, load: &Load) -> Result<Measured> {
    let remote = Remote::connect(server, None, "").await?;
    let study = study(&remote, "heartbeats").await?;
    let workers = load.leases.div_ceil(LEASES_PER_WORKER);
    let mut tasks = tokio::task::JoinSet::new();
    let mut held = Vec::new();
    for index in 0..workers {
        let slots = LEASES_PER_WORKER.min(load.leases - index * LEASES_PER_WORKER);
        let worker = hello(format!("heartbeats-{index}"), slots);
        let mut leases = Vec::new();
        while (leases.len() as u32) < slots {
            let more = suggest(&remote, study, &worker, slots - leases.len() as u32).await?;
            if more.is_empty() {
                bail!("only {} of {slots} leases were granted", leases.len());
            }
            leases.extend(more);
        }
        held.push((worker, leases.iter().map(key).collect::<Vec<_>>()));
    }
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(load.seconds);
    for (index, (worker, keys)) in held.into_iter().enumerate() {
        let remote = Remote::connect(server, None, "").await?;
        let offset = Duration::from_secs_f64(index as f64 / f64::from(workers));
        tasks.spawn(async move {
            let mut tick = tokio::time::interval_at((start + offset).into(), Duration::from_secs(1));
            let mut latencies = Vec::new();
            loop {
                tick.tick().await;
                if Instant::now() >= end {
                    return Ok::<_, anyhow::Error>(latencies);
                }
                let before = Instant::now();
                let request = HeartbeatRequest { worker: Some(worker.clone()), leases: keys.clone() };
                let answer = remote.workers().heartbeat(request).await.map_err(|s| plain(&s))?.into_inner();
                if answer.leases.iter().any(|lease| !lease.held) {
                    bail!("a live lease was lost");
                }
                latencies.push(before.elapsed().as_secs_f64());
            }
        });
    }
    let latencies = gather(tasks).await?;
    Ok(Measured::new(latencies.len() as u64, start.elapsed().as_secs_f64(), latencies))
}
