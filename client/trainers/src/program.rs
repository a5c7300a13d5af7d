//! The interface that a worker runs: one request in, reports on the way, one end out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::TrainerError;
use crate::data::DataRequest;
use crate::device::ComputeDevice;
use crate::parameters::{Arm, HyperParameters};
use crate::train::{RunEnd, Trainer, TrainerSettings};

/// Name of the one program of this crate.
pub const PROGRAM: &str = "ctr";

/// Epochs that a run covers: reports start after `from` and end at `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRange {
    /// Epochs that earlier runs of the trial have reported; 0 for a new trial.
    pub from: u64,
    /// Epochs that the trial has had at the end of this run.
    pub to: u64,
}

/// One run of one trial.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `program` | - | `ctr` |
/// | `arm` | none | model family; without it `parameters["model"]` names it |
/// | `parameters` | - | hyperparameters by name, without an arm prefix |
/// | `resource` | - | epochs `{from, to}` |
/// | `seed` | - | seed of the trial: equal request, equal result |
/// | `checkpoint_in` | none | folder to resume from; without it the run starts over |
/// | `checkpoint_out` | - | folder for the state before the decay |
/// | `data` | - | [`DataRequest`] |
/// | `threads` | 1 | processor threads allowed; the processor backend uses one |
/// | `device` | `cpu` | [`ComputeDevice`] |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRequest {
    /// Program to run.
    pub program: String,
    /// Model family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Hyperparameters by name.
    pub parameters: BTreeMap<String, Value>,
    /// Epochs that the run covers.
    pub resource: ResourceRange,
    /// Seed of the trial.
    pub seed: u64,
    /// Folder to resume from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_in: Option<PathBuf>,
    /// Folder for the checkpoint of this run.
    pub checkpoint_out: PathBuf,
    /// Data to train on.
    pub data: DataRequest,
    /// Processor threads allowed.
    #[serde(default = "one_thread")]
    pub threads: u32,
    /// Device of the tensors.
    #[serde(default)]
    pub device: ComputeDevice,
}

fn one_thread() -> u32 {
    1
}

/// Metrics after one epoch. Its JSON form is flat: the step and one number per metric; what was not measured is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Epochs done.
    pub step: u64,
    /// Whether the learning rate had decayed; only such reports are comparable between trials of a rung.
    pub decayed: bool,
    /// Area under the ROC curve on the validation part.
    pub auc: f64,
    /// Logarithmic loss on the validation part.
    pub logloss: f64,
    /// Mean per-group AUC on the validation part, where the data have groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauc: Option<f64>,
    /// Mean training loss over the last epoch, without penalties.
    pub train_logloss: f64,
    /// Wall-clock seconds of this run so far, data loading excluded.
    pub seconds: f64,
    /// Largest resident memory of the process so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// Trainable parameters.
    pub parameters: u64,
    /// AUC on the test part; only in the last report, never to be optimized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_auc: Option<f64>,
    /// Logarithmic loss on the test part, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_logloss: Option<f64>,
    /// Mean per-group AUC on the test part, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_gauc: Option<f64>,
}

/// What the caller wants next. The later in this list, the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directive {
    /// Train on.
    Continue,
    /// Write a checkpoint and end; the trial may be resumed.
    Yield,
    /// End; the trial will not be resumed.
    Stop,
}

/// Receives reports and answers with directives.
pub trait Reporter {
    /// Called after each epoch beyond `resource.from`. The answer to the last report is not read.
    fn report(&mut self, report: &Report) -> Directive;

    /// Called after each step, so that a run can be ended between reports. Must be cheap.
    fn poll(&mut self) -> Directive {
        Directive::Continue
    }
}

impl<F: FnMut(&Report) -> Directive> Reporter for F {
    fn report(&mut self, report: &Report) -> Directive {
        self(report)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum TrialEnd {
    /// Reached `resource.to`; the checkpoint holds the state before the decay.
    Completed {
        /// The last report, with test metrics.
        report: Report,
    },
    /// Ended by [`Directive::Yield`]; the checkpoint holds the furthest state that can be resumed.
    Yielded,
    /// Ended by [`Directive::Stop`].
    Stopped,
    /// These hyperparameters do not train: the loss or a prediction became infinite or not a number.
    Infeasible {
        /// What happened at which step.
        reason: String,
    },
}

/// Runs one trial to its resource target.
///
/// # Errors
///
/// [`TrainerError`] names the field of the request, the parameter or the file that is to blame. Divergence is no error
/// but [`TrialEnd::Infeasible`].
pub fn run_program(request: &TrialRequest, reporter: &mut dyn Reporter) -> Result<TrialEnd, TrainerError> {
    let hyper = check(request)?;
    let device = request.device.open()?;
    let data = request.data.load()?;
    let settings = TrainerSettings {
        seed: request.seed,
        from: request.resource.from,
        to: request.resource.to,
        checkpoint_in: request.checkpoint_in.clone(),
        checkpoint_out: request.checkpoint_out.clone(),
    };
    Ok(match Trainer::new(&data, &hyper, &settings, device).run(reporter)? {
        RunEnd::Completed(report) => TrialEnd::Completed { report },
        RunEnd::Yielded => TrialEnd::Yielded,
        RunEnd::Stopped => TrialEnd::Stopped,
        RunEnd::Diverged(reason) => TrialEnd::Infeasible { reason },
    })
}

/// Checks everything in a request that needs no file.
///
/// # Errors
///
/// As [`run_program`].
pub fn check(request: &TrialRequest) -> Result<HyperParameters, TrainerError> {
    if request.program != PROGRAM {
        let problem = format!("`{}` is not known; this build has `{PROGRAM}`", request.program);
        return Err(TrainerError::request("program", problem));
    }
    let ResourceRange { from, to } = request.resource;
    if to <= from {
        return Err(TrainerError::request(
            "resource.to",
            format!("{to} is not above resource.from = {from}"),
        ));
    }
    if to > MOST_EPOCHS {
        return Err(TrainerError::request("resource.to", format!("{to} is above {MOST_EPOCHS} epochs")));
    }
    if request.threads == 0 {
        return Err(TrainerError::request("threads", "must be at least 1"));
    }
    let mut parameters = request.parameters.clone();
    let arm = match &request.arm {
        Some(arm) => Arm::parse(arm)?,
        None => match parameters.remove("model") {
            Some(Value::String(name)) => Arm::parse(&name)?,
            Some(other) => return Err(TrainerError::parameter("model", format!("{other} is not a name"))),
            None => {
                return Err(TrainerError::request(
                    "arm",
                    "is required unless parameters.model names the model",
                ));
            }
        },
    };
    HyperParameters::parse(arm, &parameters)
}

/// Most epochs of one trial; bounds step numbers far below overflow.
const MOST_EPOCHS: u64 = 1_000_000;
