//! A server in this process, a REST client and gRPC clients for it.

use std::collections::HashMap;

use boxwood_front::{AnyStore, Config, Options, ServeError, Server};
use boxwood_store::MemoryStore;
use boxwood_wire::v1;
use boxwood_wire::v1::study_service_client::StudyServiceClient;
use boxwood_wire::v1::trial_service_client::TrialServiceClient;
use boxwood_wire::v1::worker_service_client::WorkerServiceClient;
use boxwood_wire::{CODE_METADATA, ErrorCode};
use serde_json::{Value as Json, json};
use tokio::sync::oneshot;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

pub struct Running {
    pub rest: String,
    pub channel: Channel,
    pub http: reqwest::Client,
    pub token: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<Result<(), ServeError>>,
}

pub fn local() -> Options {
    Options {
        grpc_address: Some("127.0.0.1:0".parse().unwrap()),
        rest_address: Some("127.0.0.1:0".parse().unwrap()),
        database: Some("memory:".into()),
        ..Options::default()
    }
}

pub async fn start() -> Running {
    start_with(local(), &MemoryStore::new()).await
}

pub async fn start_with(options: Options, store: &MemoryStore) -> Running {
    let config = Config::resolve([options]).unwrap();
    serve(Server::bind_store(config, AnyStore::Memory(store.clone())).await.unwrap()).await
}

pub async fn serve(server: Server) -> Running {
    let (grpc, rest) = (server.grpc_address(), server.rest_address());
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(server.run(async move { stopped.await.unwrap_or(()) }));
    let channel = Channel::from_shared(format!("http://{grpc}")).unwrap().connect().await.unwrap();
    Running {
        rest: format!("http://{rest}"),
        channel,
        http: reqwest::Client::new(),
        token: None,
        stop: Some(stop),
        served,
    }
}

/// An answer of REST.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    pub json: Json,
}

impl Running {
    pub async fn rest(&self, method: &str, path: &str, body: Option<Json>) -> Answer {
        self.rest_text(method, path, body.map(|body| body.to_string())).await
    }

    pub async fn rest_text(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.rest));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.unwrap();
        let header = |name| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Answer {
            status,
            content_type,
            retry_after,
            json: serde_json::from_str(&text).unwrap_or(Json::String(text)),
        }
    }

    pub async fn post(&self, path: &str, body: Json) -> Answer {
        self.rest("POST", path, Some(body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.rest("GET", path, None).await
    }

    pub fn message<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        request
    }

    pub fn studies(&self) -> StudyServiceClient<Channel> {
        StudyServiceClient::new(self.channel.clone())
    }

    pub fn trials(&self) -> TrialServiceClient<Channel> {
        TrialServiceClient::new(self.channel.clone())
    }

    pub fn workers(&self) -> WorkerServiceClient<Channel> {
        WorkerServiceClient::new(self.channel.clone())
    }

    pub async fn create(&self, spec: Json) -> v1::Study {
        let message = v1::CreateStudyRequest { spec_json: spec.to_string(), ..Default::default() };
        let answer = self.studies().create_study(self.message(message)).await.unwrap();
        answer.into_inner().study.unwrap()
    }

    pub async fn suggest(&self, study: i64) -> v1::Lease {
        let message = v1::SuggestRequest {
            study,
            count: 1,
            wait_seconds: 20.0,
            worker: Some(hello("script")),
            request_id: String::new(),
        };
        self.trials().suggest(self.message(message)).await.unwrap().into_inner().leases.remove(0)
    }

    pub async fn finish(&self, lease: &v1::Lease, value: f64) -> Result<v1::FinishResponse, Status> {
        let message = finish(lease, value);
        self.workers().finish(self.message(message)).await.map(Response::into_inner)
    }

    /// Stops the server and waits until it has closed.
    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        drop((self.channel, self.http));
        self.served.await.unwrap().unwrap();
    }
}

pub fn spec(name: &str, over: Json) -> Json {
    let mut json = json!({
        "name": name,
        "space": { "parameters": [
            { "name": "x", "type": "float", "low": 0.0, "high": 1.0 },
            { "name": "n", "type": "integer", "low": 1, "high": 64 }
        ] },
        "objectives": [{ "metric": "auc", "goal": "maximize" }],
        "solver": { "name": "random" },
        "seed": 3
    });
    for (key, value) in over.as_object().unwrap() {
        json[key] = value.clone();
    }
    json
}

pub fn hello(name: &str) -> v1::WorkerHello {
    v1::WorkerHello { name: name.into(), slots: 1, programs: vec!["train".into()], ..Default::default() }
}

pub fn key(lease: &v1::Lease) -> v1::LeaseKey {
    v1::LeaseKey { trial: lease.trial, epoch: lease.epoch }
}

pub fn entry(lease: &v1::Lease, step: u64, value: f64) -> v1::ReportEntry {
    let metrics = HashMap::from([("auc".to_owned(), value)]);
    v1::ReportEntry { lease: Some(key(lease)), step, metrics, seconds: None }
}

pub fn finish(lease: &v1::Lease, value: f64) -> v1::FinishRequest {
    v1::FinishRequest {
        lease: Some(key(lease)),
        ending: v1::Ending::Reached.into(),
        result: Some(entry(lease, lease.to, value)),
        seconds: 0.5,
        ..Default::default()
    }
}

/// Both front ends refused with this code, and each in its own way as the table says.
pub fn refused<T: std::fmt::Debug>(code: ErrorCode, grpc: Result<T, Status>, rest: &Answer) {
    let status = grpc.expect_err("gRPC refuses");
    assert_eq!(status.code(), code.grpc(), "{status:?}");
    let stable = status.metadata().get(CODE_METADATA).expect("the stable code").to_str().unwrap();
    assert_eq!(stable, code.as_str(), "{status:?}");
    refused_by_rest(code, rest);
    assert_eq!(status.message().is_empty(), rest.json["detail"].as_str().unwrap().is_empty());
}

pub fn refused_by_rest(code: ErrorCode, rest: &Answer) {
    assert_eq!(rest.json["code"], code.as_str(), "{rest:?}");
    assert_eq!(rest.status, code.http(), "{rest:?}");
    assert_eq!(rest.json["status"], code.http());
    assert_eq!(rest.json["retryable"], code.is_retryable());
    assert_eq!(rest.content_type, "application/problem+json");
}
