//! The commands, one file each.

pub(crate) mod analyze;
pub(crate) mod bench;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod program;
pub(crate) mod serve;
pub(crate) mod study;
pub(crate) mod token;
pub(crate) mod trial;
pub(crate) mod worker;
