//! Store reports of running trials and say what to do next.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use boxwood_core::{TrialNumber, Verdict};
use boxwood_store::{Role, Store};
use boxwood_study::{LeaseKey, Refusal, Report, ReportAnswer, StudyId, TrialId};

use crate::error::AppError;
use crate::hub::lock;
use crate::snapshot::Seen;
use crate::{App, Principal};

/// Running trials whose reports are counted; beyond it the counts are forgotten and read again.
const COUNTED_TRIALS: usize = 100_000;

impl<S: Store> App<S> {
    /// Stores reports, one answer each, in order; a refused one does not spoil the others. Where the store says
    /// `continue` at a rung, the study's solver judges.
    pub async fn report(
        &self,
        caller: &Principal,
        reports: Vec<(LeaseKey, Report)>,
    ) -> Result<Vec<Result<ReportAnswer, AppError>>, AppError> {
        caller.require(Role::Worker)?;
        let most = self.inner.settings.limits.page as usize;
        if reports.len() > most {
            return Err(Refusal::Limit { what: "reports of one request", limit: most as u64 }.into());
        }
        let mut refused = Vec::with_capacity(reports.len());
        let mut accepted = Vec::with_capacity(reports.len());
        for (key, report) in reports {
            let refusal = self.check_report(caller, key, &report).await.err();
            if refusal.is_none() {
                accepted.push((key, report));
            }
            refused.push(refusal);
        }
        let places: Vec<(TrialId, u64)> =
            accepted.iter().map(|(key, report)| (key.trial, report.step)).collect();
        let stored = if accepted.is_empty() { Vec::new() } else { self.inner.store.report(accepted).await? };
        let mut answers = Vec::with_capacity(refused.len());
        // One look at each study serves all reports of the request: every one of them is stored by now.
        let mut looks: HashMap<StudyId, Seen> = HashMap::new();
        let mut stored = stored.into_iter().zip(places);
        for refusal in refused {
            answers.push(match refusal {
                Some(error) => Err(error),
                None => match stored.next() {
                    Some((Ok(answer), (trial, step))) => {
                        Ok(self.judged(answer, trial, step, &mut looks).await?)
                    }
                    Some((Err(error), _)) => Err(error.into()),
                    None => Err(AppError::internal(&"the store gave fewer answers than reports")),
                },
            });
        }
        self.inner.counters.add_reports(answers.iter().filter(|answer| answer.is_ok()).count());
        Ok(answers)
    }

    /// Refuses values that are not finite, another project's trial, and too many reports of one trial.
    pub(crate) async fn check_report(
        &self,
        caller: &Principal,
        key: LeaseKey,
        report: &Report,
    ) -> Result<(), AppError> {
        report.metrics.check().map_err(|(metric, _)| Refusal::NotFinite { metric })?;
        self.check_trial(caller, key.trial).await?;
        let known = lock(&self.inner.reports).get(&key.trial).copied();
        let count = match known {
            Some(count) => count,
            None => self.inner.store.trial(key.trial).await?.curve.len() as u64,
        };
        let limit = self.inner.settings.limits.reports_per_trial;
        if count >= limit {
            return Err(Refusal::Limit { what: "reports of one trial", limit }.into());
        }
        let mut counts = lock(&self.inner.reports);
        if counts.len() > COUNTED_TRIALS {
            counts.clear();
        }
        counts.insert(key.trial, count + 1);
        Ok(())
    }

    /// Lays the solver's judgement over the store's answer. Only a report at a rung can change what a solver knows.
    async fn judged(
        &self,
        answer: ReportAnswer,
        trial: TrialId,
        step: u64,
        looks: &mut HashMap<StudyId, Seen>,
    ) -> Result<ReportAnswer, AppError> {
        let study = trial.study();
        let hub = self.hub(study);
        let is_off_rung = hub.judged_steps.get().is_some_and(|steps| !steps.contains(&step));
        if answer.verdict != Verdict::Continue || is_off_rung {
            return Ok(answer);
        }
        let seen = match looks.entry(study) {
            Entry::Occupied(seen) => seen.into_mut(),
            Entry::Vacant(place) => place.insert(self.sync(&hub).await?),
        };
        let verdict = if hub.judged_steps.get().is_some_and(|steps| steps.contains(&step)) {
            seen.model.solver.judge(&seen.view, TrialNumber(trial.number()))
        } else {
            Verdict::Continue
        };
        Ok(ReportAnswer { verdict, ..answer })
    }
}
