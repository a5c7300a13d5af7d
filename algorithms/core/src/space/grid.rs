//! Counting and listing the points of a space.

use std::collections::BTreeMap;

use super::{INACTIVE, SearchSpace};

/// Largest count that is told.
const MAX_COUNT: u64 = 1 << 53;

/// Steps after which counting gives up (a space with very many parents of conditions).
const MAX_STEPS: u64 = 1 << 20;

impl SearchSpace {
    /// Number of distinct points ignoring forbidden clauses and relations; `None` when infinite, above 2^53, or when the
    /// conditions are too tangled to count in bounded time.
    pub fn cardinality(&self) -> Option<u64> {
        let mut total = 1_u64;
        let mut steps = 0;
        for group in self.groups() {
            let mut row = vec![INACTIVE; self.columns.len()];
            let count = self.count(&group, &mut row, &mut steps)?;
            total = total.checked_mul(count).filter(|total| *total <= MAX_COUNT)?;
        }
        Some(total)
    }

    /// Columns that conditions connect, parents first; different groups are independent of each other.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut root: Vec<usize> = (0..self.columns.len()).collect();
        for (child, column) in self.columns.iter().enumerate() {
            column.condition.visit_tests(&mut |parent, _| {
                let (a, b) = (find(&mut root, child), find(&mut root, parent));
                root[a] = b;
            });
        }
        let mut groups = BTreeMap::<usize, Vec<usize>>::new();
        for &column in &self.column_order {
            groups.entry(find(&mut root, column)).or_default().push(column);
        }
        groups.into_values().collect()
    }

    /// Number of ways to fill the columns of a group, given the ones before it in the row.
    fn count(&self, group: &[usize], row: &mut Vec<f64>, steps: &mut u64) -> Option<u64> {
        *steps += 1;
        if *steps > MAX_STEPS {
            return None;
        }
        let Some((&column, rest)) = group.split_first() else { return Some(1) };
        let codec = &self.columns[column].codec;
        if !self.columns[column].condition.holds(row) {
            row[column] = INACTIVE;
            return self.count(rest, row, steps);
        }
        let levels = codec.levels()?;
        // Only values that some condition names are told apart; all others count together.
        let mut named: Vec<f64> = Vec::new();
        for child in rest {
            self.columns[*child].condition.visit_tests(&mut |parent, units| {
                if parent == column {
                    named.extend(units);
                }
            });
        }
        named.sort_by(f64::total_cmp);
        named.dedup();
        let mut total = 0_u64;
        for unit in &named {
            row[column] = *unit;
            total = total.checked_add(self.count(rest, row, steps)?)?;
        }
        let others = levels - named.len() as u64;
        if others > 0 {
            // A number that no condition names: NaN equals nothing, and columns never test their own activity by it.
            row[column] = INACTIVE;
            total = total.checked_add(self.count(rest, row, steps)?.checked_mul(others)?)?;
        }
        (total <= MAX_COUNT).then_some(total)
    }

    /// Every valid canonical row of a grid with `resolution` values per continuous dimension (the middle for 1, both
    /// bounds from 2 on), as an iterator in a fixed order; duplicates that conditions create are left out.
    pub fn grid(&self, resolution: u64) -> Box<dyn Iterator<Item = Vec<f64>> + '_> {
        let mut grid = Grid {
            space: self,
            resolution: resolution.max(1),
            counters: vec![0; self.columns.len()],
            row: vec![INACTIVE; self.columns.len()],
            done: false,
        };
        grid.restart_from(0);
        Box::new(grid.filter(|row| self.rules.hold(&self.columns, row)))
    }
}

/// Root of a column in a forest of parents, halving paths on the way.
fn find(root: &mut [usize], mut at: usize) -> usize {
    while root[at] != at {
        root[at] = root[root[at]];
        at = root[at];
    }
    at
}

/// An odometer over the columns, parents first; inactive columns have a single position.
struct Grid<'a> {
    space: &'a SearchSpace,
    resolution: u64,
    counters: Vec<u64>,
    row: Vec<f64>,
    done: bool,
}

impl Grid<'_> {
    fn size(&self, column: usize) -> u64 {
        self.space.columns[column].codec.levels().unwrap_or(self.resolution)
    }

    fn unit(&self, column: usize, position: u64) -> f64 {
        let codec = &self.space.columns[column].codec;
        match (codec.levels(), self.resolution) {
            (Some(_), _) => codec.unit_of_level(position),
            (None, 1) => codec.snap(0.5),
            (None, resolution) => codec.snap(position as f64 / (resolution - 1) as f64),
        }
    }

    /// Puts every column from place `place` of the order on to its first position.
    fn restart_from(&mut self, place: usize) {
        for &column in &self.space.column_order[place..] {
            self.counters[column] = 0;
            let active = self.space.columns[column].condition.holds(&self.row);
            self.row[column] = if active { self.unit(column, 0) } else { INACTIVE };
        }
    }

    /// Moves a column to its next distinct value, if there is one.
    fn advance(&mut self, column: usize) -> bool {
        while !self.row[column].is_nan() && self.counters[column] + 1 < self.size(column) {
            self.counters[column] += 1;
            let unit = self.unit(column, self.counters[column]);
            // A range narrower than its resolution repeats values.
            if unit != self.row[column] {
                self.row[column] = unit;
                return true;
            }
        }
        false
    }
}

impl Iterator for Grid<'_> {
    type Item = Vec<f64>;

    fn next(&mut self) -> Option<Vec<f64>> {
        if self.done {
            return None;
        }
        let current = self.row.clone();
        let order = &self.space.column_order;
        match (0..order.len()).rev().find(|place| self.advance(order[*place])) {
            Some(place) => self.restart_from(place + 1),
            None => self.done = true,
        }
        Some(current)
    }
}
