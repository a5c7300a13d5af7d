//! Lists that are read page by page and the stream of changes.

use std::collections::VecDeque;

use boxwood_wire::v1;
use tonic::Streaming;

use crate::error::Error;
use crate::model::{StudyChange, TrialFilter, TrialInfo};
use crate::retry::{Backoff, may_retry};
use crate::transport::Transport;

/// Trials of a study in the order of a filter; reads the next page when the last one is used up.
#[derive(Debug)]
pub struct Trials {
    transport: Transport,
    study: i64,
    filter: TrialFilter,
    page: VecDeque<TrialInfo>,
    after: i64,
    more: bool,
}

impl Trials {
    pub(crate) fn new(transport: Transport, study: i64, filter: TrialFilter) -> Self {
        Self { transport, study, filter, page: VecDeque::new(), after: 0, more: true }
    }

    /// The next trial; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<TrialInfo>, Error> {
        if self.page.is_empty() && self.more {
            let request = v1::ListTrialsRequest {
                study: self.study,
                states: self.filter.states.iter().map(|state| state.to_wire().into()).collect(),
                order: self.filter.order.to_wire().into(),
                after: self.after,
                limit: self.filter.page,
            };
            let answer = self.transport.list_trials(request).await?;
            self.page = answer.trials.into_iter().map(TrialInfo::try_from).collect::<Result<_, _>>()?;
            self.after = self.page.back().map_or(self.after, |trial| trial.id);
            self.more = answer.more && !self.page.is_empty();
        }
        Ok(self.page.pop_front())
    }

    /// All that are left.
    pub async fn all(mut self) -> Result<Vec<TrialInfo>, Error> {
        let mut trials = Vec::new();
        while let Some(trial) = self.next().await? {
            trials.push(trial);
        }
        Ok(trials)
    }
}

/// Changes of a study. Connects again when the stream breaks; the first message after that holds the current state.
#[derive(Debug)]
pub struct Watch {
    transport: Transport,
    request: v1::GetStudyRequest,
    stream: Option<Streaming<v1::StudyChange>>,
    backoff: Backoff,
}

impl Watch {
    pub(crate) fn new(transport: Transport, request: v1::GetStudyRequest) -> Self {
        let backoff = transport.retry().backoff();
        Self { transport, request, stream: None, backoff }
    }

    /// The next change; `None` when the server ended the stream because nothing will change any more.
    pub async fn next(&mut self) -> Result<Option<StudyChange>, Error> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => self.stream.insert(self.transport.watch_study(self.request.clone()).await?),
            };
            match stream.message().await {
                Ok(Some(change)) => {
                    self.backoff = self.transport.retry().backoff();
                    return change.try_into().map(Some);
                }
                Ok(None) => return Ok(None),
                Err(status) => match may_retry(&status) {
                    None => return Err(Error::from_status(status)),
                    Some(delay) => {
                        self.stream = None;
                        tokio::time::sleep(self.backoff.pause().max(delay)).await;
                    }
                },
            }
        }
    }
}
