//! Data of the recommendation trainers: sources, vocabularies, splits.

mod dataset;
mod fetch;
mod movielens;
mod raw;
mod request;
mod synthetic;
mod table;
mod text;

pub use dataset::{Dataset, Field, Part};
pub use fetch::get_movielens_100k;
pub use request::{DataKind, DataRequest, SplitRule};
pub use table::{FieldKind, Schema};
