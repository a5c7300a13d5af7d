//! How a worker is told to leave.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How soon a worker leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leave {
    /// It stays.
    Stay,
    /// Children may write a checkpoint; their leases are given back.
    Soon,
    /// Children are killed; their leases are given back.
    Now,
}

/// Switch that tells a worker to leave. Clones are the same switch.
#[derive(Debug, Clone)]
pub struct Shutdown {
    leave: watch::Sender<Leave>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A switch that nothing has pressed yet.
    pub fn new() -> Self {
        Self { leave: watch::Sender::new(Leave::Stay) }
    }

    /// Leave: running programs get the grace time to write a checkpoint.
    pub fn leave(&self) {
        self.raise(Leave::Soon);
    }

    /// Leave at once: running programs are killed.
    pub fn kill(&self) {
        self.raise(Leave::Now);
    }

    /// Presses the switch at SIGTERM or Ctrl-C: once to leave, twice to leave at once. Call it inside a Tokio runtime.
    pub fn listen_to_signals(&self) -> std::io::Result<()> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let switch = self.clone();
        tokio::spawn(async move {
            for press in [Self::leave, Self::kill] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                press(&switch);
            }
        });
        Ok(())
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Leave> {
        self.leave.subscribe()
    }

    fn raise(&self, leave: Leave) {
        self.leave.send_modify(|now| *now = (*now).max(leave));
    }
}
