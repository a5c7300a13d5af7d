//! The processes of the demo: one server and its workers, gone when the demo is gone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::process::{Child, Command};

/// Where a started server listens.
#[derive(Debug, Deserialize)]
pub(crate) struct ServerAddresses {
    /// gRPC, as a URL.
    pub(crate) grpc: String,
    /// REST, as a URL.
    pub(crate) rest: String,
}

/// Started children. Each one also watches this process and ends with it, so that not even kill -9 leaves one behind.
pub(crate) struct Processes {
    folder: PathBuf,
    workers: Vec<WorkerChild>,
    server: Option<Child>,
}

/// A worker with what it takes to start it again.
struct WorkerChild {
    index: u32,
    server: String,
    child: Child,
    restarts: u32,
}

/// Restarts of one worker, one a second: enough for a worker of an earlier run that was killed to give up its folder.
const RESTARTS: u32 = 45;
/// Time for a server of an earlier run that was killed to give up its database.
const LEAVING: Duration = Duration::from_secs(30);

/// Time that children get to end by themselves.
const GRACE: Duration = Duration::from_secs(10);

/// Folder of the children's logs.
pub(crate) fn log_folder(folder: &Path) -> PathBuf {
    folder.join("logs")
}

impl Processes {
    /// No process yet.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), workers: Vec::new(), server: None }
    }

    /// Folder of the logs.
    pub(crate) fn logs(&self) -> PathBuf {
        log_folder(&self.folder)
    }

    fn spawn(&self, name: &str, arguments: &[&str]) -> Result<Child> {
        std::fs::create_dir_all(self.logs()).context("create the folder of the logs")?;
        let path = self.logs().join(format!("{name}.log"));
        let log = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        let program = std::env::current_exe().context("find the boxwood program")?;
        Command::new(program)
            .args(arguments)
            .arg("--follow-parent")
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log file")?)
            .stderr(log)
            .kill_on_drop(true)
            // A Ctrl-C of the terminal reaches this process only; it ends the children in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}"))
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn start_server(&mut self, database: &str) -> Result<ServerAddresses> {
        let ready = self.folder.join("server-ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready).context("remove the ready file of an earlier run")?;
        }
        let ready_text = ready.to_string_lossy().into_owned();
        let arguments = [
            "serve",
            "--database",
            database,
            "--grpc",
            "127.0.0.1:0",
            "--rest",
            "127.0.0.1:0",
            "--ready-file",
            &ready_text,
        ];
        let mut server = self.spawn("server", &arguments)?;
        let begun = Instant::now();
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(status) = server.try_wait()? {
                let log = std::fs::read_to_string(self.logs().join("server.log")).unwrap_or_default();
                if log.contains("another server") && begun.elapsed() < LEAVING {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    server = self.spawn("server", &arguments)?;
                    continue;
                }
                let tail: Vec<&str> = log.lines().rev().take(5).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                bail!("the server ended ({status}):\n{}", tail.join("\n"));
            }
            if let Ok(text) = std::fs::read_to_string(&ready)
                && let Ok(addresses) = serde_json::from_str(&text)
            {
                self.server = Some(server);
                return Ok(addresses);
            }
            if Instant::now() > deadline {
                bail!("the server was not ready after a minute; its log is in {}", self.logs().display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts one worker with one slot.
    pub(crate) fn start_worker(&mut self, index: u32, server: &str) -> Result<()> {
        let child = self.spawn_worker(index, server)?;
        self.workers.push(WorkerChild { index, server: server.to_owned(), child, restarts: 0 });
        Ok(())
    }

    fn spawn_worker(&self, index: u32, server: &str) -> Result<Child> {
        let name = format!("demo-{index}");
        let folder = self.folder.join("work").join(&name).to_string_lossy().into_owned();
        let checkpoints = self.folder.join("checkpoints").to_string_lossy().into_owned();
        let arguments = [
            "--server",
            server,
            "worker",
            "--name",
            &name,
            "--slots",
            "1",
            "--folder",
            &folder,
            "--checkpoints",
            &checkpoints,
        ];
        self.spawn(&format!("worker-{index}"), &arguments)
    }

    /// Starts workers again that have ended; fails when one ends again and again, or the server has.
    pub(crate) fn check(&mut self) -> Result<()> {
        let logs = self.logs();
        for place in 0..self.workers.len() {
            let worker = &mut self.workers[place];
            let Some(status) = worker.child.try_wait()? else { continue };
            if worker.restarts >= RESTARTS {
                bail!("worker demo-{} ended ({status}); the logs are in {}", worker.index, logs.display());
            }
            worker.restarts += 1;
            let (index, server) = (worker.index, worker.server.clone());
            self.workers[place].child = self.spawn_worker(index, &server)?;
        }
        if let Some(server) = &mut self.server
            && let Some(status) = server.try_wait()?
        {
            bail!("the server ended ({status}); the logs are in {}", logs.display());
        }
        Ok(())
    }

    /// Ends the workers, then the server: politely, then by force.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        for worker in &self.workers {
            terminate(&worker.child);
        }
        for mut worker in self.workers.drain(..) {
            end(&mut worker.child).await?;
        }
        if let Some(mut server) = self.server.take() {
            terminate(&server);
            end(&mut server).await?;
        }
        Ok(())
    }
}

fn terminate(child: &Child) {
    if let Some(id) = child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)) {
        // A child that has ended meanwhile is what we want; nothing to do about an error.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
}

async fn end(child: &mut Child) -> Result<()> {
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        child.kill().await.context("end a child by force")?;
    }
    Ok(())
}
