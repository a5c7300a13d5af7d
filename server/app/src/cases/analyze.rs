//! What a study's results say, for people to look at.

use std::str::FromStr;
use std::sync::Arc;

use boxwood_analysis::{
    Importance, ImportanceOptions, attributions, convergence, gain_forecast, hypervolume_history, importance,
    observed_at, observed_rung, pareto_front, predicted_best, surrogate_quality, variance_shares,
};
use boxwood_core::{Rung, StudyView, TrialNumber};
use boxwood_store::{Role, Store};
use boxwood_study::StudyId;
use serde::Serialize;
use serde_json::Value as Json;

use crate::error::AppError;
use crate::{App, Principal};

/// Trials that one answer attributes at most, and how many of the best ones where none are named.
const MOST_ATTRIBUTED: usize = 20;
const BEST_ATTRIBUTED: usize = 5;
/// Steps of a history in one answer.
const MOST_STEPS: usize = 1000;
/// Further trials that a forecast looks ahead at most.
const MOST_AHEAD: u64 = 1_000_000;

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnalysisKind {
    /// Importance of the parameters for being among the best results.
    Importance,
    /// Shares of the variance over the space, of parameters and of pairs.
    Interactions,
    /// What each parameter contributed to some trials' values.
    Attribution,
    /// How well the model predicts results that it was not shown.
    Quality,
    /// What further trials can be expected to bring.
    Forecast,
    /// The Pareto front.
    Front,
    /// Hypervolume of the front after each result.
    Hypervolume,
    /// Best value after each result.
    Convergence,
    /// The best point according to the model.
    Best,
}

impl AnalysisKind {
    /// All kinds with their names.
    const NAMES: [(&'static str, Self); 9] = [
        ("importance", Self::Importance),
        ("interactions", Self::Interactions),
        ("attribution", Self::Attribution),
        ("quality", Self::Quality),
        ("forecast", Self::Forecast),
        ("front", Self::Front),
        ("hypervolume", Self::Hypervolume),
        ("convergence", Self::Convergence),
        ("best", Self::Best),
    ];
}

impl FromStr for AnalysisKind {
    type Err = AppError;

    fn from_str(text: &str) -> Result<Self, AppError> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            AppError::invalid("kind", format!("`{text}` is none of {}", names.join(", ")))
        })
    }
}

/// One question about a study's results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnalysisRequest {
    /// What to look at.
    pub kind: AnalysisKind,
    /// Index of the objective; the front and its hypervolume look at all of them.
    pub objective: usize,
    /// `Attribution`: numbers of the trials, at most 20; the five best ones when empty.
    pub trials: Vec<TrialNumber>,
    /// `Forecast`: further trials, at most a million; as many as have a result when absent.
    pub more: Option<u64>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// Study.
    pub study: String,
    /// What was looked at.
    pub kind: AnalysisKind,
    /// Metric of the objective.
    pub metric: String,
    /// Newest change that was seen.
    pub change: u64,
    /// Rung whose results were looked at by kinds that look at one rung; absent without results.
    pub rung: Option<u32>,
    /// The answer, by kind; null where the results do not tell.
    pub answer: Json,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<&'static str>,
}

impl<S: Store> App<S> {
    /// Analyses the results of a study. Models are fitted on 300 results at most, whatever the study's length; one analysis
    /// is computed at a time, outside the pool of planners.
    pub async fn analyze(
        &self,
        caller: &Principal,
        id: StudyId,
        request: AnalysisRequest,
    ) -> Result<Analysis, AppError> {
        caller.require(Role::Viewer)?;
        self.check_study(caller, id).await?;
        let seen = self.sync(&self.hub(id)).await?;
        let Some(objective) = seen.view.problem().objectives().get(request.objective) else {
            let count = seen.view.problem().objectives().len();
            return Err(AppError::invalid("objective", format!("the study has {count}, counted from 0")));
        };
        if request.trials.len() > MOST_ATTRIBUTED {
            return Err(AppError::invalid("trials", format!("at most {MOST_ATTRIBUTED} at once")));
        }
        if request.more.is_some_and(|more| more > MOST_AHEAD) {
            return Err(AppError::invalid("more", format!("at most {MOST_AHEAD}")));
        }
        let (kind, metric) = (request.kind, objective.metric.clone());
        let (rung, view) = (observed_rung(&seen.view), Arc::clone(&seen.view));
        let turn = Arc::clone(&self.inner.analyses).acquire_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            answer(&view, rung, &request)
        });
        let answer = work.await.map_err(|panic| AppError::internal(&panic))?;
        let answer = answer.map_err(|error| AppError::internal(&error))?;
        let why_not = answer.is_null().then_some("too few results, or no model fits them");
        Ok(Analysis {
            study: seen.study.spec.name.clone(),
            kind,
            metric,
            change: seen.view.change().0,
            rung: rung.map(|rung| rung.0),
            answer,
            why_not,
        })
    }
}

/// The answer as JSON; null where there is none.
fn answer(
    view: &StudyView,
    rung: Option<Rung>,
    request: &AnalysisRequest,
) -> Result<Json, serde_json::Error> {
    let Some(rung) = rung else { return Ok(Json::Null) };
    let objective = request.objective;
    match request.kind {
        AnalysisKind::Importance => {
            let found: Option<Vec<Importance>> =
                importance(view, objective, rung, ImportanceOptions::default());
            serde_json::to_value(found)
        }
        AnalysisKind::Interactions => serde_json::to_value(variance_shares(view, objective, rung)),
        AnalysisKind::Attribution => {
            let best;
            let trials = if request.trials.is_empty() {
                best = best_trials(view, objective, rung);
                &best
            } else {
                &request.trials
            };
            serde_json::to_value(attributions(view, objective, rung, trials))
        }
        AnalysisKind::Quality => serde_json::to_value(surrogate_quality(view, objective, rung)),
        AnalysisKind::Forecast => {
            let more = request.more.unwrap_or(observed_at(view, rung).len() as u64);
            serde_json::to_value(gain_forecast(view, objective, more))
        }
        AnalysisKind::Front => serde_json::to_value(pareto_front(view)),
        AnalysisKind::Hypervolume => {
            let mut history = hypervolume_history(view);
            if let Some(history) = &mut history {
                thin(&mut history.steps);
            }
            serde_json::to_value(history)
        }
        AnalysisKind::Convergence => {
            let mut steps = convergence(view, objective);
            thin(&mut steps);
            serde_json::to_value(steps)
        }
        AnalysisKind::Best => serde_json::to_value(predicted_best(view, objective, rung)),
    }
}

/// The feasible trials with the least losses.
fn best_trials(view: &StudyView, objective: usize, rung: Rung) -> Vec<TrialNumber> {
    let mut feasible: Vec<(f64, TrialNumber)> = observed_at(view, rung)
        .iter()
        .filter(|observed| observed.is_feasible())
        .filter_map(|observed| Some((*observed.result.losses.get(objective)?, observed.trial.number)))
        .collect();
    feasible.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    feasible.into_iter().take(BEST_ATTRIBUTED).map(|(_, number)| number).collect()
}

/// Leaves evenly spaced steps of a long history, the last one among them.
fn thin<T>(steps: &mut Vec<T>) {
    let count = steps.len();
    if count <= MOST_STEPS {
        return;
    }
    let mut index = 0;
    steps.retain(|_| {
        index += 1;
        index * MOST_STEPS / count > (index - 1) * MOST_STEPS / count
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_kind_has_its_serialized_name() {
        for (name, kind) in AnalysisKind::NAMES {
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
            assert_eq!(name.parse::<AnalysisKind>().unwrap(), kind);
        }
        let error = "magic".parse::<AnalysisKind>().unwrap_err();
        assert!(matches!(error, AppError::Invalid { field, .. } if field == "kind"));
    }

    #[test]
    fn long_histories_are_thinned_to_their_end() {
        let mut steps: Vec<u32> = (1..=4321).collect();
        thin(&mut steps);
        assert_eq!((steps.len(), steps.last()), (MOST_STEPS, Some(&4321)));
        assert!(steps.windows(2).all(|pair| (4..=5).contains(&(pair[1] - pair[0]))));
        let mut few = vec![1, 2, 3];
        thin(&mut few);
        assert_eq!(few, [1, 2, 3]);
    }
}
