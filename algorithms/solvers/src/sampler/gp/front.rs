//! The front that several objectives are to improve, as their models see it.

use boxwood_acquisition::AcquisitionError;
use boxwood_core::Seed;
use boxwood_numeric::{Rows, inferred_reference, nondominated};
use boxwood_surrogate::Posterior;
use rand::RngExt;

/// Distance of an inferred reference point beyond the front's own margin, in deviations of the losses.
///
/// A front that has collapsed to one corner has hardly a margin of its own: with none, runs on ZDT1, ZDT3 and DTLZ2 stayed
/// in such corners for dozens of trials.
const REFERENCE_DISTANCE: f64 = 0.3;
/// Share of choices that look for gains up to the worst values seen, so that the ends of the front are found.
const WIDE_SHARE: f64 = 0.25;

/// Nondominated posterior means and the point up to which a gain counts, on the model scales.
///
/// Means, because under noise the luckiest measurements are not the front.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Front {
    /// `(front, m)`.
    pub(super) values: Rows,
    /// Length m.
    pub(super) reference: Vec<f64>,
}

impl Front {
    /// The front at some rows; `given` are losses beyond which a point is worth nothing, for a user who knows them.
    pub(super) fn new(
        models: &[&dyn Posterior],
        rows: &Rows,
        given: Option<&[f64]>,
        seed: Seed,
    ) -> Result<Self, AcquisitionError> {
        let parts: Result<Vec<Vec<f64>>, _> = models.iter().map(|model| model.predict_mean(rows)).collect();
        let parts = parts?;
        let mut all = Rows::new(models.len());
        for index in 0..rows.len() {
            all.push_row(&parts.iter().map(|part| part[index]).collect::<Vec<f64>>())?;
        }
        let values = all.select(&nondominated(&all));
        let reference = match given {
            Some(losses) => {
                losses.iter().zip(models).map(|(loss, model)| model.to_model_scale(*loss)).collect()
            }
            None => reference(&all, &values, seed.derive("reference", 0).rng().random::<f64>() < WIDE_SHARE),
        };
        Ok(Self { values, reference })
    }
}

/// A point beyond the front, or, where `wide`, beyond all rows.
fn reference(all: &Rows, front: &Rows, wide: bool) -> Vec<f64> {
    let mut reference = inferred_reference(front);
    for (objective, value) in reference.iter_mut().enumerate() {
        *value += REFERENCE_DISTANCE;
        if wide {
            *value = all.iter().map(|row| row[objective]).fold(*value, f64::max);
        }
    }
    reference
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lies_beyond_the_front_and_where_wide_beyond_everything() {
        let all = Rows::from_rows(2, &[[0.0, 1.0], [1.0, 0.0], [9.0, 0.5], [0.5, 1.2]]).unwrap();
        let front = all.select(&nondominated(&all));
        let close = |found: Vec<f64>, expected: [f64; 2]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        };
        close(reference(&all, &front, false), [1.1 + REFERENCE_DISTANCE, 1.1 + REFERENCE_DISTANCE]);
        close(reference(&all, &front, true), [9.0, 1.1 + REFERENCE_DISTANCE]);
    }
}
