//! Routes of trials.

use actix_web::{HttpRequest, get, post, web};
use boxwood_app::ListTrials;
use boxwood_core::Point;
use boxwood_store::TrialOrder;
use boxwood_study::{StudyId, TrialId, TrialState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::bodies::{Hello, Leases, TrialBody, TrialPage, TrialWithCurve, one};
use super::extract::Body;
use super::problem::Problem;
use super::studies::words;
use super::{State, call, request_id, waiting_call};
use crate::failure::Failure;

/// Which trials to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrialQuery {
    /// States, separated by commas.
    #[serde(default)]
    states: String,
    /// `number`, `newest` or `best`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    order: OrderBody,
    /// Id of the last trial of the page before.
    #[serde(default)]
    after: Option<i64>,
    /// Page size; 100 when absent.
    #[serde(default)]
    limit: u32,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OrderBody {
    #[default]
    Number,
    Newest,
    Best,
}

/// Trials of a study.
#[utoipa::path(tag = "trials", params(TrialQuery),
    responses((status = 200, body = TrialPage), (status = "4XX", body = Problem)))]
#[get("/v1/studies/{id}/trials")]
pub(super) async fn list_trials(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
    query: web::Query<TrialQuery>,
) -> Result<web::Json<TrialPage>, Failure> {
    let query = query.into_inner();
    let page = call(&state, &request, "list_trials", move |app, caller| async move {
        let order = match query.order {
            OrderBody::Number => TrialOrder::Number,
            OrderBody::Newest => TrialOrder::Newest,
            OrderBody::Best => TrialOrder::Best,
        };
        let list = ListTrials {
            study: StudyId(id.into_inner()),
            states: words::<TrialState>(&query.states, "states")?,
            order,
            after: query.after.map(TrialId),
            limit: query.limit,
        };
        let page = app.trials(&caller, list).await?;
        Ok(TrialPage { trials: page.items.into_iter().map(TrialBody::from).collect(), more: page.more })
    });
    page.await.map(web::Json)
}

/// An ask of a script.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuggestBody {
    worker: Hello,
    /// Points wanted.
    #[serde(default = "one")]
    count: u32,
    /// Longest wait, at most 60.
    #[serde(default)]
    wait_seconds: f64,
    #[serde(default)]
    request_id: Option<String>,
}

/// Waits for points of a study and leases them to the caller.
#[utoipa::path(tag = "trials", request_body = SuggestBody,
    responses((status = 200, body = Leases), (status = "4XX", body = Problem), (status = 504, body = Problem)))]
#[post("/v1/studies/{id}/suggest")]
pub(super) async fn suggest(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
    body: Body<SuggestBody>,
) -> Result<web::Json<Leases>, Failure> {
    let SuggestBody { worker, count, wait_seconds, request_id: given } = body.0;
    let given = request_id(&request, given);
    let leases = waiting_call(&state, &request, "suggest", move |app, caller| async move {
        let project = app.project(&caller, &worker.project).await?;
        let study = StudyId(id.into_inner());
        let suggestion =
            app.suggest(&caller, study, worker.within(project), count, wait_seconds, given).await?;
        let leases = suggestion.grants.into_iter().map(Into::into).collect();
        Ok(Leases { leases, closed: suggestion.closed })
    });
    leases.await.map(web::Json)
}

/// Points of a person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnqueueBody {
    /// Points as objects.
    #[schema(value_type = Vec<Object>)]
    points: Vec<Point>,
    #[serde(default)]
    request_id: Option<String>,
}

/// Trials.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Trials {
    trials: Vec<TrialBody>,
}

/// Adds points of a person to the front of the queue.
#[utoipa::path(tag = "trials", request_body = EnqueueBody,
    responses((status = 200, body = Trials), (status = "4XX", body = Problem)))]
#[post("/v1/studies/{id}/enqueue")]
pub(super) async fn enqueue(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
    body: Body<EnqueueBody>,
) -> Result<web::Json<Trials>, Failure> {
    let EnqueueBody { points, request_id: given } = body.0;
    let given = request_id(&request, given);
    let trials = call(&state, &request, "enqueue", move |app, caller| async move {
        let trials = app.enqueue(&caller, StudyId(id.into_inner()), points, given).await?;
        Ok(Trials { trials: trials.into_iter().map(TrialBody::from).collect() })
    });
    trials.await.map(web::Json)
}

/// One trial with its curve.
#[utoipa::path(tag = "trials", responses((status = 200, body = TrialWithCurve), (status = "4XX", body = Problem)))]
#[get("/v1/trials/{id}")]
pub(super) async fn get_trial(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
) -> Result<web::Json<TrialWithCurve>, Failure> {
    let trial = call(&state, &request, "get_trial", move |app, caller| async move {
        let rows = app.trial(&caller, TrialId(id.into_inner())).await?;
        Ok(TrialWithCurve {
            trial: rows.trial.into(),
            curve: rows.curve.into_iter().map(Into::into).collect(),
        })
    });
    trial.await.map(web::Json)
}

/// Why a trial is withdrawn.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelBody {
    #[serde(default)]
    reason: String,
}

/// Withdraws an open trial.
#[utoipa::path(tag = "trials", request_body = CancelBody,
    responses((status = 200, body = TrialBody), (status = "4XX", body = Problem)))]
#[post("/v1/trials/{id}/cancel")]
pub(super) async fn cancel_trial(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
    body: Body<CancelBody>,
) -> Result<web::Json<TrialBody>, Failure> {
    let reason = body.0.reason;
    let trial = call(&state, &request, "cancel_trial", move |app, caller| async move {
        Ok(app.cancel_trial(&caller, TrialId(id.into_inner()), reason).await?.into())
    });
    trial.await.map(web::Json)
}

/// Queues a failed trial again with fresh attempts.
#[utoipa::path(tag = "trials", responses((status = 200, body = TrialBody), (status = "4XX", body = Problem)))]
#[post("/v1/trials/{id}/retry")]
pub(super) async fn retry_trial(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
) -> Result<web::Json<TrialBody>, Failure> {
    let trial = call(&state, &request, "retry_trial", move |app, caller| async move {
        Ok(app.retry_trial(&caller, TrialId(id.into_inner())).await?.into())
    });
    trial.await.map(web::Json)
}
