//! Rules that end a running trial below the top rung when it is not worth training on.
//!
//! A rule reads the trial's results at the rungs it has passed and those of the other trials; it is part of every solver
//! that runs its trials in full. Losses are of the first objective, smaller is better; s is the trial's last rung.

mod forecast;

use boxwood_core::{Problem, Rung, StudyView, TrialNumber, TrialStatus, TrialView, Unsupported, Verdict};

use crate::parameters::{ParameterInfo, ParameterKind, Parameters};
use forecast::Curves;

/// Parameters of early stopping.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "early_stopping",
        kind: ParameterKind::Choice {
            default: "none",
            choices: &["none", "median", "percentile", "threshold", "forecast"],
        },
        meaning: "Rule that ends a trial below the top rung; needs a study with several rungs and one objective.",
    },
    ParameterInfo {
        name: "stopping_after",
        kind: ParameterKind::Integer { default: 5, low: 1, high: 1_000_000 },
        meaning: "Trials that must have results to compare with before one is stopped; not used by `threshold`.",
    },
    ParameterInfo {
        name: "stopping_rung",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 1_000 },
        meaning: "Lowest rung at which a trial is stopped, counted from 0.",
    },
    ParameterInfo {
        name: "stopping_percentile",
        kind: ParameterKind::Number { default: 50.0, low: 0.0, high: 100.0 },
        meaning: "With `percentile`: share of trials, in percent and best first, among which a trial goes on.",
    },
    ParameterInfo {
        name: "stopping_threshold",
        kind: ParameterKind::OptionalNumber { low: f64::MIN, high: f64::MAX },
        meaning: "With `threshold`: value of the metric; a trial whose result is worse is stopped.",
    },
    ParameterInfo {
        name: "stopping_probability",
        kind: ParameterKind::Number { default: 0.05, low: 0.0, high: 1.0 },
        meaning: "With `forecast`: a trial is stopped when it beats the best full result with less probability.",
    },
    ParameterInfo {
        name: "stopping_curves",
        kind: ParameterKind::Choice { default: "nearest", choices: &["nearest", "parametric", "both"] },
        meaning: "With `forecast`: what continues the trial's curve. Curves of other trials that are alike so far; saturating \
                  curves (powers, exponentials, ...) through its own results; or both, which must then both be sure.",
    },
];

/// A rule and from when on it is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EarlyStopping {
    rule: Rule,
    after: usize,
    rung: Rung,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    Median,
    Percentile(f64),
    /// Native value of the metric.
    Threshold(f64),
    Forecast {
        /// Least probability of beating the best.
        probability: f64,
        curves: Curves,
    },
}

impl EarlyStopping {
    /// The rule that the specification names, if any.
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Option<Self>, Unsupported> {
        let rule = match parameters.choice("early_stopping")? {
            "median" => Rule::Median,
            "percentile" => Rule::Percentile(parameters.number("stopping_percentile")?),
            "threshold" => {
                let value = parameters.optional_number("stopping_threshold")?;
                Rule::Threshold(value.ok_or_else(|| {
                    parameters
                        .refuse("`stopping_threshold` must be given with `early_stopping` = `threshold`")
                })?)
            }
            "forecast" => Rule::Forecast {
                probability: parameters.number("stopping_probability")?,
                curves: match parameters.choice("stopping_curves")? {
                    "parametric" => Curves::Parametric,
                    "both" => Curves::Both,
                    _ => Curves::Nearest,
                },
            },
            _ => return Ok(None),
        };
        let after = parameters.integer("stopping_after")? as usize;
        let rung = Rung(parameters.integer("stopping_rung")? as u32);
        Ok(Some(Self { rule, after, rung }))
    }

    /// Whether the rule can serve the problem; the reason when it cannot.
    pub(crate) fn accepts(problem: &Problem) -> Result<(), String> {
        if problem.ladder().len() < 2 {
            return Err("early_stopping: the study has no rung below the top".into());
        }
        if problem.objectives().len() > 1 {
            return Err("early_stopping: trials are compared by one objective".into());
        }
        Ok(())
    }

    /// Judges a running trial by its results so far.
    pub(crate) fn judge(&self, view: &StudyView, number: TrialNumber) -> Verdict {
        let Some(trial) = view.trial(number) else { return Verdict::Continue };
        let Some(last) = trial.last() else { return Verdict::Continue };
        if last.rung < self.rung || last.rung >= view.problem().ladder().top() {
            return Verdict::Continue;
        }
        let reason = match self.rule {
            Rule::Median => self.by_median(view, trial, last.rung),
            Rule::Percentile(percentile) => self.by_percentile(view, trial, last.rung, percentile),
            Rule::Threshold(value) => by_threshold(view.problem(), trial, value),
            Rule::Forecast { probability, curves } => {
                forecast::reason(view, trial, last.rung, self.after, curves, probability)
            }
        };
        reason.map_or(Verdict::Continue, Verdict::Stop)
    }

    /// Stopped when the best loss up to s is worse than the median of the completed trials' mean losses up to s
    /// (Golovin et al., "Google Vizier", KDD 2017, section 3.2.2).
    fn by_median(&self, view: &StudyView, trial: &TrialView, rung: Rung) -> Option<String> {
        let others = others(view, trial).filter(|other| other.status == TrialStatus::Completed);
        let means: Vec<f64> = others.filter_map(|other| mean(&losses(other, rung))).collect();
        if means.len() < self.after {
            return None;
        }
        let (best, median) = (least(&losses(trial, rung))?, quantile(means, 0.5)?);
        (best > median).then(|| {
            format!(
                "median rule at rung {}: {best} is worse than the median {median} of completed trials",
                rung.0
            )
        })
    }

    /// Stopped when the best loss up to s is worse than the percentile of the other trials' best losses up to s.
    fn by_percentile(
        &self,
        view: &StudyView,
        trial: &TrialView,
        rung: Rung,
        percentile: f64,
    ) -> Option<String> {
        let reached = others(view, trial).filter(|other| loss_at(other, rung).is_some());
        let bests: Vec<f64> = reached.filter_map(|other| least(&losses(other, rung))).collect();
        if bests.len() < self.after {
            return None;
        }
        let (best, bound) = (least(&losses(trial, rung))?, quantile(bests, percentile / 100.0)?);
        (best > bound).then(|| {
            format!("percentile rule at rung {}: {best} is worse than {bound} ({percentile} %)", rung.0)
        })
    }
}

/// Stopped when the last result is worse than a value of the metric.
fn by_threshold(problem: &Problem, trial: &TrialView, value: f64) -> Option<String> {
    let bound = problem.objectives()[0].loss(value).ok()?.get();
    let last = trial.last()?;
    let loss = *last.losses.first()?;
    (loss > bound).then(|| format!("threshold at rung {}: worse than {value}", last.rung.0))
}

/// Every other trial that was not withdrawn.
fn others<'a>(view: &'a StudyView, trial: &TrialView) -> impl Iterator<Item = &'a TrialView> {
    let number = trial.number;
    let counts = move |other: &&TrialView| other.number != number && other.status != TrialStatus::Cancelled;
    view.trials().iter().filter(counts)
}

fn loss_at(trial: &TrialView, rung: Rung) -> Option<f64> {
    trial.result(rung)?.losses.first().copied()
}

/// Losses up to a rung, by rising rung.
fn losses(trial: &TrialView, rung: Rung) -> Vec<f64> {
    let passed = trial.results.iter().filter(|result| result.rung <= rung);
    passed.filter_map(|result| result.losses.first().copied()).collect()
}

fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::min)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The interquartile range.
fn spread(values: Vec<f64>) -> Option<f64> {
    Some(quantile(values.clone(), 0.75)? - quantile(values, 0.25)?)
}

/// The quantile at a share in [0, 1], interpolated between order statistics.
fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let place = share * values.len().checked_sub(1)? as f64;
    let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests;
