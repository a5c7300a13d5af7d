//! Where each parameter lies in the flat parameter vector, how it starts and which penalty it carries.

use std::ops::Range;

use crate::random::{Purpose, fill_normal, stream};

/// Standard deviation of initial embeddings (models' specification 2.3, from `FuxiCTR`).
const EMBEDDING_DEVIATION: f64 = 1e-4;

/// What a segment is for; decides its start and its penalty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Rows of an embedding table (the first-order weights are a table of width 1). Start N(0, 1e-4).
    Embedding,
    /// Matrix of a dense layer. Start Xavier normal (Glorot and Bengio 2010): variance 2 / (inputs + outputs).
    Weight,
    /// Additive vector. Start 0.
    Bias,
    /// Multiplicative vector of a normalization. Start 1.
    Scale,
}

/// One matrix inside the flat vector, row-major.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) role: Role,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) offset: usize,
}

impl Segment {
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.rows * self.columns
    }
}

/// Handle of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentId(pub(crate) usize);

/// All segments of a model, one after another without gaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    segments: Vec<Segment>,
    total: usize,
}

impl Layout {
    pub(crate) fn push(&mut self, role: Role, rows: usize, columns: usize) -> SegmentId {
        self.segments.push(Segment { role, rows, columns, offset: self.total });
        self.total += rows * columns;
        SegmentId(self.segments.len() - 1)
    }

    pub(crate) fn segment(&self, id: SegmentId) -> &Segment {
        &self.segments[id.0]
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Length of the flat vector.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Initial parameters; segment k draws from its own stream, so that one segment's size does not move another's start.
    pub(crate) fn initialize(&self, seed: u64) -> Vec<f32> {
        let mut values = vec![0.0; self.total];
        for (index, segment) in self.segments.iter().enumerate() {
            let part = &mut values[segment.range()];
            let mut generator = stream(seed, Purpose::Initialize, index as u64);
            match segment.role {
                Role::Embedding => fill_normal(&mut generator, EMBEDDING_DEVIATION, part),
                Role::Weight => {
                    let deviation = (2.0 / (segment.rows + segment.columns) as f64).sqrt();
                    fill_normal(&mut generator, deviation, part);
                }
                Role::Bias => {}
                Role::Scale => part.fill(1.0),
            }
        }
        values
    }
}
