//! `boxwood program run`: the child process in which a worker trains one trial.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use boxwood_client::Verdict;
use boxwood_client::child::{Message, Numbers, Session};
use boxwood_trainers::{
    ComputeDevice, Directive, PROGRAM, Report, Reporter, ResourceRange, TrialEnd, TrialRequest,
};
use serde_json::Value;

/// Numbers of a report that describe the run and not the model's quality.
const PLAIN: [&str; 2] = ["parameters", "peak_memory_bytes"];

pub(crate) fn run() -> Result<()> {
    let mut session = Session::from_env().context("start the program of a trial")?;
    let request = request(&session)?;
    let mut relay = Relay { session: &mut session, failure: None };
    let end = boxwood_trainers::run_program(&request, &mut relay);
    if let Some(failure) = relay.failure {
        return Err(failure);
    }
    match end? {
        TrialEnd::Infeasible { reason } => {
            session.infeasible(reason).context("tell the worker that the point is infeasible")
        }
        _ => Ok(()),
    }
}

fn request(session: &Session) -> Result<TrialRequest> {
    let trial = session.trial();
    if trial.program != PROGRAM {
        bail!("there is no built-in program `{}`; the built-in programs are: {PROGRAM}", trial.program);
    }
    let mut arguments = trial.arguments.clone();
    let data = arguments.remove("data").context("the study's program.arguments lack `data`")?;
    let device =
        arguments.remove("device").map_or_else(|| Ok(ComputeDevice::default()), serde_json::from_value);
    if let Some(name) = arguments.keys().next() {
        bail!("program.arguments.{name} is unknown; the arguments are: data, device");
    }
    Ok(TrialRequest {
        program: trial.program.clone(),
        arm: trial.arm.clone(),
        parameters: trial.parameters.clone().into_iter().collect(),
        resource: ResourceRange { from: trial.resource.from, to: trial.resource.to },
        seed: trial.seed,
        checkpoint_in: trial.checkpoint_in.clone(),
        checkpoint_out: trial.checkpoint_out.clone(),
        data: serde_json::from_value(data).context("program.arguments.data")?,
        threads: u32::try_from(trial.threads).unwrap_or(1).max(1),
        device: device.context("program.arguments.device")?,
    })
}

/// Hands the trainer's reports to the worker and the worker's verdicts to the trainer.
struct Relay<'a> {
    session: &'a mut Session,
    failure: Option<anyhow::Error>,
}

impl Reporter for Relay<'_> {
    fn report(&mut self, report: &Report) -> Directive {
        match message(report).and_then(|message| Ok(self.session.send(&message)?)) {
            Ok(verdict) => directive(verdict),
            Err(error) => {
                self.failure = Some(error.context("report to the worker"));
                Directive::Stop
            }
        }
    }

    fn poll(&mut self) -> Directive {
        directive(self.session.poll())
    }
}

/// Flat numbers of a report. Before the decay of the learning rate the names of qualities carry the prefix `stable_`: only
/// decayed evaluations are results of a rung.
fn message(report: &Report) -> Result<Message> {
    let Value::Object(fields) = serde_json::to_value(report)? else { bail!("a report is no JSON object") };
    let mut metrics = BTreeMap::new();
    for (name, value) in fields {
        let Some(number) = value.as_f64().filter(|_| name != "step" && name != "seconds") else { continue };
        let stable = !report.decayed && !PLAIN.contains(&name.as_str());
        metrics.insert(if stable { format!("stable_{name}") } else { name }, number);
    }
    Ok(Message::Report(Numbers { step: Some(report.step), metrics, seconds: Some(report.seconds) }))
}

fn directive(verdict: Verdict) -> Directive {
    match verdict {
        Verdict::Continue => Directive::Continue,
        Verdict::Yield => Directive::Yield,
        Verdict::Stop => Directive::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(decayed: bool) -> Report {
        Report {
            step: 3,
            decayed,
            auc: 0.7,
            logloss: 0.5,
            gauc: None,
            train_logloss: 0.4,
            seconds: 2.0,
            peak_memory_bytes: Some(7),
            parameters: 9,
            test_auc: None,
            test_logloss: None,
            test_gauc: None,
        }
    }

    #[test]
    fn only_decayed_reports_carry_the_objective() {
        let names = |decayed| match message(&report(decayed)).expect("a report is an object") {
            Message::Report(numbers) => numbers.metrics.into_keys().collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(names(true), ["auc", "logloss", "parameters", "peak_memory_bytes", "train_logloss"]);
        assert_eq!(
            names(false),
            ["parameters", "peak_memory_bytes", "stable_auc", "stable_logloss", "stable_train_logloss"]
        );
    }
}
