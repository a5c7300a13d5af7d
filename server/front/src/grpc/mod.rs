//! gRPC: the services of `boxwood.v1`, health, reflection.

mod convert;
mod layer;
mod studies;
mod trials;
mod workers;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use boxwood_wire::v1;
use boxwood_wire::v1::study_service_server::StudyServiceServer;
use boxwood_wire::v1::trial_service_server::TrialServiceServer;
use boxwood_wire::v1::worker_service_server::WorkerServiceServer;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::failure::Failure;
use crate::front::{Call, Front, ServerApp, bearer};

/// Implements the services of the protocol by calling use cases.
#[derive(Clone)]
pub(crate) struct Grpc(pub(crate) Arc<Front>);

impl Grpc {
    /// Serves one call of a route.
    async fn call<Q, A, W>(
        &self,
        route: &'static str,
        request: Request<Q>,
        work: impl FnOnce(ServerApp, boxwood_app::Principal, Q) -> W,
    ) -> Result<Response<A>, Status>
    where
        W: Future<Output = Result<A, Failure>>,
    {
        let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let secret = bearer(header);
        let message = request.into_inner();
        let call = Call { front: "grpc", route };
        let answer = self.0.serve(call, secret, |app, caller| work(app, caller, message)).await?;
        Ok(Response::new(answer))
    }
}

/// Certificate and key, PEM.
pub(crate) struct Pem {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// Serves gRPC on a bound listener until `shutdown`, then finishes what is in flight.
pub(crate) async fn serve(
    front: Arc<Front>,
    listener: TcpListener,
    tls: Option<Pem>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let limit = usize::try_from(front.limits.body_bytes).unwrap_or(usize::MAX);
    let grpc = Grpc(front);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<StudyServiceServer<Grpc>>().await;
    health.set_serving::<TrialServiceServer<Grpc>>().await;
    health.set_serving::<WorkerServiceServer<Grpc>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors were written by our own build");
    let mut server = tonic::transport::Server::builder().layer(layer::SizeLayer);
    if let Some(pem) = tls {
        let identity = Identity::from_pem(pem.certificate, pem.key);
        server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
    }
    let shutdown = async move {
        shutdown.await;
        for service in ["", "boxwood.v1.StudyService", "boxwood.v1.TrialService", "boxwood.v1.WorkerService"]
        {
            health.set_service_status(service, tonic_health::ServingStatus::NotServing).await;
        }
    };
    server
        .add_service(health_service)
        .add_service(reflection)
        .add_service(StudyServiceServer::new(grpc.clone()).max_decoding_message_size(limit))
        .add_service(TrialServiceServer::new(grpc.clone()).max_decoding_message_size(limit))
        .add_service(WorkerServiceServer::new(grpc).max_decoding_message_size(limit))
        .serve_with_incoming_shutdown(incoming(listener), shutdown)
        .await
}

fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

/// Address of a bound listener.
pub(crate) fn address(listener: &TcpListener) -> std::io::Result<SocketAddr> {
    listener.local_addr()
}
