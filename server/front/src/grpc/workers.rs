//! The worker service.

use boxwood_store::HeartbeatAnswer;
use boxwood_study::{Ending, Finish, WorkerName};
use boxwood_wire::v1;
use boxwood_wire::v1::worker_service_server::WorkerService;
use tonic::{Request, Response, Status};

use super::{Grpc, convert};
use crate::failure::Failure;

fn status(answer: &HeartbeatAnswer) -> v1::LeaseStatus {
    let (key, held, command) = match answer {
        HeartbeatAnswer::Held { key, command, .. } => (*key, true, convert::command(command)),
        HeartbeatAnswer::Lost { key } => (*key, false, v1::VerdictKind::Stop),
    };
    v1::LeaseStatus { lease: Some(convert::wire_key(key)), held, command: command.into() }
}

fn answer(answer: Result<boxwood_study::ReportAnswer, boxwood_app::AppError>) -> v1::ReportAnswer {
    match answer.map_err(Failure::from) {
        Ok(answer) => {
            let (verdict, reason) = convert::verdict(answer.verdict);
            v1::ReportAnswer { verdict: verdict.into(), reason, ..v1::ReportAnswer::default() }
        }
        Err(failure) => v1::ReportAnswer {
            error_code: failure.code.as_str().into(),
            error_message: failure.message,
            ..v1::ReportAnswer::default()
        },
    }
}

#[tonic::async_trait]
impl WorkerService for Grpc {
    async fn acquire(
        &self,
        request: Request<v1::AcquireRequest>,
    ) -> Result<Response<v1::LeasesResponse>, Status> {
        self.call("acquire", request, async |app, caller, message: v1::AcquireRequest| {
            let hello = convert::required_hello(message.worker)?;
            let project = app.project(&caller, &hello.project).await?;
            let hello = convert::hello(hello, project);
            let id = convert::non_empty(message.request_id);
            let grants = app.acquire(&caller, hello, message.slots, message.wait_seconds, id).await?;
            let leases = grants.into_iter().map(convert::lease).collect::<Result<_, _>>()?;
            Ok(v1::LeasesResponse { leases, closed: false })
        })
        .await
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        self.call("heartbeat", request, async |app, caller, message: v1::HeartbeatRequest| {
            let hello = convert::required_hello(message.worker)?;
            let project = app.project(&caller, &hello.project).await?;
            let keys = message.leases.into_iter().map(|key| convert::key(Some(key)));
            let keys = keys.collect::<Result<_, _>>()?;
            let reply = app.heartbeat(&caller, convert::hello(hello, project), keys).await?;
            let leases = reply.leases.iter().map(status).collect();
            Ok(v1::HeartbeatResponse { leases, drain: reply.drain })
        })
        .await
    }

    async fn report(
        &self,
        request: Request<v1::ReportRequest>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        self.call("report", request, async |app, caller, message: v1::ReportRequest| {
            let read = |mut entry: v1::ReportEntry| {
                Ok::<_, Failure>((convert::key(entry.lease.take())?, convert::report(entry)))
            };
            let reports = message.reports.into_iter().map(read).collect::<Result<_, _>>()?;
            let answers = app.report(&caller, reports).await?;
            Ok(v1::ReportResponse { answers: answers.into_iter().map(answer).collect() })
        })
        .await
    }

    async fn finish(
        &self,
        request: Request<v1::FinishRequest>,
    ) -> Result<Response<v1::FinishResponse>, Status> {
        self.call("finish", request, async |app, caller, message: v1::FinishRequest| {
            let key = convert::key(message.lease)?;
            let kind = convert::ending(message.ending)?;
            let finish = Finish {
                ending: Ending { kind, reason: convert::non_empty(message.reason) },
                result: message.result.map(convert::report),
                checkpoint: convert::non_empty(message.checkpoint),
                seconds: message.seconds,
            };
            let outcome = app.finish(&caller, key, finish).await?;
            let state = convert::trial_state(outcome.state).into();
            Ok(v1::FinishResponse { state, accepted: outcome.accepted })
        })
        .await
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        self.call("list_workers", request, async |app, caller, message: v1::ListWorkersRequest| {
            let project = app.project(&caller, &message.project).await?;
            let workers = app.workers(&caller, project).await?;
            Ok(v1::ListWorkersResponse { workers: workers.into_iter().map(convert::worker).collect() })
        })
        .await
    }

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        self.call("drain_worker", request, async |app, caller, message: v1::DrainWorkerRequest| {
            let project = app.project(&caller, &message.project).await?;
            app.drain_worker(&caller, project, WorkerName(message.name)).await?;
            Ok(v1::DrainWorkerResponse {})
        })
        .await
    }
}
