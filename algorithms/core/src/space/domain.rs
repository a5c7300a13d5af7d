//! One parameter's domain: native value to unit interval and back, exactly.
//!
//! A canonical float is a short decimal: it carries at least 12 significant digits of its range (linear) or of itself
//! (log), and the bounds as declared. The rounding is coarser than all errors of the two maps, so that
//! `decode(encode(v)) == v` and `encode(decode(u))` is a fixed point, bit for bit. Error bounds: with unit roundoff
//! `e = 1.1e-16`, magnitude `M` and range `R <= 2 M`, a linear round trip errs by at most `e (3 R + M) < 8e-16 M`,
//! below a tenth of the quantum `>= 1e-14 M`; a log round trip errs by a relative `e (5 L + 4)` with `L` the largest
//! `|ln v|`, far below half of the relative quantum for the digits that [`log_digits`] allows.
//!
//! Logarithm and exponential come from `libm`, so that rows are equal on every platform.

use std::collections::HashSet;
use std::f64::consts::LOG10_E;

use super::expression::{Kind, Scalar};
use super::{DimensionKind, Domain, Scale, Value};

/// Most levels of a stepped or integer parameter: bin centres stay distinct floats below this.
const MAX_LEVELS: u64 = 1 << 50;

/// Most levels of a stepped float, so that a level stays far coarser than the rounding of floats.
const MAX_FLOAT_LEVELS: f64 = 1e9;

/// Largest integer on a log scale: above, rounding errors of `exp` come near the width of a bin.
const MAX_LOG_INTEGER: i64 = 1 << 40;

/// Tolerance in steps within which a given float counts as a grid value.
const GRID_TOLERANCE: f64 = 1e-6;

/// Tolerance, as a part of the range, within which a given float counts as a bound.
const BOUND_TOLERANCE: f64 = 1e-12;

/// A declared field that is wrong: name of the field and reason.
pub(super) type Fault = (&'static str, String);

/// Rounding to a fixed number of decimal places (or of zeros before the point).
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimals {
    scale: f64,
    fraction: bool,
}

impl Decimals {
    /// Rounding to multiples of `10^exponent`.
    fn new(exponent: i32) -> Self {
        let digits = exponent.unsigned_abs().min(300);
        let scale = format!("1e{digits}").parse().expect("a power of ten up to 1e300 is a float");
        Self { scale, fraction: exponent < 0 }
    }

    fn round(self, value: f64) -> f64 {
        // Adding zero turns a negative zero into zero.
        if self.fraction {
            (value * self.scale).round() / self.scale + 0.0
        } else {
            (value / self.scale).round() * self.scale + 0.0
        }
    }

    fn quantum(self) -> f64 {
        if self.fraction { 1.0 / self.scale } else { self.scale }
    }
}

/// Rounding for a linear range: the smallest power of ten above `1e-13` of the range and `1e-14` of the magnitude.
fn linear_decimals(low: f64, high: f64) -> Decimals {
    let quantum = ((high - low) * 1e-13).max(low.abs().max(high.abs()) * 1e-14);
    if quantum > 0.0 { Decimals::new(libm::ceil(libm::log10(quantum)) as i32) } else { Decimals::new(-300) }
}

/// Significant digits of a canonical float on a log scale.
fn log_digits(log_low: f64, log_high: f64) -> i32 {
    if log_low.abs().max(log_high.abs()) > 100.0 { 11 } else { 12 }
}

/// The two maps of a parameter that is not constant.
#[derive(Debug, Clone)]
pub(super) enum Codec {
    /// A float on a linear scale.
    Linear { low: f64, high: f64, range: f64, decimals: Decimals },
    /// A float on a log scale; `decimals[i]` rounds numbers whose decimal exponent is `first + i`.
    Log { low: f64, high: f64, log_low: f64, log_range: f64, near: f64, first: i32, decimals: Vec<Decimals> },
    /// A float on a grid.
    Steps { low: f64, high: f64, step: f64, levels: u64, decimals: Decimals },
    /// An integer on a linear scale.
    Integers { low: i64, step: i64, levels: u64 },
    /// An integer on a log scale; bin `v` is `[ln(v - 0.5), ln(v + 0.5)]`.
    LogIntegers { low: i64, high: i64, log_low: f64, log_range: f64 },
    /// One of several values.
    Choices { values: Vec<Value>, ordered: bool, cumulative: Option<Vec<f64>> },
}

fn centre(level: u64, levels: u64) -> f64 {
    (level as f64 + 0.5) / levels as f64
}

fn level_at(unit: f64, levels: u64) -> u64 {
    // A float-to-integer cast saturates, so negative numbers become level 0.
    ((unit * levels as f64) as u64).min(levels - 1)
}

fn check_bounds<T: PartialOrd + std::fmt::Display>(low: &T, high: &T) -> Result<(), Fault> {
    if low <= high { Ok(()) } else { Err(("low", format!("{low} is above high {high}"))) }
}

fn check_finite(name: &'static str, value: f64) -> Result<(), Fault> {
    if value.is_finite() { Ok(()) } else { Err((name, format!("{value} is not finite"))) }
}

fn check_choices(values: &[Value]) -> Result<(), Fault> {
    if values.is_empty() {
        return Err(("choices", "at least one choice is required".into()));
    }
    let mut seen = HashSet::new();
    for value in values {
        if value.is_not_finite() {
            return Err(("choices", format!("{value} is not finite")));
        }
        if !seen.insert(value.canonical_text()) {
            return Err(("choices", format!("`{value}` is given twice")));
        }
    }
    Ok(())
}

impl Codec {
    /// Checks a domain; `None` for a constant.
    pub(super) fn new(domain: &Domain) -> Result<Option<Self>, Fault> {
        match domain {
            Domain::Float { low, high, scale, step } => Self::float(*low, *high, *scale, *step).map(Some),
            Domain::Integer { low, high, scale, step } => Self::integer(*low, *high, *scale, *step).map(Some),
            Domain::Ordinal { choices } => {
                check_choices(choices)?;
                Ok(Some(Self::Choices { values: choices.clone(), ordered: true, cumulative: None }))
            }
            Domain::Categorical { choices, weights } => {
                check_choices(choices)?;
                let cumulative =
                    weights.as_ref().map(|w| cumulative_weights(w, choices.len())).transpose()?;
                Ok(Some(Self::Choices { values: choices.clone(), ordered: false, cumulative }))
            }
            Domain::Boolean => {
                let values = vec![Value::Boolean(false), Value::Boolean(true)];
                Ok(Some(Self::Choices { values, ordered: false, cumulative: None }))
            }
            Domain::Constant { value } if value.is_not_finite() => {
                Err(("value", format!("{value} is not finite")))
            }
            Domain::Constant { .. } => Ok(None),
        }
    }

    fn float(low: f64, high: f64, scale: Scale, step: Option<f64>) -> Result<Self, Fault> {
        check_finite("low", low)?;
        check_finite("high", high)?;
        check_bounds(&low, &high)?;
        // Adding zero turns a negative zero into zero.
        let (low, high) = (low + 0.0, high + 0.0);
        let range = high - low;
        check_finite("high", range).map_err(|(field, _)| (field, "the range high - low overflows".into()))?;
        if let Some(step) = step {
            if !(step.is_finite() && step > 0.0) {
                return Err(("step", format!("{step} is not a positive number")));
            }
            if scale == Scale::Log {
                return Err(("step", "a step needs a linear scale".into()));
            }
        }
        if scale == Scale::Log && low <= 0.0 {
            return Err(("low", format!("{low} is not positive, which a log scale needs")));
        }
        let decimals = linear_decimals(low, high);
        if range == 0.0 {
            return Ok(Self::Steps { low, high, step: 1.0, levels: 1, decimals });
        }
        match (scale, step) {
            (Scale::Linear, None) => Ok(Self::Linear { low, high, range, decimals }),
            (Scale::Linear, Some(step)) => {
                let steps = (range / step + GRID_TOLERANCE).floor();
                if steps > MAX_FLOAT_LEVELS || (steps > 0.0 && step < 100.0 * decimals.quantum()) {
                    return Err(("step", format!("{step} is too small for the range {low} to {high}")));
                }
                Ok(Self::Steps { low, high, step, levels: steps as u64 + 1, decimals })
            }
            (Scale::Log, _) => {
                let (log_low, log_high) = (libm::log(low), libm::log(high));
                if log_high <= log_low {
                    return Ok(Self::Steps { low, high: low, step: 1.0, levels: 1, decimals });
                }
                let digits = log_digits(log_low, log_high);
                let first = decimal_exponent(log_low);
                let table = (first..=decimal_exponent(log_high)).map(|e| Decimals::new(e + 1 - digits));
                Ok(Self::Log {
                    low,
                    high,
                    log_low,
                    log_range: log_high - log_low,
                    near: 0.6 * Decimals::new(1 - digits).quantum(),
                    first,
                    decimals: table.collect(),
                })
            }
        }
    }

    fn integer(low: i64, high: i64, scale: Scale, step: Option<i64>) -> Result<Self, Fault> {
        check_bounds(&low, &high)?;
        let step = step.unwrap_or(1);
        if step < 1 {
            return Err(("step", format!("{step} is below 1")));
        }
        match scale {
            Scale::Linear => {
                let levels = (high.abs_diff(low) / step.unsigned_abs()).saturating_add(1);
                if levels > MAX_LEVELS {
                    return Err(("high", "the range holds more than 2^50 values".into()));
                }
                Ok(Self::Integers { low, step, levels })
            }
            Scale::Log => {
                if step > 1 {
                    return Err(("step", "a step above 1 needs a linear scale".into()));
                }
                if low < 1 {
                    return Err(("low", format!("{low} is not positive, which a log scale needs")));
                }
                if high > MAX_LOG_INTEGER {
                    return Err(("high", format!("{high} is above 2^40, the most on a log scale")));
                }
                let log_low = libm::log(low as f64 - 0.5);
                Ok(Self::LogIntegers {
                    low,
                    high,
                    log_low,
                    log_range: libm::log(high as f64 + 0.5) - log_low,
                })
            }
        }
    }

    /// Kind of the encoded dimension.
    pub(super) fn kind(&self) -> DimensionKind {
        match self {
            Self::Linear { .. } | Self::Log { .. } => DimensionKind::Continuous,
            Self::Steps { levels, .. } | Self::Integers { levels, .. } => {
                DimensionKind::Discrete { levels: *levels }
            }
            Self::LogIntegers { low, high, .. } => {
                DimensionKind::Discrete { levels: high.abs_diff(*low) + 1 }
            }
            Self::Choices { values, ordered: true, .. } => {
                DimensionKind::Discrete { levels: values.len() as u64 }
            }
            Self::Choices { values, .. } => DimensionKind::Categorical { choices: values.len() as u64 },
        }
    }

    /// Number of levels; `None` for a continuous float.
    pub(super) fn levels(&self) -> Option<u64> {
        match self.kind() {
            DimensionKind::Continuous => None,
            DimensionKind::Discrete { levels } => Some(levels),
            DimensionKind::Categorical { choices } => Some(choices),
        }
    }

    /// Canonical unit number of a level.
    pub(super) fn unit_of_level(&self, level: u64) -> f64 {
        match self {
            Self::LogIntegers { low, high, .. } => {
                self.unit_of_integer(low.saturating_add_unsigned(level).min(*high))
            }
            _ => self.levels().map_or(f64::NAN, |levels| centre(level.min(levels - 1), levels)),
        }
    }

    /// Level of a unit number, for a dimension that has levels.
    pub(super) fn level_of_unit(&self, unit: f64) -> Option<u64> {
        match self {
            Self::LogIntegers { low, .. } => Some(self.integer_at(unit).abs_diff(*low)),
            _ => self.levels().map(|levels| level_at(unit, levels)),
        }
    }

    /// Unit number of the default that holds where none is declared: the middle, or the first choice.
    pub(super) fn middle(&self) -> f64 {
        self.snap(match self {
            Self::Choices { ordered: false, .. } => 0.0,
            _ => 0.5,
        })
    }

    fn unit_of_integer(&self, value: i64) -> f64 {
        match self {
            Self::LogIntegers { log_low, log_range, .. } => {
                ((libm::log(value as f64) - log_low) / log_range).clamp(0.0, 1.0)
            }
            Self::Integers { low, step, levels } => {
                centre(value.abs_diff(*low) / step.unsigned_abs(), *levels)
            }
            _ => f64::NAN,
        }
    }

    fn integer_at(&self, unit: f64) -> i64 {
        match self {
            Self::LogIntegers { low, high, log_low, log_range } => {
                let value = libm::exp(log_low + unit.clamp(0.0, 1.0) * log_range);
                (value.round() as i64).clamp(*low, *high)
            }
            Self::Integers { low, step, levels } => {
                // Below high by construction of `levels`, so nothing overflows.
                low.wrapping_add((level_at(unit, *levels) as i64).wrapping_mul(*step))
            }
            _ => 0,
        }
    }

    /// Canonical float nearest to `value`, which lies within the bounds; `log` is its logarithm on a log scale.
    fn tidy(&self, value: f64, log: f64) -> f64 {
        let (low, high, rounded, near) = match self {
            Self::Linear { low, high, decimals, .. } => {
                (*low, *high, decimals.round(value), 0.6 * decimals.quantum())
            }
            Self::Log { low, high, near, first, decimals, .. } => {
                let index = (decimal_exponent(log) - first).clamp(0, decimals.len() as i32 - 1);
                let rounded = decimals[index as usize].round(value);
                (*low, *high, rounded, near * rounded)
            }
            _ => return value,
        };
        // Decided by the rounded number alone, so that the errors of a round trip cannot change it.
        if rounded - low <= near {
            low
        } else if high - rounded <= near {
            high
        } else {
            rounded
        }
    }

    fn float_at(&self, unit: f64) -> f64 {
        match self {
            Self::Linear { low, high, .. } | Self::Log { low, high, .. } if unit <= 0.0 || unit >= 1.0 => {
                if unit <= 0.0 {
                    *low
                } else {
                    *high
                }
            }
            Self::Linear { low, range, .. } => self.tidy(low + unit * range, 0.0),
            Self::Log { log_low, log_range, .. } => {
                let log = log_low + unit * log_range;
                self.tidy(libm::exp(log), log)
            }
            Self::Steps { low, high, step, levels, decimals } => match level_at(unit, *levels) {
                0 => *low,
                level => decimals.round(low + level as f64 * step).clamp(*low, *high),
            },
            _ => f64::NAN,
        }
    }

    fn unit_of_float(&self, value: f64) -> f64 {
        match self {
            Self::Linear { low, range, .. } => ((value - low) / range).clamp(0.0, 1.0),
            Self::Log { log_low, log_range, .. } => {
                ((libm::log(value) - log_low) / log_range).clamp(0.0, 1.0)
            }
            _ => f64::NAN,
        }
    }

    /// Canonical unit number nearest to `unit`.
    #[inline]
    pub(super) fn snap(&self, unit: f64) -> f64 {
        match self {
            Self::Linear { .. } | Self::Log { .. } => self.unit_of_float(self.float_at(unit)),
            Self::Steps { levels, .. } | Self::Integers { levels, .. } => {
                centre(level_at(unit, *levels), *levels)
            }
            Self::LogIntegers { .. } => self.unit_of_integer(self.integer_at(unit)),
            Self::Choices { values, .. } => {
                let levels = values.len() as u64;
                centre(level_at(unit, levels), levels)
            }
        }
    }

    /// Native value of a unit number.
    pub(super) fn decode(&self, unit: f64) -> Value {
        match self {
            Self::Linear { .. } | Self::Log { .. } | Self::Steps { .. } => Value::Float(self.float_at(unit)),
            Self::Integers { .. } | Self::LogIntegers { .. } => Value::Integer(self.integer_at(unit)),
            Self::Choices { values, .. } => values[level_at(unit, values.len() as u64) as usize].clone(),
        }
    }

    /// Native value of a unit number, for relations.
    pub(super) fn scalar(&self, unit: f64) -> Scalar<'_> {
        match self {
            Self::Linear { .. } | Self::Log { .. } | Self::Steps { .. } => {
                Scalar::Number(self.float_at(unit))
            }
            Self::Integers { .. } | Self::LogIntegers { .. } => Scalar::Number(self.integer_at(unit) as f64),
            Self::Choices { values, .. } => {
                Scalar::from(&values[level_at(unit, values.len() as u64) as usize])
            }
        }
    }

    /// Type of the native values, for relations.
    pub(super) fn value_kind(&self) -> Kind {
        match self {
            Self::Choices { values, .. } => {
                let mut kinds = values.iter().map(Kind::of);
                let first = kinds.next().unwrap_or(Kind::Mixed);
                if kinds.all(|kind| kind == first) { first } else { Kind::Mixed }
            }
            _ => Kind::Number,
        }
    }

    /// Canonical unit number of a native value, or why the value does not belong to the domain.
    pub(super) fn encode(&self, value: &Value) -> Result<f64, String> {
        match self {
            Self::Choices { values, .. } => match values.iter().position(|choice| choice.same(value)) {
                Some(index) => Ok(centre(index as u64, values.len() as u64)),
                None => Err(format!("`{value}` is not one of {}", list(values))),
            },
            Self::Integers { low, step, levels } => {
                let given = integer(value)?;
                let high = low + (*levels as i64 - 1) * step;
                check_inside(&given, low, &high)?;
                if given.abs_diff(*low) % step.unsigned_abs() != 0 {
                    return Err(format!("{given} is not on the grid {low} + i * {step}"));
                }
                Ok(self.unit_of_integer(given))
            }
            Self::LogIntegers { low, high, .. } => {
                let given = integer(value)?;
                check_inside(&given, low, high)?;
                Ok(self.unit_of_integer(given))
            }
            Self::Steps { low, high, step, levels, .. } => {
                let given = float(value)?;
                let slack = GRID_TOLERANCE * step;
                check_inside(&given, &(low - slack), &(high + slack))
                    .map_err(|_| format!("{given} is not between {low} and {high}"))?;
                let level = ((given - low) / step).round().clamp(0.0, (levels - 1) as f64) as u64;
                let unit = centre(level, *levels);
                if (self.float_at(unit) - given).abs() > slack {
                    return Err(format!("{given} is not on the grid {low} + i * {step}"));
                }
                Ok(unit)
            }
            Self::Linear { low, high, .. } | Self::Log { low, high, .. } => {
                let given = float(value)?;
                let slack = BOUND_TOLERANCE * (high - low);
                check_inside(&given, &(low - slack), &(high + slack))
                    .map_err(|_| format!("{given} is not between {low} and {high}"))?;
                let given = given.clamp(*low, *high);
                let tidy =
                    if given == *low || given == *high { given } else { self.tidy(given, self.log(given)) };
                Ok(self.unit_of_float(tidy))
            }
        }
    }

    fn log(&self, value: f64) -> f64 {
        if matches!(self, Self::Log { .. }) { libm::log(value) } else { 0.0 }
    }

    /// Turns a uniform draw into a unit number: weights of choices decide which bin it falls into.
    pub(super) fn weigh(&self, draw: f64) -> f64 {
        match self {
            Self::Choices { cumulative: Some(cumulative), values, .. } => {
                let level = cumulative.partition_point(|sum| *sum <= draw).min(values.len() - 1);
                centre(level as u64, values.len() as u64)
            }
            _ => draw,
        }
    }
}

fn decimal_exponent(log: f64) -> i32 {
    (log * LOG10_E).floor() as i32
}

fn cumulative_weights(weights: &[f64], choices: usize) -> Result<Vec<f64>, Fault> {
    if weights.len() != choices {
        return Err(("weights", format!("{} weights are given for {choices} choices", weights.len())));
    }
    if let Some(weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight > 0.0)) {
        return Err(("weights", format!("{weight} is not a positive number")));
    }
    let total: f64 = weights.iter().sum();
    check_finite("weights", total)?;
    let mut sum = 0.0;
    let parts = weights.iter().map(|weight| {
        sum += weight;
        sum / total
    });
    Ok(parts.collect())
}

fn check_inside<T: PartialOrd + std::fmt::Display>(value: &T, low: &T, high: &T) -> Result<(), String> {
    if low <= value && value <= high {
        Ok(())
    } else {
        Err(format!("{value} is not between {low} and {high}"))
    }
}

fn float(value: &Value) -> Result<f64, String> {
    match value.as_number() {
        Some(number) if number.is_finite() => Ok(number),
        Some(number) => Err(format!("{number} is not finite")),
        None => Err(format!("expected a number, got `{value}`")),
    }
}

/// An integer, also written as a float without a fraction.
fn integer(value: &Value) -> Result<i64, String> {
    match value {
        Value::Integer(value) => Ok(*value),
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 9.2e18 => Ok(*value as i64),
        Value::Float(_) | Value::Boolean(_) | Value::Text(_) => {
            Err(format!("expected an integer, got `{value}`"))
        }
    }
}

/// Choices for a message, cut after twenty.
fn list(values: &[Value]) -> String {
    let mut names: Vec<String> = values.iter().take(20).map(|value| format!("`{value}`")).collect();
    if values.len() > 20 {
        names.push("...".into());
    }
    names.join(", ")
}
