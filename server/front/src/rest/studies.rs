//! Routes of studies.

use actix_web::{HttpRequest, HttpResponse, get, patch, post, web};
use boxwood_app::{ListStudies, UpdateStudy};
use boxwood_study::{StudyEvent, StudyId, StudySpec, StudyState};
use boxwood_wire::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::{IntoParams, ToSchema};

use super::bodies::{ActionBody, StudyBody, StudyPage, UpdateBody};
use super::extract::Body;
use super::problem::Problem;
use super::{State, call, request_id};
use crate::failure::Failure;

/// A study to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateStudy {
    /// Project; the token's own, or `default`, when absent.
    #[serde(default)]
    project: String,
    /// Specification.
    #[schema(value_type = Object)]
    spec: Json,
    #[serde(default)]
    request_id: Option<String>,
}

/// A created or found study.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedStudy {
    study: StudyBody,
    /// Whether it was there before.
    existed: bool,
}

/// Which studies to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct StudyQuery {
    /// Project.
    #[serde(default)]
    project: String,
    /// States, separated by commas.
    #[serde(default)]
    states: String,
    /// Only names that contain this.
    #[serde(default)]
    name_contains: Option<String>,
    /// Whether archived ones are shown.
    #[serde(default)]
    archived: bool,
    /// Id of the last study of the page before.
    #[serde(default)]
    before: Option<i64>,
    /// Page size; 50 when absent.
    #[serde(default)]
    limit: u32,
}

/// Words separated by commas.
pub(super) fn words<T: serde::de::DeserializeOwned>(text: &str, field: &str) -> Result<Vec<T>, Failure> {
    let word = |word: &str| {
        serde_json::from_value(Json::String(word.trim().to_owned()))
            .map_err(|error| Failure::invalid(field, &error.to_string()))
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(word).collect()
}

/// Creates a study, or finds the one of that name with an equal specification.
#[utoipa::path(tag = "studies", request_body = CreateStudy,
    responses((status = 201, body = CreatedStudy), (status = 200, body = CreatedStudy), (status = "4XX", body = Problem)))]
#[post("/v1/studies")]
pub(super) async fn create_study(
    state: State,
    request: HttpRequest,
    body: Body<CreateStudy>,
) -> Result<HttpResponse, Failure> {
    let CreateStudy { project, spec, request_id: id } = body.0;
    let id = request_id(&request, id);
    let created = call(&state, &request, "create_study", move |app, caller| async move {
        let spec = StudySpec::from_value(spec)?;
        let project = app.project(&caller, &project).await?;
        let created = app.create_study(&caller, project, spec, id).await?;
        let name = app.project_name(project).await?;
        Ok(CreatedStudy { study: StudyBody::new(created.study, name), existed: created.existed })
    })
    .await?;
    Ok(if created.existed { HttpResponse::Ok().json(created) } else { HttpResponse::Created().json(created) })
}

/// Studies of a project by falling id.
#[utoipa::path(tag = "studies", params(StudyQuery),
    responses((status = 200, body = StudyPage), (status = "4XX", body = Problem)))]
#[get("/v1/studies")]
pub(super) async fn list_studies(
    state: State,
    request: HttpRequest,
    query: web::Query<StudyQuery>,
) -> Result<web::Json<StudyPage>, Failure> {
    let query = query.into_inner();
    let page = call(&state, &request, "list_studies", move |app, caller| async move {
        let project = app.project(&caller, &query.project).await?;
        let list = ListStudies {
            states: words::<StudyState>(&query.states, "states")?,
            name_contains: query.name_contains,
            archived: query.archived,
            before: query.before.map(StudyId),
            limit: query.limit,
        };
        let page = app.studies(&caller, project, list).await?;
        let name = app.project_name(project).await?;
        let studies = page.items.into_iter().map(|study| StudyBody::new(study, name.clone())).collect();
        Ok(StudyPage { studies, more: page.more })
    });
    page.await.map(web::Json)
}

/// One study with its best trial.
#[utoipa::path(tag = "studies", responses((status = 200, body = StudyBody), (status = "4XX", body = Problem)))]
#[get("/v1/studies/{id}")]
pub(super) async fn get_study(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
) -> Result<web::Json<StudyBody>, Failure> {
    let study = call(&state, &request, "get_study", move |app, caller| async move {
        let detail = app.study(&caller, StudyId(id.into_inner())).await?;
        let project = app.project_name(detail.study.project).await?;
        Ok(StudyBody::detail(detail, project))
    });
    study.await.map(web::Json)
}

/// Pauses, resumes, cancels or archives a study; changes its budget and stop rules.
#[utoipa::path(tag = "studies", request_body = UpdateBody,
    responses((status = 200, body = StudyBody), (status = "4XX", body = Problem)))]
#[patch("/v1/studies/{id}")]
pub(super) async fn update_study(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
    body: Body<UpdateBody>,
) -> Result<web::Json<StudyBody>, Failure> {
    let UpdateBody { action, reason, budget, stop, archived, request_id: given } = body.0;
    let given = request_id(&request, given);
    let event = action.map(|action| match action {
        ActionBody::Pause => StudyEvent::Pause,
        ActionBody::Resume => StudyEvent::Resume,
        ActionBody::Cancel => StudyEvent::Cancel,
    });
    let study = call(&state, &request, "update_study", move |app, caller| async move {
        let update = UpdateStudy { event, reason, budget, stop, archived };
        let study = app.update_study(&caller, StudyId(id.into_inner()), update, given).await?;
        let project = app.project_name(study.project).await?;
        Ok(StudyBody::new(study, project))
    });
    study.await.map(web::Json)
}

/// Why the study's solver is what it is, what it learned, and why nothing runs where nothing does.
#[utoipa::path(tag = "studies", responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
#[get("/v1/studies/{id}/explain")]
pub(super) async fn explain_study(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
) -> Result<web::Json<Json>, Failure> {
    let explanation = call(&state, &request, "explain_study", move |app, caller| async move {
        let explanation = app.explain(&caller, StudyId(id.into_inner())).await?;
        serde_json::to_value(explanation).map_err(|_| Failure::new(ErrorCode::Internal, "internal error"))
    });
    explanation.await.map(web::Json)
}

/// What a replay found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayBody {
    plans: u64,
    moves: u64,
    /// Empty when every plan was reproduced.
    differences: Vec<String>,
}

/// Recomputes every committed plan and compares.
#[utoipa::path(tag = "studies", responses((status = 200, body = ReplayBody), (status = "4XX", body = Problem)))]
#[get("/v1/studies/{id}/replay")]
pub(super) async fn replay_study(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
) -> Result<web::Json<ReplayBody>, Failure> {
    let report = call(&state, &request, "replay_study", move |app, caller| async move {
        let report = app.replay(&caller, StudyId(id.into_inner())).await?;
        Ok(ReplayBody { plans: report.plans, moves: report.moves, differences: report.differences })
    });
    report.await.map(web::Json)
}
