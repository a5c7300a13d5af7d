//! When plans are made, what becomes of solvers that fail, and how studies end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use boxwood_app::{App, AppError, Principal, Settings, UpdateStudy};
use boxwood_core::{Change, Metrics, Verdict};
use boxwood_store::{MemoryStore, Store};
use boxwood_study::{Budget, Refusal, Report, StudyEvent, StudyId, StudyState, TrialState};
use futures::StreamExt;
use serde_json::json;

use crate::scripted::{
    Script, create, finish, key, loss, measured, number, run_sequentially, scripted, spec, started, suggest,
    worker,
};

async fn state(app: &App<MemoryStore>, study: StudyId) -> (StudyState, String) {
    let study = app.study(&Principal::local(), study).await.unwrap().study;
    (study.state, study.state_reason.unwrap_or_default())
}

/// Waits for a condition of the study's state; the planner works on its own time.
async fn until(app: &App<MemoryStore>, study: StudyId, wanted: StudyState) -> String {
    for _ in 0..400 {
        let (state, reason) = state(app, study).await;
        if state == wanted {
            return reason;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the study never became {wanted:?}: {:?}", state(app, study).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_hands_out_only_plans_that_have_seen_every_result() {
    let store = MemoryStore::new();
    let (app, _) = scripted(&store, Script::CountMeasured, Settings::default());
    app.start().await.unwrap();
    let study = create(&app, spec("latest", json!({}))).await;
    for done in 0..10 {
        let grant = suggest(&app, study, 1).await.remove(0);
        assert_eq!(measured(&grant), done);
        finish(&app, &grant, 1.0).await;
    }
    // Three run at once, so that three are planned when the last one ends; two of them get too old.
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(suggest(&app, study, 1).await.remove(0));
        assert_eq!(measured(&running[running.len() - 1]), 10);
    }
    for grant in &running {
        finish(&app, grant, 1.0).await;
    }
    for done in 13..16 {
        let next = suggest(&app, study, 1).await.remove(0);
        assert_eq!(measured(&next), done);
        finish(&app, &next, 1.0).await;
    }
    let replay = app.replay(&Principal::local(), study).await.unwrap();
    assert_eq!(replay.differences, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asks_that_wait_together_share_one_plan() {
    let store = MemoryStore::new();
    let (app, plans) = scripted(&store, Script::CountMeasured, Settings::default());
    app.start().await.unwrap();
    let over = json!({ "budget": { "trials": 8 } });
    let study = create(&app, spec("together", over)).await;
    let asks = (0..8).map(|_| {
        let app = app.clone();
        tokio::spawn(async move { suggest(&app, study, 1).await.remove(0) })
    });
    let mut numbers: Vec<u32> = Vec::new();
    for ask in asks.collect::<Vec<_>>() {
        numbers.push(ask.await.unwrap().trial.number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    assert!(plans.load(Ordering::SeqCst) <= 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_numeric_failure_falls_back_to_random_with_a_note() {
    let store = MemoryStore::new();
    let (app, _) = scripted(&store, Script::Numeric, Settings::default());
    app.start().await.unwrap();
    let study = create(&app, spec("numeric", json!({}))).await;
    assert_eq!(run_sequentially(&app, study, 3).await.len(), 3);
    let explanation = app.explain(&Principal::local(), study).await.unwrap();
    let notes = &explanation.plans[0].diagnostics.notes;
    assert!(notes.iter().any(|note| note.contains("not positive definite")), "{notes:?}");
    assert_eq!(app.replay(&Principal::local(), study).await.unwrap().differences, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bug_or_panic_of_a_solver_pauses_the_study_with_the_reason() {
    for (script, text) in [(Script::Bug, "a broken invariant"), (Script::Panic, "panicked")] {
        let store = MemoryStore::new();
        let (app, _) = scripted(&store, script, Settings::default());
        app.start().await.unwrap();
        let study = create(&app, spec("bug", json!({}))).await;
        let hello = worker(&app, "script").await;
        let suggestion = app.suggest(&Principal::local(), study, hello, 1, 0.3, None).await.unwrap();
        assert!(suggestion.grants.is_empty() && !suggestion.closed);
        let reason = until(&app, study, StudyState::Paused).await;
        assert!(reason.contains(text), "{reason}");
        let explanation = app.explain(&Principal::local(), study).await.unwrap();
        assert!(explanation.why_idle[0].contains("paused"), "{:?}", explanation.why_idle);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_plan_times_out() {
    let store = MemoryStore::new();
    let settings = Settings { plan_deadline_seconds: 0.05, ..Settings::default() };
    let (app, _) = scripted(&store, Script::Slow, settings);
    app.start().await.unwrap();
    let study = create(&app, spec("slow", json!({}))).await;
    let hello = worker(&app, "script").await;
    let refused = app.suggest(&Principal::local(), study, hello, 1, 10.0, None).await;
    assert_eq!(refused, Err(AppError::SolverTimeout { seconds: 0.05 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_solver_judges_reports_at_rungs() {
    let store = MemoryStore::new();
    let (app, _) = scripted(&store, Script::CountMeasured, Settings::default());
    app.start().await.unwrap();
    let fidelity = json!({ "resource": "epochs", "min": 1, "max": 9, "reduction_factor": 3 });
    let study = create(&app, spec("judge", json!({ "fidelity": fidelity }))).await;
    let grant = suggest(&app, study, 1).await.remove(0);
    let report = |step, loss: f64| Report { step, metrics: Metrics::from([("loss", loss)]), seconds: None };
    let caller = Principal::local();
    let reports = [(1, 5.0), (2, 500.0), (3, 500.0), (9, 1.0)];
    let reports = reports.map(|(step, loss)| (key(&grant), report(step, loss))).to_vec();
    let mut verdicts = Vec::new();
    for report in reports {
        verdicts.push(app.report(&caller, vec![report]).await.unwrap().remove(0).unwrap().verdict);
    }
    let stop = Verdict::Stop("hopeless".into());
    assert_eq!(verdicts, [Verdict::Continue, Verdict::Continue, stop, Verdict::Yield]);
    let nan = vec![(key(&grant), report(4, f64::NAN)), (key(&grant), report(5, 2.0))];
    let answers = app.report(&caller, nan).await.unwrap();
    assert_eq!(answers[0], Err(AppError::Refused(Refusal::NotFinite { metric: "loss".into() })));
    assert!(answers[1].is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reached_target_completes_the_study() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let objectives = json!([{ "metric": "loss", "goal": "minimize", "target": 0.5 }]);
    let study = create(&app, spec("target", json!({ "objectives": objectives }))).await;
    let first = suggest(&app, study, 1).await.remove(0);
    finish(&app, &first, 3.0).await;
    let second = suggest(&app, study, 1).await.remove(0);
    finish(&app, &second, 0.25).await;
    let reason = until(&app, study, StudyState::Completed).await;
    assert_eq!(reason, "trial 2 reached the target");
    let hello = worker(&app, "script").await;
    assert!(app.suggest(&Principal::local(), study, hello, 1, 5.0, None).await.unwrap().closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_that_no_longer_improves_completes() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let stop = json!({ "no_improvement": { "trials": 2, "tolerance": 0.1 } });
    let study = create(&app, spec("flat", json!({ "stop": stop }))).await;
    for loss in [3.0, 2.0, 1.95, 2.5] {
        let next = suggest(&app, study, 1).await.remove(0);
        finish(&app, &next, loss).await;
    }
    let reason = until(&app, study, StudyState::Completed).await;
    assert_eq!(reason, "`loss` has not improved by more than 0.1 for 2 trials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_study_lets_running_trials_finish() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let stop = json!({ "no_improvement": { "trials": 1 } });
    let study = create(&app, spec("running", json!({ "stop": stop }))).await;
    let first = suggest(&app, study, 1).await.remove(0);
    let running = suggest(&app, study, 1).await.remove(0);
    let last = suggest(&app, study, 1).await.remove(0);
    finish(&app, &first, 1.0).await;
    finish(&app, &last, 2.0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(state(&app, study).await.0, StudyState::Active, "one trial still runs");
    finish(&app, &running, 0.5).await;
    // It improved on the best, so that the study goes on.
    let next = suggest(&app, study, 1).await.remove(0);
    finish(&app, &next, 0.75).await;
    until(&app, study, StudyState::Completed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_budget_lets_a_completed_study_go_on() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let study = create(&app, spec("more", json!({ "budget": { "trials": 3 } }))).await;
    assert_eq!(run_sequentially(&app, study, 10).await.len(), 3);
    until(&app, study, StudyState::Completed).await;
    let budget = Some(Budget { trials: Some(5), ..Budget::default() });
    let update = UpdateStudy { budget, ..UpdateStudy::default() };
    app.update_study(&Principal::local(), study, update, None).await.unwrap();
    assert_eq!(run_sequentially(&app, study, 10).await.len(), 2);
    until(&app, study, StudyState::Completed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_wait_for_trials_of_any_study_that_fits() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let waiting = {
        let app = app.clone();
        tokio::spawn(async move {
            let hello = worker(&app, "machine").await;
            app.acquire(&Principal::local(), hello, 2, 20.0, Some("ask-1".into())).await.unwrap()
        })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    create(&app, spec("script", json!({}))).await;
    let over = json!({ "program": { "name": "train" }, "freshness": "eager", "solver": { "name": "asha" } });
    let study = create(&app, spec("machines", over)).await;
    let grants = waiting.await.unwrap();
    assert!(!grants.is_empty() && grants.iter().all(|grant| grant.trial.study == study));
    let hello = worker(&app, "machine").await;
    let again = app.acquire(&Principal::local(), hello, 2, 0.0, Some("ask-1".into())).await.unwrap();
    assert_eq!(again, grants);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_returns_to_the_queue_and_runs_again() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let study = create(&app, spec("lost", json!({ "lease_seconds": 0.2, "budget": { "trials": 1 } }))).await;
    let first = suggest(&app, study, 1).await.remove(0);
    let second = suggest(&app, study, 1).await.remove(0);
    assert_eq!(second.trial.id, first.trial.id);
    assert!(second.trial.epoch > first.trial.epoch);
    assert!(finish(&app, &second, 1.0).await.accepted);
    assert!(!finish(&app, &first, 2.0).await.accepted);
    until(&app, study, StudyState::Completed).await;
    assert_eq!(app.counts().reaped, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_share_a_blind_study_without_gaps() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let study = create(&app, spec("busy", json!({ "budget": { "trials": 640 } }))).await;
    let started = std::time::Instant::now();
    let clients = (0..32).map(|client| {
        let app = app.clone();
        tokio::spawn(async move {
            let mut done = 0;
            loop {
                let hello = worker(&app, &format!("client-{client}")).await;
                let suggestion = app.suggest(&Principal::local(), study, hello, 1, 20.0, None).await.unwrap();
                let Some(grant) = suggestion.grants.first() else { break done };
                finish(&app, grant, loss(grant)).await;
                done += 1;
            }
        })
    });
    let mut total = 0;
    for client in clients.collect::<Vec<_>>() {
        total += client.await.unwrap();
    }
    println!("640 pairs with 32 clients in {:.2?}, {} plans", started.elapsed(), app.counts().plans);
    assert_eq!(total, 640);
    until(&app, study, StudyState::Completed).await;
    assert_eq!(app.replay(&Principal::local(), study).await.unwrap().differences, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_starts_with_the_present_and_follows_changes() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let study = create(&app, spec("feed", json!({ "budget": { "trials": 2 } }))).await;
    let feed = app.watch(&Principal::local(), study, Change(0)).await.unwrap();
    let mut feed = Box::pin(feed);
    let first = feed.next().await.unwrap().unwrap();
    assert!(first.trials.is_empty());
    run_sequentially(&app, study, 5).await;
    let mut last = first;
    let mut completed = std::collections::BTreeSet::new();
    while last.study.state != StudyState::Completed {
        let item = feed.next().await.unwrap().unwrap();
        assert!(item.study.change >= last.study.change);
        let done = item.trials.iter().filter(|trial| trial.state == TrialState::Completed);
        completed.extend(done.map(|trial| trial.number));
        last = item;
    }
    assert_eq!(completed.len(), 2);
    app.close();
    assert!(feed.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_plan_for_one_study_without_double_numbers() {
    let store = MemoryStore::new();
    let (one, two) = (started(&store).await, started(&store).await);
    let over = json!({ "solver": { "name": "asha" }, "freshness": "eager", "budget": { "trials": 40 } });
    let study = create(&one, spec("pair", over)).await;
    let clients = (0..6).map(|client| {
        let app = if client % 2 == 0 { one.clone() } else { two.clone() };
        tokio::spawn(async move { run_sequentially(&app, study, 100).await.len() })
    });
    let mut total = 0;
    for client in clients.collect::<Vec<_>>() {
        total += client.await.unwrap();
    }
    assert_eq!(total, 40);
    let plans = store.plans(study, boxwood_study::PlanNumber(1), 1000).await.unwrap();
    assert!(plans.iter().enumerate().all(|(index, plan)| plan.number.0 == index as u64 + 1));
    assert_eq!(one.replay(&Principal::local(), study).await.unwrap().differences, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_study_gives_nothing_until_it_is_resumed() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let study = create(&app, spec("pause", json!({}))).await;
    let event = |event| UpdateStudy { event: Some(event), ..UpdateStudy::default() };
    app.update_study(&Principal::local(), study, event(StudyEvent::Pause), None).await.unwrap();
    let hello = worker(&app, "script").await;
    let nothing = app.suggest(&Principal::local(), study, hello, 1, 0.2, None).await.unwrap();
    assert!(nothing.grants.is_empty() && !nothing.closed);
    app.update_study(&Principal::local(), study, event(StudyEvent::Resume), None).await.unwrap();
    assert_eq!(run_sequentially(&app, study, 2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_of_a_person_come_first() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let study = create(&app, spec("user", json!({ "freshness": "eager" }))).await;
    run_sequentially(&app, study, 2).await;
    let point = serde_json::from_value(json!({ "x": 1.5, "y": 2.5 })).unwrap();
    let points = vec![point];
    let caller = Principal::local();
    let queued = app.enqueue(&caller, study, points.clone(), Some("e".into())).await.unwrap();
    let again = app.enqueue(&caller, study, points.clone(), Some("e".into())).await.unwrap();
    assert_eq!(queued, again);
    let grant = suggest(&app, study, 1).await.remove(0);
    assert_eq!((number(&grant, "x"), number(&grant, "y")), (1.5, 2.5));
    let refused = app.enqueue(&caller, study, points, None).await;
    assert!(matches!(refused, Err(AppError::Refused(Refusal::DuplicatePoint { .. }))));
}
