#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write;

use burn::tensor::{Device, Tensor, TensorData};
use serde_json::{Value, json};

use super::layers::{DropoutAddress, cross_layer, pair_term};
use super::network::Model;
use super::real::Real;
use crate::data::{DataKind, DataRequest, Dataset, Part};
use crate::parameters::{Arm, HyperParameters};
use crate::random::{Purpose, fill_normal, mix, stream};

fn tensor<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (&Device::flex(), f64::TYPE))
}

fn values(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data().try_into_vec::<f64>().unwrap()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} against {expected}");
    }
}

#[test]
fn golden_vector_of_the_pair_term() {
    let embedded = tensor(&[0.1, 0.2, 0.3, -0.1, -0.2, 0.4], [1, 3, 2]);
    close(&values(pair_term(embedded)), &[-0.03]);
}

#[test]
fn golden_vector_of_the_cross_layer() {
    let rows = [[0.1, 0.2, 0.0, 0.0], [0.0, 0.1, 0.2, 0.0], [0.0, 0.0, 0.1, 0.2], [0.2, 0.0, 0.0, 0.1]];
    let weight = tensor(&rows.concat(), [4, 4]).transpose();
    let x0 = tensor(&[1.0, 2.0, -1.0, 0.5], [1, 4]);
    let bias = tensor(&[0.01, 0.02, 0.03, 0.04], [1, 4]);
    close(&values(cross_layer(x0.clone(), x0, weight, bias)), &[1.51, 2.04, -1.03, 0.645]);
}

/// Rows with every kind of field: tokens, a sequence, a number with gaps.
fn every_kind() -> Dataset {
    let mut content = "a:token\tb:token\ttags:token_seq\tx:float\ty:label\n".to_owned();
    for row in 0..150_u64 {
        let pick = |salt: u64, of: u64| mix(row * 31 + salt) % of;
        let number = if pick(1, 5) == 0 { String::new() } else { format!("{}.5", pick(2, 9)) };
        let (a, b, first, second, y) = (pick(3, 7), pick(4, 5), pick(5, 4), pick(6, 4), pick(7, 2));
        writeln!(content, "a{a}\tb{b}\tt{first} t{second}\t{number}\t{y}").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.tsv");
    std::fs::write(&path, content).unwrap();
    DataRequest::at(DataKind::Table, path).load().unwrap()
}

fn settings(arm: Arm, pairs: &[(&str, Value)]) -> HyperParameters {
    let values: BTreeMap<String, Value> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    HyperParameters::parse(arm, &values).unwrap()
}

/// Compares the analytic gradient with central differences in f64, segment by segment.
fn check_gradient(hyper: &HyperParameters) {
    const BATCH: usize = 12;
    const CHECKED: usize = 30;
    const STEP: f64 = 1e-5;
    let data = every_kind();
    let rows = &data.rows(Part::Train)[..BATCH];
    let model = Model::new(&data, hyper);
    let device = Device::flex();
    let dropout = DropoutAddress { seed: 5, step: 3 };
    // Larger parameters than the initial ones, so that every term of every layer matters.
    let mut start = vec![0.0_f32; model.parameter_count()];
    fill_normal(&mut stream(11, Purpose::Initialize, 99), 0.4, &mut start);
    let mut parameters: Vec<f64> = start.iter().map(|&value| f64::from(value)).collect();

    let mut gradient = vec![0.0_f64; parameters.len()];
    model.loss_and_gradient(&data, rows, &parameters, dropout, &device, &mut gradient).unwrap();
    let mut scratch = vec![0.0_f64; parameters.len()];
    let mut loss = |parameters: &[f64]| {
        let result =
            model.loss_and_gradient(&data, rows, parameters, dropout, &device, &mut scratch).unwrap();
        result.loss + model.penalty(parameters)
    };
    for (index, segment) in model.layout().segments().iter().enumerate() {
        let stride = segment.range().len().div_ceil(CHECKED);
        let (mut difference, mut size) = (0.0_f64, 0.0_f64);
        for position in segment.range().step_by(stride) {
            let kept = parameters[position];
            parameters[position] = kept + STEP;
            let above = loss(&parameters);
            parameters[position] = kept - STEP;
            let below = loss(&parameters);
            parameters[position] = kept;
            let numeric = (above - below) / (2.0 * STEP);
            difference += (numeric - gradient[position]).powi(2);
            size += gradient[position].powi(2);
        }
        // A bias in front of a batch normalization has no effect: its gradient is zero up to rounding.
        let relative = difference.sqrt() / size.sqrt().max(1e-4);
        assert!(
            relative < 1e-6,
            "segment {index} {segment:?}: relative error {relative}, size {}",
            size.sqrt()
        );
    }
}

#[test]
fn gradient_of_logistic_regression() {
    check_gradient(&settings(Arm::Lr, &[("l2", json!(0.01))]));
}

#[test]
fn gradient_of_factorization_machine() {
    check_gradient(&settings(Arm::Fm, &[("l2", json!(0.01)), ("embedding_dim", json!(3))]));
}

#[test]
fn gradient_of_deepfm() {
    for batch_norm in [false, true] {
        check_gradient(&settings(
            Arm::DeepFm,
            &[
                ("embedding_dim", json!(3)),
                ("embedding_l2", json!(0.01)),
                ("net_l2", json!(0.02)),
                ("mlp_layers", json!(2)),
                ("mlp_width", json!(8)),
                ("mlp_shape", json!("halving")),
                ("batch_norm", json!(batch_norm)),
                ("dropout", json!(0.3)),
            ],
        ));
    }
}

#[test]
fn gradient_of_dcnv2() {
    for (structure, low_rank) in
        [("parallel", 0), ("stacked", 2), ("stacked_parallel", 0), ("crossnet_only", 0), ("crossnet_only", 3)]
    {
        check_gradient(&settings(
            Arm::DcnV2,
            &[
                ("embedding_dim", json!(2)),
                ("mlp_layers", json!(1)),
                ("mlp_width", json!(6)),
                ("batch_norm", json!(structure != "stacked")),
                ("dropout", json!(0.2)),
                ("cross_layers", json!(2)),
                ("structure", json!(structure)),
                ("low_rank", json!(low_rank)),
                ("experts", json!(2)),
            ],
        ));
    }
}

#[test]
fn training_precision_agrees_with_f64() {
    let data = every_kind();
    let rows = &data.rows(Part::Train)[..32];
    let dropout = DropoutAddress { seed: 1, step: 0 };
    for arm in Arm::ALL {
        let model = Model::new(&data, &settings(arm, &[]));
        let mut single = vec![0.0_f32; model.parameter_count()];
        fill_normal(&mut stream(2, Purpose::Initialize, 98), 0.2, &mut single);
        let double: Vec<f64> = single.iter().map(|&value| f64::from(value)).collect();
        let (mut slopes, mut exact) = (vec![0.0_f32; single.len()], vec![0.0_f64; single.len()]);
        let device = Device::flex();
        let rough = model.loss_and_gradient(&data, rows, &single, dropout, &device, &mut slopes).unwrap();
        let fine = model.loss_and_gradient(&data, rows, &double, dropout, &device, &mut exact).unwrap();
        assert!((rough.loss - fine.loss).abs() < 1e-5 * fine.loss.abs().max(1.0));
        let difference: f64 = slopes.iter().zip(&exact).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum();
        let size: f64 = exact.iter().map(|value| value.powi(2)).sum();
        assert!((difference / size).sqrt() < 1e-4, "{arm}: {}", (difference / size).sqrt());
    }
}

#[test]
fn parameter_counts_follow_the_structures() {
    let data = every_kind();
    let (vocabulary, fields) = (data.vocabulary(), data.fields().len());
    // Padding and unseen beside 7, 5 and 4 values; a number has padding and one vector.
    assert_eq!((vocabulary, fields), (9 + 7 + 6 + 2, 4));
    let count = |arm, pairs: &[(&str, Value)]| Model::new(&data, &settings(arm, pairs)).parameter_count();
    let base = [
        ("embedding_dim", json!(3)),
        ("mlp_layers", json!(2)),
        ("mlp_width", json!(8)),
        ("batch_norm", json!(false)),
    ];
    let inputs = fields * 3;
    let mlp = inputs * 8 + 8 + 8 * 8 + 8;
    assert_eq!(count(Arm::Lr, &[]), vocabulary + 1);
    assert_eq!(count(Arm::Fm, &base[..1]), vocabulary * 4 + 1);
    assert_eq!(count(Arm::DeepFm, &base), vocabulary * 4 + 1 + mlp + 8 + 1);
    let cross = 2 * (inputs * inputs + inputs);
    assert_eq!(count(Arm::DcnV2, &base), vocabulary * 3 + cross + mlp + inputs + 8 + 1);
}

#[test]
fn initial_values_have_their_documented_spread() {
    let data = every_kind();
    let model =
        Model::new(&data, &settings(Arm::DeepFm, &[("mlp_width", json!(64)), ("embedding_dim", json!(32))]));
    let parameters = model.initialize(4);
    let deviation = |values: &[f32]| {
        (values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    };
    let segments = model.layout().segments();
    let table = &parameters[segments[2].range()];
    assert!((deviation(table) / 1e-4 - 1.0).abs() < 0.15, "{}", deviation(table));
    let dense = &segments[3];
    let xavier = (2.0 / (dense.rows + dense.columns) as f64).sqrt();
    assert!((deviation(&parameters[dense.range()]) / xavier - 1.0).abs() < 0.1);
}
