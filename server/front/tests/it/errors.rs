//! Every row of the error table that a client can provoke, provoked through both front ends.

use std::time::Duration;

use boxwood_front::{LimitOptions, Options};
use boxwood_store::MemoryStore;
use boxwood_wire::v1;
use boxwood_wire::{CODE_METADATA, ErrorCode};
use serde_json::json;

use crate::harness::{entry, finish, hello, key, local, refused, refused_by_rest, spec, start, start_with};

fn create(spec: &serde_json::Value, request_id: &str) -> v1::CreateStudyRequest {
    v1::CreateStudyRequest {
        spec_json: spec.to_string(),
        request_id: request_id.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_specification_names_its_field() {
    let server = start().await;
    let unknown = spec("a", json!({ "objektives": 3 }));
    let grpc = server.studies().create_study(server.message(create(&unknown, ""))).await;
    let field =
        grpc.as_ref().unwrap_err().metadata().get("boxwood-field").unwrap().to_str().unwrap().to_owned();
    let rest = server.post("/v1/studies", json!({ "spec": unknown })).await;
    assert_eq!((field.as_str(), &rest.json["field"]), ("objektives", &json!("objektives")));
    refused(ErrorCode::SpecInvalid, grpc, &rest);
    for (over, named) in [
        (json!({ "objectives": [{ "metric": "auc" }] }), "goal"),
        (json!({ "objectives": [] }), "objectives"),
        (json!({ "solver": { "name": "gradient" } }), "gradient"),
        (json!({ "solver": { "name": "random", "speed": 9 } }), "speed"),
    ] {
        let bad = spec("a", over);
        let grpc = server.studies().create_study(server.message(create(&bad, ""))).await;
        let rest = server.post("/v1/studies", json!({ "spec": bad })).await;
        assert!(rest.json["detail"].as_str().unwrap().contains(named), "{rest:?}");
        assert!(grpc.as_ref().unwrap_err().message().contains(named));
        refused(ErrorCode::SpecInvalid, grpc, &rest);
    }
    let rest = server.post("/v1/studies", json!({ "spec": spec("a", json!({})), "projekt": "x" })).await;
    refused_by_rest(ErrorCode::SpecInvalid, &rest);
    assert_eq!(rest.json["field"], "projekt");
    refused_by_rest(ErrorCode::SpecInvalid, &server.get("/v1/studies?colour=red").await);
    let rest = server.rest_text("POST", "/v1/studies", Some("{ not json".into())).await;
    refused_by_rest(ErrorCode::SpecInvalid, &rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_that_are_not_finite_are_refused_by_name() {
    let server = start().await;
    let study = server.create(spec("nan", json!({}))).await;
    let lease = server.suggest(study.id).await;
    for value in [f64::NAN, f64::INFINITY] {
        let grpc = server.finish(&lease, value).await;
        for word in [json!(null), json!("NaN"), json!("-Infinity")] {
            let body = json!({ "epoch": lease.epoch, "step": 1, "metrics": { "auc": word } });
            let rest = server.post(&format!("/v1/trials/{}/report", lease.trial), body).await;
            assert_eq!(rest.json["field"], "metrics.auc");
            refused(ErrorCode::ValueNotFinite, grpc.clone(), &rest);
        }
    }
    let message = v1::ReportRequest { reports: vec![entry(&lease, 1, f64::NAN), entry(&lease, 1, 0.5)] };
    let answers = server.workers().report(server.message(message)).await.unwrap().into_inner().answers;
    assert_eq!(answers[0].error_code, "value_not_finite");
    assert_eq!(answers[1].error_code, "");
    let body = json!({ "epoch": lease.epoch, "step": 1, "metrics": { "auc": "high" } });
    let rest = server.post(&format!("/v1/trials/{}/report", lease.trial), body).await;
    refused_by_rest(ErrorCode::SpecInvalid, &rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_not_found() {
    let server = start().await;
    let grpc = server
        .studies()
        .get_study(server.message(v1::GetStudyRequest { id: 99, ..Default::default() }))
        .await;
    refused(ErrorCode::NotFound, grpc, &server.get("/v1/studies/99").await);
    let grpc = server.trials().get_trial(server.message(v1::GetTrialRequest { id: 10_000_007 })).await;
    refused(ErrorCode::NotFound, grpc, &server.get("/v1/trials/10000007").await);
    refused_by_rest(ErrorCode::NotFound, &server.get("/v1/nothing").await);
    refused_by_rest(ErrorCode::NotFound, &server.get("/v1/studies/first").await);
    let drain = v1::DrainWorkerRequest { name: "nobody".into(), ..Default::default() };
    let grpc = server.workers().drain_worker(server.message(drain)).await;
    refused(ErrorCode::NotFound, grpc, &server.post("/v1/workers/nobody/drain", json!({})).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_request_ids_and_points_conflict() {
    let server = start().await;
    let study = server.create(spec("a", json!({}))).await;
    let other = spec("a", json!({ "seed": 4 }));
    let grpc = server.studies().create_study(server.message(create(&other, ""))).await;
    let rest = server.post("/v1/studies", json!({ "spec": other })).await;
    refused(ErrorCode::StudyExists, grpc, &rest);
    let same = server.post("/v1/studies", json!({ "spec": spec("a", json!({})) })).await;
    assert_eq!((same.status, &same.json["existed"]), (200, &json!(true)));

    let point = |x: f64| vec![json!({ "x": x, "n": 2 }).to_string()];
    let enqueue = |x: f64, id: &str| v1::EnqueueRequest {
        study: study.id,
        points_json: point(x),
        request_id: id.into(),
    };
    let path = format!("/v1/studies/{}/enqueue", study.id);
    let body = |x: f64, id: &str| json!({ "points": [{ "x": x, "n": 2 }], "request_id": id });
    let first = server.trials().enqueue(server.message(enqueue(0.25, "e1"))).await.unwrap().into_inner();
    let again = server.post(&path, body(0.25, "e1")).await;
    assert_eq!(again.json["trials"][0]["id"], first.trials[0].id);
    let grpc = server.trials().enqueue(server.message(enqueue(0.5, "e1"))).await;
    refused(ErrorCode::RequestConflict, grpc, &server.post(&path, body(0.5, "e1")).await);
    let grpc = server.trials().enqueue(server.message(enqueue(0.25, "e2"))).await;
    refused(ErrorCode::DuplicatePoint, grpc, &server.post(&path, body(0.25, "e3")).await);
    let grpc = server.trials().enqueue(server.message(enqueue(7.0, "e4"))).await;
    refused(ErrorCode::SpecInvalid, grpc, &server.post(&path, body(7.0, "e5")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_and_leases_refuse_what_comes_too_late() {
    let server = start().await;
    let study = server.create(spec("late", json!({}))).await;
    let lease = server.suggest(study.id).await;
    let report = |epoch: u64, auc: f64| json!({ "epoch": epoch, "step": 1, "metrics": { "auc": auc } });
    let path = format!("/v1/trials/{}/report", lease.trial);
    let entries = |epoch, auc| {
        let mut entry = entry(&lease, 1, auc);
        entry.lease = Some(v1::LeaseKey { epoch, ..key(&lease) });
        v1::ReportRequest { reports: vec![entry] }
    };
    let answer = async |epoch, auc| {
        let message = server.message(entries(epoch, auc));
        server.workers().report(message).await.unwrap().into_inner().answers.remove(0)
    };
    assert_eq!(answer(lease.epoch, 0.5).await.verdict, i32::from(v1::VerdictKind::Yield));
    assert_eq!(server.post(&path, report(lease.epoch, 0.5)).await.json["verdict"], "yield");
    assert_eq!(answer(lease.epoch, 0.6).await.error_code, "report_conflict");
    refused_by_rest(ErrorCode::ReportConflict, &server.post(&path, report(lease.epoch, 0.6)).await);
    let conflict = server.finish(&lease, 0.6).await;
    let body = json!({ "epoch": lease.epoch, "ending": "reached", "result": { "step": 1, "metrics": { "auc": 0.6 } } });
    let rest = server.post(&format!("/v1/trials/{}/finish", lease.trial), body).await;
    refused(ErrorCode::ReportConflict, conflict, &rest);
    let mut stranger = finish(&lease, 0.5);
    stranger.lease = Some(v1::LeaseKey { epoch: lease.epoch + 7, ..key(&lease) });
    let grpc = server.workers().finish(server.message(stranger)).await;
    refused(ErrorCode::LeaseLost, grpc, &server.post(&path, report(lease.epoch + 7, 0.5)).await);

    let retry = v1::GetTrialRequest { id: lease.trial };
    let grpc = server.trials().retry_trial(server.message(retry)).await;
    let rest = server.post(&format!("/v1/trials/{}/retry", lease.trial), json!({})).await;
    refused(ErrorCode::TrialState, grpc, &rest);
    server.finish(&lease, 0.5).await.unwrap();
    let cancel = v1::CancelTrialRequest { id: lease.trial, reason: String::new() };
    let grpc = server.trials().cancel_trial(server.message(cancel)).await;
    let rest = server.post(&format!("/v1/trials/{}/cancel", lease.trial), json!({})).await;
    refused(ErrorCode::TrialFinished, grpc, &rest);

    let path = format!("/v1/studies/{}", study.id);
    let cancelled = server.rest("PATCH", &path, Some(json!({ "action": "cancel" }))).await;
    assert_eq!(cancelled.json["state"], "cancelled");
    let enqueue = v1::EnqueueRequest {
        study: study.id,
        points_json: vec!["{\"x\":0.1,\"n\":1}".into()],
        ..Default::default()
    };
    let grpc = server.trials().enqueue(server.message(enqueue)).await;
    let rest = server.post(&format!("{path}/enqueue"), json!({ "points": [{ "x": 0.1, "n": 1 }] })).await;
    refused(ErrorCode::StudyClosed, grpc, &rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unspecified_values_are_refused() {
    let server = start().await;
    let study = server.create(spec("u", json!({}))).await;
    let lease = server.suggest(study.id).await;
    let mut message = finish(&lease, 0.5);
    message.ending = 0;
    let status = server.workers().finish(server.message(message)).await.unwrap_err();
    assert_eq!(status.metadata().get(CODE_METADATA).unwrap(), "spec_invalid");
    let update = v1::UpdateStudyRequest { id: study.id, ..Default::default() };
    let status = server.studies().update_study(server.message(update)).await.unwrap_err();
    assert_eq!(status.metadata().get(CODE_METADATA).unwrap(), "spec_invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_a_hundred_megabytes_is_too_large() {
    let server = start().await;
    let large = spec("large", json!({ "description": "x".repeat(100_000_000) }));
    let grpc = server.studies().create_study(server.message(create(&large, ""))).await;
    let rest = server.post("/v1/studies", json!({ "spec": large })).await;
    refused(ErrorCode::TooLarge, grpc, &rest);
    let study = server.create(spec("small", json!({}))).await;
    let suggest = v1::SuggestRequest {
        study: study.id,
        count: 100_000,
        worker: Some(hello("greedy")),
        ..Default::default()
    };
    let grpc = server.trials().suggest(server.message(suggest)).await;
    let body = json!({ "worker": { "name": "greedy" }, "count": 100_000 });
    let rest = server.post(&format!("/v1/studies/{}/suggest", study.id), body).await;
    refused(ErrorCode::TooLarge, grpc, &rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_calls_at_once_are_told_when_to_come_back() {
    let limits = LimitOptions { calls_at_once: Some(1), ..LimitOptions::default() };
    let server = start_with(Options { limits, ..local() }, &MemoryStore::new()).await;
    let waiting = {
        let mut workers = server.workers();
        let message = v1::AcquireRequest {
            worker: Some(hello("patient")),
            slots: 1,
            wait_seconds: 30.0,
            ..Default::default()
        };
        tokio::spawn(async move { workers.acquire(message).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let rest = server.get("/v1/studies").await;
    let grpc = server.studies().list_studies(server.message(v1::ListStudiesRequest::default())).await;
    assert_eq!(rest.retry_after.as_deref(), Some("1"));
    assert_eq!(grpc.as_ref().unwrap_err().metadata().get("retry-after").unwrap(), "1");
    refused(ErrorCode::RateLimited, grpc, &rest);
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_past_its_deadline_is_a_solver_timeout() {
    let options = Options { plan_deadline_seconds: Some(0.001), ..local() };
    let server = start_with(options, &MemoryStore::new()).await;
    // Enough dimensions and measured points that a model cannot be fitted within a millisecond.
    let parameters: Vec<_> = (0..8)
        .map(|i| json!({ "name": format!("x{i}"), "type": "float", "low": 0.0, "high": 1.0 }))
        .collect();
    let study = server
        .create(spec("slow", json!({ "space": { "parameters": parameters }, "solver": { "name": "bo" } })))
        .await;
    let points: Vec<String> = (0..30)
        .map(|row| {
            let point = (0..8).map(|i| (format!("x{i}"), json!(f64::from((row * 37 + i * 11) % 97) / 97.0)));
            serde_json::Value::Object(point.collect()).to_string()
        })
        .collect();
    let enqueue = v1::EnqueueRequest { study: study.id, points_json: points, ..Default::default() };
    server.trials().enqueue(server.message(enqueue)).await.unwrap();
    for row in 0..30 {
        let lease = server.suggest(study.id).await;
        server.finish(&lease, f64::from(row % 7)).await.unwrap();
    }
    let ask = || v1::SuggestRequest {
        study: study.id,
        count: 1,
        wait_seconds: 20.0,
        worker: Some(hello("script")),
        ..Default::default()
    };
    let grpc = server.trials().suggest(server.message(ask())).await;
    let body = json!({ "worker": { "name": "script" }, "wait_seconds": 20 });
    let rest = server.post(&format!("/v1/studies/{}/suggest", study.id), body).await;
    refused(ErrorCode::SolverTimeout, grpc, &rest);
}
