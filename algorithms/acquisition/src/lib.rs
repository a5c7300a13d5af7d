//! Acquisition functions in the log domain
