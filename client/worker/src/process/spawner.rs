//! Starts children from one thread that lives as long as the worker.

use std::io;
use std::sync::mpsc;

use nix::unistd::getpid;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Process;

type Request = (Command, oneshot::Sender<io::Result<Process>>);

/// The thread that starts children.
///
/// The parent death signal is sent when the *thread* that started a child ends (prctl(2), `PR_SET_PDEATHSIG`). Threads of
/// a Tokio runtime come and go, so every child is started from this one.
#[derive(Debug)]
pub(crate) struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread; children are awaited on the current runtime.
    pub(crate) fn start() -> io::Result<Self> {
        let (requests, receiver) = mpsc::channel::<Request>();
        let runtime = Handle::current();
        std::thread::Builder::new().name("boxwood-spawner".into()).spawn(move || {
            let _context = runtime.enter();
            for (command, answer) in receiver {
                // A process whose asker is gone is killed by its drop.
                let _ = answer.send(spawn(command));
            }
        })?;
        Ok(Self { requests })
    }

    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Process> {
        let (sender, receiver) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts children is gone");
        self.requests.send((command, sender)).map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }
}

fn spawn(mut command: Command) -> io::Result<Process> {
    command.process_group(0).kill_on_drop(true);
    tie_to_parent(&mut command);
    Process::new(command.spawn()?)
}

/// Asks the kernel to kill the child when this thread ends.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn tie_to_parent(command: &mut Command) {
    let parent = getpid();
    let tie = move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        // The worker may have died before the call above: then nobody would send the signal.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: the closure runs in the child between fork and exec, where only async-signal-safe calls are allowed. It makes
    // two system calls (prctl, getppid), allocates nothing and takes no lock; both error values are plain numbers.
    unsafe {
        command.pre_exec(tie);
    }
}

#[cfg(not(target_os = "linux"))]
fn tie_to_parent(_command: &mut Command) {}
