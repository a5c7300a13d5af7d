//! Answers of reads, made of rows in the same way by every engine.

use std::cmp::Ordering;

use boxwood_core::{Change, Goal};
use boxwood_study::{
    CurvePoint, StudyId, StudyRecord, StudyState, Timestamp, TrialRecord, TrialRow, budget_left,
};

use crate::tables::open_trials;
use crate::{Page, StudyRows, TrialOrder};

/// Largest page of a list.
const PAGE: u32 = 1_000;
/// Workers not seen for so long are not listed; request ids older than this are forgotten.
pub(crate) const DAY_SECONDS: f64 = 86_400.0;

/// Page size within the limit.
pub(crate) fn page_size(limit: u32) -> usize {
    limit.clamp(1, PAGE) as usize
}

/// A page of rows that were read with one more than its size.
pub(crate) fn page<T>(mut items: Vec<T>, size: usize) -> Page<T> {
    let more = items.len() > size;
    items.truncate(size);
    Page { items, more }
}

/// Changed rows of a study: trials by number, history and curve points by change.
pub(crate) fn study_rows(study: StudyRecord, rows: Vec<TrialRow>, mut curves: Vec<CurvePoint>) -> StudyRows {
    let mut history = Vec::new();
    let mut targets = Vec::new();
    let mut trials = Vec::with_capacity(rows.len());
    for row in rows {
        let mut target = None;
        for entry in &row.history {
            history.push((row.record.id, entry.0, entry.1));
            if target != Some(entry.2) {
                targets.push((row.record.id, entry.0, entry.2));
                target = Some(entry.2);
            }
        }
        trials.push(row.record);
    }
    trials.sort_by_key(|trial| trial.number);
    history.sort_by_key(|(trial, change, _)| (*change, *trial));
    targets.sort_by_key(|(trial, change, _)| (*change, *trial));
    curves.sort_by_key(|point| (point.change, point.trial, point.epoch, point.report.step));
    StudyRows { study, trials, history, targets, curves }
}

/// Active studies that a planner should look at although nothing in them has changed.
pub(crate) fn idle_studies<'a>(
    studies: impl Iterator<Item = &'a StudyRecord>,
    now: Timestamp,
) -> Vec<StudyId> {
    studies
        .filter(|study| study.state == StudyState::Active && !study.archived)
        .filter(|study| open_trials(study) == 0 || budget_left(study, now).is_time_or_resource_spent())
        .map(|study| study.id)
        .collect()
}

/// Order of a list of trials, also for its seek.
pub(crate) fn compare(a: &TrialRecord, b: &TrialRecord, order: TrialOrder, goal: Goal) -> Ordering {
    let loss = |value: f64| match goal {
        Goal::Minimize => value,
        Goal::Maximize => -value,
    };
    match order {
        TrialOrder::Number => a.number.cmp(&b.number),
        TrialOrder::Newest => b.number.cmp(&a.number),
        TrialOrder::Best => {
            let values = match (a.value, b.value) {
                (Some(a), Some(b)) => loss(a).total_cmp(&loss(b)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            };
            values.then(a.number.cmp(&b.number))
        }
    }
}

/// Whether a row is news for a reader that has seen `since`; everything is for `Change(0)`.
pub(crate) fn is_news(change: Change, since: Change) -> bool {
    since.0 == 0 || change > since
}
