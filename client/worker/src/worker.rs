//! The worker: asks for work, keeps leases alive, ends in good order.

use std::fs::{File, TryLockError};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use boxwood_client::{Client, Ending, Error, ErrorCode, RetryPolicy, Transport, Verdict};
use boxwood_wire::v1;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::checkpoint::CheckpointStore;
use crate::config::WorkerConfig;
use crate::error::WorkerError;
use crate::journal::{Finish, Journal};
use crate::outbox::Outbox;
use crate::process::Spawner;
use crate::registry::{Key, Registry, wire_key};
use crate::run::{Context, run};
use crate::shutdown::{Leave, Shutdown};
use crate::slot::{self, Machine, Slot};

/// Pause between heartbeats while no lease is held: often enough to learn of a drain.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(10);
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(20);
/// Least time between two questions that bring nothing.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// A worker that is ready to run.
#[derive(Debug)]
pub struct Worker {
    context: Arc<Context>,
    registry: Arc<Registry>,
    hello: v1::WorkerHello,
    slots: Vec<Slot>,
    transport: Transport,
    // Held for as long as the worker lives: a second worker on the folder refuses to start.
    _lock: File,
}

impl Worker {
    /// Checks the configuration, takes the work folder, looks for GPUs and reads the journal. Needs a Tokio runtime.
    ///
    /// # Errors
    /// A setting that is not usable, folders that cannot be written, another worker on the same work folder.
    pub fn new(config: WorkerConfig, client: &Client) -> Result<Self, WorkerError> {
        config.check()?;
        let folder = config.work_folder.clone();
        std::fs::create_dir_all(&folder).map_err(WorkerError::folder("create", &folder))?;
        let folder = folder.canonicalize().map_err(WorkerError::folder("open", &folder))?;
        let lock = File::create(folder.join("lock")).map_err(WorkerError::folder("lock", &folder))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(WorkerError::InUse(folder)),
            Err(TryLockError::Error(source)) => {
                return Err(WorkerError::Folder { action: "lock", path: folder, source });
            }
        }
        let checkpoints = CheckpointStore::open(&config.checkpoints)
            .map_err(WorkerError::folder("create checkpoint store", &config.checkpoints))?;
        let journal_path = Journal::path_in(&folder);
        let (journal, abandoned) = Journal::open(journal_path.clone())
            .map_err(WorkerError::folder("read journal", &journal_path))?;
        let sockets = tempfile::Builder::new().prefix("boxwood-").tempdir();
        let sockets = sockets.map_err(WorkerError::folder("create sockets in", &std::env::temp_dir()))?;
        let spawner = Spawner::start().map_err(WorkerError::folder("start a thread for", &folder))?;

        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let machine = Machine::look(crate::count_gpus(), visible.as_deref());
        let slots = slot::plan(&config, &machine);
        let mut labels = config.labels.clone();
        let accelerator = if machine.gpus.is_empty() { "cpu" } else { "gpu" };
        labels.entry("accelerator".into()).or_insert_with(|| accelerator.into());
        let hello = v1::WorkerHello {
            project: config.project.clone(),
            name: config.worker_name(&folder),
            slots: u32::try_from(slots.len()).unwrap_or(u32::MAX),
            labels: labels.into_iter().collect(),
            programs: config.programs.keys().cloned().collect(),
        };

        let registry = Arc::new(Registry::default());
        let transport = client.transport().clone();
        let outbox = Arc::new(Outbox::new(&transport, Arc::clone(&registry), journal));
        give_back_abandoned(&outbox, &abandoned);
        let attempts = folder.join("attempts");
        let context = Context { config, outbox, checkpoints, spawner, attempts, sockets };
        Ok(Self { context: Arc::new(context), registry, hello, slots, transport, _lock: lock })
    }

    /// Name under which this worker is known.
    pub fn name(&self) -> &str {
        &self.hello.name
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Works until it is told to leave or to drain, and everything that runs has ended.
    ///
    /// # Errors
    /// The server refuses the worker as such: a wrong token, a role that may not work.
    pub async fn run(self, shutdown: &Shutdown) -> Result<(), WorkerError> {
        tracing::info!(name = self.hello.name, slots = self.slots.len(), programs = ?self.hello.programs, "worker starts");
        let (drain, draining) = watch::channel(false);
        let outbox = Arc::clone(&self.context.outbox);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { outbox.run().await });
        let (transport, hello, registry) =
            (self.transport.clone(), self.hello.clone(), Arc::clone(&self.registry));
        tasks.spawn(async move { heartbeats(transport, hello, registry, drain).await });
        let (registry, mut leave) = (Arc::clone(&self.registry), shutdown.watch());
        tasks.spawn(async move {
            while leave.changed().await.is_ok() {
                registry.leave(*leave.borrow());
            }
        });
        let outcome = self.work(shutdown.watch(), draining).await;
        // What cannot be sent in time stays in the journal for the next process.
        let wait = Duration::from_secs_f64(self.context.config.grace_seconds.min(10.0));
        let mut leave = shutdown.watch();
        tokio::select! {
            () = self.context.outbox.flushed() => {}
            () = tokio::time::sleep(wait) => tracing::warn!("some results could not be sent; they stay in the journal"),
            () = until(&mut leave, |leave| *leave == Leave::Now) => {
                // The last reports and releases still get a moment.
                let _ = tokio::time::timeout(Duration::from_secs(1), self.context.outbox.flushed()).await;
            }
        }
        tasks.shutdown().await;
        tracing::info!(name = self.hello.name, "worker ends");
        outcome
    }

    /// Fills free slots until it is time to leave, then waits for what runs.
    async fn work(
        &self,
        mut leave: watch::Receiver<Leave>,
        mut draining: watch::Receiver<bool>,
    ) -> Result<(), WorkerError> {
        let mut free: Vec<Slot> = self.slots.iter().rev().cloned().collect();
        let mut running: JoinSet<Slot> = JoinSet::new();
        let mut asking: Option<Pin<Box<dyn Future<Output = _> + Send + '_>>> = None;
        let mut outcome = Ok(());
        let now = leave.clone();
        let ends = async {
            tokio::select! {
                () = until(&mut leave, |leave| *leave > Leave::Stay) => {}
                () = until(&mut draining, |draining| *draining) => {}
            }
        };
        tokio::pin!(ends);
        loop {
            if asking.is_none() && !free.is_empty() {
                asking = Some(Box::pin(self.ask(free.len())));
            }
            // A question is never taken back while the worker stays: its answer may be on the way.
            let answer = async {
                match asking.as_mut() {
                    Some(asking) => asking.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut ends => break,
                Some(ended) = running.join_next() => free.extend(ended.ok()),
                answer = answer => {
                    asking = None;
                    match answer {
                        Ok(leases) => self.begin(leases, &mut free, &mut running),
                        Err(error) => {
                            outcome = Err(WorkerError::Refused(error));
                            break;
                        }
                    }
                }
            }
        }
        drop(asking);
        // Trials that began after the word to leave had gone round hear it here.
        self.registry.leave(*now.borrow());
        while running.join_next().await.is_some() {}
        outcome
    }

    /// Asks for work until there is an answer, which may be empty. Repeats the question under its request id, so that no
    /// lease gets lost on the way.
    async fn ask(&self, free: usize) -> Result<Vec<v1::Lease>, Error> {
        let transport = self.transport.with_retry(self.transport.retry().once());
        let mut backoff = transport.retry().backoff();
        let request = v1::AcquireRequest {
            worker: Some(self.hello.clone()),
            slots: u32::try_from(free).unwrap_or(u32::MAX),
            wait_seconds: self.context.config.wait_seconds,
            request_id: boxwood_client::request_id(),
        };
        loop {
            let asked = Instant::now();
            match transport.acquire(request.clone()).await {
                Ok(answer) => {
                    if answer.leases.is_empty() {
                        // A server that is closing answers at once.
                        tokio::time::sleep_until(asked + SHORTEST_POLL).await;
                    }
                    return Ok(answer.leases);
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    if error.is_unreachable() {
                        tracing::debug!(%error, "ask for work");
                    } else {
                        tracing::warn!(%error, "ask for work");
                    }
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    fn begin(&self, leases: Vec<v1::Lease>, free: &mut Vec<Slot>, running: &mut JoinSet<Slot>) {
        for lease in leases {
            let key = (lease.trial, lease.epoch);
            let Some(slot) = free.pop() else {
                tracing::error!(trial = key.0, "more leases came than were asked for");
                continue;
            };
            self.context.outbox.begin(key);
            let orders = self.registry.add(key, lease.lease_seconds);
            let context = Arc::clone(&self.context);
            running.spawn(async move {
                run(context, lease, slot.clone(), orders).await;
                slot
            });
        }
    }
}

/// Whether asking again cannot help: the worker itself is refused, not this one question.
fn is_final(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::Unauthenticated | ErrorCode::Forbidden | ErrorCode::NotFound | ErrorCode::SpecInvalid
        )
    )
}

/// Leases that an earlier process of this worker held: its children died with it.
fn give_back_abandoned(outbox: &Outbox, abandoned: &[Key]) {
    for key in abandoned {
        tracing::info!(trial = key.0, epoch = key.1, "giving back the lease of an earlier process");
        outbox.finish(Finish {
            key: *key,
            ending: Ending::Preempted,
            reason: "the worker was restarted".into(),
            result: None,
            checkpoint: String::new(),
            seconds: 0.0,
        });
    }
}

/// Keeps every lease alive and hands on the server's commands.
async fn heartbeats(
    transport: Transport,
    hello: v1::WorkerHello,
    registry: Arc<Registry>,
    drain: watch::Sender<bool>,
) {
    let mut last_beat = Instant::now();
    loop {
        let changed = registry.changed.notified();
        let interval =
            registry.heartbeat_interval().unwrap_or(IDLE_HEARTBEAT).clamp(SHORTEST_HEARTBEAT, IDLE_HEARTBEAT);
        tokio::select! {
            () = tokio::time::sleep_until(last_beat + interval) => {}
            () = changed => continue,
        }
        last_beat = Instant::now();
        let attempt = interval.max(Duration::from_secs(1));
        let once = transport.with_retry(RetryPolicy { attempt, ..transport.retry() }.once());
        let leases = registry.keys().into_iter().map(wire_key).collect();
        match once.heartbeat(v1::HeartbeatRequest { worker: Some(hello.clone()), leases }).await {
            Ok(answer) => {
                for status in answer.leases {
                    let Some(key) = status.lease.map(|key| (key.trial, key.epoch)) else { continue };
                    if !status.held {
                        registry.lose(key);
                    } else if let Ok(command) = Verdict::from_wire(status.command) {
                        registry.command(key, command);
                    }
                }
                if answer.drain && !drain.send_replace(true) {
                    tracing::info!("the server asks this worker to drain");
                }
            }
            // Children train on; whether the leases survived is the server's word when it is back.
            Err(error) if error.is_unreachable() => tracing::debug!(%error, "send heartbeat"),
            Err(error) => tracing::warn!(%error, "send heartbeat"),
        }
    }
}

/// Waits for a value; for ever when its sender is gone.
async fn until<T>(receiver: &mut watch::Receiver<T>, is_it: impl FnMut(&T) -> bool) {
    if receiver.wait_for(is_it).await.is_err() {
        std::future::pending::<()>().await;
    }
}
