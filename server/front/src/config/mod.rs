//! Configuration: defaults, then one TOML file, then `BOXWOOD_*` variables, then flags. Unknown names refuse to start.

mod options;

pub use options::{LimitOptions, LogOptions, Options, TlsOptions, VARIABLES};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Checked configuration of a server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// Where gRPC listens.
    pub grpc_address: SocketAddr,
    /// Where REST listens.
    pub rest_address: SocketAddr,
    /// Database URL: `sqlite:PATH`, `postgres://...` or `memory:`.
    pub database: String,
    /// A plan that takes longer is given up.
    pub plan_deadline_seconds: f64,
    /// Certificate and key for both front ends; plain text when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Limits.
    pub limits: Limits,
    /// Log.
    pub log: Log,
}

/// Certificate and key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Limits that no request may pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: u64,
    /// Items of a page, points and reports of one request.
    pub page: u32,
    /// Open leases of one worker.
    pub open_leases_per_worker: u32,
    /// Trials of one study.
    pub trials_per_study: u64,
    /// Reports of one trial.
    pub reports_per_trial: u64,
    /// Calls served at once, waiting ones included.
    pub calls_at_once: u32,
}

/// Log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Filter, for example `info` or `boxwood_app=debug,warn`.
    pub level: String,
    /// Form of a line.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        let app = boxwood_app::Limits::default();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            grpc_address: local(7717),
            rest_address: local(7718),
            database: "sqlite:./.boxwood/boxwood.db".into(),
            plan_deadline_seconds: boxwood_app::Settings::default().plan_deadline_seconds,
            tls: None,
            limits: Limits {
                body_bytes: 8 * 1024 * 1024,
                page: app.page,
                open_leases_per_worker: app.open_leases_per_worker,
                trials_per_study: app.trials_per_study,
                reports_per_trial: app.reports_per_trial,
                calls_at_once: 8192,
            },
            log: Log { level: "info".into(), format: LogFormat::Text },
        }
    }
}

/// Why a configuration is refused. The message names what to change.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has an unknown key, a wrong type or a syntax error.
    #[error("configuration file {path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the key.
        reason: String,
    },
    /// A variable begins with `BOXWOOD_` and nothing reads it.
    #[error("unknown environment variable `{name}`; known are {}", known_variables())]
    UnknownVariable {
        /// The variable.
        name: String,
    },
    /// A variable does not parse.
    #[error("environment variable `{name}`: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A value is out of its range.
    #[error("`{key}`: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
}

fn known_variables() -> String {
    VARIABLES.iter().map(|variable| variable.name).collect::<Vec<_>>().join(", ")
}

impl Config {
    /// Reads a configuration from its sources, each overriding the ones before it.
    ///
    /// # Errors
    /// The first thing that is wrong, by name.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Options,
    ) -> Result<Self, ConfigError> {
        let file = match file {
            Some(path) => Options::from_file(path)?,
            None => Options::default(),
        };
        let environment = Options::from_environment(environment)?;
        Self::resolve([file, environment, flags])
    }

    /// Lays options over the defaults, in order, and checks the result.
    pub fn resolve(sources: impl IntoIterator<Item = Options>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut tls = TlsOptions::default();
        for source in sources {
            source.lay_over(&mut config, &mut tls);
        }
        config.tls = match (tls.certificate, tls.key) {
            (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(value("tls.key", "it is required with `tls.certificate`")),
            (None, Some(_)) => return Err(value("tls.certificate", "it is required with `tls.key`")),
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let deadline = self.plan_deadline_seconds;
        if !(deadline.is_finite() && deadline > 0.0) {
            return Err(value("plan_deadline_seconds", "it must be finite and positive"));
        }
        let limits = &self.limits;
        for (key, limit) in [
            ("limits.body_bytes", limits.body_bytes),
            ("limits.page", limits.page.into()),
            ("limits.open_leases_per_worker", limits.open_leases_per_worker.into()),
            ("limits.trials_per_study", limits.trials_per_study),
            ("limits.reports_per_trial", limits.reports_per_trial),
            ("limits.calls_at_once", limits.calls_at_once.into()),
        ] {
            if limit == 0 {
                return Err(value(key, "it must be at least 1"));
            }
        }
        if self.database.trim().is_empty() {
            return Err(value("database", "it is empty"));
        }
        if let Err(error) = self.log.level.parse::<tracing_subscriber::EnvFilter>() {
            return Err(value("log.level", error.to_string()));
        }
        Ok(())
    }

    /// The configuration as TOML, without secrets.
    pub fn redacted(&self) -> String {
        let shown = Self { database: redact(&self.database), ..self.clone() };
        toml::to_string(&shown).unwrap_or_else(|error| format!("# not shown: {error}\n"))
    }

    /// Whether both front ends listen on this machine only.
    pub fn is_loopback(&self) -> bool {
        self.grpc_address.ip().is_loopback() && self.rest_address.ip().is_loopback()
    }
}

fn value(key: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Value { key, reason: reason.into() }
}

/// A database URL without its password and its parameters, which may hold one.
pub(crate) fn redact(url: &str) -> String {
    let (url, parameters) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?..."));
    let shown = match url.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((user, host)) => match user.split_once(':') {
                Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
                None => url.to_owned(),
            },
            None => url.to_owned(),
        },
        None => url.to_owned(),
    };
    shown + parameters
}
