//! `boxwood demo`: the main job end to end, on this machine, in a few minutes.

mod processes;
mod progress;
mod result;
mod spec;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use boxwood_wire::v1::{
    CreateStudyRequest, ListStudiesRequest, Study, StudyAction, StudyState, TrialOrder, UpdateStudyRequest,
};
use serde_json::json;

use crate::args::DemoArgs;
use crate::command::study::list_trials;
use crate::remote::{Remote, plain, request_id};
use crate::show;
pub(crate) use processes::Processes;
use progress::Progress;

/// Most trials that the demo looks at.
const MANY_TRIALS: u32 = 20_000;

/// Runs the demo and returns once the study has ended, the time is over, or the person pressed Ctrl-C.
pub(crate) async fn run(args: DemoArgs, as_json: bool) -> Result<()> {
    check(&args)?;
    let folder = std::path::absolute(&args.folder).context("resolve the demo's folder")?;
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let data = spec::data(&args, &folder)?;

    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut processes = Processes::new(&folder);
    let work = async {
        let server = processes.start_server(&database(&args, &folder)).await?;
        let remote = Remote::connect(&server.grpc, None, "").await?;
        let study = open_study(&remote, &args, &data).await?;
        for index in 1..=args.workers {
            processes.start_worker(index, &server.grpc)?;
        }
        println!(
            "study `{}` on {}, {} workers, REST at {} (Ctrl-C stops; running again continues)",
            study.name, data.label, args.workers, server.rest
        );
        let watched = watch(&remote, &study, &args, &mut processes).await;
        Ok::<_, anyhow::Error>((remote, study, watched?))
    };
    let finished = tokio::select! {
        finished = work => Some(finished?),
        _ = &mut interrupt => None,
    };
    let Some((remote, study, seconds)) = finished else {
        eprintln!("\nstopping; `boxwood demo` with the same options continues");
        return processes.stop().await;
    };
    let report = result::collect(&remote, &study.name, &data.label, seconds).await?;
    processes.stop().await?;
    if let Some(file) = &args.json_file {
        let text = serde_json::to_string_pretty(&report.document())?;
        std::fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))?;
    }
    if as_json {
        return crate::output::json(&report.document());
    }
    report.print(&database(&args, &folder));
    if report.best_is_missing() {
        bail!("no trial was measured; the logs are in {}", processes::log_folder(&folder).display());
    }
    Ok(())
}

fn check(args: &DemoArgs) -> Result<()> {
    if !(args.minutes.is_finite() && 0.05 <= args.minutes && args.minutes <= 10_000.0) {
        bail!("--minutes must lie between 0.05 and 10000");
    }
    if args.trials == 0 {
        bail!("--trials must be at least 1");
    }
    if !(1..=256).contains(&args.workers) {
        bail!("--workers must lie between 1 and 256");
    }
    Ok(())
}

fn database(args: &DemoArgs, folder: &Path) -> String {
    args.database.clone().unwrap_or_else(|| format!("sqlite:{}", sqlite_file(folder).display()))
}

fn sqlite_file(folder: &Path) -> PathBuf {
    folder.join("demo.db")
}

/// Creates the demo's study, or goes on with the one of an earlier run.
async fn open_study(remote: &Remote, args: &DemoArgs, data: &spec::DemoData) -> Result<Study> {
    let stem = format!("demo-{}", data.name);
    let request = ListStudiesRequest {
        project: remote.project(),
        name_contains: stem.clone(),
        archived: true,
        limit: 500,
        ..ListStudiesRequest::default()
    };
    let studies = remote.studies().list_studies(request).await.map_err(|s| plain(&s))?.into_inner().studies;
    let number =
        |study: &Study| study.name.strip_prefix(&format!("{stem}-")).and_then(|n| n.parse::<u32>().ok());
    let last =
        studies.into_iter().filter_map(|study| number(&study).map(|n| (n, study))).max_by_key(|(n, _)| *n);
    let next = match last {
        None => 1,
        Some((n, study)) if args.fresh => {
            forget(remote, &study).await?;
            n + 1
        }
        Some((n, study)) if study.state() == StudyState::Cancelled => n + 1,
        Some((_, study)) => return go_on(remote, args, study).await,
    };
    let request = CreateStudyRequest {
        project: remote.project(),
        spec_json: spec::study(&format!("{stem}-{next}"), args, data).to_string(),
        request_id: request_id(),
    };
    let created = remote.studies().create_study(request).await.map_err(|s| plain(&s))?.into_inner();
    created.study.context("the server's answer holds no study")
}

/// Cancels and archives the study of an earlier run.
async fn forget(remote: &Remote, study: &Study) -> Result<()> {
    let open = matches!(study.state(), StudyState::Active | StudyState::Paused);
    let request = UpdateStudyRequest {
        id: study.id,
        action: if open { StudyAction::Cancel } else { StudyAction::Unspecified }.into(),
        reason: "a fresh demo was started".into(),
        archived: Some(true),
        request_id: request_id(),
        ..UpdateStudyRequest::default()
    };
    remote.studies().update_study(request).await.map_err(|s| plain(&s))?;
    Ok(())
}

/// Gives a study of an earlier run a new time budget, and more trials when it had used up its own.
async fn go_on(remote: &Remote, args: &DemoArgs, study: Study) -> Result<Study> {
    let counted = u64::from(study.trials) - study.counts.get("cancelled").copied().unwrap_or(0);
    let stored = show::parsed(&study.spec_json)["budget"]["trials"].as_u64().unwrap_or(0);
    let trials = if counted < stored { stored } else { counted + args.trials };
    println!("going on with study `{}`: {counted} trials so far, {trials} in all", study.name);
    let request = UpdateStudyRequest {
        id: study.id,
        action: if study.state() == StudyState::Active {
            StudyAction::Unspecified
        } else {
            StudyAction::Resume
        }
        .into(),
        budget_json: json!({"trials": trials, "seconds": args.minutes * 60.0}).to_string(),
        request_id: request_id(),
        ..UpdateStudyRequest::default()
    };
    remote.studies().update_study(request).await.map(tonic::Response::into_inner).map_err(|s| plain(&s))
}

/// Shows progress until the study has ended; returns the seconds that it took.
async fn watch(remote: &Remote, study: &Study, args: &DemoArgs, processes: &mut Processes) -> Result<f64> {
    let start = std::time::Instant::now();
    let limit = args.minutes * 60.0;
    let mut progress = Progress::new(limit);
    // The server ends the study when its seconds are over; this is for a server that cannot.
    let hard_limit = limit + 120.0;
    loop {
        processes.check()?;
        let now = remote.study(&study.id.to_string()).await?;
        let trials = list_trials(remote, study.id, Vec::new(), TrialOrder::Number, MANY_TRIALS).await?;
        let explained = remote.studies().explain_study(remote.study_request(&study.id.to_string())).await;
        let explained =
            explained.map(|document| show::parsed(&document.into_inner().json)).unwrap_or_default();
        let elapsed = start.elapsed().as_secs_f64();
        progress.show(&now, &trials, &explained, elapsed);
        if !matches!(now.state(), StudyState::Active) {
            progress.end();
            if now.state() == StudyState::Paused {
                bail!(
                    "the study was paused: {}; the logs are in {}",
                    now.state_reason,
                    processes.logs().display()
                );
            }
            return Ok(elapsed);
        }
        if elapsed > hard_limit {
            bail!(
                "the study did not end {hard_limit:.0} seconds after its start; the logs are in {}",
                processes.logs().display()
            );
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
