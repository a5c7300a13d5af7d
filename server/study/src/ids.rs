//! Identifiers and times. Ids are issued by the database.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

id!(
    /// A project: the unit of tenancy.
    ProjectId(i64)
);
id!(
    /// A study.
    StudyId(i64)
);
id!(
    /// A trial, unique in the database; within a study a trial also has a number from 1.
    TrialId(i64)
);
id!(
    /// A bearer token.
    TokenId(i64)
);
id!(
    /// Number of a plan within its study, from 1.
    PlanNumber(u64)
);
id!(
    /// Rises at each grant of a lease on a trial: the fencing token that every write of a worker presents.
    LeaseEpoch(u64)
);
id!(
    /// Microseconds since the Unix epoch, UTC, by the database's clock.
    Timestamp(i64)
);

/// Most trials of one study.
pub const MAX_TRIALS: u32 = 9_999_999;

/// Trial ids are study ids times this, plus the trial's number: short in decimal, exact in a 53-bit JSON number.
const TRIALS_PER_STUDY: i64 = 10_000_000;

impl TrialId {
    /// Id of a trial. The study id comes from the database and the number from the counter of the locked study row,
    /// so that no second sequence is needed and a trial's study is known without a lookup.
    pub fn of(study: StudyId, number: u32) -> Self {
        Self(study.0.saturating_mul(TRIALS_PER_STUDY).saturating_add(i64::from(number)))
    }

    /// The trial's study.
    pub fn study(self) -> StudyId {
        StudyId(self.0.div_euclid(TRIALS_PER_STUDY))
    }

    /// The trial's number within its study.
    pub fn number(self) -> u32 {
        self.0.rem_euclid(TRIALS_PER_STUDY) as u32
    }
}

impl Default for Timestamp {
    /// The Unix epoch.
    fn default() -> Self {
        Self(0)
    }
}

impl Timestamp {
    /// This time plus a number of seconds.
    #[must_use]
    pub fn plus_seconds(self, seconds: f64) -> Self {
        Self(self.0.saturating_add((seconds * 1e6) as i64))
    }

    /// Seconds from `earlier` to this time; negative when it is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1e6
    }
}

/// Name of a worker process, chosen by the worker, unique within a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerName(pub String);

/// What a worker presents with every write: the trial and the epoch of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseKey {
    /// The trial.
    pub trial: TrialId,
    /// Epoch of the grant.
    pub epoch: LeaseEpoch,
}
