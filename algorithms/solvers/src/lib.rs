//! Solvers composed of samplers, schedulers and bandits
