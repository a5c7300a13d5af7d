//! Refusals of declarations and points name the field and the reason.
#![allow(missing_docs, clippy::unwrap_used)]

use boxwood_core::SpaceError;
use boxwood_core::space::{Point, SearchSpace, SpaceSpec};

fn refusal(text: &str) -> String {
    SpaceSpec::from_json(text).and_then(|spec| spec.check()).map(|_| ()).unwrap_err().to_string()
}

fn one(parameter: &str) -> String {
    refusal(&format!(r#"{{"parameters":[{parameter}]}}"#))
}

fn space(text: &str) -> SearchSpace {
    SpaceSpec::from_json(text).unwrap().check().unwrap()
}

#[test]
fn fields_that_cannot_be_read() {
    for (text, reason) in [
        (
            r#"{"parametres":[]}"#,
            r#"space: unknown field "parametres", expected one of "parameters", "arms", "forbidden", "relations""#,
        ),
        ("[]", "space: expected a table of fields, got a list"),
        (r#"{"parameters":3}"#, "parameters: expected a list, got 3"),
        (r#"{"relations":[1]}"#, "relations[0]: expected a text, got 1"),
        (
            r#"{"arms":{"choices":{"fm":{"parameters":[{"name":"a","type":"flot"}]}}}}"#,
            r#"arms.choices.fm.parameters[0].type: unknown type "flot", expected one of "float", "integer", "ordinal", "categorical", "boolean", "constant""#,
        ),
        (r#"{"arms":{"parameter":"m"}}"#, r#"arms: field "choices" is missing"#),
        (
            r#"{"forbidden":[{"a":null}]}"#,
            "forbidden[0].a: expected a finite number, a text, true or false, got null (or a number that is not finite)",
        ),
    ] {
        assert_eq!(refusal(text), reason);
    }
    for (parameter, reason) in [
        (
            r#"{"name":"a","type":"float","lo":0,"high":1}"#,
            r#"parameters[0]: unknown field "lo", expected one of "name", "type", "low", "high", "scale", "step", "default", "when""#,
        ),
        (
            r#"{"name":"a","type":"boolean","low":0}"#,
            r#"parameters[0]: unknown field "low", expected one of "name", "type", "default", "when""#,
        ),
        (r#"{"name":"a","type":"float","high":1}"#, r#"parameters[0]: field "low" is missing"#),
        (
            r#"{"name":"a","type":"float","low":"0","high":1}"#,
            r#"parameters[0].low: expected a finite number, got "0""#,
        ),
        (
            r#"{"name":"a","type":"integer","low":0.5,"high":1}"#,
            "parameters[0].low: expected an integer, got 0.5",
        ),
        (
            r#"{"name":"a","type":"float","low":0,"high":1,"scale":"ln"}"#,
            r#"parameters[0].scale: expected "linear" or "log", got "ln""#,
        ),
        (r#"{"type":"boolean"}"#, r#"parameters[0]: field "name" is missing"#),
        (
            r#"{"name":"a"}"#,
            r#"parameters[0]: field "type" is missing: one of "float", "integer", "ordinal", "categorical", "boolean", "constant""#,
        ),
        (
            r#"{"name":"a","type":"boolean","when":{"all":[{"parameter":"b","equal":1}]}}"#,
            r#"parameters[0].when.all[0]: unknown field "equal", expected one of "parameter", "equals", "in", "all", "any""#,
        ),
        (
            r#"{"name":"a","type":"boolean","when":{"parameter":"b"}}"#,
            r#"parameters[0].when: a condition needs one of "equals", "in", "all", "any""#,
        ),
        (
            r#"{"name":"a","type":"categorical","choices":[[1]]}"#,
            "parameters[0].choices[0]: expected a finite number, a text, true or false, got a list",
        ),
    ] {
        assert_eq!(one(parameter), reason);
    }
    assert!(refusal("{").starts_with("JSON: EOF"));
    let toml = SpaceSpec::from_toml("[[parameters]]\nname = \"a\"\ntype = \"float\"\nlo = 1\n").unwrap_err();
    assert!(toml.to_string().starts_with(r#"parameters[0]: unknown field "lo""#), "{toml}");
    assert!(SpaceSpec::from_toml("a = ").unwrap_err().to_string().starts_with("TOML: "));
    let toml = SpaceSpec::from_toml("[[parameters]]\nname = \"a\"\ntype = \"float\"\nlow = nan\nhigh = 1\n");
    assert!(toml.unwrap_err().to_string().starts_with("parameters[0].low: expected a finite number"));
}

#[test]
fn domains_that_make_no_sense() {
    for (parameter, reason) in [
        (r#"{"name":"","type":"boolean"}"#, "parameters[0].name: the name is empty"),
        (
            r#"{"name":"a.b","type":"boolean"}"#,
            "parameters[0].name: `a.b` contains a dot, which only separates an arm from its parameter",
        ),
        (
            r#"{"name":"a b","type":"boolean"}"#,
            "parameters[0].name: `a b` contains ' '; letters, digits, `_` and `-` are allowed",
        ),
        (
            r#"{"name":"a","type":"boolean"},{"name":"a","type":"boolean"}"#,
            "parameters[1].name: `a` is declared twice",
        ),
        (r#"{"name":"a","type":"float","low":2,"high":1}"#, "parameters[0].low: 2 is above high 1"),
        (r#"{"name":"a","type":"integer","low":2,"high":1}"#, "parameters[0].low: 2 is above high 1"),
        (
            r#"{"name":"a","type":"float","low":-1e308,"high":1e308}"#,
            "parameters[0].high: the range high - low overflows",
        ),
        (
            r#"{"name":"a","type":"float","low":0,"high":1,"scale":"log"}"#,
            "parameters[0].low: 0 is not positive, which a log scale needs",
        ),
        (
            r#"{"name":"a","type":"integer","low":0,"high":1,"scale":"log"}"#,
            "parameters[0].low: 0 is not positive, which a log scale needs",
        ),
        (
            r#"{"name":"a","type":"float","low":0,"high":1,"step":0}"#,
            "parameters[0].step: 0 is not a positive number",
        ),
        (
            r#"{"name":"a","type":"float","low":0,"high":1,"step":1e-12}"#,
            "parameters[0].step: 0.000000000001 is too small for the range 0 to 1",
        ),
        (
            r#"{"name":"a","type":"float","low":1,"high":2,"step":0.1,"scale":"log"}"#,
            "parameters[0].step: a step needs a linear scale",
        ),
        (r#"{"name":"a","type":"integer","low":0,"high":1,"step":0}"#, "parameters[0].step: 0 is below 1"),
        (
            r#"{"name":"a","type":"integer","low":-9223372036854775808,"high":9223372036854775807}"#,
            "parameters[0].high: the range holds more than 2^50 values",
        ),
        (
            r#"{"name":"a","type":"ordinal","choices":[]}"#,
            "parameters[0].choices: at least one choice is required",
        ),
        (
            r#"{"name":"a","type":"categorical","choices":[2,"x",2.0]}"#,
            "parameters[0].choices: `2` is given twice",
        ),
        (
            r#"{"name":"a","type":"categorical","choices":[1,2],"weights":[1]}"#,
            "parameters[0].weights: 1 weights are given for 2 choices",
        ),
        (
            r#"{"name":"a","type":"categorical","choices":[1,2],"weights":[1,0]}"#,
            "parameters[0].weights: 0 is not a positive number",
        ),
        (
            r#"{"name":"a","type":"float","low":0,"high":1,"default":3}"#,
            "parameters[0].default: 3 is not between 0 and 1",
        ),
        (
            r#"{"name":"a","type":"categorical","choices":["x","y"],"default":"z"}"#,
            "parameters[0].default: `z` is not one of `x`, `y`",
        ),
        (
            r#"{"name":"a","type":"constant","value":1,"default":2}"#,
            "parameters[0].default: a constant has no other default",
        ),
    ] {
        assert_eq!(one(parameter), reason);
    }
}

#[test]
fn conditions_rules_and_arms_that_make_no_sense() {
    let two = |when: &str| {
        one(&format!(
            r#"{{"name":"a","type":"categorical","choices":["x","y"]}},{{"name":"b","type":"boolean","when":{when}}}"#
        ))
    };
    assert_eq!(two(r#"{"parameter":"c","equals":1}"#), "parameters[1].when.parameter: unknown parameter `c`");
    assert_eq!(
        two(r#"{"parameter":"a","equals":"z"}"#),
        "parameters[1].when.equals: parameter `a`: `z` is not one of `x`, `y`"
    );
    assert_eq!(two(r#"{"any":[]}"#), "parameters[1].when.any: at least one condition is required");
    assert_eq!(two(r#"{"parameter":"a","in":[]}"#), "parameters[1].when.in: at least one value is required");
    assert_eq!(two(r#"{"parameter":"b","equals":true}"#), "parameters[1].when: `b` depends on itself");
    let cycle = one(r#"{"name":"z","type":"boolean","when":{"parameter":"a","equals":true}},
           {"name":"a","type":"boolean","when":{"parameter":"b","equals":true}},
           {"name":"b","type":"boolean","when":{"all":[{"parameter":"a","equals":true}]}}"#);
    assert!(cycle.ends_with("depends on itself") && !cycle.contains("`z`"), "{cycle}");
    assert_eq!(refusal("{}"), "parameters: a space needs at least one parameter, or arms");
    assert_eq!(refusal(r#"{"arms":{"choices":{}}}"#), "arms.choices: at least one arm is required");
    assert_eq!(refusal(r#"{"arms":{"choices":{"":{}}}}"#), "arms.choices: arm ``: the name is empty");
    assert_eq!(
        refusal(r#"{"arms":{"choices":{"a":{"arms":{"choices":{"b":{}}}}}}}"#),
        "arms.choices.a.arms: an arm has no arms of its own"
    );
    assert_eq!(
        refusal(r#"{"parameters":[{"name":"arm","type":"boolean"}],"arms":{"choices":{"a":{}}}}"#),
        "parameters[0].name: `arm` is declared twice"
    );
    let ruled = |rules: &str| {
        refusal(&format!(
            r#"{{"parameters":[{{"name":"a","type":"integer","low":1,"high":3}},{{"name":"m","type":"ordinal","choices":["x"]}}],{rules}}}"#
        ))
    };
    assert_eq!(
        ruled(r#""relations":["a < 3","a < q"]"#),
        "relations[1]: at character 5: unknown parameter `q`"
    );
    assert_eq!(
        ruled(r#""relations":["m < 3"]"#),
        "relations[0]: at character 3: only numbers have an order, not a text"
    );
    assert_eq!(ruled(r#""forbidden":[{}]"#), "forbidden[0]: a forbidden clause names at least one parameter");
    assert_eq!(ruled(r#""forbidden":[{"q":1}]"#), "forbidden[0]: unknown parameter `q`");
    assert_eq!(
        ruled(r#""forbidden":[{"a":[1,9]}]"#),
        "forbidden[0].a: parameter `a`: 9 is not between 1 and 3"
    );
}

const CASH: &str = r#"{
    "parameters": [
        {"name": "lr", "type": "float", "low": 1e-5, "high": 0.1, "scale": "log"},
        {"name": "warm", "type": "boolean"},
        {"name": "decay", "type": "float", "low": 0, "high": 1, "when": {"parameter": "model", "equals": "fm"}},
        {"name": "boost", "type": "integer", "low": 1, "high": 8, "when": {"parameter": "gbm.depth", "in": [3, 4]}},
        {"name": "version", "type": "constant", "value": 2}
    ],
    "arms": {"parameter": "model", "choices": {
        "lr": {},
        "gbm": {
            "parameters": [
                {"name": "leaves", "type": "integer", "low": 2, "high": 64, "scale": "log"},
                {"name": "depth", "type": "integer", "low": 1, "high": 6}
            ],
            "relations": ["leaves <= 2 ** depth"]
        },
        "fm": {
            "parameters": [
                {"name": "size", "type": "ordinal", "choices": [4, 8, 16], "when": {"parameter": "deep", "equals": true}},
                {"name": "deep", "type": "boolean"}
            ],
            "forbidden": [{"deep": true, "size": [16]}]
        }
    }},
    "relations": ["lr < 0.05 or not warm"]
}"#;

#[test]
fn arms_are_subspaces_under_full_names() {
    let space = space(CASH);
    let names: Vec<&str> = space.dimensions().iter().map(|dimension| dimension.name.as_str()).collect();
    assert_eq!(
        names,
        ["model", "lr", "warm", "decay", "boost", "fm.size", "fm.deep", "gbm.leaves", "gbm.depth"]
    );
    assert_eq!(space.arms(), ["fm", "gbm", "lr"]);
    assert_eq!(space.arm_parameter(), Some("model"));
    let default = space.default_point().unwrap();
    assert_eq!(space.arm_of(&default), Some("fm"));
    let names = |arm: &str| -> Vec<String> {
        space.subspace(arm).unwrap().dimensions().iter().map(|dimension| dimension.name.clone()).collect()
    };
    assert_eq!(names("lr"), ["lr", "warm"]);
    assert_eq!(names("fm"), ["lr", "warm", "decay", "fm.size", "fm.deep"]);
    assert_eq!(names("gbm"), ["lr", "warm", "boost", "gbm.leaves", "gbm.depth"]);
    assert!(!space.subspace("fm").unwrap().dimensions()[2].conditional, "decay is always active for fm");
    assert_eq!(space.subspace("xx").unwrap_err().to_string(), "arms.choices: the space has no arm `xx`");
    let lr = space.subspace("lr").unwrap().default_point().unwrap();
    assert_eq!(serde_json::to_string(&lr).unwrap(), r#"{"lr":0.001,"model":"lr","version":2,"warm":false}"#);
    assert_eq!(space.canonical(&lr), Ok(lr));
}

#[test]
fn points_that_do_not_belong() {
    let space = space(CASH);
    let refused =
        |text: &str| space.canonical(&serde_json::from_str::<Point>(text).unwrap()).unwrap_err().to_string();
    for (point, reason) in [
        (r#"{"x":1}"#, "parameter `x`: the space has no such parameter"),
        (r#"{"lr":0.01,"warm":false}"#, "parameter `model`: is active and has no value"),
        (r#"{"model":"gm"}"#, "parameter `model`: `gm` is not one of `fm`, `gbm`, `lr`"),
        (r#"{"model":"lr","lr":0.2,"warm":false}"#, "parameter `lr`: 0.2 is not between 0.00001 and 0.1"),
        (r#"{"model":"lr","lr":"0.01","warm":false}"#, "parameter `lr`: expected a number, got `0.01`"),
        (r#"{"model":"lr","lr":0.01,"warm":1}"#, "parameter `warm`: `1` is not one of `false`, `true`"),
        (
            r#"{"model":"lr","lr":0.01,"warm":false,"decay":0.5}"#,
            "parameter `decay`: is not active here and must have no value",
        ),
        (r#"{"model":"lr","lr":0.01,"warm":false,"version":3}"#, "parameter `version`: is always `2`"),
        (r#"{"model":"lr","lr":0.06,"warm":true}"#, "the point breaks `lr < 0.05 or not warm`"),
        (
            r#"{"model":"gbm","lr":0.01,"warm":true,"gbm.leaves":5,"gbm.depth":2}"#,
            "the point breaks `gbm: leaves <= 2 ** depth`",
        ),
        (
            r#"{"model":"gbm","lr":0.01,"warm":true,"gbm.leaves":5.5,"gbm.depth":2}"#,
            "parameter `gbm.leaves`: expected an integer, got `5.5`",
        ),
        (
            r#"{"model":"fm","lr":0.01,"warm":true,"decay":0,"fm.deep":true,"fm.size":16}"#,
            r#"the point breaks `fm: forbidden {"deep":true,"size":[16]}`"#,
        ),
    ] {
        assert_eq!(refused(point), reason);
    }
    let given = r#"{"model":"fm","lr":1e-2,"warm":true,"decay":1,"fm.deep":true,"fm.size":8.0,"boost":null}"#;
    let point = space.canonical(&serde_json::from_str(given).unwrap()).unwrap();
    assert_eq!(
        serde_json::to_string(&point).unwrap(),
        r#"{"decay":1.0,"fm.deep":true,"fm.size":8,"lr":0.01,"model":"fm","version":2,"warm":true}"#
    );
    let not_finite = Point::from([("lr", f64::NAN)]);
    let space =
        SpaceSpec::from_json(r#"{"parameters":[{"name":"lr","type":"float","low":0,"high":1}]}"#).unwrap();
    let refused = space.check().unwrap().canonical(&not_finite).unwrap_err();
    assert_eq!(refused.to_string(), "parameter `lr`: NaN is not finite");
}

#[test]
fn rules_that_leave_nothing_end_the_search() {
    let space =
        space(r#"{"parameters":[{"name":"a","type":"float","low":0,"high":1}],"relations":["a > 2"]}"#);
    let mut rng = boxwood_core::Seed(1).rng();
    assert_eq!(space.sample(&mut rng), Err(SpaceError::NoValidPoint { draws: 10_000 }));
    assert!(space.sobol(1, 0, 5).is_empty());
    assert!(space.latin_hypercube(2, &mut rng).is_err());
    assert_eq!(space.default_point(), None);
    assert_eq!(space.grid(5).count(), 0);
    assert!(space.neighbours(&[0.5], 0, 5, &mut rng).is_empty());
}
