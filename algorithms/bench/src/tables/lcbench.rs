//! `LCBench`: networks trained on tabular data, answered by a surrogate (Zimmer et al., 2021; YAHPO Gym, Pfisterer et al., 2022).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use boxwood_core::{Fidelity, Point, ProblemSpec, Resource, Seed};
use boxwood_testkit::problems::{minimize, number, value};
use boxwood_testkit::{Outcome, TestProblem};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::error::BenchError;
use crate::network::{Input, Network};

/// Tasks by their `OpenML` numbers with the least error known at the last epoch: the best of 300,000 random points and of
/// 150 rounds of 3,000 mutations of the best thousand, computed once with ONNX Runtime 1.23.
const TASKS: &[(&str, f64)] = &[
    ("3945", 0.003_416_836),
    ("126026", 0.002_515_435),
    ("167168", 0.105_734_407),
    ("189873", 0.007_578_611),
    ("189906", 0.047_245_383),
];
/// The network's name for the fidelity.
const EPOCH: &str = "epoch";
/// Which output is the validation accuracy in percent.
const ACCURACY: &str = "val_accuracy";

#[derive(Deserialize)]
struct Spec {
    lcbench: Surrogate,
}

#[derive(Deserialize)]
struct Surrogate {
    model: String,
    y: Vec<String>,
    /// Numeric inputs in the network's order.
    cont: Vec<String>,
    instance: String,
    hyperparameters: Vec<Hyperparameter>,
    encoding: BTreeMap<String, BTreeMap<String, i32>>,
}

#[derive(Deserialize)]
struct Hyperparameter {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    log: bool,
    #[serde(default)]
    lower: f64,
    #[serde(default)]
    upper: f64,
}

/// The validation error (0 to 1) of a network after a number of epochs.
#[derive(Debug, Clone)]
pub struct LearningCurve {
    task: &'static str,
    optimum: f64,
    code: i32,
    network: Arc<Network>,
    parameters: Vec<Json>,
    inputs: Vec<String>,
    epochs: u64,
    output: usize,
}

/// Five tasks on the surrogate in a folder.
///
/// # Errors
/// `Read` and `Content`, which name the file.
pub fn load(folder: &Path) -> Result<Vec<LearningCurve>, BenchError> {
    let path = folder.join("spec.json");
    let content = |reason: String| BenchError::Content { path: path.clone(), reason };
    let spec: Spec =
        serde_json::from_slice(&super::read(&path)?).map_err(|error| content(error.to_string()))?;
    let spec = spec.lcbench;
    let codes = spec.encoding.get(&spec.instance).ok_or_else(|| content("no codes of tasks".into()))?;
    let epochs = spec.hyperparameters.iter().find(|known| known.name == EPOCH);
    let epochs = epochs.ok_or_else(|| content("no epochs".into()))?.upper as u64;
    let output = spec.y.iter().position(|name| name == ACCURACY);
    let output = output.ok_or_else(|| content(format!("no output `{ACCURACY}`")))?;
    let numeric = spec.hyperparameters.iter().filter(|known| known.kind.starts_with("uniform_"));
    let parameters: Vec<Json> = numeric.filter(|known| known.name != EPOCH).map(parameter).collect();
    let network = Arc::new(Network::read(&folder.join(&spec.model))?);
    let problem = |(task, optimum): &(&'static str, f64)| {
        Ok(LearningCurve {
            task,
            optimum: *optimum,
            code: *codes.get(*task).ok_or_else(|| content(format!("no task {task}")))?,
            network: Arc::clone(&network),
            parameters: parameters.clone(),
            inputs: spec.cont.clone(),
            epochs,
            output,
        })
    };
    TASKS.iter().map(problem).collect()
}

fn parameter(known: &Hyperparameter) -> Json {
    let scale = if known.log { "log" } else { "linear" };
    if known.kind == "uniform_int" {
        let (low, high) = (known.lower as i64, known.upper as i64);
        return json!({"name": known.name, "type": "integer", "low": low, "high": high, "scale": scale});
    }
    json!({"name": known.name, "type": "float", "low": known.lower, "high": known.upper, "scale": scale})
}

impl TestProblem for LearningCurve {
    fn name(&self) -> String {
        format!("lcbench_{}", self.task)
    }

    fn spec(&self) -> ProblemSpec {
        let resource = "epochs".into();
        let max = Some(self.epochs);
        let fidelity = Some(Fidelity { resource, min: Some(1), max, reduction_factor: Some(3), rungs: None });
        ProblemSpec { fidelity, ..minimize(&json!({"parameters": self.parameters})) }
    }

    fn optimum(&self) -> f64 {
        self.optimum
    }

    fn evaluate(&self, point: &Point, resource: Resource, _draw: Seed) -> Outcome {
        let input =
            |name: &String| if name == EPOCH { resource.0 as f32 } else { number(point, name) as f32 };
        let numbers: Vec<f32> = self.inputs.iter().map(input).collect();
        let inputs = [("x_cat", Input::Integers(&[self.code])), ("x_cont", Input::Floats(&numbers))];
        match self.network.evaluate(&inputs).map(|outputs| outputs.get(self.output).copied()) {
            Ok(Some(accuracy)) if accuracy.is_finite() => value(1.0 - f64::from(accuracy) / 100.0),
            Ok(_) => Outcome::Failed("the surrogate gives no accuracy".into()),
            Err(reason) => Outcome::Failed(reason),
        }
    }
}
