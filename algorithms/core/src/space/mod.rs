//! Search spaces: declared ([`SpaceSpec`]), checked ([`SearchSpace`]), and their points.
//!
//! Notation: `p` parameters, `d` encoded dimensions (one per parameter that is not constant, in order of declaration).
//! An encoded row is a `Vec<f64>` of length `d` in the unit cube. A parameter with `k` levels (integer, stepped float,
//! ordinal, categorical, boolean) sits at the centre of one of its bins, an integer on a log scale at the place of its
//! logarithm; an inactive parameter is [`INACTIVE`] (NaN). The table of all encodings is in `docs/notation.md`.

mod check;
mod condition;
mod domain;
mod encode;
mod error;
mod expression;
mod grid;
mod hash;
mod neighbours;
mod overlap;
mod read;
mod rules;
mod sample;
mod spec;
mod value;

pub use error::SpaceError;
pub use spec::{ArmsSpec, ConditionSpec, Domain, OneOrMany, ParameterSpec, Scale, SpaceSpec};
pub use value::{Point, Value};

use std::collections::HashMap;
use std::sync::Arc;

use condition::Condition;
use domain::Codec;
use rules::Rules;

/// Marks an inactive dimension of an encoded row.
pub const INACTIVE: f64 = f64::NAN;

/// What kind of numbers an encoded dimension holds; see the module documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DimensionKind {
    /// Any number in `[0, 1]`.
    Continuous,
    /// One of `levels` rising numbers (integers, stepped floats, ordinals, booleans are categorical).
    Discrete {
        /// Number of levels, at least 1.
        levels: u64,
    },
    /// One of `choices` bin centres, compared for equality only (categoricals, booleans, the arm of a CASH space).
    Categorical {
        /// Number of choices, at least 1.
        choices: u64,
    },
}

/// One encoded dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    /// Full name of the parameter.
    pub name: String,
    /// Kind of its numbers.
    pub kind: DimensionKind,
    /// Whether it can be inactive.
    pub conditional: bool,
}

/// How one dimension is read and when it is active.
#[derive(Debug, Clone)]
struct Column {
    codec: Codec,
    /// Canonical unit number of the default.
    default: f64,
    condition: Condition,
}

/// Where the value of a parameter comes from.
#[derive(Debug, Clone)]
enum Slot {
    /// A dimension of the row.
    Dimension(usize),
    /// The declaration.
    Constant(Value),
    /// Nowhere: constants switch the parameter off for good.
    Never,
}

/// A parameter by its full name.
#[derive(Debug, Clone)]
struct Parameter {
    name: String,
    slot: Slot,
    condition: Condition,
}

/// A checked search space: the only form that samples, encodes and decodes.
///
/// A dimension stands for each parameter that is not constant and can be active at all.
#[derive(Debug, Clone)]
pub struct SearchSpace {
    spec: Arc<SpaceSpec>,
    /// The arm of a subspace.
    only_arm: Option<String>,
    arms: Vec<String>,
    dimensions: Vec<Dimension>,
    /// By dimension.
    columns: Vec<Column>,
    /// In order of declaration, constants included.
    parameters: Vec<Parameter>,
    /// Place in `parameters` by full name.
    index: HashMap<String, usize>,
    /// Dimensions, parents of conditions first.
    column_order: Vec<usize>,
    rules: Rules,
    hash: String,
}

impl SearchSpace {
    /// The declaration that this space was made of; for a subspace, the one of the whole space.
    pub fn spec(&self) -> &SpaceSpec {
        &self.spec
    }

    /// The encoded dimensions, in order.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// Whether forbidden clauses or relations are declared, so that a row can be invalid.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Names of the arms of a CASH space in order; empty for a plain one and for a subspace.
    pub fn arms(&self) -> &[String] {
        &self.arms
    }

    /// Name of the parameter that holds the arm; `None` for a plain space and for a subspace.
    pub fn arm_parameter(&self) -> Option<&str> {
        match (&self.spec.arms, &self.only_arm) {
            (Some(arms), None) => Some(&arms.parameter),
            _ => None,
        }
    }

    /// Arm of a canonical point.
    pub fn arm_of(&self, point: &Point) -> Option<&str> {
        let value = point.get(self.arm_parameter()?)?.as_text()?;
        self.arms.iter().find(|arm| *arm == value).map(String::as_str)
    }

    /// The subspace of one arm: its parameters keep their full names, the arm parameter is a constant, so that its points
    /// are points of this space as they stand.
    ///
    /// Shared parameters stay, unless their condition can never hold for this arm. A subspace is a plain space: it has no
    /// arms.
    pub fn subspace(&self, arm: &str) -> Result<SearchSpace, SpaceError> {
        if !self.arms.iter().any(|known| known == arm) {
            let reason = format!("the space has no arm `{arm}`");
            return Err(SpaceError::Field { field: "arms.choices".into(), reason });
        }
        check::compile(&self.spec, Some(arm))
    }
}
