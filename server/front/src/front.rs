//! What both front ends share: authentication, the limit on calls at once, metrics, the log of a call.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use boxwood_app::{App, Principal};
use boxwood_store::AnyStore;
use boxwood_wire::ErrorCode;

use crate::config::Limits;
use crate::failure::Failure;
use crate::metrics::Metrics;

/// The use cases over the configured store.
pub(crate) type ServerApp = App<AnyStore>;

/// Shared by every handler.
pub(crate) struct Front {
    pub(crate) app: ServerApp,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    /// The runtime of the store's connections; REST handlers run their use cases there.
    pub(crate) runtime: tokio::runtime::Handle,
    in_flight: AtomicU32,
}

/// One call: its place in the log and in the metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// `grpc` or `rest`.
    pub(crate) front: &'static str,
    /// Name of the use case.
    pub(crate) route: &'static str,
}

/// Counts a call for as long as it is served.
struct InFlight<'a>(&'a AtomicU32);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Front {
    pub(crate) fn new(app: ServerApp, limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            app,
            limits,
            metrics,
            runtime: tokio::runtime::Handle::current(),
            in_flight: AtomicU32::new(0),
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Serves one call: finds its caller, runs the use case, counts and logs what came of it.
    pub(crate) async fn serve<T, W>(
        &self,
        call: Call,
        secret: Option<String>,
        work: impl FnOnce(ServerApp, Principal) -> W,
    ) -> Result<T, Failure>
    where
        W: Future<Output = Result<T, Failure>>,
    {
        let started = Instant::now();
        let result = self.admitted(secret, work).await;
        let seconds = started.elapsed().as_secs_f64();
        let code = result.as_ref().map_or_else(|failure| failure.code.as_str(), |_| "ok");
        self.metrics.observe(call.front, call.route, code, seconds);
        tracing::debug!(front = call.front, route = call.route, code, seconds, "call served");
        result
    }

    async fn admitted<T, W>(
        &self,
        secret: Option<String>,
        work: impl FnOnce(ServerApp, Principal) -> W,
    ) -> Result<T, Failure>
    where
        W: Future<Output = Result<T, Failure>>,
    {
        let place = InFlight(&self.in_flight);
        if self.in_flight.fetch_add(1, Ordering::AcqRel) >= self.limits.calls_at_once {
            return Err(Failure::rate_limited(self.limits.calls_at_once));
        }
        let caller = self.app.authenticate(secret.as_deref()).await?;
        let result = work(self.app.clone(), caller).await;
        drop(place);
        result
    }
}

/// The secret of an `authorization: Bearer ...` header.
pub(crate) fn bearer(header: Option<&str>) -> Option<String> {
    let (scheme, secret) = header?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim().to_owned())
}

/// The failure of a use case whose task did not end by itself.
pub(crate) fn aborted(error: &tokio::task::JoinError) -> Failure {
    let failure: Failure = boxwood_app::AppError::internal(error).into();
    debug_assert_eq!(failure.code, ErrorCode::Internal);
    failure
}
