//! What more trials can be expected to bring, from the curve of the best result so far.
//!
//! The extrapolation of performance by resource of `OpenBox` (Li et al., "A generalized black-box optimization
//! Service", KDD 2021) after Domhan, Springenberg and Hutter ("Speeding up automatic hyperparameter optimization of deep
//! neural networks by extrapolation of learning curves", IJCAI 2015): a weighted mix of saturating curves whose parameters and
//! weights are drawn by a Markov chain ([`CurvePosterior`]). A best-so-far curve is a staircase whose residuals hang
//! together, so that the number of its steps, not that of its trials, counts as the number of observations.
//!
//! A short or flat staircase says little, and a curve through it promises too little. Half of the probability therefore
//! goes to what trials that are exchangeable would bring: the best of n + N is a new one with probability N / (n + N),
//! and improves on the old one by `beta ln((n + N) / n)` on average, where the scale `beta` of the distribution's tail is the
//! mean of the normalized spacings `i (y_(i+1) - y_(i))` of the best results (Renyi, "On the theory of order statistics",
//! 1953).
//!
//! Letters: n trials measured, N further ones.

use boxwood_core::StudyView;
use boxwood_numeric::normal_quantile;
use boxwood_surrogate::{CurvePosterior, CurvePrior};
use serde::Serialize;

use crate::convergence::convergence;

/// Fewest results of which a forecast is made.
const FEWEST: usize = 10;
/// Probability of the curves; the rest belongs to exchangeable trials.
const CURVES: f64 = 0.5;
/// Best results whose spacings tell the scale of the tail.
const SPACINGS: usize = 5;
/// Quantiles that stand for a continuous distribution.
const LEVELS: usize = 21;
/// What is believed of a curve before it is seen, in units of what the staircase has fallen so far: how far below the best its
/// level lies, that level's deviation, the fall from long before the first trial; and the noise in mean heights of a stair.
const LEVEL_BELOW: f64 = 0.5;
const LEVEL_DEVIATION: f64 = 0.5;
const FALL: f64 = 1.5;
const NOISE: f64 = 0.1;
/// Furthest that a target is looked for, in units of the trials so far.
const FURTHEST: u64 = 100;
/// Points of a long staircase that curves are drawn through, evenly spaced.
const MOST_POINTS: usize = 200;
/// Seed of the chain: equal histories give equal forecasts.
const CHAIN: u64 = 1;

/// Expected improvement of the best value by further trials.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GainForecast {
    /// Further trials.
    pub more: u64,
    /// Best value now, native units.
    pub best: f64,
    /// Expected improvement, native units, not negative.
    pub mean: f64,
    /// The improvement is less than this with a probability of at most 5 %. It is 0 unless an improvement is almost certain;
    /// then 95 % rather than 90 % of the truths lie between the ends.
    pub low: f64,
    /// The median improvement.
    pub median: f64,
    /// The improvement is less than this with a probability of 95 %.
    pub high: f64,
    /// Probability that the objective's target is reached, where it has one; 1 when it was reached.
    pub target_probability: Option<f64>,
    /// Further trials that the objective's target may take, where it has one.
    pub trials_to_target: Option<TargetForecast>,
}

/// Further trials until a target is reached; none where more than a hundred times those so far would be needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TargetForecast {
    /// With a probability of 5 % fewer are enough.
    pub low: Option<u64>,
    /// With a probability of one half.
    pub median: Option<u64>,
    /// With a probability of 95 %: a budget that will do, if the past tells.
    pub high: Option<u64>,
}

/// Forecast of an objective's best value after so many further full trials, from the feasible results at the highest
/// rung reached.
///
/// `None` with fewer than ten results there, or an unknown objective.
pub fn gain_forecast(view: &StudyView, objective: usize, more: u64) -> Option<GainForecast> {
    let declared = view.problem().objectives().get(objective)?;
    let steps = convergence(view, objective);
    let rung = steps.last()?.best_rung?;
    let loss = |value: f64| declared.loss(value).map(boxwood_core::Loss::get).ok();
    let feasible = steps.iter().filter(|step| step.feasible && step.rung == rung);
    let losses: Vec<f64> = feasible.filter_map(|step| loss(step.value)).collect();
    if losses.len() < FEWEST {
        return None;
    }
    let mut least = f64::INFINITY;
    let lower = |loss: &f64| {
        least = least.min(*loss);
        least
    };
    let curve: Vec<f64> = losses.iter().map(lower).collect();
    let outlook = Outlook::new(&curve, losses);
    let gains = outlook.gains(more as f64);
    let target = declared.target.and_then(loss).map(|target| least - target);
    Some(GainForecast {
        more,
        best: declared.native(boxwood_core::Loss::new(least).ok()?),
        mean: gains.iter().map(|(gain, weight)| gain * weight).sum(),
        low: quantile(&gains, 0.05),
        median: quantile(&gains, 0.5),
        high: quantile(&gains, 0.95),
        target_probability: target.map(|needed| reached(&gains, needed)),
        trials_to_target: target.map(|needed| outlook.trials_to(needed)),
    })
}

/// Probability of a gain of at least this.
fn reached(gains: &[(f64, f64)], needed: f64) -> f64 {
    gains.iter().filter(|(gain, _)| *gain >= needed).map(|(_, weight)| weight).sum()
}

/// What any number of further trials may bring.
struct Outlook {
    /// Curves through the staircase, and its end; none where it never fell.
    curves: Option<CurvePosterior>,
    best: f64,
    /// All losses.
    losses: Vec<f64>,
}

impl Outlook {
    fn new(curve: &[f64], losses: Vec<f64>) -> Self {
        let (count, best) = (curve.len() as f64, curve[curve.len() - 1]);
        let steps = 1 + curve.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let range = curve[0] - best;
        let prior = CurvePrior {
            level: best - LEVEL_BELOW * range,
            level_deviation: LEVEL_DEVIATION * range,
            fall: FALL * range,
            noise: NOISE * range / steps as f64,
        };
        let kept = curve.len().min(MOST_POINTS);
        let places: Vec<usize> = (1..=kept).map(|k| k * curve.len() / kept).collect();
        let times: Vec<f64> = places.iter().map(|n| *n as f64 / count).collect();
        let values: Vec<f64> = places.iter().map(|n| curve[n - 1]).collect();
        let weight = (steps as f64 / kept as f64).min(1.0);
        // A staircase that never fell has no range, of which there is no posterior.
        let curves = CurvePosterior::fit(&times, &values, weight, prior, CHAIN);
        Self { curves, best, losses }
    }

    /// Possible gains by `more` trials with their probabilities, by rising gain.
    fn gains(&self, more: f64) -> Vec<(f64, f64)> {
        let mut gains = self.curve_gains(more);
        for (_, weight) in &mut gains {
            *weight *= CURVES;
        }
        let others = exchangeable_gains(self.losses.clone(), more);
        gains.extend(others.into_iter().map(|(gain, weight)| (gain, weight * (1.0 - CURVES))));
        gains.sort_by(|a, b| a.0.total_cmp(&b.0));
        gains
    }

    fn curve_gains(&self, more: f64) -> Vec<(f64, f64)> {
        let Some(curves) = self.curves.as_ref().filter(|_| more > 0.0) else { return vec![(0.0, 1.0)] };
        let count = self.losses.len() as f64;
        let points = curves.points((count + more) / count);
        let weight = 1.0 / (points.len() * LEVELS) as f64;
        let gain = |(mean, variance): &(f64, f64), level: usize| {
            let z = normal_quantile((level as f64 + 0.5) / LEVELS as f64);
            ((self.best - mean + z * variance.sqrt()).max(0.0), weight)
        };
        points.iter().flat_map(|point| (0..LEVELS).map(move |level| gain(point, level))).collect()
    }

    /// Trials after which a gain is reached with probabilities of 5, 50 and 95 %.
    fn trials_to(&self, needed: f64) -> TargetForecast {
        let furthest = FURTHEST * self.losses.len() as u64;
        let within = |share: f64| {
            let enough = |more: u64| reached(&self.gains(more as f64), needed) >= share;
            if needed <= 0.0 {
                return Some(0);
            }
            if !enough(furthest) {
                return None;
            }
            let (mut short, mut long) = (0, furthest);
            while long - short > 1 {
                let middle = short + (long - short) / 2;
                if enough(middle) { long = middle } else { short = middle }
            }
            Some(long)
        };
        TargetForecast { low: within(0.05), median: within(0.5), high: within(0.95) }
    }
}

/// Possible gains by `more` trials like those before, with their probabilities.
fn exchangeable_gains(mut losses: Vec<f64>, more: f64) -> Vec<(f64, f64)> {
    losses.sort_by(f64::total_cmp);
    let count = losses.len() as f64;
    let used = SPACINGS.min(losses.len() - 1);
    let spacing = |i: usize| (i + 1) as f64 * (losses[i + 1] - losses[i]);
    let scale = (0..used).map(spacing).sum::<f64>() / used.max(1) as f64;
    let improves = more / (count + more);
    if improves <= 0.0 {
        return vec![(0.0, 1.0)];
    }
    let mean = scale * (more / count).ln_1p() / improves;
    // An exponential by its quantiles.
    let level = |level: usize| {
        let share = (level as f64 + 0.5) / LEVELS as f64;
        (-mean * (-share).ln_1p(), improves / LEVELS as f64)
    };
    std::iter::once((0.0, 1.0 - improves)).chain((0..LEVELS).map(level)).collect()
}

fn quantile(gains: &[(f64, f64)], share: f64) -> f64 {
    let mut below = 0.0;
    for (gain, weight) in gains {
        below += weight;
        if below >= share {
            return *gain;
        }
    }
    gains.last().map_or(0.0, |(gain, _)| *gain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use boxwood_core::Seed;
    use rand::RngExt;

    use super::*;
    use crate::fixture::Study;

    fn study(goal: &str, values: &[f64]) -> Study {
        let space = r#"{"parameters":[{"name":"x","type":"float","low":0,"high":1}]}"#;
        let mut study = Study::of_space(space, 1, goal);
        for (i, value) in values.iter().enumerate() {
            study.add(&format!(r#"{{"x":{}}}"#, i as f64 / values.len() as f64), &[vec![*value]]);
        }
        study
    }

    fn falling(count: usize) -> Vec<f64> {
        (1..=count).map(|n| 2.0 + 3.0 / n as f64).collect()
    }

    #[test]
    fn a_curve_of_a_known_shape_is_continued() {
        let found = gain_forecast(&study("minimize", &falling(40)).view(), 0, 40).unwrap();
        let truth = 3.0 / 40.0 - 3.0 / 80.0;
        assert!((found.best - 2.075).abs() < 1e-12);
        assert!(found.low <= truth && truth <= found.high, "{found:?} against {truth}");
        // Half of the probability belongs to exchangeable trials, which such a smooth curve is not.
        assert!((found.median - truth).abs() < 0.7 * truth, "{found:?} against {truth}");
    }

    #[test]
    fn a_flat_curve_brings_nothing_and_more_trials_bring_more() {
        let flat = gain_forecast(&study("minimize", &[1.0; 30]).view(), 0, 100).unwrap();
        assert_eq!((flat.mean, flat.high), (0.0, 0.0));
        let study = study("minimize", &falling(20));
        let gain = |more| gain_forecast(&study.view(), 0, more).unwrap().mean;
        assert!(gain(0) == 0.0 && gain(5) < gain(50) && gain(50) < gain(5000));
        assert_eq!(gain_forecast(&study.view(), 1, 5), None);
    }

    #[test]
    fn too_little_is_no_answer() {
        assert_eq!(gain_forecast(&study("minimize", &falling(9)).view(), 0, 10), None);
    }

    /// Random search on random problems: how often the true improvement lies below the forecast's quantiles.
    ///
    /// The low end is 0 in all of them, since no improvement is always likely, so that 19 of 20 and not 9 of 10 lie inside.
    /// If the quantiles were exact, 18 of 360 truths would be above the high one and 180 above the median, with deviations of
    /// 4.1 and 9.5: a false alarm at either, at 3.6 and 4.2 deviations, is less likely than one in a thousand.
    #[test]
    fn held_out_continuations_lie_below_the_quantiles_as_often_as_they_say() {
        let (mut above_high, mut above_median) = (0, 0);
        for (shown, more) in [(10, 30), (20, 60), (40, 120)] {
            for seed in 0..120 {
                let mut rng = Seed(seed).rng();
                let (dimensions, power) = (1 + (seed % 6) as usize, 1.0 + rng.random::<f64>());
                let mut draw = || {
                    let squared: f64 = (0..dimensions).map(|_| (rng.random::<f64>() - 0.4).powi(2)).sum();
                    squared.powf(0.5 * power)
                };
                let values: Vec<f64> = (0..shown + more).map(|_| draw()).collect();
                let best = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
                let study = study("minimize", &values[..shown]);
                let found = gain_forecast(&study.view(), 0, more as u64).unwrap();
                let truth = best(&values[..shown]) - best(&values);
                assert!(found.low <= truth + 1e-12, "seed {seed}: {found:?} against {truth}");
                above_high += u32::from(truth > found.high + 1e-12);
                above_median += u32::from(truth > found.median + 1e-12);
            }
        }
        println!("seeds 0 to 119: {above_high} of 360 above the high end, {above_median} above the median");
        assert!((3..=33).contains(&above_high), "{above_high} of 360 above the high end");
        assert!((140..=220).contains(&above_median), "{above_median} of 360 above the median");
    }

    #[test]
    fn a_best_that_came_first_may_still_be_beaten() {
        let mut values = vec![1.0];
        values.extend((1..12).map(|n| 1.0 + 0.1 * f64::from(n)));
        let found = gain_forecast(&study("minimize", &values).view(), 0, 36).unwrap();
        assert_eq!(found.low, 0.0);
        assert!(found.high > 0.1 && found.mean > 0.0, "{found:?}");
    }

    #[test]
    fn gains_of_a_maximized_metric_are_positive_and_know_the_target() {
        // The fixture takes losses: the metric rises from 0.5 towards 0.9.
        let losses: Vec<f64> = (1..=30).map(|n| -0.9 + 0.4 / f64::from(n)).collect();
        let study = study("maximize", &losses);
        let found = gain_forecast(&study.view(), 0, 30).unwrap();
        assert!((found.best - (0.9 - 0.4 / 30.0)).abs() < 1e-12);
        assert!(found.mean > 0.0 && found.low <= found.median && found.median <= found.high);
        assert_eq!((found.target_probability, found.trials_to_target), (None, None));
    }

    #[test]
    fn a_target_takes_more_trials_the_further_it_is() {
        let curve = falling(40);
        let outlook = Outlook::new(&curve, curve.clone());
        let near = outlook.trials_to(0.01);
        assert!(near.low < near.median && near.median.is_some(), "{near:?}");
        let far = outlook.trials_to(0.05);
        assert!(far.median.is_none_or(|trials| trials > near.median.unwrap()), "{far:?} after {near:?}");
        assert_eq!(outlook.trials_to(10.0), TargetForecast { low: None, median: None, high: None });
        assert_eq!(outlook.trials_to(0.0).high, Some(0));
        // It is the number after which the gain is as probable as that.
        let median = near.median.unwrap() as f64;
        assert!(
            reached(&outlook.gains(median), 0.01) >= 0.5 && reached(&outlook.gains(median - 1.0), 0.01) < 0.5
        );
    }
}
