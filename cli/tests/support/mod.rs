//! The real binary as child processes, for end-to-end tests.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, missing_docs)]

/// `call!(client, method, request)`: the call, repeated while the server is away.
#[macro_export]
macro_rules! call {
    ($client:expr, $method:ident, $request:expr) => {
        $crate::support::retried(|| {
            let (mut client, request) = ($client.clone(), $request.clone());
            async move { client.$method(request).await }
        })
    };
}

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use boxwood_wire::v1::study_service_client::StudyServiceClient;
use boxwood_wire::v1::trial_service_client::TrialServiceClient;
use boxwood_wire::v1::worker_service_client::WorkerServiceClient;
use boxwood_wire::v1::{
    CreateStudyRequest, GetStudyRequest, GetTrialRequest, ListTrialsRequest, Study, Trial, TrialOrder,
    TrialWithCurve,
};
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

/// Longest wait for anything in these tests.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub fn boxwood() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxwood"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXWOOD_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    boxwood().args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A free port of the loopback interface.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server process that can be killed and started again on the same ports and database.
pub struct ServerProcess {
    child: Option<Child>,
    folder: PathBuf,
    pub database: String,
    pub grpc_port: u16,
    pub rest_port: u16,
    starts: u32,
    pub extra: Vec<String>,
}

impl ServerProcess {
    pub fn start(folder: &Path, database: &str) -> Self {
        let mut server = Self {
            child: None,
            folder: folder.to_owned(),
            database: database.to_owned(),
            grpc_port: free_port(),
            rest_port: free_port(),
            starts: 0,
            extra: Vec::new(),
        };
        server.restart();
        server
    }

    pub fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    pub fn rest(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.rest_port)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    /// Starts the process and waits until it is ready.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        self.starts += 1;
        let ready = self.folder.join(format!("ready-{}.json", self.starts));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("server.log"))
            .unwrap();
        let mut child = boxwood()
            .args(["serve", "--database", &self.database, "--follow-parent"])
            .args(["--grpc", &format!("127.0.0.1:{}", self.grpc_port)])
            .args(["--rest", &format!("127.0.0.1:{}", self.rest_port)])
            .args(["--ready-file", &ready.to_string_lossy()])
            .args(&self.extra)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !ready.exists() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended ({status}):\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "the server is not ready:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = Some(child);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("last lines of the server's log:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// A worker process that can be killed and started again.
pub struct WorkerProcess {
    child: Option<Child>,
    arguments: Vec<String>,
    log: PathBuf,
}

impl WorkerProcess {
    pub fn start(folder: &Path, name: &str, server: &str, config: Option<&Path>) -> Self {
        let mut arguments: Vec<String> =
            ["--server", server, "worker", "--name", name, "--slots", "1", "--follow-parent", "--folder"]
                .map(str::to_owned)
                .to_vec();
        arguments.push(folder.join(name).to_string_lossy().into_owned());
        arguments
            .extend(["--checkpoints".to_owned(), folder.join("checkpoints").to_string_lossy().into_owned()]);
        if let Some(config) = config {
            arguments.extend(["--config".to_owned(), config.to_string_lossy().into_owned()]);
        }
        let mut worker = Self { child: None, arguments, log: folder.join(format!("{name}.log")) };
        worker.restart();
        worker
    }

    pub fn restart(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let child = boxwood()
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("last lines of {}:", self.log.display());
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// Clients of one server that connect lazily and again after a restart.
#[derive(Clone)]
pub struct Api(Channel);

impl Api {
    pub fn new(server: &str) -> Self {
        let endpoint = Endpoint::from_shared(server.to_owned()).unwrap();
        Self(endpoint.connect_timeout(Duration::from_secs(2)).connect_lazy())
    }

    pub fn studies(&self) -> StudyServiceClient<Channel> {
        StudyServiceClient::new(self.0.clone())
    }

    pub fn trials(&self) -> TrialServiceClient<Channel> {
        TrialServiceClient::new(self.0.clone())
    }

    pub fn workers(&self) -> WorkerServiceClient<Channel> {
        WorkerServiceClient::new(self.0.clone())
    }

    pub async fn create(&self, spec: &Value) -> Study {
        let request = CreateStudyRequest {
            project: String::new(),
            spec_json: spec.to_string(),
            request_id: "create".to_owned() + spec["name"].as_str().unwrap(),
        };
        let studies = self.studies();
        call!(studies, create_study, request).await.unwrap().study.unwrap()
    }

    pub async fn study(&self, id: i64) -> Study {
        let studies = self.studies();
        let request = GetStudyRequest { id, ..GetStudyRequest::default() };
        call!(studies, get_study, request).await.unwrap()
    }

    pub async fn all_trials(&self, study: i64) -> Vec<Trial> {
        let trials = self.trials();
        let request = ListTrialsRequest {
            study,
            order: TrialOrder::Number.into(),
            limit: 1000,
            ..ListTrialsRequest::default()
        };
        call!(trials, list_trials, request).await.unwrap().trials
    }

    pub async fn trial(&self, id: i64) -> TrialWithCurve {
        let trials = self.trials();
        call!(trials, get_trial, GetTrialRequest { id }).await.unwrap()
    }
}

/// Repeats a call while the server is away; any other error is the answer.
pub async fn retried<T, F>(mut call: impl FnMut() -> F) -> Result<T, tonic::Status>
where
    F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => {
                let text = format!("{status:?}");
                let away = matches!(status.code(), tonic::Code::Unavailable)
                    || text.contains("transport error")
                    || text.contains("h2 protocol error")
                    || text.contains("operation was canceled")
                    || text.contains("connection");
                if !away || Instant::now() > deadline {
                    return Err(status);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The databases that every end-to-end scenario runs on.
pub async fn databases(folder: &Path) -> Vec<(&'static str, String)> {
    let mut databases = vec![("sqlite", format!("sqlite:{}", folder.join("boxwood.db").display()))];
    match boxwood_store::testing::postgres().await {
        Some(url) => databases.push(("postgres", url)),
        None => eprintln!("PostgreSQL is not installed: its half of this test is skipped"),
    }
    databases
}
