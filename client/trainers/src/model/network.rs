//! The four arms as one model type: structure, forward pass, loss with gradient, prediction.

use burn::tensor::{Device, Tensor, TensorData};

use super::embedding::{gather, scatter};
use super::layers::{CrossNetwork, DropoutAddress, Linear, Mlp, Pass, pair_term};
use super::layout::{Layout, Role, SegmentId};
use super::real::Real;
use crate::TrainerError;
use crate::data::Dataset;
use crate::parameters::{Arm, CrossStructure, HyperParameters};

/// Rows per forward pass outside training; bounds the memory of an evaluation.
const PREDICTION_ROWS: usize = 4096;

/// Structure of one arm with given hyperparameters on given data. Holds no parameter values.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    layout: Layout,
    /// First-order weights, shape (vocabulary, 1), and the global bias.
    first_order: Option<(SegmentId, SegmentId)>,
    /// Embedding table, shape (vocabulary, d).
    embedding: Option<SegmentId>,
    fields: usize,
    width: usize,
    head: Head,
    statistics: usize,
    embedding_l2: f64,
    net_l2: f64,
}

/// What a model adds to the first-order part of the logit.
#[derive(Debug, Clone)]
enum Head {
    /// LR: nothing.
    None,
    /// FM: the pair term.
    Pairs,
    /// `DeepFM`: the pair term and an MLP on the concatenated embeddings, with its output layer.
    PairsAndMlp { mlp: Mlp, output: Linear },
    /// `DCNv2`: cross layers and MLPs, joined as the structure says.
    Cross { cross: CrossNetwork, parallel: Option<Mlp>, stacked: Option<Mlp>, output: Linear },
}

/// What one training step leaves beside the gradient.
#[derive(Debug, Clone)]
pub(crate) struct StepResult {
    /// Mean binary cross-entropy of the batch, without penalties.
    pub(crate) loss: f64,
    /// Batch means and variances of all normalizations.
    pub(crate) statistics: Vec<f32>,
}

impl Model {
    /// Lays the arm out for the data.
    pub(crate) fn new(data: &Dataset, settings: &HyperParameters) -> Self {
        let mut layout = Layout::default();
        let (vocabulary, fields) = (data.vocabulary(), data.fields().len());
        let width = settings.embedding_dim;
        let inputs = fields * width;
        let mut statistics = 0;
        let first_order = (settings.arm != Arm::DcnV2)
            .then(|| (layout.push(Role::Embedding, vocabulary, 1), layout.push(Role::Bias, 1, 1)));
        let embedding = (settings.arm != Arm::Lr).then(|| layout.push(Role::Embedding, vocabulary, width));
        let mut mlp = |layout: &mut Layout| {
            let widths = settings.mlp_widths();
            Mlp::new(layout, &mut statistics, inputs, &widths, settings.batch_norm, settings.dropout)
        };
        let head = match settings.arm {
            Arm::Lr => Head::None,
            Arm::Fm => Head::Pairs,
            Arm::DeepFm => {
                let mlp = mlp(&mut layout);
                let output = Linear::new(&mut layout, mlp.outputs(), 1);
                Head::PairsAndMlp { mlp, output }
            }
            Arm::DcnV2 => {
                let layers = settings.cross_layers;
                let cross = match settings.low_rank {
                    0 => CrossNetwork::full(&mut layout, inputs, layers),
                    rank => CrossNetwork::low_rank(&mut layout, inputs, layers, rank, settings.experts),
                };
                let structure = settings.structure;
                let parallel = structure.has_parallel_mlp().then(|| mlp(&mut layout));
                let stacked = structure.has_stacked_mlp().then(|| mlp(&mut layout));
                let mut outputs = [&parallel, &stacked].into_iter().flatten().map(Mlp::outputs).sum();
                if matches!(structure, CrossStructure::Parallel | CrossStructure::CrossnetOnly) {
                    outputs += inputs;
                }
                let output = Linear::new(&mut layout, outputs, 1);
                Head::Cross { cross, parallel, stacked, output }
            }
        };
        Self {
            layout,
            first_order,
            embedding,
            fields,
            width,
            head,
            statistics,
            embedding_l2: settings.embedding_l2,
            net_l2: settings.net_l2,
        }
    }

    /// Number of trainable parameters.
    pub(crate) fn parameter_count(&self) -> usize {
        self.layout.total()
    }

    #[cfg(test)]
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Initial parameters for a seed.
    pub(crate) fn initialize(&self, seed: u64) -> Vec<f32> {
        self.layout.initialize(seed)
    }

    /// Initial running statistics: means 0, variances 1.
    pub(crate) fn initial_statistics(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.statistics];
        let mlps: Vec<&Mlp> = match &self.head {
            Head::None | Head::Pairs => Vec::new(),
            Head::PairsAndMlp { mlp, .. } => vec![mlp],
            Head::Cross { parallel, stacked, .. } => [parallel, stacked].into_iter().flatten().collect(),
        };
        for range in mlps.into_iter().flat_map(Mlp::variance_ranges) {
            values[range].fill(1.0);
        }
        values
    }

    /// Loss of a batch and its gradient with penalties, written over `gradient`.
    ///
    /// Minimizes mean BCE + (`embedding_l2`/2) |tables|^2 over all rows + (`net_l2`/2) |dense matrices|^2. The derivative of
    /// the mean cross-entropy by the logits, (sigma(z) - y) / B, is computed on the host in f64 and seeds the backward
    /// pass, so that no logarithm of a saturated probability is ever differentiated.
    pub(crate) fn loss_and_gradient<T: Real>(
        &self,
        data: &Dataset,
        rows: &[u32],
        parameters: &[T],
        dropout: DropoutAddress,
        device: &Device,
        gradient: &mut [T],
    ) -> Result<StepResult, TrainerError> {
        let tracked = device.clone().autodiff();
        let inputs =
            self.inputs(data, rows, parameters, &tracked).map(Tensor::require_grad, Tensor::require_grad);
        let dense: Vec<_> = self
            .dense_tensors(parameters, &tracked)
            .into_iter()
            .map(|tensor| tensor.map(Tensor::require_grad))
            .collect();
        let running = vec![0.0; self.statistics];
        let mut pass = Pass::new(&dense, &tracked, Some(dropout), &running);
        let logits = self.forward::<T>(&mut pass, &inputs);
        let statistics = pass.statistics;

        let values = read::<T, 2>(logits.clone().inner())?;
        let mut loss = 0.0;
        let slopes: Vec<T> = values
            .iter()
            .zip(rows)
            .map(|(&value, &row)| {
                let (z, y) = (value.to_f64(), f64::from(data.label(row)));
                // BCE with logits in the form that cannot overflow: max(z, 0) - z y + ln(1 + exp(-|z|)).
                loss += z.max(0.0) - z * y + (-z.abs()).exp().ln_1p();
                T::from_f64((sigmoid(z) - y) / rows.len() as f64)
            })
            .collect();
        let slopes = Tensor::<2>::from_data(TensorData::new(slopes, [rows.len(), 1]), (&tracked, T::TYPE));
        let mut gradients = (logits * slopes).sum().backward();

        gradient.fill(T::from_f64(0.0));
        for (segment, tensor) in self.layout.segments().iter().zip(&dense) {
            if let Some(tensor) = tensor {
                let found = tensor.grad_remove(&mut gradients).ok_or_else(|| lost("a dense layer"))?;
                gradient[segment.range()].copy_from_slice(&read::<T, 2>(found)?);
            }
        }
        if let (Some((table, _)), Some(leaf)) = (self.first_order, &inputs.first_order) {
            let found =
                read::<T, 2>(leaf.grad_remove(&mut gradients).ok_or_else(|| lost("the first order"))?)?;
            scatter(data, rows, &found, 1, true, &mut gradient[self.layout.segment(table).range()]);
        }
        if let (Some(table), Some(leaf)) = (self.embedding, &inputs.embedded) {
            let found =
                read::<T, 3>(leaf.grad_remove(&mut gradients).ok_or_else(|| lost("the embeddings"))?)?;
            scatter(data, rows, &found, self.width, false, &mut gradient[self.layout.segment(table).range()]);
        }
        self.add_penalties(parameters, gradient);
        Ok(StepResult { loss: loss / rows.len() as f64, statistics })
    }

    /// Probability of the positive class for each row.
    pub(crate) fn predict(
        &self,
        data: &Dataset,
        rows: &[u32],
        parameters: &[f32],
        running: &[f32],
        device: &Device,
    ) -> Result<Vec<f32>, TrainerError> {
        let dense = self.dense_tensors(parameters, device);
        let mut probabilities = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(PREDICTION_ROWS) {
            let inputs = self.inputs(data, chunk, parameters, device);
            let logits = self.forward::<f32>(&mut Pass::new(&dense, device, None, running), &inputs);
            probabilities.extend(read::<f32, 2>(logits)?.iter().map(|&z| sigmoid(f64::from(z)) as f32));
        }
        Ok(probabilities)
    }

    fn add_penalties<T: Real>(&self, parameters: &[T], gradient: &mut [T]) {
        for segment in self.layout.segments() {
            let strength = match segment.role {
                Role::Embedding => self.embedding_l2,
                Role::Weight => self.net_l2,
                Role::Bias | Role::Scale => 0.0,
            };
            if strength > 0.0 {
                let strength = T::from_f64(strength);
                for (slope, &value) in gradient[segment.range()].iter_mut().zip(&parameters[segment.range()])
                {
                    *slope += strength * value;
                }
            }
        }
    }

    /// Value of the penalties, for checks of the gradient.
    #[cfg(test)]
    pub(crate) fn penalty<T: Real>(&self, parameters: &[T]) -> f64 {
        let mut slopes = vec![T::from_f64(0.0); parameters.len()];
        self.add_penalties(parameters, &mut slopes);
        slopes.iter().zip(parameters).map(|(slope, value)| slope.to_f64() * value.to_f64() / 2.0).sum()
    }

    fn inputs<T: Real>(&self, data: &Dataset, rows: &[u32], parameters: &[T], device: &Device) -> Inputs {
        let first_order = self.first_order.map(|(table, _)| {
            let values = gather(data, rows, &parameters[self.layout.segment(table).range()], 1, true);
            Tensor::from_data(TensorData::new(values, [rows.len(), 1]), (device, T::TYPE))
        });
        let embedded = self.embedding.map(|table| {
            let values =
                gather(data, rows, &parameters[self.layout.segment(table).range()], self.width, false);
            Tensor::from_data(
                TensorData::new(values, [rows.len(), self.fields, self.width]),
                (device, T::TYPE),
            )
        });
        Inputs { first_order, embedded }
    }

    fn dense_tensors<T: Real>(&self, parameters: &[T], device: &Device) -> Vec<Option<Tensor<2>>> {
        self.layout
            .segments()
            .iter()
            .map(|segment| {
                (segment.role != Role::Embedding).then(|| {
                    let values = parameters[segment.range()].to_vec();
                    Tensor::from_data(
                        TensorData::new(values, [segment.rows, segment.columns]),
                        (device, T::TYPE),
                    )
                })
            })
            .collect()
    }

    /// Logits of shape (B, 1).
    fn forward<T: Real>(&self, pass: &mut Pass<'_>, inputs: &Inputs) -> Tensor<2> {
        let mut logits = match (&inputs.first_order, self.first_order) {
            (Some(sum), Some((_, bias))) => {
                let bias = pass.parameters[bias.0].clone().expect("the bias is dense");
                Some(sum.clone() + bias)
            }
            _ => None,
        };
        let mut add = |term: Tensor<2>| {
            logits = Some(match logits.take() {
                Some(sum) => sum + term,
                None => term,
            });
        };
        if let Some(embedded) = &inputs.embedded {
            let flat = || {
                let [rows, fields, width] = embedded.dims();
                embedded.clone().reshape([rows, fields * width])
            };
            match &self.head {
                Head::None => {}
                Head::Pairs => add(pair_term(embedded.clone())),
                Head::PairsAndMlp { mlp, output } => {
                    add(pair_term(embedded.clone()));
                    let hidden = mlp.forward::<T>(pass, flat());
                    add(output.forward(pass, hidden));
                }
                Head::Cross { cross, parallel, stacked, output } => {
                    let x0 = flat();
                    let crossed = cross.forward(pass, &x0);
                    let mut parts = Vec::new();
                    if let Some(stacked) = stacked {
                        parts.push(stacked.forward::<T>(pass, crossed));
                    } else {
                        parts.push(crossed);
                    }
                    if let Some(parallel) = parallel {
                        parts.push(parallel.forward::<T>(pass, x0));
                    }
                    add(output.forward(pass, Tensor::cat(parts, 1)));
                }
            }
        }
        logits.expect("every arm has a first-order part or a head")
    }
}

/// Gathered inputs of one batch.
struct Inputs {
    /// Sum of the first-order weights, shape (B, 1).
    first_order: Option<Tensor<2>>,
    /// Embeddings, shape (B, F, d).
    embedded: Option<Tensor<3>>,
}

impl Inputs {
    fn map(self, first: impl Fn(Tensor<2>) -> Tensor<2>, second: impl Fn(Tensor<3>) -> Tensor<3>) -> Self {
        Self { first_order: self.first_order.map(first), embedded: self.embedded.map(second) }
    }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

fn read<T: Real, const D: usize>(tensor: Tensor<D>) -> Result<Vec<T>, TrainerError> {
    let data = tensor.try_into_data().map_err(|error| TrainerError::Device {
        problem: format!("could not read a tensor back: {error:?}"),
    })?;
    data.try_into_vec::<T>()
        .map_err(|error| TrainerError::Training { problem: format!("tensor type: {error:?}") })
}

fn lost(what: &str) -> TrainerError {
    TrainerError::Training { problem: format!("the backend returned no gradient for {what}") }
}
