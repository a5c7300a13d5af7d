//! The encoded data set: vocabularies, compact slot tables, splits.
//!
//! Attributes are kept once per entity, not once per rating: a rating holds one index per entity. A *slot* is one
//! embedding lookup; a category or a number has one slot, a sequence has as many as its longest row, mean-pooled by
//! slot weights. All fields share one embedding table; field f owns the rows `offset..offset + size` of it, where the
//! first is padding and the last stands for values that were not seen in training often enough.

use sha2::{Digest, Sha256};

use super::raw::{Column, Entity, MISSING, RawData};
use super::request::SplitRule;
use crate::TrainerError;
use crate::random::mix;

/// Longest sequence kept; longer ones lose their tail.
const SEQUENCE_LIMIT: usize = 32;
/// Share of the rows that trains; the rest is halved into validation and test.
const TRAIN_PER_MILLE: u64 = 800;
/// Upper end of the validation share.
const VALIDATION_PER_MILLE: u64 = 900;

/// One input field of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name given by the source.
    pub name: String,
    /// First row of this field in the shared embedding table (its padding row).
    pub offset: usize,
    /// Number of rows of this field: padding, kept values, unseen.
    pub size: usize,
}

/// Slots of one entity kind, row-major `(rows, slots)`.
#[derive(Debug, Clone)]
pub(crate) struct SlotTable {
    /// Field of each slot.
    pub(crate) fields: Vec<u32>,
    /// Row in the shared embedding table, shape (rows, slots).
    pub(crate) ids: Vec<u32>,
    /// Weight of each slot, same shape; 0 for padding, 1/length for a sequence, the value itself for a number.
    pub(crate) weights: Vec<f32>,
    /// Entity row of each data row, or none where they are the same.
    pub(crate) reference: Option<Vec<u32>>,
}

impl SlotTable {
    /// Field, embedding row and weight of each slot of one data row.
    #[inline]
    pub(crate) fn slots(&self, row: u32) -> impl Iterator<Item = (usize, usize, f32)> + '_ {
        let entity = self.reference.as_ref().map_or(row, |reference| reference[row as usize]) as usize;
        let range = entity * self.fields.len()..(entity + 1) * self.fields.len();
        self.fields
            .iter()
            .zip(&self.ids[range.clone()])
            .zip(&self.weights[range])
            .map(|((&field, &id), &weight)| (field as usize, id as usize, weight))
    }
}

/// Which part of a data set a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Rows that train.
    Train,
    /// Rows that a solver may see the metrics of.
    Validation,
    /// Rows whose metrics are reported and never optimized.
    Test,
}

/// A data set ready for training.
#[derive(Debug, Clone)]
pub struct Dataset {
    pub(crate) fields: Vec<Field>,
    pub(crate) tables: Vec<SlotTable>,
    pub(crate) labels: Vec<u8>,
    pub(crate) groups: Option<Vec<u32>>,
    train: Vec<u32>,
    validation: Vec<u32>,
    test: Vec<u32>,
    vocabulary: usize,
}

/// How raw data become a data set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding {
    pub(crate) split: SplitRule,
    /// Share of the training rows kept, in (0, 1]; a smaller share is a subset of a larger one.
    pub(crate) fraction: f64,
    /// Training occurrences below which a value counts as unseen.
    pub(crate) min_count: u32,
}

impl Dataset {
    /// Builds vocabularies from the training part only and encodes every row.
    pub(crate) fn encode(raw: RawData, encoding: Encoding) -> Result<Self, TrainerError> {
        let Splits { train, validation, test } = split(&raw, encoding)?;
        for (part, rows) in [("training", &train), ("validation", &validation), ("test", &test)] {
            let positives = rows.iter().filter(|&&row| raw.labels[row as usize] == 1).count();
            if positives == 0 || positives == rows.len() {
                return Err(TrainerError::Training {
                    problem: format!(
                        "the {part} part has {} rows of which {positives} are positive; both classes are needed",
                        rows.len()
                    ),
                });
            }
        }
        let mut fields = Vec::new();
        let mut tables = Vec::new();
        let mut vocabulary = 0;
        for entity in raw.entities {
            tables.push(encode_entity(entity, &train, encoding.min_count, &mut fields, &mut vocabulary));
        }
        if fields.is_empty() {
            return Err(TrainerError::Training { problem: "the data have no input field".into() });
        }
        Ok(Self {
            fields,
            tables,
            labels: raw.labels,
            groups: raw.groups,
            train,
            validation,
            test,
            vocabulary,
        })
    }

    /// Input fields in model order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Rows of the shared embedding table.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Row numbers of one part, ascending in time or in file order.
    pub fn rows(&self, part: Part) -> &[u32] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }

    /// Label of one row.
    pub fn label(&self, row: u32) -> u8 {
        self.labels[row as usize]
    }

    /// Digest of everything that training depends on; a checkpoint belongs to one of them.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for field in &self.fields {
            hasher.update(field.name.as_bytes());
            hasher.update((field.size as u64).to_le_bytes());
        }
        for rows in [&self.train, &self.validation, &self.test] {
            hasher.update((rows.len() as u64).to_le_bytes());
            for &row in rows {
                hasher.update([self.labels[row as usize]]);
                for table in &self.tables {
                    for (_, id, weight) in table.slots(row) {
                        hasher.update((id as u32).to_le_bytes());
                        hasher.update(weight.to_le_bytes());
                    }
                }
            }
        }
        hasher.finalize().into()
    }
}

struct Splits {
    train: Vec<u32>,
    validation: Vec<u32>,
    test: Vec<u32>,
}

fn split(raw: &RawData, encoding: Encoding) -> Result<Splits, TrainerError> {
    let rows = raw.labels.len();
    let mut splits = Splits { train: Vec::new(), validation: Vec::new(), test: Vec::new() };
    match encoding.split {
        SplitRule::Hash => {
            for row in 0..rows as u32 {
                match raw.hashes[row as usize] % 1000 {
                    0..TRAIN_PER_MILLE => splits.train.push(row),
                    TRAIN_PER_MILLE..VALIDATION_PER_MILLE => splits.validation.push(row),
                    _ => splits.test.push(row),
                }
            }
        }
        SplitRule::Time => {
            let times = raw
                .times
                .as_ref()
                .ok_or_else(|| TrainerError::request("data.split", "the data have no time column"))?;
            let mut order: Vec<u32> = (0..rows as u32).collect();
            order.sort_unstable_by(|&a, &b| {
                let key = |row: u32| (times[row as usize], raw.hashes[row as usize]);
                let ((time_a, hash_a), (time_b, hash_b)) = (key(a), key(b));
                time_a.total_cmp(&time_b).then(hash_a.cmp(&hash_b)).then(a.cmp(&b))
            });
            let first = rows * TRAIN_PER_MILLE as usize / 1000;
            let second = rows * VALIDATION_PER_MILLE as usize / 1000;
            splits.test = order.split_off(second);
            splits.validation = order.split_off(first);
            splits.train = order;
        }
    }
    if encoding.fraction < 1.0 {
        // Another mix of the same hash: independent of the split, and nested for growing fractions.
        let keep = |row: u32| {
            (mix(raw.hashes[row as usize]) >> 11) as f64 / ((1_u64 << 53) as f64) < encoding.fraction
        };
        splits.train.retain(|&row| keep(row));
    }
    Ok(splits)
}

/// One column with its vocabulary, ready to fill slots.
struct Encoded {
    column: Column,
    /// Row in the shared table of each code.
    map: Vec<u32>,
    offset: u32,
    size: usize,
    slots: usize,
    mean: f64,
    deviation: f64,
}

fn encode_entity(
    entity: Entity,
    train: &[u32],
    min_count: u32,
    fields: &mut Vec<Field>,
    vocabulary: &mut usize,
) -> SlotTable {
    let mut usage = vec![0_u32; entity.rows];
    for &row in train {
        usage[entity.reference.as_ref().map_or(row, |reference| reference[row as usize]) as usize] += 1;
    }
    let mut columns = Vec::new();
    let mut slot_fields = Vec::new();
    for (name, column) in entity.columns {
        let encoded = encode_column(column, &usage, min_count, *vocabulary as u32);
        slot_fields.extend(std::iter::repeat_n(fields.len() as u32, encoded.slots));
        fields.push(Field { name, offset: *vocabulary, size: encoded.size });
        *vocabulary += encoded.size;
        columns.push(encoded);
    }
    let slots = slot_fields.len();
    let mut ids = Vec::with_capacity(entity.rows * slots);
    let mut weights = Vec::with_capacity(entity.rows * slots);
    for row in 0..entity.rows {
        for encoded in &columns {
            encoded.fill(row, &mut ids, &mut weights);
        }
    }
    SlotTable { fields: slot_fields, ids, weights, reference: entity.reference }
}

fn encode_column(column: Column, usage: &[u32], min_count: u32, offset: u32) -> Encoded {
    let mut counts;
    let (mut slots, mut mean, mut deviation) = (1, 0.0, 1.0);
    match &column {
        Column::Token { codes, distinct } => {
            counts = vec![0_u32; *distinct];
            for (&code, &used) in codes.iter().zip(usage) {
                if code != MISSING {
                    counts[code as usize] += used;
                }
            }
        }
        Column::Sequence { ends, codes, distinct } => {
            counts = vec![0_u32; *distinct];
            slots = 1;
            let mut start = 0;
            for (&end, &used) in ends.iter().zip(usage) {
                slots = slots.max(((end - start) as usize).min(SEQUENCE_LIMIT));
                for &code in &codes[start as usize..end as usize] {
                    counts[code as usize] += used;
                }
                start = end;
            }
        }
        Column::Number(values) => {
            let known = || values.iter().zip(usage).filter(|(value, _)| value.is_finite());
            let total: f64 = known().map(|(_, &used)| f64::from(used)).sum::<f64>().max(1.0);
            mean = known().map(|(&value, &used)| f64::from(value) * f64::from(used)).sum::<f64>() / total;
            let variance = known()
                .map(|(&value, &used)| (f64::from(value) - mean).powi(2) * f64::from(used))
                .sum::<f64>()
                / total;
            deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
            counts = Vec::new();
        }
    }
    // Padding is row 0; kept values follow in order of first appearance; the last row stands for the unseen.
    let kept = counts.iter().filter(|&&count| count >= min_count.max(1)).count() as u32;
    let unseen = offset + kept + 1;
    let mut next = offset + 1;
    let map: Vec<u32> = counts
        .iter()
        .map(|&count| {
            if count < min_count.max(1) {
                return unseen;
            }
            next += 1;
            next - 1
        })
        .collect();
    Encoded { column, map, offset, size: kept as usize + 2, slots, mean, deviation }
}

impl Encoded {
    fn fill(&self, row: usize, ids: &mut Vec<u32>, weights: &mut Vec<f32>) {
        let mut push = |id: u32, weight: f32| {
            ids.push(id);
            weights.push(weight);
        };
        match &self.column {
            Column::Token { codes, .. } => match codes[row] {
                MISSING => push(self.offset, 0.0),
                code => push(self.map[code as usize], 1.0),
            },
            Column::Sequence { ends, codes, .. } => {
                let start = if row == 0 { 0 } else { ends[row - 1] as usize };
                let kept = &codes[start..ends[row] as usize];
                let kept = &kept[..kept.len().min(self.slots)];
                for &code in kept {
                    push(self.map[code as usize], 1.0 / kept.len() as f32);
                }
                for _ in kept.len()..self.slots {
                    push(self.offset, 0.0);
                }
            }
            Column::Number(values) => {
                let value = values[row];
                if value.is_finite() {
                    push(self.offset + 1, ((f64::from(value) - self.mean) / self.deviation) as f32);
                } else {
                    push(self.offset, 0.0);
                }
            }
        }
    }
}
