//! Writes back what a group of operations has changed, many rows per statement.

use std::collections::BTreeMap;

use super::columns::{
    self, PLAN, REPORT, TOKEN, TRIAL, TRIAL_FIXED, WORKER, plan_arguments, report_arguments, token_arguments,
    trial_arguments, worker_arguments,
};
use super::engine::Engine;
use super::link::{Arg, Link};
use super::text::{chunks, padded, placeholders, value_rows};
use crate::tables::Tables;

/// Rows of one statement.
const ROWS: usize = 128;
/// Studies named by one notification; its payload is limited to 8000 bytes.
const NOTIFIED: usize = 200;

/// Channel of the notifications between servers.
pub(crate) const CHANNEL: &str = "boxwood_changes";

/// Writes everything that is marked as written.
pub(crate) async fn flush(engine: &Engine, link: &mut Link, tables: &Tables) -> Result<(), sqlx::Error> {
    let written = &tables.written;
    let projects = written.new_projects.iter().filter_map(|id| tables.projects.get(id));
    let projects = projects.map(|project| vec![project.id.0.into(), project.name.as_str().into()]).collect();
    insert(link, "projects", &["id", "name"], "", projects).await?;
    let tokens = written.tokens.iter().filter_map(|id| tables.tokens.get(id)).map(token_arguments).collect();
    insert(link, "tokens", &TOKEN, "ON CONFLICT (id) DO UPDATE SET revoked = excluded.revoked", tokens)
        .await?;
    studies(link, tables).await?;
    trials(link, tables).await?;
    let reports = written.reports.iter().filter_map(|key| tables.reports.get(key));
    insert(link, "reports", &REPORT, "", reports.map(report_arguments).collect()).await?;
    let plans = written.plans.iter().filter_map(|key| tables.plans.get(key)).map(plan_arguments).collect();
    insert(link, "plans", &PLAN, "", plans).await?;
    let promotions = written.promotions.iter();
    let promotions = promotions
        .map(|(trial, rung, plan)| vec![trial.0.into(), i64::from(rung.0).into(), (plan.0 as i64).into()])
        .collect();
    insert(link, "promotions", &["trial_id", "rung", "plan"], "", promotions).await?;
    let workers = written.workers.iter().filter_map(|key| tables.workers.get(key));
    let workers = workers.map(worker_arguments).collect();
    insert(link, "workers", &WORKER, &upsert("project_id, name", &WORKER, &["project_id", "name"]), workers)
        .await?;
    requests(link, tables).await?;
    notify(engine, link, tables).await
}

/// Inserts rows in chunks.
async fn insert(
    link: &mut Link,
    table: &str,
    columns: &[&str],
    conflict: &str,
    rows: Vec<Vec<Arg>>,
) -> Result<(), sqlx::Error> {
    for chunk in chunks(rows, ROWS) {
        let text = format!(
            "INSERT INTO {table} ({}) VALUES {} {conflict}",
            columns.join(", "),
            value_rows(chunk.len(), columns.len())
        );
        link.execute(text, chunk.into_iter().flatten().collect()).await?;
    }
    Ok(())
}

fn upsert(key: &str, columns: &[&str], fixed: &[&str]) -> String {
    let changed = columns.iter().filter(|column| !fixed.contains(column));
    let changed: Vec<String> = changed.map(|column| format!("{column} = excluded.{column}")).collect();
    format!("ON CONFLICT ({key}) DO UPDATE SET {}", changed.join(", "))
}

async fn studies(link: &mut Link, tables: &Tables) -> Result<(), sqlx::Error> {
    let written = &tables.written;
    for id in &written.new_studies {
        let (Ok(study), Ok(checked)) = (tables.study(*id), tables.spec(*id)) else { continue };
        let mut columns = columns::study_founding(study, &checked);
        columns.extend(columns::study_changes(study));
        let (names, arguments): (Vec<&str>, Vec<Arg>) = columns.into_iter().unzip();
        insert(link, "studies", &names, "", vec![arguments]).await?;
    }
    for id in written.studies.difference(&written.new_studies) {
        let Ok(study) = tables.study(*id) else { continue };
        let (names, mut arguments): (Vec<&str>, Vec<Arg>) = columns::study_changes(study).into_iter().unzip();
        let set: Vec<String> =
            names.iter().enumerate().map(|(i, name)| format!("{name} = ${}", i + 1)).collect();
        let text = format!("UPDATE studies SET {} WHERE id = ${}", set.join(", "), names.len() + 1);
        arguments.push(id.0.into());
        link.execute(text, arguments).await?;
    }
    Ok(())
}

async fn trials(link: &mut Link, tables: &Tables) -> Result<(), sqlx::Error> {
    let written = &tables.written;
    let rows = written.trials.iter().filter_map(|id| tables.trial(*id).ok());
    insert(link, "trials", &TRIAL, &upsert("id", &TRIAL, &TRIAL_FIXED), rows.map(trial_arguments).collect())
        .await?;
    let mut ends: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for id in written.renewed.difference(&written.trials) {
        if let Some(lease) = tables.trial(*id).ok().and_then(|row| row.record.lease.as_ref()) {
            ends.entry(lease.expires_at.0).or_default().push(id.0);
        }
    }
    for (end, ids) in ends {
        for mut arguments in padded(&ids) {
            let text = format!(
                "UPDATE trials SET lease_expires_at = ${} WHERE id IN ({})",
                arguments.len() + 1,
                placeholders(1, arguments.len())
            );
            arguments.push(end.into());
            link.execute(text, arguments).await?;
        }
    }
    Ok(())
}

async fn requests(link: &mut Link, tables: &Tables) -> Result<(), sqlx::Error> {
    let rows = tables.written.requests.iter().filter_map(|key| {
        let row = tables.requests.get(key)?;
        let text = |text: &str| Arg::from(text);
        Some(vec![key.0.0.into(), text(&key.1), text(&row.payload), text(&row.response), row.at.0.into()])
    });
    let columns = ["project_id", "request_id", "payload", "response", "at"];
    insert(link, "requests", &columns, "", rows.collect()).await?;
    if let Some(before) = tables.written.forget_before {
        link.execute("DELETE FROM requests WHERE at < $1".into(), vec![before.0.into()]).await?;
    }
    Ok(())
}

async fn notify(engine: &Engine, link: &mut Link, tables: &Tables) -> Result<(), sqlx::Error> {
    if !link.is_postgres() {
        return Ok(());
    }
    let ids: Vec<String> = tables.written.notices.iter().map(ToString::to_string).collect();
    for chunk in ids.chunks(NOTIFIED) {
        let payload = format!("{}:{}", engine.origin, chunk.join(","));
        link.execute("SELECT pg_notify($1, $2)".into(), vec![CHANNEL.into(), payload.into()]).await?;
    }
    Ok(())
}
