//! What a new study takes over from earlier ones.

use boxwood_core::{Change, SourceSpec, SourceTrial};
use boxwood_store::Store;
use boxwood_study::{ProjectId, StudyRecord, StudySpec, TrialRecord, TrialState};

use crate::App;
use crate::error::AppError;

/// Trials taken over from a study: as many as a model of it uses by default.
const TRIALS: usize = 100;

impl<S: Store> App<S> {
    /// The specification with the results of the studies named in `transfer_from` as further sources. One that already
    /// has a source of that name keeps it, so that a stored specification can be created again as it stands.
    pub(super) async fn with_sources(
        &self,
        project: ProjectId,
        mut spec: StudySpec,
    ) -> Result<StudySpec, AppError> {
        for (index, name) in spec.transfer_from.iter().enumerate() {
            if spec.sources.iter().any(|source| source.name == *name) {
                continue;
            }
            let found = self.inner.store.study_by_name(project, name).await?;
            let study = found.ok_or_else(|| {
                let reason = format!("the project has no study `{name}`");
                AppError::invalid(format!("transfer_from[{index}]"), reason)
            })?;
            let rows = self.inner.store.rows_since(study.id, Change(0)).await?;
            let trials = best_and_spread(&study, rows.trials);
            spec.sources.push(SourceSpec { name: name.clone(), trials });
        }
        Ok(spec)
    }
}

/// At most [`TRIALS`] completed trials in order of their numbers: the best half of that many by the study's own first
/// objective (violations of its constraints first), the others evenly spread over the ranks that are left.
fn best_and_spread(study: &StudyRecord, trials: Vec<TrialRecord>) -> Vec<SourceTrial> {
    let mut ranked: Vec<(f64, f64, TrialRecord)> =
        trials.into_iter().filter_map(|trial| ranks(&study.spec, trial)).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.number.cmp(&b.2.number)));
    if ranked.len() > TRIALS {
        let rest = ranked.split_off(TRIALS / 2);
        let (wanted, left) = (TRIALS - ranked.len(), rest.len());
        // The last of each of `wanted` stretches of equal length: the worst trial is always among them.
        let mut kept = (1..=wanted).map(|stretch| stretch * left / wanted - 1).peekable();
        for (place, trial) in rest.into_iter().enumerate() {
            if kept.next_if_eq(&place).is_some() {
                ranked.push(trial);
            }
        }
    }
    ranked.sort_by_key(|(_, _, trial)| trial.number);
    let source = |(_, _, trial): (f64, f64, TrialRecord)| {
        let metrics = trial.metrics.unwrap_or_default();
        SourceTrial { point: trial.point, metrics }
    };
    ranked.into_iter().map(source).collect()
}

/// Total violation and first loss of a completed trial.
fn ranks(spec: &StudySpec, trial: TrialRecord) -> Option<(f64, f64, TrialRecord)> {
    let metrics = trial.metrics.as_ref().filter(|_| trial.state == TrialState::Completed)?;
    metrics.check().ok()?;
    let objective = spec.objectives.first()?;
    let loss = objective.loss(metrics.get(&objective.metric)?).ok()?.get();
    let mut violation = 0.0;
    for constraint in &spec.constraints {
        violation += constraint.violation(metrics.get(&constraint.metric)?).ok()?.max(0.0);
    }
    Some((violation, loss, trial))
}
