//! Sends reports and finishes in order, again and again until the server has answered each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use boxwood_client::{Backoff, Ending, Error, ErrorCode, RetryPolicy, Transport, Verdict};
use boxwood_wire::v1;
use tokio::sync::{Notify, oneshot};

use crate::journal::{Finish, Item, Journal, Report};
use crate::registry::{Key, Registry};

/// Most reports in one call.
const BATCH: usize = 200;

/// Queue of messages with its journal. Written by running trials, emptied by one task ([`Outbox::run`]).
#[derive(Debug)]
pub(crate) struct Outbox {
    transport: Transport,
    registry: Arc<Registry>,
    journal: Mutex<Journal>,
    /// Who waits for the verdict of a report, by number of the message.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Verdict>>>,
    changed: Notify,
    is_away: AtomicBool,
}

/// What to send next.
enum Batch {
    Reports(u64, Vec<(u64, Report)>),
    Finish(u64, Finish),
}

impl Outbox {
    pub(crate) fn new(transport: &Transport, registry: Arc<Registry>, journal: Journal) -> Self {
        Self {
            transport: transport.with_retry(transport.retry().once()),
            registry,
            journal: Mutex::new(journal),
            waiting: Mutex::default(),
            changed: Notify::new(),
            is_away: AtomicBool::new(false),
        }
    }

    pub(crate) fn begin(&self, key: Key) {
        self.journal().begin(key);
    }

    pub(crate) fn forget(&self, key: Key) {
        self.journal().forget(key);
        self.registry.remove(key);
    }

    /// Queues a report; its verdict arrives once the server has answered.
    pub(crate) fn report(&self, report: Report) -> oneshot::Receiver<Verdict> {
        let (sender, receiver) = oneshot::channel();
        // The waiter is entered under the journal's lock: the sending task cannot be faster.
        let mut journal = self.journal();
        let number = journal.push(Item::Report(report));
        lock(&self.waiting).insert(number, sender);
        drop(journal);
        self.changed.notify_waiters();
        receiver
    }

    /// Queues a finish; the lease is kept alive until the server has answered.
    pub(crate) fn finish(&self, finish: Finish) {
        self.journal().push(Item::Finish(finish));
        self.changed.notify_waiters();
    }

    /// Whether the last call did not reach the server.
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.journal().pending().is_empty()
    }

    /// Waits until everything has been answered.
    pub(crate) async fn flushed(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Sends for ever.
    pub(crate) async fn run(&self) {
        let mut backoff = self.backoff();
        let mut attempt = 0;
        loop {
            let changed = self.changed.notified();
            let Some(batch) = self.next() else {
                changed.await;
                continue;
            };
            attempt += 1;
            match self.send(&batch, attempt).await {
                Ok(()) => {
                    if self.is_away.swap(false, Ordering::Relaxed) {
                        tracing::info!("the server is back");
                    }
                    backoff = self.backoff();
                    attempt = 0;
                    self.changed.notify_waiters();
                }
                Err(error) => {
                    if !self.is_away.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "the server does not take messages; they are kept and sent later");
                        // Nobody waits for a verdict of a server that is away.
                        lock(&self.waiting).clear();
                    }
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    fn next(&self) -> Option<Batch> {
        let journal = self.journal();
        let pending = journal.pending();
        let reports = pending.iter().take(BATCH).map_while(|(number, item)| match item {
            Item::Report(report) => Some((*number, report.clone())),
            Item::Finish(_) => None,
        });
        let reports: Vec<_> = reports.collect();
        if let Some((last, _)) = reports.last() {
            return Some(Batch::Reports(*last, reports));
        }
        match pending.front()? {
            (number, Item::Finish(finish)) => Some(Batch::Finish(*number, finish.clone())),
            (_, Item::Report(_)) => None,
        }
    }

    /// Sends a batch and takes it out of the queue once it is answered; an error means that it stays.
    async fn send(&self, batch: &Batch, attempt: u32) -> Result<(), Error> {
        match batch {
            Batch::Reports(last, reports) => {
                let entries: Vec<_> = reports.iter().map(|(_, report)| report.to_wire()).collect();
                match self.transport.report(v1::ReportRequest { reports: entries }).await {
                    Ok(answer) => {
                        for ((number, report), answer) in reports.iter().zip(answer.answers) {
                            self.answered(*number, report, &answer);
                        }
                    }
                    Err(error) if stays(&error, attempt) => return Err(error),
                    Err(error) => tracing::error!(%error, count = reports.len(), "reports were refused"),
                }
                let mut waiting = lock(&self.waiting);
                for (number, _) in reports {
                    waiting.remove(number);
                }
                drop(waiting);
                self.journal().done(*last);
            }
            Batch::Finish(number, finish) => {
                let (trial, epoch) = finish.key;
                match self.transport.finish(finish.to_wire()).await {
                    Ok(answer) => {
                        tracing::info!(trial, epoch, accepted = answer.accepted, "lease ended");
                        self.journal().done(*number);
                        self.registry.remove(finish.key);
                    }
                    Err(error) if stays(&error, attempt) => return Err(error),
                    Err(error) => {
                        tracing::error!(%error, trial, epoch, "the end of a lease was refused");
                        let mut journal = self.journal();
                        journal.done(*number);
                        if let Some(second) = second_ending(finish, &error) {
                            // Goes to the end of the queue: this trial has nothing else in it.
                            journal.push(Item::Finish(second));
                        } else {
                            drop(journal);
                            self.registry.remove(finish.key);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn answered(&self, number: u64, report: &Report, answer: &v1::ReportAnswer) {
        let (trial, epoch) = report.key;
        let verdict = match answer.error_code.parse::<ErrorCode>() {
            Ok(ErrorCode::LeaseLost | ErrorCode::TrialFinished) => {
                tracing::info!(trial, epoch, code = answer.error_code, "lease lost");
                self.registry.lose(report.key);
                return;
            }
            Err(()) if answer.error_code.is_empty() => {
                Verdict::from_wire(answer.verdict).unwrap_or(Verdict::Continue)
            }
            Ok(_) | Err(()) => {
                let (code, message) = (&answer.error_code, &answer.error_message);
                tracing::warn!(trial, epoch, step = report.step, code, message, "a report was refused");
                Verdict::Continue
            }
        };
        self.registry.command(report.key, verdict);
        if let Some(waiting) = lock(&self.waiting).remove(&number) {
            let _ = waiting.send(verdict);
        }
    }

    fn backoff(&self) -> Backoff {
        let policy = self.transport.retry();
        RetryPolicy { longest_pause: policy.longest_pause.min(Duration::from_secs(5)), ..policy }.backoff()
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }
}

/// Attempts after which a fault of the server is taken for one that this message causes each time.
const FAULTS: u32 = 20;

/// Whether a message is kept for later: the server is away or at fault, or does not know this worker now but may again.
fn stays(error: &Error, attempt: u32) -> bool {
    match error.code() {
        Some(ErrorCode::Internal) => attempt < FAULTS,
        Some(code) => {
            code.is_retryable() || matches!(code, ErrorCode::Unauthenticated | ErrorCode::Forbidden)
        }
        // A proxy's answer or a broken connection says nothing about the message.
        None => true,
    }
}

/// What to say instead of an ending that the server does not take, so that the trial is not stuck until its lease ends.
fn second_ending(finish: &Finish, error: &Error) -> Option<Finish> {
    if finish.ending == Ending::ProgramFailed
        || error.is_lease_lost()
        || error.code() == Some(ErrorCode::NotFound)
    {
        return None;
    }
    Some(Finish {
        ending: Ending::ProgramFailed,
        reason: format!("its result was refused: {error}"),
        result: None,
        checkpoint: String::new(),
        ..finish.clone()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The queue is only changed by calls that leave it whole even when a caller panics later.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
