//! REST: the same use cases under `/v1`, problem documents, server-sent events, `OpenAPI`, metrics.

mod admin;
mod analysis;
mod bodies;
mod events;
mod extract;
mod openapi;
mod problem;
mod studies;
mod system;
mod trials;
mod workers;

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpRequest, HttpServer, web};
use boxwood_app::Principal;
pub(crate) use openapi::document;
use tokio::task::JoinHandle;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::failure::Failure;
use crate::front::{Call, Front, ServerApp, aborted, bearer};

/// Threads that read and write HTTP; the use cases run elsewhere.
const THREADS: usize = 2;
/// Time that connections get to end at shutdown.
const SHUTDOWN_SECONDS: u64 = 10;

/// What every handler gets.
pub(crate) type State = web::Data<Arc<Front>>;

/// Ends a task when its caller goes away.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a use case on the main runtime, where the store's connections live, to its end even when the client hangs up.
async fn call<T, W>(
    state: &State,
    request: &HttpRequest,
    route: &'static str,
    work: impl FnOnce(ServerApp, Principal) -> W + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Failure>> + Send + 'static,
{
    spawn(state, request, route, work).await.map_err(|error| aborted(&error))?
}

/// The same for a call that waits: it ends when the client hangs up, so that nothing is leased to nobody.
async fn waiting_call<T, W>(
    state: &State,
    request: &HttpRequest,
    route: &'static str,
    work: impl FnOnce(ServerApp, Principal) -> W + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let mut task = AbortOnDrop(spawn(state, request, route, work));
    (&mut task.0).await.map_err(|error| aborted(&error))?
}

fn spawn<T, W>(
    state: &State,
    request: &HttpRequest,
    route: &'static str,
    work: impl FnOnce(ServerApp, Principal) -> W + Send + 'static,
) -> JoinHandle<Result<T, Failure>>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let front = Arc::clone(state);
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let secret = bearer(header);
    let call = Call { front: "rest", route };
    state.runtime.spawn(async move { front.serve(call, secret, work).await })
}

/// Request id of a mutating call: the body's field, or else a header.
fn request_id(request: &HttpRequest, field: Option<String>) -> Option<String> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let given = field.or_else(|| header("x-request-id").or(header("idempotency-key")).map(str::to_owned));
    given.filter(|id| !id.is_empty())
}

/// Every route. The `OpenAPI` document is made of the same list.
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(studies::create_study)
        .service(studies::list_studies)
        .service(studies::get_study)
        .service(studies::update_study)
        .service(studies::explain_study)
        .service(analysis::analyze_study)
        .service(studies::replay_study)
        .service(events::watch_study)
        .service(trials::list_trials)
        .service(trials::suggest)
        .service(trials::enqueue)
        .service(trials::get_trial)
        .service(trials::cancel_trial)
        .service(trials::retry_trial)
        .service(workers::acquire)
        .service(workers::heartbeat)
        .service(workers::report)
        .service(workers::finish)
        .service(workers::list_workers)
        .service(workers::drain_worker)
        .service(admin::list_tokens)
        .service(admin::create_token)
        .service(admin::revoke_token)
        .service(admin::list_projects)
        .service(admin::create_project)
        .service(system::healthz)
        .service(system::readyz)
        .service(system::metrics)
        .service(system::openapi);
}

/// A running REST server on its own threads.
pub(crate) struct Running {
    handle: ServerHandle,
    thread: std::thread::JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Stops taking connections, finishes what is in flight, and waits for the end.
    pub(crate) async fn stop(self) -> std::io::Result<()> {
        self.handle.stop(true).await;
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        joined
            .map_err(std::io::Error::other)?
            .map_err(|_| std::io::Error::other("the thread of the REST server panicked"))?
    }
}

/// Serves REST on a bound listener.
pub(crate) fn serve(
    front: Arc<Front>,
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
) -> std::io::Result<Running> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name("boxwood-rest".into()).spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let running = listen(front, listener, tls)?;
            // The receiver waits right below.
            let _ = sender.send(running.handle());
            running.await
        })
    })?;
    match receiver.recv() {
        Ok(handle) => Ok(Running { handle, thread }),
        // The thread ended without a server: its result says why.
        Err(_) => match thread.join() {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Err(std::io::Error::other("the thread of the REST server ended")),
        },
    }
}

/// The server, on the thread that will run it.
fn listen(
    front: Arc<Front>,
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
) -> std::io::Result<Server> {
    let state: State = web::Data::new(front);
    let server = HttpServer::new(move || {
        let (app, _) =
            App::new().into_utoipa_app().app_data(state.clone()).configure(routes).split_for_parts();
        app.app_data(extract::query_config())
            .app_data(extract::path_config())
            .default_service(web::to(system::unknown_route))
    })
    .workers(THREADS)
    .disable_signals()
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .keep_alive(Duration::from_secs(75));
    let server = match tls {
        Some(config) => server.listen_rustls_0_23(listener, config)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}
