//! `boxwood bench ...`

mod service;
mod solvers;

use anyhow::Result;

use crate::args::BenchCommand;

pub(crate) async fn run(command: BenchCommand, as_json: bool) -> Result<()> {
    match command {
        BenchCommand::Service { database, clients, seconds, leases } => {
            service::run(&service::Load { database, clients, seconds, leases }, as_json).await
        }
        BenchCommand::Solvers { suite, solver, seeds, trials } => {
            tokio::task::spawn_blocking(move || solvers::run(&suite, &solver, seeds, trials, as_json)).await?
        }
    }
}
