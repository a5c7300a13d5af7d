//! `boxwood worker`

use std::num::NonZero;

use anyhow::{Context, Result, bail};
use boxwood_client::Client;
use boxwood_worker::{ProgramConfig, Shutdown, SlotCount, Worker, WorkerConfig};

use crate::args::{DEFAULT_SERVER, WorkerArgs};

/// Runs until it is told to leave. Flags override the file; the file overrides the defaults.
pub(crate) async fn run(
    args: WorkerArgs,
    server: Option<String>,
    token: Option<String>,
    project: String,
) -> Result<()> {
    if args.follow_parent {
        crate::follow::follow_parent()?;
    }
    let mut config = match &args.config {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            read(&text, server.as_deref())
                .with_context(|| format!("configuration file {}", path.display()))?
        }
        None => WorkerConfig::new(server.as_deref().unwrap_or(DEFAULT_SERVER)),
    };
    if let Some(server) = server {
        config.server = server;
    }
    if token.is_some() {
        config.token = token;
    }
    if !project.is_empty() {
        config.project = project;
    }
    if args.name.is_some() {
        config.name = args.name;
    }
    if let Some(slots) = args.slots {
        let slots = NonZero::new(slots as usize).context("--slots must be at least 1")?;
        config.slots = SlotCount::Count(slots);
    }
    for label in &args.labels {
        let Some((key, value)) = label.split_once('=') else { bail!("--label {label}: write KEY=VALUE") };
        config.labels.insert(key.to_owned(), value.to_owned());
    }
    if let Some(folder) = args.folder {
        config.work_folder = folder;
    }
    if let Some(checkpoints) = args.checkpoints {
        config.checkpoints = checkpoints;
    }
    let builtin = boxwood_trainers::PROGRAM;
    config
        .programs
        .entry(builtin.to_owned())
        .or_insert_with(|| ProgramConfig { builtin: Some(builtin.to_owned()), ..ProgramConfig::default() });
    let shutdown = Shutdown::new();
    shutdown.listen_to_signals().context("listen to signals")?;
    // The server may be away at the start as at any other moment: the first call connects.
    let client = Client::lazy(config.client_options()?)?;
    Worker::new(config, &client)?.run(&shutdown).await?;
    Ok(())
}

/// A configuration file; the server may be left out of it when a flag or the default names one.
fn read(text: &str, server: Option<&str>) -> Result<WorkerConfig> {
    let mut table: toml::Table = toml::from_str(text)?;
    table.entry("server").or_insert_with(|| server.unwrap_or(DEFAULT_SERVER).into());
    Ok(WorkerConfig::from_toml(&toml::to_string(&table)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_leave_out_the_server_and_mistakes_are_named() {
        let config = read("[programs.a]\ncommand = [\"true\"]", Some("http://box:1")).expect("valid");
        assert_eq!(config.server, "http://box:1");
        let config = read("server = \"http://file:2\"", Some("http://box:1")).expect("valid");
        assert_eq!(config.server, "http://file:2");
        let error = read("slotz = 1", None).expect_err("unknown key");
        assert!(format!("{error:#}").contains("slotz"));
    }
}
