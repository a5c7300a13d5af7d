//! The client: studies of one project.

use std::sync::Arc;

use boxwood_wire::{ErrorCode, v1};

use crate::error::Error;
use crate::keeper::Keeper;
use crate::lists::Trials;
use crate::model::{
    ReplayInfo, StudyFilter, StudyInfo, StudyState, TrialCurve, TrialFilter, TrialInfo, WorkerInfo, missing,
};
use crate::options::ClientOptions;
use crate::specification::StudySource;
use crate::study::Study;
use crate::transport::Transport;

/// What a client's studies and trials share. Ends with the last of them.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) transport: Transport,
    pub(crate) hello: v1::WorkerHello,
    pub(crate) wait_seconds: f64,
    pub(crate) keeper: Keeper,
    pub(crate) runtime: tokio::runtime::Handle,
}

/// A connection to a server, as one principal in one project. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

impl Client {
    /// Connects and checks that the server answers and takes the token, waiting for it as the retry policy says.
    pub async fn connect(options: ClientOptions) -> Result<Self, Error> {
        let client = Self::lazy(options)?;
        match client.list_studies_page(&StudyFilter::default(), 0, 1).await {
            Ok(_) => Ok(client),
            // The token is good, though not for lists.
            Err(error) if error.code() == Some(ErrorCode::Forbidden) => Ok(client),
            Err(error) => Err(error),
        }
    }

    /// A client that connects at its first call. Call it inside a Tokio runtime.
    pub fn lazy(options: ClientOptions) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|error| Error::Options { field: "runtime", reason: error.to_string() })?;
        let transport = Transport::new(&options)?;
        let hello = v1::WorkerHello {
            project: options.project,
            name: options.name,
            slots: 1,
            ..v1::WorkerHello::default()
        };
        let keeper = Keeper::start(&transport, hello.clone());
        let wait_seconds = options.wait_seconds;
        Ok(Self { shared: Arc::new(Shared { transport, hello, wait_seconds, keeper, runtime }) })
    }

    /// The calls of the protocol, one by one.
    pub fn transport(&self) -> &Transport {
        &self.shared.transport
    }

    /// The project that was asked for; empty means that of the token.
    pub fn project(&self) -> &str {
        &self.shared.hello.project
    }

    /// Creates a study, or opens the one of that name if its specification is equal.
    pub async fn create_or_open_study(&self, specification: &impl StudySource) -> Result<Study, Error> {
        let request = v1::CreateStudyRequest {
            project: self.project().to_owned(),
            spec_json: specification.document()?.to_string(),
            request_id: crate::request_id(),
        };
        let answer = self.transport().create_study(request).await?;
        self.handle(answer.study.ok_or_else(|| missing("study"))?)
    }

    /// Opens a study by name.
    pub async fn open_study(&self, name: &str) -> Result<Study, Error> {
        let project = self.project().to_owned();
        let request = v1::GetStudyRequest { id: 0, project, name: name.to_owned() };
        self.handle(self.transport().get_study(request).await?)
    }

    /// Opens a study by id.
    pub async fn open_study_id(&self, id: i64) -> Result<Study, Error> {
        let request = v1::GetStudyRequest { id, ..v1::GetStudyRequest::default() };
        self.handle(self.transport().get_study(request).await?)
    }

    /// Every study that passes the filter, newest first.
    pub async fn list_studies(&self, filter: &StudyFilter) -> Result<Vec<StudyInfo>, Error> {
        let mut studies: Vec<StudyInfo> = Vec::new();
        loop {
            let before = studies.last().map_or(0, |study| study.id);
            let (page, more) = self.list_studies_page(filter, before, 500).await?;
            let is_last = !more || page.is_empty();
            studies.extend(page);
            if is_last {
                return Ok(studies);
            }
        }
    }

    /// A page of studies with ids below `before` (0 for the first page), and whether there are more.
    pub async fn list_studies_page(
        &self,
        filter: &StudyFilter,
        before: i64,
        limit: u32,
    ) -> Result<(Vec<StudyInfo>, bool), Error> {
        let request = v1::ListStudiesRequest {
            project: self.project().to_owned(),
            states: filter.states.iter().map(|state: &StudyState| state.to_wire().into()).collect(),
            name_contains: filter.name_contains.clone(),
            archived: filter.archived,
            before,
            limit,
        };
        let answer = self.transport().list_studies(request).await?;
        let studies = answer.studies.into_iter().map(StudyInfo::try_from).collect::<Result<_, _>>()?;
        Ok((studies, answer.more))
    }

    /// A trial with its curve.
    pub async fn trial(&self, id: i64) -> Result<TrialCurve, Error> {
        self.transport().get_trial(v1::GetTrialRequest { id }).await?.try_into()
    }

    /// Withdraws a trial.
    pub async fn cancel_trial(&self, id: i64, reason: &str) -> Result<TrialInfo, Error> {
        let request = v1::CancelTrialRequest { id, reason: reason.to_owned() };
        self.transport().cancel_trial(request).await?.try_into()
    }

    /// Queues a failed trial again.
    pub async fn retry_trial(&self, id: i64) -> Result<TrialInfo, Error> {
        self.transport().retry_trial(v1::GetTrialRequest { id }).await?.try_into()
    }

    /// Trials of a study, page by page.
    pub fn trials_of(&self, study: i64, filter: TrialFilter) -> Trials {
        Trials::new(self.transport().clone(), study, filter)
    }

    /// Recomputes every plan of a study and compares.
    pub async fn replay_study(&self, id: i64) -> Result<ReplayInfo, Error> {
        let request = v1::GetStudyRequest { id, ..v1::GetStudyRequest::default() };
        let answer = self.transport().replay_study(request).await?;
        Ok(ReplayInfo { plans: answer.plans, moves: answer.moves, differences: answer.differences })
    }

    /// Workers of the project.
    pub async fn list_workers(&self) -> Result<Vec<WorkerInfo>, Error> {
        let request = v1::ListWorkersRequest { project: self.project().to_owned() };
        let answer = self.transport().list_workers(request).await?;
        Ok(answer.workers.into_iter().map(WorkerInfo::from).collect())
    }

    /// Asks a worker to finish what runs and leave.
    pub async fn drain_worker(&self, name: &str) -> Result<(), Error> {
        let request = v1::DrainWorkerRequest { project: self.project().to_owned(), name: name.to_owned() };
        self.transport().drain_worker(request).await.map(|_| ())
    }

    fn handle(&self, study: v1::Study) -> Result<Study, Error> {
        Ok(Study::new(Arc::clone(&self.shared), study.try_into()?))
    }
}
