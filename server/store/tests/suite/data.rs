//! Changes, snapshots and replay.

use std::collections::BTreeMap;

use boxwood_core::Change;
use boxwood_store::*;
use boxwood_study::*;
use serde_json::json;

use super::*;

/// Rows of a reader that follows a study by changes.
#[derive(Default)]
pub struct Follower {
    pub since: Change,
    pub trials: BTreeMap<TrialId, TrialRecord>,
    pub curves: BTreeMap<(TrialId, LeaseEpoch, u64), CurvePoint>,
    /// States of every trial at each change seen.
    pub states: BTreeMap<Change, BTreeMap<TrialId, TrialState>>,
}

impl Follower {
    pub async fn follow(&mut self, store: &AnyStore, study: StudyId) {
        let rows = store.rows_since(study, self.since).await.unwrap();
        assert!(rows.study.change >= self.since, "changes never go back");
        for trial in rows.trials {
            assert!(trial.updated_change > self.since && trial.updated_change <= rows.study.change);
            self.trials.insert(trial.id, trial);
        }
        for point in rows.curves {
            assert!(point.change > self.since && point.change <= rows.study.change);
            let key = (point.trial, point.epoch, point.report.step);
            assert!(self.curves.insert(key, point).is_none(), "a report becomes visible once");
        }
        self.since = rows.study.change;
        let states = self.trials.values().map(|trial| (trial.id, trial.state)).collect();
        self.states.insert(self.since, states);
    }

    /// What was followed must equal what is read at once, and the history must give every state seen on the way.
    /// Ends of leases are left out: renewing one is no change of the study.
    pub async fn compare(&self, store: &AnyStore, study: StudyId) {
        let rows = store.rows_since(study, Change(0)).await.unwrap();
        let still = |trial: &TrialRecord| {
            let mut trial = trial.clone();
            if let Some(lease) = &mut trial.lease {
                lease.expires_at = Timestamp(0);
            }
            trial
        };
        assert_eq!(rows.study.change, self.since);
        let all: Vec<_> = rows.trials.iter().map(still).collect();
        assert_eq!(all, self.trials.values().map(still).collect::<Vec<_>>());
        let mut curves: Vec<_> = self.curves.values().cloned().collect();
        curves.sort_by_key(|p| (p.change, p.trial, p.epoch, p.report.step));
        assert_eq!(rows.curves, curves);
        for (change, states) in &self.states {
            let mut replayed = BTreeMap::new();
            for (trial, _, state) in rows.history.iter().filter(|(_, at, _)| at <= change) {
                replayed.insert(*trial, *state);
            }
            assert_eq!(&replayed, states, "at {change:?}");
        }
        let mut counts: BTreeMap<TrialState, u64> = BTreeMap::new();
        for trial in &rows.trials {
            *counts.entry(trial.state).or_default() += 1;
        }
        let stored: BTreeMap<_, _> = rows.study.counts.into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(counts, stored);
        for trial in &rows.trials {
            let target = rows.targets.iter().rfind(|(id, ..)| *id == trial.id).unwrap().2;
            assert_eq!(target, trial.target);
        }
    }
}

pub async fn changes_can_be_followed_and_replayed(db: &Database) {
    let study = create(&db.store, "a", json!({"max_attempts": 2})).await;
    let mut follower = Follower::default();
    follower.follow(&db.other, study.id).await;
    let trials = commit(&db.store, study.id, (1..=5).map(|x| start(f64::from(x), 0)).collect()).await;
    follower.follow(&db.other, study.id).await;
    let grants = acquire(&db.store, "w", 4).await;
    db.store.report(grants.iter().map(|g| (key(g), report(1, 0.5))).collect()).await.unwrap();
    follower.follow(&db.other, study.id).await;
    end(&db.store, &grants[0], reached(1, 0.5)).await;
    end(&db.store, &grants[1], finish(EndingKind::ProgramFailed, None)).await;
    follower.follow(&db.other, study.id).await;
    end(&db.store, &grants[2], finish(EndingKind::Stopped, None)).await;
    commit(&db.store, study.id, vec![resume(&trials[0], 1), start(6.0, 1)]).await;
    db.store.cancel_trial(trials[4].id, "no".into()).await.unwrap();
    follower.follow(&db.other, study.id).await;
    follower.follow(&db.other, study.id).await;
    db.store.heartbeat(hello("w"), vec![key(&grants[3])]).await.unwrap();
    follower.compare(&db.other, study.id).await;
    let stopped = record(&db.store, trials[2].id).await;
    assert_eq!((stopped.state, stopped.value), (TrialState::Pruned, Some(0.5)), "its last report counts");
    assert!(db.store.rows_since(StudyId(9), Change(0)).await.is_err());
}

pub async fn reaping_points_at_idle_studies(db: &Database) {
    let idle = create(&db.store, "idle", json!({})).await;
    let spent = create(&db.store, "spent", json!({"budget": {"seconds": 0.01}})).await;
    let busy = create(&db.store, "busy", json!({})).await;
    for study in [&spent, &busy] {
        commit(&db.store, study.id, vec![start(1.0, 0)]).await;
    }
    let_leases_end(&db.store).await;
    let reaped = db.store.reap(10).await.unwrap();
    assert_eq!(reaped.studies, [idle.id, spent.id]);
}
