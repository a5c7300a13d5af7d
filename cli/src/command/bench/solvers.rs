//! Solvers on problems with known optima, in process: a shell over `boxwood-bench`.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use boxwood_bench::{Options, Report, compare as comparison, latency, peers as others};
use serde::Serialize;

use crate::args::BenchSolversArgs;
use crate::output;

/// Numbers of floats at which suggestions are timed.
const LATENCY_DIMENSIONS: [usize; 2] = [6, 20];

/// The command line as it was typed, for the record in the file.
fn command_line() -> String {
    let words = std::env::args().skip(1);
    std::iter::once("boxwood".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Runs a suite, or times suggestions.
pub(crate) fn run(args: BenchSolversArgs, as_json: bool) -> Result<()> {
    let options = Options {
        suite: args.suite,
        problems: args.problem,
        solvers: args.solver,
        seeds: args.seeds,
        first_seed: args.first_seed,
        workers: args.workers,
        trials: args.trials,
        full_runs: args.full_runs,
        data: args.data,
        threads: args.threads,
        target_of: args.target_of,
        command: command_line(),
    };
    let report = if args.latency.is_empty() {
        boxwood_bench::run(&options)?
    } else {
        latency(&options, &LATENCY_DIMENSIONS, &args.latency)?
    };
    if let Some(path) = &args.json_file {
        report.write(path)?;
    }
    show(&report, &report.text(), as_json)
}

/// Tests two reports against each other.
pub(crate) fn compare(first: &Path, second: &Path, as_json: bool) -> Result<()> {
    let found = comparison::compare(&Report::read(first)?, &Report::read(second)?)?;
    show(&found, &found.text(), as_json)
}

/// A table of peers with the command that made it.
#[derive(Serialize)]
struct Recorded<'a> {
    command: String,
    #[serde(flatten)]
    found: &'a others::Beside,
}

/// Puts a report beside the results of other libraries.
pub(crate) fn peers(report: &Path, results: &Path, file: Option<&Path>, as_json: bool) -> Result<()> {
    let found = others::beside(&Report::read(report)?, results)?;
    let recorded = Recorded { command: command_line(), found: &found };
    if let Some(path) = file {
        std::fs::write(path, serde_json::to_string(&recorded)? + "\n")
            .with_context(|| format!("write {}", path.display()))?;
    }
    show(&recorded, &found.text(), as_json)
}

fn show(value: &impl Serialize, text: &str, as_json: bool) -> Result<()> {
    if as_json {
        return output::json(value);
    }
    write!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}
