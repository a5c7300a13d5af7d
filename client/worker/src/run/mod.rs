//! One lease from its grant to its end.

mod conversation;
mod log;
mod outcome;
mod prepare;

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use boxwood_client::child::{Message, Numbers, Reply};
use boxwood_client::{Ending, Verdict};
use boxwood_wire::v1;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::checkpoint::CheckpointStore;
use crate::config::{KeepFolders, StopSign, WorkerConfig};
use crate::journal::{Finish, Report};
use crate::outbox::Outbox;
use crate::process::{Process, Spawner};
use crate::registry::{Key, Orders};
use crate::shutdown::Leave;
use crate::slot::Slot;

use conversation::Event;
use log::Log;
use outcome::{Exit, Facts, Why};
use prepare::Prepared;

/// What all runs of a worker share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: WorkerConfig,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) checkpoints: CheckpointStore,
    pub(crate) spawner: Spawner,
    /// Folders of attempts.
    pub(crate) attempts: PathBuf,
    /// Short path for sockets, whose paths are limited to about 100 bytes.
    pub(crate) sockets: tempfile::TempDir,
}

/// How long output is read after the child's end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs a lease and queues its end.
pub(crate) async fn run(
    context: Arc<Context>,
    lease: v1::Lease,
    slot: Slot,
    orders: watch::Receiver<Orders>,
) {
    let key = (lease.trial, lease.epoch);
    tracing::info!(
        trial = key.0,
        epoch = key.1,
        study = lease.study_name,
        number = lease.number,
        slot = slot.index,
        from = lease.from,
        to = lease.to,
        "lease begun"
    );
    let started = Instant::now();
    let finish = match prepare::prepare(&context, &lease, &slot) {
        Err(reason) => Some(Finish {
            key,
            ending: Ending::ProgramFailed,
            reason,
            result: None,
            checkpoint: String::new(),
            seconds: 0.0,
        }),
        Ok(prepared) => Run::new(Arc::clone(&context), lease, started, orders).go(prepared).await,
    };
    if let Some(finish) = finish {
        tracing::info!(trial = key.0, epoch = key.1, ending = %finish.ending, reason = finish.reason.lines().next(), "run ended");
        context.outbox.finish(finish);
    } else {
        tracing::info!(trial = key.0, epoch = key.1, "lease lost; its work is discarded");
        context.outbox.forget(key);
    }
}

/// When a child that was asked to end is made to.
#[derive(Debug, Clone, Copy)]
struct Deadlines {
    terminate: Option<Instant>,
    kill: Instant,
}

struct Run {
    context: Arc<Context>,
    lease: v1::Lease,
    key: Key,
    started: Instant,
    orders: watch::Receiver<Orders>,
    log: Log,
    last: Option<Report>,
    infeasible: Option<String>,
    why: Option<Why>,
    deadlines: Option<Deadlines>,
    uses_socket: bool,
    killed_by_us: bool,
}

impl Run {
    fn new(
        context: Arc<Context>,
        lease: v1::Lease,
        started: Instant,
        orders: watch::Receiver<Orders>,
    ) -> Self {
        let key = (lease.trial, lease.epoch);
        Self {
            context,
            lease,
            key,
            started,
            orders,
            log: Log::none(),
            last: None,
            infeasible: None,
            why: None,
            deadlines: None,
            uses_socket: false,
            killed_by_us: false,
        }
    }

    async fn go(mut self, prepared: Prepared) -> Option<Finish> {
        self.log = Log::create(&prepared.folder);
        let memory_kills = outcome::memory_kills();
        let finish = match self.converse(&prepared).await {
            Err(error) => {
                self.context.checkpoints.discard(&prepared.checkpoint_out);
                let reason = format!("start `{}`: {error}", prepared.executable);
                Some(self.finish(Ending::ProgramFailed, reason, None, String::new()))
            }
            Ok((exit, timed_out)) => {
                let exit = Exit {
                    code: exit.code(),
                    signal: exit.signal(),
                    killed_by_us: self.killed_by_us,
                    memory_kill: outcome::memory_kills() > memory_kills,
                };
                self.conclude(&prepared, &exit, timed_out)
            }
        };
        let failed = finish
            .as_ref()
            .is_some_and(|finish| matches!(finish.ending, Ending::ProgramFailed | Ending::OutOfMemory));
        let keep = match self.context.config.keep_folders {
            KeepFolders::All => true,
            KeepFolders::Failed => failed,
            KeepFolders::None => false,
        };
        if !keep && let Err(error) = std::fs::remove_dir_all(&prepared.folder) {
            tracing::warn!(%error, path = %prepared.folder.display(), "remove the folder of an attempt");
        }
        finish
    }

    /// Runs the child and listens to it until it has ended. Returns its exit and the timeout if that ended it.
    async fn converse(&mut self, prepared: &Prepared) -> std::io::Result<(ExitStatus, Option<f64>)> {
        let (sender, mut events) = mpsc::channel(256);
        let listener = conversation::listen(&prepared.socket, sender.clone())?;
        let mut process = self.context.spawner.spawn(prepared.command()).await?;
        let (out, err) = process.outputs();
        conversation::read_output(out, true, sender.clone());
        conversation::read_output(err, false, sender);
        let timeout = prepared.program.timeout_seconds;
        let mut limit = timeout.map(|seconds| self.started + Duration::from_secs_f64(seconds));
        let mut orders_are_open = true;
        self.obey(&process, prepared);
        let exit = loop {
            let due = [limit, self.deadlines.map(|deadlines| deadlines.terminate.unwrap_or(deadlines.kill))];
            let due = due.into_iter().flatten().min();
            tokio::select! {
                exit = process.wait() => break exit?,
                Some(event) = events.recv() => self.hear(event, &process, prepared),
                changed = self.orders.changed(), if orders_are_open => {
                    orders_are_open = changed.is_ok();
                    self.obey(&process, prepared);
                }
                () = tokio::time::sleep_until(due.unwrap_or(self.started)), if due.is_some() => {
                    self.press(&process, &mut limit);
                }
            }
        };
        // A child that ended because of a verdict must not be taken for one that gave up: the order may be unread.
        self.obey(&process, prepared);
        // What the child started must not hold the pipes open, nor live on.
        process.kill();
        listener.abort();
        let last_words = async {
            while let Some(event) = events.recv().await {
                self.hear(event, &process, prepared);
            }
        };
        if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
            tracing::warn!(trial = self.key.0, "a child's output stayed open after its end");
        }
        let timed_out = timeout.filter(|_| self.why == Some(Why::TimedOut));
        Ok((exit, timed_out))
    }

    /// Acts on what the server and the worker's own end ask for.
    fn obey(&mut self, process: &Process, prepared: &Prepared) {
        let orders = *self.orders.borrow_and_update();
        if orders.lost {
            self.why = Some(Why::Lost);
            return self.kill(process);
        }
        if orders.leave == Leave::Now {
            self.why.get_or_insert(Why::Leaving);
            return self.kill(process);
        }
        // A child at its target ends by itself: it is not disturbed while it writes its checkpoint.
        let is_done = self.last.as_ref().is_some_and(|last| last.step >= self.lease.to);
        let why = match (orders.verdict, orders.leave) {
            (Verdict::Stop, _) => Why::Stopped,
            (Verdict::Yield, _) => Why::Yielded,
            (Verdict::Continue, Leave::Soon) => Why::Leaving,
            (Verdict::Continue, Leave::Stay | Leave::Now) => return,
        };
        if is_done && why != Why::Leaving {
            return;
        }
        // A stop is stronger than a yield that came before; the wait that began then goes on.
        let is_new = self.why.is_none();
        if is_new || (self.why != Some(Why::Stopped) && why == Why::Stopped) {
            self.why = Some(why);
            let word = if why == Why::Stopped { "stop" } else { "yield" };
            if let Err(error) = std::fs::write(&prepared.verdict, word) {
                tracing::warn!(%error, path = %prepared.verdict.display(), "write the verdict file");
            }
        }
        if !is_new {
            return;
        }
        let grace = Duration::from_secs_f64(self.context.config.grace_seconds);
        let waits_for_file = self.uses_socket || prepared.program.stop_sign() == StopSign::File;
        self.deadlines = Some(if waits_for_file {
            let terminate = Instant::now() + grace;
            Deadlines { terminate: Some(terminate), kill: terminate + grace.min(Duration::from_secs(2)) }
        } else {
            process.terminate();
            Deadlines { terminate: None, kill: Instant::now() + grace }
        });
    }

    /// A deadline has come.
    fn press(&mut self, process: &Process, limit: &mut Option<Instant>) {
        let now = Instant::now();
        if limit.take_if(|limit| now >= *limit).is_some() {
            self.why = Some(Why::TimedOut);
            return self.kill(process);
        }
        match &mut self.deadlines {
            Some(deadlines) if deadlines.terminate.is_some_and(|terminate| now >= terminate) => {
                deadlines.terminate = None;
                process.terminate();
            }
            Some(deadlines) if deadlines.terminate.is_none() && now >= deadlines.kill => self.kill(process),
            Some(_) | None => {}
        }
    }

    fn kill(&mut self, process: &Process) {
        self.killed_by_us = true;
        process.kill();
        // Nothing is left to wait for but the exit itself.
        self.deadlines = Some(Deadlines { terminate: None, kill: Instant::now() + LAST_WORDS });
    }

    fn hear(&mut self, event: Event, process: &Process, prepared: &Prepared) {
        match event {
            Event::Line(line) => self.log.write(&line),
            Event::Connected => self.uses_socket = true,
            Event::Message(message, reply) => {
                let verdict = self.accept(message, process);
                if let Some(reply) = reply {
                    self.answer(verdict, reply);
                }
            }
        }
        self.obey(process, prepared);
    }

    /// Takes a message. The server's verdict, where one will come, arrives by the receiver.
    fn accept(&mut self, message: Message, process: &Process) -> Option<oneshot::Receiver<Verdict>> {
        match message {
            Message::Report(numbers) => self.report(numbers, process),
            Message::Finish(numbers) => {
                let numbers = Numbers { step: numbers.step.or(Some(self.lease.to)), ..numbers };
                self.report(numbers, process)
            }
            Message::Infeasible(reason) => {
                self.infeasible = Some(reason);
                None
            }
        }
    }

    fn report(&mut self, numbers: Numbers, process: &Process) -> Option<oneshot::Receiver<Verdict>> {
        let step = numbers.step?;
        if self.infeasible.is_some() || self.why == Some(Why::Lost) {
            return None;
        }
        let mut metrics = HashMap::new();
        for (name, value) in numbers.metrics {
            if value.is_finite() {
                metrics.insert(name, value);
            } else if self.lease.metrics.is_empty() || self.lease.metrics.contains(&name) {
                self.infeasible = Some(format!("metric {name} is {value} at step {step}"));
                self.kill(process);
                return None;
            } else {
                tracing::debug!(
                    trial = self.key.0,
                    name,
                    value,
                    step,
                    "a metric that nobody needs is not finite"
                );
            }
        }
        // A program that repeats its last report as its result says nothing new.
        if self.last.as_ref().is_some_and(|last| last.step == step && last.metrics == metrics) {
            return None;
        }
        let seconds = numbers.seconds.unwrap_or_else(|| self.started.elapsed().as_secs_f64());
        let report = Report { key: self.key, step, metrics, seconds: Some(self.lease.seconds + seconds) };
        if self.last.as_ref().is_none_or(|last| step >= last.step) {
            self.last = Some(report.clone());
        }
        Some(self.context.outbox.report(report))
    }

    /// Answers a child with the strongest verdict known, after the server's own where that comes in time.
    fn answer(&self, verdict: Option<oneshot::Receiver<Verdict>>, reply: oneshot::Sender<Reply>) {
        let orders = self.orders.clone();
        let is_away = self.context.outbox.is_away();
        let wait = Duration::from_secs_f64(self.context.config.verdict_wait_seconds);
        tokio::spawn(async move {
            if let Some(verdict) = verdict.filter(|_| !is_away) {
                let _ = tokio::time::timeout(wait, verdict).await;
            }
            let orders = *orders.borrow();
            let leaves = if orders.leave == Leave::Stay { Verdict::Continue } else { Verdict::Yield };
            let lost = if orders.lost { Verdict::Stop } else { Verdict::Continue };
            let _ = reply.send(Reply::Verdict(orders.verdict.max(leaves).max(lost)));
        });
    }

    fn conclude(&mut self, prepared: &Prepared, exit: &Exit, timed_out: Option<f64>) -> Option<Finish> {
        let last = self.last.take();
        let missing = self
            .lease
            .metrics
            .iter()
            .find(|metric| last.as_ref().is_some_and(|last| !last.metrics.contains_key(metric.as_str())));
        let facts = Facts {
            why: self.why,
            exit,
            last_step: last.as_ref().map(|last| last.step),
            to: self.lease.to,
            missing_metric: missing.map(String::as_str),
            infeasible: self.infeasible.as_deref(),
            tail: self.log.tail(),
            timed_out,
        };
        let conclusion = outcome::conclude(&facts);
        let store = &self.context.checkpoints;
        let checkpoint = match &conclusion {
            Some(conclusion) if conclusion.keeps_checkpoint => {
                let units = last.as_ref().map_or(self.lease.from, |last| last.step);
                store.keep(&prepared.checkpoint_out, &self.lease, units).unwrap_or_else(|error| {
                    tracing::error!(%error, trial = self.key.0, "keep a checkpoint");
                    None
                })
            }
            Some(_) | None => {
                store.discard(&prepared.checkpoint_out);
                None
            }
        };
        let conclusion = conclusion?;
        let result = last.filter(|_| matches!(conclusion.ending, Ending::Reached | Ending::Stopped));
        Some(self.finish(conclusion.ending, conclusion.reason, result, checkpoint.unwrap_or_default()))
    }

    fn finish(&self, ending: Ending, reason: String, result: Option<Report>, checkpoint: String) -> Finish {
        let seconds = self.started.elapsed().as_secs_f64();
        Finish { key: self.key, ending, reason, result, checkpoint, seconds }
    }
}
