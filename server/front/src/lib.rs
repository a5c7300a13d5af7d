//! Front ends: configuration, authentication, gRPC, REST, metrics, shutdown. Holds no rule of studies or trials.
//!
//! [`Server::bind`] opens the configured store and binds both ports; [`Server::run`] serves until it is told to stop.
//! gRPC runs on the caller's runtime; REST has threads of its own and runs its use cases on the caller's runtime.

mod config;
mod failure;
mod front;
mod grpc;
mod json;
mod logging;
mod metrics;
mod offline;
mod rest;
mod server;

pub use boxwood_app::{IssuedToken, role_name};
pub use boxwood_store::{AnyStore, TokenRecord};
pub use config::{
    Config, ConfigError, LimitOptions, Limits, Log, LogFormat, LogOptions, Options, Tls, TlsOptions,
    VARIABLES,
};
pub use logging::init as init_log;
pub use offline::{create_token, migrate, revoke_token, tokens};
pub use server::{ServeError, Server};

/// The `OpenAPI` document of the REST interface, as JSON.
pub fn openapi_json() -> String {
    rest::document().to_pretty_json().unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
}
