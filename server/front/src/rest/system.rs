//! Health, readiness, metrics, the `OpenAPI` document.

use actix_web::{HttpRequest, HttpResponse, get};
use boxwood_store::Role;
use boxwood_wire::ErrorCode;

use super::problem::Problem;
use super::{State, call, document};
use crate::failure::Failure;

/// Whether the process lives.
#[utoipa::path(tag = "system", responses((status = 200, body = str)))]
#[get("/healthz")]
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Whether the server takes work: its database answers and it is not closing.
#[utoipa::path(tag = "system", responses((status = 200, body = str), (status = 503, body = Problem)))]
#[get("/readyz")]
pub(super) async fn readyz(state: State) -> Result<&'static str, Failure> {
    let app = state.app.clone();
    let ready = state.runtime.spawn(async move { app.is_ready().await }).await;
    if ready.unwrap_or(false) {
        Ok("ready")
    } else {
        Err(Failure::new(ErrorCode::StoreBusy, "the database does not answer, or the server is closing"))
    }
}

/// Metrics for Prometheus. Any role may read them.
#[utoipa::path(tag = "system", responses((status = 200, body = str), (status = 401, body = Problem)))]
#[get("/metrics")]
pub(super) async fn metrics(state: State, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let counts = call(&state, &request, "metrics", move |app, caller| async move {
        caller.require(Role::Viewer)?;
        Ok(app.counts())
    });
    let text = state.metrics.text(&counts.await?, state.in_flight());
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(text))
}

/// This document.
#[utoipa::path(tag = "system", responses((status = 200, body = Object)))]
#[get("/openapi.json")]
pub(super) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().json(document())
}

/// Anything else.
pub(super) async fn unknown_route(request: HttpRequest) -> Result<HttpResponse, Failure> {
    Err(Failure::new(ErrorCode::NotFound, format!("no route {} {}", request.method(), request.path())))
}
