//! Whether a running trial will beat the best full result.
//!
//! Two answers, alone or together: what curves that were alike so far still gained, and where saturating curves through the
//! trial's own results go. Losses are of the first objective; s is the trial's last rung.

use boxwood_core::{Rung, Seed, StudyView, TrialView};
use boxwood_numeric::normal_cdf;
use boxwood_surrogate::{CurvePosterior, CurvePrior};

use super::{loss_at, others, quantile, spread};

/// Curves are compared in units of the spread of losses; a curve one such unit times this away has half the weight.
const BANDWIDTH: f64 = 0.5;
/// Fewest degrees of freedom of a forecast: below, Student's distribution has no variance.
const LEAST_FREEDOM: f64 = 3.0;

/// Deviation of the noise of a curve's points that is expected before they are seen, in units of the spread of losses.
const NOISE: f64 = 0.05;
/// Interquartile ranges of full losses in the deviation of the level that a curve is expected to fall to.
const LEVEL_SPREADS: f64 = 1.5;

/// What a trial's curve is continued by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curves {
    /// Curves of other trials.
    Nearest,
    /// Saturating curves through its own results.
    Parametric,
    /// Each of them, the one that gives the trial more of a chance.
    Both,
}

/// Where a trial ends, and the probability that it beats the best.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Forecast {
    end: f64,
    chance: f64,
}

/// The other trials with results at s and at the top, and what is to be beaten.
struct Others<'a> {
    /// Trial, loss at s, loss at the top.
    curves: Vec<(&'a TrialView, f64, f64)>,
    best: f64,
    /// The wider one of the interquartile ranges at s and at the top.
    spread: f64,
}

/// Why the trial is stopped, if a forecast of its loss at the top leaves too little probability of beating the best one
/// there. None with fewer than `after` other trials to compare with.
pub(super) fn reason(
    view: &StudyView,
    trial: &TrialView,
    rung: Rung,
    after: usize,
    curves: Curves,
    probability: f64,
) -> Option<String> {
    let top = view.problem().ladder().top();
    let now = loss_at(trial, rung)?;
    let compared: Vec<(&TrialView, f64, f64)> = others(view, trial)
        .filter_map(|other| Some((other, loss_at(other, rung)?, loss_at(other, top)?)))
        .collect();
    if compared.len() < after {
        return None;
    }
    let best = compared.iter().map(|(_, _, last)| *last).fold(f64::INFINITY, f64::min);
    let at_rung: Vec<f64> = compared.iter().map(|(_, loss, _)| *loss).collect();
    let at_top: Vec<f64> = compared.iter().map(|(.., last)| *last).collect();
    let others = Others { curves: compared, best, spread: spread(at_rung)?.max(spread(at_top)?) };
    let found = match curves {
        Curves::Nearest => nearest(trial, rung, now, &others)?,
        Curves::Parametric => parametric(view, trial, rung, &others)?,
        Curves::Both => {
            let nearest = nearest(trial, rung, now, &others).filter(|found| found.chance < probability)?;
            let parametric = parametric(view, trial, rung, &others)?;
            if nearest.chance >= parametric.chance { nearest } else { parametric }
        }
    };
    let Forecast { end, chance } = found;
    (chance < probability).then(|| {
        format!(
            "forecast at rung {}: {now} would end at {end} and beat {best} with probability {chance:.3}",
            rung.0
        )
    })
}

/// The loss at the top is the present one less what similar curves still gained from s on. A completed trial's gain
/// has weight `1 / (1 + d^2)`, d being the root mean square distance of the two curves up to s in units of
/// [`BANDWIDTH`] times the interquartile range of losses, at s or at the top, whichever is wider. With n effective
/// curves, `(sum w)^2 / sum w^2`, the forecast is normal with the weighted mean and the variance of Student's
/// predictive distribution, `(1 + 1/n) v f / (f - 2)` for `f = n - 1` degrees of freedom. Gains often have two modes
/// (a plateau that some curves leave), so that the chance is at least the weighted share of gains that would win,
/// `(wins + 1/2) / (n + 1)`: nothing is stopped before n is about `1 / (2 p)`.
fn nearest(trial: &TrialView, rung: Rung, now: f64, others: &Others<'_>) -> Option<Forecast> {
    let unit = BANDWIDTH * others.spread;
    let weight = |other| 1.0 / (1.0 + distance(trial, other, rung, unit));
    let weights: Vec<f64> = others.curves.iter().map(|(other, ..)| weight(other)).collect();
    let (total, squares) =
        (weights.iter().sum::<f64>(), weights.iter().map(|weight| weight * weight).sum::<f64>());
    let gains: Vec<f64> = others.curves.iter().map(|(_, loss, last)| loss - last).collect();
    let weighted = |values: &dyn Fn(f64) -> f64| {
        weights.iter().zip(&gains).map(|(weight, gain)| weight * values(*gain)).sum::<f64>() / total
    };
    let effective = total * total / squares;
    let gain = weighted(&|gain| gain);
    let variance =
        weighted(&|value| (value - gain) * (value - gain)) * effective / (effective - 1.0).max(1.0);
    let freedom = (effective - 1.0).max(LEAST_FREEDOM);
    let deviation = ((1.0 + 1.0 / effective) * variance * freedom / (freedom - 2.0)).sqrt();
    let wins = weighted(&|gain| f64::from(u8::from(now - gain < others.best))) * effective;
    let counted = (wins + 0.5) / (effective + 1.0);
    let chance = normal_cdf((others.best - (now - gain)) / deviation).max(counted);
    // Nothing alike, or curves without any spread, gives no forecast.
    (deviation > 0.0).then_some(Forecast { end: now - gain, chance })
}

/// The loss at the top by saturating curves through the trial's results up to s. The other trials tell before where such
/// curves end (median and spread of their full losses), how much they fall (root mean square from their first results)
/// and how rough they may be; the trial's own results tell the rest.
fn parametric(view: &StudyView, trial: &TrialView, rung: Rung, others: &Others<'_>) -> Option<Forecast> {
    let problem = view.problem();
    let horizon = problem.ladder().resource(problem.ladder().top()).0 as f64;
    let passed = trial.results.iter().filter(|result| result.rung <= rung);
    let points: Option<Vec<(f64, f64)>> = passed
        .map(|result| {
            let time = problem.ladder().resource(result.rung).0 as f64 / horizon;
            Some((time, *result.losses.first()?))
        })
        .collect();
    let (times, losses): (Vec<f64>, Vec<f64>) = points?.into_iter().unzip();
    let ends: Vec<f64> = others.curves.iter().map(|(.., last)| *last).collect();
    let falls = others.curves.iter().filter_map(|(other, _, last)| {
        other.results.first().and_then(|first| first.losses.first()).map(|first| (first - last).powi(2))
    });
    let prior = CurvePrior {
        level: quantile(ends.clone(), 0.5)?,
        level_deviation: LEVEL_SPREADS * spread(ends)?,
        fall: (falls.sum::<f64>() / others.curves.len() as f64).sqrt(),
        noise: NOISE * others.spread,
    };
    let seed = Seed(problem.seed()).derive("curves", u64::from(trial.number.0)).0;
    let posterior = CurvePosterior::fit(&times, &losses, 1.0, prior, seed)?;
    Some(Forecast { end: posterior.mean(1.0), chance: posterior.probability_below(1.0, others.best) })
}

/// Mean squared distance of two curves over the rungs up to `rung` that both have, in the given unit.
fn distance(trial: &TrialView, other: &TrialView, rung: Rung, unit: f64) -> f64 {
    let both = trial
        .results
        .iter()
        .filter(|result| result.rung <= rung)
        .filter_map(|result| Some((result.losses.first()? - loss_at(other, result.rung)?).powi(2)));
    let (sum, count) = both.fold((0.0, 0_u32), |(sum, count), square| (sum + square, count + 1));
    if unit > 0.0 { sum / f64::from(count.max(1)) / (unit * unit) } else { 0.0 }
}
