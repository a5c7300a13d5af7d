//! Crash counting and quarantine of workers.

use crate::finish::WorkerSign;
use crate::ids::{Timestamp, TrialId};
use crate::record::WorkerRecord;

/// Crashes in a row, over at least two trials, that send a worker into quarantine.
const CRASHES: u32 = 5;
/// Length of a quarantine.
const QUARANTINE_SECONDS: f64 = 300.0;

/// A worker as the stores keep it. `record.leases` is counted by readers.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRow {
    /// What readers see.
    pub record: WorkerRecord,
    /// Trial of the first crash of the present row of crashes.
    pub crash_trial: Option<TrialId>,
    /// Whether another trial crashed too.
    pub crash_several: bool,
}

impl WorkerRow {
    /// Whether the worker gets leases at `now`.
    pub fn takes_leases(&self, now: Timestamp) -> bool {
        !self.record.draining && self.record.quarantined_until.is_none_or(|until| until <= now)
    }
}

/// Applies the sign that the end of a lease gives about its worker.
///
/// A program that fails everywhere says nothing about one worker: where the study has no result at all
/// (`study_has_results` is false) crashes are counted and nobody is quarantined; the study's failure limit acts there.
pub fn quarantine_rule(
    worker: &mut WorkerRow,
    sign: WorkerSign,
    trial: TrialId,
    study_has_results: bool,
    now: Timestamp,
) {
    match sign {
        WorkerSign::Nothing => {}
        WorkerSign::Result => {
            worker.record.crashes = 0;
            worker.crash_trial = None;
            worker.crash_several = false;
        }
        WorkerSign::Crash => {
            worker.record.crashes += 1;
            worker.crash_several |= worker.crash_trial.is_some_and(|first| first != trial);
            worker.crash_trial.get_or_insert(trial);
            if worker.record.crashes >= CRASHES && worker.crash_several && study_has_results {
                worker.record.quarantined_until = Some(now.plus_seconds(QUARANTINE_SECONDS));
                worker.record.crashes = 0;
                worker.crash_trial = None;
                worker.crash_several = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ids::{ProjectId, WorkerName};

    fn worker() -> WorkerRow {
        WorkerRow {
            record: WorkerRecord {
                project: ProjectId(1),
                name: WorkerName("w".into()),
                slots: 1,
                labels: BTreeMap::new(),
                programs: Vec::new(),
                crashes: 0,
                quarantined_until: None,
                draining: false,
                seen_at: Timestamp(0),
                leases: 0,
            },
            crash_trial: None,
            crash_several: false,
        }
    }

    #[test]
    fn five_crashes_over_two_trials_quarantine_and_a_result_resets() {
        let now = Timestamp(1_000_000);
        let mut row = worker();
        for _ in 0..9 {
            quarantine_rule(&mut row, WorkerSign::Crash, TrialId(1), true, now);
        }
        assert!(row.takes_leases(now), "one bad trial does not condemn a worker");
        quarantine_rule(&mut row, WorkerSign::Crash, TrialId(2), false, now);
        assert!(row.takes_leases(now), "a study without results does not condemn a worker");
        quarantine_rule(&mut row, WorkerSign::Crash, TrialId(2), true, now);
        assert!(!row.takes_leases(now));
        assert!(row.takes_leases(now.plus_seconds(301.0)));
        let mut row = worker();
        for i in 0..4 {
            quarantine_rule(&mut row, WorkerSign::Crash, TrialId(i), true, now);
        }
        quarantine_rule(&mut row, WorkerSign::Result, TrialId(9), true, now);
        assert_eq!(row.record.crashes, 0);
    }
}
