//! The results that an analysis may compare with each other.

use boxwood_core::{Rung, RungResult, StudyView, TrialStatus, TrialView};

/// Results that make a rung worth analysing, where a higher rung has fewer.
const ENOUGH: usize = 20;

/// One trial with its result at the analysed rung.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The trial.
    pub trial: &'a TrialView,
    /// Its result.
    pub result: &'a RungResult,
}

impl Observed<'_> {
    /// Whether every constraint is satisfied.
    pub fn is_feasible(&self) -> bool {
        self.result.violations.iter().all(|violation| *violation <= 0.0)
    }
}

/// Whether what a trial measured tells something about its point.
fn counts(trial: &TrialView) -> bool {
    !matches!(trial.status, TrialStatus::Infeasible | TrialStatus::Cancelled)
}

/// Results of all trials at one rung, in order of trial numbers; those of infeasible and cancelled trials are left out.
pub fn observed_at(view: &StudyView, rung: Rung) -> Vec<Observed<'_>> {
    let trials = view.trials().iter().filter(|trial| counts(trial));
    trials.filter_map(|trial| trial.result(rung).map(|result| Observed { trial, result })).collect()
}

/// The rung to analyse: the highest with at least twenty results, else the one with the most, the higher of equal ones.
/// `None` without any result.
pub fn observed_rung(view: &StudyView) -> Option<Rung> {
    let rungs: Vec<Rung> = view.problem().ladder().rungs().map(|(rung, _)| rung).collect();
    let count = |rung: &Rung| observed_at(view, *rung).len();
    let enough = rungs.iter().rev().find(|rung| count(rung) >= ENOUGH).copied();
    enough.or_else(|| rungs.into_iter().max_by_key(count).filter(|rung| count(rung) > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Study;

    #[test]
    fn the_highest_rung_with_enough_results_is_analysed() {
        let mut study = Study::new(r#"{"name":"x","type":"float","low":0,"high":1}"#, 1);
        assert_eq!(observed_rung(&study.view()), None);
        for i in 0..30 {
            let rungs = if i < 5 { 3 } else { 1 + usize::from(i < 22) };
            study.add(&format!(r#"{{"x":{}}}"#, f64::from(i) / 30.0), &vec![vec![0.5]; rungs]);
        }
        assert_eq!(observed_rung(&study.view()), Some(Rung(1)));
        assert_eq!(observed_at(&study.view(), Rung(2)).len(), 5);
        study.trials[0].status = TrialStatus::Cancelled;
        assert_eq!(observed_at(&study.view(), Rung(2)).len(), 4);
    }
}
