//! Runs a suite: `run SUITE SOLVER,SOLVER SEEDS [--problem A,B] [--trials N] [--data DIR] [--json FILE] [--peers DIR]`, or
//! `run latency SOLVER,SOLVER TRIALS,TRIALS [--json FILE]`.

use std::path::PathBuf;

use boxwood_bench::{BenchError, Options, latency, peers, run};

fn main() -> Result<(), BenchError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [suite, solvers, seeds, flags @ ..] = words.as_slice() else {
        return Err(BenchError::Option("usage: run SUITE SOLVER,SOLVER SEEDS [flags]".into()));
    };
    let flag = |name: &str| {
        let place = flags.iter().position(|word| word == name)?;
        flags.get(place + 1).cloned()
    };
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let whole = |text: &str| text.parse().map_err(|_| BenchError::Option(format!("`{text}` is no number")));
    let mut options = Options {
        suite: suite.clone(),
        solvers: list(solvers),
        problems: flag("--problem").map(|text| list(&text)).unwrap_or_default(),
        trials: flag("--trials").map(|text| whole(&text)).transpose()?,
        data: flag("--data").map(PathBuf::from),
        command: format!("cargo run -p boxwood-bench --example run -- {}", words.join(" ")),
        ..Options::default()
    };
    let report = if suite == "latency" {
        let trials: Vec<u64> = seeds.split(',').map(whole).collect::<Result<_, _>>()?;
        latency(&options, &[6, 20], &trials.iter().map(|n| *n as usize).collect::<Vec<_>>())?
    } else {
        options.seeds = whole(seeds)?;
        run(&options)?
    };
    println!("{}", report.text());
    if let Some(path) = flag("--json") {
        report.write(&PathBuf::from(path))?;
    }
    if let Some(folder) = flag("--peers") {
        println!("{}", peers::beside(&report, &PathBuf::from(folder))?.text());
    }
    Ok(())
}
