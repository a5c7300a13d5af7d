//! Routes of tokens and projects.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use boxwood_app::NewTokenRequest;
use boxwood_store::{ProjectRecord, Role, TokenRecord};
use boxwood_study::TokenId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::bodies::time;
use super::extract::Body;
use super::problem::Problem;
use super::{State, call};
use crate::failure::Failure;

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenBody {
    id: i64,
    /// First characters of the secret.
    prefix: String,
    name: String,
    /// Id of the project it is valid for; absent for every project.
    project: Option<i64>,
    #[schema(value_type = String, example = "operator")]
    role: Role,
    created_at: String,
    expires_at: Option<String>,
}

impl From<TokenRecord> for TokenBody {
    fn from(token: TokenRecord) -> Self {
        Self {
            id: token.id.0,
            prefix: token.prefix,
            name: token.name,
            project: token.project.map(|project| project.0),
            role: token.role,
            created_at: time(token.created_at),
            expires_at: token.expires_at.map(time),
        }
    }
}

/// Tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tokens {
    tokens: Vec<TokenBody>,
}

/// Tokens that are not revoked.
#[utoipa::path(tag = "admin", responses((status = 200, body = Tokens), (status = "4XX", body = Problem)))]
#[get("/v1/tokens")]
pub(super) async fn list_tokens(state: State, request: HttpRequest) -> Result<web::Json<Tokens>, Failure> {
    let tokens = call(&state, &request, "list_tokens", move |app, caller| async move {
        Ok(Tokens { tokens: app.tokens(&caller).await?.into_iter().map(Into::into).collect() })
    });
    tokens.await.map(web::Json)
}

/// A token to issue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateToken {
    name: String,
    /// `viewer`, `worker`, `operator` or `admin`.
    #[schema(value_type = String)]
    role: Role,
    /// Name of the project it is valid for; absent for every project.
    #[serde(default)]
    project: Option<String>,
    #[serde(default)]
    expires_in_seconds: Option<f64>,
}

/// An issued token. The secret is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Issued {
    secret: String,
    token: TokenBody,
}

/// Issues a token.
#[utoipa::path(tag = "admin", request_body = CreateToken,
    responses((status = 201, body = Issued), (status = "4XX", body = Problem)))]
#[post("/v1/tokens")]
pub(super) async fn create_token(
    state: State,
    request: HttpRequest,
    body: Body<CreateToken>,
) -> Result<HttpResponse, Failure> {
    let CreateToken { name, role, project, expires_in_seconds } = body.0;
    let issued = call(&state, &request, "create_token", move |app, caller| async move {
        let project = match project {
            Some(project) => Some(app.project(&caller, &project).await?),
            None => None,
        };
        let new = NewTokenRequest { name, role, project, expires_in_seconds };
        let issued = app.create_token(&caller, new).await?;
        Ok(Issued { secret: issued.secret, token: issued.token.into() })
    });
    Ok(HttpResponse::Created().json(issued.await?))
}

/// Revokes a token.
#[utoipa::path(tag = "admin", responses((status = 204), (status = "4XX", body = Problem)))]
#[delete("/v1/tokens/{id}")]
pub(super) async fn revoke_token(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
) -> Result<HttpResponse, Failure> {
    call(&state, &request, "revoke_token", move |app, caller| async move {
        Ok(app.revoke_token(&caller, TokenId(id.into_inner())).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectBody {
    id: i64,
    name: String,
}

impl From<ProjectRecord> for ProjectBody {
    fn from(project: ProjectRecord) -> Self {
        Self { id: project.id.0, name: project.name }
    }
}

/// Projects.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Projects {
    projects: Vec<ProjectBody>,
}

/// Projects that the caller may see.
#[utoipa::path(tag = "admin", responses((status = 200, body = Projects), (status = "4XX", body = Problem)))]
#[get("/v1/projects")]
pub(super) async fn list_projects(
    state: State,
    request: HttpRequest,
) -> Result<web::Json<Projects>, Failure> {
    let projects = call(&state, &request, "list_projects", move |app, caller| async move {
        Ok(Projects { projects: app.projects(&caller).await?.into_iter().map(Into::into).collect() })
    });
    projects.await.map(web::Json)
}

/// A project to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateProject {
    name: String,
}

/// Creates a project, or finds the one of that name.
#[utoipa::path(tag = "admin", request_body = CreateProject,
    responses((status = 200, body = ProjectBody), (status = "4XX", body = Problem)))]
#[post("/v1/projects")]
pub(super) async fn create_project(
    state: State,
    request: HttpRequest,
    body: Body<CreateProject>,
) -> Result<web::Json<ProjectBody>, Failure> {
    let name = body.0.name;
    let project = call(&state, &request, "create_project", move |app, caller| async move {
        Ok(app.create_project(&caller, &name).await?.into())
    });
    project.await.map(web::Json)
}
