//! Notices of other servers on the same PostgreSQL.

use std::time::Duration;

use boxwood_study::StudyId;
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::broadcast;

use super::flush::CHANNEL;
use crate::StoreNotice;

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Passes notices on until the pool is closed. After every new connection receivers are told to look at everything.
pub(crate) async fn listen(pool: PgPool, notices: broadcast::Sender<StoreNotice>, origin: String) {
    let mut pause = SHORTEST_PAUSE;
    while !pool.is_closed() {
        match receive(&pool, &notices, &origin, &mut pause).await {
            Ok(()) => {}
            Err(error) if pool.is_closed() => {
                tracing::debug!(%error, "stop listening");
            }
            Err(error) => {
                tracing::warn!(%error, "listen for notices");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn receive(
    pool: &PgPool,
    notices: &broadcast::Sender<StoreNotice>,
    origin: &str,
    pause: &mut Duration,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // Nobody receiving is no error, here and below.
    let _ = notices.send(StoreNotice::Resync);
    *pause = SHORTEST_PAUSE;
    while let Some(notification) = listener.try_recv().await? {
        let Some((from, ids)) = notification.payload().split_once(':') else { continue };
        if from == origin {
            continue;
        }
        for id in ids.split(',').filter_map(|id| id.parse().ok()) {
            let _ = notices.send(StoreNotice::Study(StudyId(id)));
        }
    }
    // The connection was lost; the caller connects again.
    Ok(())
}
