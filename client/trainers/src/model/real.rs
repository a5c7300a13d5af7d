//! The two float types a model can be evaluated in: f32 to train, f64 to check gradients.

use std::ops::{Add, AddAssign, Mul};

use burn::tensor::{DType, Element};

/// A float that both host code and tensors compute in.
pub(crate) trait Real:
    Element + Copy + PartialOrd + Add<Output = Self> + Mul<Output = Self> + AddAssign
{
    /// Type of tensors of this float.
    const TYPE: DType;
    /// Nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// Exact value in f64.
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    const TYPE: DType = DType::F32;

    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const TYPE: DType = DType::F64;

    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }
}
