#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use serde_json::{Value, json};

use super::checkpoint;
use super::optimizer::{Moments, clip, update};
use super::{RunEnd, Trainer, TrainerSettings};
use crate::data::{DataRequest, Dataset, Part};
use crate::metrics::area_under_curve;
use crate::model::{DropoutAddress, Model};
use crate::parameters::{Arm, HyperParameters};
use crate::program::{Directive, Report, Reporter};

fn data() -> Dataset {
    DataRequest::synthetic(2_000, 3).load().unwrap()
}

fn hyper(arm: Arm, pairs: &[(&str, Value)]) -> HyperParameters {
    let mut values: BTreeMap<String, Value> = BTreeMap::from([("batch_size".to_owned(), json!(128))]);
    if arm != Arm::Lr {
        values.insert("embedding_dim".into(), json!(4));
    }
    values.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    HyperParameters::parse(arm, &values).unwrap()
}

fn run(
    data: &Dataset,
    hyper: &HyperParameters,
    (from, to): (u64, u64),
    checkpoint_in: Option<&Path>,
    checkpoint_out: &Path,
    reporter: &mut dyn Reporter,
) -> RunEnd {
    let settings = TrainerSettings {
        seed: 17,
        from,
        to,
        checkpoint_in: checkpoint_in.map(Path::to_owned),
        checkpoint_out: checkpoint_out.to_owned(),
    };
    Trainer::new(data, hyper, &settings, Device::flex()).run(reporter).unwrap()
}

/// Everything in a report that is a result; time and memory are not.
fn results(report: &Report) -> Report {
    Report { seconds: 0.0, peak_memory_bytes: None, ..report.clone() }
}

fn completed(end: RunEnd) -> Report {
    match end {
        RunEnd::Completed(report) => results(&report),
        other => panic!("expected a completed run, got {other:?}"),
    }
}

fn silent() -> impl Reporter {
    |_: &Report| Directive::Continue
}

#[test]
fn every_arm_learns_one_batch_by_heart() {
    let data = data();
    let rows = &data.rows(Part::Train)[..32];
    let device = Device::flex();
    for arm in Arm::ALL {
        let plain = if arm == Arm::Lr { vec![] } else { vec![("embedding_dim", json!(8))] };
        let deep = [("dropout", json!(0.0)), ("mlp_width", json!(32))];
        let pairs =
            if matches!(arm, Arm::DeepFm | Arm::DcnV2) { [plain, deep.to_vec()].concat() } else { plain };
        let model = Model::new(&data, &hyper(arm, &pairs));
        let mut parameters = model.initialize(1);
        let mut moments = Moments::zeros(parameters.len());
        let mut gradient = vec![0.0; parameters.len()];
        let mut loss = f64::NAN;
        for step in 1..=300 {
            let dropout = DropoutAddress { seed: 1, step };
            loss = model
                .loss_and_gradient(&data, rows, &parameters, dropout, &device, &mut gradient)
                .unwrap()
                .loss;
            clip(&mut gradient);
            update(&mut parameters, &gradient, &mut moments, 0.02, step);
        }
        // 32 rows of 8 fields x 50 values are separable, also linearly.
        assert!(loss < 0.1, "{arm}: loss {loss}");
        if matches!(arm, Arm::Lr | Arm::Fm) {
            let scores = model.predict(&data, rows, &parameters, &[], &device).unwrap();
            let labels: Vec<u8> = rows.iter().map(|&row| data.label(row)).collect();
            assert_eq!(area_under_curve(&labels, &scores), Some(1.0));
        }
    }
}

#[test]
fn equal_seed_gives_equal_bits_and_another_seed_does_not() {
    let data = data();
    let hyper = hyper(Arm::DcnV2, &[]);
    let bits = |seed: u64| {
        let folder = tempfile::tempdir().unwrap();
        let settings = TrainerSettings {
            seed,
            from: 0,
            to: 2,
            checkpoint_in: None,
            checkpoint_out: folder.path().to_owned(),
        };
        let end = Trainer::new(&data, &hyper, &settings, Device::flex()).run(&mut silent()).unwrap();
        (completed(end), std::fs::read(folder.path().join("state.bin")).unwrap())
    };
    assert_eq!(bits(1), bits(1));
    assert_ne!(bits(1).0.auc.to_bits(), bits(2).0.auc.to_bits());
}

#[test]
fn resuming_rung_by_rung_equals_running_through() {
    let data = data();
    for arm in [Arm::Lr, Arm::DeepFm] {
        let hyper = hyper(arm, &[]);
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let first = completed(run(&data, &hyper, (0, 1), None, &at("1"), &mut silent()));
        let second = completed(run(&data, &hyper, (1, 3), Some(&at("1")), &at("3"), &mut silent()));
        let third = completed(run(&data, &hyper, (3, 5), Some(&at("3")), &at("5"), &mut silent()));

        let mut steps = Vec::new();
        let mut note = |report: &Report| {
            steps.push((report.step, report.decayed, report.test_auc.is_some()));
            Directive::Continue
        };
        let direct_three = completed(run(&data, &hyper, (0, 3), None, &at("direct 3"), &mut note));
        assert_eq!(steps, [(1, false, false), (2, false, false), (3, true, true)]);
        let direct_five = completed(run(&data, &hyper, (3, 5), None, &at("direct 5"), &mut silent()));
        assert_eq!(second, direct_three);
        assert_eq!(third, direct_five);
        assert_ne!(first.auc.to_bits(), second.auc.to_bits());
        for rung in ["3", "5"] {
            let read = |name: &str| std::fs::read(at(name).join("state.bin")).unwrap();
            assert_eq!(read(rung), read(&format!("direct {rung}")));
        }
    }
}

/// Answers `directive` at the n-th poll.
struct AtStep(u64, Directive);

impl Reporter for AtStep {
    fn report(&mut self, _: &Report) -> Directive {
        Directive::Continue
    }

    fn poll(&mut self) -> Directive {
        self.0 -= 1;
        if self.0 == 0 { self.1 } else { Directive::Continue }
    }
}

#[test]
fn a_run_that_yields_in_any_phase_continues_to_the_same_result() {
    let data = data();
    let hyper = hyper(Arm::Fm, &[]);
    let folder = tempfile::tempdir().unwrap();
    let steps = data.rows(Part::Train).len().div_ceil(128) as u64;
    let expected = completed(run(&data, &hyper, (0, 2), None, &folder.path().join("through"), &mut silent()));
    let decay_start = 2 * steps - (2 * steps).div_ceil(5);
    for step in [1, steps / 2, steps, decay_start, decay_start + 1, 2 * steps - 1] {
        let path = folder.path().join(step.to_string());
        assert_eq!(
            run(&data, &hyper, (0, 2), None, &path, &mut AtStep(step, Directive::Yield)),
            RunEnd::Yielded
        );
        let resumed = completed(run(&data, &hyper, (0, 2), Some(&path), &path, &mut silent()));
        // The mean training loss of an epoch covers only the steps of this run.
        let without_loss = |report: &Report| Report { train_logloss: 0.0, ..report.clone() };
        assert_eq!(without_loss(&resumed), without_loss(&expected), "yielded after {step} steps");
    }
}

#[test]
fn a_stopped_run_ends_at_once() {
    let data = data();
    let folder = tempfile::tempdir().unwrap();
    let end = run(&data, &hyper(Arm::Lr, &[]), (0, 9), None, folder.path(), &mut AtStep(2, Directive::Stop));
    assert_eq!(end, RunEnd::Stopped);
    assert!(!folder.path().join("state.bin").exists());
}

#[test]
fn divergence_is_an_end_and_not_a_number() {
    let data = data();
    let folder = tempfile::tempdir().unwrap();
    let hyper = HyperParameters { learning_rate: 1e30, ..hyper(Arm::Fm, &[]) };
    match run(&data, &hyper, (0, 1), None, folder.path(), &mut silent()) {
        RunEnd::Diverged(reason) => assert!(reason.contains("diverged at step"), "{reason}"),
        other => panic!("expected divergence, got {other:?}"),
    }
}

#[test]
fn a_checkpoint_of_another_trial_is_refused() {
    let data = data();
    let folder = tempfile::tempdir().unwrap();
    completed(run(&data, &hyper(Arm::Lr, &[]), (0, 1), None, folder.path(), &mut silent()));
    let settings = TrainerSettings {
        seed: 17,
        from: 1,
        to: 3,
        checkpoint_in: Some(folder.path().to_owned()),
        checkpoint_out: folder.path().to_owned(),
    };
    let other = hyper(Arm::Lr, &[("l2", json!(0.5))]);
    let error = Trainer::new(&data, &other, &settings, Device::flex()).run(&mut silent()).unwrap_err();
    assert!(error.to_string().contains("belongs to other parameters"), "{error}");
}

#[test]
fn a_checkpoint_past_the_target_is_refused() {
    let data = data();
    let folder = tempfile::tempdir().unwrap();
    completed(run(&data, &hyper(Arm::Lr, &[]), (0, 3), None, folder.path(), &mut silent()));
    let settings = TrainerSettings {
        seed: 17,
        from: 0,
        to: 1,
        checkpoint_in: Some(folder.path().to_owned()),
        checkpoint_out: folder.path().to_owned(),
    };
    let error =
        Trainer::new(&data, &hyper(Arm::Lr, &[]), &settings, Device::flex()).run(&mut silent()).unwrap_err();
    assert!(error.to_string().contains("resource.to"), "{error}");
}

#[test]
fn the_checkpoint_holds_the_state_before_the_decay() {
    let data = data();
    let folder = tempfile::tempdir().unwrap();
    let hyper = hyper(Arm::Lr, &[]);
    let settings = TrainerSettings {
        seed: 17,
        from: 0,
        to: 1,
        checkpoint_in: None,
        checkpoint_out: folder.path().to_owned(),
    };
    let trainer = Trainer::new(&data, &hyper, &settings, Device::flex());
    completed(trainer.run(&mut silent()).unwrap());
    let state = checkpoint::load(folder.path(), &trainer.identity).unwrap();
    let steps = data.rows(Part::Train).len().div_ceil(128) as u64;
    assert_eq!(state.step, steps - steps.div_ceil(5));
}
