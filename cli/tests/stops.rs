//! Stop rules from the command line: a study ends by a rule, is changed, and goes on.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use boxwood_wire::v1::{
    Ending, FinishRequest, LeaseKey, ReportEntry, Study, StudyState, SuggestRequest, WorkerHello,
};
use serde_json::{Value, json};
use support::{Api, PATIENCE, ServerProcess, databases, run};

/// Finishes suggested trials with a flat result until the study has ended; returns how many. The solver plans one at a time.
async fn flat(api: &Api, study: i64, round: &str) -> usize {
    let worker = WorkerHello { name: "script".into(), slots: 1, ..WorkerHello::default() };
    for done in 0.. {
        let request = SuggestRequest {
            study,
            count: 1,
            wait_seconds: 20.0,
            worker: Some(worker.clone()),
            request_id: format!("{study}-{round}-{done}"),
        };
        let trials = api.trials();
        let answer = call!(trials, suggest, request).await.unwrap();
        let Some(lease) = answer.leases.first() else { return done };
        let key = LeaseKey { trial: lease.trial, epoch: lease.epoch };
        let finish = FinishRequest {
            lease: Some(key),
            ending: Ending::Reached.into(),
            result: Some(ReportEntry {
                lease: Some(key),
                step: lease.to,
                metrics: [("value".to_owned(), 1.0)].into(),
                seconds: Some(2.0),
            }),
            seconds: 2.0,
            ..FinishRequest::default()
        };
        let workers = api.workers();
        call!(workers, finish, finish).await.unwrap();
    }
    unreachable!("the loop ends by itself")
}

async fn completed(api: &Api, study: i64) -> Study {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = api.study(study).await;
        if now.state() == StudyState::Completed {
            return now;
        }
        assert!(Instant::now() < deadline, "{now:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_study_goes_on_when_its_rules_are_changed() {
    let folder = tempfile::tempdir().unwrap();
    for (engine, database) in databases(folder.path()).await {
        let mut server = ServerProcess::start(folder.path(), &database);
        let api = Api::new(&server.grpc());
        let grpc = server.grpc();
        let boxwood = |arguments: &[&str]| {
            let output = run(&[&["--server", &grpc, "--json", "study"], arguments].concat());
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                Ok(serde_json::from_slice::<Value>(&output.stdout).unwrap())
            } else {
                Err(text)
            }
        };
        let study = api
            .create(&json!({
                "name": "stops",
                "space": {"parameters": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}]},
                "objectives": [{"metric": "value", "goal": "minimize"}],
                "solver": {"name": "tpe"},
                "budget": {"trials": 30},
                "stop": {"no_improvement": {"trials": 2}},
            }))
            .await;
        assert_eq!(flat(&api, study.id, "a").await, 3, "{engine}");
        let stopped = completed(&api, study.id).await;
        assert_eq!(stopped.state_reason, "`value` has not improved by more than 0 for 2 trials");
        // The rule is kept: as many flat results again end the study again, also after a restart of the server.
        let open = boxwood(&["update", "stops", "--trials", "40"]).unwrap();
        assert_eq!((&open["state"], &open["spec"]["budget"]["trials"]), (&json!("active"), &json!(40)));
        server.kill();
        server.restart();
        assert_eq!(flat(&api, study.id, "b").await, 2, "{engine}");
        completed(&api, study.id).await;
        // Cleared, with a limit on training: five trials of two seconds each are there, ten make twenty seconds.
        let limit = r#"{"training_seconds": 20}"#;
        let open = boxwood(&["update", "stops", "--stop", limit, "--clear-stop", "no_improvement"]).unwrap();
        assert_eq!(open["spec"]["stop"], json!({"training_seconds": 20.0}));
        assert_eq!((&open["state"], &open["training_seconds"]), (&json!("active"), &json!(10.0)));
        assert_eq!(flat(&api, study.id, "c").await, 5, "{engine}");
        let spent = completed(&api, study.id).await;
        assert_eq!(spent.state_reason, "the trials took 20 of 20 seconds of training");
        // Wrong rules are named, and change nothing.
        for (arguments, word) in [
            (vec!["update", "stops"], "changes nothing"),
            (vec!["update", "stops", "--stop", "{"], "--stop"),
            (vec!["update", "stops", "--clear-stop", "no_improvment"], "no_improvment"),
            (
                vec!["update", "stops", "--stop", r#"{"regret_bound": {"below": -1, "proposals": 2}}"#],
                "stop.regret_bound.below",
            ),
            (
                vec!["update", "stops", "--stop", r#"{"regret_bound": {"below": 1, "proposals": 2}}"#],
                "nothing would ever feed this rule: solver `tpe`",
            ),
        ] {
            let text = boxwood(&arguments).unwrap_err();
            assert!(text.contains(word), "{arguments:?}: {text}");
        }
        assert_eq!(api.study(study.id).await.spec_json, spent.spec_json);
        assert_eq!(flat(&api, study.id, "d").await, 0);
        let resumed = boxwood(&["resume", "stops", "--clear-stop", "training_seconds"]).unwrap();
        assert_eq!(resumed["state"], "active");
        assert_eq!(flat(&api, study.id, "e").await, 30, "{engine}: the budget of 40 is spent");
    }
}
