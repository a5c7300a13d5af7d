//! A study's life through both front ends; events, metrics, health, shutdown.

use std::time::Duration;

use boxwood_front::{Config, Options, Server};
use boxwood_store::MemoryStore;
use boxwood_wire::{ErrorCode, v1};
use serde_json::{Value as Json, json};

use crate::harness::{Running, entry, hello, key, local, refused, serve, spec, start, start_with};

async fn run(server: &Running, study: i64, trials: usize) {
    for index in 0..trials {
        let lease = server.suggest(study).await;
        server.finish(&lease, 0.5 + index as f64 / 100.0).await.unwrap();
    }
}

async fn until_completed(server: &Running, study: i64) -> Json {
    for _ in 0..400 {
        let answer = server.get(&format!("/v1/studies/{study}")).await;
        if answer.json["state"] == "completed" {
            return answer.json;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the study was never completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_study_seen_through_both_front_ends() {
    let server = start().await;
    let budget = json!({ "budget": { "trials": 6 } });
    let created = server.post("/v1/studies", json!({ "spec": spec("both", budget) })).await;
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json["study"]["id"].as_i64().unwrap();
    let body = json!({ "worker": { "name": "script" }, "wait_seconds": 20, "request_id": "first" });
    let path = format!("/v1/studies/{id}/suggest");
    let first = server.post(&path, body.clone()).await;
    let again = server.post(&path, body).await;
    assert_eq!(first.json, again.json);
    let lease = &first.json["leases"][0];
    let (trial, epoch) = (lease["trial"].as_i64().unwrap(), lease["epoch"].as_u64().unwrap());
    let result = json!({ "step": 1, "metrics": { "auc": 0.75 } });
    let finish = json!({ "epoch": epoch, "ending": "reached", "result": result, "seconds": 1.5 });
    let ended = server.post(&format!("/v1/trials/{trial}/finish"), finish.clone()).await;
    assert_eq!(ended.json, json!({ "state": "completed", "accepted": true }));
    let repeated = server.post(&format!("/v1/trials/{trial}/finish"), finish).await;
    assert_eq!(repeated.json, ended.json);
    run(&server, id, 5).await;
    let study = until_completed(&server, id).await;
    assert_eq!(study["counts"]["completed"], 6);
    assert_eq!(study["best"]["trial"]["value"], 0.75);

    let get = v1::GetStudyRequest { name: "both".into(), ..Default::default() };
    let seen = server.studies().get_study(server.message(get.clone())).await.unwrap().into_inner();
    assert_eq!((seen.id, seen.trials, seen.best.unwrap().value), (id, 6, Some(0.75)));
    let replay = server.studies().replay_study(server.message(get)).await.unwrap().into_inner();
    assert!(replay.differences.is_empty() && replay.moves >= 6);
    let page = server.get(&format!("/v1/studies/{id}/trials?order=best&limit=2&states=completed")).await;
    assert_eq!(page.json["trials"][0]["value"], 0.75);
    assert_eq!(page.json["more"], true);
    let after = page.json["trials"][1]["id"].as_i64().unwrap();
    let next = server.get(&format!("/v1/studies/{id}/trials?order=best&limit=10&after={after}")).await;
    assert_eq!(next.json["trials"].as_array().unwrap().len(), 4);
    let curve = server.get(&format!("/v1/trials/{trial}")).await;
    assert_eq!(curve.json["curve"][0]["metrics"]["auc"], 0.75);
    let why = server.get(&format!("/v1/studies/{id}/explain")).await;
    assert_eq!(why.json["solver"], "random");
    let more =
        server.rest("PATCH", &format!("/v1/studies/{id}"), Some(json!({ "budget": { "trials": 7 } }))).await;
    assert_eq!(more.json["state"], "active", "{more:?}");
    run(&server, id, 1).await;
    until_completed(&server, id).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_rules_are_changed_through_both_front_ends() {
    let server = start().await;
    let stop = json!({ "stop": { "no_improvement": { "trials": 2 }, "training_seconds": 100 } });
    let id = server.create(spec("stops", stop)).await.id;
    let path = format!("/v1/studies/{id}");
    for _ in 0..3 {
        let lease = server.suggest(id).await;
        server.finish(&lease, 0.5).await.unwrap();
    }
    let study = until_completed(&server, id).await;
    assert_eq!(study["state_reason"], "`auc` has not improved by more than 0 for 2 trials");
    assert_eq!(study["training_seconds"], 1.5);
    let patch = json!({ "stop": { "no_improvement": null, "training_seconds": 2 }, "request_id": "p1" });
    let open = server.rest("PATCH", &path, Some(patch.clone())).await;
    assert_eq!(
        (&open.json["state"], &open.json["spec"]["stop"]),
        (&json!("active"), &json!({ "training_seconds": 2.0 }))
    );
    assert_eq!(server.rest("PATCH", &path, Some(patch)).await.json, open.json);
    run(&server, id, 1).await;
    let study = until_completed(&server, id).await;
    assert_eq!(study["state_reason"], "the trials took 2 of 2 seconds of training");
    let change =
        |stop_json: &str| v1::UpdateStudyRequest { id, stop_json: stop_json.into(), ..Default::default() };
    let raise = server.message(change(r#"{"training_seconds": 2.5, "no_improvement": {"trials": 9}}"#));
    let raised = server.studies().update_study(raise).await.unwrap().into_inner();
    assert_eq!((raised.state(), raised.training_seconds), (v1::StudyState::Active, 2.0));
    // What is wrong is named by both.
    for (stop, field) in [
        (json!({ "no_improvement": { "trials": 0 } }), "stop.no_improvement.trials"),
        (json!({ "training_seconds": -1 }), "stop.training_seconds"),
        (json!({ "regret_bound": { "below": 0, "proposals": 3 } }), "stop.regret_bound.below"),
        // The study's points are random: nothing would ever feed these rules.
        (json!({ "regret_bound": { "below": 1, "proposals": 3 } }), "stop.regret_bound"),
        (json!({ "expected_improvement": { "below": 1, "proposals": 3 } }), "stop.expected_improvement"),
    ] {
        let grpc = server.studies().update_study(server.message(change(&stop.to_string()))).await;
        let status = grpc.as_ref().unwrap_err();
        assert!(status.message().starts_with(field), "{status:?}");
        let rest = server.rest("PATCH", &path, Some(json!({ "stop": stop }))).await;
        assert_eq!(rest.json["field"], field, "{rest:?}");
        refused(ErrorCode::SpecInvalid, grpc, &rest);
    }
    let unknown = server.rest("PATCH", &path, Some(json!({ "stop": { "no_improvment": null } }))).await;
    assert_eq!((unknown.status, &unknown.json["field"]), (400, &json!("no_improvment")), "{unknown:?}");
    let status = server.studies().update_study(server.message(change("7"))).await.unwrap_err();
    assert!(status.message().contains("stop_json"), "{status:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_lease_report_and_drain() {
    let server = start().await;
    let fidelity = json!({ "resource": "epochs", "min": 1, "max": 9, "reduction_factor": 3 });
    let program = json!({ "name": "train", "arguments": { "data": "toy" } });
    let over = json!({ "fidelity": fidelity, "program": program, "solver": { "name": "asha" } });
    let study = server.create(spec("workers", over)).await;
    let message = v1::AcquireRequest {
        worker: Some(hello("gpu-1")),
        slots: 1,
        wait_seconds: 20.0,
        request_id: "a".into(),
    };
    let leases = server.workers().acquire(server.message(message)).await.unwrap().into_inner().leases;
    let lease = &leases[0];
    assert_eq!((lease.study, lease.program.as_str(), lease.to), (study.id, "train", 1));
    assert_eq!(lease.arguments_json, "{\"data\":\"toy\"}");
    let heartbeat = |drain: &str| v1::HeartbeatRequest {
        worker: Some(hello(drain)),
        leases: vec![key(lease), v1::LeaseKey { trial: 77, epoch: 1 }],
    };
    let reply = server.workers().heartbeat(server.message(heartbeat("gpu-1"))).await.unwrap().into_inner();
    assert_eq!(reply.leases.iter().map(|l| l.held).collect::<Vec<_>>(), [true, false]);
    assert!(!reply.drain);
    let workers = server.get("/v1/workers").await;
    assert_eq!(workers.json["workers"][0]["leases"], 1);
    assert_eq!(server.post("/v1/workers/gpu-1/drain", json!({})).await.status, 204);
    let reply = server.workers().heartbeat(server.message(heartbeat("gpu-1"))).await.unwrap().into_inner();
    assert!(reply.drain);
    let message = v1::ReportRequest { reports: vec![entry(lease, 1, 0.6)] };
    let answers = server.workers().report(server.message(message)).await.unwrap().into_inner().answers;
    assert_eq!(answers[0].verdict, i32::from(v1::VerdictKind::Yield));
    let ended = server.finish(lease, 0.6).await.unwrap();
    assert_eq!(ended.state, i32::from(v1::TrialState::Paused));
    server.stop().await;
}

/// Reads events until `done`, giving their data.
async fn events(
    server: &Running,
    path: &str,
    last: Option<u64>,
    done: impl Fn(&Json) -> bool,
) -> Vec<(u64, Json)> {
    let mut request = server.http.get(format!("{}{path}", server.rest));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut text, mut events) = (String::new(), Vec::new());
    loop {
        text += std::str::from_utf8(&response.chunk().await.unwrap().expect("the feed goes on")).unwrap();
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            let field =
                |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let Some(data) = field("data: ") else { continue };
            let data: Json = serde_json::from_str(&data).unwrap();
            let is_last = done(&data);
            events.push((field("id: ").unwrap().parse().unwrap(), data));
            if is_last {
                return events;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_follow_a_study_and_resume_where_they_stopped() {
    let server = start().await;
    let study = server.create(spec("events", json!({ "budget": { "trials": 3 } }))).await;
    let path = format!("/v1/studies/{}/events", study.id);
    let completed = |data: &Json| data["study"]["state"] == "completed";
    let (events, ()) = tokio::join!(events(&server, &path, None, completed), run(&server, study.id, 3));
    assert!(events.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    let last = events.last().unwrap().0;
    let of_trials = |events: &[(u64, Json)]| {
        events.iter().map(|(_, data)| data["trials"].as_array().unwrap().len()).sum::<usize>()
    };
    assert!(of_trials(&events) >= 3);
    let resumed = self::events(&server, &path, Some(last), |_| true).await;
    assert_eq!(of_trials(&resumed), 0);
    let all = self::events(&server, &path, None, |_| true).await;
    assert_eq!(of_trials(&all), 3);

    let get = v1::GetStudyRequest { id: study.id, ..Default::default() };
    let mut feed = server.studies().watch_study(server.message(get)).await.unwrap().into_inner();
    let first = feed.message().await.unwrap().unwrap();
    assert_eq!(first.trials.len(), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_metrics_and_reflection_answer() {
    let server = start().await;
    run(&server, server.create(spec("m", json!({}))).await.id, 2).await;
    assert_eq!(server.get("/healthz").await.json, "ok");
    assert_eq!(server.get("/readyz").await.json, "ready");
    let metrics = server.get("/metrics").await.json;
    let metrics = metrics.as_str().unwrap();
    for line in [
        "boxwood_calls_total{front=\"grpc\",route=\"finish\",code=\"ok\"} 2",
        "boxwood_plans_total 1",
        "boxwood_plan_seconds_count 1",
        "boxwood_leases_granted_total 2",
        "boxwood_active_studies 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert_eq!(server.get("/openapi.json").await.json["info"]["title"], "Boxwood");
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.channel.clone());
    let request = tonic_health::pb::HealthCheckRequest { service: "boxwood.v1.TrialService".into() };
    assert_eq!(health.check(request).await.unwrap().into_inner().status, 1);
    let mut reflection = tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(
        server.channel.clone(),
    );
    let ask = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            tonic_reflection::pb::v1::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut answers =
        reflection.server_reflection_info(futures::stream::iter([ask])).await.unwrap().into_inner();
    assert!(format!("{:?}", answers.message().await.unwrap()).contains("boxwood.v1.WorkerService"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_lets_waiting_calls_return_and_keeps_what_was_acknowledged() {
    let store = MemoryStore::new();
    let server = start_with(local(), &store).await;
    let study = server.create(spec("close", json!({}))).await;
    let lease = server.suggest(study.id).await;
    server.finish(&lease, 0.9).await.unwrap();
    let paused = json!({ "action": "pause" });
    server.rest("PATCH", &format!("/v1/studies/{}", study.id), Some(paused)).await;
    let mut trials = server.trials();
    let message = v1::SuggestRequest {
        study: study.id,
        count: 1,
        wait_seconds: 60.0,
        worker: Some(hello("patient")),
        ..Default::default()
    };
    let waiting = tokio::spawn(async move { trials.suggest(message).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop().await;
    let answer = waiting.await.unwrap().unwrap().into_inner();
    assert!(answer.leases.is_empty() && !answer.closed);
    let server = start_with(local(), &store).await;
    let seen = server.get(&format!("/v1/trials/{}", lease.trial)).await;
    assert_eq!(seen.json["trial"]["state"], "completed");
}

/// Points that a sequential client is given.
async fn points(server: &Running, study: i64, count: usize) -> Vec<String> {
    let mut points = Vec::new();
    for _ in 0..count {
        let lease = server.suggest(study).await;
        let x = serde_json::from_str::<Json>(&lease.point_json).unwrap()["x"].as_f64().unwrap();
        points.push(format!("{} {} to {}", lease.number, lease.point_json, lease.to));
        server.finish(&lease, x * (1.0 - x) - 1.0 / lease.to as f64).await.unwrap();
    }
    points
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_on_sqlite_goes_on_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("boxwood.db").display());
    let config = || Config::resolve([Options { database: Some(url.clone()), ..local() }]).unwrap();
    let fidelity = json!({ "resource": "epochs", "min": 1, "max": 9, "reduction_factor": 3 });
    let over = json!({ "solver": { "name": "asha" }, "fidelity": fidelity });

    let uninterrupted = start().await;
    let study = uninterrupted.create(spec("same", over.clone())).await;
    let expected = points(&uninterrupted, study.id, 20).await;

    let first = serve(Server::bind(config()).await.unwrap()).await;
    let study = first.create(spec("same", over)).await;
    let mut seen = points(&first, study.id, 9).await;
    let second = Server::bind(config()).await.unwrap_err().to_string();
    assert!(second.contains("boxwood.db"), "a second server on one file is refused: {second}");
    first.stop().await;
    let third = serve(Server::bind(config()).await.unwrap()).await;
    seen.extend(points(&third, study.id, 11).await);
    assert_eq!(seen, expected);
    let get = v1::GetStudyRequest { id: study.id, ..Default::default() };
    let replay = third.studies().replay_study(third.message(get)).await.unwrap().into_inner();
    assert_eq!(replay.differences, Vec::<String>::new());
    third.stop().await;
}
