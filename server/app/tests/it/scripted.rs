//! What the tests share: specifications, a scripted solver, a sequential client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use boxwood_app::{App, Model, Principal, Settings};
use boxwood_core::{
    Ask, Metrics, Move, Plan, PlanEnd, Problem, Provenance, Seed, Signal, Solver, SolverError, StopFlag,
    StudyView, TrialNumber, Unsupported, Verdict,
};
use boxwood_store::{Grant, MemoryStore, WorkerHello};
use boxwood_study::{
    Ending, EndingKind, Finish, FinishOutcome, LeaseKey, Report, StudyId, StudySpec, WorkerName,
};
use serde_json::{Value as Json, json};

/// A study over two floats, with fields laid over it.
pub fn spec(name: &str, over: Json) -> StudySpec {
    let mut json = json!({
        "name": name,
        "space": { "parameters": [
            { "name": "x", "type": "float", "low": -5.0, "high": 10.0 },
            { "name": "y", "type": "float", "low": 0.0, "high": 15.0 }
        ] },
        "objectives": [{ "metric": "loss", "goal": "minimize" }],
        "solver": { "name": "random" },
        "seed": 7,
        "lease_seconds": 30.0
    });
    for (key, value) in over.as_object().unwrap() {
        json[key] = value.clone();
    }
    StudySpec::from_value(json).unwrap()
}

pub fn app(store: &MemoryStore) -> App<MemoryStore> {
    App::new(store.clone(), Settings::default())
}

pub async fn started(store: &MemoryStore) -> App<MemoryStore> {
    let app = app(store);
    app.start().await.unwrap();
    app
}

pub async fn create(app: &App<MemoryStore>, spec: StudySpec) -> StudyId {
    let caller = Principal::local();
    let project = app.project(&caller, "").await.unwrap();
    app.create_study(&caller, project, spec, None).await.unwrap().study.id
}

pub async fn worker(app: &App<MemoryStore>, name: &str) -> WorkerHello {
    WorkerHello {
        project: app.project(&Principal::local(), "").await.unwrap(),
        name: WorkerName(name.into()),
        slots: 1,
        labels: BTreeMap::new(),
        programs: vec!["train".into()],
    }
}

/// The next trial of a study.
pub async fn suggest(app: &App<MemoryStore>, study: StudyId, count: u32) -> Vec<Grant> {
    let hello = worker(app, "script").await;
    app.suggest(&Principal::local(), study, hello, count, 20.0, None).await.unwrap().grants
}

pub fn key(grant: &Grant) -> LeaseKey {
    LeaseKey { trial: grant.trial.id, epoch: grant.trial.epoch }
}

pub fn number(grant: &Grant, name: &str) -> f64 {
    grant.trial.point.get(name).unwrap().as_number().unwrap()
}

/// Ends a lease with a loss at its target.
pub async fn finish(app: &App<MemoryStore>, grant: &Grant, loss: f64) -> FinishOutcome {
    let result = Report { step: grant.to, metrics: Metrics::from([("loss", loss)]), seconds: Some(0.1) };
    let finish = Finish {
        ending: Ending { kind: EndingKind::Reached, reason: None },
        result: Some(result),
        checkpoint: Some(format!("file:///checkpoint-{}-{}", grant.trial.number, grant.to)),
        seconds: 0.1,
    };
    app.finish(&Principal::local(), key(grant), finish).await.unwrap()
}

/// A function of the point, as a training run would be.
pub fn loss(grant: &Grant) -> f64 {
    let (x, y) = (number(grant, "x"), number(grant, "y"));
    (x - 2.0).powi(2) + (y - 3.0).powi(2) + 1.0 / grant.to as f64
}

/// What a sequential client is given: number, point, target, for as many leases as asked for.
pub async fn run_sequentially(app: &App<MemoryStore>, study: StudyId, leases: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..leases {
        let Some(grant) = suggest(app, study, 1).await.pop() else { break };
        let point = serde_json::to_string(&grant.trial.point).unwrap();
        seen.push(format!("{} {point} to {}", grant.trial.number, grant.to));
        finish(app, &grant, loss(&grant)).await;
    }
    seen
}

/// What a scripted solver does when it is asked.
#[derive(Debug, Clone, Copy)]
pub enum Script {
    /// Points `x = number of trials measured`, so that a point says what its plan had seen.
    CountMeasured,
    /// The same points, with a model that expects nothing once two of them were measured.
    Certain,
    Numeric,
    Bug,
    Panic,
    /// Looks at the stop flag until it is raised.
    Slow,
}

pub struct Scripted {
    pub script: Script,
    pub plans: Arc<AtomicU32>,
}

impl Solver for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn accepts(&self, _problem: &Problem) -> Result<(), Unsupported> {
        Ok(())
    }

    fn tells(&self, _: &Problem, _: Signal) -> Result<(), Unsupported> {
        Ok(())
    }

    fn plan(&self, view: &StudyView, ask: Ask, _: Seed, stop: &StopFlag) -> Result<Plan, SolverError> {
        self.plans.fetch_add(1, Ordering::SeqCst);
        match self.script {
            Script::CountMeasured => Ok(count_measured(view, ask)),
            Script::Certain => {
                let mut plan = count_measured(view, ask);
                let said = if view.trials().iter().filter(|trial| !trial.results.is_empty()).count() < 2 {
                    1.0_f64
                } else {
                    0.001
                };
                for planned in &mut plan.moves {
                    let (Move::Start { provenance, .. } | Move::Resume { provenance, .. }) = planned;
                    provenance.log_improvement = Some(said.ln());
                    provenance.regret_bound = Some(said);
                }
                Ok(plan)
            }
            Script::Numeric => Err(SolverError::Numeric("not positive definite".into())),
            Script::Bug => Err(SolverError::Bug("a broken invariant".into())),
            Script::Panic => panic!("a scripted panic"),
            Script::Slow => loop {
                stop.check()?;
                std::thread::sleep(std::time::Duration::from_millis(5));
            },
        }
    }

    fn judge(&self, view: &StudyView, trial: TrialNumber) -> Verdict {
        let last = view.trial(trial).and_then(|trial| trial.last());
        match last {
            Some(result) if result.losses[0] > 100.0 => Verdict::Stop("hopeless".into()),
            _ => Verdict::Continue,
        }
    }
}

fn count_measured(view: &StudyView, ask: Ask) -> Plan {
    let measured = view.trials().iter().filter(|trial| !trial.results.is_empty()).count();
    let space = view.problem().space();
    let first = view.trials().len();
    let moves = (0..ask.starts()).map(|index| {
        let mut row = vec![measured as f64 / 1000.0, (first + index) as f64 / 1000.0];
        space.snap(&mut row);
        Move::Start {
            point: space.decode(&row),
            rung: view.problem().ladder().top(),
            provenance: Provenance { solver: "scripted".into(), ..Provenance::default() },
        }
    });
    let moves: Vec<Move> = moves.collect();
    let end = if moves.len() < ask.want { PlanEnd::Exhausted("budget spent".into()) } else { PlanEnd::More };
    Plan { moves, end, diagnostics: boxwood_core::Diagnostics::default() }
}

/// An app whose every study has this solver.
pub fn scripted(
    store: &MemoryStore,
    script: Script,
    settings: Settings,
) -> (App<MemoryStore>, Arc<AtomicU32>) {
    let plans = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&plans);
    let build = move |spec: &StudySpec| {
        let solver = Scripted { script, plans: Arc::clone(&count) };
        Ok(Model::with_solver(spec.check()?, Arc::new(solver)))
    };
    (App::with_models(store.clone(), settings, Box::new(build)), plans)
}

/// Trials measured when a scripted point was planned.
pub fn measured(grant: &Grant) -> u64 {
    ((number(grant, "x") + 5.0) / 15.0 * 1000.0).round() as u64
}
