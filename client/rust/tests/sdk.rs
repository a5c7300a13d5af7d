//! Scenarios of the SDK against a server in memory.
#![allow(clippy::unwrap_used)]

mod support;

#[allow(dead_code)]
#[path = "../examples/tune.rs"]
mod tune;

use std::time::Duration;

use boxwood_client::{
    Analysis, Client, ClientOptions, Error, ErrorCode, Evaluation, RetryPolicy, Space, Study, StudyBuilder,
    StudyFilter, StudyState, TrialFilter, TrialState, Verdict, blocking,
};
use boxwood_wire::v1;
use serde_json::json;
use support::Fake;

fn options(fake: &Fake) -> ClientOptions {
    ClientOptions::new(fake.endpoint()).with_retry(RetryPolicy {
        deadline: Duration::from_secs(20),
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(100),
        ..RetryPolicy::default()
    })
}

fn builder(trials: u64) -> StudyBuilder {
    StudyBuilder::new("digits", Space::new().float("x", 0.0, 9.0)).maximize("auc").budget_trials(trials)
}

async fn study(fake: &Fake, trials: u64) -> Study {
    let client = Client::connect(options(fake)).await.unwrap();
    client.create_or_open_study(&builder(trials)).await.unwrap()
}

#[tokio::test]
async fn the_example_tunes_and_is_short() {
    let fake = Fake::start().await;
    let study = tune::tune(options(&fake)).await.unwrap();
    let best = study.best().await.unwrap().unwrap();
    // Points are x = id - 0.5 and n = id; the best of 1..=4 for (x - 1)^2 + (n - 3)^2 is 2.
    assert_eq!((best.number, best.state), (2, TrialState::Completed));
    assert_eq!(fake.lock().steps_of(2), [1, 2, 3]);
    assert!(include_str!("../examples/tune.rs").lines().count() < 40);
}

#[tokio::test]
async fn a_trial_goes_from_suggestion_to_result() {
    let fake = Fake::start().await;
    let study = study(&fake, 1).await;
    let mut trial = study.suggest().await.unwrap().unwrap();
    assert_eq!(trial.float("x").unwrap(), 0.5);
    assert_eq!((trial.from(), trial.to(), trial.rungs()), (0, 3, &[1, 3][..]));
    assert_eq!(trial.report(1, [("auc", 0.6)]).await.unwrap(), Verdict::Continue);
    assert!(matches!(trial.report(2, [("auc", f64::NAN)]).await, Err(Error::NotFinite { .. })));
    let id = trial.id();
    trial.set_checkpoint("file:here");
    let finished = trial.finish([("auc", 0.7)]).await.unwrap();
    assert_eq!((finished.state, finished.accepted), (TrialState::Completed, true));
    assert!(study.suggest().await.unwrap().is_none());
    let finish = fake.lock().finish_of(id).unwrap();
    assert_eq!((finish.result.unwrap().step, finish.checkpoint.as_str()), (3, "file:here"));
}

#[tokio::test]
async fn a_result_that_repeats_the_last_report_is_sent_as_it_was() {
    let fake = Fake::start().await;
    let mut trial = study(&fake, 1).await.suggest().await.unwrap().unwrap();
    trial.report(3, [("auc", 0.7)]).await.unwrap();
    trial.finish([("auc", 0.7)]).await.unwrap();
    let state = fake.lock();
    assert_eq!(state.finishes[0].result.as_ref(), Some(&state.reports[0]));
}

#[tokio::test]
async fn lost_answers_are_asked_for_again_under_the_same_request_id() {
    let fake = Fake::start().await;
    for call in ["create_study", "suggest", "report", "finish"] {
        fake.lock().lose_answers.insert(call, 2);
    }
    let study = study(&fake, 1).await;
    let mut trial = study.suggest().await.unwrap().unwrap();
    trial.report(1, [("auc", 0.6)]).await.unwrap();
    assert!(trial.finish([("auc", 0.7)]).await.unwrap().accepted);
    let state = fake.lock();
    assert_eq!((state.studies.len(), state.trials.len(), state.finishes.len()), (1, 1, 1));
    assert_eq!((state.steps_of(1), state.repeated_reports), (vec![1], 2));
    assert_eq!(state.calls["suggest"], 2, "the second ask is answered from the store of request ids");
}

#[tokio::test]
async fn leases_live_by_heartbeats_and_commands_arrive_with_them() {
    let fake = Fake::start().await;
    fake.lock().lease_seconds = 0.3;
    let study = study(&fake, 2).await;
    let kept = study.suggest().await.unwrap().unwrap();
    let lost = study.suggest().await.unwrap().unwrap();
    fake.wait("three heartbeats", |state| (state.heartbeats >= 3).then_some(())).await;
    assert_eq!((kept.verdict(), kept.is_lost()), (Verdict::Continue, false));
    fake.lock().commands.insert(kept.id(), v1::VerdictKind::Stop);
    fake.lock().take_over(lost.id());
    support::until("command and loss", async || {
        (kept.verdict() == Verdict::Stop && lost.is_lost()).then_some(())
    })
    .await;
    let mut lost = lost;
    let error = lost.report(1, [("auc", 0.5)]).await.unwrap_err();
    assert!(error.is_lease_lost(), "{error}");
    // A late result is answered politely.
    assert!(!lost.finish([("auc", 0.5)]).await.unwrap().accepted);
    assert_eq!(kept.stop().await.unwrap().state, TrialState::Pruned);
}

#[tokio::test]
async fn a_dropped_trial_is_given_back() {
    let fake = Fake::start().await;
    let study = study(&fake, 2).await;
    drop(study.suggest().await.unwrap().unwrap());
    let finish = fake.wait("release", |state| state.finish_of(1)).await;
    assert_eq!(finish.ending(), v1::Ending::Preempted);
    fake.lock().verdicts.insert((2, 1), v1::VerdictKind::Stop);
    let mut stopped = study.suggest().await.unwrap().unwrap();
    assert_eq!(stopped.report(1, [("auc", 0.1)]).await.unwrap(), Verdict::Stop);
    drop(stopped);
    let finish = fake.wait("release", |state| state.finish_of(2)).await;
    assert_eq!(finish.ending(), v1::Ending::Stopped);
}

#[tokio::test]
async fn calls_wait_for_a_server_that_is_away() {
    let mut fake = Fake::start().await;
    let study = study(&fake, 1).await;
    let mut trial = study.suggest().await.unwrap().unwrap();
    fake.go_away().await;
    let report = tokio::spawn(async move { (trial.report(1, [("auc", 0.6)]).await.unwrap(), trial) });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!report.is_finished());
    fake.come_back().await;
    let (verdict, trial) = report.await.unwrap();
    assert_eq!(verdict, Verdict::Continue);
    trial.give_back().await.unwrap();
    fake.go_away().await;
    let client = ClientOptions::new(fake.endpoint()).with_retry(RetryPolicy::default().once());
    let error = Client::connect(client).await.unwrap_err();
    assert!(error.is_unreachable() && error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn refusals_carry_their_code() {
    let fake = Fake::start().await;
    fake.lock().token = Some("right".into());
    let wrong = Client::connect(options(&fake).with_token("wrong")).await.unwrap_err();
    assert_eq!(wrong.code(), Some(ErrorCode::Unauthenticated));
    let client = Client::connect(options(&fake).with_token("right")).await.unwrap();
    client.create_or_open_study(&builder(3)).await.unwrap();
    let other = client.create_or_open_study(&builder(4)).await.unwrap_err();
    assert_eq!(other.code(), Some(ErrorCode::StudyExists));
    assert_eq!(client.open_study("none").await.unwrap_err().code(), Some(ErrorCode::NotFound));
    assert!(matches!(Client::connect(ClientOptions::new("ftp://x")).await, Err(Error::Options { .. })));
}

#[tokio::test]
async fn studies_and_trials_are_read_and_steered() {
    let fake = Fake::start().await;
    let study = study(&fake, 5).await;
    let trials = study.suggest_up_to(5).await.unwrap();
    assert_eq!(trials.len(), 5);
    let filter = TrialFilter { page: 2, ..TrialFilter::default() };
    let listed = study.trials(filter).all().await.unwrap();
    assert_eq!(listed.iter().map(|trial| trial.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(fake.lock().calls["list_trials"], 3);
    let mut watch = study.watch();
    assert_eq!(watch.next().await.unwrap().unwrap().study.state, StudyState::Active);
    assert_eq!(study.pause("lunch").await.unwrap().state_reason, "lunch");
    assert_eq!(watch.next().await.unwrap().unwrap().study.state, StudyState::Paused);
    assert_eq!(study.resume().await.unwrap().state, StudyState::Active);
    assert_eq!(study.cancel("enough").await.unwrap().state, StudyState::Cancelled);
    while watch.next().await.unwrap().is_some() {}
    let point = serde_json::json!({"x": 1.0}).as_object().unwrap().clone();
    assert_eq!(study.enqueue([point]).await.unwrap()[0].origin, "user");
    let info = serde_json::to_value(study.info().await.unwrap()).unwrap();
    assert_eq!((&info["state"], &info["created_at"]), (&"cancelled".into(), &"2027-01-15T08:00:00Z".into()));
}

#[tokio::test]
async fn optimize_turns_outcomes_into_endings() {
    let fake = Fake::start().await;
    let study = study(&fake, 4).await;
    let done = study
        .optimize(10, async |trial| match trial.number() {
            1 => Ok(Evaluation::from([("auc", 0.5)])),
            2 => Ok(Evaluation::from([("auc", f64::NAN)])),
            3 => Ok(Evaluation::Infeasible("too wide".into())),
            _ => Err("broken"),
        })
        .await
        .unwrap();
    assert_eq!(done, 4);
    let state = fake.lock();
    let endings: Vec<_> =
        state.finishes.iter().map(|finish| (finish.ending(), finish.reason.as_str())).collect();
    assert_eq!(
        endings,
        [
            (v1::Ending::Reached, ""),
            (v1::Ending::Infeasible, "metric auc is NaN at step 3"),
            (v1::Ending::Infeasible, "too wide"),
            (v1::Ending::ProgramFailed, "broken"),
        ]
    );
}

#[tokio::test]
async fn results_are_analyzed_and_stop_rules_changed() {
    let fake = Fake::start().await;
    let study = study(&fake, 1).await;
    let importance = study.analyze("importance").await.unwrap();
    assert_eq!(importance["kind"], "importance");
    let plain = json!({"id": study.id(), "kind": "importance", "objective": 0, "trials": [], "more": null});
    assert_eq!(importance["answer"], plain);
    let asked = Analysis::new("forecast").objective(1).trials([3, 7]).more(50);
    let answer = study.analyze(asked).await.unwrap();
    let full = json!({"id": study.id(), "kind": "forecast", "objective": 1, "trials": [3, 7], "more": 50});
    assert_eq!(answer["answer"], full);
    let rules = json!({"no_improvement": null, "training_seconds": 60});
    assert_eq!(study.set_stop(&rules).await.unwrap().spec["stop"], rules);
}

#[test]
fn the_blocking_client_does_the_same() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fake = runtime.block_on(Fake::start());
    let client = blocking::Client::connect(options(&fake)).unwrap();
    let study = client.create_or_open_study(&builder(3)).unwrap();
    let done = study
        .optimize(2, |trial| {
            trial.report(1, [("auc", 0.1)])?;
            Ok::<_, Error>([("auc", 0.5 + trial.float("x")?)])
        })
        .unwrap();
    assert_eq!(done, 2);
    let trial = study.suggest().unwrap().unwrap();
    assert_eq!(trial.number(), 3);
    trial.finish([("auc", 0.0)]).unwrap();
    assert!(study.suggest().unwrap().is_none());
    assert_eq!(study.best().unwrap().unwrap().value, Some(2.0));
    let numbers: Result<Vec<_>, _> =
        study.trials(TrialFilter::default()).map(|trial| trial.map(|trial| trial.number)).collect();
    assert_eq!(numbers.unwrap(), [1, 2, 3]);
    assert_eq!(client.list_studies(&StudyFilter::default()).unwrap().len(), 1);
    assert_eq!(study.analyze("front").unwrap()["answer"]["kind"], "front");
    assert_eq!(study.explain().unwrap()["solver"], "random");
    let cleared = json!({"regret_bound": null});
    assert_eq!(study.set_stop(&cleared).unwrap().spec["stop"], cleared);
}
