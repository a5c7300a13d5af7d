//! Surrogate models: Gaussian process, random forest, Parzen estimators, ensembles
