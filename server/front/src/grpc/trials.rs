//! The trial service.

use boxwood_app::ListTrials;
use boxwood_study::{StudyId, TrialId};
use boxwood_wire::v1;
use boxwood_wire::v1::trial_service_server::TrialService;
use tonic::{Request, Response, Status};

use super::{Grpc, convert};

#[tonic::async_trait]
impl TrialService for Grpc {
    async fn suggest(
        &self,
        request: Request<v1::SuggestRequest>,
    ) -> Result<Response<v1::LeasesResponse>, Status> {
        self.call("suggest", request, async |app, caller, message: v1::SuggestRequest| {
            let hello = convert::required_hello(message.worker)?;
            let project = app.project(&caller, &hello.project).await?;
            let hello = convert::hello(hello, project);
            let id = convert::non_empty(message.request_id);
            let study = StudyId(message.study);
            let suggestion =
                app.suggest(&caller, study, hello, message.count, message.wait_seconds, id).await?;
            let leases = suggestion.grants.into_iter().map(convert::lease).collect::<Result<_, _>>()?;
            Ok(v1::LeasesResponse { leases, closed: suggestion.closed })
        })
        .await
    }

    async fn enqueue(
        &self,
        request: Request<v1::EnqueueRequest>,
    ) -> Result<Response<v1::EnqueueResponse>, Status> {
        self.call("enqueue", request, async |app, caller, message: v1::EnqueueRequest| {
            let points = convert::points(&message.points_json)?;
            let id = convert::non_empty(message.request_id);
            let trials = app.enqueue(&caller, StudyId(message.study), points, id).await?;
            let trials = trials.into_iter().map(convert::trial).collect::<Result<_, _>>()?;
            Ok(v1::EnqueueResponse { trials })
        })
        .await
    }

    async fn get_trial(
        &self,
        request: Request<v1::GetTrialRequest>,
    ) -> Result<Response<v1::TrialWithCurve>, Status> {
        self.call("get_trial", request, async |app, caller, message: v1::GetTrialRequest| {
            let rows = app.trial(&caller, TrialId(message.id)).await?;
            let curve = rows.curve.into_iter().map(convert::curve_point).collect();
            Ok(v1::TrialWithCurve { trial: Some(convert::trial(rows.trial)?), curve })
        })
        .await
    }

    async fn list_trials(
        &self,
        request: Request<v1::ListTrialsRequest>,
    ) -> Result<Response<v1::ListTrialsResponse>, Status> {
        self.call("list_trials", request, async |app, caller, message: v1::ListTrialsRequest| {
            let list = ListTrials {
                study: StudyId(message.study),
                states: convert::trial_states(&message.states)?,
                order: convert::trial_order(message.order)?,
                after: (message.after != 0).then_some(TrialId(message.after)),
                limit: message.limit,
            };
            let page = app.trials(&caller, list).await?;
            let trials = page.items.into_iter().map(convert::trial).collect::<Result<_, _>>()?;
            Ok(v1::ListTrialsResponse { trials, more: page.more })
        })
        .await
    }

    async fn cancel_trial(
        &self,
        request: Request<v1::CancelTrialRequest>,
    ) -> Result<Response<v1::Trial>, Status> {
        self.call("cancel_trial", request, async |app, caller, message: v1::CancelTrialRequest| {
            let trial = app.cancel_trial(&caller, TrialId(message.id), message.reason).await?;
            convert::trial(trial)
        })
        .await
    }

    async fn retry_trial(
        &self,
        request: Request<v1::GetTrialRequest>,
    ) -> Result<Response<v1::Trial>, Status> {
        self.call("retry_trial", request, async |app, caller, message: v1::GetTrialRequest| {
            convert::trial(app.retry_trial(&caller, TrialId(message.id)).await?)
        })
        .await
    }
}
