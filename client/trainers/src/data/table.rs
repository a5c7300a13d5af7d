//! One CSV or TSV file with declared field kinds.
//!
//! The header declares them in the manner of typed files, `age:float`, or a [`Schema`] does. Files that end with `.csv`
//! (or `.csv.gz`) are separated by commas, all others by tabs. Elements of a sequence are separated by spaces.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::raw::{Column, Entity, RawData, SequenceBuilder, TokenBuilder};
use super::text;
use crate::TrainerError;
use crate::random::hash_text;

/// What a column of a table means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A category.
    Token,
    /// Categories separated by spaces, mean-pooled.
    TokenSeq,
    /// A number that multiplies a learned vector, standardized by its training mean and deviation.
    Float,
    /// A number turned into a category: floor(ln(x)^2) for x > 2, otherwise floor(x).
    FloatBucket,
    /// The label, compared with the request's `positive_rating` (0.5 where it names none).
    Label,
    /// Time of the row, for the time-ordered split.
    Time,
    /// A category that is also the group of the grouped metrics, such as the user.
    Group,
    /// Not used.
    Ignore,
}

/// Field kinds by column name; columns that are not named are not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema {
    /// Kind of each column.
    pub fields: BTreeMap<String, FieldKind>,
}

/// Label from which a row of a table counts as positive where the request names no other.
const POSITIVE_LABEL: f64 = 0.5;

enum Builder {
    Token(TokenBuilder),
    Group(TokenBuilder),
    Sequence(SequenceBuilder),
    Float(Vec<f32>),
    Bucket(TokenBuilder),
    Label,
    Time,
    Ignore,
}

/// Reads a table; `schema` replaces what the header declares.
pub(crate) fn read(
    path: &Path,
    schema: Option<&Schema>,
    positive: Option<f64>,
) -> Result<RawData, TrainerError> {
    let content = text::read(path)?;
    let named = |path: &Path, extension: &str| {
        path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
    };
    let plain = if named(path, "gz") { path.with_extension("") } else { path.to_owned() };
    let commas = named(&plain, "csv");
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(if commas { b',' } else { b'\t' })
        .quoting(commas)
        .from_reader(content.as_bytes());
    let csv_error = |error: csv::Error| {
        TrainerError::data(path, error.position().map(csv::Position::line), error.to_string())
    };
    let header = reader.headers().map_err(csv_error)?.clone();
    let mut columns = declared(path, &header, schema)?;

    let threshold = positive.unwrap_or(POSITIVE_LABEL);
    let (mut labels, mut times, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(csv_error)? {
        let line = record.position().map_or(0, csv::Position::line);
        let cells: Vec<&str> = record.iter().collect();
        hashes.push(hash_text(&cells));
        for ((name, builder), cell) in columns.iter_mut().zip(cells) {
            match builder {
                Builder::Token(tokens) | Builder::Group(tokens) => tokens.push(cell),
                Builder::Sequence(tokens) => tokens.push(cell.split(' ')),
                Builder::Float(values) if cell.is_empty() => values.push(f32::NAN),
                Builder::Float(values) => values.push(text::number(cell, name, path, line)? as f32),
                Builder::Bucket(tokens) if cell.is_empty() => tokens.push(cell),
                Builder::Bucket(tokens) => {
                    tokens.push(&bucket(text::number(cell, name, path, line)?).to_string());
                }
                Builder::Label => labels.push(u8::from(text::number(cell, name, path, line)? >= threshold)),
                Builder::Time => times.push(text::number(cell, name, path, line)?),
                Builder::Ignore => {}
            }
        }
    }
    assemble(columns, labels, times, hashes)
}

/// Column names with the builders of their kinds, in file order.
fn declared(
    path: &Path,
    header: &csv::StringRecord,
    schema: Option<&Schema>,
) -> Result<Vec<(String, Builder)>, TrainerError> {
    if let Some(absent) = schema.and_then(|schema| {
        schema.fields.keys().find(|name| !header.iter().any(|column| bare(column) == **name))
    }) {
        return Err(TrainerError::request(format!("data.schema.{absent}"), "the file has no such column"));
    }
    let mut columns = Vec::new();
    let mut counts = [0_usize; 3];
    for title in header {
        let name = bare(title);
        let kind = match schema {
            Some(schema) => schema.fields.get(name).copied().unwrap_or(FieldKind::Ignore),
            None => kind_in_header(path, title)?,
        };
        let builder = match kind {
            FieldKind::Token => Builder::Token(TokenBuilder::default()),
            FieldKind::Group => Builder::Group(TokenBuilder::default()),
            FieldKind::TokenSeq => Builder::Sequence(SequenceBuilder::default()),
            FieldKind::Float => Builder::Float(Vec::new()),
            FieldKind::FloatBucket => Builder::Bucket(TokenBuilder::default()),
            FieldKind::Label => Builder::Label,
            FieldKind::Time => Builder::Time,
            FieldKind::Ignore => Builder::Ignore,
        };
        for (count, counted) in counts.iter_mut().zip([FieldKind::Label, FieldKind::Time, FieldKind::Group]) {
            *count += usize::from(kind == counted);
        }
        columns.push((name.to_owned(), builder));
    }
    match counts {
        [1, 0 | 1, 0 | 1] => Ok(columns),
        [labels, times, groups] => Err(TrainerError::data(
            path,
            Some(1),
            format!(
                "one label and at most one time and one group column are needed, found {labels}, {times} and {groups}"
            ),
        )),
    }
}

fn bare(title: &str) -> &str {
    title.split_once(':').map_or(title, |(name, _)| name)
}

fn kind_in_header(path: &Path, title: &str) -> Result<FieldKind, TrainerError> {
    let kind = title.split_once(':').map_or("", |(_, kind)| kind);
    serde_json::from_value(serde_json::Value::from(kind)).map_err(|_| {
        TrainerError::data(
            path,
            Some(1),
            format!(
                "column `{title}` declares no known kind; write name:kind with token, token_seq, float, float_bucket, \
                 label, time, group or ignore, or give data.schema"
            ),
        )
    })
}

fn assemble(
    columns: Vec<(String, Builder)>,
    labels: Vec<u8>,
    times: Vec<f64>,
    hashes: Vec<u64>,
) -> Result<RawData, TrainerError> {
    let mut groups = None;
    let mut attributes = Vec::new();
    for (name, builder) in columns {
        let column = match builder {
            Builder::Token(tokens) | Builder::Bucket(tokens) => tokens.finish(),
            Builder::Group(tokens) => {
                let column = tokens.finish();
                if let Column::Token { codes, .. } = &column {
                    groups = Some(codes.clone());
                }
                column
            }
            Builder::Sequence(tokens) => tokens.finish(),
            Builder::Float(values) => Column::Number(values),
            Builder::Label | Builder::Time | Builder::Ignore => continue,
        };
        attributes.push((name, column));
    }
    if labels.is_empty() {
        return Err(TrainerError::Training { problem: "the table has no rows".into() });
    }
    let rows = labels.len();
    Ok(RawData {
        entities: vec![Entity { columns: attributes, rows, reference: None }],
        times: (!times.is_empty()).then_some(times),
        labels,
        groups,
        hashes,
    })
}

/// Log-square bucket of a number, as the models' specification gives it.
fn bucket(value: f64) -> i64 {
    if value > 2.0 { value.ln().powi(2).floor() as i64 } else { value.floor() as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_the_rule() {
        assert_eq!(bucket(-1.5), -2);
        assert_eq!(bucket(2.0), 2);
        assert_eq!(bucket(10.0), 5);
        assert_eq!(bucket(1000.0), 47);
    }
}
