//! Where and as whom to connect.

use std::fmt;

use crate::retry::RetryPolicy;

/// Where a server listens unless it is told otherwise.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7717";

/// Options of a client.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `endpoint` | - | `http://HOST:PORT` or `https://HOST:PORT` of the gRPC listener |
/// | `token` | none | bearer token |
/// | `project` | empty | project; empty means that of the token, or `default` |
/// | `name` | random | name under which this process holds leases; unique in the project |
/// | `ca_certificate` | none | PEM of a certificate authority to trust beside those of the system |
/// | `retry` | 120 s | [`RetryPolicy`] |
/// | `wait_seconds` | 20 | longest wait of one long poll for a point |
#[derive(Clone)]
pub struct ClientOptions {
    /// Address of the gRPC listener.
    pub endpoint: String,
    /// Bearer token.
    pub token: Option<String>,
    /// Project.
    pub project: String,
    /// Name under which this process holds leases.
    pub name: String,
    /// PEM of a certificate authority to trust beside those of the system.
    pub ca_certificate: Option<Vec<u8>>,
    /// When calls are repeated.
    pub retry: RetryPolicy,
    /// Longest wait of one long poll for a point.
    pub wait_seconds: f64,
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientOptions")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "(secret)"))
            .field("project", &self.project)
            .field("name", &self.name)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl ClientOptions {
    /// Options for an endpoint, the rest as in the table above.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            token: None,
            project: String::new(),
            name: format!("script-{}", crate::request_id()),
            ca_certificate: None,
            retry: RetryPolicy::default(),
            wait_seconds: 20.0,
        }
    }

    /// Options from `BOXWOOD_SERVER` (by default `http://127.0.0.1:7717`), `BOXWOOD_TOKEN` and `BOXWOOD_PROJECT`.
    pub fn from_env() -> Self {
        let endpoint = std::env::var("BOXWOOD_SERVER").unwrap_or_else(|_| DEFAULT_ENDPOINT.into());
        let mut options = Self::new(endpoint);
        options.token = std::env::var("BOXWOOD_TOKEN").ok().filter(|token| !token.is_empty());
        options.project = std::env::var("BOXWOOD_PROJECT").unwrap_or_default();
        options
    }

    /// Sets the bearer token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the project.
    #[must_use]
    pub fn with_project(mut self, project: impl Into<String>) -> Self {
        self.project = project.into();
        self
    }

    /// Sets the name under which this process holds leases.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Trusts one more certificate authority, given as PEM.
    #[must_use]
    pub fn with_ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// Sets when calls are repeated.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        let options = ClientOptions::new("http://localhost:1").with_token("hush");
        assert!(!format!("{options:?}").contains("hush"));
    }
}
