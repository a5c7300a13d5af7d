//! The study service.

use std::pin::Pin;

use boxwood_app::{AnalysisRequest, ListStudies, Principal, UpdateStudy};
use boxwood_core::{Change, TrialNumber};
use boxwood_study::StudyId;
use boxwood_wire::v1;
use boxwood_wire::v1::study_service_server::StudyService;
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::{Grpc, convert};
use crate::failure::Failure;
use crate::front::ServerApp;
use crate::json;

/// The study that a request names: by id, or else by project and name.
async fn find(app: &ServerApp, caller: &Principal, named: &v1::GetStudyRequest) -> Result<StudyId, Failure> {
    if named.id != 0 {
        return Ok(StudyId(named.id));
    }
    if named.name.is_empty() {
        return Err(Failure::invalid("id", "an id or a name is required"));
    }
    let project = app.project(caller, &named.project).await?;
    Ok(app.study_by_name(caller, project, &named.name).await?.study.id)
}

async fn with_project(app: &ServerApp, study: boxwood_study::StudyRecord) -> Result<v1::Study, Failure> {
    let project = app.project_name(study.project).await?;
    convert::study(study, project)
}

#[tonic::async_trait]
impl StudyService for Grpc {
    async fn create_study(
        &self,
        request: Request<v1::CreateStudyRequest>,
    ) -> Result<Response<v1::CreateStudyResponse>, Status> {
        self.call("create_study", request, async |app, caller, message: v1::CreateStudyRequest| {
            let spec = json::spec(&message.spec_json)?;
            let project = app.project(&caller, &message.project).await?;
            let id = convert::non_empty(message.request_id);
            let created = app.create_study(&caller, project, spec, id).await?;
            let study = with_project(&app, created.study).await?;
            Ok(v1::CreateStudyResponse { study: Some(study), existed: created.existed })
        })
        .await
    }

    async fn get_study(&self, request: Request<v1::GetStudyRequest>) -> Result<Response<v1::Study>, Status> {
        self.call("get_study", request, async |app, caller, message: v1::GetStudyRequest| {
            let id = find(&app, &caller, &message).await?;
            let detail = app.study(&caller, id).await?;
            let project = app.project_name(detail.study.project).await?;
            convert::detail(detail, project)
        })
        .await
    }

    async fn list_studies(
        &self,
        request: Request<v1::ListStudiesRequest>,
    ) -> Result<Response<v1::ListStudiesResponse>, Status> {
        self.call("list_studies", request, async |app, caller, message: v1::ListStudiesRequest| {
            let project = app.project(&caller, &message.project).await?;
            let list = ListStudies {
                states: convert::study_states(&message.states)?,
                name_contains: convert::non_empty(message.name_contains),
                archived: message.archived,
                before: (message.before != 0).then_some(StudyId(message.before)),
                limit: message.limit,
            };
            let page = app.studies(&caller, project, list).await?;
            let name = app.project_name(project).await?;
            let studies = page.items.into_iter().map(|study| convert::study(study, name.clone()));
            Ok(v1::ListStudiesResponse { studies: studies.collect::<Result<_, _>>()?, more: page.more })
        })
        .await
    }

    async fn update_study(
        &self,
        request: Request<v1::UpdateStudyRequest>,
    ) -> Result<Response<v1::Study>, Status> {
        self.call("update_study", request, async |app, caller, message: v1::UpdateStudyRequest| {
            let update = UpdateStudy {
                event: convert::action(message.action)?,
                reason: convert::non_empty(message.reason),
                budget: json::budget(&message.budget_json)?,
                stop: json::stop(&message.stop_json)?,
                archived: message.archived,
            };
            let id = convert::non_empty(message.request_id);
            let study = app.update_study(&caller, StudyId(message.id), update, id).await?;
            with_project(&app, study).await
        })
        .await
    }

    async fn explain_study(
        &self,
        request: Request<v1::GetStudyRequest>,
    ) -> Result<Response<v1::JsonDocument>, Status> {
        self.call("explain_study", request, async |app, caller, message: v1::GetStudyRequest| {
            let id = find(&app, &caller, &message).await?;
            let explanation = app.explain(&caller, id).await?;
            Ok(v1::JsonDocument { json: json::text(&explanation)? })
        })
        .await
    }

    async fn analyze_study(
        &self,
        request: Request<v1::AnalyzeStudyRequest>,
    ) -> Result<Response<v1::JsonDocument>, Status> {
        self.call("analyze_study", request, async |app, caller, message: v1::AnalyzeStudyRequest| {
            let v1::AnalyzeStudyRequest { id, project, name, kind, objective, trials, more } = message;
            let named = v1::GetStudyRequest { id, project, name };
            let id = find(&app, &caller, &named).await?;
            let request = AnalysisRequest {
                kind: kind.parse()?,
                objective: objective as usize,
                trials: trials.into_iter().map(TrialNumber).collect(),
                more,
            };
            let analysis = app.analyze(&caller, id, request).await?;
            Ok(v1::JsonDocument { json: json::text(&analysis)? })
        })
        .await
    }

    async fn replay_study(
        &self,
        request: Request<v1::GetStudyRequest>,
    ) -> Result<Response<v1::ReplayResponse>, Status> {
        self.call("replay_study", request, async |app, caller, message: v1::GetStudyRequest| {
            let id = find(&app, &caller, &message).await?;
            let report = app.replay(&caller, id).await?;
            Ok(v1::ReplayResponse {
                plans: report.plans,
                moves: report.moves,
                differences: report.differences,
            })
        })
        .await
    }

    type WatchStudyStream = Pin<Box<dyn Stream<Item = Result<v1::StudyChange, Status>> + Send>>;

    async fn watch_study(
        &self,
        request: Request<v1::GetStudyRequest>,
    ) -> Result<Response<Self::WatchStudyStream>, Status> {
        self.call("watch_study", request, async |app, caller, message: v1::GetStudyRequest| {
            let id = find(&app, &caller, &message).await?;
            let feed = app.watch(&caller, id, Change(0)).await?;
            let items = feed.then(move |item| {
                let app = app.clone();
                async move {
                    let item = item.map_err(Failure::from)?;
                    let study = with_project(&app, item.study).await?;
                    let trials = item.trials.into_iter().map(convert::trial).collect::<Result<_, _>>()?;
                    Ok(v1::StudyChange { study: Some(study), trials })
                }
            });
            Ok(Box::pin(items) as Self::WatchStudyStream)
        })
        .await
    }
}
