//! What a trial says about its data.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Encoding};
use super::table::Schema;
use super::{movielens, synthetic, table};
use crate::TrainerError;

/// Kind of data source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataKind {
    /// `MovieLens` 100K in the typed files of the `recbole` package, or in `GroupLens`' own `u.data` files.
    #[serde(rename = "movielens-100k")]
    MovieLens100k,
    /// A folder of `GroupLens`: `u.data` with `u.user` and `u.item`, or `ratings.csv` with `movies.csv`.
    #[serde(rename = "grouplens")]
    GroupLens,
    /// One CSV or TSV file with declared field kinds.
    Table,
    /// Generated rows with planted interactions.
    Synthetic,
}

/// How rows are divided into training (80 %), validation (10 %) and test (10 %).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitRule {
    /// By a hash of the row's content: random, but the same on every machine and in any file order.
    #[default]
    Hash,
    /// By time: the oldest rows train, the newest test.
    Time,
}

/// The data of a trial.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `kind` | - | source |
/// | `path` | none | folder or file of the source; not for `synthetic` |
/// | `split` | `hash` | rule of the three-way split |
/// | `fraction` | 1 | share of the training rows, in (0, 1]; nested |
/// | `min_count` | 1 | training occurrences below which a value counts as unseen |
/// | `positive_rating` | 4 | smallest rating (or label) that counts as positive |
/// | `schema` | none | field kinds of a `table` whose header does not declare them |
/// | `rows`, `seed` | 30000, 0 | size and seed of `synthetic` data |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRequest {
    /// Source of the rows.
    pub kind: DataKind,
    /// Folder or file of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Rule of the three-way split.
    #[serde(default)]
    pub split: SplitRule,
    /// Share of the training rows, in (0, 1].
    #[serde(default = "one")]
    pub fraction: f64,
    /// Training occurrences below which a value counts as unseen.
    #[serde(default = "one_count")]
    pub min_count: u32,
    /// Smallest rating that counts as positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive_rating: Option<f64>,
    /// Field kinds of a table whose header does not declare them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// Number of synthetic rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,
    /// Seed of synthetic rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

fn one() -> f64 {
    1.0
}

fn one_count() -> u32 {
    1
}

/// Smallest positive rating where the request names none.
const POSITIVE_RATING: f64 = 4.0;
/// Rows of synthetic data where the request names none.
const SYNTHETIC_ROWS: u32 = 30_000;

impl DataRequest {
    /// A request for synthetic data.
    pub fn synthetic(rows: u32, seed: u64) -> Self {
        Self { rows: Some(rows), seed: Some(seed), ..Self::of(DataKind::Synthetic, None) }
    }

    /// A request for a source at a path, everything else as by default.
    pub fn at(kind: DataKind, path: impl Into<PathBuf>) -> Self {
        Self::of(kind, Some(path.into()))
    }

    fn of(kind: DataKind, path: Option<PathBuf>) -> Self {
        Self {
            kind,
            path,
            split: SplitRule::default(),
            fraction: 1.0,
            min_count: 1,
            positive_rating: None,
            schema: None,
            rows: None,
            seed: None,
        }
    }

    /// Reads, splits and encodes the data.
    pub fn load(&self) -> Result<Dataset, TrainerError> {
        if !(self.fraction > 0.0 && self.fraction <= 1.0) {
            return Err(TrainerError::request(
                "data.fraction",
                format!("{} is not in (0, 1]", self.fraction),
            ));
        }
        let positive = self.positive_rating.unwrap_or(POSITIVE_RATING);
        if !positive.is_finite() {
            return Err(TrainerError::request("data.positive_rating", "must be finite"));
        }
        self.refuse_foreign_fields()?;
        let raw = match self.kind {
            DataKind::MovieLens100k | DataKind::GroupLens => {
                movielens::read(self.required_path()?, positive)?
            }
            DataKind::Table => {
                table::read(self.required_path()?, self.schema.as_ref(), self.positive_rating)?
            }
            DataKind::Synthetic => {
                synthetic::generate(self.rows.unwrap_or(SYNTHETIC_ROWS), self.seed.unwrap_or(0))?
            }
        };
        Dataset::encode(
            raw,
            Encoding { split: self.split, fraction: self.fraction, min_count: self.min_count },
        )
    }

    fn required_path(&self) -> Result<&Path, TrainerError> {
        self.path
            .as_deref()
            .ok_or_else(|| TrainerError::request("data.path", "is required for this kind of data"))
    }

    fn refuse_foreign_fields(&self) -> Result<(), TrainerError> {
        let synthetic = self.kind == DataKind::Synthetic;
        let table = self.kind == DataKind::Table;
        let refusals = [
            ("data.path", self.path.is_some() && synthetic),
            ("data.positive_rating", self.positive_rating.is_some() && synthetic),
            ("data.schema", self.schema.is_some() && !table),
            ("data.rows", self.rows.is_some() && !synthetic),
            ("data.seed", self.seed.is_some() && !synthetic),
        ];
        match refusals.into_iter().find(|(_, refused)| *refused) {
            Some((field, _)) => Err(TrainerError::request(field, "does not apply to this kind of data")),
            None => Ok(()),
        }
    }
}
