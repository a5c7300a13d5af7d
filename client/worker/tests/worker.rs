//! Scenarios of the worker against a server in memory, with small real children.
#![allow(clippy::unwrap_used)]

#[path = "../../rust/tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use boxwood_client::{Client, RetryPolicy};
use boxwood_wire::v1;
use boxwood_worker::{
    KeepFolders, ProgramConfig, Shutdown, SlotCount, StopSign, Worker, WorkerConfig, WorkerError,
};
use support::{Fake, until};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A worker on a folder of its own.
struct Site {
    folder: TempDir,
    config: WorkerConfig,
}

impl Site {
    /// A worker that knows the program `p`: a shell script.
    fn new(fake: &Fake, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = WorkerConfig::new(fake.endpoint());
        config.slots = SlotCount::Count(2.try_into().unwrap());
        config.work_folder = folder.path().join("work");
        config.checkpoints = folder.path().join("checkpoints");
        config.grace_seconds = 5.0;
        config.wait_seconds = 0.2;
        config.keep_folders = KeepFolders::All;
        let program = ProgramConfig {
            command: vec!["sh".into(), "-c".into(), script.into()],
            ..ProgramConfig::default()
        };
        config.programs.insert("p".into(), program);
        Self { folder, config }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn attempt(&self, trial: i64, epoch: u64) -> std::path::PathBuf {
        self.path(&format!("work/attempts/study-1-trial-{trial}-lease-{epoch}"))
    }

    fn start(&self) -> (Shutdown, JoinHandle<Result<(), WorkerError>>) {
        let options = self.config.client_options().unwrap().with_retry(RetryPolicy {
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(50),
            attempt: Duration::from_secs(2),
            ..RetryPolicy::default()
        });
        let worker = Worker::new(self.config.clone(), &Client::lazy(options).unwrap()).unwrap();
        let shutdown = Shutdown::new();
        let switch = shutdown.clone();
        (shutdown, tokio::spawn(async move { worker.run(&switch).await }))
    }

    async fn wait_for_file(&self, name: &str) -> String {
        let path = self.path(name);
        until(name, async || std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))).await
    }
}

async fn ended(worker: JoinHandle<Result<(), WorkerError>>) {
    tokio::time::timeout(Duration::from_secs(30), worker).await.unwrap().unwrap().unwrap();
}

async fn finish(fake: &Fake, trial: i64) -> v1::FinishRequest {
    fake.wait("finish", |state| state.finish_of(trial)).await
}

fn is_alive(process: &str) -> bool {
    // A zombie that nobody has waited for yet is dead.
    std::fs::read_to_string(format!("/proc/{}/stat", process.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

/// Runs one trial of a script and returns its end.
async fn run_one(script: &str, edit: impl FnOnce(&mut ProgramConfig)) -> (v1::FinishRequest, Site) {
    let fake = Fake::start().await;
    let mut site = Site::new(&fake, script);
    edit(site.config.programs.get_mut("p").unwrap());
    fake.lock().push_trial(1, "p", 0, 3, "");
    let (shutdown, worker) = site.start();
    let finish = finish(&fake, 1).await;
    shutdown.leave();
    ended(worker).await;
    (finish, site)
}

#[tokio::test]
async fn a_trial_reaches_its_rung_and_another_lease_resumes_its_checkpoint() {
    let fake = Fake::start().await;
    let script = r#"
        for step in $(seq $((BOXWOOD_FROM + 1)) $BOXWOOD_TO); do
            echo "boxwood: {\"step\": $step, \"auc\": 0.$step, \"seconds\": 1.5}"
        done
        [ -n "$BOXWOOD_CHECKPOINT_IN" ] && cat "$BOXWOOD_CHECKPOINT_IN/model" > "$BOXWOOD_CHECKPOINT_OUT/before"
        echo "rank $BOXWOOD_PARAM_RANK to $BOXWOOD_TO" > "$BOXWOOD_CHECKPOINT_OUT/model"
        echo "threads $OMP_NUM_THREADS token [$BOXWOOD_TOKEN]" >&2
    "#;
    let site = Site::new(&fake, script);
    fake.lock().push_trial(1, "p", 0, 1, "");
    let (shutdown, worker) = site.start();
    let first = finish(&fake, 1).await;
    assert_eq!(
        (first.ending(), first.checkpoint.as_str()),
        (v1::Ending::Reached, "file:study-1/trial-1/epochs-1-lease-1")
    );
    fake.lock().finishes.clear();
    fake.lock().push_trial(1, "p", 1, 3, &first.checkpoint);
    let second = finish(&fake, 1).await;
    assert_eq!(second.checkpoint, "file:study-1/trial-1/epochs-3-lease-2");
    let result = second.result.unwrap();
    assert_eq!((result.step, result.metrics["auc"], result.seconds), (3, 0.3, Some(1.5)));
    assert_eq!(fake.lock().steps_of(1), [1, 2, 3]);
    let kept =
        |name: &str| std::fs::read_to_string(site.path("checkpoints/study-1/trial-1").join(name)).unwrap();
    assert_eq!(kept("epochs-3-lease-2/before"), "rank 8 to 1\n");
    assert_eq!(kept("epochs-3-lease-2/model"), "rank 8 to 3\n");
    let trial: serde_json::Value =
        serde_json::from_slice(&std::fs::read(site.attempt(1, 2).join("trial.json")).unwrap()).unwrap();
    assert_eq!(trial["parameters"], serde_json::json!({"rank": 8, "lr": 0.1}));
    assert_eq!((&trial["arm"], &trial["resource"]["from"]), (&"fm".into(), &1.into()));
    assert_eq!(trial["arguments"], serde_json::json!({"data": "tiny"}));
    let hello = fake.lock().hello.clone().unwrap();
    assert_eq!((hello.slots, hello.programs), (2, vec!["p".to_owned()]));
    assert!(hello.labels.contains_key("accelerator"));
    shutdown.leave();
    ended(worker).await;
    // The journal holds nothing that must be said again.
    fake.lock().finishes.clear();
    let (shutdown, worker) = site.start();
    fake.wait("a question", |state| (state.calls["acquire"] > 3).then_some(())).await;
    assert!(fake.lock().finishes.is_empty());
    shutdown.leave();
    ended(worker).await;
}

#[tokio::test]
async fn a_stop_verdict_ends_the_child() {
    let fake = Fake::start().await;
    let site = Site::new(&fake, r#"echo 'boxwood: {"step":1,"auc":0.5}'; sleep 60"#);
    fake.lock().verdicts.insert((1, 1), v1::VerdictKind::Stop);
    fake.lock().push_trial(1, "p", 0, 3, "");
    let (shutdown, worker) = site.start();
    let end = finish(&fake, 1).await;
    assert_eq!((end.ending(), end.result.unwrap().step), (v1::Ending::Stopped, 1));
    assert_eq!(std::fs::read_to_string(site.attempt(1, 1).join("verdict")).unwrap(), "stop");
    shutdown.leave();
    ended(worker).await;
}

#[tokio::test]
async fn a_yield_command_keeps_the_checkpoint_of_a_child_that_watches_the_file() {
    let fake = Fake::start().await;
    let script = r#"
        echo 'boxwood: {"step":1,"auc":0.5}'
        while [ ! -e "$BOXWOOD_VERDICT" ]; do sleep 0.02; done
        echo saved > "$BOXWOOD_CHECKPOINT_OUT/model"
    "#;
    let mut site = Site::new(&fake, script);
    site.config.programs.get_mut("p").unwrap().stop = Some(StopSign::File);
    fake.lock().commands.insert(1, v1::VerdictKind::Yield);
    fake.lock().push_trial(1, "p", 0, 3, "");
    let (shutdown, worker) = site.start();
    let end = finish(&fake, 1).await;
    assert_eq!((end.ending(), end.reason.as_str()), (v1::Ending::Preempted, "yielded"));
    assert_eq!(end.checkpoint, "file:study-1/trial-1/epochs-1-lease-1");
    shutdown.leave();
    ended(worker).await;
}

#[tokio::test]
async fn a_lost_lease_kills_the_child_and_discards_its_work() {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    let process = folder.path().join("process");
    let site = Site::new(&fake, &format!("sleep 60 & echo $! > {}; wait", process.display()));
    fake.lock().push_trial(1, "p", 0, 3, "");
    let (shutdown, worker) = site.start();
    let id =
        until("child", async || std::fs::read_to_string(&process).ok().filter(|id| !id.is_empty())).await;
    assert!(is_alive(&id));
    fake.lock().take_over(1);
    until("death of the grandchild", async || (!is_alive(&id)).then_some(())).await;
    // The slot is free again and the lost lease is not finished.
    fake.lock().push_trial(2, "p", 0, 3, "");
    fake.lock().push_trial(3, "p", 0, 3, "");
    fake.wait("both slots busy", |state| state.queue.is_empty().then_some(())).await;
    assert!(fake.lock().finish_of(1).is_none());
    let checkpoints = site.path("checkpoints/study-1/trial-1");
    until("unfinished checkpoint removed", async || {
        std::fs::read_dir(&checkpoints).unwrap().next().is_none().then_some(())
    })
    .await;
    shutdown.kill();
    ended(worker).await;
    assert_eq!(fake.lock().finish_of(2).unwrap().ending(), v1::Ending::Preempted);
}

#[tokio::test]
async fn reports_made_while_the_server_is_away_arrive_once_and_in_order() {
    let mut fake = Fake::start().await;
    fake.lock().lease_seconds = 60.0;
    let script = r#"
        echo 'boxwood: {"step":1,"auc":0.1}'
        while [ ! -e "$GO" ]; do sleep 0.02; done
        for step in 2 3 4 5 6 7 8 9; do echo "boxwood: {\"step\":$step,\"auc\":0.$step}"; done
        echo done > "$GO.done"
    "#;
    let mut site = Site::new(&fake, script);
    let go = site.path("go");
    let program = site.config.programs.get_mut("p").unwrap();
    program.env.insert("GO".into(), go.display().to_string());
    fake.lock().push_trial(1, "p", 0, 9, "");
    // The answer of the first report gets lost: it is sent again.
    fake.lock().lose_answers.insert("report", 1);
    let (shutdown, worker) = site.start();
    fake.wait("repeated report", |state| (state.repeated_reports == 1).then_some(())).await;
    fake.go_away().await;
    std::fs::write(&go, "").unwrap();
    site.wait_for_file("go.done").await;
    fake.come_back().await;
    assert_eq!(finish(&fake, 1).await.ending(), v1::Ending::Reached);
    assert_eq!(fake.lock().steps_of(1), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    shutdown.leave();
    ended(worker).await;
}

#[tokio::test]
async fn a_restarted_worker_sends_what_its_journal_holds() {
    let mut fake = Fake::start().await;
    fake.lock().lease_seconds = 60.0;
    let script = r#"
        while [ ! -e "$GO" ]; do sleep 0.02; done
        for step in 1 2 3; do echo "boxwood: {\"step\":$step,\"auc\":0.$step}"; done
        [ "$BOXWOOD_ARM" = fm ] && echo done > "$GO.done"
    "#;
    let mut site = Site::new(&fake, script);
    let go = site.path("go");
    site.config.programs.get_mut("p").unwrap().env.insert("GO".into(), go.display().to_string());
    site.config.programs.insert(
        "forever".into(),
        ProgramConfig { command: vec!["sleep".into(), "60".into()], ..ProgramConfig::default() },
    );
    fake.lock().push_trial(1, "p", 0, 3, "");
    fake.lock().push_trial(2, "forever", 0, 3, "");
    let (_, worker) = site.start();
    fake.wait("leases", |state| (state.leases.len() == 2).then_some(())).await;
    let attempt = site.attempt(2, 1);
    until("second child", async || attempt.join("output.log").exists().then_some(())).await;
    fake.go_away().await;
    std::fs::write(&go, "").unwrap();
    let journal = site.path("work/journal.jsonl");
    until("finish in the journal", async || {
        std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("\"finish\"")).then_some(())
    })
    .await;
    // The process ends without a word, as under kill -9.
    worker.abort();
    let _ = worker.await;
    fake.come_back().await;
    until("free work folder", async || {
        let lock = std::fs::File::open(site.path("work/lock")).unwrap();
        lock.try_lock().ok()
    })
    .await;
    let (shutdown, worker) = site.start();
    assert_eq!(finish(&fake, 1).await.ending(), v1::Ending::Reached);
    assert_eq!(fake.lock().steps_of(1), [1, 2, 3]);
    let given_back = finish(&fake, 2).await;
    assert_eq!(
        (given_back.ending(), given_back.reason.as_str()),
        (v1::Ending::Preempted, "the worker was restarted")
    );
    shutdown.leave();
    ended(worker).await;
}

#[tokio::test]
async fn ends_of_programs_are_told_apart() {
    let cases: [(&str, v1::Ending, &str); 9] = [
        ("echo training; echo 'bad input' >&2; exit 3", v1::Ending::ProgramFailed, "exit code 3\n"),
        ("kill -SEGV $$", v1::Ending::ProgramFailed, "killed by signal 11"),
        ("echo 'CUDA error: out of memory' >&2; exit 1", v1::Ending::OutOfMemory, "exit code 1\nCUDA error"),
        ("sh -c 'kill -9 $$'; echo Killed >&2; exit 137", v1::Ending::OutOfMemory, "exit code 137\n"),
        (
            r#"echo 'boxwood: {"step":3,"auc":NaN}'; sleep 60"#,
            v1::Ending::Infeasible,
            "metric auc is NaN at step 3",
        ),
        (r#"echo 'boxwood: {"infeasible":"rank above width"}'"#, v1::Ending::Infeasible, "rank above width"),
        (r#"echo 'boxwood: {"step":2,"auc":0.5}'"#, v1::Ending::ProgramFailed, "ended at step 2 of 3"),
        (
            r#"echo 'boxwood: {"step":3,"loss":0.5}'"#,
            v1::Ending::ProgramFailed,
            "its last report lacks metric auc",
        ),
        (r#"echo 'boxwood: {"step":3,"auc":0.5,"loss":NaN}'"#, v1::Ending::Reached, ""),
    ];
    let fake = Fake::start().await;
    let mut site = Site::new(&fake, "true");
    for (index, (script, ..)) in (1..).zip(&cases) {
        let command = vec!["sh".into(), "-c".into(), (*script).into()];
        let name = format!("case-{index}");
        site.config.programs.insert(name.clone(), ProgramConfig { command, ..ProgramConfig::default() });
        fake.lock().push_trial(index, &name, 0, 3, "");
    }
    site.config.programs.insert(
        "missing".into(),
        ProgramConfig { command: vec!["/no/such/program".into()], ..ProgramConfig::default() },
    );
    fake.lock().push_trial(20, "missing", 0, 3, "");
    fake.lock().push_trial(21, "unknown", 0, 3, "");
    let (shutdown, worker) = site.start();
    for (index, (script, ending, reason)) in (1..).zip(cases) {
        let end = finish(&fake, index).await;
        assert_eq!(end.ending(), ending, "{script}: {}", end.reason);
        assert!(end.reason.starts_with(reason), "{script}: {}", end.reason);
    }
    let missing = finish(&fake, 20).await;
    assert!(missing.reason.starts_with("start `/no/such/program`: No such file"), "{}", missing.reason);
    assert!(finish(&fake, 21).await.reason.contains("no program `unknown`"));
    let first = finish(&fake, 1).await.reason;
    assert!(first.contains("training") && first.contains("bad input"), "{first}");
    shutdown.leave();
    ended(worker).await;
}

#[tokio::test]
async fn a_timeout_ends_a_child_that_hears_nothing() {
    let (end, _) = run_one("trap '' TERM; sleep 60", |program| program.timeout_seconds = Some(0.3)).await;
    assert_eq!((end.ending(), end.reason.as_str()), (v1::Ending::ProgramFailed, "timed out after 0.3 s"));
}

#[tokio::test]
async fn a_worker_that_leaves_gives_its_leases_back_with_checkpoints() {
    let fake = Fake::start().await;
    let script = r#"
        trap 'echo saved > "$BOXWOOD_CHECKPOINT_OUT/model"; exit 0' TERM
        echo 'boxwood: {"step":1,"auc":0.5}'
        while :; do sleep 0.02; done
    "#;
    let site = Site::new(&fake, script);
    fake.lock().push_trial(1, "p", 0, 3, "");
    let (shutdown, worker) = site.start();
    fake.wait("report", |state| (state.steps_of(1) == [1]).then_some(())).await;
    shutdown.leave();
    ended(worker).await;
    let end = fake.lock().finish_of(1).unwrap();
    assert_eq!(
        (end.ending(), end.checkpoint.as_str()),
        (v1::Ending::Preempted, "file:study-1/trial-1/epochs-1-lease-1")
    );
}

#[tokio::test]
async fn a_drained_worker_finishes_and_leaves() {
    let fake = Fake::start().await;
    let site = Site::new(&fake, r#"sleep 0.3; echo 'boxwood: {"step":3,"auc":0.5}'"#);
    fake.lock().push_trial(1, "p", 0, 3, "");
    let (_shutdown, worker) = site.start();
    fake.wait("lease", |state| (state.leases.len() == 1).then_some(())).await;
    fake.lock().drain = true;
    ended(worker).await;
    assert_eq!(fake.lock().finish_of(1).unwrap().ending(), v1::Ending::Reached);
}

#[tokio::test]
async fn two_workers_cannot_share_a_work_folder() {
    let fake = Fake::start().await;
    let site = Site::new(&fake, "true");
    let client = Client::lazy(site.config.client_options().unwrap()).unwrap();
    let first = Worker::new(site.config.clone(), &client).unwrap();
    assert!(matches!(Worker::new(site.config.clone(), &client), Err(WorkerError::InUse(_))));
    drop(first);
    assert!(Worker::new(site.config.clone(), &client).is_ok());
}

#[tokio::test]
async fn a_wrong_token_ends_the_worker() {
    let fake = Fake::start().await;
    fake.lock().token = Some("right".into());
    let site = Site::new(&fake, "true");
    let (_, worker) = site.start();
    let error = worker.await.unwrap().unwrap_err();
    assert!(matches!(error, WorkerError::Refused(_)), "{error}");
    assert!(Path::new(&site.path("work")).exists());
}
