//! The writer: one task per store that takes every waiting mutation into one transaction.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::columns::Founding;
use super::engine::{Engine, failed, is_conflict, is_transient};
use super::flush::flush;
use super::load::load;
use crate::apply::apply;
use crate::operation::{Answer, Operation};
use crate::{StoreError, StoreNotice, StoreResult};

/// Operations of one transaction.
const OPERATIONS: usize = 256;
/// Rows of one transaction, roughly.
const WEIGHT: usize = 8_192;
/// Attempts of an operation that another server's transaction came before.
const ATTEMPTS: usize = 4;

/// A mutation that waits, with the way back to its caller.
pub(crate) struct Job {
    pub operation: Operation,
    pub reply: oneshot::Sender<StoreResult<Answer>>,
}

/// Why a transaction was not committed.
enum Failure {
    /// The database is away or busy, or a row is damaged: the answer to every operation.
    Answer(StoreError),
    /// Another transaction came first.
    Conflict(sqlx::Error),
    /// A statement failed; one of the operations may be the cause.
    Statement(sqlx::Error),
    /// A defect of ours.
    Panic,
}

/// Takes jobs until every store handle is gone.
pub(crate) async fn write_loop(engine: Arc<Engine>, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut weight = first.operation.weight();
        let mut group = vec![first];
        while group.len() < OPERATIONS && weight < WEIGHT {
            let Ok(job) = jobs.try_recv() else { break };
            weight += job.operation.weight();
            group.push(job);
        }
        let (operations, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|job| (job.operation, job.reply)).unzip();
        let answers = run_group(&engine, operations).await;
        for (reply, answer) in replies.into_iter().zip(answers) {
            // The caller may have hung up; its mutation stands.
            let _ = reply.send(answer);
        }
    }
}

/// Runs a group together; where that fails, each operation alone.
async fn run_group(engine: &Arc<Engine>, operations: Vec<Operation>) -> Vec<StoreResult<Answer>> {
    let operations = Arc::new(operations);
    let count = operations.len();
    match attempt(engine, &operations, 0..count).await {
        Ok(answers) => answers,
        Err(Failure::Answer(error)) => vec![Err(error); count],
        Err(_) => {
            let mut answers = Vec::with_capacity(count);
            for index in 0..count {
                answers.push(run_alone(engine, &operations, index).await);
            }
            answers
        }
    }
}

async fn run_alone(
    engine: &Arc<Engine>,
    operations: &Arc<Vec<Operation>>,
    index: usize,
) -> StoreResult<Answer> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        return match attempt(engine, operations, index..index + 1).await {
            Ok(mut answers) => answers.pop().expect("one operation has one answer"),
            Err(Failure::Conflict(_)) if left > 0 => continue,
            Err(Failure::Conflict(error)) => {
                tracing::warn!(%error, "write beside other servers");
                Err(StoreError::Busy)
            }
            Err(Failure::Statement(error)) => Err(failed(error)),
            Err(Failure::Answer(error)) => Err(error),
            Err(Failure::Panic) => Err(StoreError::Backend {
                reason: "the server failed on this request; its log says why".into(),
            }),
        };
    }
}

/// One transaction, in a task of its own so that a panic ends the transaction and not the writer.
async fn attempt(
    engine: &Arc<Engine>,
    operations: &Arc<Vec<Operation>>,
    range: std::ops::Range<usize>,
) -> Result<Vec<StoreResult<Answer>>, Failure> {
    let (engine, operations) = (engine.clone(), operations.clone());
    let task = tokio::spawn(async move { transact(&engine, &operations[range]).await });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "apply operations");
        Err(Failure::Panic)
    })
}

async fn transact(engine: &Engine, operations: &[Operation]) -> Result<Vec<StoreResult<Answer>>, Failure> {
    let classify = |error: sqlx::Error| {
        if is_transient(&error) {
            Failure::Answer(failed(error))
        } else if is_conflict(&error) {
            Failure::Conflict(error)
        } else {
            Failure::Statement(error)
        }
    };
    let mut link = engine.write().await.map_err(classify)?;
    let mut tables = match load(engine, &mut link, operations).await {
        Ok(tables) => tables,
        Err(error) if operations.len() > 1 && matches!(error, StoreError::Corrupt { .. }) => {
            return Err(Failure::Panic);
        }
        Err(error) => return Err(Failure::Answer(error)),
    };
    let answers: Vec<_> = operations.iter().map(|operation| apply(&mut tables, operation)).collect();
    if let Err(error) = flush(engine, &mut link, &tables).await {
        // The first error is the one to tell; a failed roll-back closes the connection, which rolls back too.
        let _ = link.rollback().await;
        return Err(classify(error));
    }
    link.commit().await.map_err(classify)?;
    for id in &tables.written.new_studies {
        if let (Ok(study), Ok(checked)) = (tables.study(*id), tables.spec(*id)) {
            engine.keep_founding(*id, Founding { project: study.project, checked });
        }
    }
    for study in &tables.written.notices {
        // Nobody listening is no error.
        let _ = engine.notices.send(StoreNotice::Study(*study));
    }
    Ok(answers)
}
