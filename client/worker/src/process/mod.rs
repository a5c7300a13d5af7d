//! Child processes that cannot outlive their worker.
//!
//! Each child leads a process group of its own, so that a terminal's Ctrl-C does not reach it and whatever it starts can
//! be killed with it. Two nets catch a worker that is killed: on Linux the kernel kills the child itself (parent death
//! signal), and a guard, a small shell that waits on a pipe from the worker, kills the whole group.

mod guard;
mod spawner;

use std::process::ExitStatus;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
pub(crate) use spawner::Spawner;
use tokio::process::{Child, ChildStderr, ChildStdout};

use guard::Guard;

/// A running child with its group and guard.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    guard: Option<Guard>,
}

impl Process {
    fn new(child: Child) -> std::io::Result<Self> {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let group = group.ok_or_else(|| std::io::Error::other("the child has no process id"))?;
        let guard = Guard::start(group).inspect_err(|error| {
            tracing::warn!(%error, "start the guard of a child; what it starts may outlive a killed worker");
        });
        Ok(Self { child, group, guard: guard.ok() })
    }

    pub(crate) fn outputs(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Waits for the end of the child. May be called again after a cancelled wait.
    pub(crate) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks the group to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Kills the group.
    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    fn signal(&self, signal: Signal) {
        match killpg(self.group, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => {
                tracing::warn!(%error, group = self.group.as_raw(), %signal, "signal a process group");
            }
        }
    }
}

impl Drop for Process {
    /// Whatever the child started ends with it. The guard is let go afterwards.
    fn drop(&mut self) {
        self.kill();
        drop(self.guard.take());
    }
}
