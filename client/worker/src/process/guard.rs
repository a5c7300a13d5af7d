//! A shell that kills a process group when its worker is gone.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::unistd::Pid;

/// Waits for one line. The word `done` ends it; the end of the pipe, which comes when the worker dies, kills the group.
const SCRIPT: &str = r#"read -r word; [ "$word" = done ] || kill -s KILL -- "-$0""#;

#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
    line: Option<ChildStdin>,
}

impl Guard {
    pub(super) fn start(group: Pid) -> std::io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, &group.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .spawn()?;
        let line = shell.stdin.take();
        Ok(Self { shell, line })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Killed first, so that a failed write cannot make it act on a group whose number may be used again.
        if self.line.as_mut().is_none_or(|line| line.write_all(b"done\n").is_err()) {
            let _ = self.shell.kill();
        }
        drop(self.line.take());
        if let Err(error) = self.shell.wait() {
            tracing::debug!(%error, "wait for a guard");
        }
    }
}
