//! `NumPy` arrays of floats.

use std::path::Path;

use crate::error::BenchError;

/// Values in C order with their shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Length of every axis.
    pub shape: Vec<usize>,
    /// Values.
    pub values: Vec<f64>,
}

impl Array {
    /// Reads `.npy` or `.npy.gz`, version 1, little-endian 32- or 64-bit floats in C order (its enhancement proposal 1).
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let content = super::read(path)?;
        Self::parse(&content).map_err(|reason| BenchError::Content { path: path.to_owned(), reason })
    }

    /// The array in the content of a file.
    fn parse(content: &[u8]) -> Result<Self, String> {
        if content.len() < 10 || &content[..6] != b"\x93NUMPY" || content[6] != 1 {
            return Err("not a NumPy array of version 1".into());
        }
        let length = usize::from(u16::from_le_bytes([content[8], content[9]]));
        let header = content.get(10..10 + length).ok_or("the header is cut off")?;
        let header = std::str::from_utf8(header).map_err(|error| error.to_string())?;
        if header.contains("'fortran_order': True") {
            return Err("Fortran order is not supported".into());
        }
        let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')'));
        let (shape, _) = shape.ok_or("the header has no shape")?;
        let shape: Vec<usize> = shape
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| part.parse::<usize>().map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()?;
        let body = &content[10 + length..];
        let values: Vec<f64> = if header.contains("'<f8'") {
            body.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
        } else if header.contains("'<f4'") {
            body.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
        } else {
            return Err("the values are not little-endian floats".into());
        };
        let expected = shape.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis));
        if expected != Some(values.len()) {
            return Err(format!("the shape {shape:?} does not fit {} values", values.len()));
        }
        Ok(Self { shape, values })
    }
}
