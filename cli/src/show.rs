//! How studies and trials look in tables and in JSON.

use boxwood_wire::v1::{Study, StudyState, Trial, TrialState};
use serde_json::{Value, json};

use crate::output;

/// Name of a study's state.
pub(crate) fn study_state(study: &Study) -> String {
    name(StudyState::try_from(study.state).map(|s| s.as_str_name().to_owned()), "STUDY_STATE_")
}

/// Name of a trial's state.
pub(crate) fn trial_state(trial: &Trial) -> String {
    name(TrialState::try_from(trial.state).map(|s| s.as_str_name().to_owned()), "TRIAL_STATE_")
}

fn name<E>(full: Result<String, E>, prefix: &str) -> String {
    full.map_or_else(|_| "unknown".into(), |full| full.trim_start_matches(prefix).to_lowercase())
}

/// State from the name that a person typed.
pub(crate) fn parse_trial_state(text: &str) -> anyhow::Result<TrialState> {
    let full = format!("TRIAL_STATE_{}", text.to_uppercase());
    match TrialState::from_str_name(&full) {
        Some(TrialState::Unspecified) | None => anyhow::bail!(
            "`{text}` is no trial state; the states are queued, leased, paused, completed, pruned, infeasible, failed, cancelled"
        ),
        Some(state) => Ok(state),
    }
}

/// Seconds since the epoch of a wire time.
pub(crate) fn seconds(time: Option<&prost_types::Timestamp>) -> Option<f64> {
    time.map(|time| time.seconds as f64 + f64::from(time.nanos) / 1e9)
}

/// The document of a study.
pub(crate) fn study_json(study: &Study) -> Value {
    json!({
        "id": study.id, "project": study.project, "name": study.name, "state": study_state(study),
        "state_reason": study.state_reason, "archived": study.archived, "change": study.change,
        "plan": study.plan, "counts": study.counts, "trials": study.trials,
        "resource_used": study.resource_used, "training_seconds": study.training_seconds,
        "spec": parsed(&study.spec_json),
        "created_at": seconds(study.created_at.as_ref()), "finished_at": seconds(study.finished_at.as_ref()),
        "best": study.best.as_ref().map(trial_json),
    })
}

/// The document of a trial.
pub(crate) fn trial_json(trial: &Trial) -> Value {
    json!({
        "id": trial.id, "study": trial.study, "number": trial.number, "point": parsed(&trial.point_json),
        "origin": trial.origin, "provenance": parsed(&trial.provenance_json), "state": trial_state(trial),
        "target_rung": trial.target_rung, "reached_rung": trial.reached_rung, "epoch": trial.epoch,
        "worker": trial.worker, "failed_attempts": trial.failed_attempts, "lost_leases": trial.lost_leases,
        "checkpoint": trial.checkpoint, "metrics": trial.metrics, "value": trial.value,
        "seconds": trial.seconds, "reason": trial.reason,
        "created_at": seconds(trial.created_at.as_ref()), "started_at": seconds(trial.started_at.as_ref()),
        "finished_at": seconds(trial.finished_at.as_ref()),
    })
}

/// JSON text as a value; text that does not parse stays text.
pub(crate) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// A table of trials.
pub(crate) fn trials(trials: &[Trial]) -> String {
    let mut table = output::table(["number", "id", "state", "value", "rung", "seconds", "sampler", "point"]);
    for trial in trials {
        let provenance = parsed(&trial.provenance_json);
        table.add_row([
            trial.number.to_string(),
            trial.id.to_string(),
            trial_state(trial),
            trial.value.map(output::number).unwrap_or_default(),
            trial.reached_rung.map(|rung| rung.to_string()).unwrap_or_default(),
            format!("{:.1}", trial.seconds),
            provenance["sampler"].as_str().unwrap_or(&trial.origin).to_owned(),
            output::point(&trial.point_json),
        ]);
    }
    output::right(&mut table, [0, 1, 3, 4, 5]);
    output::lines(&table)
}
