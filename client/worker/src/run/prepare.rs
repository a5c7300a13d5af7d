//! Folder, files and command of one attempt.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use boxwood_client::Point;
use boxwood_client::child::{ResourceFile, SOCKET_VARIABLE, TRIAL_VARIABLE, TrialFile, VERDICT_VARIABLE};
use boxwood_wire::v1;
use serde_json::{Map, Value};
use tokio::process::Command;

use super::Context;
use crate::config::ProgramConfig;
use crate::slot::Slot;

/// Everything that a child needs.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) program: ProgramConfig,
    pub(super) executable: String,
    arguments: Vec<OsString>,
    pub(super) folder: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) verdict: PathBuf,
    pub(super) checkpoint_out: PathBuf,
    variables: Vec<(String, OsString)>,
}

/// Prepares an attempt; an error is the reason with which it fails.
pub(super) fn prepare(context: &Context, lease: &v1::Lease, slot: &Slot) -> Result<Prepared, String> {
    let config = &context.config;
    let program = config.programs.get(&lease.program).cloned();
    let program =
        program.ok_or_else(|| format!("this worker's configuration has no program `{}`", lease.program))?;
    let name = program.builtin.clone().unwrap_or_else(|| lease.program.clone());
    let point: Point =
        serde_json::from_str(&lease.point_json).map_err(|error| format!("read the point: {error}"))?;
    let arguments: Map<String, Value> = if lease.arguments_json.is_empty() {
        Map::new()
    } else {
        serde_json::from_str(&lease.arguments_json).map_err(|error| format!("read the arguments: {error}"))?
    };
    let attempt = format!("study-{}-trial-{}-lease-{}", lease.study, lease.number, lease.epoch);
    let folder = context.attempts.join(attempt);
    let failed = |action: &str, error: std::io::Error| format!("{action} {}: {error}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| failed("empty", error))?;
    }
    std::fs::create_dir_all(&folder).map_err(|error| failed("create", error))?;
    let checkpoint_in = context.checkpoints.resolve(&lease.checkpoint);
    if checkpoint_in.is_none() && !lease.checkpoint.is_empty() {
        tracing::warn!(
            trial = lease.trial,
            checkpoint = lease.checkpoint,
            "the checkpoint is not in this worker's store; \
            the program starts over"
        );
    }
    let checkpoint_out =
        context.checkpoints.begin(lease).map_err(|error| format!("create a checkpoint folder: {error}"))?;
    let (arm, parameters) = point.split_arm(&lease.arm_parameter);
    let trial = TrialFile {
        study: lease.study,
        study_name: lease.study_name.clone(),
        trial: lease.trial,
        number: lease.number,
        epoch: lease.epoch,
        arm,
        point,
        parameters,
        resource: ResourceFile {
            name: lease.resource.clone(),
            from: lease.from,
            to: lease.to,
            rungs: lease.rungs.clone(),
        },
        seed: lease.seed,
        checkpoint_in,
        checkpoint_out: checkpoint_out.clone(),
        program: name,
        arguments,
        metrics: lease.metrics.clone(),
        folder: folder.clone(),
        threads: slot.threads,
    };
    let trial_path = folder.join("trial.json");
    let text = serde_json::to_vec_pretty(&trial).expect("a trial file has text keys only");
    std::fs::write(&trial_path, text).map_err(|error| failed("write the trial file in", error))?;
    let socket = context.sockets.path().join(format!("{}-{}.sock", lease.trial, lease.epoch));
    let verdict = folder.join("verdict");
    let variables = variables(
        &trial,
        slot,
        [(TRIAL_VARIABLE, trial_path.as_path()), (SOCKET_VARIABLE, &socket), (VERDICT_VARIABLE, &verdict)],
    );
    let (executable, arguments) = command_line(&program, config.executable.as_deref())?;
    Ok(Prepared { program, executable, arguments, folder, socket, verdict, checkpoint_out, variables })
}

fn command_line(
    program: &ProgramConfig,
    executable: Option<&Path>,
) -> Result<(String, Vec<OsString>), String> {
    if program.builtin.is_some() {
        let executable = match executable {
            Some(path) => path.to_owned(),
            None => std::env::current_exe().map_err(|error| format!("find this executable: {error}"))?,
        };
        return Ok((executable.display().to_string(), vec!["program".into(), "run".into()]));
    }
    let (executable, arguments) = program.command.split_first().expect("checked: a command is not empty");
    // Where a program has a folder, a path with a slash means a file there, before and after the change of folder.
    let executable = match &program.folder {
        Some(folder) if executable.contains('/') => {
            let folder =
                std::path::absolute(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            folder.join(executable).display().to_string()
        }
        Some(_) | None => executable.clone(),
    };
    Ok((executable, arguments.iter().map(OsString::from).collect()))
}

fn variables(trial: &TrialFile, slot: &Slot, paths: [(&str, &Path); 3]) -> Vec<(String, OsString)> {
    let threads = slot.threads.to_string();
    let mut variables: Vec<(String, OsString)> = vec![
        ("CUDA_VISIBLE_DEVICES".into(), slot.devices.clone().into()),
        ("RAYON_NUM_THREADS".into(), threads.clone().into()),
        ("OMP_NUM_THREADS".into(), threads.into()),
        ("BOXWOOD_SEED".into(), trial.seed.to_string().into()),
        ("BOXWOOD_FROM".into(), trial.resource.from.to_string().into()),
        ("BOXWOOD_TO".into(), trial.resource.to.to_string().into()),
        ("BOXWOOD_ARM".into(), trial.arm.clone().unwrap_or_default().into()),
        ("BOXWOOD_FOLDER".into(), trial.folder.clone().into()),
        ("BOXWOOD_CHECKPOINT_IN".into(), trial.checkpoint_in.clone().unwrap_or_default().into()),
        ("BOXWOOD_CHECKPOINT_OUT".into(), trial.checkpoint_out.clone().into()),
    ];
    variables.extend(paths.map(|(name, path)| (name.to_owned(), path.as_os_str().to_owned())));
    for (name, value) in &trial.parameters {
        let name: String = name
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
            .collect();
        let value = value.as_str().map_or_else(|| value.to_string(), |text| text.replace('\0', ""));
        variables.push((format!("BOXWOOD_PARAM_{name}"), value.into()));
    }
    variables
}

/// Variables of the worker that are none of a program's business.
const SECRETS: [&str; 1] = ["BOXWOOD_TOKEN"];

impl Prepared {
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .args(&self.arguments)
            .current_dir(self.program.folder.as_deref().unwrap_or(&self.folder))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for secret in SECRETS {
            command.env_remove(secret);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).envs(&self.program.env);
        command
    }
}
