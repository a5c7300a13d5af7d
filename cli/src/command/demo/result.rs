//! What the demo found.

use std::collections::BTreeMap;

use anyhow::Result;
use boxwood_wire::v1::{Study, Trial, TrialOrder};
use serde_json::{Value, json};

use super::{MANY_TRIALS, progress};
use crate::command::study::list_trials;
use crate::output;
use crate::remote::Remote;
use crate::show;

/// The result of a finished demo.
pub(crate) struct DemoReport {
    study: Study,
    data: String,
    seconds: f64,
    /// Best trial of each arm that has one with a value.
    best_per_arm: BTreeMap<String, Trial>,
    trials_per_arm: BTreeMap<String, usize>,
    explained: Value,
}

/// Reads the study once more.
pub(crate) async fn collect(remote: &Remote, study: &str, data: &str, seconds: f64) -> Result<DemoReport> {
    let study = remote.study(study).await?;
    let trials = list_trials(remote, study.id, Vec::new(), TrialOrder::Number, MANY_TRIALS).await?;
    let explained = remote.studies().explain_study(remote.study_request(&study.id.to_string())).await;
    let explained = explained.map(|document| show::parsed(&document.into_inner().json)).unwrap_or_default();
    let mut best_per_arm: BTreeMap<String, Trial> = BTreeMap::new();
    let mut trials_per_arm = BTreeMap::new();
    for trial in trials {
        let Some(arm) = progress::arm(&trial) else { continue };
        *trials_per_arm.entry(arm.clone()).or_default() += 1;
        let Some(value) = trial.value else { continue };
        let rank = (trial.reached_rung, value);
        let better = best_per_arm
            .get(&arm)
            .is_none_or(|best| rank > (best.reached_rung, best.value.unwrap_or(f64::NEG_INFINITY)));
        if better {
            best_per_arm.insert(arm, trial);
        }
    }
    Ok(DemoReport { study, data: data.to_owned(), seconds, best_per_arm, trials_per_arm, explained })
}

impl DemoReport {
    /// Whether nothing was measured.
    pub(crate) fn best_is_missing(&self) -> bool {
        self.study.best.is_none()
    }

    /// The result as a document.
    pub(crate) fn document(&self) -> Value {
        let arms: Vec<Value> = self
            .trials_per_arm
            .iter()
            .map(|(arm, trials)| {
                json!({"arm": arm, "trials": trials, "best": self.best_per_arm.get(arm).map(show::trial_json)})
            })
            .collect();
        json!({
            "study": show::study_json(&self.study), "data": self.data, "seconds": self.seconds,
            "arms": arms, "bandit": self.explained["arms"],
        })
    }

    /// The result for people.
    pub(crate) fn print(&self, database: &str) {
        println!();
        let Some(best) = &self.study.best else {
            println!("no trial was measured");
            return;
        };
        println!(
            "{} after {} and {} trials on {}",
            show::study_state(&self.study),
            output::duration(self.seconds),
            self.study.trials,
            self.data
        );
        println!();
        println!("best configuration (trial {}):", best.number);
        if let Value::Object(point) = show::parsed(&best.point_json) {
            for (name, value) in point {
                let text = match &value {
                    Value::Number(n) if n.is_f64() => output::number(n.as_f64().unwrap_or_default()),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                println!("  {name:<28} {text}");
            }
        }
        println!("  validation AUC {:.4}", best.value.unwrap_or_default());
        if let Some(test) = best.metrics.get("test_auc") {
            println!("  test AUC       {test:.4}");
        }
        println!();
        let mut table = output::table(["arm", "trials", "best auc", "test auc", "rung", "bandit"]);
        for (arm, trials) in &self.trials_per_arm {
            let best = self.best_per_arm.get(arm);
            let metric = |name: &str| {
                best.and_then(|best| best.metrics.get(name))
                    .map(|value| format!("{value:.4}"))
                    .unwrap_or_default()
            };
            table.add_row([
                arm.clone(),
                trials.to_string(),
                metric("auc"),
                metric("test_auc"),
                best.and_then(|best| best.reached_rung).map(|rung| rung.to_string()).unwrap_or_default(),
                self.fate(arm),
            ]);
        }
        output::right(&mut table, [1, 2, 3, 4]);
        println!("{}", output::lines(&table));
        println!();
        let (database, id) = (shell_word(database), self.study.id);
        println!("look further:");
        println!("  boxwood serve --database {database}");
        println!(
            "  boxwood study show {id}      boxwood study explain {id}      boxwood trial list {id} --order best"
        );
        println!("  boxwood study replay {id}    boxwood study export {id} -o trials.csv");
    }

    /// What the bandit thinks of an arm.
    fn fate(&self, arm: &str) -> String {
        let reports = self.explained["arms"].as_array();
        let Some(report) = reports.and_then(|arms| arms.iter().find(|report| report["arm"] == arm)) else {
            return String::new();
        };
        if report["bandit"]["alive"].as_bool() != Some(false) {
            return "alive".into();
        }
        match report["bandit"]["reason"].as_str() {
            Some(reason) => format!("eliminated: {reason}"),
            None => "eliminated".into(),
        }
    }
}

/// A word that a shell reads as one.
fn shell_word(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._:-@=+".contains(c));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
