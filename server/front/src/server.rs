//! A server from binding to graceful shutdown.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use boxwood_app::{App, AppError, Settings};
use boxwood_store::{AnyStore, Store, StoreError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;

use crate::config::{Config, Tls};
use crate::front::Front;
use crate::grpc::{self, Pem};
use crate::metrics::Metrics;
use crate::{offline, rest};

/// Why a server does not start or ended badly. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database cannot be opened or brought to the newest version.
    #[error("open database {database}: {source}")]
    Store {
        /// The database, without secrets.
        database: String,
        /// Why.
        source: StoreError,
    },
    /// A port cannot be bound.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Others could reach a server that has no tokens.
    #[error(
        "refusing to listen on {address}: no token is stored, so that everybody who reaches it could do everything. \
         Create one first with `boxwood token create`, or listen on a loopback address"
    )]
    Open {
        /// The address that is not loopback.
        address: SocketAddr,
    },
    /// Certificate or key cannot be used.
    #[error("TLS file {path}: {reason}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The background work did not start.
    #[error("start the planners: {0}")]
    Start(AppError),
    /// A request about tokens is refused.
    #[error(transparent)]
    Request(AppError),
    /// gRPC failed.
    #[error("serve gRPC: {0}")]
    Grpc(#[from] tonic::transport::Error),
    /// REST failed.
    #[error("serve REST: {0}")]
    Rest(std::io::Error),
}

/// A bound server. [`Server::run`] serves until it is told to stop.
pub struct Server {
    front: Arc<Front>,
    store: AnyStore,
    grpc: TcpListener,
    rest: std::net::TcpListener,
    grpc_address: SocketAddr,
    rest_address: SocketAddr,
    tls: Option<(Pem, rustls::ServerConfig)>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (grpc, rest) = (self.grpc_address, self.rest_address);
        formatter.debug_struct("Server").field("grpc", &grpc).field("rest", &rest).finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the database, checks that the addresses may be served, and binds them. Port 0 takes a free port.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let store = offline::open(&config).await?;
        Self::bind_store(config, store).await
    }

    /// The same over a store that is open and migrated.
    pub async fn bind_store(config: Config, store: AnyStore) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Store { database: crate::config::redact(&config.database), source };
        let loopback = config.is_loopback();
        if !loopback && store.tokens().await.map_err(failed)?.is_empty() {
            let open = [config.grpc_address, config.rest_address].into_iter().find(|a| !a.ip().is_loopback());
            return Err(ServeError::Open { address: open.unwrap_or(config.grpc_address) });
        }
        let tls = config.tls.as_ref().map(read_tls).transpose()?;
        let listen = |address| move |source| ServeError::Listen { address, source };
        let grpc = TcpListener::bind(config.grpc_address).await.map_err(listen(config.grpc_address))?;
        let rest = std::net::TcpListener::bind(config.rest_address).map_err(listen(config.rest_address))?;
        let grpc_address = grpc::address(&grpc).map_err(listen(config.grpc_address))?;
        let rest_address = rest.local_addr().map_err(listen(config.rest_address))?;
        let settings = Settings {
            limits: boxwood_app::Limits {
                page: config.limits.page,
                open_leases_per_worker: config.limits.open_leases_per_worker,
                trials_per_study: config.limits.trials_per_study,
                reports_per_trial: config.limits.reports_per_trial,
            },
            plan_deadline_seconds: config.plan_deadline_seconds,
            require_token: !loopback,
            ..Settings::default()
        };
        let metrics = Metrics::new();
        let app = App::new(store.clone(), settings);
        let observed = Arc::clone(&metrics);
        app.observe_plans(Box::new(move |seconds| observed.observe_plan(seconds)));
        let front = Arc::new(Front::new(app, config.limits, metrics));
        Ok(Self { front, store, grpc, rest, grpc_address, rest_address, tls })
    }

    /// Where gRPC listens.
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Where REST listens.
    pub fn rest_address(&self) -> SocketAddr {
        self.rest_address
    }

    /// Serves until `shutdown` is done; then stops taking calls, lets waiting ones return, finishes those in flight, and
    /// closes.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let Self { front, store, grpc, rest, grpc_address, rest_address, tls } = self;
        front.app.start().await.map_err(ServeError::Start)?;
        let (pem, rustls) = tls.unzip();
        let rest = rest::serve(Arc::clone(&front), rest, rustls).map_err(ServeError::Rest)?;
        tracing::info!(grpc = %grpc_address, rest = %rest_address, "serving");
        let app = front.app.clone();
        let closing = async move {
            shutdown.await;
            tracing::info!("shutting down");
            app.close();
        };
        let served = grpc::serve(front, grpc, pem, closing).await;
        let stopped = rest.stop().await;
        store.close().await;
        served?;
        stopped.map_err(ServeError::Rest)?;
        tracing::info!("closed");
        Ok(())
    }
}

/// Reads certificate and key for both front ends. The ring provider is named, so that no other needs to be built.
fn read_tls(tls: &Tls) -> Result<(Pem, rustls::ServerConfig), ServeError> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| ServeError::Tls { path: path.clone(), reason: error.to_string() })
    };
    let pem = Pem { certificate: read(&tls.certificate)?, key: read(&tls.key)? };
    let bad = |path: &PathBuf, reason: &dyn std::fmt::Display| ServeError::Tls {
        path: path.clone(),
        reason: reason.to_string(),
    };
    let chain = CertificateDer::pem_slice_iter(&pem.certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(&tls.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| bad(&tls.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&tls.certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad(&tls.key, &error))?;
    Ok((pem, config))
}
