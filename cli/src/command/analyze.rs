//! `boxwood study analyze`

use anyhow::Result;
use boxwood_wire::v1::AnalyzeStudyRequest;
use serde_json::Value;

use crate::args::AnalyzeArgs;
use crate::output;
use crate::remote::{Remote, plain};
use crate::show;

pub(crate) async fn run(remote: &Remote, asked: AnalyzeArgs, as_json: bool) -> Result<()> {
    let named = remote.study_request(&asked.study.study);
    let request = AnalyzeStudyRequest {
        id: named.id,
        project: named.project,
        name: named.name,
        kind: asked.kind,
        objective: asked.objective,
        trials: asked.trials,
        more: asked.more,
    };
    let document = remote.studies().analyze_study(request).await.map_err(|s| plain(&s))?.into_inner();
    let value = show::parsed(&document.json);
    if as_json {
        return output::json(&value);
    }
    for line in lines(&value) {
        println!("{line}");
    }
    Ok(())
}

/// An answer for people: a line on what was looked at, then numbers and tables.
fn lines(value: &Value) -> Vec<String> {
    let word = |name: &str| value[name].as_str().unwrap_or_default();
    let at = value["rung"].as_u64().map(|rung| format!(", rung {rung}")).unwrap_or_default();
    let mut lines = vec![format!("{} of {} in `{}`{at}", word("kind"), word("metric"), word("study"))];
    match &value["why_not"] {
        Value::String(reason) => lines.push(format!("no answer: {reason}")),
        _ => show_value(&value["answer"], &mut lines),
    }
    lines
}

fn show_value(value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if is_table(field) {
                    lines.push(format!("{name}:"));
                    show_value(field, lines);
                } else {
                    lines.push(format!("{name:<18} {}", cell(field)));
                }
            }
        }
        Value::Array(items) if is_table(value) => {
            let nested = |item: &Value| item.as_object().is_some_and(|item| item.values().any(is_table));
            if items.iter().any(nested) {
                for item in items {
                    lines.push(String::new());
                    show_value(item, lines);
                }
            } else {
                lines.extend(table(items).lines().map(str::to_owned));
            }
        }
        other => lines.push(cell(other)),
    }
}

/// Whether a value is a list of objects.
fn is_table(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_object))
}

/// One row per object; the columns are the fields of the first one.
fn table(items: &[Value]) -> String {
    let fields = items.first().and_then(Value::as_object);
    let names: Vec<String> = fields.into_iter().flat_map(|fields| fields.keys().cloned()).collect();
    let mut table = output::table([]);
    table.set_header(names.iter().map(|name| name.to_uppercase()));
    for item in items {
        table.add_row(names.iter().map(|name| cell(&item[name])));
    }
    output::lines(&table)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => output::number(number.as_f64().unwrap_or_default()),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(_) => output::point(&value.to_string()),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_tables_and_the_rest_is_lines() {
        let answer = json!({"observations": 40, "parameters": [
            {"parameter": "x", "single": 0.75}, {"parameter": "rate", "single": 0.123_456_789}]});
        let shown = lines(
            &json!({"kind": "interactions", "metric": "auc", "study": "s", "rung": 0, "answer": answer}),
        );
        assert_eq!(shown[0], "interactions of auc in `s`, rung 0");
        assert!(shown[1].starts_with("observations") && shown[1].ends_with("40"), "{shown:?}");
        assert!(shown[3].contains("PARAMETER") && shown[3].contains("SINGLE"), "{shown:?}");
        assert!(shown[5].contains("rate") && shown[5].contains("0.123457"), "{shown:?}");
        let none =
            lines(&json!({"kind": "best", "metric": "auc", "study": "s", "rung": null, "answer": null,
            "why_not": "too few results"}));
        assert_eq!(none, ["best of auc in `s`", "no answer: too few results"]);
    }

    #[test]
    fn each_attribution_has_its_own_table() {
        let one = |trial: u32| json!({"trial": trial, "contributions": [{"parameter": "x", "effect": 0.5}]});
        let shown =
            lines(&json!({"kind": "attribution", "metric": "auc", "study": "s", "answer": [one(3), one(4)]}));
        assert_eq!(shown.iter().filter(|line| line.contains("PARAMETER")).count(), 2, "{shown:?}");
    }
}
