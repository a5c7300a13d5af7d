//! BBOB functions against the golden values of the reference implementation, where they are at hand.
#![allow(clippy::unwrap_used)]

use std::io::Read;

use boxwood_testkit::TestProblem;
use boxwood_testkit::problems::Bbob;
use serde_json::Value;

#[test]
fn all_functions_agree_with_the_golden_values() {
    let Some(folder) = std::env::var_os("BOXWOOD_SHARED") else {
        eprintln!("skipped: BOXWOOD_SHARED does not name the folder with blackbox/bbob_golden.json.gz");
        return;
    };
    let path = std::path::Path::new(&folder).join("blackbox/bbob_golden.json.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("skipped: there is no file blackbox/bbob_golden.json.gz under BOXWOOD_SHARED");
        return;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(rows.len() >= 24);
    let floats = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let mut worst: f64 = 0.0;
    for row in &rows {
        let whole = |name: &str| row[name].as_u64().unwrap() as u32;
        let problem = Bbob::new(whole("f"), whole("i"), whole("d") as usize);
        let optimum = row["f_opt"].as_f64().unwrap();
        assert!((problem.optimum() - optimum).abs() < 1e-9, "{}: {optimum}", problem.name());
        let at_optimum = problem.at(&floats(&row["x_opt"]));
        assert!((at_optimum - optimum).abs() < 1e-6, "{}: {at_optimum} at its optimum", problem.name());
        for (x, expected) in row["x"].as_array().unwrap().iter().zip(floats(&row["y"])) {
            let found = problem.at(&floats(x));
            let error = (found - expected).abs() / expected.abs().max(1.0);
            assert!(error < 1e-6, "{}: {found} {expected}", problem.name());
            worst = worst.max(error);
        }
    }
    println!("{} functions, worst relative difference {worst:.1e}", rows.len());
}
