//! Studies that learn from earlier ones of their project.

use boxwood_app::{AppError, Principal};
use boxwood_store::{MemoryStore, Store};
use serde_json::json;

use crate::scripted::{create, finish, loss, spec, started, suggest};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_learns_from_a_finished_one_and_keeps_what_it_took_over() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let old = create(&app, spec("old", json!({"budget": {"trials": 12}}))).await;
    let mut best = (f64::INFINITY, None);
    for _ in 0..12 {
        let grant = suggest(&app, old, 1).await.remove(0);
        if loss(&grant) < best.0 {
            best = (loss(&grant), Some(grant.trial.point.clone()));
        }
        finish(&app, &grant, loss(&grant)).await;
    }
    let new = spec(
        "new",
        json!({"transfer_from": ["old"], "solver": {"name": "transfer", "warm_start": 1}, "budget": {"trials": 6}}),
    );
    let study = create(&app, new.clone()).await;
    let stored = store.study(study).await.unwrap().spec;
    assert_eq!((stored.sources.len(), stored.sources[0].trials.len()), (1, 12));
    let first = suggest(&app, study, 1).await.remove(0);
    assert_eq!(Some(&first.trial.point), best.1.as_ref());
    assert_eq!(first.trial.provenance.sampler, "warm_start");
    finish(&app, &first, loss(&first)).await;
    let mut models = Vec::new();
    for _ in 1..6 {
        let grant = suggest(&app, study, 1).await.remove(0);
        models.extend(grant.trial.provenance.model.clone());
        finish(&app, &grant, loss(&grant)).await;
    }
    assert!(models.iter().any(|model| model.starts_with("rgpe") && model.contains("old:")), "{models:?}");
    // The old study goes on; the same specification is still the same study, with what it took over.
    let again = create(&app, new).await;
    assert_eq!((again, store.study(again).await.unwrap().spec), (study, stored.clone()));
    assert!(app.replay(&Principal::local(), study).await.unwrap().differences.is_empty());
}

#[tokio::test]
async fn unknown_and_own_names_are_refused_by_field() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let caller = Principal::local();
    let project = app.project(&caller, "").await.unwrap();
    create(&app, spec("a", json!({}))).await;
    let unknown = spec("b", json!({"transfer_from": ["a", "nonesuch"]}));
    let refused = app.create_study(&caller, project, unknown, None).await.unwrap_err();
    assert_eq!(refused, AppError::invalid("transfer_from[1]", "the project has no study `nonesuch`"));
    // A study of another project is not there.
    let other = app.create_project(&caller, "other").await.unwrap();
    let elsewhere = spec("b", json!({"transfer_from": ["a"]}));
    let refused = app.create_study(&caller, other.id, elsewhere, None).await.unwrap_err();
    assert_eq!(refused, AppError::invalid("transfer_from[0]", "the project has no study `a`"));
    let own = spec("a", json!({"transfer_from": ["a"]}));
    let refused = app.create_study(&caller, project, own, None).await.unwrap_err().to_string();
    assert!(refused.starts_with("transfer_from[0]: a study cannot learn from itself"), "{refused}");
}
