//! Embedding lookups on the host: gather for the forward pass, scatter for the backward pass.

use super::real::Real;
use crate::data::Dataset;

/// Sums the weighted table rows of each field: output shape (B, F, d), or (B, 1, d) when `pooled` over all fields.
pub(crate) fn gather<T: Real>(
    data: &Dataset,
    rows: &[u32],
    table: &[T],
    width: usize,
    pooled: bool,
) -> Vec<T> {
    let fields = if pooled { 1 } else { data.fields().len() };
    let mut output = vec![T::from_f64(0.0); rows.len() * fields * width];
    for (&row, block) in rows.iter().zip(output.chunks_exact_mut(fields * width)) {
        for slots in &data.tables {
            for (field, id, weight) in slots.slots(row) {
                if weight == 0.0 {
                    continue;
                }
                let weight = T::from_f64(f64::from(weight));
                let start = if pooled { 0 } else { field * width };
                let source = &table[id * width..(id + 1) * width];
                for (target, &value) in block[start..start + width].iter_mut().zip(source) {
                    *target += weight * value;
                }
            }
        }
    }
    output
}

/// Transpose of [`gather`]: adds the gradient of its output into the gradient of the table, in row order.
pub(crate) fn scatter<T: Real>(
    data: &Dataset,
    rows: &[u32],
    gradient: &[T],
    width: usize,
    pooled: bool,
    table_gradient: &mut [T],
) {
    let fields = if pooled { 1 } else { data.fields().len() };
    for (&row, block) in rows.iter().zip(gradient.chunks_exact(fields * width)) {
        for slots in &data.tables {
            for (field, id, weight) in slots.slots(row) {
                if weight == 0.0 {
                    continue;
                }
                let weight = T::from_f64(f64::from(weight));
                let start = if pooled { 0 } else { field * width };
                let target = &mut table_gradient[id * width..(id + 1) * width];
                for (target, &value) in target.iter_mut().zip(&block[start..start + width]) {
                    *target += weight * value;
                }
            }
        }
    }
}
