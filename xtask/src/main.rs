//! Repository checks that need cargo metadata: `cargo run -p boxwood-xtask -- check-deps`.
//!
//! `check-deps` fails on an edge between workspace crates that the architecture forbids, and on a pure crate that names a
//! dependency with I/O in it. The tables below are the rule; `docs/architecture.md` explains them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Crate, and the workspace crates that it may name outside of tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("boxwood-core", &[]),
    ("boxwood-numeric", &[]),
    ("boxwood-surrogate", &["boxwood-numeric"]),
    ("boxwood-acquisition", &["boxwood-numeric", "boxwood-surrogate"]),
    ("boxwood-solvers", &["boxwood-core", "boxwood-numeric", "boxwood-surrogate", "boxwood-acquisition"]),
    ("boxwood-analysis", &["boxwood-core", "boxwood-numeric", "boxwood-surrogate"]),
    ("boxwood-testkit", &["boxwood-core"]),
    ("boxwood-bench", &["boxwood-core", "boxwood-solvers", "boxwood-testkit"]),
    ("boxwood-wire", &[]),
    ("boxwood-study", &["boxwood-core"]),
    ("boxwood-store", &["boxwood-core", "boxwood-study"]),
    (
        "boxwood-app",
        &["boxwood-core", "boxwood-study", "boxwood-store", "boxwood-solvers", "boxwood-analysis"],
    ),
    ("boxwood-front", &["boxwood-app", "boxwood-wire", "boxwood-core", "boxwood-study", "boxwood-store"]),
    ("boxwood-client", &["boxwood-wire"]),
    ("boxwood-worker", &["boxwood-wire", "boxwood-client"]),
    ("boxwood-trainers", &[]),
    // The binary joins front and clients; the bench command also drives solvers in process.
    (
        "boxwood",
        &[
            "boxwood-front",
            "boxwood-client",
            "boxwood-worker",
            "boxwood-trainers",
            "boxwood-wire",
            "boxwood-core",
            "boxwood-solvers",
            "boxwood-testkit",
            "boxwood-bench",
        ],
    ),
    ("boxwood-xtask", &[]),
];

/// Crates without async, clock, environment, I/O or logger.
const PURE: &[&str] = &[
    "boxwood-core",
    "boxwood-numeric",
    "boxwood-surrogate",
    "boxwood-acquisition",
    "boxwood-solvers",
    "boxwood-analysis",
    "boxwood-testkit",
    "boxwood-study",
];

/// Packages that a pure crate may not name.
const IMPURE: &[&str] = &["tokio", "sqlx", "tonic", "actix-web", "tracing", "reqwest", "log", "burn"];

/// `app` names no database and no status code.
const APP_FORBIDDEN: &[&str] = &["sqlx", "tonic", "actix-web"];

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let result = match task.as_str() {
        "check-deps" => check_deps(),
        _ => Err(anyhow::anyhow!("usage: boxwood-xtask check-deps")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check_deps() -> Result<()> {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let errors = violations(&metadata);
    if errors.is_empty() {
        println!("check-deps: every edge between workspace crates is allowed");
        return Ok(());
    }
    bail!("forbidden dependencies:\n  {}", errors.join("\n  "));
}

fn violations(metadata: &Value) -> Vec<String> {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ALLOWED.iter().map(|(name, edges)| (*name, edges.iter().copied().collect())).collect();
    let mut errors = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(edges) = allowed.get(name) else {
            errors.push(format!("{name}: not in the table of xtask, add it with its allowed edges"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Tests may use any crate; a `dev` dependency is no edge of the house.
            if dependency["kind"].as_str() == Some("dev") {
                continue;
            }
            let target = dependency["name"].as_str().unwrap_or_default();
            if allowed.contains_key(target) && !edges.contains(target) {
                errors.push(format!("{name} -> {target}: not allowed by docs/architecture.md"));
            }
            if PURE.contains(&name) && IMPURE.contains(&target) {
                errors.push(format!("{name} -> {target}: pure crates hold no I/O, clock or logger"));
            }
            if name == "boxwood-app" && APP_FORBIDDEN.contains(&target) {
                errors.push(format!("{name} -> {target}: use cases name no database and no protocol"));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(name: &str, dependency: &str, kind: Option<&str>) -> Value {
        json!({"packages": [{"name": name, "dependencies": [{"name": dependency, "kind": kind}]}]})
    }

    #[test]
    fn forbidden_edges_are_found_and_test_edges_are_free() {
        assert_eq!(violations(&metadata("boxwood-core", "boxwood-store", None)).len(), 1);
        assert_eq!(violations(&metadata("boxwood-core", "boxwood-store", Some("dev"))).len(), 0);
        assert_eq!(violations(&metadata("boxwood-solvers", "tokio", None)).len(), 1);
        assert_eq!(violations(&metadata("boxwood-app", "sqlx", None)).len(), 1);
        assert_eq!(violations(&metadata("boxwood-store", "boxwood-study", None)).len(), 0);
        assert_eq!(violations(&metadata("boxwood-unknown", "serde", None)).len(), 1);
    }
}
