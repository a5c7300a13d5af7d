//! A space derived from columns, answered by the nearest row.

use boxwood_core::{Point, Value};
use serde_json::{Value as Json, json};

use super::name_of;

/// Different numbers up to which a column is an ordinal: a switch or a list of sizes, not a range.
const FEW_LEVELS: usize = 12;
/// Ratio of the largest to the smallest value from which on a positive column is searched on a log scale.
const LOG_RATIO: f64 = 100.0;

#[derive(Debug, Clone, PartialEq)]
enum Column {
    /// Numbers: bounds, whether the scale is logarithmic, and the levels in ascending order where there are few.
    Number { name: String, low: f64, high: f64, log: bool, levels: Vec<f64> },
    /// Texts, each once.
    Choice { name: String, choices: Vec<String> },
}

/// Recorded rows with one score each.
///
/// A column of at most 12 different numbers becomes an ordinal, one of more a float (on a log scale where they are positive
/// and span two orders of magnitude), every other one a categorical; columns with one value are dropped. The distance of a point to a row is the sum
/// over the columns of the squared difference in the unit range, or of 1 where a choice differs.
#[derive(Debug, Clone, PartialEq)]
pub struct NearestTable {
    columns: Vec<Column>,
    /// Unit values, or the index of the choice.
    rows: Vec<Vec<f64>>,
    scores: Vec<f64>,
}

impl NearestTable {
    /// A table of texts; `names` and every row have the same length.
    pub fn new(names: &[String], cells: &[Vec<String>], scores: Vec<f64>) -> Self {
        let mut columns = Vec::new();
        let mut rows = vec![Vec::new(); cells.len()];
        for (index, name) in names.iter().enumerate() {
            let values: Vec<&str> = cells.iter().map(|row| row[index].as_str()).collect();
            let Some(column) = Column::of(name, &values) else { continue };
            rows.iter_mut().zip(&values).for_each(|(row, value)| row.push(column.unit(value)));
            columns.push(column);
        }
        Self { columns, rows, scores }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Declarations of the parameters.
    pub fn parameters(&self) -> Vec<Json> {
        self.columns.iter().map(Column::parameter).collect()
    }

    /// Score of a row.
    pub fn score(&self, row: usize) -> f64 {
        self.scores[row]
    }

    /// All scores.
    pub fn scores(&self) -> impl Iterator<Item = f64> + '_ {
        self.scores.iter().copied()
    }

    /// A row as a point.
    pub fn point(&self, row: usize) -> Point {
        let named = self.columns.iter().zip(&self.rows[row]);
        Point(named.map(|(column, unit)| column.value_at(*unit)).collect())
    }

    /// The row nearest to a point whose parameters carry a prefix; the first of equally near ones.
    pub fn nearest(&self, point: &Point, prefix: &str) -> usize {
        let units: Vec<f64> = self.columns.iter().map(|column| column.unit_of(point, prefix)).collect();
        let distance = |row: &Vec<f64>| -> f64 {
            let terms = row.iter().zip(&units).zip(&self.columns);
            terms
                .map(|((a, b), column)| match column {
                    Column::Number { .. } => (a - b).powi(2),
                    Column::Choice { .. } => f64::from(u8::from(a != b)),
                })
                .sum()
        };
        let distances: Vec<f64> = self.rows.iter().map(distance).collect();
        (0..distances.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b])).unwrap_or(0)
    }
}

impl Column {
    fn of(name: &str, values: &[&str]) -> Option<Self> {
        let name = name_of(name);
        let mut choices: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        choices.sort();
        choices.dedup();
        if choices.len() < 2 {
            return None;
        }
        let numbers: Option<Vec<f64>> =
            values.iter().map(|value| value.parse().ok().filter(|number: &f64| number.is_finite())).collect();
        let Some(numbers) = numbers else { return Some(Self::Choice { name, choices }) };
        let mut levels = numbers;
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        let (low, high) = (*levels.first()?, *levels.last()?);
        let log = low > 0.0 && high / low >= LOG_RATIO;
        if levels.len() > FEW_LEVELS {
            levels.clear();
        }
        (low < high).then_some(Self::Number { name, low, high, log, levels })
    }

    fn parameter(&self) -> Json {
        match self {
            Self::Number { name, levels, .. } if !levels.is_empty() => {
                json!({"name": name, "type": "ordinal", "choices": levels})
            }
            Self::Number { name, low, high, log, .. } => {
                let scale = if *log { "log" } else { "linear" };
                json!({"name": name, "type": "float", "low": low, "high": high, "scale": scale})
            }
            Self::Choice { name, choices } => {
                json!({"name": name, "type": "categorical", "choices": choices})
            }
        }
    }

    fn unit_number(low: f64, high: f64, log: bool, value: f64) -> f64 {
        if log { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) }
    }

    /// Name and native value of what [`Column::unit`] gave; the inverse of it up to rounding, within the bounds.
    fn value_at(&self, unit: f64) -> (String, Value) {
        match self {
            Self::Number { name, low, high, log, levels } => {
                let native = if *log { low * (high / low).powf(unit) } else { low + unit * (high - low) };
                let nearest =
                    levels.iter().min_by(|a, b| (*a - native).abs().total_cmp(&(*b - native).abs()));
                (name.clone(), Value::Float(nearest.copied().unwrap_or(native.clamp(*low, *high))))
            }
            Self::Choice { name, choices } => {
                let choice = choices.get(unit as usize).cloned().unwrap_or_default();
                (name.clone(), Value::Text(choice))
            }
        }
    }

    /// A recorded value as it is compared.
    fn unit(&self, text: &str) -> f64 {
        match self {
            Self::Number { low, high, log, .. } => {
                let value = text.parse().expect("a column of numbers was parsed when it was made");
                Self::unit_number(*low, *high, *log, value)
            }
            Self::Choice { choices, .. } => {
                choices.iter().position(|choice| choice == text).map_or(-1.0, |index| index as f64)
            }
        }
    }

    /// A point's value as it is compared; an inactive parameter lies in the middle, or is no choice.
    fn unit_of(&self, point: &Point, prefix: &str) -> f64 {
        match self {
            Self::Number { name, low, high, log, .. } => {
                let value = point.0.get(&format!("{prefix}{name}")).and_then(Value::as_number);
                value.map_or(0.5, |value| Self::unit_number(*low, *high, *log, value))
            }
            Self::Choice { name, .. } => point
                .0
                .get(&format!("{prefix}{name}"))
                .and_then(Value::as_text)
                .map_or(-1.0, |text| self.unit(text)),
        }
    }
}
