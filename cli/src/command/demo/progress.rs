//! Live progress of the demo on the terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use boxwood_wire::v1::{Study, Trial, TrialState};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::output;

/// Lines that are redrawn in place; where there is no terminal, a line every few seconds.
pub(crate) struct Progress {
    limit: f64,
    lines: Vec<ProgressBar>,
    terminal: bool,
    last_line: f64,
    _group: MultiProgress,
}

/// Seconds between lines without a terminal.
const LINE_EVERY: f64 = 10.0;

impl Progress {
    /// A display for a run of at most `limit` seconds.
    pub(crate) fn new(limit: f64) -> Self {
        let group = MultiProgress::new();
        let terminal = !group.is_hidden();
        let style = ProgressStyle::with_template("{msg}").expect("the template is constant and valid");
        let lines = (0..5)
            .map(|_| {
                let line = group.add(ProgressBar::new_spinner().with_style(style.clone()));
                line.enable_steady_tick(Duration::from_secs(1));
                line
            })
            .collect();
        Self { limit, lines, terminal, last_line: f64::NEG_INFINITY, _group: group }
    }

    /// Shows the state of the study.
    pub(crate) fn show(&mut self, study: &Study, trials: &[Trial], explained: &Value, elapsed: f64) {
        let facts = facts(study, trials, explained, elapsed, self.limit);
        if self.terminal {
            for (line, fact) in self.lines.iter().zip(&facts) {
                line.set_message(fact.clone());
            }
        } else if elapsed - self.last_line >= LINE_EVERY {
            self.last_line = elapsed;
            println!("{}", facts.join(" | "));
        }
    }

    /// Leaves the last state on the terminal.
    pub(crate) fn end(&self) {
        for line in &self.lines {
            line.disable_steady_tick();
            line.abandon();
        }
    }
}

fn facts(study: &Study, trials: &[Trial], explained: &Value, elapsed: f64, limit: f64) -> Vec<String> {
    let best = match &study.best {
        Some(best) => format!(
            "best AUC {:.4} (trial {}, {})",
            best.value.unwrap_or_default(),
            best.number,
            arm(best).unwrap_or_default()
        ),
        None => "no result yet".into(),
    };
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rungs: BTreeMap<u32, usize> = BTreeMap::new();
    for trial in trials {
        let state = match trial.state() {
            TrialState::Queued => "queued",
            TrialState::Leased => "running",
            TrialState::Paused => "paused",
            TrialState::Completed => "completed",
            TrialState::Pruned => "pruned",
            TrialState::Infeasible => "infeasible",
            TrialState::Failed => "failed",
            TrialState::Cancelled | TrialState::Unspecified => continue,
        };
        *states.entry(state).or_default() += 1;
        if let Some(rung) = trial.reached_rung {
            *rungs.entry(rung).or_default() += 1;
        }
    }
    let states: Vec<String> = states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let epochs = crate::show::parsed(&study.spec_json)["fidelity"]["rungs"].clone();
    let rungs: Vec<String> = rungs
        .iter()
        .map(|(rung, n)| match epochs.get(*rung as usize) {
            Some(epochs) => format!("{n} at {epochs} epochs"),
            None => format!("{n} at rung {rung}"),
        })
        .collect();
    vec![
        format!("{}  {} left", best, output::duration(limit - elapsed)),
        format!("trials   {}", states.join(", ")),
        format!("rungs    {}", if rungs.is_empty() { "none reached".into() } else { rungs.join(", ") }),
        format!("arms     {}", arms(explained, trials)),
    ]
}

/// Arm of a trial.
pub(crate) fn arm(trial: &Trial) -> Option<String> {
    crate::show::parsed(&trial.provenance_json)["arm"].as_str().map(str::to_owned)
}

fn arms(explained: &Value, trials: &[Trial]) -> String {
    let Some(reports) = explained["arms"].as_array().filter(|arms| !arms.is_empty()) else {
        return "not started".into();
    };
    let describe = |report: &Value| {
        let name = report["arm"].as_str().unwrap_or_default();
        let count = trials.iter().filter(|trial| arm(trial).as_deref() == Some(name)).count();
        let state = if report["bandit"]["alive"].as_bool() == Some(false) { " out" } else { "" };
        format!("{name} {count}{state}")
    };
    reports.iter().map(describe).collect::<Vec<_>>().join(", ")
}
