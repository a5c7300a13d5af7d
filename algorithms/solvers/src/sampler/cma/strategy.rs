//! Weights and learning rates of one generation.

/// Constants of CMA-ES for d numbers and k ranked members (Hansen, "The CMA Evolution Strategy: A Tutorial", 2016,
/// table 1).
#[derive(Debug, Clone)]
pub(super) struct Strategy {
    /// One weight per member, best first; the positive ones sum to one, those of the worse half are negative.
    pub(super) weights: Vec<f64>,
    /// Number of positive weights.
    pub(super) parents: usize,
    /// Variance effective number of parents.
    pub(super) effective: f64,
    /// Rate and damping of the step size.
    pub(super) rate_sigma: f64,
    pub(super) damping: f64,
    /// Rate of the evolution path of the covariance.
    pub(super) rate_path: f64,
    /// Rates of the rank-one and rank-k updates.
    pub(super) rate_one: f64,
    pub(super) rate_many: f64,
}

impl Strategy {
    /// `diagonal` raises the rates of the covariance by (d + 2) / 3 (Ros and Hansen, "A simple modification in CMA-ES
    /// achieving linear time and space complexity", 2008).
    pub(super) fn new(dimensions: usize, members: usize, diagonal: bool) -> Self {
        let (d, k) = (dimensions.max(1) as f64, members as f64);
        let raw: Vec<f64> = (1..=members).map(|i| (k.midpoint(1.0)).ln() - (i as f64).ln()).collect();
        let parents = (members / 2).max(1);
        let effective_of = |raw: &[f64]| {
            let (sum, squares) = raw.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
            if squares > 0.0 { sum * sum / squares } else { 0.0 }
        };
        let effective = effective_of(&raw[..parents]);
        let rate_sigma = (effective + 2.0) / (d + effective + 5.0);
        let damping = 1.0 + 2.0 * (((effective - 1.0) / (d + 1.0)).sqrt() - 1.0).max(0.0) + rate_sigma;
        let rate_path = (4.0 + effective / d) / (d + 4.0 + 2.0 * effective / d);
        let faster = if diagonal { (d + 2.0) / 3.0 } else { 1.0 };
        let rate_one = (2.0 / ((d + 1.3).powi(2) + effective) * faster).min(1.0);
        let rate_many = 2.0 * (effective - 2.0 + 1.0 / effective) / ((d + 2.0).powi(2) + effective) * faster;
        let rate_many = rate_many.clamp(0.0, 1.0 - rate_one);
        let positive: f64 = raw.iter().filter(|w| **w > 0.0).sum();
        let negative: f64 = raw.iter().filter(|w| **w < 0.0).map(|w| -w).sum();
        let most_negative = (1.0 + rate_one / rate_many.max(f64::MIN_POSITIVE))
            .min(1.0 + 2.0 * effective_of(&raw[parents..]) / (effective + 2.0))
            .min((1.0 - rate_one - rate_many) / (d * rate_many.max(f64::MIN_POSITIVE)));
        let weight = |w: &f64| if *w >= 0.0 { w / positive } else { w * most_negative / negative };
        let mut weights: Vec<f64> = raw.iter().map(weight).collect();
        // An odd middle member has a weight of zero or next to it and is no parent.
        for weight in &mut weights[parents..] {
            *weight = weight.min(0.0);
        }
        let sum: f64 = weights[..parents].iter().sum();
        for weight in &mut weights[..parents] {
            *weight /= sum;
        }
        Self { weights, parents, effective, rate_sigma, damping, rate_path, rate_one, rate_many }
    }

    /// Members of a generation for d numbers: 4 + 3 ln d.
    pub(super) fn population(dimensions: usize) -> usize {
        4 + (3.0 * (dimensions.max(1) as f64).ln()) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_rates_are_those_of_the_tutorial() {
        // The tutorial's formulas for d = 10 and ten members, computed by hand in double precision.
        let strategy = Strategy::new(10, 10, false);
        assert_eq!((Strategy::population(10), strategy.parents), (10, 5));
        assert!((strategy.weights[..5].iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(strategy.weights[5..].iter().all(|weight| *weight < 0.0));
        let found = [
            strategy.effective,
            strategy.rate_sigma,
            strategy.rate_path,
            strategy.rate_one,
            strategy.rate_many,
        ];
        for (found, expected) in
            found.into_iter().zip([3.167_299, 0.284_428_6, 0.294_990_3, 0.015_283_8, 0.020_154_3])
        {
            assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
        }
    }

    #[test]
    fn any_number_of_members_gives_usable_weights() {
        for dimensions in [1, 2, 7, 200] {
            for members in 2..40 {
                for diagonal in [false, true] {
                    let strategy = Strategy::new(dimensions, members, diagonal);
                    assert!(strategy.weights.iter().all(|weight| weight.is_finite()), "{strategy:?}");
                    assert!(strategy.rate_one + strategy.rate_many <= 1.0 && strategy.rate_many >= 0.0);
                }
            }
        }
    }
}
