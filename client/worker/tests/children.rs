//! Scenarios with this test's own executable as the child or as the worker.
//!
//! The executable is started again with `--exact NAME --nocapture` and a variable that says which part it plays.
#![allow(clippy::unwrap_used)]

#[path = "../../rust/tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use boxwood_client::child::Session;
use boxwood_client::{Client, Verdict};
use boxwood_wire::v1;
use boxwood_worker::{ProgramConfig, Shutdown, SlotCount, Worker, WorkerConfig};
use support::{Fake, until};

const PART: &str = "BOXWOOD_TEST_PART";

fn own_command(test: &str) -> Vec<String> {
    let executable = std::env::current_exe().unwrap().display().to_string();
    vec![executable, "--exact".into(), test.into(), "--nocapture".into(), "--test-threads=1".into()]
}

fn config(endpoint: &str, folder: &Path, command: Vec<String>, part: &str) -> WorkerConfig {
    let mut config = WorkerConfig::new(endpoint);
    config.slots = SlotCount::Count(1.try_into().unwrap());
    config.work_folder = folder.join("work");
    config.checkpoints = folder.join("checkpoints");
    config.wait_seconds = 0.2;
    let mut program = ProgramConfig { command, ..ProgramConfig::default() };
    program.env.insert(PART.into(), part.into());
    program.env.insert("FOLDER".into(), folder.display().to_string());
    config.programs.insert("p".into(), program);
    config
}

/// A program that uses the session: reports every step, ends at a verdict.
fn train() {
    let mut session = Session::from_env().unwrap();
    let (from, to) = (session.trial().resource.from, session.trial().resource.to);
    let rank = session.trial().parameters["rank"].as_f64().unwrap();
    for step in from + 1..=to {
        if session.report(step, [("auc", rank / 100.0 + step as f64 / 1000.0)]).unwrap() != Verdict::Continue
        {
            std::fs::write(session.trial().checkpoint_out.join("model"), format!("{step}")).unwrap();
            return;
        }
    }
    std::fs::write(session.trial().checkpoint_out.join("model"), format!("{to}")).unwrap();
    if session.trial().number == 2 {
        while session.poll() == Verdict::Continue {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        return;
    }
    session.finish([("auc", rank / 100.0 + to as f64 / 1000.0)]).unwrap();
}

#[tokio::test]
async fn a_program_speaks_over_the_socket() {
    if std::env::var(PART).as_deref() == Ok("train") {
        return train();
    }
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config =
        config(&fake.endpoint(), folder.path(), own_command("a_program_speaks_over_the_socket"), "train");
    fake.lock().verdicts.insert((3, 2), v1::VerdictKind::Stop);
    fake.lock().verdicts.insert((4, 2), v1::VerdictKind::Yield);
    for trial in [1, 3, 4] {
        fake.lock().push_trial(trial, "p", 0, 3, "");
    }
    let client = Client::lazy(config.client_options().unwrap()).unwrap();
    let worker = Worker::new(config, &client).unwrap();
    let shutdown = Shutdown::new();
    let switch = shutdown.clone();
    let worker = tokio::spawn(async move { worker.run(&switch).await });
    let end = async |trial| fake.wait("finish", |state| state.finish_of(trial)).await;
    let first = end(1).await;
    assert_eq!((first.ending(), first.result.unwrap().metrics["auc"]), (v1::Ending::Reached, 0.083));
    assert_eq!(first.checkpoint, "file:study-1/trial-1/epochs-3-lease-1");
    assert_eq!(
        fake.lock().steps_of(1),
        [1, 2, 3],
        "the result repeats the last report and is not sent twice"
    );
    let stopped = end(3).await;
    assert_eq!((stopped.ending(), stopped.result.unwrap().step), (v1::Ending::Stopped, 2));
    let yielded = end(4).await;
    assert_eq!(
        (yielded.ending(), yielded.checkpoint.as_str()),
        (v1::Ending::Preempted, "file:study-1/trial-4/epochs-2-lease-1")
    );
    assert_eq!(fake.lock().steps_of(4), [1, 2], "a verdict stops the program before its next step");
    // A program between two reports learns of the end by polling.
    fake.lock().push_trial(2, "p", 0, 3, "");
    fake.wait("last report", |state| (state.steps_of(2) == [1, 2, 3]).then_some(())).await;
    shutdown.leave();
    worker.await.unwrap().unwrap();
    assert_eq!(end(2).await.ending(), v1::Ending::Reached);
}

/// Kills a process when the test fails half-way.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn play_worker() {
    let folder = PathBuf::from(std::env::var_os("FOLDER").unwrap());
    // A child that starts a grandchild and tells both numbers.
    let script = "sleep 61 & echo $$ $! > $FOLDER/processes; wait";
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let config = config(&std::env::var("ENDPOINT").unwrap(), &folder, command, "none");
    let client = Client::lazy(config.client_options().unwrap()).unwrap();
    let worker = Worker::new(config, &client).unwrap();
    worker.run(&Shutdown::new()).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_worker_leaves_no_process() {
    if std::env::var(PART).as_deref() == Ok("worker") {
        return play_worker().await;
    }
    let fake = Fake::start().await;
    fake.lock().push_trial(1, "p", 0, 3, "");
    let folder = tempfile::tempdir().unwrap();
    let command = own_command("a_killed_worker_leaves_no_process");
    let mut worker = Killed(
        Command::new(&command[0])
            .args(&command[1..])
            .env(PART, "worker")
            .env("ENDPOINT", fake.endpoint())
            .env("FOLDER", folder.path())
            .spawn()
            .unwrap(),
    );
    let processes = until("child and grandchild", async || {
        std::fs::read_to_string(folder.path().join("processes")).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    let ids: Vec<&str> = processes.split_whitespace().collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| is_alive(id)), "{processes}");
    // SIGKILL: nothing of the worker runs any more that could clean up.
    worker.0.kill().unwrap();
    worker.0.wait().unwrap();
    until("death of both", async || ids.iter().all(|id| !is_alive(id)).then_some(())).await;
}

#[cfg(target_os = "linux")]
fn is_alive(process: &str) -> bool {
    // A zombie that nobody has waited for yet is dead.
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}
