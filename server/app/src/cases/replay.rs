//! Recompute every committed plan and compare.

use std::sync::Arc;

use boxwood_core::{Ask, Change, Move, StopFlag};
use boxwood_store::{Role, Store};
use boxwood_study::{PlanNumber, PlanRecord, StudyId};

use crate::error::AppError;
use crate::history::History;
use crate::model::Model;
use crate::planner::complete;
use crate::{App, Principal};

/// Plans read in one query.
const PAGE: u32 = 500;
/// Differences that are listed; further ones are counted.
const LISTED: usize = 100;

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Plans recomputed.
    pub plans: u64,
    /// Moves compared.
    pub moves: u64,
    /// One line per difference; empty when every plan was reproduced.
    pub differences: Vec<String>,
}

impl<S: Store> App<S> {
    /// Recomputes every committed plan from the history and compares its moves with the stored ones.
    pub async fn replay(&self, caller: &Principal, study: StudyId) -> Result<ReplayReport, AppError> {
        caller.require(Role::Viewer)?;
        self.check_study(caller, study).await?;
        let rows = self.inner.store.rows_since(study, Change(0)).await?;
        let plans = self.all_plans(study).await?;
        let model = (self.inner.build)(&rows.study.spec)?;
        let permit = Arc::clone(&self.inner.pool).acquire_owned().await;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let history = History::new(model.clone(), rows)?;
            Ok(compare(&model, &history, &plans))
        });
        work.await.map_err(|error| AppError::internal(&error))?
    }

    async fn all_plans(&self, study: StudyId) -> Result<Vec<PlanRecord>, AppError> {
        let mut plans: Vec<PlanRecord> = Vec::new();
        loop {
            let from = plans.last().map_or(1, |plan| plan.number.0 + 1);
            let page = self.inner.store.plans(study, PlanNumber(from), PAGE).await?;
            let last = page.len() < PAGE as usize;
            plans.extend(page);
            if last {
                return Ok(plans);
            }
        }
    }
}

fn compare(model: &Model, history: &History, plans: &[PlanRecord]) -> ReplayReport {
    let mut report = ReplayReport::default();
    for plan in plans {
        report.plans += 1;
        report.moves += plan.moves.len() as u64;
        let number = plan.number.0;
        let view = history.view_of(plan);
        let ask = Ask { want: plan.want as usize, starts_left: plan.starts_left };
        match model.plan(&view, ask, number, &StopFlag::default()) {
            Ok(mut again) => {
                complete(&mut again.moves, number, plan.change, model.problem().space());
                differences(&mut report.differences, number, &plan.moves, &again.moves);
            }
            Err(error) => report.differences.push(format!("plan {number}: not made again: {error}")),
        }
    }
    let more = report.differences.len().saturating_sub(LISTED);
    report.differences.truncate(LISTED);
    if more > 0 {
        report.differences.push(format!("and {more} more"));
    }
    report
}

fn differences(lines: &mut Vec<String>, number: u64, stored: &[Move], again: &[Move]) {
    if stored.len() != again.len() {
        lines.push(format!("plan {number}: {} moves stored, {} made again", stored.len(), again.len()));
    }
    for (index, (stored, again)) in stored.iter().zip(again).enumerate() {
        if stored != again {
            let text =
                |planned: &Move| serde_json::to_string(planned).unwrap_or_else(|error| error.to_string());
            lines.push(format!(
                "plan {number}, move {index}: stored {}, again {}",
                text(stored),
                text(again)
            ));
        }
    }
}
