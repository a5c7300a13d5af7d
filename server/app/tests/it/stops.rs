//! Rules that end a study: what they count, how they are changed, and how a study goes on after them.

use std::time::Duration;

use boxwood_app::{App, AppError, Principal, Settings, UpdateStudy};
use boxwood_core::Metrics;
use boxwood_store::{Grant, MemoryStore, Store};
use boxwood_study::{
    Budget, Ending, EndingKind, Finish, Report, StudyEvent, StudyId, StudyRecord, StudyState, TrialState,
};
use serde_json::{Value as Json, json};

use crate::scripted::{Script, create, finish, key, scripted, spec, started, suggest};

async fn study(app: &App<MemoryStore>, id: StudyId) -> StudyRecord {
    app.study(&Principal::local(), id).await.unwrap().study
}

/// Waits until the study has completed; the planner works on its own time.
async fn completed(app: &App<MemoryStore>, id: StudyId) -> String {
    for _ in 0..400 {
        let now = study(app, id).await;
        if now.state == StudyState::Completed {
            return now.state_reason.unwrap_or_default();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the study never completed: {:?}", study(app, id).await);
}

async fn update(app: &App<MemoryStore>, id: StudyId, update: UpdateStudy) -> StudyRecord {
    app.update_study(&Principal::local(), id, update, None).await.unwrap()
}

fn stop(rules: Json) -> UpdateStudy {
    UpdateStudy { stop: Some(serde_json::from_value(rules).unwrap()), ..UpdateStudy::default() }
}

fn trials(trials: u64) -> UpdateStudy {
    let budget = Budget { trials: Some(trials), ..Budget::default() };
    UpdateStudy { budget: Some(budget), ..UpdateStudy::default() }
}

/// Finishes suggested trials with this loss until the study has ended; returns how many. The solver plans one at a time, so
/// that nothing is handed out after the last result that counts.
async fn flat(app: &App<MemoryStore>, id: StudyId, loss: f64) -> usize {
    for done in 0.. {
        let Some(next) = suggest(app, id, 1).await.pop() else { return done };
        finish(app, &next, loss).await;
    }
    unreachable!("the loop ends by itself")
}

async fn end(app: &App<MemoryStore>, grant: &Grant, kind: EndingKind, seconds: f64) {
    let result = (kind == EndingKind::Reached).then(|| Report {
        step: grant.to,
        metrics: Metrics::from([("loss", 1.0)]),
        seconds: Some(seconds),
    });
    let message = Finish { ending: Ending { kind, reason: None }, result, checkpoint: None, seconds };
    app.finish(&Principal::local(), key(grant), message).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn training_time_counts_attempts_that_failed() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let over = json!({ "stop": { "training_seconds": 100 }, "max_attempts": 2 });
    let id = create(&app, spec("costly", over)).await;
    for (kind, seconds) in
        [(EndingKind::ProgramFailed, 40.0), (EndingKind::ProgramFailed, 30.0), (EndingKind::Infeasible, 25.0)]
    {
        end(&app, &suggest(&app, id, 1).await.remove(0), kind, seconds).await;
    }
    assert_eq!(study(&app, id).await.training_seconds, 95.0);
    end(&app, &suggest(&app, id, 1).await.remove(0), EndingKind::Reached, 7.0).await;
    assert_eq!(completed(&app, id).await, "the trials took 102 of 100 seconds of training");
    // More trials are no more time; more time is.
    assert_eq!(update(&app, id, trials(500)).await.state, StudyState::Completed);
    assert_eq!(update(&app, id, stop(json!({ "training_seconds": 110 }))).await.state, StudyState::Active);
    end(&app, &suggest(&app, id, 1).await.remove(0), EndingKind::Reached, 7.0).await;
    end(&app, &suggest(&app, id, 1).await.remove(0), EndingKind::Reached, 7.0).await;
    assert_eq!(completed(&app, id).await, "the trials took 116 of 110 seconds of training");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_model_says_of_its_proposals_ends_a_study() {
    for (rule, reason) in [
        (
            "expected_improvement",
            "the last 3 proposals were each expected to improve by less than 0.01 standard deviations",
        ),
        ("regret_bound", "the best `loss` is within 0.01 of the best possible, by 3 bounds in a row"),
    ] {
        let store = MemoryStore::new();
        let (app, _) = scripted(&store, Script::Certain, Settings::default());
        app.start().await.unwrap();
        let over = json!({ "stop": { rule: { "below": 0.01, "proposals": 3 } } });
        let id = create(&app, spec("sure", over)).await;
        // The scripted model is unsure of its first two points.
        assert_eq!(flat(&app, id, 1.0).await, 5, "{rule}");
        assert_eq!(completed(&app, id).await, reason);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_starts_anew_when_a_study_is_reopened() {
    let store = MemoryStore::new();
    let (app, _) = scripted(&store, Script::CountMeasured, Settings::default());
    app.start().await.unwrap();
    let over = json!({ "stop": { "no_improvement": { "trials": 3 } }, "budget": { "trials": 50 } });
    let id = create(&app, spec("again", over)).await;
    assert_eq!(flat(&app, id, 1.0).await, 4);
    completed(&app, id).await;
    // A larger budget, with the rule in place: as many flat results again, compared with all that there are.
    assert_eq!(update(&app, id, trials(60)).await.state, StudyState::Active);
    assert_eq!(flat(&app, id, 1.0).await, 3);
    completed(&app, id).await;
    let resume = UpdateStudy { event: Some(StudyEvent::Resume), ..UpdateStudy::default() };
    assert_eq!(update(&app, id, resume).await.state, StudyState::Active);
    finish(&app, &suggest(&app, id, 1).await.remove(0), 0.5).await;
    assert_eq!(flat(&app, id, 0.75).await, 3, "an improvement on the best counts as one");
    completed(&app, id).await;
    // Another window; then none, and the budget ends the study.
    assert_eq!(
        update(&app, id, stop(json!({ "no_improvement": { "trials": 5 } }))).await.state,
        StudyState::Active
    );
    assert_eq!(flat(&app, id, 1.0).await, 5);
    completed(&app, id).await;
    assert_eq!(update(&app, id, stop(json!({ "no_improvement": null }))).await.state, StudyState::Active);
    assert_eq!(flat(&app, id, 1.0).await, 60 - 4 - 3 - 4 - 5);
    completed(&app, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_was_reached_does_not_end_a_reopened_study() {
    let store = MemoryStore::new();
    let (app, _) = scripted(&store, Script::CountMeasured, Settings::default());
    app.start().await.unwrap();
    let objective = json!([{ "metric": "loss", "goal": "minimize", "target": 0.5 }]);
    let id =
        create(&app, spec("further", json!({ "objectives": objective, "budget": { "trials": 20 } }))).await;
    assert_eq!(flat(&app, id, 0.4).await, 1);
    assert_eq!(completed(&app, id).await, "trial 1 reached the target");
    assert_eq!(update(&app, id, trials(6)).await.state, StudyState::Active);
    assert_eq!(flat(&app, id, 0.4).await, 5);
    completed(&app, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_a_running_study_can_be_changed_and_are_checked() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let id = create(&app, spec("living", json!({}))).await;
    for _ in 0..3 {
        finish(&app, &suggest(&app, id, 1).await.remove(0), 1.0).await;
    }
    let refused = |rules: Json| {
        let app = app.clone();
        async move { app.update_study(&Principal::local(), id, stop(rules), None).await.unwrap_err() }
    };
    let wrong = refused(json!({ "no_improvement": { "trials": 0 } })).await;
    assert!(wrong.to_string().starts_with("stop.no_improvement.trials"), "{wrong}");
    let wrong = refused(json!({ "regret_bound": { "below": -1, "proposals": 1 } })).await;
    assert!(wrong.to_string().starts_with("stop.regret_bound.below"), "{wrong}");
    assert!(matches!(wrong, AppError::Spec(_)), "{wrong:?}");
    // The results that are there count: nobody has reopened the study.
    update(&app, id, stop(json!({ "no_improvement": { "trials": 2 } }))).await;
    assert_eq!(completed(&app, id).await, "`loss` has not improved by more than 0 for 2 trials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_the_solver_never_feeds_is_refused() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    let caller = Principal::local();
    let regret = json!({ "regret_bound": { "below": 0.1, "proposals": 3 } });
    let improvement = json!({ "expected_improvement": { "below": 0.1, "proposals": 3 } });
    let project = app.project(&caller, "").await.unwrap();
    let created = async |over: Json| {
        app.create_study(&caller, project, spec("unfed", over), None).await.map(|created| created.study.id)
    };
    for (solver, rule, field, words) in [
        (
            json!({ "name": "tpe" }),
            &improvement,
            "stop.expected_improvement",
            "solver `tpe`: no model of the losses",
        ),
        (json!({ "name": "tpe" }), &regret, "stop.regret_bound", "solver `tpe`"),
        (
            json!({ "name": "bo", "acquisition": "lcb" }),
            &improvement,
            "stop.expected_improvement",
            "acquisition: lcb",
        ),
        (
            json!({ "name": "bo", "batch": "ucb_pe" }),
            &improvement,
            "stop.expected_improvement",
            "batch: ucb_pe",
        ),
        (json!({ "name": "forest" }), &regret, "stop.regret_bound", "solvers that feed it in this study: bo"),
    ] {
        let refused = created(json!({ "solver": solver, "stop": rule })).await.unwrap_err();
        assert!(matches!(&refused, AppError::Invalid { field: at, .. } if at == field), "{refused:?}");
        assert!(
            refused.to_string().contains(words) && refused.to_string().contains("no_improvement"),
            "{refused}"
        );
    }
    assert!(store.study_by_name(project, "unfed").await.unwrap().is_none());
    let id = created(json!({ "solver": { "name": "auto" }, "stop": regret, "budget": { "trials": 50 } }))
        .await
        .unwrap();
    // The rule would go silent when a larger budget makes `auto` choose another solver, unless it goes with it.
    let refused = app.update_study(&caller, id, trials(5000), None).await.unwrap_err();
    assert!(
        refused.to_string().contains("stop.regret_bound: nothing would ever feed this rule: solver `cma_es`"),
        "{refused}"
    );
    let cleared = UpdateStudy { stop: stop(json!({ "regret_bound": null })).stop, ..trials(5000) };
    assert_eq!(update(&app, id, cleared).await.spec.budget.trials, Some(5000));
    let refused = app.update_study(&caller, id, stop(improvement), None).await.unwrap_err();
    assert!(refused.to_string().starts_with("stop.expected_improvement"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_is_withdrawn_when_a_rule_holds() {
    let store = MemoryStore::new();
    let app = started(&store).await;
    // Random points are planned sixteen at a time.
    let id = create(&app, spec("queue", json!({ "stop": { "no_improvement": { "trials": 1 } } }))).await;
    let running = suggest(&app, id, 1).await.remove(0);
    for _ in 0..2 {
        finish(&app, &suggest(&app, id, 1).await.remove(0), 1.0).await;
    }
    for _ in 0..400 {
        if !study(&app, id).await.counts.contains_key(&TrialState::Queued) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let now = study(&app, id).await;
    assert_eq!((now.state, now.counts.get(&TrialState::Queued)), (StudyState::Active, None), "{now:?}");
    finish(&app, &running, 1.0).await;
    completed(&app, id).await;
}
