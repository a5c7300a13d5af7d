//! Reading and checking specifications.
#![allow(clippy::unwrap_used)]

use boxwood_study::{SpecError, StudySpec};

const GOOD: &str = r#"{
    "name": "ctr", "space": {"parameters": [
        {"name": "rate", "type": "float", "low": 0.001, "high": 1.0, "scale": "log"},
        {"name": "depth", "type": "integer", "low": 1, "high": 8}]},
    "objectives": [{"metric": "auc", "goal": "maximize"}],
    "fidelity": {"resource": "epochs", "rungs": [1, 3, 9]},
    "budget": {"trials": 20}, "initial_points": [{"rate": 0.1, "depth": 2.0}],
    "program": {"name": "fm", "arguments": {"rows": 10}}
}"#;

fn edited(edit: impl Fn(&mut serde_json::Value)) -> Result<StudySpec, SpecError> {
    let mut json: serde_json::Value = serde_json::from_str(GOOD).unwrap();
    edit(&mut json);
    StudySpec::from_value(json)
}

#[test]
fn a_good_specification_is_put_in_normal_form() {
    let checked = StudySpec::from_json(GOOD).unwrap().check().unwrap();
    assert_eq!(checked.problem.max_trials(), Some(20));
    assert_eq!(checked.spec.initial_points, checked.problem.initial_points());
    assert_eq!(checked.hash.len(), 64);
    let again = edited(|json| json["initial_points"][0]["depth"] = 2.into()).unwrap().check().unwrap();
    assert_eq!(again.hash, checked.hash, "2 and 2.0 mean the same integer");
    let described = edited(|json| json["description"] = "text".into()).unwrap().check().unwrap();
    assert_eq!(described.hash, checked.hash);
    let other = edited(|json| json["seed"] = 3.into()).unwrap().check().unwrap();
    assert_ne!(other.hash, checked.hash);
    assert_eq!(checked.spec.check().unwrap().hash, checked.hash, "checking twice changes nothing");
}

#[test]
fn toml_reads_the_same_specification() {
    let text = r#"
        name = "ctr"
        space = { parameters = [
            { name = "rate", type = "float", low = 0.001, high = 1.0, scale = "log" },
            { name = "depth", type = "integer", low = 1, high = 8 } ] }
        objectives = [{ metric = "auc", goal = "maximize" }]
        fidelity = { resource = "epochs", rungs = [1, 3, 9] }
        initial_points = [{ rate = 0.1, depth = 2 }]
        [budget]
        trials = 20
        [program]
        name = "fm"
        arguments = { rows = 10 }
    "#;
    let toml = StudySpec::from_toml(text).unwrap().check().unwrap();
    assert_eq!(toml.hash, StudySpec::from_json(GOOD).unwrap().check().unwrap().hash);
}

#[test]
fn errors_name_the_field() {
    type Edit = fn(&mut serde_json::Value);
    let cases: [(&str, Edit); 20] = [
        ("name:", |j| j["name"] = "a b".into()),
        ("name:", |j| j["name"] = "".into()),
        ("colour:", |j| j["colour"] = 1.into()),
        ("objectives[0]:", |j| {
            j["objectives"][0].as_object_mut().unwrap().remove("goal");
        }),
        ("objectives:", |j| {
            j.as_object_mut().unwrap().remove("objectives");
        }),
        ("space.parameters[1]:", |j| j["space"]["parameters"][1]["low"] = "one".into()),
        ("budget.trials", |j| j["budget"]["trials"] = 0.into()),
        ("budget.seconds", |j| j["budget"]["seconds"] = (-1.0).into()),
        ("budget.resource", |j| j["budget"]["resource"] = 0.into()),
        ("budget:", |j| j["budget"]["money"] = 1.into()),
        ("program.name", |j| j["program"]["name"] = "rm -rf /".into()),
        ("requires.gpu model", |j| j["requires"]["gpu model"] = "a".into()),
        ("max_open_leases", |j| j["max_open_leases"] = 0.into()),
        ("max_attempts", |j| j["max_attempts"] = 0.into()),
        ("lease_seconds", |j| j["lease_seconds"] = 0.001.into()),
        ("lease_seconds", |j| j["lease_seconds"] = 100_000.into()),
        ("failure_limit.share", |j| {
            j["failure_limit"] = serde_json::json!({"after_trials": 5, "share": 0.0});
        }),
        ("duplicates.replicate", |j| j["duplicates"] = serde_json::json!({"replicate": 0})),
        ("initial_points[0]", |j| j["initial_points"][0]["rate"] = 7.into()),
        ("fidelity.rungs", |j| j["fidelity"]["rungs"] = serde_json::json!([3, 1])),
    ];
    for (expected, edit) in cases {
        let error = edited(edit).and_then(|spec| spec.check().map(drop)).unwrap_err().to_string();
        assert!(error.contains(expected), "`{error}` should name {expected}");
    }
    assert!(StudySpec::from_json("{").unwrap_err().to_string().contains("line 1"));
}
