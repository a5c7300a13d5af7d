//! The ONNX interpreter against ONNX Runtime, and the surrogate tasks, where the files are present.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use boxwood_bench::tables::lcbench;
use boxwood_bench::{Input, Network};
use boxwood_core::{Point, Resource, Seed, Value};
use boxwood_testkit::{Outcome, TestProblem};
use flate2::read::GzDecoder;
use serde::Deserialize;

/// Largest relative difference to the stored answers, which are single precision of another machine.
const TOLERANCE: f32 = 1e-2;

fn folder() -> Option<PathBuf> {
    let Some(shared) = std::env::var_os("BOXWOOD_SHARED") else {
        eprintln!("skipped: BOXWOOD_SHARED does not name the folder of hpo/yahpo");
        return None;
    };
    let folder = PathBuf::from(shared).join("hpo/yahpo");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is absent", folder.display());
    None
}

#[derive(Deserialize)]
struct Golden {
    x_cat: Vec<i32>,
    x_cont: Vec<f32>,
    y: Vec<f32>,
}

#[test]
fn networks_answer_as_the_reference_runtime_does() {
    let Some(folder) = folder() else { return };
    let mut content = String::new();
    let packed = std::fs::File::open(folder.join("golden.json.gz")).unwrap();
    GzDecoder::new(packed).read_to_string(&mut content).unwrap();
    let golden: BTreeMap<String, Vec<Golden>> = serde_json::from_str(&content).unwrap();
    for name in ["lcbench", "rbv2_rpart", "iaml_glmnet"] {
        let network = Network::read(&folder.join(format!("{name}.onnx"))).unwrap();
        for (index, row) in golden[name].iter().enumerate() {
            let inputs = [("x_cat", Input::Integers(&row.x_cat)), ("x_cont", Input::Floats(&row.x_cont))];
            let found = network.evaluate(&inputs).unwrap();
            assert_eq!(found.len(), row.y.len());
            for (found, expected) in found.iter().zip(&row.y) {
                let difference = (found - expected).abs() / expected.abs().max(1e-3);
                assert!(difference < TOLERANCE, "{name}, row {index}: {found} instead of {expected}");
            }
        }
        assert!(network.evaluate(&[("x_cat", Input::Integers(&[1]))]).is_err());
        assert!(network.evaluate(&[("z", Input::Integers(&[1]))]).unwrap_err().contains("no input `z`"));
    }
}

#[test]
fn a_surrogate_task_is_a_study_with_epochs() {
    let Some(folder) = folder() else { return };
    let tasks = lcbench::load(&folder).unwrap();
    assert_eq!(tasks.len(), 5);
    for task in tasks {
        let problem = task.spec().check().unwrap();
        let rungs: Vec<u64> = problem.ladder().rungs().map(|(_, resource)| resource.0).collect();
        assert_eq!((rungs.last(), problem.space().dimensions().len()), (Some(&52), 7));
        let values = [("batch_size", Value::Integer(64)), ("num_layers", Value::Integer(3))];
        let floats =
            [("learning_rate", 1e-2), ("max_dropout", 0.2), ("momentum", 0.9), ("weight_decay", 1e-3)];
        let floats = floats.map(|(name, value)| (name, Value::Float(value)));
        let all = values.into_iter().chain([("max_units", Value::Integer(256))]).chain(floats);
        let point = Point(all.map(|(name, value)| (name.to_owned(), value)).collect());
        let errors: Vec<f64> = rungs.iter().map(|epochs| error(&task, &point, *epochs)).collect();
        assert!(errors.iter().all(|error| (0.0..1.0).contains(error)), "{errors:?}");
        assert!(errors.last() < errors.first() && *errors.last().unwrap() > task.optimum(), "{errors:?}");
    }
}

fn error(task: &dyn TestProblem, point: &Point, epochs: u64) -> f64 {
    match task.evaluate(point, Resource(epochs), Seed(1)) {
        Outcome::Measured(metrics) => metrics.get("value").unwrap(),
        other => panic!("{other:?}"),
    }
}
