//! Calls to a server.

use anyhow::{Context, Result, anyhow, bail};
use boxwood_wire::CODE_METADATA;
use boxwood_wire::v1::study_service_client::StudyServiceClient;
use boxwood_wire::v1::trial_service_client::TrialServiceClient;
use boxwood_wire::v1::worker_service_client::WorkerServiceClient;
use boxwood_wire::v1::{GetStudyRequest, Study};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

/// Adds the bearer token.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

type Service = InterceptedService<Channel, Bearer>;

/// A connection to one server.
#[derive(Clone)]
pub(crate) struct Remote {
    project: String,
    channel: Channel,
    bearer: Bearer,
}

/// Largest message taken from a server, bytes.
const MESSAGE_LIMIT: usize = 64 << 20;

impl Remote {
    /// Connects now, so that a wrong address is told at once.
    pub(crate) async fn connect(endpoint: &str, token: Option<&str>, project: &str) -> Result<Self> {
        let mut builder = Endpoint::from_shared(endpoint.to_owned())
            .with_context(|| format!("`{endpoint}` is not an address such as http://127.0.0.1:7717"))?
            .connect_timeout(std::time::Duration::from_secs(5));
        if endpoint.starts_with("https://") {
            builder = builder.tls_config(ClientTlsConfig::new().with_enabled_roots())?;
        }
        let channel = builder.connect().await.map_err(|_| {
            anyhow!(
                "no server answers at {endpoint}; start one with `boxwood serve`, or name it with --server"
            )
        })?;
        let bearer = match token {
            Some(token) => {
                Some(format!("Bearer {token}").parse().map_err(|_| anyhow!("the token is not plain text"))?)
            }
            None => None,
        };
        Ok(Self { project: project.to_owned(), channel, bearer: Bearer(bearer) })
    }

    /// The project named on the command line.
    pub(crate) fn project(&self) -> String {
        self.project.clone()
    }

    /// Studies.
    pub(crate) fn studies(&self) -> StudyServiceClient<Service> {
        StudyServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Trials.
    pub(crate) fn trials(&self) -> TrialServiceClient<Service> {
        TrialServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Workers and leases.
    pub(crate) fn workers(&self) -> WorkerServiceClient<Service> {
        WorkerServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
            .max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Request that names a study by id or name.
    pub(crate) fn study_request(&self, study: &str) -> GetStudyRequest {
        match study.parse::<i64>() {
            Ok(id) => GetStudyRequest { id, project: self.project(), name: String::new() },
            Err(_) => GetStudyRequest { id: 0, project: self.project(), name: study.to_owned() },
        }
    }

    /// A study by id or name.
    pub(crate) async fn study(&self, study: &str) -> Result<Study> {
        if study.trim().is_empty() {
            bail!("the study's id or name is empty");
        }
        let request = self.study_request(study);
        self.studies().get_study(request).await.map(tonic::Response::into_inner).map_err(|status| {
            if status.code() == tonic::Code::NotFound {
                anyhow!("there is no study `{study}`; `boxwood study list` shows the ones there are")
            } else {
                plain(&status)
            }
        })
    }
}

/// A status as one line: its text and its stable code.
pub(crate) fn plain(status: &Status) -> anyhow::Error {
    let code = status.metadata().get(CODE_METADATA).and_then(|code| code.to_str().ok());
    match code {
        Some(code) => anyhow!("{} ({code})", status.message()),
        None => anyhow!("{} ({:?})", status.message(), status.code()),
    }
}

/// A new request id.
pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
