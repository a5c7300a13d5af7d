//! Routes of workers.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use boxwood_core::Metrics;
use boxwood_study::{Ending, Finish, LeaseEpoch, LeaseKey, Report, TrialId, WorkerName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::bodies::{
    FinishAnswer, FinishBody, Hello, KeyBody, LeaseStatus, Leases, ReportBody, ResultBody, VerdictBody,
    WorkerBody, one,
};
use super::extract::Body;
use super::problem::Problem;
use super::{State, call, request_id, waiting_call};
use crate::failure::Failure;
use crate::json;

/// A worker's ask.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcquireBody {
    worker: Hello,
    /// Free slots.
    #[serde(default = "one")]
    slots: u32,
    /// Longest wait, at most 60.
    #[serde(default)]
    wait_seconds: f64,
    #[serde(default)]
    request_id: Option<String>,
}

/// Waits for trials of any study that fits the worker.
#[utoipa::path(tag = "workers", request_body = AcquireBody,
    responses((status = 200, body = Leases), (status = "4XX", body = Problem)))]
#[post("/v1/workers/acquire")]
pub(super) async fn acquire(
    state: State,
    request: HttpRequest,
    body: Body<AcquireBody>,
) -> Result<web::Json<Leases>, Failure> {
    let AcquireBody { worker, slots, wait_seconds, request_id: given } = body.0;
    let given = request_id(&request, given);
    let leases = waiting_call(&state, &request, "acquire", move |app, caller| async move {
        let project = app.project(&caller, &worker.project).await?;
        let grants = app.acquire(&caller, worker.within(project), slots, wait_seconds, given).await?;
        Ok(Leases { leases: grants.into_iter().map(Into::into).collect(), closed: false })
    });
    leases.await.map(web::Json)
}

/// A sign of life.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeartbeatBody {
    worker: Hello,
    leases: Vec<KeyBody>,
}

/// The server's word to a worker.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeartbeatReplyBody {
    leases: Vec<LeaseStatus>,
    /// Finish what runs, take nothing new, leave.
    drain: bool,
}

/// Renews leases; the answer is the control channel.
#[utoipa::path(tag = "workers", request_body = HeartbeatBody,
    responses((status = 200, body = HeartbeatReplyBody), (status = "4XX", body = Problem)))]
#[post("/v1/workers/heartbeat")]
pub(super) async fn heartbeat(
    state: State,
    request: HttpRequest,
    body: Body<HeartbeatBody>,
) -> Result<web::Json<HeartbeatReplyBody>, Failure> {
    let HeartbeatBody { worker, leases } = body.0;
    let reply = call(&state, &request, "heartbeat", move |app, caller| async move {
        let project = app.project(&caller, &worker.project).await?;
        let keys = leases.into_iter().map(Into::into).collect();
        let reply = app.heartbeat(&caller, worker.within(project), keys).await?;
        let leases = reply.leases.into_iter().map(Into::into).collect();
        Ok(HeartbeatReplyBody { leases, drain: reply.drain })
    });
    reply.await.map(web::Json)
}

fn key(trial: i64, epoch: u64) -> LeaseKey {
    LeaseKey { trial: TrialId(trial), epoch: LeaseEpoch(epoch) }
}

/// Stores a report of a running trial and says what to do next.
#[utoipa::path(tag = "workers", request_body = ReportBody,
    responses((status = 200, body = VerdictBody), (status = "4XX", body = Problem)))]
#[post("/v1/trials/{id}/report")]
pub(super) async fn report(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
    body: Body<ReportBody>,
) -> Result<web::Json<VerdictBody>, Failure> {
    let body = body.0;
    let verdict = call(&state, &request, "report", move |app, caller| async move {
        let metrics = json::metrics(body.metrics)?;
        let report = Report { step: body.step, metrics, seconds: body.seconds };
        let key = key(id.into_inner(), body.epoch);
        let answers = app.report(&caller, vec![(key, report)]).await?;
        let answer =
            answers.into_iter().next().ok_or_else(|| Failure::invalid("report", "it has no answer"))?;
        Ok(VerdictBody::from(answer?.verdict))
    });
    verdict.await.map(web::Json)
}

fn result(body: ResultBody) -> Result<Report, Failure> {
    let metrics: Metrics = json::metrics(body.metrics)?;
    Ok(Report { step: body.step, metrics, seconds: body.seconds })
}

/// Ends a lease.
#[utoipa::path(tag = "workers", request_body = FinishBody,
    responses((status = 200, body = FinishAnswer), (status = "4XX", body = Problem)))]
#[post("/v1/trials/{id}/finish")]
pub(super) async fn finish(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
    body: Body<FinishBody>,
) -> Result<web::Json<FinishAnswer>, Failure> {
    let body = body.0;
    let answer = call(&state, &request, "finish", move |app, caller| async move {
        let finish = Finish {
            ending: Ending { kind: body.ending, reason: body.reason },
            result: body.result.map(result).transpose()?,
            checkpoint: body.checkpoint,
            seconds: body.seconds,
        };
        let outcome = app.finish(&caller, key(id.into_inner(), body.epoch), finish).await?;
        Ok(FinishAnswer { state: outcome.state, accepted: outcome.accepted })
    });
    answer.await.map(web::Json)
}

/// Which project's workers.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerQuery {
    /// Project; the token's own, or `default`, when absent.
    #[serde(default)]
    project: String,
}

/// Workers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Workers {
    workers: Vec<WorkerBody>,
}

/// Workers of a project seen in the last day.
#[utoipa::path(tag = "workers", params(WorkerQuery),
    responses((status = 200, body = Workers), (status = "4XX", body = Problem)))]
#[get("/v1/workers")]
pub(super) async fn list_workers(
    state: State,
    request: HttpRequest,
    query: web::Query<WorkerQuery>,
) -> Result<web::Json<Workers>, Failure> {
    let workers = call(&state, &request, "list_workers", move |app, caller| async move {
        let project = app.project(&caller, &query.project).await?;
        let workers = app.workers(&caller, project).await?;
        Ok(Workers { workers: workers.into_iter().map(Into::into).collect() })
    });
    workers.await.map(web::Json)
}

/// Asks a worker to finish what it runs, take nothing new and leave.
#[utoipa::path(tag = "workers", params(WorkerQuery),
    responses((status = 204), (status = "4XX", body = Problem)))]
#[post("/v1/workers/{name}/drain")]
pub(super) async fn drain_worker(
    state: State,
    request: HttpRequest,
    name: web::Path<String>,
    query: web::Query<WorkerQuery>,
) -> Result<HttpResponse, Failure> {
    call(&state, &request, "drain_worker", move |app, caller| async move {
        let project = app.project(&caller, &query.project).await?;
        Ok(app.drain_worker(&caller, project, WorkerName(name.into_inner())).await?)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}
