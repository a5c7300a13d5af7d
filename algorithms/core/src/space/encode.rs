//! Points and rows: canonical form, encode, decode, snap.

use super::{Column, INACTIVE, Parameter, Point, SearchSpace, Slot, SpaceError, Value};

fn refuse(parameter: &str, reason: impl Into<String>) -> SpaceError {
    SpaceError::Value { parameter: parameter.to_owned(), reason: reason.into() }
}

impl SearchSpace {
    /// Checks a point given by a user and returns its canonical form: right types (2 for 2.0), on grid, constants filled
    /// in, floats rounded to their canonical decimals.
    ///
    /// Refused are unknown parameters, a missing value of an active parameter, a value of an inactive parameter (a `null`
    /// in JSON counts as absent), a constant with another value, and a broken forbidden clause or relation.
    pub fn canonical(&self, point: &Point) -> Result<Point, SpaceError> {
        let row = self.encode(point)?;
        if let Some(rule) = self.rules.broken(&self.columns, &row) {
            return Err(SpaceError::Rule { rule: rule.to_owned() });
        }
        Ok(self.point_of(&row))
    }

    /// Row of a point in the unit cube. The point is checked as by [`SearchSpace::canonical`], rules apart.
    pub fn encode(&self, point: &Point) -> Result<Vec<f64>, SpaceError> {
        if let Some(name) = point.0.keys().find(|name| !self.index.contains_key(*name)) {
            return Err(refuse(name, "the space has no such parameter"));
        }
        let mut row = vec![INACTIVE; self.columns.len()];
        // Parents first, so that each condition sees the final numbers of its parents.
        for &column in &self.column_order {
            let name = &self.dimensions[column].name;
            let Column { codec, condition, .. } = &self.columns[column];
            match (condition.holds(&row), point.get(name)) {
                (true, Some(value)) => {
                    row[column] = codec.encode(value).map_err(|reason| refuse(name, reason))?;
                }
                (true, None) => return Err(refuse(name, "is active and has no value")),
                (false, Some(_)) => return Err(refuse(name, "is not active here and must have no value")),
                (false, None) => {}
            }
        }
        for Parameter { name, slot, condition } in &self.parameters {
            let given = point.get(name);
            match slot {
                Slot::Dimension(_) => {}
                Slot::Constant(value) if condition.holds(&row) => {
                    if given.is_some_and(|given| !given.same(value)) {
                        return Err(refuse(name, format!("is always `{value}`")));
                    }
                }
                Slot::Constant(_) | Slot::Never => {
                    if given.is_some() {
                        return Err(refuse(name, "is not active here and must have no value"));
                    }
                }
            }
        }
        Ok(row)
    }

    /// Canonical unit number of one value of a parameter that has a dimension, whether or not conditions make it active.
    pub fn encode_value(&self, name: &str, value: &Value) -> Result<f64, SpaceError> {
        let column = self.dimensions.iter().position(|dimension| dimension.name == name);
        let column = column.ok_or_else(|| refuse(name, "the space has no such parameter that can vary"))?;
        self.columns[column].codec.encode(value).map_err(|reason| refuse(name, reason))
    }

    /// Canonical unit number of a level of a dimension that has levels, the last one for a higher level; [`INACTIVE`] for a
    /// continuous or unknown dimension.
    pub fn unit_of_level(&self, dimension: usize, level: u64) -> f64 {
        self.columns.get(dimension).map_or(INACTIVE, |column| column.codec.unit_of_level(level))
    }

    /// Point of a row: every number is clamped and moved to its nearest level, conditions decide what is active.
    /// The point may break a forbidden clause or relation; [`SearchSpace::is_valid`] tells. Missing numbers count as
    /// [`INACTIVE`].
    pub fn decode(&self, row: &[f64]) -> Point {
        let mut row = row.to_vec();
        row.resize(self.columns.len(), INACTIVE);
        self.settle(&mut row);
        self.point_of(&row)
    }

    /// Brings a row to its canonical form (levels, [`INACTIVE`] marks; a dimension that becomes active and is
    /// [`INACTIVE`] takes its default) and tells whether forbidden clauses and relations hold.
    ///
    /// # Panics
    /// Where the row is shorter than the number of dimensions.
    pub fn snap(&self, row: &mut [f64]) -> bool {
        self.settle(row);
        self.rules.hold(&self.columns, row)
    }

    /// Whether a canonical point satisfies the forbidden clauses and relations.
    pub fn is_valid(&self, point: &Point) -> bool {
        self.encode(point).is_ok_and(|row| self.rules.hold(&self.columns, &row))
    }

    /// The default point, where it is valid.
    pub fn default_point(&self) -> Option<Point> {
        let mut row = vec![INACTIVE; self.columns.len()];
        self.snap(&mut row).then(|| self.point_of(&row))
    }

    /// Levels and activity, without the rules.
    pub(super) fn settle(&self, row: &mut [f64]) {
        for &column in &self.column_order {
            let Column { codec, default, condition } = &self.columns[column];
            row[column] = if !condition.holds(row) {
                INACTIVE
            } else if row[column].is_nan() {
                *default
            } else {
                codec.snap(row[column])
            };
        }
    }

    /// Point of a canonical row.
    fn point_of(&self, row: &[f64]) -> Point {
        let active = self.parameters.iter().filter_map(|parameter| {
            let value: Value = match &parameter.slot {
                Slot::Dimension(column) if !row[*column].is_nan() => {
                    self.columns[*column].codec.decode(row[*column])
                }
                Slot::Constant(value) if parameter.condition.holds(row) => value.clone(),
                Slot::Dimension(_) | Slot::Constant(_) | Slot::Never => return None,
            };
            Some((parameter.name.clone(), value))
        });
        Point(active.collect())
    }
}
