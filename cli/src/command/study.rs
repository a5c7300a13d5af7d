//! `boxwood study ...`

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use boxwood_wire::v1::{
    CreateStudyRequest, ListStudiesRequest, ListTrialsRequest, Study, StudyAction, Trial, TrialOrder,
    UpdateStudyRequest,
};
use serde_json::{Value, json};

use crate::args::{ExportFormat, LimitArgs, StudyCommand};
use crate::output;
use crate::remote::{Remote, plain, request_id};
use crate::show;

/// `connect` is called once the arguments have been read, so that a missing file is told before a missing server.
pub(crate) async fn run(
    connect: &impl AsyncFn() -> Result<Remote>,
    command: StudyCommand,
    as_json: bool,
) -> Result<()> {
    let spec = match &command {
        StudyCommand::Create { file, transfer_from } => Some(learning_from(read_spec(file)?, transfer_from)?),
        _ => None,
    };
    let remote = &connect().await?;
    match command {
        StudyCommand::Create { .. } => create(remote, spec.unwrap_or_default(), as_json).await,
        StudyCommand::List { archived, name, limit } => list(remote, archived, name, limit, as_json).await,
        StudyCommand::Show(study) => show_one(&remote.study(&study.study).await?, as_json),
        StudyCommand::Best { study, top } => best(remote, &study.study, top, as_json).await,
        StudyCommand::Pause { study, reason } => {
            act(remote, &study.study, UpdateStudyRequest { reason, ..action(StudyAction::Pause) }, as_json)
                .await
        }
        StudyCommand::Resume { study, limits } => {
            let request = limited(remote, &study.study, &limits, action(StudyAction::Resume)).await?;
            act(remote, &study.study, request, as_json).await
        }
        StudyCommand::Update { study, limits } => {
            let request = limited(remote, &study.study, &limits, UpdateStudyRequest::default()).await?;
            act(remote, &study.study, request, as_json).await
        }
        StudyCommand::Cancel { study, reason } => {
            act(remote, &study.study, UpdateStudyRequest { reason, ..action(StudyAction::Cancel) }, as_json)
                .await
        }
        StudyCommand::Archive { study, undo } => archive(remote, &study.study, !undo, as_json).await,
        StudyCommand::Export { study, format, output } => {
            export(remote, &study.study, format, output.as_deref()).await
        }
        StudyCommand::Explain(study) => explain(remote, &study.study, as_json).await,
        StudyCommand::Analyze(asked) => super::analyze::run(remote, asked, as_json).await,
        StudyCommand::Replay(study) => replay(remote, &study.study, as_json).await,
        StudyCommand::Watch(study) => watch(remote, &study.study, as_json).await,
    }
}

/// The specification of a file as JSON text; TOML by the file's ending.
fn read_spec(file: &Path) -> Result<String> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("read standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?
    };
    if file.extension().is_some_and(|ending| ending == "toml") {
        let value: Value =
            toml::from_str(&text).with_context(|| format!("{} is not TOML", file.display()))?;
        Ok(value.to_string())
    } else {
        serde_json::from_str::<Value>(&text).with_context(|| format!("{} is not JSON", file.display()))?;
        Ok(text)
    }
}

/// The specification with further studies to learn from.
fn learning_from(spec_json: String, names: &[String]) -> Result<String> {
    if names.is_empty() {
        return Ok(spec_json);
    }
    let mut spec: Value = serde_json::from_str(&spec_json).context("read the specification")?;
    let fields = spec.as_object_mut().context("the specification is not a table of fields")?;
    let listed = fields.entry("transfer_from").or_insert_with(|| json!([]));
    let listed = listed.as_array_mut().context("transfer_from: a list of names is expected")?;
    for name in names {
        if !listed.iter().any(|known| known == name) {
            listed.push(name.clone().into());
        }
    }
    Ok(spec.to_string())
}

async fn create(remote: &Remote, spec_json: String, as_json: bool) -> Result<()> {
    let request = CreateStudyRequest { project: remote.project(), spec_json, request_id: request_id() };
    let created = remote.studies().create_study(request).await.map_err(|s| plain(&s))?.into_inner();
    let study = created.study.context("the server's answer holds no study")?;
    if as_json {
        return output::json(&json!({"existed": created.existed, "study": show::study_json(&study)}));
    }
    let how = if created.existed { "exists" } else { "created" };
    println!("study {} `{}` {how}", study.id, study.name);
    println!("watch it with `boxwood study watch {}`", study.id);
    Ok(())
}

async fn list(
    remote: &Remote,
    archived: bool,
    name: Option<String>,
    limit: u32,
    as_json: bool,
) -> Result<()> {
    let mut studies = Vec::new();
    let mut before = 0;
    while (studies.len() as u32) < limit {
        let request = ListStudiesRequest {
            project: remote.project(),
            states: Vec::new(),
            name_contains: name.clone().unwrap_or_default(),
            archived,
            before,
            limit: (limit - studies.len() as u32).min(500),
        };
        let page = remote.studies().list_studies(request).await.map_err(|s| plain(&s))?.into_inner();
        before = page.studies.last().map_or(0, |study| study.id);
        studies.extend(page.studies);
        if !page.more {
            break;
        }
    }
    if as_json {
        return output::json(&studies.iter().map(show::study_json).collect::<Vec<_>>());
    }
    if studies.is_empty() {
        println!("no studies; `boxwood study create FILE` makes one");
        return Ok(());
    }
    let mut table = output::table(["id", "name", "state", "trials", "finished", "best", "solver"]);
    for study in &studies {
        let finished: u64 =
            ["completed", "pruned", "infeasible", "failed"].iter().filter_map(|s| study.counts.get(*s)).sum();
        let spec = show::parsed(&study.spec_json);
        table.add_row([
            study.id.to_string(),
            study.name.clone(),
            show::study_state(study),
            study.trials.to_string(),
            finished.to_string(),
            study.best.as_ref().and_then(|best| best.value).map(output::number).unwrap_or_default(),
            spec["solver"]["name"].as_str().unwrap_or_default().to_owned(),
        ]);
    }
    output::right(&mut table, [0, 3, 4, 5]);
    println!("{}", output::lines(&table));
    Ok(())
}

fn show_one(study: &Study, as_json: bool) -> Result<()> {
    if as_json {
        return output::json(&show::study_json(study));
    }
    let spec = show::parsed(&study.spec_json);
    println!("study {} `{}`", study.id, study.name);
    let reason =
        if study.state_reason.is_empty() { String::new() } else { format!(" ({})", study.state_reason) };
    println!("  state      {}{reason}", show::study_state(study));
    println!("  solver     {}", spec["solver"]);
    println!("  budget     {}", spec["budget"]);
    if spec["stop"].is_object() {
        println!("  stop       {}", spec["stop"]);
    }
    for objective in spec["objectives"].as_array().into_iter().flatten() {
        println!(
            "  objective  {} {}",
            objective["goal"].as_str().unwrap_or_default(),
            objective["metric"].as_str().unwrap_or_default()
        );
    }
    let mut counts: Vec<String> =
        study.counts.iter().filter(|(_, n)| **n > 0).map(|(state, n)| format!("{n} {state}")).collect();
    counts.sort();
    println!("  trials     {} ({})", study.trials, counts.join(", "));
    println!("  resource   {} units trained", study.resource_used);
    println!("  training   {:.0} s over all workers", study.training_seconds);
    if let Some(best) = &study.best {
        println!(
            "  best       {} in trial {}",
            best.value.map(output::number).unwrap_or_default(),
            best.number
        );
        println!("             {}", output::point(&best.point_json));
    }
    Ok(())
}

/// Trials of a study in an order, at most `limit`, over as many pages as it takes.
pub(crate) async fn list_trials(
    remote: &Remote,
    study: i64,
    states: Vec<i32>,
    order: TrialOrder,
    limit: u32,
) -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    let mut after = 0;
    while (trials.len() as u32) < limit {
        let request = ListTrialsRequest {
            study,
            states: states.clone(),
            order: order.into(),
            after,
            limit: (limit - trials.len() as u32).min(1000),
        };
        let page = remote.trials().list_trials(request).await.map_err(|s| plain(&s))?.into_inner();
        after = page.trials.last().map_or(0, |trial| trial.id);
        trials.extend(page.trials);
        if !page.more {
            break;
        }
    }
    Ok(trials)
}

async fn best(remote: &Remote, study: &str, top: u32, as_json: bool) -> Result<()> {
    let study = remote.study(study).await?;
    let mut trials = match (&study.best, top) {
        (Some(best), 1) => vec![best.clone()],
        _ => list_trials(remote, study.id, Vec::new(), TrialOrder::Best, top).await?,
    };
    trials.retain(|trial| trial.value.is_some());
    if as_json {
        return output::json(&trials.iter().map(show::trial_json).collect::<Vec<_>>());
    }
    if trials.is_empty() {
        println!("no result yet");
        return Ok(());
    }
    println!("{}", show::trials(&trials));
    Ok(())
}

fn action(action: StudyAction) -> UpdateStudyRequest {
    UpdateStudyRequest { action: action.into(), ..UpdateStudyRequest::default() }
}

/// A request with the limits that the person gave; a budget is sent in full, with what is stored for the rest.
async fn limited(
    remote: &Remote,
    study: &str,
    limits: &LimitArgs,
    request: UpdateStudyRequest,
) -> Result<UpdateStudyRequest> {
    let stop_json = changed_rules(limits)?;
    let given = [
        ("trials", limits.trials.map(Value::from)),
        ("seconds", limits.seconds.map(Value::from)),
        ("resource", limits.resource.map(Value::from)),
    ];
    let mut budget_json = String::new();
    if given.iter().any(|(_, value)| value.is_some()) {
        let mut budget = show::parsed(&remote.study(study).await?.spec_json)["budget"].clone();
        if !budget.is_object() {
            budget = json!({});
        }
        for (name, value) in given {
            if let Some(value) = value {
                budget[name] = value;
            }
        }
        budget_json = budget.to_string();
    }
    Ok(UpdateStudyRequest { budget_json, stop_json, ..request })
}

/// Stop rules to change as JSON text, empty when there are none.
fn changed_rules(limits: &LimitArgs) -> Result<String> {
    if limits.stop.is_none() && limits.clear_stop.is_empty() {
        return Ok(String::new());
    }
    let text = limits.stop.as_deref().unwrap_or("{}");
    let rules = serde_json::from_str(text).context("--stop is not JSON")?;
    let Value::Object(mut rules) = rules else { bail!("--stop is an object with one field per rule") };
    for rule in &limits.clear_stop {
        if rules.insert(rule.clone(), Value::Null).is_some() {
            bail!("the rule `{rule}` is both set and removed");
        }
    }
    Ok(Value::Object(rules).to_string())
}

async fn act(remote: &Remote, study: &str, request: UpdateStudyRequest, as_json: bool) -> Result<()> {
    let study = remote.study(study).await?;
    let request = UpdateStudyRequest { id: study.id, request_id: request_id(), ..request };
    let study = remote.studies().update_study(request).await.map_err(|s| plain(&s))?.into_inner();
    if as_json {
        return output::json(&show::study_json(&study));
    }
    println!("study {} `{}` is {}", study.id, study.name, show::study_state(&study));
    Ok(())
}

async fn archive(remote: &Remote, study: &str, archived: bool, as_json: bool) -> Result<()> {
    let study = remote.study(study).await?;
    let request = UpdateStudyRequest {
        id: study.id,
        archived: Some(archived),
        request_id: request_id(),
        ..UpdateStudyRequest::default()
    };
    let study = remote.studies().update_study(request).await.map_err(|s| plain(&s))?.into_inner();
    if as_json {
        return output::json(&show::study_json(&study));
    }
    println!("study {} `{}` is {}", study.id, study.name, if archived { "archived" } else { "listed again" });
    Ok(())
}

async fn export(remote: &Remote, study: &str, format: ExportFormat, file: Option<&Path>) -> Result<()> {
    let study = remote.study(study).await?;
    let trials = list_trials(remote, study.id, Vec::new(), TrialOrder::Number, u32::MAX).await?;
    let mut out: Box<dyn Write> = match file {
        Some(file) => Box::new(std::io::BufWriter::new(
            std::fs::File::create(file).with_context(|| format!("create {}", file.display()))?,
        )),
        None => Box::new(std::io::stdout().lock()),
    };
    match format {
        ExportFormat::Json => {
            for trial in &trials {
                writeln!(out, "{}", show::trial_json(trial))?;
            }
        }
        ExportFormat::Csv => write_csv(&mut out, &trials)?,
    }
    out.flush()?;
    if let Some(file) = file {
        eprintln!("{} trials written to {}", trials.len(), file.display());
    }
    Ok(())
}

fn write_csv(out: &mut dyn Write, trials: &[Trial]) -> Result<()> {
    let mut parameters = std::collections::BTreeSet::new();
    let mut metrics = std::collections::BTreeSet::new();
    let points: Vec<Value> = trials.iter().map(|trial| show::parsed(&trial.point_json)).collect();
    for (trial, point) in trials.iter().zip(&points) {
        parameters.extend(point.as_object().into_iter().flat_map(|point| point.keys().cloned()));
        metrics.extend(trial.metrics.keys().cloned());
    }
    let mut csv = csv::Writer::from_writer(out);
    let fixed = ["number", "id", "state", "origin", "rung", "value", "seconds"];
    csv.write_record(
        fixed
            .iter()
            .map(|name| (*name).to_owned())
            .chain(metrics.iter().map(|name| format!("metric.{name}")))
            .chain(parameters.iter().map(|name| format!("parameter.{name}"))),
    )?;
    for (trial, point) in trials.iter().zip(&points) {
        let mut row = vec![
            trial.number.to_string(),
            trial.id.to_string(),
            show::trial_state(trial),
            trial.origin.clone(),
            trial.reached_rung.map(|rung| rung.to_string()).unwrap_or_default(),
            trial.value.map(|value| value.to_string()).unwrap_or_default(),
            trial.seconds.to_string(),
        ];
        row.extend(
            metrics.iter().map(|name| trial.metrics.get(name).map(f64::to_string).unwrap_or_default()),
        );
        row.extend(parameters.iter().map(|name| match &point[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }));
        csv.write_record(&row)?;
    }
    csv.flush()?;
    Ok(())
}

async fn explain(remote: &Remote, study: &str, as_json: bool) -> Result<()> {
    let request = remote.study_request(study);
    let document = remote.studies().explain_study(request).await.map_err(|s| plain(&s))?.into_inner();
    let value = show::parsed(&document.json);
    if as_json {
        return output::json(&value);
    }
    print_document(&value, 0);
    Ok(())
}

/// A JSON document as indented lines.
fn print_document(value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if value.is_object() || value.as_array().is_some_and(|items| !items.is_empty()) {
                    println!("{indent}{name}:");
                    print_document(value, depth + 1);
                } else if !value.is_null() {
                    println!("{indent}{name}: {}", scalar(value));
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let Value::Object(fields) = item else {
                    println!("{indent}- {}", scalar(item));
                    continue;
                };
                let nested = |value: &Value| value.is_object() || value.is_array();
                let line: Vec<String> = fields
                    .iter()
                    .filter(|(_, value)| !value.is_null() && !nested(value))
                    .map(|(name, value)| format!("{name} {}", scalar(value)))
                    .collect();
                println!("{indent}- {}", line.join(", "));
                for (name, value) in fields.iter().filter(|(_, value)| nested(value)) {
                    println!("{indent}    {name}:");
                    print_document(value, depth + 3);
                }
            }
        }
        other => println!("{indent}{}", scalar(other)),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => output::number(n.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

async fn replay(remote: &Remote, study: &str, as_json: bool) -> Result<()> {
    let request = remote.study_request(study);
    let answer = remote.studies().replay_study(request).await.map_err(|s| plain(&s))?.into_inner();
    if as_json {
        output::json(
            &json!({"plans": answer.plans, "moves": answer.moves, "differences": answer.differences}),
        )?;
    } else {
        println!("{} plans with {} moves recomputed", answer.plans, answer.moves);
        for line in &answer.differences {
            println!("  {line}");
        }
        if answer.differences.is_empty() {
            println!("no difference");
        }
    }
    if answer.differences.is_empty() { Ok(()) } else { bail!("{} plans differ", answer.differences.len()) }
}

async fn watch(remote: &Remote, study: &str, as_json: bool) -> Result<()> {
    let request = remote.study_request(study);
    let mut changes = remote.studies().watch_study(request).await.map_err(|s| plain(&s))?.into_inner();
    while let Some(change) = changes.message().await.map_err(|s| plain(&s))? {
        let Some(study) = change.study else { continue };
        if as_json {
            let trials: Vec<Value> = change.trials.iter().map(show::trial_json).collect();
            println!("{}", json!({"study": show::study_json(&study), "trials": trials}));
        } else {
            for trial in &change.trials {
                let value =
                    trial.value.map(|value| format!(" {}", output::number(value))).unwrap_or_default();
                println!("trial {:>4} {:<10}{value}", trial.number, show::trial_state(trial));
            }
        }
        if !matches!(show::study_state(&study).as_str(), "active" | "paused") {
            if !as_json {
                show_one(&study, false)?;
            }
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn studies_to_learn_from_are_added_to_those_of_the_file() {
        let names = ["b".to_owned(), "a".to_owned()];
        let spec: Value =
            serde_json::from_str(&learning_from(r#"{"transfer_from": ["a"]}"#.into(), &names).unwrap())
                .unwrap();
        assert_eq!(spec, json!({"transfer_from": ["a", "b"]}));
        assert_eq!(learning_from("{}".into(), &[]).unwrap(), "{}");
        let error = learning_from(r#"{"transfer_from": 3}"#.into(), &names).unwrap_err();
        assert!(error.to_string().starts_with("transfer_from:"), "{error}");
    }
}
