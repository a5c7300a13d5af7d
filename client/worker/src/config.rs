//! Configuration of a worker: the only place that says what a program is.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use boxwood_client::ClientOptions;
use serde::{Deserialize, Deserializer};

use crate::error::WorkerError;

/// Number of slots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SlotCount {
    /// One per GPU, else `cpu_slots`.
    #[default]
    Auto,
    /// So many.
    Count(NonZero<usize>),
}

impl<'de> Deserialize<'de> for SlotCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Word(String),
            Count(NonZero<usize>),
        }
        match Either::deserialize(deserializer) {
            Ok(Either::Count(count)) => Ok(Self::Count(count)),
            Ok(Either::Word(word)) if word == "auto" => Ok(Self::Auto),
            Ok(Either::Word(_)) | Err(_) => {
                Err(serde::de::Error::custom("slots must be \"auto\" or a number of at least 1"))
            }
        }
    }
}

/// How a running command learns that it should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopSign {
    /// SIGTERM at once; SIGKILL after the grace time. A program that speaks on the socket is treated as `file`.
    Signal,
    /// The verdict file appears (and the socket answers); SIGTERM after the grace time, then SIGKILL.
    File,
}

/// Which folders of ended attempts are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepFolders {
    /// None.
    None,
    /// Those of attempts that failed.
    #[default]
    Failed,
    /// All.
    All,
}

/// A program: a built-in trainer or a command.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramConfig {
    /// Name of a built-in program, run as `EXECUTABLE program run`.
    #[serde(default)]
    pub builtin: Option<String>,
    /// Command and its arguments, never given to a shell. A path with a slash is relative to `folder`.
    #[serde(default)]
    pub command: Vec<String>,
    /// Variables to set.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working folder; the folder of the attempt when absent.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Longest run of one lease in seconds; unlimited when absent.
    #[serde(default)]
    pub timeout_seconds: Option<f64>,
    /// How it learns that it should end; `file` for built-in programs, else `signal`.
    #[serde(default)]
    pub stop: Option<StopSign>,
}

impl ProgramConfig {
    pub(crate) fn stop_sign(&self) -> StopSign {
        self.stop.unwrap_or(if self.builtin.is_some() { StopSign::File } else { StopSign::Signal })
    }
}

/// Configuration of a worker.
///
/// | key | default | meaning |
/// |---|---|---|
/// | `server` | - | endpoint of the gRPC listener |
/// | `token` | none | bearer token |
/// | `ca_certificate` | none | PEM file of a certificate authority to trust |
/// | `project` | empty | project; empty means that of the token |
/// | `name` | host and a hash of the work folder | unique in the project |
/// | `slots` | `auto` | one per GPU, else `cpu_slots`; or a number |
/// | `cpu_slots` | cores | slots of a machine without a GPU |
/// | `labels` | `accelerator` | what studies may require; `accelerator` is `gpu` or `cpu` unless set here |
/// | `work_folder` | `boxwood-worker` | journal and folders of attempts; one worker each |
/// | `checkpoints` | `boxwood-checkpoints` | root of the checkpoint store, shared by all workers |
/// | `executable` | this one | runs built-in programs |
/// | `wait_seconds` | 20 | longest wait of a poll for work |
/// | `grace_seconds` | 20 | time for a child to end by itself |
/// | `verdict_wait_seconds` | 2 | how long a report on the socket waits for the server's verdict |
/// | `keep_folders` | `failed` | folders of attempts that are kept |
/// | `programs` | - | what can be run, by name |
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfig {
    /// Endpoint of the gRPC listener.
    pub server: String,
    /// Bearer token.
    #[serde(default)]
    pub token: Option<String>,
    /// PEM file of a certificate authority to trust.
    #[serde(default)]
    pub ca_certificate: Option<PathBuf>,
    /// Project.
    #[serde(default)]
    pub project: String,
    /// Name, unique in the project.
    #[serde(default)]
    pub name: Option<String>,
    /// Slots.
    #[serde(default)]
    pub slots: SlotCount,
    /// Slots of a machine without a GPU.
    #[serde(default)]
    pub cpu_slots: Option<NonZero<usize>>,
    /// What studies may require.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Journal and folders of attempts.
    #[serde(default = "default_work_folder")]
    pub work_folder: PathBuf,
    /// Root of the checkpoint store.
    #[serde(default = "default_checkpoints")]
    pub checkpoints: PathBuf,
    /// Runs built-in programs.
    #[serde(default)]
    pub executable: Option<PathBuf>,
    /// Longest wait of a poll for work.
    #[serde(default = "twenty")]
    pub wait_seconds: f64,
    /// Time for a child to end by itself.
    #[serde(default = "twenty")]
    pub grace_seconds: f64,
    /// How long a report on the socket waits for the server's verdict.
    #[serde(default = "two")]
    pub verdict_wait_seconds: f64,
    /// Folders of attempts that are kept.
    #[serde(default)]
    pub keep_folders: KeepFolders,
    /// What can be run.
    #[serde(default)]
    pub programs: BTreeMap<String, ProgramConfig>,
}

fn default_work_folder() -> PathBuf {
    "boxwood-worker".into()
}

fn default_checkpoints() -> PathBuf {
    "boxwood-checkpoints".into()
}

fn twenty() -> f64 {
    20.0
}

fn two() -> f64 {
    2.0
}

impl fmt::Debug for WorkerConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WorkerConfig")
            .field("server", &self.server)
            .field("token", &self.token.as_ref().map(|_| "(secret)"))
            .field("project", &self.project)
            .field("name", &self.name)
            .field("slots", &self.slots)
            .field("labels", &self.labels)
            .field("work_folder", &self.work_folder)
            .field("checkpoints", &self.checkpoints)
            .field("programs", &self.programs.keys())
            .finish_non_exhaustive()
    }
}

impl WorkerConfig {
    /// A configuration with no program yet, the rest as in the table.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            token: None,
            ca_certificate: None,
            project: String::new(),
            name: None,
            slots: SlotCount::Auto,
            cpu_slots: None,
            labels: BTreeMap::new(),
            work_folder: default_work_folder(),
            checkpoints: default_checkpoints(),
            executable: None,
            wait_seconds: twenty(),
            grace_seconds: twenty(),
            verdict_wait_seconds: two(),
            keep_folders: KeepFolders::default(),
            programs: BTreeMap::new(),
        }
    }

    /// Reads TOML text; unknown keys are refused.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Reads a TOML file; unknown keys are refused.
    pub fn load(path: &Path) -> Result<Self, WorkerError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| WorkerError::Read { path: path.to_owned(), source })?;
        Self::from_toml(&text)
            .map_err(|source| WorkerError::Parse { path: path.to_owned(), source: Box::new(source) })
    }

    /// Options of the client that this worker needs.
    pub fn client_options(&self) -> Result<ClientOptions, WorkerError> {
        let mut options = ClientOptions::new(self.server.clone()).with_project(self.project.clone());
        options.token.clone_from(&self.token);
        if let Some(path) = &self.ca_certificate {
            let pem =
                std::fs::read(path).map_err(|source| WorkerError::Read { path: path.clone(), source })?;
            options = options.with_ca_certificate(pem);
        }
        Ok(options)
    }

    /// Names the first setting that is not usable.
    pub fn check(&self) -> Result<(), WorkerError> {
        for (field, seconds) in [
            ("wait_seconds", self.wait_seconds),
            ("grace_seconds", self.grace_seconds),
            ("verdict_wait_seconds", self.verdict_wait_seconds),
        ] {
            if !(0.0..=86_400.0).contains(&seconds) {
                return Err(WorkerError::setting(field, format!("{seconds} is not between 0 and 86400")));
            }
        }
        if self.programs.is_empty() {
            return Err(WorkerError::setting(
                "programs",
                "at least one program is required, for example\n\
                 [programs.train]\ncommand = [\"python\", \"train.py\"]",
            ));
        }
        for (name, program) in &self.programs {
            let field = format!("programs.{name}");
            match (&program.builtin, program.command.as_slice()) {
                (Some(_), []) => {}
                (None, [executable, ..]) if !executable.is_empty() => {}
                _ => {
                    return Err(WorkerError::setting(
                        field,
                        "needs either `builtin` or a `command` that is not empty",
                    ));
                }
            }
            if program.timeout_seconds.is_some_and(|seconds| !(0.0..=1e9).contains(&seconds)) {
                return Err(WorkerError::setting(
                    format!("{field}.timeout_seconds"),
                    "must be between 0 and 1e9",
                ));
            }
            if let Some(variable) =
                program.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0']))
            {
                return Err(WorkerError::setting(
                    format!("{field}.env"),
                    format!("`{variable}` is not a variable's name"),
                ));
            }
        }
        Ok(())
    }

    /// The configured name, or one that is stable for this host and work folder.
    pub(crate) fn worker_name(&self, work_folder: &Path) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let host = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok());
        let folder = work_folder.as_os_str().as_encoded_bytes();
        // FNV-1a, 32 bit (Fowler, Noll, Vo): short, and equal on every run and platform.
        let hash = folder
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        format!("{}-{hash:08x}", host.as_deref().unwrap_or("worker"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_read() {
        let config = WorkerConfig::from_toml(
            r#"
            server = "https://box.example:7717"
            token = "hush"
            slots = 2
            work_folder = "w"
            [labels]
            zone = "b"
            [programs.ctr]
            builtin = "ctr"
            [programs.mine]
            command = ["python", "train.py"]
            env = { SEED = "1" }
            timeout_seconds = 60
            stop = "file"
            "#,
        )
        .unwrap();
        config.check().unwrap();
        assert_eq!(config.slots, SlotCount::Count(NonZero::new(2).unwrap()));
        assert_eq!(config.programs["ctr"].stop_sign(), StopSign::File);
        assert!(!format!("{config:?}").contains("hush"));
        let name = config.worker_name(Path::new("/w"));
        assert_eq!(name, config.worker_name(Path::new("/w")));
        assert_ne!(name, config.worker_name(Path::new("/v")));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(
            WorkerConfig::from_toml("server='http://x'\nslotz=1").unwrap_err().to_string().contains("slotz")
        );
        for slots in ["0", "'many'", "-1"] {
            let error = WorkerConfig::from_toml(&format!("server='http://x'\nslots={slots}")).unwrap_err();
            assert!(error.to_string().contains("slots must be"), "{error}");
        }
        let check = |text: &str| {
            WorkerConfig::from_toml(&format!("server='http://x'\n{text}"))
                .unwrap()
                .check()
                .unwrap_err()
                .to_string()
        };
        assert!(check("").starts_with("programs: at least one"));
        assert!(check("grace_seconds = nan\n[programs.p]\nbuiltin='x'").starts_with("grace_seconds"));
        assert!(check("[programs.p]\ncommand=[]").starts_with("programs.p"));
        assert!(check("[programs.p]\ncommand=['a']\nbuiltin='b'").starts_with("programs.p"));
        assert!(check("[programs.p]\ncommand=['a']\ntimeout_seconds=-1").starts_with("programs.p.timeout"));
    }
}
