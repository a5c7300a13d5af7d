//! Conditions and forbidden clauses, compiled to tests of encoded rows.

/// A test of a canonical row. An inactive dimension is NaN and so equals nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// Holds for every row.
    Always,
    /// Holds for no row.
    Never,
    /// The number at `column` is one of `units`.
    OneOf { column: usize, units: Vec<f64> },
    /// All of these hold.
    All(Vec<Condition>),
    /// At least one of these holds.
    Any(Vec<Condition>),
}

impl Condition {
    /// Conjunction, simplified.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::Always => {}
                Self::Never => return Self::Never,
                Self::All(inner) => kept.extend(inner),
                Self::OneOf { .. } | Self::Any(_) => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::Always,
            1 => kept.remove(0),
            _ => Self::All(kept),
        }
    }

    /// Disjunction, simplified.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Self::Never => {}
                Self::Always => return Self::Always,
                Self::Any(inner) => kept.extend(inner),
                Self::OneOf { .. } | Self::All(_) => kept.push(part),
            }
        }
        match kept.len() {
            0 => Self::Never,
            1 => kept.remove(0),
            _ => Self::Any(kept),
        }
    }

    /// Whether the row passes.
    pub(super) fn holds(&self, row: &[f64]) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::OneOf { column, units } => units.contains(&row[*column]),
            Self::All(parts) => parts.iter().all(|part| part.holds(row)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(row)),
        }
    }

    /// Replaces every column by `columns[column]`. Compilation numbers parameters first and dimensions later.
    pub(super) fn renumber(&mut self, columns: &[usize]) {
        match self {
            Self::Always | Self::Never => {}
            Self::OneOf { column, .. } => *column = columns[*column],
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.renumber(columns);
                }
            }
        }
    }

    /// Calls `visit` for every test of a column.
    pub(super) fn visit_tests<'a>(&'a self, visit: &mut impl FnMut(usize, &'a [f64])) {
        match self {
            Self::Always | Self::Never => {}
            Self::OneOf { column, units } => visit(*column, units),
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.visit_tests(visit);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_simplify_and_inactive_parents_fail() {
        let test = Condition::OneOf { column: 0, units: vec![0.25, 0.75] };
        assert_eq!(Condition::all([Condition::Always, test.clone()]), test);
        assert_eq!(Condition::all([Condition::Never, test.clone()]), Condition::Never);
        assert_eq!(Condition::any([Condition::Never, test.clone()]), test);
        assert_eq!(Condition::any([Condition::Always, test.clone()]), Condition::Always);
        assert_eq!(Condition::all([]), Condition::Always);
        assert_eq!(Condition::any([]), Condition::Never);
        assert!(test.holds(&[0.75]) && !test.holds(&[0.5]) && !test.holds(&[f64::NAN]));
    }
}
