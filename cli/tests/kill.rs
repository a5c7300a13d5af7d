//! kill -9 of servers and workers at random moments: nothing that was acknowledged is lost.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use boxwood_core::Seed;
use boxwood_wire::v1::{
    Ending, FinishRequest, LeaseKey, ReportEntry, ReportRequest, StudyState, SuggestRequest, TrialState,
    WorkerHello,
};
use rand::RngExt;
use serde_json::json;
use support::{Api, PATIENCE, ServerProcess, WorkerProcess, databases};

/// Reports acknowledged by a server: (trial, epoch, step) and the value.
type Acknowledged = Arc<Mutex<HashMap<(i64, u64, u64), f64>>>;

fn rounds() -> u32 {
    std::env::var("BOXWOOD_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn seed() -> u64 {
    let seed =
        std::env::var("BOXWOOD_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_122);
    eprintln!("seed {seed} (BOXWOOD_TEST_SEED repeats it)");
    seed
}

/// Enough trials that most kills hit a running study.
fn budget() -> u64 {
    60.max(12 * u64::from(rounds()))
}

fn spec(name: &str, program: bool) -> serde_json::Value {
    let mut spec = json!({
        "name": name,
        "space": {"parameters": [
            {"name": "x", "type": "float", "low": 0.0, "high": 1.0},
            {"name": "y", "type": "float", "low": 0.0, "high": 1.0}
        ]},
        "objectives": [{"metric": "value", "goal": "minimize"}],
        "fidelity": {"resource": "steps", "rungs": [1, 3]},
        "solver": {"name": "asha"},
        "budget": {"trials": budget()},
        "lease_seconds": 1.0,
    });
    if program {
        spec["program"] = json!({"name": "slow"});
    }
    spec
}

/// One script that suggests, reports every step and finishes, whatever dies meanwhile.
async fn script(api: Api, study: i64, name: String, acknowledged: Acknowledged, done: Arc<AtomicBool>) {
    let worker = WorkerHello { name: name.clone(), slots: 1, ..WorkerHello::default() };
    let mut calls = 0;
    while !done.load(Ordering::Relaxed) {
        calls += 1;
        let request = SuggestRequest {
            study,
            count: 1,
            wait_seconds: 0.5,
            worker: Some(worker.clone()),
            request_id: format!("{name}-{calls}"),
        };
        let trials = api.trials();
        let leases = match call!(trials, suggest, request).await {
            Ok(answer) if answer.closed => return,
            Ok(answer) => answer.leases,
            Err(status) => panic!("suggest: {status:?}"),
        };
        for lease in leases {
            let key = LeaseKey { trial: lease.trial, epoch: lease.epoch };
            let mut lost = false;
            for step in lease.from + 1..=lease.to {
                tokio::time::sleep(Duration::from_millis(10)).await;
                let value = value(lease.trial, step);
                let entry = ReportEntry {
                    lease: Some(key),
                    step,
                    metrics: [("value".to_owned(), value)].into(),
                    seconds: Some(step as f64),
                };
                let workers = api.workers();
                let request = ReportRequest { reports: vec![entry] };
                let answer = call!(workers, report, request).await.unwrap();
                let answer = &answer.answers[0];
                match answer.error_code.as_str() {
                    "" => {
                        acknowledged.lock().unwrap().insert((key.trial, key.epoch, step), value);
                    }
                    "lease_lost" | "trial_finished" => lost = true,
                    other => panic!("report was refused: {other} {}", answer.error_message),
                }
                if lost {
                    break;
                }
            }
            if lost {
                continue;
            }
            let request = FinishRequest {
                lease: Some(key),
                ending: Ending::Reached.into(),
                reason: String::new(),
                result: Some(ReportEntry {
                    lease: Some(key),
                    step: lease.to,
                    metrics: [("value".to_owned(), value(lease.trial, lease.to))].into(),
                    seconds: Some(lease.to as f64),
                }),
                checkpoint: String::new(),
                seconds: (lease.to - lease.from) as f64,
            };
            let workers = api.workers();
            match call!(workers, finish, request).await {
                Ok(_) => {}
                Err(status) => {
                    let code = status.metadata().get(boxwood_wire::CODE_METADATA).unwrap().to_str().unwrap();
                    assert!(matches!(code, "lease_lost" | "trial_finished"), "finish: {status:?}");
                }
            }
        }
    }
}

/// The same for every lease of a trial, so that a conflict would be a fault of the server.
fn value(trial: i64, step: u64) -> f64 {
    (trial as f64 * 0.37).fract() + 1.0 / step as f64
}

async fn wait_for_end(api: &Api, study: i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let study = api.study(study).await;
        if study.state() == StudyState::Completed {
            return;
        }
        assert!(Instant::now() < deadline, "the study does not end: {:?}", study.counts);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every trial is finished, none twice, and as many as the budget says.
async fn check_end(api: &Api, study: i64) {
    let trials = api.all_trials(study).await;
    let counted: Vec<_> = trials.iter().filter(|trial| trial.state() != TrialState::Cancelled).collect();
    assert_eq!(counted.len() as u64, budget(), "the budget is spent exactly");
    let mut numbers: Vec<u32> = trials.iter().map(|trial| trial.number).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), trials.len(), "no number is given twice");
    for trial in &counted {
        assert!(
            matches!(trial.state(), TrialState::Completed | TrialState::Pruned),
            "trial {} is {:?}: {}",
            trial.number,
            trial.state(),
            trial.reason
        );
        // Lost leases are counted apart: only a fault of the program uses up an attempt.
        assert_eq!(trial.failed_attempts, 0, "a kill uses up no attempt");
    }
    assert!(counted.iter().any(|trial| trial.state() == TrialState::Completed));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_report_is_lost_when_the_server_is_killed() {
    let seed = seed();
    let folder = tempfile::tempdir().unwrap();
    for (engine, database) in databases(folder.path()).await {
        let mut server = ServerProcess::start(folder.path(), &database);
        let api = Api::new(&server.grpc());
        let study = api.create(&spec("kill-server", false)).await;
        let acknowledged = Acknowledged::default();
        let done = Arc::new(AtomicBool::new(false));
        let scripts: Vec<_> = (0..4)
            .map(|i| {
                let task = script(
                    api.clone(),
                    study.id,
                    format!("{engine}-script-{i}"),
                    acknowledged.clone(),
                    done.clone(),
                );
                tokio::spawn(task)
            })
            .collect();
        let mut random = Seed(seed).derive(engine, 0).rng();
        for _ in 0..rounds() {
            tokio::time::sleep(Duration::from_millis(random.random_range(50..400))).await;
            server.kill();
            server.restart();
        }
        wait_for_end(&api, study.id).await;
        done.store(true, Ordering::Relaxed);
        for script in scripts {
            script.await.unwrap();
        }
        check_end(&api, study.id).await;
        let acknowledged = acknowledged.lock().unwrap().clone();
        assert!(acknowledged.len() as u64 >= budget());
        let mut stored = HashMap::new();
        for trial in api.all_trials(study.id).await {
            for point in api.trial(trial.id).await.curve {
                stored.insert((trial.id, point.epoch, point.step), point.metrics["value"]);
            }
        }
        for (key, value) in &acknowledged {
            assert_eq!(stored.get(key), Some(value), "{engine}: the acknowledged report {key:?} is lost");
        }
        let replayed = api
            .studies()
            .replay_study(boxwood_wire::v1::GetStudyRequest { id: study.id, ..Default::default() })
            .await
            .unwrap()
            .into_inner();
        assert!(replayed.plans > 0);
        assert_eq!(replayed.differences, Vec::<String>::new(), "{engine}: replay differs");
    }
}

/// A worker's configuration with one command that reports every step.
fn worker_config(folder: &Path) -> std::path::PathBuf {
    let script = folder.join("slow.py");
    std::fs::write(
        &script,
        "import json, os, time\n\
         trial = json.load(open(os.environ['BOXWOOD_TRIAL']))\n\
         x, y = trial['parameters']['x'], trial['parameters']['y']\n\
         for step in range(trial['resource']['from'] + 1, trial['resource']['to'] + 1):\n\
         \x20   time.sleep(0.02)\n\
         \x20   print('boxwood: ' + json.dumps({'step': step, 'value': x * x + y * y + 1.0 / step}), flush=True)\n",
    )
    .unwrap();
    let config = folder.join("worker.toml");
    let text = format!("[programs.slow]\ncommand = [\"python3\", {:?}]\n", script.to_string_lossy());
    std::fs::write(&config, text).unwrap();
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn the_study_completes_when_workers_and_servers_are_killed() {
    let seed = seed();
    let folder = tempfile::tempdir().unwrap();
    let config = worker_config(folder.path());
    for (engine, database) in databases(folder.path()).await {
        let mut server = ServerProcess::start(folder.path(), &database);
        let api = Api::new(&server.grpc());
        let study = api.create(&spec("kill-all", true)).await;
        let mut workers: Vec<WorkerProcess> = (0..2)
            .map(|i| {
                WorkerProcess::start(folder.path(), &format!("{engine}-{i}"), &server.grpc(), Some(&config))
            })
            .collect();
        let mut random = Seed(seed).derive(engine, 1).rng();
        for _ in 0..rounds() {
            tokio::time::sleep(Duration::from_millis(random.random_range(200..900))).await;
            match random.random_range(0..3_usize) {
                0 => {
                    server.kill();
                    server.restart();
                }
                index => {
                    workers[index - 1].kill();
                    workers[index - 1].restart();
                }
            }
        }
        wait_for_end(&api, study.id).await;
        check_end(&api, study.id).await;
    }
}

/// Suggestions of a sequential client in order; the server is killed before the suggestion of that number.
async fn sequence(
    folder: &Path,
    database: &str,
    kill_before: Option<usize>,
) -> (Vec<String>, ServerProcess, i64) {
    let mut server = ServerProcess::start(folder, database);
    let api = Api::new(&server.grpc());
    let mut spec = spec("sequence", false);
    spec["solver"] = json!({"name": "bo"});
    spec["budget"] = json!({"trials": 12});
    spec["fidelity"] = json!(null);
    spec["lease_seconds"] = json!(30.0);
    let study = api.create(&spec).await;
    let worker = WorkerHello { name: "sequential".into(), slots: 1, ..WorkerHello::default() };
    let mut points = Vec::new();
    loop {
        if kill_before == Some(points.len()) {
            server.kill();
            server.restart();
        }
        let request = SuggestRequest {
            study: study.id,
            count: 1,
            wait_seconds: 20.0,
            worker: Some(worker.clone()),
            request_id: format!("suggestion-{}", points.len()),
        };
        let trials = api.trials();
        let mut answer = call!(trials, suggest, request).await.unwrap();
        if answer.closed {
            return (points, server, study.id);
        }
        let Some(lease) = answer.leases.pop() else { continue };
        let point: serde_json::Value = serde_json::from_str(&lease.point_json).unwrap();
        let (x, y) = (point["x"].as_f64().unwrap(), point["y"].as_f64().unwrap());
        let key = LeaseKey { trial: lease.trial, epoch: lease.epoch };
        let request = FinishRequest {
            lease: Some(key),
            ending: Ending::Reached.into(),
            result: Some(ReportEntry {
                lease: Some(key),
                step: 1,
                metrics: [("value".to_owned(), (x - 0.3).powi(2) + (y - 0.7).powi(2))].into(),
                seconds: None,
            }),
            ..FinishRequest::default()
        };
        let workers = api.workers();
        call!(workers, finish, request).await.unwrap();
        points.push(lease.point_json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequential_client_sees_the_same_points_again_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for (engine, database) in databases(folder.path()).await {
        let (first, server, study) = sequence(folder.path(), &database, None).await;
        assert_eq!(first.len(), 12, "{engine}: the budget is spent exactly");
        let output =
            support::run(&["--server", &server.grpc(), "--json", "study", "replay", &study.to_string()]);
        let replay = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{engine}: replay differs: {replay}");
        drop(server);
        for (run, (_, database)) in databases(&subfolder(folder.path(), engine)).await.into_iter().enumerate()
        {
            let (again, ..) =
                sequence(&subfolder(folder.path(), &format!("{engine}-{run}")), &database, Some(6)).await;
            assert_eq!(first, again, "{engine}: other suggestions after a kill");
        }
    }
}

fn subfolder(folder: &Path, name: &str) -> std::path::PathBuf {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
