//! Ten thousand seeded operations with crashing workers, late, repeated and reordered messages, against a model.
//!
//! Every answer is compared with a model that knows the rules in its own words, and with the memory store. Afterwards the
//! invariants of the architecture are checked. `BOXWOOD_SIMULATION_SEED` and `BOXWOOD_SIMULATION_OPERATIONS` change the run.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod suite;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use boxwood_core::{Change, Metrics, Move, Seed, SeedRng};
use boxwood_store::*;
use boxwood_study::*;
use rand::RngExt;
use serde_json::json;
use suite::data::Follower;
use suite::{Database, hello, plan, refusal, resume, start};

const LADDER: [u64; 3] = [1, 3, 9];
const ATTEMPTS: u32 = 2;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The rules in the test's own words.
#[derive(Debug, Clone)]
struct Model {
    state: TrialState,
    epoch: u64,
    target: usize,
    reached: Option<usize>,
    failed: u32,
    memory: u32,
    last: Option<(u64, Finish, FinishOutcome)>,
    /// Rungs that counted, each once.
    counted: Vec<usize>,
}

impl Model {
    fn new(target: usize) -> Self {
        Self {
            state: TrialState::Queued,
            epoch: 0,
            target,
            reached: None,
            failed: 0,
            memory: 0,
            last: None,
            counted: Vec::new(),
        }
    }

    /// State and acceptance that a finish must lead to; `None` when it repeats the last accepted one.
    fn finish(&mut self, epoch: u64, finish: &Finish) -> Option<(TrialState, bool)> {
        if self.last.as_ref().is_some_and(|(e, f, _)| *e == epoch && f == finish) {
            return None;
        }
        let current = self.state == TrialState::Leased && self.epoch == epoch;
        let open = matches!(self.state, TrialState::Queued | TrialState::Leased);
        let next = match finish.ending.kind {
            EndingKind::Reached if open => {
                let step = finish.result.as_ref().unwrap().step;
                let rung = LADDER.iter().rposition(|units| *units <= step).unwrap();
                if rung < self.target || self.reached.is_some_and(|reached| reached >= rung) {
                    return Some((self.state, false));
                }
                self.reached = Some(rung);
                self.counted.push(rung);
                if rung == 2 { TrialState::Completed } else { TrialState::Paused }
            }
            EndingKind::Stopped if open => TrialState::Pruned,
            EndingKind::Infeasible if open => TrialState::Infeasible,
            EndingKind::ProgramFailed if current => {
                self.failed += 1;
                if self.failed < ATTEMPTS { TrialState::Queued } else { TrialState::Failed }
            }
            EndingKind::OutOfMemory if current => {
                self.memory += 1;
                if self.memory < 2 { TrialState::Queued } else { TrialState::Infeasible }
            }
            EndingKind::Preempted if current => TrialState::Queued,
            _ => return Some((self.state, false)),
        };
        self.state = next;
        Some((next, true))
    }
}

#[derive(Debug, Clone)]
enum Message {
    Report(LeaseKey, Report),
    Finish(LeaseKey, Finish),
    Heartbeat(LeaseKey),
}

struct World {
    rng: SeedRng,
    /// The store under test, another server on the same database, and the memory store.
    stores: [AnyStore; 2],
    memory: AnyStore,
    studies: Vec<StudyId>,
    models: BTreeMap<TrialId, Model>,
    /// Messages under way, with the worker that sent them.
    messages: Vec<(String, Message)>,
    reports: HashMap<(LeaseKey, u64), (Report, Change)>,
    followers: Vec<Follower>,
    points: u32,
    requests: u32,
    seen: Seen,
}

/// How often the cases that matter came up.
#[derive(Debug, Default)]
struct Seen {
    late_accepted: u32,
    superseded: u32,
    repeated: u32,
    stale_reports: u32,
    repeated_reports: u32,
    lost_heartbeats: u32,
    reaped: u32,
    retried: u32,
}

/// What a trial measures is a function of the trial and the step, so equal steps never conflict.
fn measured(trial: TrialId, step: u64) -> Report {
    let auc = (trial.0 % 97) as f64 / 97.0 + step as f64 / 100.0;
    Report { step, metrics: Metrics::from([("auc", auc)]), seconds: Some(step as f64) }
}

fn script(rng: &mut SeedRng, grant: &Grant) -> Vec<Message> {
    let key = suite::key(grant);
    let mut messages = vec![Message::Heartbeat(key)];
    let kind = match rng.random_range(0..100) {
        0..70 => EndingKind::Reached,
        70..76 => EndingKind::Stopped,
        76..78 => EndingKind::Infeasible,
        78..86 => EndingKind::ProgramFailed,
        86..90 => EndingKind::OutOfMemory,
        90..95 => EndingKind::Preempted,
        // The worker dies without a word.
        _ => return messages,
    };
    for step in (grant.from + 1..=grant.to).filter(|step| step % 2 == 1) {
        messages.push(Message::Report(key, measured(key.trial, step)));
    }
    let result = (kind == EndingKind::Reached).then(|| measured(key.trial, grant.to));
    let ending = Ending { kind, reason: None };
    let checkpoint = Some(format!("file:///{}", key.epoch));
    messages.push(Message::Finish(key, Finish { ending, result, checkpoint, seconds: 1.0 }));
    messages
}

impl World {
    async fn new(database: &Database, seed: u64) -> Self {
        let memory = connect("memory:").await.unwrap();
        let mut studies = Vec::new();
        for store in [&database.store, &memory] {
            studies.clear();
            // Leases of the first study end soon, those of the second never within the test.
            for (name, seconds) in [("short", 0.05), ("long", 600.0)] {
                let changes = json!({
                    "lease_seconds": seconds, "max_attempts": ATTEMPTS,
                    "failure_limit": {"after_trials": 5, "share": 1.0}
                });
                studies.push(suite::create(store, name, changes).await.id);
            }
        }
        Self {
            rng: Seed(seed).rng(),
            stores: [database.store.clone(), database.other.clone()],
            memory,
            studies,
            models: BTreeMap::new(),
            messages: Vec::new(),
            reports: HashMap::new(),
            followers: vec![Follower::default(), Follower::default()],
            points: 0,
            requests: 0,
            seen: Seen::default(),
        }
    }

    fn store(&mut self) -> AnyStore {
        self.stores[self.rng.random_range(0..2)].clone()
    }

    fn study(&mut self) -> StudyId {
        self.studies[self.rng.random_range(0..2)]
    }

    async fn operate(&mut self) {
        match self.rng.random_range(0..1000) {
            0..60 => self.plan().await,
            60..75 => self.enqueue().await,
            75..155 => self.acquire().await,
            155..940 => self.deliver().await,
            940..945 => self.crash(),
            945..950 => self.reap().await,
            950..965 => self.cancel().await,
            965..985 => self.retry().await,
            985..990 => self.not_a_number().await,
            _ => self.follow().await,
        }
    }

    async fn plan(&mut self) {
        let (store, id) = (self.store(), self.study());
        let study = store.study(id).await.unwrap();
        let mut moves: Vec<(Move, Option<String>)> = Vec::new();
        for _ in 0..self.rng.random_range(0..4) {
            self.points += 1;
            moves.push(start(f64::from(self.points) / 64.0, self.rng.random_range(0..2)));
        }
        let paused = self
            .models
            .iter()
            .filter(|(trial, model)| trial.study() == id && model.state == TrialState::Paused);
        let paused: Vec<_> = paused.map(|(trial, model)| (*trial, model.reached.unwrap())).collect();
        for (trial, reached) in paused {
            if self.rng.random_bool(0.3) {
                let record = store.trial(trial).await.unwrap().trial;
                let rung = self.rng.random_range(reached + 1..3);
                moves.push(resume(&record, rung as u32));
            }
        }
        let mut new = plan(&study, moves);
        if self.rng.random_bool(0.1) {
            new.number = PlanNumber(new.number.0 - 1);
            assert_eq!(store.commit_plan(new).await.unwrap(), PlanResult::Conflict);
            return;
        }
        let PlanResult::Committed(trials) = store.commit_plan(new.clone()).await.unwrap() else {
            panic!("a conflict")
        };
        assert!(matches!(self.memory.commit_plan(new.clone()).await.unwrap(), PlanResult::Committed(_)));
        // The same plan again is refused whole: its number is taken.
        assert_eq!(store.commit_plan(new).await.unwrap(), PlanResult::Conflict);
        for trial in trials {
            let target = trial.target.0 as usize;
            let model = self.models.entry(trial.id).or_insert_with(|| Model::new(target));
            model.state = TrialState::Queued;
            model.target = target;
        }
    }

    async fn enqueue(&mut self) {
        let (store, id) = (self.store(), self.study());
        self.points += 1;
        self.requests += 1;
        let body = vec![suite::point(f64::from(self.points) / 64.0)];
        let request = Requested { id: Some(format!("e{}", self.requests)), body };
        let first = store.enqueue(id, request.clone()).await.unwrap();
        assert_eq!(self.store().enqueue(id, request.clone()).await.unwrap(), first);
        self.memory.enqueue(id, request).await.unwrap();
        for trial in first.trials {
            self.models.insert(trial.id, Model::new(2));
        }
    }

    async fn acquire(&mut self) {
        let store = self.store();
        let worker = format!("w{}", self.rng.random_range(0..40));
        self.requests += 1;
        let slots = self.rng.random_range(1..4);
        let body = AcquireRequest { worker: hello(&worker), slots, study: None };
        let request = Requested { id: Some(format!("a{}", self.requests)), body };
        let grants = store.acquire(request.clone()).await.unwrap();
        if !grants.is_empty() && self.rng.random_bool(0.3) {
            assert_eq!(self.store().acquire(request.clone()).await.unwrap(), grants);
        }
        let seen = |grants: &[Grant]| -> Vec<_> {
            grants.iter().map(|g| (g.trial.id, g.trial.epoch, g.from, g.to, g.seed)).collect()
        };
        assert_eq!(seen(&grants), seen(&self.memory.acquire(request).await.unwrap()));
        for grant in grants {
            let model = self.models.get_mut(&grant.trial.id).unwrap();
            assert_eq!(model.state, TrialState::Queued, "a trial is claimed once");
            model.state = TrialState::Leased;
            model.epoch += 1;
            assert_eq!((grant.trial.epoch.0, grant.to), (model.epoch, LADDER[model.target]));
            let messages = script(&mut self.rng, &grant);
            self.messages.extend(messages.into_iter().map(|message| (worker.clone(), message)));
        }
    }

    /// Delivers one of the older messages; some stay under way and come again.
    async fn deliver(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let window = self.messages.len().min(12);
        let index = self.rng.random_range(0..window);
        let again = self.rng.random_bool(0.15);
        let (worker, message) =
            if again { self.messages[index].clone() } else { self.messages.remove(index) };
        let store = self.store();
        match message {
            Message::Report(key, report) => self.report(&store, key, report).await,
            Message::Finish(key, finish) => self.finish(&store, key, finish).await,
            Message::Heartbeat(key) => {
                let model = &self.models[&key.trial];
                let current = model.state == TrialState::Leased && model.epoch == key.epoch.0;
                let cancelled = model.state == TrialState::Cancelled && model.epoch == key.epoch.0;
                let answer = store.heartbeat(hello(&worker), vec![key]).await.unwrap().remove(0);
                match answer {
                    HeartbeatAnswer::Held { command: LeaseCommand::Continue, .. } => assert!(current),
                    HeartbeatAnswer::Held { .. } => assert!(cancelled),
                    HeartbeatAnswer::Lost { .. } => {
                        assert!(!current);
                        self.seen.lost_heartbeats += 1;
                    }
                }
                self.memory.heartbeat(hello(&worker), vec![key]).await.unwrap();
            }
        }
    }

    async fn report(&mut self, store: &AnyStore, key: LeaseKey, report: Report) {
        let answer = store.report(vec![(key, report.clone())]).await.unwrap().remove(0);
        let other = self.memory.report(vec![(key, report.clone())]).await.unwrap().remove(0);
        assert_eq!(answer, other, "{key:?}");
        let known = self.reports.get(&(key, report.step));
        let model = &self.models[&key.trial];
        let current = model.state == TrialState::Leased && model.epoch == key.epoch.0;
        if let Ok(answer) = answer {
            assert!(known.is_none_or(|(_, change)| *change == answer.change));
            assert!(known.is_some() || current);
            self.seen.repeated_reports += u32::from(known.is_some());
            self.reports.insert((key, report.step), (report, answer.change));
        } else {
            assert!(known.is_none() && !current);
            self.seen.stale_reports += 1;
        }
    }

    async fn finish(&mut self, store: &AnyStore, key: LeaseKey, finish: Finish) {
        let model = self.models.get_mut(&key.trial).unwrap();
        let outcome = store.finish(key, finish.clone()).await.unwrap();
        assert_eq!(outcome, self.memory.finish(key, finish.clone()).await.unwrap(), "{key:?} {finish:?}");
        let late = model.state != TrialState::Leased || model.epoch != key.epoch.0;
        match model.finish(key.epoch.0, &finish) {
            None => {
                assert_eq!(outcome, model.last.as_ref().unwrap().2, "an equal repeat");
                self.seen.repeated += 1;
            }
            Some((state, accepted)) => {
                assert_eq!((outcome.state, outcome.accepted), (state, accepted), "{key:?} {finish:?}");
                self.seen.superseded += u32::from(!accepted);
                if accepted {
                    self.seen.late_accepted += u32::from(late);
                    model.last = Some((key.epoch.0, finish.clone(), outcome.clone()));
                    if let Some(result) = finish.result {
                        let slot = self.reports.entry((key, result.step));
                        slot.or_insert((result, outcome.change));
                    }
                }
            }
        }
    }

    fn crash(&mut self) {
        if let Some((worker, _)) = self.messages.first().cloned() {
            self.messages.retain(|(name, _)| *name != worker);
        }
    }

    /// Ends every lease of the first study: its leases are shorter than the wait.
    async fn reap(&mut self) {
        tokio::time::sleep(std::time::Duration::from_millis(70)).await;
        let expected: BTreeSet<TrialId> = self
            .models
            .iter()
            .filter(|(trial, model)| trial.study() == self.studies[0] && model.state == TrialState::Leased)
            .map(|(trial, _)| *trial)
            .collect();
        let reaped: BTreeSet<TrialId> =
            self.store().reap(10_000).await.unwrap().requeued.into_iter().collect();
        assert_eq!(reaped, expected);
        // The clocks of the two stores differ by little, the ends of the leases by no more.
        let memory: BTreeSet<TrialId> =
            self.memory.reap(10_000).await.unwrap().requeued.into_iter().collect();
        assert_eq!(memory, expected);
        self.seen.reaped += reaped.len() as u32;
        for trial in reaped {
            self.models.get_mut(&trial).unwrap().state = TrialState::Queued;
        }
    }

    async fn cancel(&mut self) {
        let open = self.models.iter().filter(|(_, model)| !model.state.is_finished());
        let open: Vec<TrialId> = open.map(|(trial, _)| *trial).collect();
        if open.len() < 5 {
            return;
        }
        let trial = open[self.rng.random_range(0..open.len())];
        let cancelled = self.store().cancel_trial(trial, "by the test".into()).await.unwrap();
        assert_eq!(cancelled.state, TrialState::Cancelled);
        let again = self.store().cancel_trial(trial, "by the test".into()).await.unwrap();
        assert_eq!(again, cancelled);
        self.memory.cancel_trial(trial, "by the test".into()).await.unwrap();
        self.models.get_mut(&trial).unwrap().state = TrialState::Cancelled;
    }

    async fn retry(&mut self) {
        let trials: Vec<TrialId> = self.models.keys().copied().collect();
        if trials.is_empty() {
            return;
        }
        let failed = self.models.iter().find(|(_, model)| model.state == TrialState::Failed);
        let trial =
            failed.map_or_else(|| trials[self.rng.random_range(0..trials.len())], |(trial, _)| *trial);
        let answer = self.store().retry_trial(trial).await;
        let model = self.models.get_mut(&trial).unwrap();
        if model.state == TrialState::Failed {
            assert_eq!(answer.unwrap().state, TrialState::Queued);
            self.memory.retry_trial(trial).await.unwrap();
            model.state = TrialState::Queued;
            model.failed = 0;
            model.memory = 0;
            self.seen.retried += 1;
        } else {
            refusal(answer);
        }
    }

    async fn not_a_number(&mut self) {
        let Some((trial, model)) = self.models.iter().next_back() else { return };
        let key = LeaseKey { trial: *trial, epoch: LeaseEpoch(model.epoch.max(1)) };
        let mut report = measured(*trial, 5);
        report.metrics.0.insert("loss".into(), f64::NAN);
        let answer = self.store().report(vec![(key, report)]).await.unwrap().remove(0);
        assert_eq!(refusal(answer), Refusal::NotFinite { metric: "loss".into() });
    }

    async fn follow(&mut self) {
        let store = self.store();
        for (follower, study) in self.followers.iter_mut().zip(&self.studies) {
            follower.follow(&store, *study).await;
        }
    }

    /// Lets healthy workers finish what is open, then checks the invariants.
    async fn check(&mut self) {
        loop {
            while !self.messages.is_empty() {
                self.deliver().await;
            }
            // Leases of dead workers of the second study outlive the test; their trials are withdrawn.
            for trial in self.models.keys().copied().collect::<Vec<_>>() {
                if trial.study() == self.studies[1] && self.models[&trial].state == TrialState::Leased {
                    self.store().cancel_trial(trial, "its worker died".into()).await.unwrap();
                    self.memory.cancel_trial(trial, "its worker died".into()).await.unwrap();
                    self.models.get_mut(&trial).unwrap().state = TrialState::Cancelled;
                }
            }
            self.reap().await;
            let open = self
                .models
                .values()
                .filter(|model| matches!(model.state, TrialState::Queued | TrialState::Leased));
            if open.count() == 0 {
                break;
            }
            for _ in 0..20 {
                self.acquire().await;
            }
        }
        self.follow().await;
        let store = self.store();
        for (follower, study) in self.followers.iter().zip(&self.studies) {
            follower.compare(&store, *study).await;
            self.compare_with_memory(&store, *study).await;
        }
        self.check_reports(&store).await;
        for (trial, model) in &self.models {
            assert!(model.counted.windows(2).all(|pair| pair[0] < pair[1]), "no rung counts twice");
            let record = suite::record(&store, *trial).await;
            assert_eq!((record.state, record.epoch.0), (model.state, model.epoch));
            assert_eq!(
                record.reached.map(|rung| rung.0 as usize).max(model.reached),
                record.reached.map(|r| r.0 as usize)
            );
            assert!(record.lease.is_none() && record.value.is_none_or(f64::is_finite));
        }
    }

    /// Every acknowledged report and result is there, unchanged, and nothing else is.
    async fn check_reports(&self, store: &AnyStore) {
        let curves = store.curves(self.models.keys().copied().collect()).await.unwrap();
        assert_eq!(curves.len(), self.reports.len());
        for point in curves {
            let key = LeaseKey { trial: point.trial, epoch: point.epoch };
            let (report, change) = &self.reports[&(key, point.report.step)];
            assert_eq!((&point.report, &point.change), (report, change));
            assert!(point.report.metrics.check().is_ok());
        }
    }

    async fn compare_with_memory(&self, store: &AnyStore, study: StudyId) {
        let rows = store.rows_since(study, Change(0)).await.unwrap();
        let memory = self.memory.rows_since(study, Change(0)).await.unwrap();
        let still = |trial: &TrialRecord| TrialRecord {
            created_at: Timestamp(0),
            started_at: None,
            finished_at: None,
            // Trials that are reaped together get their changes in the order in which their leases end.
            updated_change: Change(0),
            ..trial.clone()
        };
        assert_eq!(rows.trials.len(), memory.trials.len());
        for (a, b) in rows.trials.iter().zip(&memory.trials) {
            assert_eq!(still(a), still(b));
        }
        assert_eq!(rows.study.change, memory.study.change);
        assert_eq!(rows.study.resource_used, memory.study.resource_used);
    }
}

async fn simulate(database: Option<Database>) {
    let Some(database) = database else { return };
    let seed = setting("BOXWOOD_SIMULATION_SEED", 20_261_122);
    let operations = setting("BOXWOOD_SIMULATION_OPERATIONS", 10_000);
    eprintln!("simulation seed {seed}, {operations} operations");
    let mut world = World::new(&database, seed).await;
    for _ in 0..operations {
        world.operate().await;
    }
    world.check().await;
    let finished = world.models.values().filter(|model| model.state.is_finished()).count();
    eprintln!("{} trials, {finished} finished, {} reports", world.models.len(), world.reports.len());
    eprintln!("{:?}", world.seen);
    if operations >= 10_000 {
        let Seen { late_accepted, superseded, repeated, stale_reports, repeated_reports, .. } = world.seen;
        let Seen { lost_heartbeats, reaped, retried, .. } = world.seen;
        let cases = [late_accepted, superseded, repeated, stale_reports, repeated_reports];
        assert!(cases.into_iter().chain([lost_heartbeats, reaped, retried]).all(|case| case > 0));
    }
    database.store.close().await;
    database.other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_invariants() {
    simulate(suite::sqlite_with("normal").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_invariants() {
    simulate(suite::postgres().await).await;
}
