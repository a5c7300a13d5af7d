//! Which rule holds for a view.
//!
//! A study that was reopened has been told to go on: results up to that change do not count towards a rule any more. They
//! remain what later results are compared with.

use boxwood_core::{Change, Problem, Provenance, RungResult, StudyView, TrialStatus, TrialView};

use super::{ExpectedImprovement, NoImprovement, RegretBound, StopRules, Tolerance};

impl StopRules {
    /// Why the study is done: the first rule that holds for what was measured after `since`, one sentence. Pure: equal
    /// views give equal answers. Training seconds are counted with the budget.
    pub fn reason(&self, view: &StudyView, since: Change) -> Option<String> {
        let flat = self.no_improvement.as_ref().and_then(|rule| rule.reason(view, since));
        flat.or_else(|| self.expected_improvement.as_ref().and_then(|rule| rule.reason(view, since)))
            .or_else(|| self.regret_bound.as_ref().and_then(|rule| rule.reason(view, since)))
    }
}

/// Trials with a full result, in the order in which the results became visible.
fn in_order(view: &StudyView) -> Vec<&RungResult> {
    let top = view.problem().ladder().top();
    let counted =
        |trial: &&TrialView| !matches!(trial.status, TrialStatus::Infeasible | TrialStatus::Cancelled);
    let with_result = |trial: &'_ TrialView| trial.results.iter().position(|result| result.rung == top);
    let mut results: Vec<_> = view
        .trials()
        .iter()
        .filter(counted)
        .filter_map(|trial| with_result(trial).map(|index| (trial.number, &trial.results[index])))
        .collect();
    results.sort_by_key(|(number, result)| (result.change, *number));
    results.into_iter().map(|(_, result)| result).collect()
}

/// Whether losses `a` are at most the tolerance worse than `b` in every objective.
fn is_as_good(a: &[f64], b: &[f64], tolerance: &Tolerance) -> bool {
    a.iter().zip(b).enumerate().all(|(objective, (a, b))| a - tolerance.of(objective) <= *b)
}

fn is_feasible(result: &RungResult) -> bool {
    result.violations.iter().all(|violation| *violation <= 0.0)
}

impl NoImprovement {
    fn reason(&self, view: &StudyView, since: Change) -> Option<String> {
        // Small steps add up: what they are compared with are the results that improved.
        let mut archive: Vec<&[f64]> = Vec::new();
        let mut flat = 0;
        for result in in_order(view) {
            flat = if result.change > since { flat + 1 } else { 0 };
            let losses = result.losses.as_slice();
            let matched = archive.iter().any(|kept| is_as_good(kept, losses, &self.tolerance));
            if is_feasible(result) && !matched {
                archive.retain(|kept| !is_as_good(losses, kept, &Tolerance::default()));
                archive.push(losses);
                flat = 0;
            }
        }
        let what = subject(view.problem());
        (!archive.is_empty() && flat >= self.trials)
            .then(|| format!("{what} has not improved by more than {} for {flat} trials", self.tolerance))
    }
}

/// What improves: the metric, or the front of several.
fn subject(problem: &Problem) -> String {
    match problem.objectives() {
        [objective] => format!("`{}`", objective.metric),
        several => {
            let names: Vec<String> =
                several.iter().map(|objective| format!("`{}`", objective.metric)).collect();
            format!("the front of {}", names.join(" and "))
        }
    }
}

/// What the model said of its proposals that were measured at any rung after `since`, newest first.
fn said(view: &StudyView, since: Change, value: impl Fn(&Provenance) -> Option<f64>) -> Vec<f64> {
    let mut proposals: Vec<_> = view
        .trials()
        .iter()
        .filter(|trial| trial.status != TrialStatus::Cancelled)
        .filter_map(|trial| {
            let seen = trial.results.iter().map(|result| result.change).min()?;
            value(&trial.provenance).filter(|_| seen > since).map(|value| (seen, trial.number, value))
        })
        .collect();
    proposals.sort_by_key(|(seen, number, _)| std::cmp::Reverse((*seen, *number)));
    proposals.into_iter().map(|(.., value)| value).collect()
}

/// Whether the newest `proposals` values are all below the limit.
fn all_below(values: &[f64], limit: f64, proposals: u64) -> bool {
    values.iter().take_while(|value| **value < limit).take(proposals as usize).count() as u64 >= proposals
}

impl ExpectedImprovement {
    fn reason(&self, view: &StudyView, since: Change) -> Option<String> {
        let values = said(view, since, |provenance| provenance.log_improvement);
        all_below(&values, self.below.ln(), self.proposals).then(|| {
            format!(
                "the last {} proposals were each expected to improve by less than {} standard deviations",
                self.proposals, self.below
            )
        })
    }
}

impl RegretBound {
    fn reason(&self, view: &StudyView, since: Change) -> Option<String> {
        let values = said(view, since, |provenance| provenance.regret_bound);
        all_below(&values, self.below, self.proposals).then(|| {
            let what = subject(view.problem());
            let proposals = self.proposals;
            format!(
                "the best {what} is within {} of the best possible, by {proposals} bounds in a row",
                self.below
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use boxwood_core::{Origin, ProblemSpec, Rung, TrialNumber};

    use super::*;

    /// A study of `objectives` losses whose trials have these losses, one after the other, and what the model said.
    fn view(objectives: usize, trials: &[(&[f64], Option<f64>)]) -> StudyView {
        let names: Vec<String> =
            (0..objectives).map(|n| format!(r#"{{"metric": "loss{n}", "goal": "minimize"}}"#)).collect();
        let spec: ProblemSpec = serde_json::from_str(&format!(
            r#"{{"space": {{"parameters": [{{"name": "x", "type": "float", "low": 0, "high": 1}}]}},
                "fidelity": {{"resource": "epochs", "rungs": [1, 3]}}, "objectives": [{}]}}"#,
            names.join(",")
        ))
        .unwrap();
        let problem = Arc::new(spec.check().unwrap());
        let trial = |(index, (losses, said)): (usize, &(&[f64], Option<f64>))| {
            let encoded = vec![index as f64 / 100.0];
            let change = Change(index as u64 + 1);
            let result = RungResult {
                rung: Rung(1),
                losses: losses.to_vec(),
                violations: vec![],
                seconds: None,
                change,
            };
            TrialView {
                number: TrialNumber(index as u32 + 1),
                point: problem.space().decode(&encoded),
                encoded,
                origin: Origin::Solver,
                provenance: Provenance {
                    log_improvement: said.map(f64::ln),
                    regret_bound: *said,
                    ..Provenance::default()
                },
                status: TrialStatus::Completed,
                target: Rung(1),
                results: vec![result],
            }
        };
        let trials = trials.iter().enumerate().map(trial).collect();
        StudyView::new(problem, Change(99), trials)
    }

    fn losses(values: &[f64]) -> StudyView {
        view(1, &values.iter().map(|value| (std::slice::from_ref(value), None)).collect::<Vec<_>>())
    }

    fn pairs(values: &[[f64; 2]]) -> StudyView {
        view(2, &values.iter().map(|value| (value.as_slice(), None)).collect::<Vec<_>>())
    }

    fn expectations(values: &[f64]) -> StudyView {
        view(1, &values.iter().map(|value| ([1.0].as_slice(), Some(*value))).collect::<Vec<_>>())
    }

    fn flat(trials: u64, tolerance: f64) -> StopRules {
        let rule = NoImprovement { trials, tolerance: Tolerance::Same(tolerance) };
        StopRules { no_improvement: Some(rule), ..StopRules::default() }
    }

    fn stops(rules: &StopRules, view: &StudyView) -> bool {
        rules.reason(view, Change(0)).is_some()
    }

    #[test]
    fn a_flat_end_stops_and_small_steps_add_up() {
        let falling: Vec<f64> = (0..10).map(|n| 1.0 - 0.04 * f64::from(n)).collect();
        assert!(!stops(&flat(3, 0.0), &losses(&falling)));
        // A step of 0.04 alone does not count, but after three of them the best has improved by 0.12.
        assert!(!stops(&flat(3, 0.1), &losses(&falling)));
        assert!(stops(&flat(2, 0.1), &losses(&falling[..9])));
        let reason = flat(2, 0.0).reason(&losses(&[1.0, 0.5, 0.5, 0.7]), Change(0)).unwrap();
        assert_eq!(reason, "`loss0` has not improved by more than 0 for 2 trials");
        assert!(!stops(&flat(1, 0.0), &losses(&[])));
    }

    #[test]
    fn a_reopened_study_starts_to_count_anew_but_keeps_its_best() {
        let flat_end = losses(&[1.0, 0.5, 0.7, 0.7, 0.6]);
        let count = |trials, since| flat(trials, 0.0).reason(&flat_end, Change(since)).is_some();
        assert!(count(3, 0));
        // Two results came after the change 3; 0.6 beats none of the results since then but not the best of all.
        assert!(count(2, 3) && !count(3, 3));
        assert!(!count(1, 5));
        let said = expectations(&[0.001, 0.001, 0.001]);
        let rule = ExpectedImprovement { below: 0.01, proposals: 2 };
        let rules = StopRules { expected_improvement: Some(rule), ..StopRules::default() };
        assert!(rules.reason(&said, Change(1)).is_some());
        assert!(rules.reason(&said, Change(2)).is_none());
    }

    #[test]
    fn a_front_that_gains_no_point_has_not_improved() {
        let front = [[0.0, 1.0], [1.0, 0.0]];
        let grown = |last: [f64; 2]| pairs(&[front[0], front[1], [2.0, 2.0], last]);
        assert!(stops(&flat(2, 0.0), &grown([0.5, 1.5])), "dominated by the first");
        assert!(!stops(&flat(2, 0.0), &grown([0.5, 0.9])), "a new point between the ends");
        assert!(stops(&flat(2, 0.2), &grown([0.5, 0.9])), "but by less than the tolerance");
        assert!(!stops(&flat(2, 0.2), &grown([0.5, 0.5])));
        let each = NoImprovement { trials: 2, tolerance: Tolerance::Each(vec![0.0, 0.2]) };
        let each = StopRules { no_improvement: Some(each), ..StopRules::default() };
        assert!(
            stops(&each, &grown([0.0, 0.85])),
            "as good as the first but for the second objective's tolerance"
        );
        assert!(!stops(&each, &grown([-0.1, 1.0])), "the first objective has none");
        let reason = flat(2, 0.0).reason(&grown([3.0, 3.0]), Change(0)).unwrap();
        assert_eq!(reason, "the front of `loss0` and `loss1` has not improved by more than 0 for 2 trials");
    }

    #[test]
    fn low_expectations_in_a_row_stop() {
        let improvement = ExpectedImprovement { below: 0.01, proposals: 2 };
        let regret = RegretBound { below: 0.01, proposals: 2 };
        for rules in [
            StopRules { expected_improvement: Some(improvement), ..StopRules::default() },
            StopRules { regret_bound: Some(regret), ..StopRules::default() },
        ] {
            assert!(!stops(&rules, &expectations(&[0.001, 0.5, 0.001])));
            assert!(stops(&rules, &expectations(&[0.5, 0.001, 0.001])));
            // A point of another kind in between says nothing.
            let others = [(0.001, true), (1.0, false), (0.001, true)];
            let others: Vec<(&[f64], Option<f64>)> =
                others.iter().map(|(value, said)| ([1.0].as_slice(), said.then_some(*value))).collect();
            assert!(stops(&rules, &view(1, &others)));
        }
    }

    #[test]
    fn proposals_measured_at_a_low_rung_count() {
        let full = expectations(&[0.001, 0.001]);
        let mut trials = full.trials().to_vec();
        for trial in &mut trials {
            trial.status = TrialStatus::Paused;
            trial.results[0].rung = Rung(0);
        }
        let low = StudyView::new(Arc::clone(full.problem()), Change(99), trials);
        let rule = ExpectedImprovement { below: 0.01, proposals: 2 };
        let rules = StopRules { expected_improvement: Some(rule), ..StopRules::default() };
        assert!(stops(&rules, &low));
        assert!(!stops(&flat(1, 0.0), &low), "there is no full result");
    }
}
