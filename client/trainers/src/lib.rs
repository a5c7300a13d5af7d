//! Built-in training programs: click-through-rate models on rating data.
//!
//! A worker hands a [`TrialRequest`] to [`run_program`] and gets [`Report`]s through a [`Reporter`]. The four arms are
//! logistic regression, factorization machine, `DeepFM` and `DCNv2`; [`space`] is the search space to tune them over.
//!
//! Three properties hold by construction and are tested:
//!
//! * equal request, equal result, bit for bit, on the processor;
//! * a run that resumes from the checkpoint of a lower rung gives exactly what an uninterrupted run gives;
//! * the solver's metrics come from the validation part, `test_*` from rows that nothing was chosen on.

mod data;
mod device;
mod error;
mod metrics;
mod model;
mod parameters;
mod program;
mod random;
mod train;

pub use data::{
    DataKind, DataRequest, Dataset, Field, FieldKind, Part, Schema, SplitRule, get_movielens_100k,
};
pub use device::ComputeDevice;
pub use error::TrainerError;
pub use metrics::{area_under_curve, grouped_area_under_curve, log_loss};
pub use parameters::{Arm, CrossStructure, HyperParameters, space};
pub use program::{
    Directive, PROGRAM, Report, Reporter, ResourceRange, TrialEnd, TrialRequest, check, run_program,
};
