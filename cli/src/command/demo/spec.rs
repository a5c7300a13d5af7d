//! The data and the study of the demo.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::args::DemoArgs;

/// The ratings of a demo.
pub(crate) struct DemoData {
    /// Part of the study's name.
    pub(crate) name: String,
    /// For people.
    pub(crate) label: String,
    /// Data request of the built-in program.
    pub(crate) request: Value,
}

/// Finds or fetches the data that the arguments ask for.
pub(crate) fn data(args: &DemoArgs, folder: &Path) -> Result<DemoData> {
    if args.synthetic {
        return Ok(DemoData {
            name: "synthetic".into(),
            label: "generated ratings".into(),
            request: json!({"kind": "synthetic"}),
        });
    }
    if let Some(path) = &args.data {
        let path = std::path::absolute(path).with_context(|| format!("resolve {}", path.display()))?;
        path.metadata().with_context(|| format!("--data {}", path.display()))?;
        let kind = if path.is_dir() { "grouplens" } else { "table" };
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        let clean: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        return Ok(DemoData {
            name: clean,
            label: path.display().to_string(),
            request: json!({"kind": kind, "path": path}),
        });
    }
    let path = boxwood_trainers::get_movielens_100k(&folder.join("data"))
        .context("get MovieLens-100K; without a network use --data PATH or --synthetic")?;
    Ok(DemoData {
        name: "movielens-100k".into(),
        label: "MovieLens-100K (GroupLens)".into(),
        request: json!({"kind": "movielens-100k", "path": path}),
    })
}

/// The study: a rising bandit chooses among the arms while asynchronous MFES-HB tunes each of them.
pub(crate) fn study(name: &str, args: &DemoArgs, data: &DemoData) -> Value {
    json!({
        "name": name,
        "description": "Which click-through-rate model predicts who likes which film, and with which settings?",
        "space": boxwood_trainers::space(&boxwood_trainers::Arm::ALL),
        "objectives": [{"metric": "auc", "goal": "maximize", "limit": 1.0}],
        "fidelity": {"resource": "epochs", "rungs": [1, 3, 9]},
        "solver": {"name": "rising_bandit", "inner": {"name": "mfes_async"}},
        "budget": {"trials": args.trials, "seconds": args.minutes * 60.0},
        "seed": args.seed,
        "program": {"name": boxwood_trainers::PROGRAM, "arguments": {"data": data.request}},
        "lease_seconds": 15.0,
    })
}
