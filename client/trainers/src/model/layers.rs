//! Layers of the arms in burn tensors, each a plain function or a list of segment handles.

use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::layout::{Layout, Role, SegmentId};
use super::real::Real;
use crate::random::{Purpose, stream};

/// Added to the variance in batch normalization (default of `FuxiCTR`'s framework).
const NORM_EPSILON: f64 = 1e-5;

/// Pair term of a factorization machine.
///
/// `sum over i < j of <e_i, e_j> = (1/2) sum_k [(sum_f e_fk)^2 - sum_f e_fk^2]` (Rendle 2010, eq. 3 and lemma 3.1).
/// Input (B, F, d), output (B, 1).
pub(crate) fn pair_term(embedded: Tensor<3>) -> Tensor<2> {
    let [batch, _, width] = embedded.dims();
    let sum = embedded.clone().sum_dim(1).reshape([batch, width]);
    let squares = embedded.square().sum_dim(1).reshape([batch, width]);
    (sum.square() - squares).sum_dim(1).mul_scalar(0.5)
}

/// One full-rank cross layer: x' = x0 * (W x + b) + x, element-wise product (Wang et al. 2021, eq. 1).
///
/// `weight` is the transpose of W, shape (D, D); `bias` has shape (1, D).
pub(crate) fn cross_layer(x0: Tensor<2>, x: Tensor<2>, weight: Tensor<2>, bias: Tensor<2>) -> Tensor<2> {
    x0 * (x.clone().matmul(weight) + bias) + x
}

/// Address of the dropout masks of one training step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DropoutAddress {
    pub(crate) seed: u64,
    pub(crate) step: u64,
}

/// What a forward pass needs beside its inputs, and what it leaves behind.
pub(crate) struct Pass<'a> {
    /// Tensors of the dense segments by segment index; tables have none.
    pub(crate) parameters: &'a [Option<Tensor<2>>],
    pub(crate) device: &'a Device,
    /// Present while training: batch statistics are used and dropout is on.
    pub(crate) training: Option<DropoutAddress>,
    /// Running means and variances of all normalizations, used outside training.
    pub(crate) running: &'a [f32],
    /// Batch statistics in the layout of `running`, filled while training.
    pub(crate) statistics: Vec<f32>,
    generator: Option<rand_chacha::ChaCha8Rng>,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(
        parameters: &'a [Option<Tensor<2>>],
        device: &'a Device,
        training: Option<DropoutAddress>,
        running: &'a [f32],
    ) -> Self {
        let generator = training.map(|address| stream(address.seed, Purpose::Dropout, address.step));
        let statistics = if training.is_some() { running.to_vec() } else { Vec::new() };
        Self { parameters, device, training, running, statistics, generator }
    }

    fn parameter(&self, id: SegmentId) -> Tensor<2> {
        self.parameters[id.0].clone().expect("dense segments have a tensor in every pass")
    }

    /// Keeps each element with probability 1 - rate and divides it by that; nothing outside training.
    fn dropout<T: Real>(&mut self, x: Tensor<2>, rate: f64) -> Tensor<2> {
        let Some(generator) = self.generator.as_mut().filter(|_| rate > 0.0) else { return x };
        let [rows, columns] = x.dims();
        // Sixteen random bits decide each element, so the rate is exact to 2^-16.
        let threshold = (rate * f64::from(1_u32 << 16)).round() as u32;
        let kept = T::from_f64(1.0 / (1.0 - f64::from(threshold) / f64::from(1_u32 << 16)));
        let zero = T::from_f64(0.0);
        let mut mask = Vec::with_capacity(rows * columns + 3);
        while mask.len() < rows * columns {
            let bits = generator.next_u64();
            mask.extend(
                [0, 16, 32, 48]
                    .map(|shift| if ((bits >> shift) & 0xffff) as u32 >= threshold { kept } else { zero }),
            );
        }
        mask.truncate(rows * columns);
        x * Tensor::from_data(TensorData::new(mask, [rows, columns]), (self.device, T::TYPE))
    }
}

/// A linear layer; the matrix is stored as (inputs, outputs).
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    weight: SegmentId,
    bias: SegmentId,
}

impl Linear {
    pub(crate) fn new(layout: &mut Layout, inputs: usize, outputs: usize) -> Self {
        Self { weight: layout.push(Role::Weight, inputs, outputs), bias: layout.push(Role::Bias, 1, outputs) }
    }

    pub(crate) fn forward(&self, pass: &Pass<'_>, x: Tensor<2>) -> Tensor<2> {
        x.matmul(pass.parameter(self.weight)) + pass.parameter(self.bias)
    }
}

/// Batch normalization over the rows of a batch (Ioffe and Szegedy 2015, algorithms 1 and 2).
#[derive(Debug, Clone)]
struct BatchNorm {
    scale: SegmentId,
    shift: SegmentId,
    /// Start of this layer's means in the running statistics; its variances follow them.
    statistics: usize,
    width: usize,
}

impl BatchNorm {
    fn forward<T: Real>(&self, pass: &mut Pass<'_>, x: Tensor<2>) -> Tensor<2> {
        let (means, variances) =
            (self.statistics..self.statistics + self.width, self.statistics + self.width);
        let variances = variances..variances + self.width;
        let (centred, variance) = if pass.training.is_some() {
            let rows = x.dims()[0];
            let mean = x.clone().mean_dim(0);
            let centred = x - mean.clone();
            let variance = centred.clone().square().mean_dim(0);
            // The running variance is the unbiased one, as in algorithm 2.
            let unbiased = rows as f64 / (rows.max(2) - 1) as f64;
            store::<T>(&mut pass.statistics[means], &mean, 1.0);
            store::<T>(&mut pass.statistics[variances], &variance, unbiased);
            (centred, variance)
        } else {
            let load = |values: &[f32]| {
                let values: Vec<T> = values.iter().map(|&value| T::from_f64(f64::from(value))).collect();
                Tensor::<2>::from_data(TensorData::new(values, [1, self.width]), (pass.device, T::TYPE))
            };
            (x - load(&pass.running[means]), load(&pass.running[variances]))
        };
        let factor = pass.parameter(self.scale) / variance.add_scalar(NORM_EPSILON).sqrt();
        centred * factor + pass.parameter(self.shift)
    }
}

fn store<T: Real>(target: &mut [f32], source: &Tensor<2>, factor: f64) {
    let data = source.clone().inner().into_data();
    let values = data.as_slice::<T>().expect("a statistic has the type of its pass");
    for (target, value) in target.iter_mut().zip(values) {
        *target = (value.to_f64() * factor) as f32;
    }
}

/// Hidden layers, each linear, batch normalization (optional), `ReLU`, dropout, in this order.
#[derive(Debug, Clone)]
pub(crate) struct Mlp {
    layers: Vec<(Linear, Option<BatchNorm>)>,
    dropout: f64,
    outputs: usize,
}

impl Mlp {
    pub(crate) fn new(
        layout: &mut Layout,
        statistics: &mut usize,
        inputs: usize,
        widths: &[usize],
        batch_norm: bool,
        dropout: f64,
    ) -> Self {
        let mut layers = Vec::new();
        let mut previous = inputs;
        for &width in widths {
            let linear = Linear::new(layout, previous, width);
            let norm = batch_norm.then(|| {
                let norm = BatchNorm {
                    scale: layout.push(Role::Scale, 1, width),
                    shift: layout.push(Role::Bias, 1, width),
                    statistics: *statistics,
                    width,
                };
                *statistics += 2 * width;
                norm
            });
            layers.push((linear, norm));
            previous = width;
        }
        Self { layers, dropout, outputs: previous }
    }

    /// Width of the last hidden layer.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) fn forward<T: Real>(&self, pass: &mut Pass<'_>, mut x: Tensor<2>) -> Tensor<2> {
        for (linear, norm) in &self.layers {
            x = linear.forward(pass, x);
            if let Some(norm) = norm {
                x = norm.forward::<T>(pass, x);
            }
            x = pass.dropout::<T>(relu(x), self.dropout);
        }
        x
    }

    /// Ranges of the variances in the running statistics; they start at 1, means at 0.
    pub(crate) fn variance_ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.layers
            .iter()
            .filter_map(|(_, norm)| norm.as_ref())
            .map(|norm| norm.statistics + norm.width..norm.statistics + 2 * norm.width)
    }
}

/// A stack of cross layers, full rank or low-rank mixture.
#[derive(Debug, Clone)]
pub(crate) enum CrossNetwork {
    /// [`cross_layer`] with a full matrix each.
    Full(Vec<Linear>),
    /// Mixture of low-rank experts.
    LowRank(Vec<LowRankCross>),
}

/// One mixture of low-rank cross experts (Wang et al. 2021, eq. 5 and 6).
///
/// `x' = x + sum_k g_k(x) * x0 * (U_k tanh(C_k tanh(V_k^T x)) + b)`, with g the softmax over K gates and b shared by the
/// experts, as in the authors' code.
#[derive(Debug, Clone)]
pub(crate) struct LowRankCross {
    gates: SegmentId,
    experts: Vec<[SegmentId; 3]>,
    bias: SegmentId,
}

impl CrossNetwork {
    pub(crate) fn full(layout: &mut Layout, width: usize, layers: usize) -> Self {
        Self::Full((0..layers).map(|_| Linear::new(layout, width, width)).collect())
    }

    pub(crate) fn low_rank(
        layout: &mut Layout,
        width: usize,
        layers: usize,
        rank: usize,
        experts: usize,
    ) -> Self {
        Self::LowRank(
            (0..layers)
                .map(|_| LowRankCross {
                    gates: layout.push(Role::Weight, width, experts),
                    experts: (0..experts)
                        .map(|_| {
                            [
                                layout.push(Role::Weight, width, rank),
                                layout.push(Role::Weight, rank, rank),
                                layout.push(Role::Weight, rank, width),
                            ]
                        })
                        .collect(),
                    bias: layout.push(Role::Bias, 1, width),
                })
                .collect(),
        )
    }

    pub(crate) fn forward(&self, pass: &Pass<'_>, x0: &Tensor<2>) -> Tensor<2> {
        let mut x = x0.clone();
        match self {
            Self::Full(layers) => {
                for layer in layers {
                    x = cross_layer(x0.clone(), x, pass.parameter(layer.weight), pass.parameter(layer.bias));
                }
            }
            Self::LowRank(layers) => {
                for layer in layers {
                    let gates = softmax(x.clone().matmul(pass.parameter(layer.gates)), 1);
                    // The gates sum to one, so the shared bias is added once.
                    let mut mixture = pass.parameter(layer.bias).expand(x.dims());
                    for (index, expert) in layer.experts.iter().enumerate() {
                        let [down, core, up] = expert.map(|id| pass.parameter(id));
                        let output = x.clone().matmul(down).tanh().matmul(core).tanh().matmul(up);
                        mixture = mixture + output * gates.clone().narrow(1, index, 1);
                    }
                    x = x0.clone() * mixture + x;
                }
            }
        }
        x
    }
}
