//! The program as a worker runs it: requests, errors, search space, acceptance on planted interactions.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use boxwood_trainers::{
    Arm, ComputeDevice, DataRequest, Directive, HyperParameters, PROGRAM, Report, ResourceRange, TrialEnd,
    TrialRequest, check, run_program, space,
};
use serde_json::{Value, json};

fn request(arm: &str, parameters: &Value, to: u64, folder: &Path, rows: u32) -> TrialRequest {
    TrialRequest {
        program: PROGRAM.into(),
        arm: Some(arm.into()),
        parameters: serde_json::from_value(parameters.clone()).unwrap(),
        resource: ResourceRange { from: 0, to },
        seed: 5,
        checkpoint_in: None,
        checkpoint_out: folder.to_owned(),
        data: DataRequest::synthetic(rows, 2),
        threads: 1,
        device: ComputeDevice::Cpu,
    }
}

fn go_on(_: &Report) -> Directive {
    Directive::Continue
}

fn finish(request: &TrialRequest) -> Report {
    match run_program(request, &mut go_on).unwrap() {
        TrialEnd::Completed { report } => report,
        other => panic!("expected a completed trial, got {other:?}"),
    }
}

#[test]
fn a_request_in_json_is_run_and_reported_in_flat_json() {
    let folder = tempfile::tempdir().unwrap();
    let text = json!({
        "program": "ctr",
        "parameters": {"model": "fm", "embedding_dim": 4.0, "batch_size": 256},
        "resource": {"from": 0, "to": 2},
        "seed": 3,
        "checkpoint_out": folder.path(),
        "data": {"kind": "synthetic", "rows": 1500},
    });
    let request: TrialRequest = serde_json::from_value(text).unwrap();
    let mut lines = Vec::new();
    let end = run_program(&request, &mut |report: &Report| {
        lines.push(serde_json::to_value(report).unwrap());
        Directive::Continue
    });
    assert_eq!(serde_json::to_value(end.unwrap()).unwrap()["end"], "completed");
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["step"], &lines[1]["step"]), (&json!(1), &json!(2)));
    assert!(lines[0].get("test_auc").is_none() && lines[1]["test_auc"].is_f64());
    for name in ["auc", "logloss", "train_logloss", "seconds", "parameters"] {
        assert!(lines[1][name].is_number(), "{name}");
    }
    assert!(lines[1].get("gauc").is_none(), "synthetic rows have no groups");
    assert!(lines[1].as_object().unwrap().values().all(|value| value.is_number() || value.is_boolean()));
}

#[test]
fn equal_requests_give_equal_results() {
    let folder = tempfile::tempdir().unwrap();
    let request = request("deepfm", &json!({"embedding_dim": 4, "batch_size": 256}), 1, folder.path(), 1500);
    let (first, second) = (finish(&request), finish(&request));
    assert_eq!(first.auc.to_bits(), second.auc.to_bits());
    assert_eq!(first.test_logloss.unwrap().to_bits(), second.test_logloss.unwrap().to_bits());
}

#[test]
fn divergence_is_infeasible() {
    let folder = tempfile::tempdir().unwrap();
    let diverging = json!({"embedding_dim": 8, "learning_rate": 1.0, "l2": 10.0, "batch_size": 64});
    // The largest accepted settings may or may not diverge; whichever, the program ends in order.
    match run_program(&request("fm", &diverging, 3, folder.path(), 1500), &mut go_on).unwrap() {
        TrialEnd::Completed { report } => assert!(report.logloss.is_finite()),
        TrialEnd::Infeasible { reason } => assert!(!reason.is_empty()),
        other => panic!("unexpected end {other:?}"),
    }
}

#[test]
fn wrong_requests_name_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let good = request("deepfm", &json!({}), 1, folder.path(), 1500);
    check(&good).unwrap();
    let problem = |request: TrialRequest| check(&request).unwrap_err().to_string();
    let with = |parameters: Value| TrialRequest {
        parameters: serde_json::from_value(parameters).unwrap(),
        ..good.clone()
    };
    for (parameters, expected) in [
        (json!({"learning_rat": 0.1}), "parameter `learning_rat` is unknown to arm `deepfm`"),
        (json!({"cross_layers": 2}), "parameter `cross_layers` is unknown to arm `deepfm`"),
        (json!({"learning_rate": 0.0}), "parameter `learning_rate`: 0.0 is not a number in"),
        (json!({"learning_rate": "fast"}), "parameter `learning_rate`"),
        (json!({"learning_rate": null}), "parameter `learning_rate`"),
        (json!({"embedding_dim": 2.5}), "parameter `embedding_dim`: 2.5 is not a whole number"),
        (json!({"embedding_dim": -4}), "parameter `embedding_dim`"),
        (json!({"embedding_dim": 100_000}), "parameter `embedding_dim`"),
        (json!({"dropout": 1.0}), "parameter `dropout`"),
        (json!({"batch_norm": 1}), "parameter `batch_norm`"),
        (json!({"mlp_shape": "round"}), "parameter `mlp_shape`: \"round\" is not one of const, halving"),
    ] {
        let found = problem(with(parameters));
        assert!(found.contains(expected), "{found} does not say {expected}");
    }
    let range = |from, to| TrialRequest { resource: ResourceRange { from, to }, ..good.clone() };
    assert!(problem(range(3, 3)).contains("resource.to"));
    assert!(problem(range(0, u64::MAX)).contains("resource.to"));
    assert!(problem(TrialRequest { threads: 0, ..good.clone() }).contains("threads"));
    assert!(problem(TrialRequest { program: "topn".into(), ..good.clone() }).contains("program"));
    assert!(
        problem(TrialRequest { arm: Some("gbdt".into()), ..good.clone() }).contains("lr, fm, deepfm, dcnv2")
    );
    assert!(problem(TrialRequest { arm: None, ..good.clone() }).contains("arm"));
    #[cfg(not(feature = "cuda"))]
    {
        let on_gpu = TrialRequest { device: ComputeDevice::Cuda(0), ..good };
        assert!(
            run_program(&on_gpu, &mut go_on).unwrap_err().to_string().contains("without the feature `cuda`")
        );
    }
}

#[test]
fn the_template_space_is_accepted_at_its_defaults_and_at_its_ends() {
    let template = space(&Arm::ALL);
    assert_eq!(template["arms"]["parameter"], "model");
    let choices = template["arms"]["choices"].as_object().unwrap();
    assert_eq!(choices.len(), 4);
    for arm in Arm::ALL {
        let parameters = choices[arm.name()]["parameters"].as_array().unwrap();
        let pick = |value: &dyn Fn(&Value) -> Value| -> BTreeMap<String, Value> {
            parameters.iter().map(|rule| (rule["name"].as_str().unwrap().to_owned(), value(rule))).collect()
        };
        let end = |name: &'static str, last: bool| {
            move |rule: &Value| match rule["choices"].as_array() {
                Some(choices) => choices[if last { choices.len() - 1 } else { 0 }].clone(),
                None if rule["type"] == "boolean" => json!(last),
                None => rule[name].clone(),
            }
        };
        let defaults = HyperParameters::parse(arm, &pick(&|rule| rule["default"].clone())).unwrap();
        assert_eq!(defaults, HyperParameters::parse(arm, &BTreeMap::new()).unwrap());
        HyperParameters::parse(arm, &pick(&end("low", false))).unwrap();
        HyperParameters::parse(arm, &pick(&end("high", true))).unwrap();
        for rule in parameters {
            let inside = match rule["choices"].as_array() {
                Some(choices) => choices.contains(&rule["default"]),
                None if rule["type"] == "boolean" => rule["default"].is_boolean(),
                None => {
                    let number = |name: &str| rule[name].as_f64().unwrap();
                    assert!(rule["scale"] != "log" || number("low") > 0.0, "{rule}");
                    (number("low")..=number("high")).contains(&number("default"))
                }
            };
            assert!(inside, "{arm}: default outside of {rule}");
        }
    }
    assert_eq!(space(&[Arm::Fm])["arms"]["choices"].as_object().unwrap().len(), 1);
}

#[test]
fn interactions_are_learned_by_the_arms_that_can() {
    let folder = tempfile::tempdir().unwrap();
    let auc = |arm: &str, parameters: Value| {
        finish(&request(arm, &parameters, 6, folder.path(), 30_000)).test_auc.unwrap()
    };
    let linear = auc("lr", json!({}));
    let pairs = auc("fm", json!({"embedding_dim": 8}));
    let deep = auc("deepfm", json!({"embedding_dim": 8}));
    let crossed = auc("dcnv2", json!({"embedding_dim": 8}));
    println!("lr {linear:.4} fm {pairs:.4} deepfm {deep:.4} dcnv2 {crossed:.4}");
    // Fixed seeds. The specification asks for fm > lr + 0.02 and for deepfm and dcnv2 above fm.
    assert!(pairs > linear + 0.02, "fm {pairs} against lr {linear}");
    assert!(deep > pairs && crossed > pairs, "deepfm {deep}, dcnv2 {crossed} against fm {pairs}");
}
