//! The warm-up, stable, decay schedule that follows the rung.
//!
//! Ranking runs whose learning rate has decayed against runs whose rate has not is meaningless, so a run to epoch r has
//! fully decayed by r: its last 20 % falls linearly to 10 % of the peak. Warm-up and stable phase do not depend on r;
//! hence the state at the start of the decay lies on the path of every longer run, and that is what a checkpoint keeps.

/// Share of a run that decays.
const DECAY_SHARE: (u64, u64) = (1, 5);
/// Rate at the end of the decay, relative to the peak.
const FINAL_FACTOR: f64 = 0.1;
/// Warm-up takes a tenth of the first epoch.
const WARM_UP_SHARE: u64 = 10;
/// Most steps of warm-up.
const WARM_UP_LIMIT: u64 = 200;

/// Learning-rate factors of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    warm_up: u64,
    decay_start: u64,
    total: u64,
}

impl Schedule {
    /// Schedule of a run to the end of epoch `target`, counted from 1.
    pub(crate) fn new(steps_per_epoch: u64, target: u64) -> Self {
        let total = steps_per_epoch * target;
        let decay = (total * DECAY_SHARE.0).div_ceil(DECAY_SHARE.1);
        let warm_up = steps_per_epoch.div_ceil(WARM_UP_SHARE).min(WARM_UP_LIMIT);
        Self { warm_up, decay_start: total - decay, total }
    }

    /// Steps done when the decay begins; the checkpoint is taken there.
    pub(crate) fn decay_start(self) -> u64 {
        self.decay_start
    }

    /// Steps of the whole run.
    pub(crate) fn total(self) -> u64 {
        self.total
    }

    /// Factor on the peak rate for the step after `done` steps.
    pub(crate) fn factor(self, done: u64) -> f64 {
        let warm = if done < self.warm_up { (done + 1) as f64 / self.warm_up as f64 } else { 1.0 };
        if done < self.decay_start {
            return warm;
        }
        let progress = (done + 1 - self.decay_start) as f64 / (self.total - self.decay_start) as f64;
        warm * (1.0 - (1.0 - FINAL_FACTOR) * progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_have_their_documented_lengths() {
        let schedule = Schedule::new(100, 3);
        assert_eq!((schedule.decay_start(), schedule.total()), (240, 300));
        assert!((schedule.factor(0) - 0.1).abs() < 1e-12);
        assert!((schedule.factor(9) - 1.0).abs() < 1e-12);
        assert!((schedule.factor(239) - 1.0).abs() < 1e-12);
        assert!(schedule.factor(240) < 1.0);
        assert!((schedule.factor(299) - FINAL_FACTOR).abs() < 1e-12);
    }

    #[test]
    fn longer_runs_share_the_path_before_the_decay() {
        for steps in [1, 2, 7, 80, 5000] {
            for (short, long) in [(1, 3), (3, 9), (1, 9), (2, 3)] {
                let (short, long) = (Schedule::new(steps, short), Schedule::new(steps, long));
                assert!(short.decay_start() <= long.decay_start());
                for done in 0..short.decay_start() {
                    assert!((short.factor(done) - long.factor(done)).abs() < 1e-15);
                }
            }
        }
    }
}
