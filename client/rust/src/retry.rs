//! When and how long a failed call is repeated.

use std::time::Duration;

use rand::RngExt;

use crate::error::code_of;

/// How long a call that did not reach the server is repeated. Every call may be repeated: it carries a request id or is
/// keyed by its lease.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Time after which the call fails, from its first attempt. Zero means one attempt.
    pub deadline: Duration,
    /// Longest wait for one answer, in addition to what a long poll asks the server to wait.
    pub attempt: Duration,
    /// First pause between attempts; it doubles from there.
    pub first_pause: Duration,
    /// Longest pause between attempts.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            deadline: Duration::from_mins(2),
            attempt: Duration::from_secs(20),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    /// The same policy with one attempt only.
    #[must_use]
    pub fn once(self) -> Self {
        Self { deadline: Duration::ZERO, ..self }
    }

    /// Pauses of this policy, from the first.
    pub fn backoff(&self) -> Backoff {
        Backoff { next: self.first_pause, longest: self.longest_pause }
    }
}

/// Growing pauses with jitter: each is drawn between half and the whole of a time that doubles up to a limit.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let whole = self.next.min(self.longest);
        self.next = (whole * 2).min(self.longest);
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// Whether the same call may go through later, and the delay that the server asked for at least.
pub(crate) fn may_retry(status: &tonic::Status) -> Option<Duration> {
    let retry = match code_of(status) {
        Some(code) => code.is_retryable(),
        // A status that the transport made carries its cause; one that a server sent does not.
        None => status.code() == tonic::Code::Unavailable || std::error::Error::source(status).is_some(),
    };
    retry.then(|| {
        let delay = status.metadata().get("retry-after").and_then(|delay| delay.to_str().ok()?.parse().ok());
        delay.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_with_jitter() {
        let policy = RetryPolicy {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_millis(350),
            ..RetryPolicy::default()
        };
        let mut backoff = policy.backoff();
        for whole in [100, 200, 350, 350] {
            let pause = backoff.pause();
            assert!(pause <= Duration::from_millis(whole) && pause >= Duration::from_millis(whole / 2));
        }
    }

    #[test]
    fn codes_decide_and_a_plain_unavailable_is_retried() {
        let mut status = tonic::Status::new(tonic::Code::Unavailable, "closed");
        assert_eq!(may_retry(&status), Some(Duration::ZERO));
        status.metadata_mut().insert("boxwood-code", "study_closed".parse().expect("ascii"));
        assert_eq!(may_retry(&status), None);
        let mut limited = tonic::Status::new(tonic::Code::ResourceExhausted, "slow down");
        limited.metadata_mut().insert("boxwood-code", "rate_limited".parse().expect("ascii"));
        limited.metadata_mut().insert("retry-after", "1.5".parse().expect("ascii"));
        assert_eq!(may_retry(&limited), Some(Duration::from_millis(1500)));
        assert_eq!(may_retry(&tonic::Status::new(tonic::Code::Internal, "no")), None);
    }
}
