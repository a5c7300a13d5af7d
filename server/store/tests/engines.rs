//! What is particular to an engine: locks, durability, grouping, errors.
#![allow(clippy::unwrap_used, clippy::wildcard_imports)]

mod suite;

use boxwood_store::testing::SqliteFolder;
use boxwood_store::*;
use boxwood_study::*;
use serde_json::json;
use sqlx::{Connection, Row};
use suite::*;

async fn raw(folder: &SqliteFolder) -> sqlx::SqliteConnection {
    sqlx::SqliteConnection::connect(&folder.url()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_one_sqlite_file_is_refused() {
    let folder = SqliteFolder::new();
    let first = connect(&folder.url()).await.unwrap();
    first.migrate().await.unwrap();
    let StoreError::Backend { reason } = connect(&folder.url()).await.unwrap_err() else {
        panic!("another error")
    };
    assert!(reason.contains("another server"), "{reason}");
    create(&first, "a", json!({})).await;
    first.close().await;
    assert_eq!(first.studies(all()).await.unwrap_err(), StoreError::Busy);
    let second = connect(&folder.url()).await.unwrap();
    second.migrate().await.unwrap();
    assert_eq!(second.studies(all()).await.unwrap().items[0].spec.name, "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_the_first_schema_is_brought_up_to_date() {
    let folder = SqliteFolder::new();
    let store = connect(&folder.url()).await.unwrap();
    store.migrate().await.unwrap();
    let study = create(&store, "old", json!({"stop": {"no_improvement": {"trials": 9}}})).await;
    commit(&store, study.id, vec![start(1.0, 0), start(2.0, 0)]).await;
    let grants = acquire(&store, "w", 2).await;
    end(&store, &grants[0], reached(1, 0.5)).await;
    let before = store.study(study.id).await.unwrap();
    store.close().await;
    let mut link = raw(&folder).await;
    for text in [
        "ALTER TABLE studies DROP COLUMN stop",
        "ALTER TABLE studies DROP COLUMN training_seconds",
        "ALTER TABLE studies DROP COLUMN reopened",
        "ALTER TABLE trials DROP COLUMN lost",
        "DELETE FROM _sqlx_migrations WHERE version = 2",
    ] {
        sqlx::query(text).execute(&mut link).await.unwrap();
    }
    link.close().await.unwrap();
    let store = connect(&folder.url()).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.study(study.id).await.unwrap(), before);
    assert_eq!((before.training_seconds, before.spec.stop.no_improvement.is_some()), (1.5, true));
    end(&store, &grants[1], reached(1, 0.5)).await;
    assert_eq!(store.study(study.id).await.unwrap().training_seconds, 3.0);
}

fn all() -> StudyFilter {
    StudyFilter {
        project: PROJECT,
        states: Vec::new(),
        name_contains: None,
        archived: false,
        before: None,
        limit: 10,
    }
}

#[tokio::test]
async fn bad_urls_are_explained() {
    for (url, expected) in [
        ("mysql://x", "`mysql` is not a known kind of store"),
        ("sqlite:", "names no file"),
        ("sqlite:/tmp/x?mode=ro", "`mode=ro` is not an option"),
        ("sqlite:/proc/nowhere/boxwood.db", "cannot create the folder"),
        ("postgres://user:secret@127.0.0.1:1/x", "cannot reach PostgreSQL at 127.0.0.1:1"),
    ] {
        let StoreError::Backend { reason } = connect(url).await.unwrap_err() else { panic!("{url}") };
        assert!(reason.contains(expected), "{url}: {reason}");
        assert!(!reason.contains("secret"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_would_turn_nan_into_null_so_it_never_gets_there() {
    let folder = SqliteFolder::new();
    let store = connect(&folder.url()).await.unwrap();
    store.migrate().await.unwrap();
    let mut link = raw(&folder).await;
    let row = sqlx::query("SELECT typeof($1)").bind(f64::NAN).fetch_one(&mut link).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "null");
    let study = create(&store, "a", json!({})).await;
    commit(&store, study.id, vec![start(1.0, 0)]).await;
    let grant = acquire(&store, "w", 1).await.remove(0);
    for value in [f64::NAN, f64::INFINITY] {
        let refused = refusal(store.finish(key(&grant), reached(1, value)).await);
        assert_eq!(refused, Refusal::NotFinite { metric: "auc".into() });
        let answer = store.report(vec![(key(&grant), report(1, value))]).await.unwrap().remove(0);
        assert_eq!(refusal(answer), Refusal::NotFinite { metric: "auc".into() });
    }
    assert!(end(&store, &grant, reached(1, 0.5)).await.accepted, "nothing was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broken_operation_does_not_spoil_its_group() {
    let folder = SqliteFolder::new();
    let store = connect(&folder.url()).await.unwrap();
    store.migrate().await.unwrap();
    let study = create(&store, "a", json!({})).await;
    let other = create(&store, "b", json!({})).await;
    let trial = commit(&store, study.id, vec![start(1.0, 0)]).await.remove(0);
    let grant = acquire(&store, "w", 1).await.remove(0);
    end(&store, &grant, reached(1, 0.5)).await;
    // A row from nowhere makes the promotion fail in the database, behind every check.
    let text = "INSERT INTO promotions (trial_id, rung, plan) VALUES ($1, 1, 9)";
    sqlx::query(text).bind(trial.id.0).execute(&mut raw(&folder).await).await.unwrap();
    let now = store.study(study.id).await.unwrap();
    let broken = store.commit_plan(plan(&now, vec![resume(&trial, 1)]));
    let fine = (0..20).map(|x| {
        let store = store.clone();
        async move { store.enqueue(other.id, Requested::once(vec![point(f64::from(x))])).await }
    });
    let fine: Vec<_> = fine.map(tokio::spawn).collect();
    assert_eq!(broken.await.unwrap_err(), StoreError::Busy);
    for task in fine {
        task.await.unwrap().unwrap();
    }
    assert_eq!(store.study(study.id).await.unwrap(), now, "nothing of the broken plan was written");
    assert_eq!(store.study(other.id).await.unwrap().trials, 20);
}

/// A trial's life: planned, leased, five reports, finished.
async fn live(store: &AnyStore, statements: impl Fn() -> u64) {
    const TRIALS: u32 = 64;
    let study = create(store, "life", json!({"fidelity": {"resource": "epochs", "rungs": [5]}})).await;
    let before = statements();
    commit(store, study.id, (1..=TRIALS).map(|x| start(f64::from(x), 0)).collect()).await;
    let workers = (0..TRIALS).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            let grant = acquire(&store, &format!("w{worker}"), 1).await.remove(0);
            for step in 1..=5 {
                store.report(vec![(key(&grant), report(step, 0.5))]).await.unwrap().remove(0).unwrap();
            }
            assert_eq!(end(&store, &grant, reached(5, 0.5)).await.state, TrialState::Completed);
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let each = (statements() - before) as f64 / f64::from(TRIALS);
    assert!(each <= 6.0, "{each} statements for the life of a trial");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_costs_few_statements() {
    let folder = SqliteFolder::new();
    let mut stores = vec![SqlStore::open_sqlite(&folder.path(), Durability::Full).await.unwrap()];
    if let Some(url) = boxwood_store::testing::postgres().await {
        stores.push(SqlStore::open_postgres(&url).await.unwrap());
    }
    for store in stores {
        store.migrate().await.unwrap();
        let counter = store.clone();
        live(&AnyStore::Sql(store), || counter.statements()).await;
    }
}
