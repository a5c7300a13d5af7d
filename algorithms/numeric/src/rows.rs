//! A dense row-major table of floats.

use crate::NumericError;

/// Dense row-major `(n, d)` matrix of `f64`: one encoded point per row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    width: usize,
    height: usize,
    values: Vec<f64>,
}

impl Rows {
    /// An empty table whose rows have `width` values.
    pub fn new(width: usize) -> Self {
        Self { width, height: 0, values: Vec::new() }
    }

    /// A table of the given rows, which must all have `width` values.
    pub fn from_rows<R: AsRef<[f64]>>(width: usize, rows: &[R]) -> Result<Self, NumericError> {
        let mut table = Self::new(width);
        table.values.reserve(width * rows.len());
        for row in rows {
            table.push_row(row.as_ref())?;
        }
        Ok(table)
    }

    /// Appends a row; its length must be the table's width.
    pub fn push_row(&mut self, row: &[f64]) -> Result<(), NumericError> {
        check_length("row", self.width, row.len())?;
        self.values.extend_from_slice(row);
        self.height += 1;
        Ok(())
    }

    /// Appends all rows of another table of the same width.
    pub fn push_rows(&mut self, other: &Rows) -> Result<(), NumericError> {
        check_length("row", self.width, other.width)?;
        self.values.extend_from_slice(&other.values);
        self.height += other.height;
        Ok(())
    }

    /// Row `index`. Panics when there is no such row, as slices do.
    pub fn row(&self, index: usize) -> &[f64] {
        assert!(index < self.height, "row {index} of {}", self.height);
        &self.values[index * self.width..(index + 1) * self.width]
    }

    /// The rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        (0..self.height).map(|index| self.row(index))
    }

    /// Number of rows, n.
    pub fn len(&self) -> usize {
        self.height
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.height == 0
    }

    /// Number of columns, d.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A new table of the chosen rows, in the chosen order.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut values = Vec::with_capacity(indices.len() * self.width);
        for &index in indices {
            values.extend_from_slice(self.row(index));
        }
        Self { width: self.width, height: indices.len(), values }
    }

    /// A new table of rows `start..end`.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let values = self.values[start * self.width..end * self.width].to_vec();
        Self { width: self.width, height: end - start, values }
    }
}

/// Refuses a length that differs from the expected one.
pub(crate) fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), NumericError> {
    if expected == found { Ok(()) } else { Err(NumericError::Shape { what, expected, found }) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_order_and_refuse_other_widths() {
        let mut table = Rows::from_rows(2, &[[1.0, 2.0], [3.0, 4.0]]).unwrap();
        assert_eq!(table.push_row(&[1.0]), Err(NumericError::Shape { what: "row", expected: 2, found: 1 }));
        table.push_row(&[5.0, 6.0]).unwrap();
        assert_eq!(table.row(2), [5.0, 6.0]);
        assert_eq!(table.select(&[2, 0]).row(0), [5.0, 6.0]);
        assert_eq!(table.slice(1, 2).row(0), [3.0, 4.0]);
        assert_eq!((table.len(), table.width()), (3, 2));
    }

    #[test]
    fn rows_of_width_zero_still_count() {
        let mut table = Rows::new(0);
        table.push_row(&[]).unwrap();
        assert_eq!(table.len(), 1);
        assert!(table.row(0).is_empty());
    }
}
