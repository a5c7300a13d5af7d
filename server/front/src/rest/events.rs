//! The change feed of a study as server-sent events.
//!
//! An event's id is the study's change; a client that comes back with `Last-Event-ID` misses nothing.

use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, get, web};
use boxwood_core::Change;
use boxwood_study::StudyId;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};

use super::bodies::{StudyBody, TrialBody};
use super::problem::Problem;
use super::{State, call};
use crate::failure::Failure;
use crate::front::ServerApp;
use crate::json;

/// A comment is sent when nothing else was, so that a dead connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events that a slow client may lag behind before the feed waits for it.
const BUFFERED: usize = 16;

/// From where to follow.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventQuery {
    /// Only what changed after this; everything when absent. The header `Last-Event-ID` goes before it.
    #[serde(default)]
    since: u64,
}

/// One event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangeEvent {
    study: StudyBody,
    /// Trials that changed since the event before, at most 1,000.
    trials: Vec<TrialBody>,
}

/// Follows a study: first what changed until now, then an event whenever something does.
#[utoipa::path(tag = "studies", params(EventQuery),
    responses((status = 200, content_type = "text/event-stream", body = ChangeEvent), (status = "4XX", body = Problem)))]
#[get("/v1/studies/{id}/events")]
pub(super) async fn watch_study(
    state: State,
    request: HttpRequest,
    id: web::Path<i64>,
    query: web::Query<EventQuery>,
) -> Result<HttpResponse, Failure> {
    let last = request.headers().get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let since = Change(last.unwrap_or(query.since));
    let receiver = call(&state, &request, "watch_study", move |app, caller| async move {
        let feed = app.watch(&caller, StudyId(id.into_inner()), since).await?;
        let (sender, receiver) = mpsc::channel(BUFFERED);
        tokio::spawn(forward(app, Box::pin(feed), sender));
        Ok(receiver)
    });
    let events = ReceiverStream::new(receiver.await?).map(Ok::<Bytes, std::convert::Infallible>);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(events))
}

/// Writes a feed as events until it or the client ends.
async fn forward(
    app: ServerApp,
    mut feed: impl futures::Stream<Item = Result<boxwood_app::FeedItem, boxwood_app::AppError>> + Unpin + Send,
    sender: mpsc::Sender<Bytes>,
) {
    loop {
        let text = match tokio::time::timeout(KEEP_ALIVE, feed.next()).await {
            Err(_) => ": still here\n\n".to_owned(),
            Ok(None) => return,
            Ok(Some(item)) => match event(&app, item).await {
                Ok(text) => text,
                Err(failure) => {
                    // The last event says why the feed ends.
                    let text = format!("event: error\ndata: {}\n\n", failure.code.as_str());
                    let _ = sender.send(Bytes::from(text)).await;
                    return;
                }
            },
        };
        if sender.send(Bytes::from(text)).await.is_err() {
            return;
        }
    }
}

async fn event(
    app: &ServerApp,
    item: Result<boxwood_app::FeedItem, boxwood_app::AppError>,
) -> Result<String, Failure> {
    let item = item?;
    let change = item.study.change.0;
    let project = app.project_name(item.study.project).await?;
    let study = StudyBody::new(item.study, project);
    let body = ChangeEvent { study, trials: item.trials.into_iter().map(Into::into).collect() };
    Ok(format!("id: {change}\nevent: change\ndata: {}\n\n", json::text(&body)?))
}
