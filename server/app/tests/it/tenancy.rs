//! Tokens, roles and projects.

use boxwood_app::{AppError, NewTokenRequest, Principal};
use boxwood_store::{MemoryStore, Role};
use serde_json::json;

use crate::scripted::{create, spec, started, suggest, worker};

fn token(name: &str, role: Role, project: Option<boxwood_study::ProjectId>) -> NewTokenRequest {
    NewTokenRequest { name: name.into(), role, project, expires_in_seconds: None }
}

#[tokio::test]
async fn without_tokens_everybody_is_local_and_with_one_nobody_is() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    assert_eq!(app.authenticate(None).await, Ok(Principal::local()));
    let issued = app.create_token(&Principal::local(), token("ann", Role::Admin, None)).await.unwrap();
    assert!(issued.secret.starts_with("bw_") && issued.secret.len() == 67);
    assert!(!format!("{issued:?}").contains(&issued.secret));
    assert_eq!(app.authenticate(None).await, Err(AppError::Unauthenticated));
    assert_eq!(app.authenticate(Some("bw_wrong")).await, Err(AppError::Unauthenticated));
    let mut forged = issued.secret.clone();
    forged.replace_range(60..61, if &forged[60..61] == "0" { "1" } else { "0" });
    let ann = app.authenticate(Some(&issued.secret)).await.unwrap();
    assert_eq!((ann.name.as_str(), ann.role), ("ann", Role::Admin));
    assert_eq!(app.authenticate(Some(&forged)).await, Err(AppError::Unauthenticated));
    app.revoke_token(&ann, issued.token.id).await.unwrap();
    assert_eq!(app.authenticate(Some(&issued.secret)).await, Ok(Principal::local()));
}

#[tokio::test]
async fn roles_allow_what_they_say() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let project = app.project(&Principal::local(), "").await.unwrap();
    let as_role = |role| Principal { name: "test".into(), role, project: None };
    let refused = app.create_study(&as_role(Role::Worker), project, spec("a", json!({})), None).await;
    assert_eq!(refused, Err(AppError::Forbidden { needs: Role::Operator }));
    let study = create(&app, spec("a", json!({}))).await;
    let hello = worker(&app, "w").await;
    let refused = app.suggest(&as_role(Role::Viewer), study, hello, 1, 1.0, None).await;
    assert_eq!(refused, Err(AppError::Forbidden { needs: Role::Worker }));
    assert!(app.study(&as_role(Role::Viewer), study).await.is_ok());
    assert_eq!(app.tokens(&as_role(Role::Operator)).await, Err(AppError::Forbidden { needs: Role::Admin }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_projects_things_are_not_there() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let study = create(&app, spec("mine", json!({}))).await;
    let grant = suggest(&app, study, 1).await.remove(0);
    let other = app.create_project(&Principal::local(), "other").await.unwrap();
    let stranger = Principal { name: "s".into(), role: Role::Admin, project: Some(other.id) };
    let missing = |what| AppError::NotFound { what };
    assert_eq!(app.study(&stranger, study).await, Err(missing("study")));
    assert_eq!(app.trial(&stranger, grant.trial.id).await, Err(missing("trial")));
    assert_eq!(app.project(&stranger, "default").await, Err(missing("project")));
    assert_eq!(app.projects(&stranger).await.unwrap(), vec![other.clone()]);
    let refused = app.create_token(&stranger, token("t", Role::Admin, None)).await;
    assert_eq!(refused.unwrap_err(), AppError::Forbidden { needs: Role::Admin });
    assert!(app.create_token(&stranger, token("t", Role::Viewer, Some(other.id))).await.is_ok());
}
