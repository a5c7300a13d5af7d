//! The margin that keeps integers moving (Hamano, Saito, Nomura and Shirakawa, "CMA-ES with Margin", GECCO 2022).

use boxwood_core::{SearchSpace, Seed};
use boxwood_numeric::{normal_cdf, normal_quantile};

use super::distribution::{Columns, Distribution};

/// Corrects mean and scale so that each discrete number leaves the level of its mean with a probability of at least
/// `alpha`, half of it to either side where there are two.
pub(super) fn keep_margin(
    distribution: &mut Distribution,
    columns: &Columns,
    space: &SearchSpace,
    alpha: f64,
) {
    let mut center = vec![f64::NAN; space.dimensions().len()];
    for ((column, _), value) in columns.numbers.iter().zip(distribution.mean.iter()) {
        center[*column] = *value;
    }
    for ((column, count), shares) in columns.choices.iter().zip(&distribution.shares) {
        let likely = shares.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
        center[*column] = likely.map_or(0.5, |(choice, _)| (choice as f64 + 0.5) / *count as f64);
    }
    space.snap(&mut center);
    // No Gaussian steps are asked for, so that nothing is drawn from this generator.
    let mut rng = Seed(0).rng();
    for (i, (column, levels)) in columns.numbers.iter().enumerate() {
        let here = center[*column];
        if !levels || here.is_nan() {
            continue;
        }
        let neighbours = space.neighbours(&center, *column, 0, &mut rng);
        let thresholds = neighbours.iter().map(|row| row[*column].midpoint(here));
        let below = thresholds.clone().filter(|value| *value < here).reduce(f64::max);
        let above = thresholds.filter(|value| *value > here).reduce(f64::min);
        let deviation = distribution.deviation(i);
        match (below, above) {
            (Some(low), Some(high)) => {
                let (mean, factor) = between(distribution.mean[i], deviation, low, high, alpha);
                distribution.mean[i] = mean;
                distribution.scale[i] *= factor;
            }
            (Some(threshold), None) | (None, Some(threshold)) => {
                let reach = normal_quantile(1.0 - alpha) * deviation;
                let distance = distribution.mean[i] - threshold;
                distribution.mean[i] = threshold + distance.clamp(-reach, reach);
            }
            (None, None) => {}
        }
    }
}

/// The corrected mean and the factor on the deviation, for a level between two thresholds (section 4.3 there).
fn between(mean: f64, deviation: f64, low: f64, high: f64, alpha: f64) -> (f64, f64) {
    let least = alpha / 2.0;
    let below = normal_cdf((low - mean) / deviation);
    let above = normal_cdf((mean - high) / deviation);
    if below >= least && above >= least {
        return (mean, 1.0);
    }
    let middle = (1.0 - below - above).max(least);
    let (raised_below, raised_above) = (below.max(least), above.max(least));
    // What was added to one side is taken from all three in proportion to their surplus.
    let total = raised_below + raised_above + middle;
    let surplus = total - 3.0 * least;
    let shrink = if surplus > 0.0 { (1.0 - total) / surplus } else { 0.0 };
    let below = (raised_below + shrink * (raised_below - least)).clamp(least, 0.5 - 1e-9);
    let above = (raised_above + shrink * (raised_above - least)).clamp(least, 0.5 - 1e-9);
    let (reach_low, reach_high) = (normal_quantile(1.0 - below), normal_quantile(1.0 - above));
    let reach = reach_low + reach_high;
    let mean = (low * reach_high + high * reach_low) / reach;
    (mean, (high - low) / (reach * deviation))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_sides_keep_their_half_of_the_margin(
            mean in 0.4_f64..0.6,
            log_deviation in -12.0_f64..0.0,
            alpha in 0.001_f64..0.2,
        ) {
            let deviation = log_deviation.exp();
            let (moved, factor) = between(mean, deviation, 0.4, 0.6, alpha);
            let below = normal_cdf((0.4 - moved) / (deviation * factor));
            let above = normal_cdf((moved - 0.6) / (deviation * factor));
            prop_assert!(below >= alpha / 2.0 - 1e-6 && above >= alpha / 2.0 - 1e-6, "{} {}", below, above);
            prop_assert!((0.4..=0.6).contains(&moved), "the mean keeps its level: {}", moved);
        }
    }

    #[test]
    fn a_distribution_with_room_is_left_alone() {
        assert_eq!(between(0.5, 0.2, 0.4, 0.6, 0.05), (0.5, 1.0));
    }
}
