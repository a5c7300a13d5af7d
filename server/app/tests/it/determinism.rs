//! Equal history, equal plan: two runs, a run with the server replaced half-way, and replay.

use boxwood_app::Principal;
use boxwood_store::MemoryStore;
use boxwood_study::{StudyState, TrialId};
use serde_json::json;

use crate::scripted::{create, run_sequentially, spec, started};

async fn twice_and_restarted(over: serde_json::Value, leases: usize) {
    let first_store = MemoryStore::new();
    let first = started(&first_store).await;
    let study = create(&first, spec("equal", over.clone())).await;
    let uninterrupted = run_sequentially(&first, study, leases).await;
    assert_eq!(uninterrupted.len(), leases);

    let second_store = MemoryStore::new();
    let second = started(&second_store).await;
    let study = create(&second, spec("equal", over)).await;
    let mut interrupted = run_sequentially(&second, study, leases / 2).await;
    // A server that dies keeps nothing but its store.
    second.close();
    let third = started(&second_store).await;
    interrupted.extend(run_sequentially(&third, study, leases - leases / 2).await);
    assert_eq!(uninterrupted, interrupted);

    for app in [&first, &third] {
        let report = app.replay(&Principal::local(), study).await.unwrap();
        assert_eq!(report.differences, Vec::<String>::new());
        assert!(report.moves >= leases as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_gives_equal_suggestions() {
    twice_and_restarted(json!({}), 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asynchronous_halving_gives_equal_suggestions() {
    let fidelity = json!({ "resource": "epochs", "min": 1, "max": 9, "reduction_factor": 3 });
    twice_and_restarted(json!({ "solver": { "name": "asha" }, "fidelity": fidelity }), 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hyperband_gives_equal_suggestions() {
    let fidelity = json!({ "resource": "epochs", "min": 1, "max": 9, "reduction_factor": 3 });
    twice_and_restarted(json!({ "solver": { "name": "hyperband" }, "fidelity": fidelity }), 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_gives_equal_suggestions() {
    twice_and_restarted(json!({ "solver": { "name": "bo" } }), 14).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_budget_completes_the_study_with_exactly_its_trials() {
    for solver in ["random", "asha"] {
        let store = MemoryStore::new();
        let app = started(&store).await;
        let fidelity = json!({ "resource": "epochs", "min": 1, "max": 9, "reduction_factor": 3 });
        let over = json!({ "solver": { "name": solver }, "budget": { "trials": 12 }, "fidelity": fidelity });
        let study = create(&app, spec("budget", over)).await;
        run_sequentially(&app, study, 100).await;
        let detail = app.study(&Principal::local(), study).await.unwrap();
        assert_eq!(detail.study.state, StudyState::Completed, "{solver}: {:?}", detail.study.state_reason);
        assert_eq!(detail.study.trials, 12);
        let best = detail.best.unwrap();
        assert_eq!(best.trial.id, TrialId::of(study, best.trial.number));
        assert!((1..=12).contains(&best.trial.number));
    }
}
