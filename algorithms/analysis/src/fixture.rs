//! Small studies for tests.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boxwood_core::{
    Change, Origin, Problem, ProblemSpec, Provenance, Rung, RungResult, StudyView, TrialNumber, TrialStatus,
    TrialView,
};

pub(crate) struct Study {
    problem: Arc<Problem>,
    pub(crate) trials: Vec<TrialView>,
    change: u64,
}

impl Study {
    /// A study that minimizes `objectives` losses named `y0`, `y1`, ... on a ladder of 1, 3 and 9 epochs.
    pub(crate) fn new(parameters: &str, objectives: usize) -> Self {
        Self::of_space(&format!(r#"{{"parameters":[{parameters}]}}"#), objectives, "minimize")
    }

    pub(crate) fn of_space(space: &str, objectives: usize, goal: &str) -> Self {
        let metrics: Vec<String> =
            (0..objectives).map(|i| format!(r#"{{"metric":"y{i}","goal":"{goal}"}}"#)).collect();
        let spec: ProblemSpec = serde_json::from_str(&format!(
            r#"{{"space":{space},"objectives":[{}],"fidelity":{{"resource":"epochs","max":9}}}}"#,
            metrics.join(",")
        ))
        .unwrap();
        Self { problem: Arc::new(spec.check().unwrap()), trials: Vec::new(), change: 0 }
    }

    /// Adds a trial with the losses of rungs 0, 1, ...; completed at the top, paused below, failed without any.
    pub(crate) fn add(&mut self, point: &str, losses: &[Vec<f64>]) {
        let space = self.problem.space();
        let point = space.canonical(&serde_json::from_str(point).unwrap()).unwrap();
        let results = losses.iter().enumerate().map(|(rung, losses)| {
            self.change += 1;
            RungResult {
                rung: Rung(rung as u32),
                losses: losses.clone(),
                violations: Vec::new(),
                seconds: Some(10.0 * (rung + 1) as f64),
                change: Change(self.change),
            }
        });
        let results = results.collect();
        self.trials.push(TrialView {
            number: TrialNumber(self.trials.len() as u32 + 1),
            encoded: space.encode(&point).unwrap(),
            point,
            origin: Origin::Solver,
            provenance: Provenance::default(),
            status: match losses.len() {
                0 => TrialStatus::Failed,
                3 => TrialStatus::Completed,
                _ => TrialStatus::Paused,
            },
            target: Rung(2),
            results,
        });
    }

    pub(crate) fn view(&self) -> StudyView {
        StudyView::new(Arc::clone(&self.problem), Change(self.change), self.trials.clone())
    }
}
