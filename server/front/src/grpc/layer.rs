//! Gives a message above the size limit the code of the table: the transport refuses it before any handler runs.

use std::task::{Context, Poll};

use boxwood_wire::{CODE_METADATA, ErrorCode};
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderValue, Request, Response};
use tonic::server::NamedService;

/// Wraps every service; see the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SizeLayer;

impl<S> tower_layer::Layer<S> for SizeLayer {
    type Service = SizeService<S>;

    fn layer(&self, inner: S) -> SizeService<S> {
        SizeService { inner }
    }
}

/// A service whose size refusals carry our code.
#[derive(Debug, Clone)]
pub(crate) struct SizeService<S> {
    inner: S,
}

impl<S: NamedService> NamedService for SizeService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for SizeService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            let headers = response.headers_mut();
            // No use case answers with this status: it is the transport's word for a message above the limit.
            let out_of_range = tonic::Code::OutOfRange as i32;
            if headers.get("grpc-status").is_some_and(|s| s.as_bytes() == out_of_range.to_string().as_bytes())
            {
                headers.insert("grpc-status", HeaderValue::from(ErrorCode::TooLarge.grpc() as i32));
                headers.insert(CODE_METADATA, HeaderValue::from_static(ErrorCode::TooLarge.as_str()));
            }
            Ok(response)
        })
    }
}
