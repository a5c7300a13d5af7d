//! `docs/solvers.md` is generated from the registry: run with `BOXWOOD_UPDATE_SNAPSHOTS=1` to write it again.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use boxwood_solvers::{ParameterKind, describe};

const HEAD: &str = "# Solvers

Written by `BOXWOOD_UPDATE_SNAPSHOTS=1 cargo test -p boxwood-solvers --test documentation` from the registry; do not edit.

A solver is composed of a *sampler* (which point), a *scheduler* (which rung) and, on a space with arms, a *bandit* (which arm). A study
names one as `\"solver\": {\"name\": NAME, PARAMETER: VALUE}`; unknown parameters are refused by name. `auto` chooses by a rule on
space, budget, fidelity, objectives and constraints; `boxwood study explain` prints the rule that applied.
";

fn kind(kind: &ParameterKind) -> (String, String) {
    match kind {
        ParameterKind::Number { default, low, high } => {
            (default.to_string(), format!("number, {low} to {high}"))
        }
        ParameterKind::OptionalNumber { low: f64::MIN, high: f64::MAX } => {
            ("none".into(), "any number".into())
        }
        ParameterKind::OptionalNumber { low, high } => ("none".into(), format!("number, {low} to {high}")),
        ParameterKind::Integer { default, low, high } => {
            (default.to_string(), format!("integer, {low} to {high}"))
        }
        ParameterKind::Flag { default } => (default.to_string(), "true or false".into()),
        ParameterKind::Choice { default, choices } => ((*default).into(), choices.join(", ")),
        ParameterKind::Document { shape } => ("none".into(), (*shape).into()),
        ParameterKind::Solver => {
            ("by rule".into(), "a solver's name, or an object with its parameters".into())
        }
    }
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for solver in describe() {
        write!(text, "\n## {}\n\n{}", solver.name, solver.summary).unwrap();
        if !solver.aliases.is_empty() {
            write!(text, " Also called {}.", solver.aliases.join(", ")).unwrap();
        }
        text.push('\n');
        if !solver.parameters.is_empty() {
            text.push_str("\n| parameter | default | values | meaning |\n|---|---|---|---|\n");
        }
        for parameter in &solver.parameters {
            let (default, values) = kind(&parameter.kind);
            writeln!(text, "| `{}` | {default} | {values} | {} |", parameter.name, parameter.meaning)
                .unwrap();
        }
    }
    text
}

#[test]
fn the_page_of_solvers_is_what_the_registry_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/solvers.md");
    if std::env::var("BOXWOOD_UPDATE_SNAPSHOTS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, document()).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    let current = document();
    let differing = stored.lines().zip(current.lines()).find(|(old, new)| old != new);
    assert!(stored == current, "docs/solvers.md is not current, first at {differing:?}");
}
