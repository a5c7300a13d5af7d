//! Output of a child: a file in the folder of the attempt, and its last lines for messages.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Lines that a message quotes.
const TAIL_LINES: usize = 20;
/// Longest line that a message quotes, in bytes.
const TAIL_LINE_BYTES: usize = 300;
/// Longest file.
const FILE_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    left: usize,
    tail: VecDeque<String>,
}

impl Log {
    pub(super) fn none() -> Self {
        Self { file: None, left: FILE_BYTES, tail: VecDeque::new() }
    }

    pub(super) fn create(folder: &Path) -> Self {
        let file = File::create(folder.join("output.log"));
        let file = file.inspect_err(|error| tracing::warn!(%error, "create the log of a child")).ok();
        Self { file, ..Self::none() }
    }

    pub(super) fn write(&mut self, line: &str) {
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        let end = line.floor_char_boundary(TAIL_LINE_BYTES);
        self.tail.push_back(line[..end].to_owned());
        let Some(file) = &mut self.file else { return };
        let size = line.len() + 1;
        let written = if size <= self.left {
            self.left -= size;
            writeln!(file, "{line}")
        } else {
            self.left = 0;
            writeln!(file, "[the log is full; the rest is not kept]")
        };
        if self.left == 0 || written.is_err() {
            self.file = None;
        }
    }

    /// The last lines.
    pub(super) fn tail(&self) -> String {
        self.tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
