//! Rust SDK: create a study, suggest, report, finish
