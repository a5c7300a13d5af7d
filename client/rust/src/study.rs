//! Handle of a study.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boxwood_wire::v1;
use serde_json::{Map, Value};

use crate::analysis::Analysis;
use crate::client::Shared;
use crate::error::Error;
use crate::lists::{Trials, Watch};
use crate::model::{StudyInfo, TrialFilter, TrialInfo};
use crate::trial::Trial;

/// Least time between two asks that bring nothing.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// A study of a client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Study {
    shared: Arc<Shared>,
    id: i64,
    name: String,
}

impl Study {
    pub(crate) fn new(shared: Arc<Shared>, info: StudyInfo) -> Self {
        Self { shared, id: info.id, name: info.name }
    }

    /// Id.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The study as it is now.
    pub async fn info(&self) -> Result<StudyInfo, Error> {
        self.shared.transport.get_study(self.key()).await?.try_into()
    }

    /// Best feasible trial so far.
    pub async fn best(&self) -> Result<Option<TrialInfo>, Error> {
        Ok(self.info().await?.best)
    }

    /// The next point to try, waiting until there is one. `None` when the study has ended: its budget is spent or a
    /// person closed it.
    pub async fn suggest(&self) -> Result<Option<Trial>, Error> {
        Ok(self.suggest_up_to(1).await?.pop())
    }

    /// One to `count` points at once; none when the study has ended.
    pub async fn suggest_up_to(&self, count: u32) -> Result<Vec<Trial>, Error> {
        loop {
            let asked = Instant::now();
            let request = v1::SuggestRequest {
                study: self.id,
                count,
                wait_seconds: self.shared.wait_seconds,
                worker: Some(self.shared.hello.clone()),
                request_id: crate::request_id(),
            };
            let answer = self.shared.transport.suggest(request).await?;
            if !answer.leases.is_empty() || answer.closed {
                let trials = answer.leases.into_iter().map(|lease| Trial::new(&self.shared, lease));
                return trials.collect();
            }
            // A server that is closing answers at once.
            tokio::time::sleep(SHORTEST_POLL.saturating_sub(asked.elapsed())).await;
        }
    }

    /// Adds points to the front of the queue.
    pub async fn enqueue(
        &self,
        points: impl IntoIterator<Item = Map<String, Value>>,
    ) -> Result<Vec<TrialInfo>, Error> {
        let request = v1::EnqueueRequest {
            study: self.id,
            points_json: points.into_iter().map(|point| Value::Object(point).to_string()).collect(),
            request_id: crate::request_id(),
        };
        let answer = self.shared.transport.enqueue(request).await?;
        answer.trials.into_iter().map(TrialInfo::try_from).collect()
    }

    /// Grants no new lease until it is resumed.
    pub async fn pause(&self, reason: &str) -> Result<StudyInfo, Error> {
        self.act(v1::StudyAction::Pause, reason).await
    }

    /// Lets the study go on.
    pub async fn resume(&self) -> Result<StudyInfo, Error> {
        self.act(v1::StudyAction::Resume, "").await
    }

    /// Ends the study.
    pub async fn cancel(&self, reason: &str) -> Result<StudyInfo, Error> {
        self.act(v1::StudyAction::Cancel, reason).await
    }

    /// Hides the study from lists, or shows it again.
    pub async fn archive(&self, archived: bool) -> Result<StudyInfo, Error> {
        self.update(v1::UpdateStudyRequest { archived: Some(archived), ..v1::UpdateStudyRequest::default() })
            .await
    }

    /// Replaces the budget, given as in a specification, for example `json!({"trials": 200})`.
    pub async fn set_budget(&self, budget: &Value) -> Result<StudyInfo, Error> {
        let budget_json = budget.to_string();
        self.update(v1::UpdateStudyRequest { budget_json, ..v1::UpdateStudyRequest::default() }).await
    }

    /// Changes stop rules, given as in a specification: null removes a rule and absent ones stay, for example
    /// `json!({"no_improvement": null, "training_seconds": 7200})`. A completed study goes on when its limits allow more.
    pub async fn set_stop(&self, rules: &Value) -> Result<StudyInfo, Error> {
        let stop_json = rules.to_string();
        self.update(v1::UpdateStudyRequest { stop_json, ..v1::UpdateStudyRequest::default() }).await
    }

    /// Trials page by page.
    pub fn trials(&self, filter: TrialFilter) -> Trials {
        Trials::new(self.shared.transport.clone(), self.id, filter)
    }

    /// Changes as they come, the current state first.
    pub fn watch(&self) -> Watch {
        Watch::new(self.shared.transport.clone(), self.key())
    }

    /// What the solver learned.
    pub async fn explain(&self) -> Result<Value, Error> {
        read(&self.shared.transport.explain_study(self.key()).await?)
    }

    /// What the results say, by kind or as an [`Analysis`]: an object with the `answer`, or with the reason `why_not`.
    ///
    /// # Errors
    /// [`crate::ErrorCode::SpecInvalid`] for an unknown kind and for an objective or trial that the study lacks.
    pub async fn analyze(&self, analysis: impl Into<Analysis>) -> Result<Value, Error> {
        let Analysis { kind, objective, trials, more } = analysis.into();
        let id = self.id;
        let request = v1::AnalyzeStudyRequest {
            id,
            kind,
            objective,
            trials,
            more,
            ..v1::AnalyzeStudyRequest::default()
        };
        read(&self.shared.transport.analyze_study(request).await?)
    }

    async fn act(&self, action: v1::StudyAction, reason: &str) -> Result<StudyInfo, Error> {
        let reason = reason.to_owned();
        self.update(v1::UpdateStudyRequest {
            action: action.into(),
            reason,
            ..v1::UpdateStudyRequest::default()
        })
        .await
    }

    async fn update(&self, request: v1::UpdateStudyRequest) -> Result<StudyInfo, Error> {
        let request = v1::UpdateStudyRequest { id: self.id, request_id: crate::request_id(), ..request };
        self.shared.transport.update_study(request).await?.try_into()
    }

    fn key(&self) -> v1::GetStudyRequest {
        v1::GetStudyRequest { id: self.id, ..v1::GetStudyRequest::default() }
    }
}

fn read(document: &v1::JsonDocument) -> Result<Value, Error> {
    serde_json::from_str(&document.json)
        .map_err(|error| Error::Answer { field: "json", reason: error.to_string() })
}
