//! `boxwood trial ...`

use anyhow::{Context, Result, bail};
use boxwood_wire::v1::{CancelTrialRequest, EnqueueRequest, GetTrialRequest, Trial, TrialOrder};
use serde_json::{Value, json};

use crate::args::TrialCommand;
use crate::command::study::list_trials;
use crate::output;
use crate::remote::{Remote, plain, request_id};
use crate::show;

pub(crate) async fn run(remote: &Remote, command: TrialCommand, as_json: bool) -> Result<()> {
    match command {
        TrialCommand::List { study, states, order, limit } => {
            let order = match order.as_str() {
                "number" => TrialOrder::Number,
                "newest" => TrialOrder::Newest,
                "best" => TrialOrder::Best,
                other => bail!("`{other}` is no order; the orders are number, newest and best"),
            };
            let states = states
                .iter()
                .map(|state| show::parse_trial_state(state).map(i32::from))
                .collect::<Result<Vec<_>>>()?;
            let study = remote.study(&study.study).await?;
            let trials = list_trials(remote, study.id, states, order, limit).await?;
            if as_json {
                return output::json(&trials.iter().map(show::trial_json).collect::<Vec<_>>());
            }
            println!("{}", show::trials(&trials));
            Ok(())
        }
        TrialCommand::Show { id } => show_one(remote, id, as_json).await,
        TrialCommand::Enqueue { study, point } => {
            serde_json::from_str::<serde_json::Map<String, Value>>(&point)
                .context("the point must be a JSON object such as '{\"lr\": 0.01}'")?;
            let study = remote.study(&study.study).await?;
            let request =
                EnqueueRequest { study: study.id, points_json: vec![point], request_id: request_id() };
            let answer = remote.trials().enqueue(request).await.map_err(|s| plain(&s))?.into_inner();
            for trial in &answer.trials {
                print_one(trial, "enqueued", as_json)?;
            }
            Ok(())
        }
        TrialCommand::Retry { id } => {
            let answer = remote.trials().retry_trial(GetTrialRequest { id }).await.map_err(|s| plain(&s))?;
            print_one(&answer.into_inner(), "queued again", as_json)
        }
        TrialCommand::Cancel { id, reason } => {
            let request = CancelTrialRequest { id, reason };
            let answer = remote.trials().cancel_trial(request).await.map_err(|s| plain(&s))?;
            print_one(&answer.into_inner(), "cancelled", as_json)
        }
    }
}

fn print_one(trial: &Trial, what: &str, as_json: bool) -> Result<()> {
    if as_json {
        return output::json(&show::trial_json(trial));
    }
    println!("trial {} (number {}) {what}: {}", trial.id, trial.number, output::point(&trial.point_json));
    Ok(())
}

async fn show_one(remote: &Remote, id: i64, as_json: bool) -> Result<()> {
    let answer = remote.trials().get_trial(GetTrialRequest { id }).await.map_err(|s| plain(&s))?.into_inner();
    let trial = answer.trial.context("the server's answer holds no trial")?;
    if as_json {
        let curve: Vec<Value> = answer
            .curve
            .iter()
            .map(|point| json!({"epoch": point.epoch, "step": point.step, "metrics": point.metrics, "seconds": point.seconds}))
            .collect();
        let mut document = show::trial_json(&trial);
        document["curve"] = curve.into();
        return output::json(&document);
    }
    println!("trial {} (number {} of study {})", trial.id, trial.number, trial.study);
    println!("  state       {}", show::trial_state(&trial));
    if !trial.reason.is_empty() {
        println!("  reason      {}", trial.reason);
    }
    println!("  point       {}", output::point(&trial.point_json));
    println!("  proposed    {}", output::point(&trial.provenance_json));
    if let Some(value) = trial.value {
        println!("  value       {}", output::number(value));
    }
    println!("  trained     {} in {} leases", output::duration(trial.seconds), trial.epoch);
    if !answer.curve.is_empty() {
        println!("  curve");
        let names: Vec<&String> = answer.curve[0].metrics.keys().collect();
        for point in &answer.curve {
            let mut cells: Vec<String> = names
                .iter()
                .filter_map(|name| {
                    point.metrics.get(*name).map(|value| format!("{name} {}", output::number(*value)))
                })
                .collect();
            cells.sort();
            println!("    step {:>4}  {}", point.step, cells.join("  "));
        }
    }
    Ok(())
}
