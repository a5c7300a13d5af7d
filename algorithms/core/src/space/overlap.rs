//! Points of another space, as far as they say something about this one.

use super::{Column, INACTIVE, Parameter, Point, SearchSpace, Slot};

impl SearchSpace {
    /// Row of a point of another space, read by the names of parameters.
    ///
    /// Parameters that this space lacks are left out, and so are those that are inactive here. An active parameter that
    /// the point lacks takes this space's default. None when a value does not fit its parameter here, when a constant has
    /// another value, when a rule is broken, or when no dimension takes its value from the point.
    pub fn encode_overlap(&self, point: &Point) -> Option<Vec<f64>> {
        let mut row = vec![INACTIVE; self.columns.len()];
        let mut shared = 0_usize;
        // Parents first, so that each condition sees the final numbers of its parents.
        for &column in &self.column_order {
            let Column { codec, default, condition } = &self.columns[column];
            if !condition.holds(&row) {
                continue;
            }
            row[column] = match point.get(&self.dimensions[column].name) {
                Some(value) => {
                    shared += 1;
                    codec.encode(value).ok()?
                }
                None => *default,
            };
        }
        let contradicts = |Parameter { name, slot, condition }: &Parameter| match slot {
            Slot::Constant(value) if condition.holds(&row) => {
                point.get(name).is_some_and(|given| !given.same(value))
            }
            Slot::Dimension(_) | Slot::Constant(_) | Slot::Never => false,
        };
        let fits = shared > 0 && !self.parameters.iter().any(contradicts);
        (fits && self.rules.hold(&self.columns, &row)).then_some(row)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::space::{Point, SpaceSpec, Value};

    fn space() -> crate::SearchSpace {
        let spec = SpaceSpec::from_json(
            r#"{"parameters": [
                {"name": "x", "type": "float", "low": 0, "high": 10},
                {"name": "n", "type": "integer", "low": 1, "high": 8, "default": 8},
                {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
                {"name": "b_only", "type": "float", "low": 0, "high": 1,
                 "when": {"parameter": "kind", "equals": "b"}},
                {"name": "data", "type": "constant", "value": "train"}],
             "relations": ["x <= n + 2"]}"#,
        );
        spec.unwrap().check().unwrap()
    }

    fn point(pairs: &[(&str, Value)]) -> Point {
        Point(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    #[test]
    fn what_is_missing_takes_the_default_and_what_is_foreign_is_left_out() {
        let space = space();
        let foreign = point(&[("x", 5.0.into()), ("elsewhere", 3.into())]);
        let row = space.encode_overlap(&foreign).unwrap();
        let decoded = space.decode(&row);
        assert_eq!(decoded.get("x"), Some(&Value::Float(5.0)));
        assert_eq!(decoded.get("n"), Some(&Value::Integer(8)));
        assert_eq!(decoded.get("kind"), space.default_point().unwrap().get("kind"));
        // A value of a parameter that is inactive here does not count against the point.
        let inactive = point(&[("kind", "a".into()), ("b_only", 7.0.into())]);
        assert!(space.encode_overlap(&inactive).unwrap()[3].is_nan());
    }

    #[test]
    fn a_canonical_point_keeps_its_row() {
        let space = space();
        let own = space.default_point().unwrap();
        let (row, encoded) = (space.encode_overlap(&own).unwrap(), space.encode(&own).unwrap());
        assert_eq!(row.len(), encoded.len());
        for (a, b) in row.iter().zip(&encoded) {
            assert!(a == b || (a.is_nan() && b.is_nan()));
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let space = space();
        for foreign in [
            point(&[("x", 11.0.into())]),
            point(&[("x", 1.0.into()), ("n", 2.5.into())]),
            point(&[("kind", "c".into())]),
            point(&[("x", 1.0.into()), ("data", "test".into())]),
            point(&[("x", 9.0.into()), ("n", 1.into())]),
            point(&[("elsewhere", 1.into())]),
            point(&[("data", "train".into())]),
        ] {
            assert_eq!(space.encode_overlap(&foreign), None, "{foreign:?}");
        }
    }
}
