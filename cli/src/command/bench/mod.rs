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
        BenchCommand::Solvers(args) => {
            tokio::task::spawn_blocking(move || solvers::run(args, as_json)).await?
        }
        BenchCommand::Compare { first, second } => solvers::compare(&first, &second, as_json),
        BenchCommand::Peers { report, results, json_file } => {
            solvers::peers(&report, &results, json_file.as_deref(), as_json)
        }
    }
}
