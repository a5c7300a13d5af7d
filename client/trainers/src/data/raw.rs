//! Data as read from a source: entities with attribute columns, and rows that refer to them.

use std::collections::HashMap;

/// Code of an absent value in a token column.
pub(crate) const MISSING: u32 = u32::MAX;

/// Distinct texts in order of first appearance.
#[derive(Debug, Default, Clone)]
pub(crate) struct Dictionary {
    codes: HashMap<String, u32>,
}

impl Dictionary {
    /// Code of `text`, a new one where it was not seen before.
    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        if let Some(&code) = self.codes.get(text) {
            return code;
        }
        let code = self.codes.len() as u32;
        self.codes.insert(text.to_owned(), code);
        code
    }

    /// Code of `text` where it is known.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.codes.get(text).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }
}

/// One attribute of an entity, one entry per entity row.
#[derive(Debug, Clone)]
pub(crate) enum Column {
    /// One category per row; [`MISSING`] where there is none.
    Token {
        /// Codes in 0..`distinct`, or [`MISSING`].
        codes: Vec<u32>,
        /// Number of distinct codes.
        distinct: usize,
    },
    /// Any number of categories per row.
    Sequence {
        /// Row r owns `codes[ends[r - 1]..ends[r]]`.
        ends: Vec<u32>,
        /// Codes of all rows, one after another.
        codes: Vec<u32>,
        /// Number of distinct codes.
        distinct: usize,
    },
    /// One finite number per row; NaN where there is none.
    Number(Vec<f32>),
}

/// Collects a token column from texts; an empty text is a missing value.
#[derive(Debug, Default)]
pub(crate) struct TokenBuilder {
    dictionary: Dictionary,
    codes: Vec<u32>,
}

impl TokenBuilder {
    pub(crate) fn push(&mut self, text: &str) {
        let code = if text.is_empty() { MISSING } else { self.dictionary.intern(text) };
        self.codes.push(code);
    }

    pub(crate) fn finish(self) -> Column {
        Column::Token { codes: self.codes, distinct: self.dictionary.len() }
    }
}

/// Collects a sequence column from texts.
#[derive(Debug, Default)]
pub(crate) struct SequenceBuilder {
    dictionary: Dictionary,
    codes: Vec<u32>,
    ends: Vec<u32>,
}

impl SequenceBuilder {
    pub(crate) fn push<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        for text in texts.filter(|text| !text.is_empty()) {
            let code = self.dictionary.intern(text);
            self.codes.push(code);
        }
        self.ends.push(self.codes.len() as u32);
    }

    pub(crate) fn finish(self) -> Column {
        Column::Sequence { ends: self.ends, codes: self.codes, distinct: self.dictionary.len() }
    }
}

/// Things that rows refer to (users, items, or the rows themselves) with their attributes.
#[derive(Debug, Clone)]
pub(crate) struct Entity {
    /// Attribute names and columns, each with `rows` entries.
    pub(crate) columns: Vec<(String, Column)>,
    /// Number of entity rows.
    pub(crate) rows: usize,
    /// Entity row of each data row, or none where data row r is entity row r.
    pub(crate) reference: Option<Vec<u32>>,
}

/// Everything read from a source, before vocabularies and splits.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawData {
    /// Entities whose attributes together describe one data row.
    pub(crate) entities: Vec<Entity>,
    /// Label of each data row, 0 or 1.
    pub(crate) labels: Vec<u8>,
    /// Time of each data row in the source's unit, where it has one.
    pub(crate) times: Option<Vec<f64>>,
    /// Group (user) of each data row for grouped metrics, where there is one.
    pub(crate) groups: Option<Vec<u32>>,
    /// Hash of each data row's content; decides its split, whatever the order of the file.
    pub(crate) hashes: Vec<u64>,
}
