//! The training loop of one trial from one rung to the next.

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use sha2::{Digest, Sha256};

use super::checkpoint::{self, State};
use super::optimizer::{Moments, clip, update};
use super::schedule::Schedule;
use crate::TrainerError;
use crate::data::{Dataset, Part};
use crate::metrics::{area_under_curve, grouped_area_under_curve, log_loss};
use crate::model::{DropoutAddress, Model};
use crate::parameters::HyperParameters;
use crate::program::{Directive, Report, Reporter};
use crate::random::{Purpose, shuffle, stream};

/// Share of the old running statistics kept at each step.
const RUNNING_KEEP: f32 = 0.9;

/// How one run goes, beside its hyperparameters.
#[derive(Debug, Clone)]
pub(crate) struct TrainerSettings {
    pub(crate) seed: u64,
    /// Epochs already reported by earlier runs of this trial.
    pub(crate) from: u64,
    /// Epoch to train to.
    pub(crate) to: u64,
    pub(crate) checkpoint_in: Option<PathBuf>,
    pub(crate) checkpoint_out: PathBuf,
}

/// Why the loop ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RunEnd {
    Completed(Report),
    Yielded,
    Stopped,
    Diverged(String),
}

/// One trial on its data.
pub(crate) struct Trainer<'a> {
    data: &'a Dataset,
    hyper: &'a HyperParameters,
    settings: &'a TrainerSettings,
    device: Device,
    model: Model,
    pub(super) identity: [u8; 32],
    steps_per_epoch: u64,
    schedule: Schedule,
    started: Instant,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(
        data: &'a Dataset,
        hyper: &'a HyperParameters,
        settings: &'a TrainerSettings,
        device: Device,
    ) -> Self {
        let model = Model::new(data, hyper);
        let steps_per_epoch = data.rows(Part::Train).len().div_ceil(hyper.batch_size) as u64;
        let mut hasher = Sha256::new();
        // Hyperparameters are plain numbers and names, so their JSON text is the same for the same values.
        hasher.update(serde_json::to_string(hyper).expect("hyperparameters are finite numbers and names"));
        hasher.update(settings.seed.to_le_bytes());
        hasher.update(data.fingerprint());
        Self {
            data,
            hyper,
            settings,
            device,
            model,
            identity: hasher.finalize().into(),
            steps_per_epoch,
            schedule: Schedule::new(steps_per_epoch, settings.to),
            started: Instant::now(),
        }
    }

    /// Trains up to the target epoch, evaluates after each epoch, obeys the reporter.
    pub(crate) fn run(&self, reporter: &mut dyn Reporter) -> Result<RunEnd, TrainerError> {
        let mut state = self.start()?;
        let mut gradient = vec![0.0_f32; state.parameters.len()];
        let mut order = (u64::MAX, Vec::new());
        let mut epoch_loss = (0.0_f64, 0_u64);
        while state.step < self.schedule.total() {
            if state.step == self.schedule.decay_start() {
                checkpoint::save(&self.settings.checkpoint_out, &self.identity, &state)?;
            }
            let epoch = state.step / self.steps_per_epoch;
            if order.0 != epoch {
                order = (epoch, self.epoch_order(epoch));
            }
            let start = (state.step % self.steps_per_epoch) as usize * self.hyper.batch_size;
            let batch = &order.1[start..order.1.len().min(start + self.hyper.batch_size)];
            let loss = match self.step(&mut state, batch, &mut gradient)? {
                Ok(loss) => loss,
                Err(reason) => return Ok(RunEnd::Diverged(reason)),
            };
            epoch_loss = (epoch_loss.0 + loss, epoch_loss.1 + 1);

            let mut directive = reporter.poll();
            if state.step.is_multiple_of(self.steps_per_epoch) {
                let done = state.step / self.steps_per_epoch;
                let train_logloss = epoch_loss.0 / epoch_loss.1 as f64;
                epoch_loss = (0.0, 0);
                if done > self.settings.from {
                    let Some(report) = self.evaluate(&state, done, train_logloss)? else {
                        return Ok(RunEnd::Diverged(format!(
                            "a prediction after epoch {done} is not a number"
                        )));
                    };
                    let answer = reporter.report(&report);
                    if done == self.settings.to {
                        return Ok(RunEnd::Completed(report));
                    }
                    directive = directive.max(answer);
                }
            }
            match directive {
                Directive::Continue => {}
                Directive::Yield => {
                    // Later states have decayed; the state before the decay is saved already.
                    if state.step <= self.schedule.decay_start() {
                        checkpoint::save(&self.settings.checkpoint_out, &self.identity, &state)?;
                    }
                    return Ok(RunEnd::Yielded);
                }
                Directive::Stop => return Ok(RunEnd::Stopped),
            }
        }
        Err(TrainerError::request("resource.to", "the checkpoint is already past this epoch"))
    }

    /// The state to start from: a checkpoint, or fresh parameters.
    ///
    /// Without a checkpoint a run to a higher rung starts over and reaches the same result, only later.
    fn start(&self) -> Result<State, TrainerError> {
        let parameters = self.model.parameter_count();
        let statistics = self.model.initial_statistics();
        let Some(folder) = &self.settings.checkpoint_in else {
            return Ok(State {
                step: 0,
                parameters: self.model.initialize(self.settings.seed),
                moments: Moments::zeros(parameters),
                running: statistics,
            });
        };
        let state = checkpoint::load(folder, &self.identity)?;
        if state.parameters.len() != parameters || state.running.len() != statistics.len() {
            return Err(TrainerError::Checkpoint {
                path: folder.clone(),
                problem: "holds another number of parameters".into(),
            });
        }
        if state.step > self.schedule.decay_start() {
            let problem = format!("the checkpoint has {} steps, past the decay of this run", state.step);
            return Err(TrainerError::request("resource.to", problem));
        }
        Ok(state)
    }

    /// One optimizer step; the inner error says how the run diverged.
    fn step(
        &self,
        state: &mut State,
        batch: &[u32],
        gradient: &mut [f32],
    ) -> Result<Result<f64, String>, TrainerError> {
        let dropout = DropoutAddress { seed: self.settings.seed, step: state.step };
        let result = self.model.loss_and_gradient(
            self.data,
            batch,
            &state.parameters,
            dropout,
            &self.device,
            gradient,
        )?;
        let norm = clip(gradient);
        if !result.loss.is_finite() || !norm.is_finite() {
            return Ok(Err(format!(
                "training diverged at step {}: loss {}, gradient norm {norm}",
                state.step + 1,
                result.loss
            )));
        }
        let rate = self.hyper.learning_rate * self.schedule.factor(state.step);
        state.step += 1;
        update(&mut state.parameters, gradient, &mut state.moments, rate, state.step);
        for (running, batch) in state.running.iter_mut().zip(&result.statistics) {
            *running = RUNNING_KEEP * *running + (1.0 - RUNNING_KEEP) * batch;
        }
        Ok(Ok(result.loss))
    }

    fn epoch_order(&self, epoch: u64) -> Vec<u32> {
        let mut rows = self.data.rows(Part::Train).to_vec();
        shuffle(&mut stream(self.settings.seed, Purpose::Shuffle, epoch), &mut rows);
        rows
    }

    /// Metrics after `done` epochs, or nothing where predictions are not numbers.
    fn evaluate(&self, state: &State, done: u64, train_logloss: f64) -> Result<Option<Report>, TrainerError> {
        let Some(validation) = self.measure(state, Part::Validation)? else { return Ok(None) };
        let finished = done == self.settings.to;
        let test = if finished { self.measure(state, Part::Test)? } else { None };
        Ok(Some(Report {
            step: done,
            decayed: finished,
            auc: validation.auc,
            logloss: validation.logloss,
            gauc: validation.gauc,
            train_logloss,
            seconds: self.started.elapsed().as_secs_f64(),
            peak_memory_bytes: peak_memory_bytes(),
            parameters: self.model.parameter_count() as u64,
            test_auc: test.as_ref().map(|part| part.auc),
            test_logloss: test.as_ref().map(|part| part.logloss),
            test_gauc: test.as_ref().and_then(|part| part.gauc),
        }))
    }

    fn measure(&self, state: &State, part: Part) -> Result<Option<Measured>, TrainerError> {
        let rows = self.data.rows(part);
        let scores = self.model.predict(self.data, rows, &state.parameters, &state.running, &self.device)?;
        if scores.iter().any(|score| !score.is_finite()) {
            return Ok(None);
        }
        let labels: Vec<u8> = rows.iter().map(|&row| self.data.label(row)).collect();
        let gauc = self.data.groups.as_ref().and_then(|groups| {
            let groups: Vec<u32> = rows.iter().map(|&row| groups[row as usize]).collect();
            grouped_area_under_curve(&labels, &scores, &groups)
        });
        let (Some(auc), Some(logloss)) = (area_under_curve(&labels, &scores), log_loss(&labels, &scores))
        else {
            return Err(TrainerError::Training { problem: "a held-out part has one class only".into() });
        };
        Ok(Some(Measured { auc, logloss, gauc }))
    }
}

struct Measured {
    auc: f64,
    logloss: f64,
    gauc: Option<f64>,
}

/// Largest resident memory of this process so far, where the system tells (Linux); never a guess.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
