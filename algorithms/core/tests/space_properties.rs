//! Properties of random spaces.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss)]

mod generate;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use boxwood_core::space::{
    DimensionKind, Domain, ParameterSpec, Point, Scale, SearchSpace, SpaceSpec, Value,
};
use boxwood_core::{Seed, SpaceError};
use generate::{Generator, Wanted, close, holds};
use proptest::prelude::*;

const ALL: Wanted = Wanted { finite: false, arms: true, rules: true };
const NO_RULES: Wanted = Wanted { finite: false, arms: true, rules: false };
const FINITE: Wanted = Wanted { finite: true, arms: true, rules: true };

fn bits(row: &[f64]) -> Vec<u64> {
    row.iter().map(|number| number.to_bits()).collect()
}

fn check_domain(parameter: &ParameterSpec, value: &Value) {
    match (&parameter.domain, value) {
        (Domain::Float { low, high, step, .. }, Value::Float(value)) => {
            assert!((low..=high).contains(&value), "{low} <= {value} <= {high}");
            if let Some(step) = step {
                let steps = (value - low) / step;
                assert!((steps - steps.round()).abs() < 1e-6, "{value} off grid {low} + i * {step}");
            }
        }
        (Domain::Integer { low, high, step, .. }, Value::Integer(value)) => {
            assert!((low..=high).contains(&value));
            assert_eq!((value - low) % step.unwrap_or(1), 0);
        }
        (Domain::Boolean, Value::Boolean(_)) => {}
        (Domain::Categorical { choices, .. } | Domain::Ordinal { choices }, value) => {
            assert!(choices.contains(value));
        }
        (Domain::Constant { value: constant }, value) => assert_eq!(constant, value),
        (domain, value) => panic!("{value:?} has the wrong type for {domain:?}"),
    }
}

/// Checks every active and inactive parameter of a point against the declaration.
fn check_point(spec: &SpaceSpec, point: &Point) {
    let mut left = point.0.clone();
    let mut parts = vec![(String::new(), true, spec)];
    if let Some(arms) = &spec.arms {
        let arm = left.remove(&arms.parameter).expect("the arm is always active");
        parts.extend(
            arms.choices.iter().map(|(name, own)| (format!("{name}."), arm.as_text() == Some(name), own)),
        );
    }
    for (prefix, chosen, part) in parts {
        for parameter in &part.parameters {
            let active = chosen && parameter.when.as_ref().is_none_or(|when| holds(when, &prefix, point));
            let value = left.remove(&format!("{prefix}{}", parameter.name));
            assert_eq!(value.is_some(), active, "{prefix}{} in {point:?}", parameter.name);
            if let Some(value) = value {
                check_domain(parameter, &value);
            }
        }
    }
    assert!(left.is_empty(), "unknown parameters {left:?}");
}

fn check_row(space: &SearchSpace, spec: &SpaceSpec, row: &[f64]) {
    assert_eq!(row.len(), space.dimensions().len());
    let point = space.decode(row);
    check_point(spec, &point);
    let encoded = space.encode(&point).unwrap();
    assert_eq!(bits(&encoded), bits(row), "encode(decode(row)) is the row: {point:?}");
    assert_eq!(space.decode(&encoded), point, "decode(encode(point)) is the point");
    let mut again = row.to_vec();
    assert_eq!(space.snap(&mut again), space.is_valid(&point));
    assert_eq!(bits(&again), bits(row), "snap is idempotent");
    match space.canonical(&point) {
        Ok(canonical) => assert_eq!(canonical, point),
        Err(error) => assert!(matches!(error, SpaceError::Rule { .. }) && !space.is_valid(&point), "{error}"),
    }
    let text = serde_json::to_string(&point).unwrap();
    let read: Point = serde_json::from_str(&text).unwrap();
    assert_eq!(space.encode(&read).map(|row| bits(&row)), Ok(bits(row)), "points survive JSON");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_and_points_are_the_same_thing(seed: u64) {
        let mut generator = Generator::new(seed, ALL);
        let spec = generator.space();
        let space = spec.check().unwrap();
        for _ in 0..20 {
            let mut row: Vec<f64> = space.dimensions().iter().map(|_| generator.uniform() * 1.2 - 0.1).collect();
            if let Some(number) = row.first_mut() {
                *number = if generator.uniform() < 0.1 { f64::NAN } else { *number };
            }
            space.snap(&mut row);
            check_row(&space, &spec, &row);
        }
    }

    #[test]
    fn every_way_of_sampling_stays_inside(seed: u64) {
        let spec = Generator::new(seed, ALL).space();
        let space = spec.check().unwrap();
        let mut rng = Seed(seed).rng();
        let sequences = space.sobol(seed, 3, 8).into_iter().chain(space.halton(seed, 3, 8));
        let rows = sequences.chain(space.sample(&mut rng));
        let rows: Vec<_> = rows.chain(space.latin_hypercube(4, &mut rng).into_iter().flatten()).collect();
        if !space.has_rules() {
            prop_assert_eq!(rows.len(), 21);
        }
        for row in rows {
            check_row(&space, &spec, &row);
            prop_assert!(space.is_valid(&space.decode(&row)));
        }
        if let Some(point) = space.default_point() {
            check_point(&spec, &point);
        }
    }

    #[test]
    fn sampling_is_a_function_of_the_seed(seed: u64) {
        let space = Generator::new(seed, ALL).space().check().unwrap();
        let draw = || {
            let mut rng = Seed(seed).rng();
            let hypercube = space.latin_hypercube(5, &mut rng).unwrap_or_default();
            (space.sample(&mut rng).map(|row| bits(&row)), hypercube.iter().map(|row| bits(row)).collect::<Vec<_>>())
        };
        prop_assert_eq!(draw(), draw());
        let whole: Vec<_> = space.sobol(seed, 0, 8).iter().map(|row| bits(row)).collect();
        let parts = space.sobol(seed, 0, 5).into_iter().chain(space.sobol(seed, 5, 3));
        prop_assert_eq!(whole, parts.map(|row| bits(&row)).collect::<Vec<_>>());
        let parts = space.halton(seed, 0, 5).into_iter().chain(space.halton(seed, 5, 3)).collect::<Vec<_>>();
        let whole: Vec<_> = space.halton(seed, 0, 8).iter().map(|row| bits(row)).collect();
        prop_assert_eq!(whole, parts.iter().map(|row| bits(row)).collect::<Vec<_>>());
    }

    #[test]
    fn neighbours_are_valid_and_differ_where_asked(seed: u64) {
        let spec = Generator::new(seed, ALL).space();
        let space = spec.check().unwrap();
        let mut rng = Seed(seed).rng();
        let Ok(row) = space.sample(&mut rng) else { return Ok(()) };
        for (i, dimension) in space.dimensions().iter().enumerate() {
            let rows = space.neighbours(&row, i, 4, &mut rng);
            if row[i].is_nan() {
                prop_assert!(rows.is_empty());
            }
            if let DimensionKind::Categorical { choices } = dimension.kind && !space.has_rules() && !row[i].is_nan() {
                prop_assert_eq!(rows.len() as u64, choices - 1);
            }
            for neighbour in rows {
                check_row(&space, &spec, &neighbour);
                prop_assert!(space.is_valid(&space.decode(&neighbour)));
                prop_assert_ne!(neighbour[i].to_bits(), row[i].to_bits());
            }
        }
    }

    #[test]
    fn a_finite_space_is_counted_and_listed(seed: u64) {
        let spec = Generator::new(seed, FINITE).space();
        let space = spec.check().unwrap();
        let levels = space.dimensions().iter().map(|dimension| match dimension.kind {
            DimensionKind::Discrete { levels } => levels,
            DimensionKind::Categorical { choices } => choices,
            DimensionKind::Continuous => panic!("not finite"),
        });
        let levels: Vec<u64> = levels.collect();
        let product: u64 = levels.iter().product();
        prop_assume!(product <= 20_000);
        let (mut all, mut valid) = (HashSet::new(), HashSet::new());
        for mut code in 0..product {
            let mut row = Vec::new();
            for count in &levels {
                row.push(((code % count) as f64 + 0.5) / *count as f64);
                code /= count;
            }
            let is_valid = space.snap(&mut row);
            all.insert(bits(&row));
            if is_valid {
                valid.insert(bits(&row));
            }
        }
        // Log integers have other bin edges than equal parts, but as many levels.
        let listed: Vec<_> = space.grid(3).map(|row| bits(&row)).collect();
        let distinct: HashSet<_> = listed.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), listed.len(), "the grid lists no row twice");
        prop_assert!(valid.is_subset(&distinct));
        if !space.has_rules() {
            prop_assert_eq!(space.cardinality(), Some(listed.len() as u64));
        }
        let counted = space.cardinality().unwrap();
        prop_assert!(counted >= all.len() as u64 && counted >= listed.len() as u64);
        for row in space.grid(3) {
            check_row(&space, &spec, &row);
        }
    }

    #[test]
    fn subspaces_are_parts_of_the_whole(seed: u64) {
        let spec = Generator::new(seed, ALL).space();
        let space = spec.check().unwrap();
        let mut rng = Seed(seed).rng();
        for arm in space.arms() {
            let part = space.subspace(arm).unwrap();
            prop_assert_ne!(part.hash(), space.hash());
            prop_assert_eq!(part.hash(), space.subspace(arm).unwrap().hash());
            prop_assert!(part.arms().is_empty());
            for _ in 0..5 {
                let Ok(row) = part.sample(&mut rng) else { continue };
                let point = part.decode(&row);
                check_point(&spec, &point);
                prop_assert_eq!(space.arm_of(&point), Some(arm.as_str()));
                prop_assert_eq!(space.canonical(&point), Ok(point.clone()));
                prop_assert_eq!(part.point_hash(&point), space.point_hash(&point));
            }
            // Every point of the whole with this arm is a point of the part.
            for row in space.sobol(seed, 0, 20) {
                let point = space.decode(&row);
                if space.arm_of(&point) == Some(arm) {
                    prop_assert_eq!(part.canonical(&point), Ok(point.clone()));
                }
            }
        }
    }

    #[test]
    fn declarations_survive_json_and_toml(seed: u64) {
        let spec = Generator::new(seed, ALL).space();
        let space = spec.check().unwrap();
        let json = serde_json::to_string(&spec).unwrap();
        let read = SpaceSpec::from_json(&json).unwrap();
        prop_assert_eq!(&read, &spec);
        let toml = toml::to_string(&spec).unwrap();
        prop_assert_eq!(SpaceSpec::from_toml(&toml).unwrap().check().unwrap().hash(), space.hash());
        // Through a map, every key order is another one; numbers become floats where they can.
        let shuffled: serde_json::Value = serde_json::from_str(&json).unwrap();
        let text = reversed(&shuffled);
        prop_assert_eq!(SpaceSpec::from_json(&text).unwrap().check().unwrap().hash(), space.hash());
    }

    #[test]
    fn floats_given_by_a_user_are_kept_to_ten_digits(seed: u64) {
        let mut generator = Generator::new(seed, NO_RULES);
        let spec = generator.space();
        for parameter in &spec.parameters {
            let Domain::Float { low, high, step: None, scale } = parameter.domain else { continue };
            let alone = SpaceSpec {
                parameters: vec![ParameterSpec { when: None, ..parameter.clone() }],
                ..SpaceSpec::default()
            };
            let space = alone.check().unwrap();
            let value = low + generator.uniform() * (high - low);
            let point = space.canonical(&Point::from([(parameter.name.as_str(), value)])).unwrap();
            let kept = point.get(&parameter.name).unwrap().as_number().unwrap();
            let size = match scale {
                Scale::Linear => (high - low).max(1e-3 * low.abs().max(high.abs())),
                Scale::Log => value,
            };
            prop_assert!((kept - value).abs() <= 1e-10 * size, "{kept} for {value}");
            for bound in [low, high] {
                let point = space.canonical(&Point::from([(parameter.name.as_str(), bound)])).unwrap();
                prop_assert!(close(point.get(&parameter.name).unwrap(), &Value::Float(bound)));
            }
        }
    }

    #[test]
    fn any_json_is_read_or_refused(text in r#"\{("(parameters|arms|relations|forbidden|x)":(\[\{"name":"a","type":"(float|boolean|int)","low":-?[0-9e.]{1,5}\}\]|null|[0-9]|\["a <= [a-z0-9(]{1,4}"\]),?){0,3}\}"#) {
        if let Ok(spec) = SpaceSpec::from_json(&text) {
            let _ = spec.check();
        }
    }
}

/// JSON text with keys in reverse order.
fn reversed(json: &serde_json::Value) -> String {
    match json {
        serde_json::Value::Object(map) => {
            let items = map.iter().rev().map(|(key, value)| format!("{key:?}:{}", reversed(value)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[test]
fn spaces_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let spec = SpaceSpec {
        parameters: vec![ParameterSpec {
            name: "a".into(),
            domain: Domain::Boolean,
            default: None,
            when: None,
        }],
        ..SpaceSpec::default()
    };
    shared(&Arc::new(spec.check().unwrap()));
    assert_eq!(
        spec.check().unwrap().default_point().unwrap().0,
        BTreeMap::from([("a".into(), false.into())])
    );
}
