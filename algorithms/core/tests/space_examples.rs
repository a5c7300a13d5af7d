//! Known values of encodings, hashes, samples and counts.
#![allow(missing_docs, clippy::unwrap_used)]

use boxwood_core::Seed;
use boxwood_core::space::{Point, SearchSpace, SpaceSpec, Value};

fn space(parameters: &str) -> SearchSpace {
    SpaceSpec::from_json(&format!(r#"{{"parameters":[{parameters}]}}"#)).unwrap().check().unwrap()
}

fn unit(parameter: &str, value: impl Into<Value>) -> f64 {
    space(parameter).encode(&Point::from([("a", value.into())])).unwrap()[0]
}

#[test]
fn encodings_of_each_type() {
    assert_eq!(unit(r#"{"name":"a","type":"float","low":-1,"high":3}"#, 0.0), 0.25);
    let log = unit(r#"{"name":"a","type":"float","low":1e-4,"high":1,"scale":"log"}"#, 0.01);
    assert!((log - 0.5).abs() < 1e-15);
    assert_eq!(unit(r#"{"name":"a","type":"float","low":0,"high":1,"step":0.25}"#, 0.5), 0.5);
    assert_eq!(unit(r#"{"name":"a","type":"integer","low":1,"high":4}"#, 2_i64), 0.375);
    assert_eq!(unit(r#"{"name":"a","type":"integer","low":0,"high":10,"step":5}"#, 10_i64), 5.0 / 6.0);
    assert_eq!(unit(r#"{"name":"a","type":"ordinal","choices":["s","m","l","xl"]}"#, "l"), 0.625);
    assert_eq!(unit(r#"{"name":"a","type":"boolean"}"#, true), 0.75);
    let expected = (8_f64 / 0.5).ln() / (16.5_f64 / 0.5).ln();
    let log = unit(r#"{"name":"a","type":"integer","low":1,"high":16,"scale":"log"}"#, 8_i64);
    assert!((log - expected).abs() < 1e-15);
}

#[test]
fn one_value_is_encoded_whether_or_not_it_is_active() {
    let space = space(
        r#"{"name":"kind","type":"categorical","choices":["x","y"]},{"name":"fixed","type":"constant","value":3},
           {"name":"rate","type":"float","low":1e-4,"high":1,"scale":"log","when":{"parameter":"kind","equals":"y"}}"#,
    );
    let rate = space.encode_value("rate", &Value::Float(0.01)).unwrap();
    assert!((rate - 0.5).abs() < 1e-15);
    let (kind, fixed) = (Value::Text("y".into()), Value::Integer(3));
    let point = Point::from([("kind", kind), ("fixed", fixed.clone()), ("rate", Value::Float(0.01))]);
    assert_eq!(rate.to_bits(), space.encode(&point).unwrap()[1].to_bits());
    let (large, text) = (Value::Float(7.0), Value::Text("z".into()));
    for (name, value) in [("rate", &large), ("fixed", &fixed), ("none", &large), ("kind", &text)] {
        let message = space.encode_value(name, value).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn ranges_of_one_value_work() {
    let space = space(
        r#"{"name":"a","type":"float","low":0.1,"high":0.1},{"name":"b","type":"integer","low":7,"high":7},
           {"name":"c","type":"integer","low":7,"high":7,"scale":"log"},{"name":"d","type":"categorical","choices":["x"]},
           {"name":"e","type":"float","low":0.1,"high":0.1,"scale":"log"}"#,
    );
    assert_eq!(space.cardinality(), Some(1));
    assert_eq!(space.grid(10).count(), 1);
    let point = space.decode(&space.sample(&mut Seed(1).rng()).unwrap());
    assert_eq!(serde_json::to_string(&point).unwrap(), r#"{"a":0.1,"b":7,"c":7,"d":"x","e":0.1}"#);
    assert!((0..5).all(|i| space.neighbours(&[0.5; 5], i, 9, &mut Seed(1).rng()).is_empty()));
}

#[test]
fn floats_are_short_decimals_and_bounds_are_exact() {
    let space = space(
        r#"{"name":"a","type":"float","low":0.1,"high":0.7},{"name":"b","type":"float","low":0.1,"high":0.9,"step":0.1}"#,
    );
    let third = space.decode(&[1.0 / 3.0, 0.3]);
    assert_eq!(serde_json::to_string(&third).unwrap(), r#"{"a":0.3,"b":0.3}"#);
    for (unit, wanted) in [(0.0, 0.1), (1.0, 0.7), (-5.0, 0.1), (f64::INFINITY, 0.7)] {
        assert_eq!(space.decode(&[unit, 0.5]).get("a"), Some(&Value::Float(wanted)));
    }
    let kept = space.canonical(&Point::from([("a", 0.123_456_789_012), ("b", 0.2 + 0.1)])).unwrap();
    assert_eq!(serde_json::to_string(&kept).unwrap(), r#"{"a":0.123456789012,"b":0.3}"#);
}

#[test]
fn a_rounding_error_beside_zero_means_the_level_at_zero() {
    let step = r#"{"name":"a","type":"float","low":-0.3,"high":0.5,"step":0.1}"#;
    let space = space(&format!(
        r#"{step},{{"name":"b","type":"boolean","when":{{"parameter":"a","equals":5.551115123125783e-17}}}}"#
    ));
    let unit = unit(step, 0.0);
    assert_eq!(space.decode(&[unit, 0.25]), Point::from([("a", 0.0.into()), ("b", Value::from(false))]));
    assert_eq!(space.decode(&[unit + 0.2, 0.25]).get("b"), None);
}

#[test]
fn weights_and_uniformity_of_samples() {
    // 4,000 draws of a share p have a deviation of at most 0.0079; the limit of 0.04 is five of them, so that a false
    // alarm has a probability below 1e-5 for each of the shares, over all seeds.
    let space = space(
        r#"{"name":"a","type":"categorical","choices":["x","y"],"weights":[3,1]},
           {"name":"b","type":"integer","low":1,"high":4},{"name":"c","type":"integer","low":1,"high":3,"scale":"log"}"#,
    );
    let mut rng = Seed(11).rng();
    let random: Vec<_> = (0..4000).map(|_| space.sample(&mut rng).unwrap()).collect();
    let log_share = (3_f64.ln()) / (3.5_f64 / 0.5).ln();
    for rows in [random, space.sobol(3, 0, 4000), space.latin_hypercube(4000, &mut rng).unwrap()] {
        let share = |name: &str, value: Value| {
            rows.iter().filter(|row| space.decode(row).get(name) == Some(&value)).count() as f64 / 4000.0
        };
        assert!((share("a", "x".into()) - 0.75).abs() < 0.04);
        assert!((1..=4).all(|v| (share("b", Value::Integer(v)) - 0.25).abs() < 0.04));
        assert!((share("c", Value::Integer(1)) - log_share).abs() < 0.04);
    }
}

#[test]
fn sobol_is_even_and_survives_many_dimensions_and_points() {
    let parameters: Vec<String> =
        (0..300).map(|i| format!(r#"{{"name":"p{i}","type":"float","low":0,"high":1}}"#)).collect();
    let space = space(&parameters.join(","));
    let rows = space.sobol(5, 0, 16);
    for dimension in 0..256 {
        // A scrambled net: each sixteenth of an axis holds one of the first sixteen points.
        let mut cells: Vec<usize> = rows.iter().map(|row| (row[dimension] * 16.0) as usize).collect();
        cells.sort_unstable();
        assert_eq!(cells, (0..16).collect::<Vec<_>>(), "dimension {dimension}");
    }
    let beyond = space.sobol(5, 65_534, 4);
    assert_eq!(beyond.len(), 4);
    assert!(rows.iter().chain(&beyond).flatten().all(|number| (0.0..=1.0).contains(number)));
    assert_ne!(beyond[2], rows[0], "another block has another scramble");
    let mut cells: Vec<usize> = space
        .latin_hypercube(16, &mut Seed(1).rng())
        .unwrap()
        .iter()
        .map(|row| (row[299] * 16.0) as usize)
        .collect();
    cells.sort_unstable();
    assert_eq!(cells, (0..16).collect::<Vec<_>>());
}

#[test]
fn hashes_follow_meaning() {
    let hash = |text: &str| SpaceSpec::from_json(text).unwrap().check().unwrap().hash();
    let base = hash(
        r#"{"parameters":[{"name":"a","type":"float","low":0,"high":2},{"name":"b","type":"integer","low":1,"high":3}],
            "relations":["a <= b", "a < 1 or b > 1"]}"#,
    );
    assert_eq!(base.len(), 64);
    let same = hash(
        r#"{"relations":["a<1 or b > 1", " a <= b"],"parameters":[
            {"high":2.0,"low":-0.0,"type":"float","name":"a","scale":"linear","step":null},
            {"type":"integer","name":"b","low":1.0,"high":3,"step":1}]}"#,
    );
    assert_eq!(base, same);
    for other in [
        r#"{"parameters":[{"name":"a","type":"float","low":0,"high":2},{"name":"b","type":"integer","low":1,"high":3}]}"#,
        r#"{"parameters":[{"name":"b","type":"integer","low":1,"high":3},{"name":"a","type":"float","low":0,"high":2}],
            "relations":["a <= b", "a < 1 or b > 1"]}"#,
        r#"{"parameters":[{"name":"a","type":"float","low":0,"high":2,"step":1},{"name":"b","type":"integer","low":1,"high":3}],
            "relations":["a <= b", "a < 1 or b > 1"]}"#,
    ] {
        assert_ne!(base, hash(other));
    }
    let space = space(r#"{"name":"a","type":"float","low":0,"high":2},{"name":"b","type":"boolean"}"#);
    let point = |text: &str| space.point_hash(&serde_json::from_str(text).unwrap());
    assert_eq!(point(r#"{"a":1,"b":true}"#), point(r#"{"b":true,"a":1.0}"#));
    assert_ne!(point(r#"{"a":1,"b":true}"#), point(r#"{"a":1,"b":false}"#));
    assert_eq!(point(r#"{"a":1,"b":true}"#).len(), 32);
    // Pinned by Python's hashlib: a change here would make stored studies forget their duplicates.
    assert_eq!(point(r#"{"a":0.5,"b":true}"#), PINNED_POINT);
}

const PINNED_POINT: &str = "289cf60997901fcd206c9e475e40fedd";

#[test]
fn counting_looks_through_conditions() {
    let conditional = space(
        r#"{"name":"c","type":"integer","low":1,"high":5,"when":{"any":[{"parameter":"a","equals":2},{"parameter":"b","equals":true}]}},
           {"name":"a","type":"integer","low":1,"high":1000},{"name":"b","type":"boolean","when":{"parameter":"a","in":[1,2,3]}},
           {"name":"k","type":"constant","value":"v"}"#,
    );
    // a = 2: b false or true, c always active: 10. a = 1 or 3: b false, or b true with c: 6 each. Others: 997.
    assert_eq!(conditional.cardinality(), Some(10 + 12 + 997));
    assert_eq!(conditional.grid(1).count(), 1019);
    let infinite = space(r#"{"name":"a","type":"float","low":0,"high":1}"#);
    assert_eq!(infinite.cardinality(), None);
    assert_eq!(infinite.grid(3).map(|row| row[0]).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
    assert_eq!(infinite.grid(1).count(), 1);
    let wide: Vec<String> = (0..60).map(|i| format!(r#"{{"name":"p{i}","type":"boolean"}}"#)).collect();
    assert_eq!(space(&wide[..50].join(",")).cardinality(), Some(1 << 50));
    assert_eq!(space(&wide.join(",")).cardinality(), None);
}

#[test]
fn constants_switch_parameters_and_share_their_conditions() {
    let space = space(
        r#"{"name":"mode","type":"constant","value":"x"},
           {"name":"on","type":"boolean","when":{"parameter":"mode","equals":"x"}},
           {"name":"off","type":"boolean","when":{"parameter":"mode","equals":"y"}},
           {"name":"tag","type":"constant","value":3,"when":{"parameter":"on","equals":true}},
           {"name":"deep","type":"boolean","when":{"parameter":"tag","equals":3}}"#,
    );
    let names: Vec<_> = space.dimensions().iter().map(|d| (d.name.as_str(), d.conditional)).collect();
    assert_eq!(names, [("on", false), ("deep", true)]);
    assert_eq!(serde_json::to_string(&space.decode(&[0.25, 0.75])).unwrap(), r#"{"mode":"x","on":false}"#);
    let on = space.decode(&[0.75, 0.75]);
    assert_eq!(serde_json::to_string(&on).unwrap(), r#"{"deep":true,"mode":"x","on":true,"tag":3}"#);
    assert_eq!(space.canonical(&on), Ok(on));
}
