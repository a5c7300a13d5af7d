//! What the end of a child means: a pure table.

use boxwood_client::Ending;

/// Why a child was made to end, where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The lease is lost.
    Lost,
    /// A stop verdict or command.
    Stopped,
    /// A yield verdict or command.
    Yielded,
    /// The worker leaves.
    Leaving,
    /// It took too long.
    TimedOut,
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    /// The worker sent SIGKILL.
    pub(super) killed_by_us: bool,
    /// The kernel killed something for want of memory in the meantime.
    pub(super) memory_kill: bool,
}

/// All that is known about a run.
#[derive(Debug, Clone)]
pub(super) struct Facts<'a> {
    pub(super) why: Option<Why>,
    pub(super) exit: &'a Exit,
    pub(super) last_step: Option<u64>,
    pub(super) to: u64,
    pub(super) missing_metric: Option<&'a str>,
    pub(super) infeasible: Option<&'a str>,
    pub(super) tail: String,
    pub(super) timed_out: Option<f64>,
}

/// What to tell the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conclusion {
    pub(super) ending: Ending,
    pub(super) reason: String,
    pub(super) keeps_checkpoint: bool,
}

/// Decides how a lease ends; `None` means that the work is discarded.
///
/// A result at the target counts however the child ended afterwards by our own doing; its checkpoint only after exit
/// code 0, when it is known to be whole.
pub(super) fn conclude(facts: &Facts<'_>) -> Option<Conclusion> {
    let says = |ending, reason: String| Conclusion { ending, reason, keeps_checkpoint: false };
    if facts.why == Some(Why::Lost) {
        return None;
    }
    if let Some(reason) = facts.infeasible {
        return Some(says(Ending::Infeasible, reason.to_owned()));
    }
    let ended_well = facts.exit.code == Some(0);
    let is_complete = facts.last_step.is_some_and(|step| step >= facts.to) && facts.missing_metric.is_none();
    if is_complete && (ended_well || facts.why.is_some()) {
        return Some(Conclusion {
            ending: Ending::Reached,
            reason: String::new(),
            keeps_checkpoint: ended_well,
        });
    }
    Some(match facts.why {
        Some(Why::Stopped) => says(Ending::Stopped, String::new()),
        Some(Why::Yielded) => {
            Conclusion { keeps_checkpoint: ended_well, ..says(Ending::Preempted, "yielded".into()) }
        }
        Some(Why::Leaving) => {
            Conclusion { keeps_checkpoint: ended_well, ..says(Ending::Preempted, "the worker leaves".into()) }
        }
        Some(Why::TimedOut) => {
            let seconds = facts.timed_out.unwrap_or_default();
            says(Ending::ProgramFailed, with_tail(&format!("timed out after {seconds} s"), &facts.tail))
        }
        Some(Why::Lost) => return None,
        None if ended_well => {
            let reason = match (facts.last_step, facts.missing_metric) {
                (None, _) => "ended without a report".to_owned(),
                (Some(step), Some(metric)) if step >= facts.to => {
                    format!("its last report lacks metric {metric}")
                }
                (Some(step), _) => format!("ended at step {step} of {}", facts.to),
            };
            says(Ending::ProgramFailed, with_tail(&reason, &facts.tail))
        }
        None => {
            let ending = if is_out_of_memory(facts.exit, &facts.tail) {
                Ending::OutOfMemory
            } else {
                Ending::ProgramFailed
            };
            let how = match (facts.exit.code, facts.exit.signal) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("killed by signal {signal}"),
                (None, None) => "ended without an exit code".to_owned(),
            };
            says(ending, with_tail(&how, &facts.tail))
        }
    })
}

fn with_tail(reason: &str, tail: &str) -> String {
    if tail.is_empty() { reason.to_owned() } else { format!("{reason}\n{tail}") }
}

/// Texts of programs that found no memory: CUDA, Torch, Python, C++, Rust and the C library.
const OUT_OF_MEMORY: [&str; 8] = [
    "out of memory",
    "outofmemory",
    "out_of_memory",
    "memoryerror",
    "std::bad_alloc",
    "cannot allocate memory",
    "memory allocation of",
    "resource_exhausted",
];
const SIGKILL: i32 = 9;
/// What a shell returns for a child killed by SIGKILL.
const SHELL_SIGKILL: i32 = 128 + SIGKILL;

fn is_out_of_memory(exit: &Exit, tail: &str) -> bool {
    let tail = tail.to_lowercase();
    if OUT_OF_MEMORY.iter().any(|text| tail.contains(text)) {
        return true;
    }
    let was_killed = exit.signal == Some(SIGKILL) || exit.code == Some(SHELL_SIGKILL);
    was_killed
        && !exit.killed_by_us
        && (exit.memory_kill || tail.lines().any(|line| line.trim_end().ends_with("killed")))
}

/// Processes that the kernel has killed for want of memory since the machine started; 0 where it does not tell.
pub(super) fn memory_kills() -> u64 {
    let table = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = table.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
    count.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(
        why: Option<Why>,
        code: i32,
        last_step: Option<u64>,
        tail: &str,
    ) -> Option<(Ending, String, bool)> {
        let exit = Exit { code: Some(code), signal: None, killed_by_us: false, memory_kill: false };
        let facts = Facts {
            why,
            exit: &exit,
            last_step,
            to: 9,
            missing_metric: None,
            infeasible: None,
            tail: tail.into(),
            timed_out: Some(1.5),
        };
        conclude(&facts).map(|end| (end.ending, end.reason, end.keeps_checkpoint))
    }

    #[test]
    fn every_end_has_its_meaning() {
        use Ending::{OutOfMemory, Preempted, ProgramFailed, Reached, Stopped};
        let says = |ending, reason: &str, keeps| Some((ending, reason.to_owned(), keeps));
        assert_eq!(ending(None, 0, Some(9), ""), says(Reached, "", true));
        assert_eq!(ending(None, 0, Some(3), ""), says(ProgramFailed, "ended at step 3 of 9", false));
        assert_eq!(ending(None, 0, None, "hm"), says(ProgramFailed, "ended without a report\nhm", false));
        assert_eq!(ending(None, 2, Some(9), "boom"), says(ProgramFailed, "exit code 2\nboom", false));
        let text = "RuntimeError: CUDA error: out of memory";
        assert_eq!(ending(None, 1, None, text), says(OutOfMemory, &format!("exit code 1\n{text}"), false));
        assert_eq!(ending(None, 137, None, "Killed"), says(OutOfMemory, "exit code 137\nKilled", false));
        assert_eq!(ending(None, 137, None, ""), says(ProgramFailed, "exit code 137", false));
        assert_eq!(ending(Some(Why::Lost), 0, Some(9), ""), None);
        assert_eq!(ending(Some(Why::Stopped), 143, Some(3), ""), says(Stopped, "", false));
        assert_eq!(ending(Some(Why::Stopped), 143, Some(9), ""), says(Reached, "", false));
        assert_eq!(ending(Some(Why::Yielded), 0, Some(3), ""), says(Preempted, "yielded", true));
        assert_eq!(ending(Some(Why::Leaving), 143, None, ""), says(Preempted, "the worker leaves", false));
        assert_eq!(
            ending(Some(Why::TimedOut), 137, None, ""),
            says(ProgramFailed, "timed out after 1.5 s", false)
        );
    }

    #[test]
    fn a_kill_of_ours_is_no_want_of_memory() {
        let exit = Exit { code: None, signal: Some(9), killed_by_us: false, memory_kill: true };
        assert!(is_out_of_memory(&exit, ""));
        assert!(!is_out_of_memory(&Exit { killed_by_us: true, ..exit }, ""));
    }
}
