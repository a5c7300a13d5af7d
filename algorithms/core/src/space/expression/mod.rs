//! Relations between parameters: a small, total expression language.
//!
//! ```text
//! expression := or            or  := and ("or" and)*          and := not ("and" not)*
//! not        := "not" not | comparison
//! comparison := sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)* | sum ["not"] "in" "[" sum ("," sum)* "]"
//! sum        := product (("+" | "-") product)*                product := unary (("*" | "/") unary)*
//! unary      := "-" unary | power                             power   := atom ["**" unary]
//! atom       := number | text | "true" | "false" | name | function "(" or ("," or)* ")" | "(" or ")"
//! ```
//!
//! Texts stand in `"` or `'`; a name with unusual characters may stand in backquotes. Comparisons chain: `a <= b <= c`.
//! Functions: `min`, `max`, `abs`, `log`, `exp`, `sqrt`. Types are checked when a relation is read: numbers have an order,
//! texts and truth values only equality. A relation whose evaluation meets a number that is not finite (a division by
//! zero, a logarithm of a negative number) does not hold.

mod parse;
mod tokens;

pub(super) use parse::parse;

use super::Value;

/// Type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Boolean,
    /// Choices of several types: only compared for equality.
    Mixed,
}

impl Kind {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Boolean(_) => Self::Boolean,
            Value::Integer(_) | Value::Float(_) => Self::Number,
            Value::Text(_) => Self::Text,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Boolean => "true or false",
            Self::Mixed => "a choice of several types",
        }
    }
}

/// A value during evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Number(f64),
    Text(&'a str),
    Boolean(bool),
}

impl<'a> From<&'a Value> for Scalar<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Boolean(value) => Self::Boolean(*value),
            Value::Integer(value) => Self::Number(*value as f64),
            Value::Float(value) => Self::Number(*value),
            Value::Text(value) => Self::Text(value),
        }
    }
}

/// What a name in an expression stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolved {
    /// A parameter of the space, with the type of its values.
    Parameter(usize, Kind),
    /// A parameter of an arm that this subspace leaves out, with the type of its values.
    Absent(Kind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    NotEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Min,
    Max,
    Abs,
    Log,
    Exp,
    Sqrt,
}

/// A typed expression; parameters are indexes into the list of parameters that [`parse`] returns.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Number(f64),
    Text(String),
    Boolean(bool),
    Parameter(usize),
    Negate(Box<Node>),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    /// A chain `a op b op c`: operands, and the operators between them.
    Compare(Vec<Node>, Vec<Comparison>),
    In(Box<Node>, Vec<Node>),
    Call(Function, Vec<Node>),
}

impl Node {
    /// Whether the relation holds; `values` gives the value of a parameter.
    pub(super) fn holds<'a>(&'a self, values: &impl Fn(usize) -> Scalar<'a>) -> bool {
        self.truth(values).unwrap_or(false)
    }

    fn truth<'a>(&'a self, values: &impl Fn(usize) -> Scalar<'a>) -> Option<bool> {
        match self.evaluate(values)? {
            Scalar::Boolean(value) => Some(value),
            Scalar::Number(_) | Scalar::Text(_) => None,
        }
    }

    fn number<'a>(&'a self, values: &impl Fn(usize) -> Scalar<'a>) -> Option<f64> {
        match self.evaluate(values)? {
            Scalar::Number(value) => Some(value),
            Scalar::Boolean(_) | Scalar::Text(_) => None,
        }
    }

    /// `None` where a number is not finite; types were checked before.
    fn evaluate<'a>(&'a self, values: &impl Fn(usize) -> Scalar<'a>) -> Option<Scalar<'a>> {
        let value = match self {
            Self::Number(value) => Scalar::Number(*value),
            Self::Text(value) => Scalar::Text(value),
            Self::Boolean(value) => Scalar::Boolean(*value),
            Self::Parameter(index) => values(*index),
            Self::Negate(inner) => Scalar::Number(-inner.number(values)?),
            Self::Not(inner) => Scalar::Boolean(!inner.truth(values)?),
            Self::And(parts) => {
                for part in parts {
                    if !part.truth(values)? {
                        return Some(Scalar::Boolean(false));
                    }
                }
                Scalar::Boolean(true)
            }
            Self::Or(parts) => {
                for part in parts {
                    if part.truth(values)? {
                        return Some(Scalar::Boolean(true));
                    }
                }
                Scalar::Boolean(false)
            }
            Self::Arithmetic(operator, left, right) => {
                let (left, right) = (left.number(values)?, right.number(values)?);
                Scalar::Number(match operator {
                    Arithmetic::Add => left + right,
                    Arithmetic::Subtract => left - right,
                    Arithmetic::Multiply => left * right,
                    Arithmetic::Divide => left / right,
                    Arithmetic::Power => libm::pow(left, right),
                })
            }
            Self::Compare(operands, operators) => {
                let mut left = operands.first()?.evaluate(values)?;
                for (operator, operand) in operators.iter().zip(&operands[1..]) {
                    let right = operand.evaluate(values)?;
                    if !compare(*operator, left, right)? {
                        return Some(Scalar::Boolean(false));
                    }
                    left = right;
                }
                Scalar::Boolean(true)
            }
            Self::In(inner, options) => {
                let value = inner.evaluate(values)?;
                let mut found = false;
                for option in options {
                    found |= option.evaluate(values)? == value;
                }
                Scalar::Boolean(found)
            }
            Self::Call(function, arguments) => Scalar::Number(call(*function, arguments, values)?),
        };
        match value {
            Scalar::Number(number) if !number.is_finite() => None,
            _ => Some(value),
        }
    }
}

fn compare(operator: Comparison, left: Scalar<'_>, right: Scalar<'_>) -> Option<bool> {
    match operator {
        Comparison::Equal => return Some(left == right),
        Comparison::NotEqual => return Some(left != right),
        Comparison::Less | Comparison::AtMost | Comparison::Greater | Comparison::AtLeast => {}
    }
    let (Scalar::Number(left), Scalar::Number(right)) = (left, right) else { return None };
    Some(match operator {
        Comparison::Less => left < right,
        Comparison::AtMost => left <= right,
        Comparison::Greater => left > right,
        Comparison::AtLeast => left >= right,
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
    })
}

fn call<'a>(function: Function, arguments: &'a [Node], values: &impl Fn(usize) -> Scalar<'a>) -> Option<f64> {
    let first = arguments.first()?.number(values)?;
    let mut rest = arguments[1..].iter().map(|argument| argument.number(values));
    match function {
        Function::Min => rest.try_fold(first, |least, value| Some(least.min(value?))),
        Function::Max => rest.try_fold(first, |most, value| Some(most.max(value?))),
        Function::Abs => Some(first.abs()),
        Function::Log => Some(libm::log(first)),
        Function::Exp => Some(libm::exp(first)),
        Function::Sqrt => Some(first.sqrt()),
    }
}

#[cfg(test)]
mod tests;
