//! Trains one configuration and prints its reports, for measurements.
//!
//! Usage: `train_once FOLDER|synthetic ARM EPOCHS [name=value ...]`

use std::collections::BTreeMap;
use std::time::Instant;

use boxwood_trainers::{
    ComputeDevice, DataKind, DataRequest, Directive, PROGRAM, Report, ResourceRange, TrialRequest,
    run_program,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, arm, epochs, settings @ ..] = arguments.as_slice() else {
        return Err("usage: train_once FOLDER|synthetic ARM EPOCHS [name=value ...]".into());
    };
    let mut parameters = BTreeMap::new();
    for setting in settings {
        let (name, value) = setting.split_once('=').ok_or("settings are name=value")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        parameters.insert(name.to_owned(), value);
    }
    let checkpoints = tempfile::tempdir()?;
    let request = TrialRequest {
        program: PROGRAM.into(),
        arm: Some(arm.clone()),
        parameters,
        resource: ResourceRange { from: 0, to: epochs.parse()? },
        seed: 1,
        checkpoint_in: None,
        checkpoint_out: checkpoints.path().to_owned(),
        data: match source.as_str() {
            "synthetic" => DataRequest::synthetic(60_000, 1),
            folder => DataRequest::at(DataKind::MovieLens100k, folder),
        },
        threads: 1,
        device: ComputeDevice::Cpu,
    };
    let started = Instant::now();
    let end = run_program(&request, &mut |report: &Report| {
        println!("{}", serde_json::to_string(report).expect("a report is plain numbers"));
        Directive::Continue
    })?;
    println!("{:.2} s in all; {}", started.elapsed().as_secs_f64(), serde_json::to_string(&end)?);
    Ok(())
}
