//! What has not been acknowledged by the server, in memory and in a file that survives the process.
//!
//! One JSON line per event: a lease begun, a report, a finish, or the number of the last message that was acknowledged.
//! The file outlives kill -9 of the worker (not a power cut: it is not synced for each line).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use boxwood_client::Ending;
use boxwood_wire::v1;
use serde::{Deserialize, Serialize};

use crate::registry::{Key, wire_key};

/// Lines after which the file is written anew with what is still open.
const COMPACT_AFTER: usize = 10_000;

/// A report on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) key: Key,
    pub(crate) step: u64,
    pub(crate) metrics: HashMap<String, f64>,
    pub(crate) seconds: Option<f64>,
}

/// A finish on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finish {
    pub(crate) key: Key,
    pub(crate) ending: Ending,
    pub(crate) reason: String,
    pub(crate) result: Option<Report>,
    pub(crate) checkpoint: String,
    pub(crate) seconds: f64,
}

/// A message that waits for its acknowledgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Item {
    Report(Report),
    Finish(Finish),
}

impl Report {
    pub(crate) fn to_wire(&self) -> v1::ReportEntry {
        v1::ReportEntry {
            lease: Some(wire_key(self.key)),
            step: self.step,
            metrics: self.metrics.clone(),
            seconds: self.seconds,
        }
    }
}

impl Finish {
    pub(crate) fn to_wire(&self) -> v1::FinishRequest {
        v1::FinishRequest {
            lease: Some(wire_key(self.key)),
            ending: self.ending.to_wire().into(),
            reason: self.reason.clone(),
            result: self.result.as_ref().map(Report::to_wire),
            checkpoint: self.checkpoint.clone(),
            seconds: self.seconds,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Begun(Key),
    Sent(u64, Item),
    Done(u64),
}

/// The queue of messages and its file.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Option<File>,
    lines: usize,
    next: u64,
    pending: VecDeque<(u64, Item)>,
    /// Leases begun whose finish has not been written.
    open: BTreeSet<Key>,
}

impl Journal {
    /// Opens a journal and gives back the leases that an earlier process began and never finished.
    pub(crate) fn open(path: PathBuf) -> io::Result<(Self, Vec<Key>)> {
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut journal =
            Self { path, file: None, lines: 0, next: 1, pending: VecDeque::new(), open: BTreeSet::new() };
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(line) => journal.apply(line),
                // The last line of a process that was killed while it wrote.
                Err(error) => {
                    tracing::warn!(%error, "a line of the journal cannot be read; it is passed over");
                }
            }
        }
        journal.compact()?;
        let abandoned = journal.open.iter().copied().collect();
        Ok((journal, abandoned))
    }

    pub(crate) fn begin(&mut self, key: Key) {
        self.write(&Line::Begun(key));
        self.apply(Line::Begun(key));
    }

    /// Adds a message at the end of the queue and returns its number.
    pub(crate) fn push(&mut self, item: Item) -> u64 {
        let number = self.next;
        let line = Line::Sent(number, item);
        self.write(&line);
        self.apply(line);
        number
    }

    /// Takes every message up to this number out of the queue.
    pub(crate) fn done(&mut self, number: u64) {
        self.write(&Line::Done(number));
        self.apply(Line::Done(number));
        if self.lines > COMPACT_AFTER
            && let Err(error) = self.compact()
        {
            tracing::warn!(%error, "compact the journal");
        }
    }

    /// The lease of a begun trial ended without a finish: it was lost.
    pub(crate) fn forget(&mut self, key: Key) {
        self.open.remove(&key);
    }

    pub(crate) fn pending(&self) -> &VecDeque<(u64, Item)> {
        &self.pending
    }

    fn apply(&mut self, line: Line) {
        match line {
            Line::Begun(key) => {
                self.open.insert(key);
            }
            Line::Sent(number, item) => {
                if let Item::Finish(finish) = &item {
                    self.open.remove(&finish.key);
                }
                self.next = self.next.max(number + 1);
                self.pending.push_back((number, item));
            }
            Line::Done(number) => {
                while self.pending.front().is_some_and(|(first, _)| *first <= number) {
                    self.pending.pop_front();
                }
            }
        }
    }

    fn write(&mut self, line: &Line) {
        let Some(file) = &mut self.file else { return };
        self.lines += 1;
        let mut text =
            serde_json::to_vec(line).expect("numbers of a message are finite and its keys are text");
        text.push(b'\n');
        // With a full disk the queue in memory goes on; what is lost is only its life after this process.
        if let Err(error) = file.write_all(&text) {
            tracing::warn!(%error, path = %self.path.display(), "write to the journal");
        }
    }

    fn compact(&mut self) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        self.file = Some(File::create(&fresh)?);
        let open: Vec<Key> = self.open.iter().copied().collect();
        for key in open {
            self.write(&Line::Begun(key));
        }
        for (number, item) in self.pending.clone() {
            self.write(&Line::Sent(number, item));
        }
        self.lines = 0;
        std::fs::rename(fresh, &self.path)
    }

    /// Path of the journal in a work folder.
    pub(crate) fn path_in(work_folder: &Path) -> PathBuf {
        work_folder.join("journal.jsonl")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn report(trial: i64, step: u64) -> Item {
        let metrics = HashMap::from([("auc".to_owned(), 0.1 + step as f64 / 3.0)]);
        Item::Report(Report { key: (trial, 1), step, metrics, seconds: Some(0.5) })
    }

    fn finish(trial: i64) -> Item {
        Item::Finish(Finish {
            key: (trial, 1),
            ending: Ending::Reached,
            reason: String::new(),
            result: None,
            checkpoint: "file:x".into(),
            seconds: 1.0,
        })
    }

    #[test]
    fn what_was_not_acknowledged_is_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = Journal::path_in(folder.path());
        let (mut journal, abandoned) = Journal::open(path.clone()).unwrap();
        assert!(abandoned.is_empty());
        journal.begin((1, 1));
        journal.begin((2, 1));
        let first = journal.push(report(1, 1));
        journal.push(report(2, 1));
        journal.push(finish(1));
        journal.done(first);
        drop(journal);
        // A torn last line is passed over.
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"sent\":[9,").unwrap();
        for _ in 0..2 {
            let (journal, abandoned) = Journal::open(path.clone()).unwrap();
            assert_eq!(abandoned, [(2, 1)]);
            let items: Vec<_> = journal.pending().iter().map(|(_, item)| item.clone()).collect();
            assert_eq!(items, [report(2, 1), finish(1)]);
        }
        let (mut journal, _) = Journal::open(path).unwrap();
        let last = journal.push(finish(2));
        journal.done(last);
        assert!(journal.pending().is_empty() && journal.open.is_empty());
    }
}
