//! A server in memory for tests: it keeps the rules of leases and repeats, and does what its script says.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub, missing_docs)]

mod services;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use boxwood_wire::{CODE_METADATA, ErrorCode, v1};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;

/// Everything that survives a "restart" of the fake server.
#[derive(Debug, Default)]
pub struct State {
    pub studies: Vec<v1::Study>,
    pub trials: BTreeMap<i64, v1::Trial>,
    /// Leases that workers will get, in order.
    pub queue: VecDeque<v1::Lease>,
    pub leases: BTreeMap<(i64, u64), Instant>,
    pub lease_seconds: f64,
    /// Stored reports in the order of arrival.
    pub reports: Vec<v1::ReportEntry>,
    /// Reports that arrived again.
    pub repeated_reports: u32,
    /// Accepted finishes in the order of arrival.
    pub finishes: Vec<v1::FinishRequest>,
    pub verdicts: HashMap<(i64, u64), v1::VerdictKind>,
    pub commands: HashMap<i64, v1::VerdictKind>,
    pub drain: bool,
    pub heartbeats: u32,
    pub token: Option<String>,
    pub calls: HashMap<&'static str, u32>,
    /// Answers by request id.
    pub answers: HashMap<String, v1::LeasesResponse>,
    /// How many of the next calls of this name do their work but lose the answer.
    pub lose_answers: HashMap<&'static str, u32>,
    /// Trials that the script study may still start.
    pub left: u32,
    pub hello: Option<v1::WorkerHello>,
}

/// A running fake server.
pub struct Fake {
    pub state: Arc<Mutex<State>>,
    address: std::net::SocketAddr,
    task: Option<JoinHandle<()>>,
}

impl Fake {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State { lease_seconds: 0.6, ..State::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = Some(serve(listener, Arc::clone(&state)));
        Self { state, address, task }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The server goes away with all of its connections; its state stays.
    pub async fn go_away(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// It comes back at the same address.
    pub async fn come_back(&mut self) {
        let listener = until("port free again", async || TcpListener::bind(self.address).await.ok()).await;
        self.task = Some(serve(listener, Arc::clone(&self.state)));
    }

    /// Waits until the state shows something.
    pub async fn wait<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        until(what, async || look(&self.lock())).await
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Waits for a state, for at most 30 seconds.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "waited too long for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn serve(listener: TcpListener, state: Arc<Mutex<State>>) -> JoinHandle<()> {
    use v1::study_service_server::StudyServiceServer;
    use v1::trial_service_server::TrialServiceServer;
    use v1::worker_service_server::WorkerServiceServer;
    let services = services::Services(state);
    // Connections live on a runtime of their own, so that going away closes them all at once.
    tokio::spawn(async move {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let listener = listener.into_std().unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.spawn(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                tonic::transport::Server::builder()
                    .add_service(StudyServiceServer::new(services.clone()))
                    .add_service(TrialServiceServer::new(services.clone()))
                    .add_service(WorkerServiceServer::new(services))
                    .serve_with_incoming(TcpListenerStream::new(listener))
                    .await
                    .unwrap();
            });
            runtime.block_on(async {
                while stopped.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        });
        let _guard = StopOnDrop { stop: Some(stop), thread: Some(thread) };
        std::future::pending::<()>().await;
    })
}

struct StopOnDrop {
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

pub fn refuse(code: ErrorCode, message: &str) -> Status {
    let mut status = Status::new(code.grpc(), message);
    status.metadata_mut().insert(CODE_METADATA, code.as_str().parse().unwrap());
    status
}

impl State {
    /// Puts a trial into the workers' queue; `from` and `checkpoint` continue an earlier lease.
    pub fn push_trial(
        &mut self,
        trial: i64,
        program: &str,
        from: u64,
        to: u64,
        checkpoint: &str,
    ) -> (i64, u64) {
        let entry = self.trials.entry(trial).or_insert_with(|| new_trial(trial, 1));
        entry.epoch += 1;
        let lease = v1::Lease {
            trial,
            epoch: entry.epoch,
            study: 1,
            study_name: "study".into(),
            number: trial as u32,
            point_json: r#"{"model":"fm","fm.rank":8,"lr":0.1}"#.into(),
            program: program.into(),
            arguments_json: r#"{"data":"tiny"}"#.into(),
            resource: "epochs".into(),
            from,
            to,
            rungs: vec![1, 3, 9].into_iter().filter(|rung| *rung <= to).collect(),
            seed: 42,
            checkpoint: checkpoint.into(),
            lease_seconds: self.lease_seconds,
            metrics: vec!["auc".into()],
            arm_parameter: "model".into(),
            seconds: 0.0,
        };
        let key = (trial, lease.epoch);
        self.queue.push_back(lease);
        key
    }

    pub fn grant(&mut self, lease: &v1::Lease) {
        let until = Instant::now() + Duration::from_secs_f64(self.lease_seconds);
        self.leases.insert((lease.trial, lease.epoch), until);
        self.trials.get_mut(&lease.trial).unwrap().state = v1::TrialState::Leased.into();
    }

    pub fn is_held(&self, key: &v1::LeaseKey) -> bool {
        let trial = self.trials.get(&key.trial);
        trial.is_some_and(|trial| trial.epoch == key.epoch)
            && self.leases.contains_key(&(key.trial, key.epoch))
    }

    /// Another worker takes the trial over.
    pub fn take_over(&mut self, trial: i64) {
        self.trials.get_mut(&trial).unwrap().epoch += 1;
    }

    pub fn steps_of(&self, trial: i64) -> Vec<u64> {
        self.reports
            .iter()
            .filter(|entry| entry.lease.unwrap().trial == trial)
            .map(|entry| entry.step)
            .collect()
    }

    pub fn finish_of(&self, trial: i64) -> Option<v1::FinishRequest> {
        self.finishes.iter().find(|finish| finish.lease.unwrap().trial == trial).cloned()
    }
}

pub fn new_trial(id: i64, study: i64) -> v1::Trial {
    v1::Trial {
        id,
        study,
        number: id as u32,
        point_json: format!(r#"{{"x":{}.5,"n":{id}}}"#, id - 1),
        origin: "solver".into(),
        state: v1::TrialState::Queued.into(),
        ..v1::Trial::default()
    }
}
