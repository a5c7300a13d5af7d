//! Tokens, roles, projects and the rule of the loopback, through both front ends.

use boxwood_app::{App, NewTokenRequest, Principal, Settings};
use boxwood_front::{AnyStore, Config, Options, ServeError, Server};
use boxwood_store::{MemoryStore, Role};
use boxwood_wire::{ErrorCode, v1};
use serde_json::json;

use crate::harness::{Running, local, refused, spec, start_with};

async fn token(store: &MemoryStore, role: Role, project: Option<&str>) -> String {
    let app = App::new(store.clone(), Settings::default());
    let caller = Principal::local();
    let project = match project {
        Some(name) => Some(app.create_project(&caller, name).await.unwrap().id),
        None => None,
    };
    let request = NewTokenRequest { name: format!("{role:?}"), role, project, expires_in_seconds: None };
    app.create_token(&caller, request).await.unwrap().secret
}

async fn list(server: &Running) -> Result<tonic::Response<v1::ListStudiesResponse>, tonic::Status> {
    server.studies().list_studies(server.message(v1::ListStudiesRequest::default())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_stored_every_call_needs_one() {
    let store = MemoryStore::new();
    let operator = token(&store, Role::Operator, None).await;
    let mut server = start_with(local(), &store).await;
    for wrong in [None, Some("bw_0000000000000000".to_owned()), Some("short".to_owned())] {
        server.token = wrong;
        refused(ErrorCode::Unauthenticated, list(&server).await, &server.get("/v1/studies").await);
    }
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/metrics").await.status, 401);
    server.token = Some(operator);
    assert!(list(&server).await.is_ok());
    assert_eq!(server.get("/v1/studies").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_projects_hold_in_both_front_ends() {
    let store = MemoryStore::new();
    let operator = token(&store, Role::Operator, None).await;
    let viewer = token(&store, Role::Viewer, None).await;
    let stranger = token(&store, Role::Admin, Some("elsewhere")).await;
    let mut server = start_with(local(), &store).await;
    server.token = Some(operator);
    let study = server.create(spec("mine", json!({}))).await;
    assert_eq!(study.project, "default");

    server.token = Some(viewer);
    let create = v1::CreateStudyRequest { spec_json: spec("b", json!({})).to_string(), ..Default::default() };
    let grpc = server.studies().create_study(server.message(create)).await;
    let rest = server.post("/v1/studies", json!({ "spec": spec("b", json!({})) })).await;
    assert!(rest.json["detail"].as_str().unwrap().contains("operator"));
    refused(ErrorCode::Forbidden, grpc, &rest);
    assert_eq!(server.get(&format!("/v1/studies/{}", study.id)).await.status, 200);

    server.token = Some(stranger);
    let get = v1::GetStudyRequest { id: study.id, ..Default::default() };
    let grpc = server.studies().get_study(server.message(get)).await;
    refused(ErrorCode::NotFound, grpc, &server.get(&format!("/v1/studies/{}", study.id)).await);
    let own = server.create(spec("mine", json!({}))).await;
    assert_eq!(own.project, "elsewhere");
    let projects = server.get("/v1/projects").await;
    assert_eq!(projects.json["projects"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_issued_listed_and_revoked_over_rest() {
    let store = MemoryStore::new();
    let mut server = start_with(local(), &store).await;
    let body = json!({ "name": "root", "role": "admin" });
    let issued = server.post("/v1/tokens", body).await;
    assert_eq!(issued.status, 201, "{issued:?}");
    assert_eq!(server.get("/v1/studies").await.status, 401);
    server.token = Some(issued.json["secret"].as_str().unwrap().to_owned());
    let worker = server.post("/v1/tokens", json!({ "name": "w", "role": "worker" })).await;
    let tokens = server.get("/v1/tokens").await;
    assert_eq!(tokens.json["tokens"].as_array().unwrap().len(), 2);
    assert!(!tokens.json.to_string().contains(worker.json["secret"].as_str().unwrap()));
    let id = worker.json["token"]["id"].as_i64().unwrap();
    let revoked = server.rest("DELETE", &format!("/v1/tokens/{id}"), None).await;
    assert_eq!(revoked.status, 204);
    server.token = Some(worker.json["secret"].as_str().unwrap().to_owned());
    assert_eq!(server.get("/v1/studies").await.status, 401);
}

#[tokio::test]
async fn without_a_token_only_loopback_is_served() {
    let store = MemoryStore::new();
    let wide = || {
        let options = Options { rest_address: Some("0.0.0.0:0".parse().unwrap()), ..local() };
        Config::resolve([options]).unwrap()
    };
    let refused = Server::bind_store(wide(), AnyStore::Memory(store.clone())).await.unwrap_err();
    assert!(matches!(refused, ServeError::Open { .. }));
    let message = refused.to_string();
    assert!(message.contains("0.0.0.0:0") && message.contains("boxwood token create"), "{message}");
    token(&store, Role::Admin, None).await;
    assert!(Server::bind_store(wide(), AnyStore::Memory(store)).await.is_ok());
}
