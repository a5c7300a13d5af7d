//! What the columns of an encoded row mean.

use crate::SurrogateError;
use boxwood_numeric::Rows;

/// How a column of an encoded row is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number in `[0, 1]`.
    Numeric,
    /// A whole number; its values sit at `levels` distinct places of `[0, 1]`.
    Integer {
        /// Number of distinct values.
        levels: usize,
    },
    /// A rank; value `i` of `levels` sits at `(i + 0.5) / levels`.
    Ordinal {
        /// Number of ranks.
        levels: usize,
    },
    /// A choice without order; choice `i` of `choices` sits at `(i + 0.5) / choices`.
    Categorical {
        /// Number of choices.
        choices: usize,
    },
}

/// One column of an encoded row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimension {
    /// How values are compared.
    pub kind: Kind,
    /// Whether the column can be inactive, which is written `f64::NAN`.
    pub conditional: bool,
}

impl Dimension {
    /// A number that is always active.
    pub fn numeric() -> Self {
        Self { kind: Kind::Numeric, conditional: false }
    }

    /// A choice that is always active.
    pub fn categorical(choices: usize) -> Self {
        Self { kind: Kind::Categorical { choices }, conditional: false }
    }

    /// The same column, but it can be inactive.
    #[must_use]
    pub fn conditional(self) -> Self {
        Self { conditional: true, ..self }
    }

    /// Whether the column is compared by equality only.
    pub fn is_categorical(&self) -> bool {
        matches!(self.kind, Kind::Categorical { .. })
    }

    /// Whether any value of `[0, 1]` is valid.
    pub fn is_numeric(&self) -> bool {
        self.kind == Kind::Numeric
    }
}

/// The columns of an encoded row, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// One entry per column.
    pub dimensions: Vec<Dimension>,
}

impl Layout {
    /// A layout of the given columns.
    pub fn new(dimensions: Vec<Dimension>) -> Self {
        Self { dimensions }
    }

    /// A layout of `width` numbers that are always active.
    pub fn numeric(width: usize) -> Self {
        Self { dimensions: vec![Dimension::numeric(); width] }
    }

    /// Number of columns, d.
    pub fn len(&self) -> usize {
        self.dimensions.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.dimensions.is_empty()
    }

    /// Checks that rows fit: width, finite values, `NAN` only where a column is conditional.
    pub fn check(&self, rows: &Rows) -> Result<(), SurrogateError> {
        if rows.width() != self.len() {
            return Err(SurrogateError::Shape { what: "columns", expected: self.len(), found: rows.width() });
        }
        for (index, row) in rows.iter().enumerate() {
            self.check_row(index, row)?;
        }
        Ok(())
    }

    /// Checks one row as [`Layout::check`] does.
    pub fn check_row(&self, index: usize, row: &[f64]) -> Result<(), SurrogateError> {
        if row.len() != self.len() {
            return Err(SurrogateError::Shape { what: "columns", expected: self.len(), found: row.len() });
        }
        for (position, (value, dimension)) in row.iter().zip(&self.dimensions).enumerate() {
            if !(value.is_finite() || (value.is_nan() && dimension.conditional)) {
                return Err(SurrogateError::InvalidValue { row: index, dimension: position });
            }
        }
        Ok(())
    }

    /// The choice or rank of a value among `count` bins of `[0, 1]`.
    pub(crate) fn bin(value: f64, count: usize) -> usize {
        ((value * count as f64) as usize).min(count.saturating_sub(1))
    }
}

/// Checks that observations can be learned from: at least one, finite targets, rows that fit.
pub(crate) fn check_observations(
    layout: &Layout,
    rows: &Rows,
    targets: &[f64],
) -> Result<(), SurrogateError> {
    if rows.is_empty() {
        return Err(SurrogateError::Empty);
    }
    if rows.len() != targets.len() {
        return Err(SurrogateError::Shape { what: "targets", expected: rows.len(), found: targets.len() });
    }
    if let Some(row) = targets.iter().position(|target| !target.is_finite()) {
        return Err(SurrogateError::TargetNotFinite { row });
    }
    layout.check(rows)
}
