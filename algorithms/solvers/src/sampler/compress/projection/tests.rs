#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Floats, integers on two scales, choices, and a float that one of them switches on.
fn mixed() -> SearchSpace {
    let mut parameters = vec![
        r#"{"name": "c", "type": "categorical", "choices": ["a", "b", "c"]}"#.to_owned(),
        r#"{"name": "y", "type": "float", "low": 1e-4, "high": 1, "scale": "log",
            "when": {"parameter": "c", "equals": "b"}}"#
            .to_owned(),
        r#"{"name": "n", "type": "integer", "low": 1, "high": 500, "scale": "log"}"#.to_owned(),
        r#"{"name": "m", "type": "integer", "low": 0, "high": 4}"#.to_owned(),
        r#"{"name": "b", "type": "boolean"}"#.to_owned(),
    ];
    parameters.extend(
        (0..12).map(|i| format!(r#"{{"name": "x{i}", "type": "float", "low": -{}, "high": 3}}"#, i + 1)),
    );
    let spec: SpaceSpec =
        serde_json::from_str(&format!(r#"{{"parameters": [{}]}}"#, parameters.join(","))).unwrap();
    spec.check().unwrap()
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| difference(*a, *b).abs() <= tolerance)
}

proptest! {
    /// What a row of the smaller space stands for comes back as a row that stands for the same.
    #[test]
    fn images_of_an_embedding_lie_in_it(seed in any::<u64>(), k in 1_usize..5, steps in prop_oneof![Just(0_u64), 2..40_u64]) {
        let space = mixed();
        let hashed = Projection::hashed(&space, k, steps, Seed(seed)).unwrap();
        let mixed = Projection::mixed(&space, k, steps, Seed(seed)).unwrap();
        for (name, projection, tolerance) in [("hashed", hashed, 1e-9), ("mixed", mixed, 1e-6)] {
            for z in projection.space.sobol(seed, 0, 6) {
                let row = projection.expand(&space, &z).unwrap();
                let mut canonical = row.clone();
                prop_assert!(space.snap(&mut canonical) && close(&canonical, &row, 0.0), "{name}: canonical");
                // A mixture shows where columns are not cut at a bound.
                let uncut = row[5..].iter().filter(|value| **value > 0.0 && **value < 1.0).count();
                if name == "mixed" && uncut <= k {
                    continue;
                }
                let back = projection.shrink(&space, &row);
                prop_assert!(back.is_some(), "{name}: {z:?} stands for {row:?}");
                let again = projection.expand(&space, &back.unwrap()).unwrap();
                // Of levels alone, the number that they all follow is only about known.
                prop_assert!(close(&again, &row, 0.09), "{name}: {again:?} for {row:?}");
                prop_assert!(close(&again[5..], &row[5..], tolerance), "{name}: {again:?} for {row:?}");
            }
        }
    }

    #[test]
    fn chosen_columns_come_back_and_the_others_keep_their_values(seed in any::<u64>(), steps in prop_oneof![Just(0_u64), 2..40_u64]) {
        let space = mixed();
        let rows = space.sobol(seed, 0, 8);
        let base = rows[0].clone();
        let chosen = vec![0, 2, 4, 7, 9];
        let projection = Projection::columns(&space, chosen.clone(), base.clone(), steps).unwrap();
        for row in &rows {
            let z = projection.shrink(&space, row).unwrap();
            let image = projection.expand(&space, &z).unwrap();
            for column in 0..row.len() {
                if !chosen.contains(&column) {
                    // The float that a choice switches on has its default where the base has none.
                    prop_assert!(column == 1 || image[column] == base[column], "column {column}");
                } else if steps == 0 {
                    prop_assert!((image[column] - row[column]).abs() < 1e-9, "column {column}");
                } else if column != 0 && column != 4 {
                    // The nearest of evenly spaced values; levels of the log scale are no closer than one.
                    let room = 0.5 / (steps - 1) as f64 + if column == 2 { 0.2 } else { 1e-9 };
                    prop_assert!(column == 2 || (image[column] - row[column]).abs() <= room, "column {column}");
                }
            }
            let again = projection.shrink(&space, &image).unwrap();
            prop_assert!(close(&again, &z, 1e-9), "{again:?} {z:?}");
        }
    }
}

#[test]
fn rows_outside_an_embedding_are_no_data_of_it() {
    let space = mixed();
    for projection in [
        Projection::hashed(&space, 2, 0, Seed(1)).unwrap(),
        Projection::mixed(&space, 2, 0, Seed(1)).unwrap(),
    ] {
        let rows = space.sobol(3, 0, 50);
        assert!(rows.iter().all(|row| projection.shrink(&space, row).is_none()));
    }
}

#[test]
fn mixtures_leave_most_columns_inside_their_bounds() {
    let space = mixed();
    let projection = Projection::mixed(&space, 4, 0, Seed(2)).unwrap();
    let rows: Vec<Vec<f64>> = projection.space.sobol(1, 0, 200).iter().map(|z| projection.image(z)).collect();
    let values: Vec<f64> = rows.into_iter().flatten().collect();
    let cut = values.iter().filter(|value| **value <= 0.0 || **value >= 1.0).count();
    assert!(cut * 8 < values.len() && cut * 30 > values.len(), "{cut} of {}", values.len());
}
