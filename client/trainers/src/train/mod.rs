//! Training: schedule, optimizer, checkpoints, the loop.

mod checkpoint;
mod optimizer;
mod schedule;
mod trainer;

pub(crate) use trainer::{RunEnd, Trainer, TrainerSettings};

#[cfg(test)]
mod tests;
