//! The boxwood command: server, worker, and the tools around them.

// Doc comments of arguments are help texts for a terminal, not Markdown.
#[allow(clippy::doc_markdown, rustdoc::bare_urls)]
mod args;
mod command;
mod follow;
mod output;
mod remote;
mod show;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command, DEFAULT_SERVER};
use crate::remote::Remote;

fn main() -> ExitCode {
    let cli = Cli::parse_from(demo_json_file(std::env::args_os().collect()));
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `--json` is a switch everywhere; `boxwood demo --json FILE` names the file of the result.
fn demo_json_file(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let demo = arguments.iter().position(|argument| argument == "demo");
    let json = arguments.iter().position(|argument| argument == "--json");
    if let (Some(demo), Some(json)) = (demo, json)
        && demo < json
        && arguments.get(json + 1).is_some_and(|next| !next.as_encoded_bytes().starts_with(b"-"))
    {
        arguments[json] = "--json-file".into();
    }
    arguments
}

/// `boxwood ... | head` ends the reader early; that is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Commands that need no runtime run without one.
fn start(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "boxwood", &mut std::io::stdout());
            Ok(())
        }
        Command::Data(command) => command::data::run(command, cli.json),
        Command::Program(args::ProgramCommand::Run) => command::program::run(),
        _ => tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(cli)),
    }
}

async fn run(cli: Cli) -> Result<()> {
    let server = cli.server.clone();
    let remote = async || {
        let endpoint = server.as_deref().unwrap_or(DEFAULT_SERVER);
        Remote::connect(endpoint, cli.token.as_deref(), &cli.project).await
    };
    match cli.command {
        Command::Demo(args) => command::demo::run(args, cli.json).await,
        Command::Serve(args) => command::serve::run(args).await,
        Command::Worker(args) => {
            init_log();
            command::worker::run(args, cli.server, cli.token, cli.project).await
        }
        Command::Study(command) => command::study::run(&remote, command, cli.json).await,
        Command::Trial(command) => command::trial::run(&remote().await?, command, cli.json).await,
        Command::Token(command) => command::token::run(command, &cli.project, cli.json).await,
        Command::Migrate(args) => command::serve::migrate(args).await,
        Command::Bench(command) => command::bench::run(command, cli.json).await,
        Command::Completions { .. } | Command::Data(_) | Command::Program(_) => {
            unreachable!("handled before the runtime was started")
        }
    }
}

/// Logs of a worker go to standard error; `RUST_LOG` chooses what.
fn init_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let words = demo_json_file(line.split(' ').map(OsString::from).collect());
        words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_the_demo_takes_a_file_after_json() {
        assert_eq!(rewritten("boxwood demo --json out.json"), "boxwood demo --json-file out.json");
        assert_eq!(rewritten("boxwood demo --json --fresh"), "boxwood demo --json --fresh");
        assert_eq!(rewritten("boxwood --json study list"), "boxwood --json study list");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
