//! The tables of transitions: the only place that knows which event is legal in which state.

use crate::refusal::Refusal;
use crate::state::{StudyEvent, StudyState, TrialEvent, TrialState};

impl StudyState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Paused, Self::Completed, Self::Cancelled];

    /// Stable name, as stored and as on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of a stored name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether the study has ended (a completed one may go on after its budget was raised).
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// State after an event. An event that asks for the state the study is in already changes nothing.
    ///
    /// # Errors
    /// [`Refusal::StudyClosed`] when the event is not legal.
    pub fn after(self, event: StudyEvent) -> Result<Self, Refusal> {
        match (self, event) {
            (Self::Active | Self::Paused, StudyEvent::Pause) => Ok(Self::Paused),
            (Self::Active | Self::Paused | Self::Completed, StudyEvent::Resume) => Ok(Self::Active),
            (Self::Active | Self::Paused | Self::Completed, StudyEvent::Complete) => Ok(Self::Completed),
            (Self::Active | Self::Paused | Self::Cancelled, StudyEvent::Cancel) => Ok(Self::Cancelled),
            (Self::Completed, StudyEvent::Pause | StudyEvent::Cancel)
            | (Self::Cancelled, StudyEvent::Pause | StudyEvent::Resume | StudyEvent::Complete) => {
                Err(Refusal::StudyClosed(self))
            }
        }
    }
}

impl TrialState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Leased,
        Self::Paused,
        Self::Completed,
        Self::Pruned,
        Self::Infeasible,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Stable name, as stored and as on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Pruned => "pruned",
            Self::Infeasible => "infeasible",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of a stored name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether the trial has ended; only a failed one can be queued again, by a person.
    pub fn is_finished(self) -> bool {
        !matches!(self, Self::Queued | Self::Leased | Self::Paused)
    }

    /// State after an event. A queued trial may end without a lease when a late result of a superseded epoch comes.
    ///
    /// # Errors
    /// [`Refusal::TrialFinished`] when the trial has ended, [`Refusal::TrialState`] otherwise.
    pub fn after(self, event: TrialEvent) -> Result<Self, Refusal> {
        use TrialEvent as E;
        match (self, event) {
            (Self::Queued, E::Lease) => Ok(Self::Leased),
            (Self::Queued | Self::Leased, E::Yield) => Ok(Self::Paused),
            (Self::Paused, E::Resume) | (Self::Leased, E::Requeue) | (Self::Failed, E::Retry) => {
                Ok(Self::Queued)
            }
            (Self::Queued | Self::Leased, E::Complete) => Ok(Self::Completed),
            (Self::Queued | Self::Leased | Self::Paused, E::Prune) => Ok(Self::Pruned),
            (Self::Queued | Self::Leased, E::Reject) => Ok(Self::Infeasible),
            (Self::Leased, E::Fail) => Ok(Self::Failed),
            (Self::Queued | Self::Leased | Self::Paused, E::Cancel) => Ok(Self::Cancelled),
            _ if self.is_finished() => Err(Refusal::TrialFinished(self)),
            _ => Err(Refusal::TrialState { state: self, event: event.verb() }),
        }
    }
}

impl TrialEvent {
    /// Every event.
    pub const ALL: [Self; 10] = [
        Self::Lease,
        Self::Yield,
        Self::Resume,
        Self::Requeue,
        Self::Complete,
        Self::Prune,
        Self::Reject,
        Self::Fail,
        Self::Cancel,
        Self::Retry,
    ];

    /// What is asked, as a verb phrase that follows "cannot".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Lease => "be leased",
            Self::Yield => "be given back",
            Self::Resume => "be resumed",
            Self::Requeue => "return to the queue",
            Self::Complete => "be completed",
            Self::Prune => "be pruned",
            Self::Reject => "be found infeasible",
            Self::Fail => "fail",
            Self::Cancel => "be cancelled",
            Self::Retry => "be retried",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row per state in the order of `TrialState::ALL`, letter per event in the order of `TrialEvent::ALL`:
    /// the first letter of the next state (`x` infeasible, `-` refused).
    const TRIALS: [&str; 8] = [
        // Lease Yield Resume Requeue Complete Prune Reject Fail Cancel Retry
        "LP--CUX-Z-", // queued
        "-P-QCUXFZ-", // leased
        "--Q--U--Z-", // paused
        "----------", // completed
        "----------", // pruned
        "----------", // infeasible
        "---------Q", // failed
        "----------", // cancelled
    ];

    fn trial_state(letter: char) -> Option<TrialState> {
        let letters = "QLPCUXFZ";
        letters.find(letter).map(|index| TrialState::ALL[index])
    }

    #[test]
    fn every_trial_transition_is_in_the_table() {
        for (state, row) in TrialState::ALL.into_iter().zip(TRIALS) {
            for (event, letter) in TrialEvent::ALL.into_iter().zip(row.chars()) {
                let after = state.after(event);
                match (trial_state(letter), &after) {
                    (Some(expected), Ok(next)) => assert_eq!(expected, *next, "{state:?} {event:?}"),
                    (None, Err(Refusal::TrialFinished(s))) => assert!(state.is_finished() && *s == state),
                    (None, Err(Refusal::TrialState { .. })) => assert!(!state.is_finished()),
                    other => panic!("{state:?} {event:?}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn every_study_transition_is_in_the_table() {
        use StudyState::{Active, Cancelled, Completed, Paused};
        let table = [
            (StudyEvent::Pause, [Some(Paused), Some(Paused), None, None]),
            (StudyEvent::Resume, [Some(Active), Some(Active), Some(Active), None]),
            (StudyEvent::Complete, [Some(Completed), Some(Completed), Some(Completed), None]),
            (StudyEvent::Cancel, [Some(Cancelled), Some(Cancelled), None, Some(Cancelled)]),
        ];
        for (event, row) in table {
            for (state, expected) in StudyState::ALL.into_iter().zip(row) {
                assert_eq!(state.after(event).ok(), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn names_round_trip() {
        assert!(TrialState::ALL.iter().all(|s| TrialState::from_name(s.name()) == Some(*s)));
        assert!(StudyState::ALL.iter().all(|s| StudyState::from_name(s.name()) == Some(*s)));
    }
}
