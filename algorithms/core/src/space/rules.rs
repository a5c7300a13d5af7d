//! Forbidden clauses and relations, compiled to tests of encoded rows.

use super::condition::Condition;
use super::expression::{Node, Scalar};
use super::{Column, Value};

/// Where a relation finds a value.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// In a dimension of the row.
    Dimension(usize),
    /// A constant, active under a condition.
    Constant(Value, Condition),
}

/// A compiled relation.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) text: String,
    pub(super) node: Node,
    pub(super) inputs: Vec<Input>,
}

impl Relation {
    /// Whether the relation holds; one that names an inactive parameter does.
    fn holds(&self, columns: &[Column], row: &[f64]) -> bool {
        let active = self.inputs.iter().all(|input| match input {
            Input::Dimension(column) => !row[*column].is_nan(),
            Input::Constant(_, condition) => condition.holds(row),
        });
        !active
            || self.node.holds(&|index| match &self.inputs[index] {
                Input::Dimension(column) => columns[*column].codec.scalar(row[*column]),
                Input::Constant(value, _) => Scalar::from(value),
            })
    }
}

/// All forbidden clauses and relations of a space.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    forbidden: Vec<(String, Condition)>,
    relations: Vec<Relation>,
}

impl Rules {
    /// Adds a clause that valid rows do not meet.
    pub(super) fn forbid(&mut self, text: String, clause: Condition) {
        if clause != Condition::Never {
            self.forbidden.push((text, clause));
        }
    }

    /// Adds a relation that valid rows meet.
    pub(super) fn relate(&mut self, relation: Relation) {
        self.relations.push(relation);
    }

    /// Whether there is nothing to test.
    pub(super) fn is_empty(&self) -> bool {
        self.forbidden.is_empty() && self.relations.is_empty()
    }

    /// Whether a canonical row is valid.
    pub(super) fn hold(&self, columns: &[Column], row: &[f64]) -> bool {
        self.is_empty() || self.broken(columns, row).is_none()
    }

    /// The first rule that a canonical row breaks.
    pub(super) fn broken(&self, columns: &[Column], row: &[f64]) -> Option<&str> {
        let clause =
            self.forbidden.iter().find(|(_, clause)| clause.holds(row)).map(|(text, _)| text.as_str());
        clause.or_else(|| {
            let relation = self.relations.iter().find(|relation| !relation.holds(columns, row));
            relation.map(|relation| relation.text.as_str())
        })
    }

    /// Replaces parameter numbers by dimension numbers.
    pub(super) fn renumber(&mut self, columns: &[usize]) {
        for (_, clause) in &mut self.forbidden {
            clause.renumber(columns);
        }
        for input in self.relations.iter_mut().flat_map(|relation| &mut relation.inputs) {
            match input {
                Input::Dimension(column) => *column = columns[*column],
                Input::Constant(_, condition) => condition.renumber(columns),
            }
        }
    }
}
