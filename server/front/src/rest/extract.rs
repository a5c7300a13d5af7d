//! Reading requests: bodies within the limit, queries and paths, with failures that name the field.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::{PathError, QueryPayloadError};
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{FromRequest, HttpRequest, web};
use boxwood_wire::ErrorCode;
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::State;
use crate::failure::Failure;
use crate::json;

/// What is read and thrown away of a body above the limit, as a multiple of the limit: a client that is still sending
/// does not read its answer.
const DRAINED: u64 = 32;

/// A JSON body. Unknown fields are refused by the types themselves.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request.app_data::<State>().map_or(0, |state| state.limits.body_bytes);
        let announced = request.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok()).unwrap_or(0);
        let payload = payload.take();
        Box::pin(async move {
            let bytes = read(payload, limit, announced).await?;
            let bytes = if bytes.is_empty() { b"{}".to_vec() } else { bytes };
            Ok(Self(json::body(&bytes)?))
        })
    }
}

async fn read(mut payload: Payload, limit: u64, announced: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::with_capacity(announced.min(limit) as usize);
    let mut length = 0_u64;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Failure::invalid("body", &error.to_string()))?;
        length += chunk.len() as u64;
        if length > limit.saturating_mul(DRAINED) {
            break;
        }
        if length <= limit {
            bytes.extend_from_slice(&chunk);
        }
    }
    if length > limit { Err(Failure::body_too_large(limit)) } else { Ok(bytes) }
}

/// Queries whose failures are problem documents.
pub(super) fn query_config() -> web::QueryConfig {
    web::QueryConfig::default().error_handler(|error, _| {
        let message = match &error {
            QueryPayloadError::Deserialize(reason) => reason.to_string(),
            other => other.to_string(),
        };
        let field = message.split('`').nth(1).map(str::to_owned);
        Failure { field, ..Failure::new(ErrorCode::SpecInvalid, format!("query: {message}")) }.into()
    })
}

/// Paths whose failures are problem documents: an id that is no number names nothing.
pub(super) fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|error: PathError, _| {
        Failure::new(ErrorCode::NotFound, format!("no such path: {error}")).into()
    })
}
