//! Which worker gets what; concurrency.

use std::collections::BTreeSet;

use boxwood_store::*;
use boxwood_study::*;
use serde_json::json;

use super::*;

fn names(grants: &[Grant]) -> Vec<&str> {
    grants.iter().map(|grant| grant.study_name.as_str()).collect()
}

pub async fn studies_are_matched_with_workers(db: &Database) {
    let gpu = create(&db.store, "gpu", json!({"requires": {"gpu": "a100"}, "priority": 5})).await;
    let script = create(&db.store, "script", json!({"program": null})).await;
    let other = create(&db.store, "other", json!({"program": {"name": "cnn"}})).await;
    let plain = create(&db.store, "plain", json!({"max_open_leases": 1})).await;
    for study in [&gpu, &script, &other, &plain] {
        commit(&db.store, study.id, vec![start(1.0, 0), start(2.0, 0)]).await;
    }
    assert_eq!(names(&acquire(&db.store, "w", 8).await), ["plain"], "one open lease at most");
    let mut strong = ask("strong", 8);
    strong.worker.labels = [("gpu".into(), "a100".into()), ("rack".into(), "7".into())].into();
    strong.worker.programs.push("cnn".into());
    let grants = db.store.acquire(Requested::once(strong)).await.unwrap();
    assert_eq!(names(&grants), ["gpu", "gpu", "other", "other"], "by priority");
    let named = AcquireRequest { study: Some(script.id), ..ask("script", 1) };
    assert_eq!(names(&db.store.acquire(Requested::once(named.clone())).await.unwrap()), ["script"]);
    let patch = |patch| db.store.patch_study(script.id, Requested::once(patch));
    patch(StudyPatch { event: Some(StudyEvent::Pause), ..StudyPatch::default() }).await.unwrap();
    assert_eq!(db.store.acquire(Requested::once(named.clone())).await.unwrap(), []);
    let resumed =
        StudyPatch { event: Some(StudyEvent::Resume), archived: Some(true), ..StudyPatch::default() };
    patch(resumed).await.unwrap();
    assert_eq!(db.store.acquire(Requested::once(named.clone())).await.unwrap(), []);
    patch(StudyPatch { archived: Some(false), ..StudyPatch::default() }).await.unwrap();
    assert_eq!(db.store.acquire(Requested::once(named)).await.unwrap().len(), 1);
    let unknown = AcquireRequest { study: Some(StudyId(99)), ..ask("w", 1) };
    assert!(db.store.acquire(Requested::once(unknown)).await.is_err());
    let lift = StudyPatch { max_open_leases: Some(None), ..StudyPatch::default() };
    db.store.patch_study(plain.id, Requested::once(lift)).await.unwrap();
    assert_eq!(names(&acquire(&db.store, "w", 8).await), ["plain"]);
}

pub async fn equal_studies_share_the_slots(db: &Database) {
    for name in ["a", "b"] {
        let study = create(&db.store, name, json!({})).await;
        commit(&db.store, study.id, (1..=4).map(|x| start(f64::from(x), 0)).collect()).await;
    }
    assert_eq!(names(&acquire(&db.store, "w", 4).await), ["a", "b", "a", "b"]);
    let grant = acquire(&db.store, "w", 1).await.remove(0);
    assert_eq!((grant.resource.as_str(), grant.to, grant.rungs), ("epochs", 1, vec![1]));
    assert_eq!((grant.metrics, grant.lease_seconds), (vec!["auc".to_owned()], 30.0));
    assert_eq!(grant.trial.lease.unwrap().worker.0, "w");
}

pub async fn workers_are_known_and_drained(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    commit(&db.store, study.id, vec![start(1.0, 0), start(2.0, 0)]).await;
    acquire(&db.store, "w", 1).await;
    db.store.heartbeat(hello("idle"), Vec::new()).await.unwrap();
    let workers = db.store.workers(PROJECT).await.unwrap();
    let seen: Vec<_> = workers.iter().map(|w| (w.name.0.as_str(), w.leases, w.slots)).collect();
    assert_eq!(seen, [("idle", 0, 8), ("w", 1, 8)]);
    assert_eq!(workers[0].programs, ["fm"]);
    db.store.drain_worker(PROJECT, WorkerName("w".into())).await.unwrap();
    assert_eq!(acquire(&db.store, "w", 1).await, []);
    assert!(db.store.workers(PROJECT).await.unwrap()[1].draining);
    assert_eq!(acquire(&db.store, "idle", 1).await.len(), 1);
    let unknown = db.store.drain_worker(PROJECT, WorkerName("who".into())).await.unwrap_err();
    assert_eq!(unknown, StoreError::NotFound { what: "worker" });
}

pub async fn crashing_workers_are_quarantined(db: &Database) {
    let limits = json!({"max_attempts": 100, "failure_limit": {"after_trials": 5, "share": 1.0}});
    let study = create(&db.store, "a", limits).await;
    commit(&db.store, study.id, (1..=3).map(|x| start(f64::from(x), 0)).collect()).await;
    let good = acquire(&db.store, "good", 1).await.remove(0);
    end(&db.store, &good, reached(1, 0.5)).await;
    let pair = acquire(&db.store, "bad", 2).await;
    for grant in &pair {
        end(&db.store, grant, finish(EndingKind::ProgramFailed, None)).await;
    }
    for _ in 0..3 {
        let grant = acquire(&db.store, "bad", 1).await.remove(0);
        end(&db.store, &grant, finish(EndingKind::ProgramFailed, None)).await;
    }
    assert_eq!(acquire(&db.store, "bad", 1).await, []);
    let workers = db.store.workers(PROJECT).await.unwrap();
    assert!(workers[0].quarantined_until.is_some() && workers[1].quarantined_until.is_none());
    assert_eq!(acquire(&db.store, "good", 1).await.len(), 1);
}

pub async fn concurrent_claims_are_distinct(db: &Database) {
    let study = create(&db.store, "a", json!({})).await;
    commit(&db.store, study.id, (1..=300).map(|x| start(f64::from(x), 0)).collect()).await;
    let mut tasks = Vec::new();
    for task in 0..8 {
        let store = if task % 2 == 0 { db.store.clone() } else { db.other.clone() };
        tasks.push(tokio::spawn(async move {
            let mut claimed = Vec::new();
            loop {
                let grants = acquire(&store, &format!("w{task}"), 1 + task % 3).await;
                if grants.is_empty() {
                    return claimed;
                }
                for grant in grants {
                    store.report(vec![(key(&grant), report(1, 0.5))]).await.unwrap().remove(0).unwrap();
                    assert_eq!(end(&store, &grant, reached(1, 0.5)).await.state, TrialState::Paused);
                    claimed.push(grant.trial.id);
                }
            }
        }));
    }
    let mut claimed = Vec::new();
    for task in tasks {
        claimed.extend(task.await.unwrap());
    }
    assert_eq!(claimed.len(), 300);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 300);
    let study = db.store.study(study.id).await.unwrap();
    assert_eq!(study.counts.get(&TrialState::Paused), Some(&300));
    // One change for the study, one for the plan, three for each trial: lease, report, finish.
    assert_eq!(study.change.0, 2 + 3 * 300);
}
