//! The reaper: returns expired leases to the queue, wakes planners whose budget in seconds ran out, forgets idle studies.

use std::sync::atomic::Ordering;
use std::time::Duration;

use boxwood_store::Store;

use crate::App;
use crate::error::AppError;
use crate::hub::lock;

/// Shortest and longest time between two rounds.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The same while no lease is known.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Leases returned in one transaction.
const BATCH: u32 = 200;
/// A study that nobody used for this long leaves the memory.
const IDLE: Duration = Duration::from_mins(10);

pub(crate) async fn run<S: Store>(app: App<S>) {
    let mut closing = app.inner.closing.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval(&app)) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
        match round(&app).await {
            Ok(()) | Err(AppError::Busy) => {}
            Err(error) => tracing::warn!(%error, "reaping failed, trying again"),
        }
    }
}

/// A third of the shortest lease.
fn interval<S: Store>(app: &App<S>) -> Duration {
    let leases = app.hubs().into_iter().map(|hub| hub.lease_milliseconds.load(Ordering::Relaxed));
    let shortest = leases.filter(|milliseconds| *milliseconds > 0).min();
    shortest
        .map_or(UNKNOWN, |milliseconds| Duration::from_millis(milliseconds / 3))
        .clamp(INTERVAL.0, INTERVAL.1)
}

async fn round<S: Store>(app: &App<S>) -> Result<(), AppError> {
    loop {
        let reaped = app.inner.store.reap(BATCH).await?;
        let count = reaped.requeued.len() + reaped.failed.len();
        app.inner.counters.add_reaped(count);
        for study in reaped.requeued.iter().chain(&reaped.failed).map(|trial| trial.study()) {
            app.touched(study);
        }
        for study in reaped.studies {
            app.touched(study);
        }
        if count < BATCH as usize {
            break;
        }
    }
    refresh_draining(app).await?;
    app.drop_idle(IDLE);
    Ok(())
}

/// Looks up which workers of the projects with recent heartbeats have been asked to leave.
async fn refresh_draining<S: Store>(app: &App<S>) -> Result<(), AppError> {
    let projects = std::mem::take(&mut lock(&app.inner.draining).projects);
    for project in projects {
        let workers = app.inner.store.workers(project).await?;
        let mut draining = lock(&app.inner.draining);
        draining.workers.retain(|(of, _)| *of != project);
        draining.workers.extend(workers.into_iter().filter(|w| w.draining).map(|w| (project, w.name)));
    }
    Ok(())
}
