//! Arrays with a shape, and what is done to one or two of them value by value.

use super::message::Array;

/// Codes of the element types (`TensorProto.DataType`).
const FLOAT: i32 = 1;
const INT32: i32 = 6;
const INT64: i32 = 7;
const DOUBLE: i32 = 11;
/// Largest number of values that an operator may make.
const MOST: usize = 1 << 26;

/// Whether a code stands for floats.
pub(super) fn is_float(kind: i64) -> bool {
    kind == i64::from(FLOAT) || kind == i64::from(DOUBLE)
}

/// Values in row-major order. Integers are kept as floats: those of the files are indices and widths, far below 2^24.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
    /// Whether the values are integers, so that division truncates.
    pub(super) is_integer: bool,
}

impl Tensor {
    /// A tensor whose shape fits its values.
    pub(super) fn new(shape: Vec<usize>, values: Vec<f32>, is_integer: bool) -> Result<Self, String> {
        if size(&shape)? != values.len() {
            return Err(format!("shape {shape:?} for {} values", values.len()));
        }
        Ok(Self { shape, values, is_integer })
    }

    /// A stored array.
    pub(super) fn read(array: &Array) -> Result<Self, String> {
        let shape: Result<Vec<usize>, _> = array.shape.iter().map(|size| usize::try_from(*size)).collect();
        let shape = shape.map_err(|_| format!("shape {:?}", array.shape))?;
        let values: Vec<f32> = match array.kind {
            FLOAT if array.raw.is_empty() => array.floats.clone(),
            FLOAT => array.raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            DOUBLE => array.raw.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
            INT32 if array.raw.is_empty() => array.short_integers.iter().map(|value| *value as f32).collect(),
            INT32 => array.raw.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes) as f32).collect(),
            INT64 if array.raw.is_empty() => array.integers.iter().map(|value| *value as f32).collect(),
            INT64 => array.raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f32).collect(),
            kind => return Err(format!("element type {kind}")),
        };
        Self::new(shape, values, matches!(array.kind, INT32 | INT64))
    }

    /// The tensor with every value replaced.
    pub(super) fn map(&self, value: impl Fn(f32) -> f32) -> Self {
        Self { values: self.values.iter().map(|x| value(*x)).collect(), ..self.clone() }
    }

    /// An axis counted from the end where it is negative.
    pub(super) fn axis(&self, axis: i64) -> Result<usize, String> {
        place(axis, self.shape.len()).ok_or_else(|| format!("axis {axis} of shape {:?}", self.shape))
    }

    /// Number of values before an axis, along it and behind it.
    pub(super) fn around(&self, axis: usize) -> (usize, usize, usize) {
        let product = |sizes: &[usize]| sizes.iter().product();
        (product(&self.shape[..axis]), self.shape[axis], product(&self.shape[axis + 1..]))
    }

    /// Rows and columns.
    pub(super) fn matrix(&self) -> Result<(usize, usize), String> {
        match self.shape[..] {
            [rows, columns] => Ok((rows, columns)),
            _ => Err(format!("shape {:?} is no matrix", self.shape)),
        }
    }
}

/// An index counted from the end where it is negative; none outside of the length.
pub(super) fn place(index: i64, length: usize) -> Option<usize> {
    let from_end = if index < 0 { length as i64 } else { 0 };
    usize::try_from(index + from_end).ok().filter(|index| *index < length)
}

fn size(shape: &[usize]) -> Result<usize, String> {
    let product = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    product.filter(|size| *size <= MOST).ok_or_else(|| format!("shape {shape:?} is too large"))
}

/// Both tensors combined value by value, sizes of one repeated as in `NumPy`.
pub(super) fn broadcast(a: &Tensor, b: &Tensor, value: impl Fn(f32, f32) -> f32) -> Result<Tensor, String> {
    let rank = a.shape.len().max(b.shape.len());
    let size_at = |tensor: &Tensor, axis: usize| {
        (axis + tensor.shape.len()).checked_sub(rank).map_or(1, |axis| tensor.shape[axis])
    };
    let mut shape = Vec::with_capacity(rank);
    for axis in 0..rank {
        shape.push(match (size_at(a, axis), size_at(b, axis)) {
            (left, right) if left == right || right == 1 => left,
            (1, right) => right,
            _ => return Err(format!("shapes {:?} and {:?}", a.shape, b.shape)),
        });
    }
    let count = size(&shape)?;
    let position = |tensor: &Tensor, mut index: usize| {
        let (mut position, mut stride) = (0, 1);
        for axis in (0..rank).rev() {
            let own = size_at(tensor, axis);
            position += stride * ((index % shape[axis]) % own);
            index /= shape[axis];
            stride *= own;
        }
        position
    };
    let values = (0..count).map(|i| value(a.values[position(a, i)], b.values[position(b, i)])).collect();
    Tensor::new(shape, values, a.is_integer && b.is_integer)
}
