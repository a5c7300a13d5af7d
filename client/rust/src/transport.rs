//! One method per call of `boxwood.v1`, repeated by the retry policy. The rest of the SDK is made of these.

use std::time::{Duration, Instant};

use boxwood_wire::v1;
use boxwood_wire::v1::study_service_client::StudyServiceClient;
use boxwood_wire::v1::trial_service_client::TrialServiceClient;
use boxwood_wire::v1::worker_service_client::WorkerServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use crate::error::Error;
use crate::options::ClientOptions;
use crate::retry::{RetryPolicy, may_retry};

/// Largest answer accepted: a page of a thousand trials with long points.
const LONGEST_ANSWER_BYTES: usize = 64 << 20;

/// A connection that is made when it is needed and made again when it broke. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transport {
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
    retry: RetryPolicy,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident: $client:ident.$method:ident($request:ty) -> $answer:ty $(, wait $wait:ident)?;)*) => {
        impl Transport {
            $($(#[$doc])*
            pub async fn $name(&self, request: $request) -> Result<$answer, Error> {
                #[allow(unused_mut, unused_assignments)]
                let mut wait = Duration::ZERO;
                $(wait = Duration::try_from_secs_f64(request.$wait).unwrap_or_default();)?
                self.call(request, wait, async |channel, request| {
                    $client::new(channel).max_decoding_message_size(LONGEST_ANSWER_BYTES).$method(request).await
                }).await
            })*
        }
    };
}

calls! {
    /// Creates a study, or returns the one of that name with an equal specification.
    create_study: StudyServiceClient.create_study(v1::CreateStudyRequest) -> v1::CreateStudyResponse;
    /// A study by id or name.
    get_study: StudyServiceClient.get_study(v1::GetStudyRequest) -> v1::Study;
    /// A page of studies.
    list_studies: StudyServiceClient.list_studies(v1::ListStudiesRequest) -> v1::ListStudiesResponse;
    /// Pauses, resumes, cancels, archives; changes the budget and the stop rules.
    update_study: StudyServiceClient.update_study(v1::UpdateStudyRequest) -> v1::Study;
    /// What the solver learned.
    explain_study: StudyServiceClient.explain_study(v1::GetStudyRequest) -> v1::JsonDocument;
    /// What the results say.
    analyze_study: StudyServiceClient.analyze_study(v1::AnalyzeStudyRequest) -> v1::JsonDocument;
    /// Recomputes every plan and compares.
    replay_study: StudyServiceClient.replay_study(v1::GetStudyRequest) -> v1::ReplayResponse;
    /// Changes as they come.
    watch_study: StudyServiceClient.watch_study(v1::GetStudyRequest) -> Streaming<v1::StudyChange>;
    /// Leases points of one study.
    suggest: TrialServiceClient.suggest(v1::SuggestRequest) -> v1::LeasesResponse, wait wait_seconds;
    /// Adds points to the front of the queue.
    enqueue: TrialServiceClient.enqueue(v1::EnqueueRequest) -> v1::EnqueueResponse;
    /// A trial with its curve.
    get_trial: TrialServiceClient.get_trial(v1::GetTrialRequest) -> v1::TrialWithCurve;
    /// A page of trials.
    list_trials: TrialServiceClient.list_trials(v1::ListTrialsRequest) -> v1::ListTrialsResponse;
    /// Withdraws a trial.
    cancel_trial: TrialServiceClient.cancel_trial(v1::CancelTrialRequest) -> v1::Trial;
    /// Queues a failed trial again.
    retry_trial: TrialServiceClient.retry_trial(v1::GetTrialRequest) -> v1::Trial;
    /// Leases trials of any study that fits the worker.
    acquire: WorkerServiceClient.acquire(v1::AcquireRequest) -> v1::LeasesResponse, wait wait_seconds;
    /// Renews leases.
    heartbeat: WorkerServiceClient.heartbeat(v1::HeartbeatRequest) -> v1::HeartbeatResponse;
    /// Stores reports.
    report: WorkerServiceClient.report(v1::ReportRequest) -> v1::ReportResponse;
    /// Ends a lease.
    finish: WorkerServiceClient.finish(v1::FinishRequest) -> v1::FinishResponse;
    /// Workers of a project.
    list_workers: WorkerServiceClient.list_workers(v1::ListWorkersRequest) -> v1::ListWorkersResponse;
    /// Asks a worker to finish what runs and leave.
    drain_worker: WorkerServiceClient.drain_worker(v1::DrainWorkerRequest) -> v1::DrainWorkerResponse;
}

impl Transport {
    /// Checks the options; connects at the first call. Needs a Tokio runtime.
    pub fn new(options: &ClientOptions) -> Result<Self, Error> {
        let endpoint_error = |reason: String| Error::Options { field: "endpoint", reason };
        let mut endpoint = Endpoint::from_shared(options.endpoint.clone())
            .map_err(|error| endpoint_error(format!("`{}`: {error}", options.endpoint)))?
            .connect_timeout(options.retry.attempt.min(Duration::from_secs(5)))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        match endpoint.uri().scheme_str() {
            Some("http") => {}
            Some("https") => {
                let mut tls = ClientTlsConfig::new().with_native_roots();
                if let Some(pem) = &options.ca_certificate {
                    tls = tls.ca_certificate(Certificate::from_pem(pem));
                }
                endpoint = endpoint
                    .tls_config(tls)
                    .map_err(|error| Error::Options { field: "ca_certificate", reason: error.to_string() })?;
            }
            _ => {
                return Err(endpoint_error(format!(
                    "`{}` starts with neither http:// nor https://",
                    options.endpoint
                )));
            }
        }
        let authorization = match &options.token {
            None => None,
            Some(token) => {
                // The parse error may quote the value: it is not kept.
                let Ok(mut value) = format!("Bearer {token}").parse::<MetadataValue<Ascii>>() else {
                    return Err(Error::Options {
                        field: "token",
                        reason: "has characters that no token has".into(),
                    });
                };
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { channel: endpoint.connect_lazy(), authorization, retry: options.retry })
    }

    /// The same connection under another retry policy.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self { retry, ..self.clone() }
    }

    /// The retry policy.
    pub fn retry(&self) -> RetryPolicy {
        self.retry
    }

    async fn call<Q: Clone, A>(
        &self,
        request: Q,
        wait: Duration,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        let started = Instant::now();
        let mut backoff = self.retry.backoff();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut message = Request::new(request.clone());
            if let Some(authorization) = &self.authorization {
                message.metadata_mut().insert("authorization", authorization.clone());
            }
            let answer =
                tokio::time::timeout(self.retry.attempt + wait, send(self.channel.clone(), message)).await;
            let (delay, failure) = match answer {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => match may_retry(&status) {
                    None => return Err(Error::from_status(status)),
                    Some(delay) => (delay, Some(status)),
                },
                Err(_) => (Duration::ZERO, None),
            };
            let pause = backoff.pause().max(delay);
            if started.elapsed() + pause >= self.retry.deadline {
                return Err(match failure {
                    Some(status) if crate::error::code_of(&status).is_some() => Error::from_status(status),
                    Some(status) => Error::Unreachable { attempts, reason: cause(&status) },
                    None => Error::Unreachable { attempts, reason: "no answer in time".into() },
                });
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// The message of a status with its innermost cause, which names the refused connection.
fn cause(status: &Status) -> String {
    let mut innermost: Option<&dyn std::error::Error> = std::error::Error::source(status);
    while let Some(next) = innermost.and_then(std::error::Error::source) {
        innermost = Some(next);
    }
    match innermost {
        Some(cause) => format!("{}: {cause}", status.message()),
        None => status.message().to_owned(),
    }
}
