//! Bad input through REST, gRPC and the command line: a clear error each, and nothing is lost.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use boxwood_wire::CODE_METADATA;
use boxwood_wire::v1::{
    CreateStudyRequest, Ending, FinishRequest, LeaseKey, ReportEntry, ReportRequest, SuggestRequest,
    WorkerHello,
};
use serde_json::{Value, json};
use support::{Api, ServerProcess, free_port, run};
use tonic::Request;

/// One HTTP/1.1 exchange; returns the status and the body.
fn http(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    stream.write_all((head + "\r\n").as_bytes()).unwrap();
    // A server that refuses a large body may close before it has read all of it.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    let json = body.find('{').and_then(|start| body.rfind('}').map(|end| body[start..=end].to_owned()));
    (status, json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or(Value::String(body)))
}

fn spec(name: &str) -> Value {
    json!({
        "name": name,
        "space": {"parameters": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}]},
        "objectives": [{"metric": "value", "goal": "minimize"}],
        "solver": {"name": "random"},
        "budget": {"trials": 5},
    })
}

fn bad_specs() -> Vec<(Value, &'static str)> {
    let mut unknown = spec("bad");
    unknown["bugdet"] = json!({"trials": 3});
    let mut goal = spec("bad");
    goal["objectives"] = json!([{"metric": "value"}]);
    let mut bounds = spec("bad");
    bounds["space"]["parameters"][0]["high"] = json!(-1.0);
    let mut solver = spec("bad");
    solver["solver"] = json!({"name": "gradient_descent"});
    let mut typo = spec("bad");
    typo["space"]["parameters"][0]["lo"] = json!(0.0);
    vec![(unknown, "bugdet"), (goal, "goal"), (bounds, "high"), (solver, "gradient_descent"), (typo, "lo")]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_specifications_are_refused_by_name_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        ServerProcess::start(folder.path(), &format!("sqlite:{}", folder.path().join("a.db").display()));
    let api = Api::new(&server.grpc());
    for (spec, word) in bad_specs() {
        let (status, problem) =
            http(server.rest_port, "POST", "/v1/studies", &[], json!({"spec": spec}).to_string().as_bytes());
        assert_eq!(status, 400, "{problem}");
        assert_eq!(problem["code"], "spec_invalid", "{problem}");
        assert!(problem.to_string().contains(word), "REST does not name `{word}`: {problem}");

        let request = CreateStudyRequest { spec_json: spec.to_string(), ..CreateStudyRequest::default() };
        let status = api.studies().create_study(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert_eq!(status.metadata().get(CODE_METADATA).unwrap(), "spec_invalid");
        assert!(status.message().contains(word), "gRPC does not name `{word}`: {}", status.message());

        let file = folder.path().join("spec.json");
        std::fs::write(&file, spec.to_string()).unwrap();
        let output = run(&["--server", &server.grpc(), "study", "create", &file.to_string_lossy()]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(text.contains(word), "the command line does not name `{word}`: {text}");
    }
    let (_, list) = http(server.rest_port, "GET", "/v1/studies", &[], b"");
    assert!(!list.to_string().contains("\"bad\""), "a refused study was stored: {list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_results_are_refused_and_the_trial_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        ServerProcess::start(folder.path(), &format!("sqlite:{}", folder.path().join("a.db").display()));
    let api = Api::new(&server.grpc());
    let study = api.create(&spec("results")).await;
    let request = SuggestRequest {
        study: study.id,
        count: 1,
        wait_seconds: 10.0,
        worker: Some(WorkerHello { name: "script".into(), slots: 1, ..WorkerHello::default() }),
        request_id: "one".into(),
    };
    let lease = api.trials().suggest(request).await.unwrap().into_inner().leases.remove(0);
    let key = LeaseKey { trial: lease.trial, epoch: lease.epoch };
    let entry = |key: LeaseKey, value: f64| ReportEntry {
        lease: Some(key),
        step: 1,
        metrics: [("value".to_owned(), value)].into(),
        seconds: None,
    };
    let code = async |entry: ReportEntry| {
        let request = ReportRequest { reports: vec![entry] };
        api.workers().report(request).await.unwrap().into_inner().answers.remove(0).error_code
    };
    assert_eq!(code(entry(key, f64::NAN)).await, "value_not_finite");
    assert_eq!(code(entry(LeaseKey { epoch: lease.epoch + 1, ..key }, 0.5)).await, "lease_lost");
    assert_eq!(code(entry(LeaseKey { trial: 999_999, epoch: 1 }, 0.5)).await, "not_found");
    assert_eq!(code(entry(key, 0.5)).await, "");
    assert_eq!(code(entry(key, 0.5)).await, "", "the same report again is accepted");
    assert_eq!(code(entry(key, 0.6)).await, "report_conflict");

    let rest = |value: &str| {
        let body = format!(
            r#"{{"epoch": {}, "ending": "reached", "result": {{"step": 1, "metrics": {{"value": {value}}}}}, "seconds": 1.0}}"#,
            lease.epoch
        );
        http(server.rest_port, "POST", &format!("/v1/trials/{}/finish", lease.trial), &[], body.as_bytes())
    };
    let (status, problem) = rest("\"NaN\"");
    assert_eq!(status, 400, "{problem}");

    let finish = FinishRequest {
        lease: Some(key),
        ending: Ending::Reached.into(),
        result: Some(entry(key, 0.5)),
        seconds: 1.0,
        ..FinishRequest::default()
    };
    let answer = api.workers().finish(finish.clone()).await.unwrap().into_inner();
    assert!(answer.accepted);
    let again = api.workers().finish(finish).await.unwrap().into_inner();
    assert_eq!(again.state, answer.state, "the same finish again is accepted");
    let trial = api.trial(lease.trial).await;
    assert_eq!(trial.curve.len(), 1);
    assert_eq!(trial.trial.unwrap().value, Some(0.5));
}

#[test]
fn a_body_of_a_hundred_megabytes_is_refused_and_the_server_lives() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        ServerProcess::start(folder.path(), &format!("sqlite:{}", folder.path().join("a.db").display()));
    let body = vec![b' '; 100 << 20];
    let (status, problem) = http(server.rest_port, "POST", "/v1/studies", &[], &body);
    assert_eq!(status, 413, "{problem}");
    let (status, _) = http(server.rest_port, "GET", "/healthz", &[], b"");
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_exactly_what_their_role_allows() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("a.db").display());
    let secret = |role: &str| {
        let output =
            run(&["--json", "token", "create", "--database", &database, "--name", role, "--role", role]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["secret"].as_str().unwrap().to_owned()
    };
    let (viewer, operator) = (secret("viewer"), secret("operator"));
    let server = ServerProcess::start(folder.path(), &database);
    let (spec_json, body) = (spec("tokens").to_string(), json!({"spec": spec("tokens")}).to_string());
    let post = |token: Option<&str>| {
        let value = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> =
            value.iter().map(|value| ("Authorization", value.as_str())).collect();
        http(server.rest_port, "POST", "/v1/studies", &headers, body.as_bytes())
    };
    assert_eq!(post(None).1["code"], "unauthenticated");
    assert_eq!(post(Some("bw_wrong")).0, 401);
    assert_eq!(post(Some(&viewer)).0, 403);
    let (status, answer) = post(Some(&operator));
    assert!(status == 200 || status == 201, "{answer}");

    let api = Api::new(&server.grpc());
    let call = async |token: Option<&str>| {
        let mut request = Request::new(CreateStudyRequest {
            spec_json: spec_json.clone(),
            ..CreateStudyRequest::default()
        });
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        api.studies().create_study(request).await.map_err(|status| status.code()).map(|_| ())
    };
    assert_eq!(call(None).await, Err(tonic::Code::Unauthenticated));
    assert_eq!(call(Some("bw_wrong")).await, Err(tonic::Code::Unauthenticated));
    assert_eq!(call(Some(&viewer)).await, Err(tonic::Code::PermissionDenied));
    assert_eq!(call(Some(&operator)).await, Ok(()));

    let output = run(&["--server", &server.grpc(), "study", "list"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("unauthenticated"));
    let output = run(&["--server", &server.grpc(), "--token", &viewer, "study", "list"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!server.log().contains(&operator), "a secret is in the log");
}

#[test]
fn a_second_server_on_one_sqlite_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("a.db").display());
    let _first = ServerProcess::start(folder.path(), &database);
    let output = run(&["serve", "--database", &database, "--grpc", "127.0.0.1:0", "--rest", "127.0.0.1:0"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("another"), "{text}");
}

#[test]
fn servers_refuse_to_start_on_what_cannot_work() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], word: &str| {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?} was accepted");
        assert!(text.contains(word), "{arguments:?} does not say `{word}`: {text}");
    };
    let postgres = format!("postgres://nobody@127.0.0.1:{}/none", free_port());
    refused(
        &["serve", "--database", &postgres, "--grpc", "127.0.0.1:0", "--rest", "127.0.0.1:0"],
        "database",
    );
    refused(&["serve", "--database", "mongodb://localhost/x"], "mongodb");
    refused(&["serve", "--database", "memory:", "--grpc", "0.0.0.0:0", "--rest", "127.0.0.1:0"], "token");
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "databaze = \"memory:\"\n").unwrap();
    refused(&["serve", "--config", &config.to_string_lossy()], "databaze");
    refused(&["serve", "--config", "/does/not/exist.toml"], "/does/not/exist.toml");
    refused(&["study", "list", "--server", "http://127.0.0.1:9"], "boxwood serve");
    refused(&["study", "create", "/does/not/exist.json"], "/does/not/exist.json");
}
