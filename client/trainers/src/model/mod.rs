//! The click-through-rate arms: logistic regression, factorization machine, `DeepFM`, `DCNv2`.
//!
//! All parameters of a model lie in one flat vector, described by a [`layout::Layout`]. The embedding rows of a batch
//! are gathered on the host into a small leaf tensor; burn differentiates the network above it; the gradient of the leaf
//! is scattered back into the flat gradient on the host. So no tensor of the size of a table ever enters the autodiff
//! graph, and optimizer, checkpoint and finite-difference checks work on plain slices.
//!
//! Letters: B rows of a batch, F fields, d embedding size, D = F d, z logit.

mod embedding;
mod layers;
mod layout;
mod network;
mod real;

pub(crate) use layers::DropoutAddress;
pub(crate) use network::Model;

#[cfg(test)]
mod tests;
