//! Where the tensors of a model live, chosen by the request and never by a default.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::TrainerError;

/// A device that a trial asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputeDevice {
    /// One core of the processor (burn's `flex` backend). Deterministic to the bit.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its index. Needs the cargo feature `cuda`. The caller asks the driver first whether the GPU is
    /// there: without a driver the backend panics in a thread of its own.
    Cuda(u32),
}

impl ComputeDevice {
    /// Opens the device.
    ///
    /// # Errors
    ///
    /// [`TrainerError::Device`] where this build has no support for it.
    pub fn open(self) -> Result<Device, TrainerError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => Ok(Device::cuda(index)),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(index) => Err(TrainerError::Device {
                problem: format!(
                    "cuda:{index} was asked for, but this program was built without the feature `cuda`"
                ),
            }),
        }
    }
}
