//! Ending with the process that started this one.

/// Asks the kernel for SIGTERM when the parent ends, however it ends.
#[cfg(target_os = "linux")]
pub(crate) fn follow_parent() -> anyhow::Result<()> {
    use anyhow::Context;
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::TERM)).context("follow the parent process")?;
    // The parent may have ended before the call above: then init is the parent and nothing will come.
    if getppid().is_none_or(|parent| parent == Pid::INIT) {
        anyhow::bail!("the process that started this one has ended");
    }
    Ok(())
}

/// Other systems have no such call; the parent ends its children itself.
#[cfg(not(target_os = "linux"))]
pub(crate) fn follow_parent() -> anyhow::Result<()> {
    Ok(())
}
