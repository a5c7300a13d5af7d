//! The sources of a configuration: a file, the environment, flags.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::{Config, ConfigError, LogFormat};

/// One source of a configuration; what is absent stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where gRPC listens.
    pub grpc_address: Option<SocketAddr>,
    /// Where REST listens.
    pub rest_address: Option<SocketAddr>,
    /// Database URL.
    pub database: Option<String>,
    /// A plan that takes longer is given up.
    pub plan_deadline_seconds: Option<f64>,
    /// Certificate and key.
    #[serde(default)]
    pub tls: TlsOptions,
    /// Limits.
    #[serde(default)]
    pub limits: LimitOptions,
    /// Log.
    #[serde(default)]
    pub log: LogOptions,
}

/// Certificate and key of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    /// Certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
}

/// Limits of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitOptions {
    /// Bytes of a request's body.
    pub body_bytes: Option<u64>,
    /// Items of a page, points and reports of one request.
    pub page: Option<u32>,
    /// Open leases of one worker.
    pub open_leases_per_worker: Option<u32>,
    /// Trials of one study.
    pub trials_per_study: Option<u64>,
    /// Reports of one trial.
    pub reports_per_trial: Option<u64>,
    /// Calls served at once.
    pub calls_at_once: Option<u32>,
}

/// Log of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogOptions {
    /// Filter.
    pub level: Option<String>,
    /// Form of a line.
    pub format: Option<LogFormat>,
}

/// A variable that a server reads.
pub struct Variable {
    /// Name.
    pub name: &'static str,
    /// What it sets.
    pub meaning: &'static str,
    set: fn(&mut Options, &str) -> Result<(), String>,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Variable").field("name", &self.name).finish_non_exhaustive()
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(slot: &mut Option<T>, text: &str) -> Result<(), String> {
    *slot = Some(text.parse().map_err(|error: T::Err| error.to_string())?);
    Ok(())
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is neither `text` nor `json`")),
        }
    }
}

/// Every variable that a server reads.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "BOXWOOD_GRPC_ADDRESS",
        meaning: "address and port of gRPC",
        set: |o, text| parse(&mut o.grpc_address, text),
    },
    Variable {
        name: "BOXWOOD_REST_ADDRESS",
        meaning: "address and port of REST and the dashboard",
        set: |o, text| parse(&mut o.rest_address, text),
    },
    Variable {
        name: "BOXWOOD_DATABASE",
        meaning: "database URL: `sqlite:PATH` or `postgres://...`",
        set: |o, text| parse(&mut o.database, text),
    },
    Variable {
        name: "BOXWOOD_PLAN_DEADLINE_SECONDS",
        meaning: "a plan that takes longer is given up",
        set: |o, text| parse(&mut o.plan_deadline_seconds, text),
    },
    Variable {
        name: "BOXWOOD_TLS_CERTIFICATE",
        meaning: "PEM file of the certificate chain",
        set: |o, text| parse(&mut o.tls.certificate, text),
    },
    Variable {
        name: "BOXWOOD_TLS_KEY",
        meaning: "PEM file of the private key",
        set: |o, text| parse(&mut o.tls.key, text),
    },
    Variable {
        name: "BOXWOOD_LIMITS_BODY_BYTES",
        meaning: "bytes of a request's body",
        set: |o, text| parse(&mut o.limits.body_bytes, text),
    },
    Variable {
        name: "BOXWOOD_LIMITS_PAGE",
        meaning: "items of a page, points and reports of one request",
        set: |o, text| parse(&mut o.limits.page, text),
    },
    Variable {
        name: "BOXWOOD_LIMITS_OPEN_LEASES_PER_WORKER",
        meaning: "open leases of one worker",
        set: |o, text| parse(&mut o.limits.open_leases_per_worker, text),
    },
    Variable {
        name: "BOXWOOD_LIMITS_TRIALS_PER_STUDY",
        meaning: "trials of one study",
        set: |o, text| parse(&mut o.limits.trials_per_study, text),
    },
    Variable {
        name: "BOXWOOD_LIMITS_REPORTS_PER_TRIAL",
        meaning: "reports of one trial",
        set: |o, text| parse(&mut o.limits.reports_per_trial, text),
    },
    Variable {
        name: "BOXWOOD_LIMITS_CALLS_AT_ONCE",
        meaning: "calls served at once, waiting ones included",
        set: |o, text| parse(&mut o.limits.calls_at_once, text),
    },
    Variable {
        name: "BOXWOOD_LOG_LEVEL",
        meaning: "log filter, for example `info`",
        set: |o, text| parse(&mut o.log.level, text),
    },
    Variable {
        name: "BOXWOOD_LOG_FORMAT",
        meaning: "`text` or `json`",
        set: |o, text| parse(&mut o.log.format, text),
    },
];

/// Variables of other programs of this project, which may be set beside a server: the SDK, the command line, what a worker
/// gives its children, the tests.
const FOREIGN: &[&str] = &[
    "BOXWOOD_CONFIG",
    "BOXWOOD_KILL_ROUNDS",
    "BOXWOOD_LLVM",
    "BOXWOOD_PROJECT",
    "BOXWOOD_REQUIRE_POSTGRES",
    "BOXWOOD_SERVER",
    "BOXWOOD_SHARED",
    "BOXWOOD_SOCKET",
    "BOXWOOD_TOKEN",
    "BOXWOOD_TRIAL",
    "BOXWOOD_UPDATE_SNAPSHOTS",
    "BOXWOOD_VERDICT",
];
const FOREIGN_PREFIXES: &[&str] = &["BOXWOOD_TEST_", "BOXWOOD_WORKER_"];

impl Options {
    /// Options of a TOML file.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| ConfigError::File {
            path: path.to_owned(),
            reason: error.to_string().trim().to_owned(),
        })
    }

    /// Options of the variables that begin with `BOXWOOD_`.
    pub fn from_environment(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut options = Self::default();
        for (name, text) in environment {
            if !name.starts_with("BOXWOOD_") || is_foreign(&name) {
                continue;
            }
            let Some(variable) = VARIABLES.iter().find(|variable| variable.name == name) else {
                return Err(ConfigError::UnknownVariable { name });
            };
            (variable.set)(&mut options, &text).map_err(|reason| ConfigError::Variable { name, reason })?;
        }
        Ok(options)
    }

    /// Lays what is present over a configuration.
    pub(super) fn lay_over(self, config: &mut Config, tls: &mut TlsOptions) {
        fn set<T>(slot: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *slot = value;
            }
        }
        set(&mut config.grpc_address, self.grpc_address);
        set(&mut config.rest_address, self.rest_address);
        set(&mut config.database, self.database);
        set(&mut config.plan_deadline_seconds, self.plan_deadline_seconds);
        tls.certificate = self.tls.certificate.or(tls.certificate.take());
        tls.key = self.tls.key.or(tls.key.take());
        set(&mut config.limits.body_bytes, self.limits.body_bytes);
        set(&mut config.limits.page, self.limits.page);
        set(&mut config.limits.open_leases_per_worker, self.limits.open_leases_per_worker);
        set(&mut config.limits.trials_per_study, self.limits.trials_per_study);
        set(&mut config.limits.reports_per_trial, self.limits.reports_per_trial);
        set(&mut config.limits.calls_at_once, self.limits.calls_at_once);
        set(&mut config.log.level, self.log.level);
        set(&mut config.log.format, self.log.format);
    }
}

fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name) || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
