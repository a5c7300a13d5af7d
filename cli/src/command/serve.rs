//! `boxwood serve` and `boxwood migrate`

use std::path::Path;

use anyhow::{Context, Result};
use boxwood_front::{Config, Options, Server};
use serde_json::json;

use crate::args::{DatabaseArgs, ServeArgs};

/// The configuration from file, environment and flags.
pub(crate) fn config(database: &DatabaseArgs, flags: Options) -> Result<Config> {
    let flags = Options { database: database.database.clone(), ..flags };
    Ok(Config::load(database.config.as_deref(), std::env::vars(), flags)?)
}

pub(crate) async fn run(args: ServeArgs) -> Result<()> {
    if args.follow_parent {
        crate::follow::follow_parent()?;
    }
    let address = |flag: &str, text: &Option<String>| {
        text.as_ref()
            .map(|text| {
                text.parse()
                    .with_context(|| format!("{flag} {text}: write ADDRESS:PORT, for example 127.0.0.1:7717"))
            })
            .transpose()
    };
    let flags = Options {
        grpc_address: address("--grpc", &args.grpc)?,
        rest_address: address("--rest", &args.rest)?,
        ..Options::default()
    };
    let config = config(&args.database, flags)?;
    if args.print_config {
        print!("{}", config.redacted());
        return Ok(());
    }
    boxwood_front::init_log(&config.log);
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let server = Server::bind(config).await.context("start the server")?;
    let (grpc, rest) =
        (format!("{scheme}://{}", server.grpc_address()), format!("{scheme}://{}", server.rest_address()));
    println!("gRPC on {grpc}, REST on {rest}");
    if let Some(file) = &args.ready_file {
        write_whole(file, &json!({"grpc": grpc, "rest": rest}).to_string())?;
    }
    server.run(stop_signal()?).await.context("run the server")
}

/// Writes a file so that a reader sees all of it or nothing.
fn write_whole(file: &Path, text: &str) -> Result<()> {
    let part = file.with_extension("part");
    std::fs::write(&part, text).with_context(|| format!("write {}", part.display()))?;
    std::fs::rename(&part, file).with_context(|| format!("write {}", file.display()))
}

/// Ends at Ctrl-C or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen to Ctrl-C")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

pub(crate) async fn migrate(args: DatabaseArgs) -> Result<()> {
    let config = config(&args, Options::default())?;
    boxwood_front::migrate(&config).await.context("migrate the database")?;
    println!("the schema is up to date");
    Ok(())
}
