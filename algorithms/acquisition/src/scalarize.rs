//! Many objectives as one: random augmented Chebyshev scalarization (`ParEGO`).

use crate::AcquisitionError;
use crate::hypervolume::check_objectives;
use boxwood_numeric::{NumericError, Rows};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Weight of the sum beside the maximum (Knowles, 2006).
pub const CHEBYSHEV_AUGMENTATION: f64 = 0.05;

/// Weights drawn from the flat Dirichlet distribution: positive, summing to one.
///
/// Normalized standard exponential draws (Devroye, "Non-uniform random variate generation", 1986, chapter 11.4).
pub fn chebyshev_weights(objectives: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let draws: Vec<f64> =
        (0..objectives).map(|_| -(1.0 - rng.random::<f64>()).max(f64::MIN_POSITIVE).ln()).collect();
    let total: f64 = draws.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    draws.iter().map(|draw| draw / total).collect()
}

/// `max_k w_k y_k + 0.05 sum_k w_k y_k` of losses scaled to `[0, 1]`: the one loss that `ParEGO` models for a weight.
///
/// Knowles, "`ParEGO`: a hybrid algorithm with on-line landscape approximation" (IEEE TEVC 10(1), 2006), equation 2. Every
/// point of a front, also of its concave parts, is the minimum for some weights.
#[derive(Debug, Clone, PartialEq)]
pub struct AugmentedChebyshev {
    weights: Vec<f64>,
    ideal: Vec<f64>,
    range: Vec<f64>,
}

impl AugmentedChebyshev {
    /// Scales by the least and largest of the given `(n, m)` losses; an objective that does not vary counts nothing.
    ///
    /// # Errors
    /// `Numeric` for no rows, another number of weights, or losses that are not finite.
    pub fn new(weights: Vec<f64>, losses: &Rows) -> Result<Self, AcquisitionError> {
        check_objectives(weights.len(), losses.width())?;
        if losses.is_empty() || !losses.iter().flatten().all(|loss| loss.is_finite()) {
            return Err(NumericError::NotFinite { what: "losses to scalarize" }.into());
        }
        let extreme = |start: f64, choose: fn(f64, f64) -> f64| -> Vec<f64> {
            (0..weights.len()).map(|k| losses.iter().map(|row| row[k]).fold(start, choose)).collect()
        };
        let ideal = extreme(f64::INFINITY, f64::min);
        let worst = extreme(f64::NEG_INFINITY, f64::max);
        let range = worst.iter().zip(&ideal).map(|(worst, ideal)| worst / 2.0 - ideal / 2.0).collect();
        Ok(Self { weights, ideal, range })
    }

    /// The weights.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The scalar loss of one vector of losses.
    pub fn scalar(&self, losses: &[f64]) -> f64 {
        let (mut highest, mut sum) = (f64::NEG_INFINITY, 0.0);
        for (k, (loss, weight)) in losses.iter().zip(&self.weights).enumerate() {
            // Halves, so that the widest range of floats does not overflow.
            let scaled =
                if self.range[k] > 0.0 { (loss / 2.0 - self.ideal[k] / 2.0) / self.range[k] } else { 0.0 };
            highest = highest.max(weight * scaled);
            sum += weight * scaled;
        }
        highest + CHEBYSHEV_AUGMENTATION * sum
    }

    /// The scalar losses of `(n, m)` losses.
    pub fn scalars(&self, losses: &Rows) -> Vec<f64> {
        losses.iter().map(|row| self.scalar(row)).collect()
    }
}
