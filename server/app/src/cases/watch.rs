//! The change feed of one study.

use std::time::Duration;

use boxwood_core::Change;
use boxwood_store::{Role, Store};
use boxwood_study::{StudyId, StudyRecord, TrialRecord};
use futures::Stream;

use crate::error::AppError;
use crate::{App, Principal};

/// Changes within this time travel together.
const COALESCE: Duration = Duration::from_millis(100);
/// How often a feed looks without being woken: notices may drop.
const POLL: Duration = Duration::from_secs(2);
/// Trials in one item.
const TRIALS: usize = 1000;

/// One item of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedItem {
    /// The study now.
    pub study: StudyRecord,
    /// Trials that changed since the item before, at most 1,000.
    pub trials: Vec<TrialRecord>,
}

impl<S: Store> App<S> {
    /// A feed of a study's changes after `since`: first what changed until now, then an item whenever something does.
    /// It ends when the server closes.
    pub async fn watch(
        &self,
        caller: &Principal,
        study: StudyId,
        since: Change,
    ) -> Result<impl Stream<Item = Result<FeedItem, AppError>> + Send + 'static, AppError> {
        caller.require(Role::Viewer)?;
        self.check_study(caller, study).await?;
        self.inner.store.study(study).await?;
        let app = self.clone();
        let hub = self.hub(study);
        let mut changed = hub.changed.subscribe();
        let mut closing = self.inner.closing.subscribe();
        Ok(async_stream::try_stream! {
            let mut since = since;
            let mut first = true;
            loop {
                changed.mark_unchanged();
                let rows = app.inner.store.rows_since(study, since).await?;
                if first || rows.study.change > since || !rows.trials.is_empty() {
                    since = rows.study.change;
                    first = false;
                    let mut chunks = rows.trials.chunks(TRIALS);
                    let head = chunks.next().unwrap_or_default().to_vec();
                    yield FeedItem { study: rows.study.clone(), trials: head };
                    for chunk in chunks {
                        yield FeedItem { study: rows.study.clone(), trials: chunk.to_vec() };
                    }
                }
                tokio::select! {
                    _ = changed.changed() => tokio::time::sleep(COALESCE).await,
                    () = tokio::time::sleep(POLL) => {}
                    () = closed(&mut closing) => break,
                }
            }
        })
    }
}

async fn closed(closing: &mut tokio::sync::watch::Receiver<bool>) {
    // An error says that the app is gone, which is an end too.
    let _ = closing.wait_for(|closing| *closing).await;
}
