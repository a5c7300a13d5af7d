//! A discrete-event simulator of workers on a virtual clock.
//!
//! It keeps trials as a server would (states, results per rung, change counter, provenance with plan number), asks the
//! solver whenever a worker is free, and checks every move against the contract of [`boxwood_core::Solver`].

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use boxwood_core::{
    Ask, Change, Metrics, Move, Origin, Plan, PlanEnd, Point, Problem, ProblemError, Provenance, Resource,
    Rung, RungResult, Seed, Solver, SolverError, StopFlag, StudyView, TrialNumber, TrialStatus, TrialView,
    Verdict,
};
use rand::RngExt;

use crate::problems::{Outcome, TestProblem};
use crate::trace::{Arrival, Improvement, PlannedMove, Trace};

/// How a study is simulated; the default is one reliable worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// Number of workers, 1 to 256.
    pub workers: usize,
    /// Seed of the study and of every fault.
    pub seed: u64,
    /// Budget of trials, over the problem's own.
    pub max_trials: Option<u64>,
    /// Virtual seconds after which the study is cut off.
    pub deadline_seconds: Option<f64>,
    /// Share of leases that are slow.
    pub straggler_share: f64,
    /// Factor by which they are.
    pub straggler_factor: f64,
    /// Share of leases whose worker is lost half-way; the attempt is repeated from the last checkpoint.
    pub crash_share: f64,
    /// Share of trials whose program fails at some rung.
    pub failed_share: f64,
    /// Share of trials that prove infeasible at some rung.
    pub infeasible_share: f64,
    /// Share of trials that a person cancels while they run.
    pub cancelled_share: f64,
    /// Points that a person enqueues once so many trials exist, each for a rung.
    pub enqueued: Vec<(usize, Point, Rung)>,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            workers: 1,
            seed: 1,
            max_trials: None,
            deadline_seconds: None,
            straggler_share: 0.0,
            straggler_factor: 5.0,
            crash_share: 0.0,
            failed_share: 0.0,
            infeasible_share: 0.0,
            cancelled_share: 0.0,
            enqueued: Vec::new(),
        }
    }
}

/// Why a simulation stopped short.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The problem's declaration is wrong.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// The solver returned an error.
    #[error("plan {plan}: {source}")]
    Solver {
        /// Number of the plan.
        plan: u64,
        /// The error.
        source: SolverError,
    },
    /// The solver broke its contract.
    #[error("plan {plan} breaks the contract: {reason}")]
    Contract {
        /// Number of the plan.
        plan: u64,
        /// What it did.
        reason: String,
    },
}

/// Something that happens to a leased trial.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Happening {
    /// It arrives at a rung.
    Rung(Rung),
    /// Its worker is lost.
    Crash,
    /// A person cancels it.
    Cancel,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    seconds: f64,
    sequence: u64,
    trial: TrialNumber,
    epoch: u32,
    happening: Happening,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    /// Earlier is greater, so that the heap gives it first; equal times keep the order of their making.
    fn cmp(&self, other: &Self) -> Ordering {
        other.seconds.total_cmp(&self.seconds).then(other.sequence.cmp(&self.sequence))
    }
}

/// A trial as the simulated server keeps it.
struct Record {
    view: TrialView,
    epoch: u32,
    leased_at: f64,
    /// Factor of its present lease's duration.
    slowness: f64,
}

/// A fate drawn for a trial before it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Fine,
    Fails(Rung),
    Infeasible(Rung),
    Cancelled,
}

struct State<'a> {
    options: &'a Simulation,
    test: &'a dyn TestProblem,
    problem: Arc<Problem>,
    seed: Seed,
    trials: BTreeMap<TrialNumber, Record>,
    queue: VecDeque<TrialNumber>,
    events: BinaryHeap<Event>,
    enqueued: VecDeque<(usize, Point, Rung)>,
    resumed: BTreeSet<(TrialNumber, Rung)>,
    points: BTreeSet<String>,
    running: usize,
    sequence: u64,
    change: u64,
    now: f64,
    busy: f64,
    trace: Trace,
}

impl Simulation {
    /// Runs a study to its end, or to the deadline.
    pub fn run(&self, test: &dyn TestProblem, solver: &dyn Solver) -> Result<Trace, SimulationError> {
        let problem = Arc::new(self.problem(test)?);
        let trace = Trace {
            improvements: Vec::new(),
            arrivals: Vec::new(),
            moves: Vec::new(),
            view: StudyView::new(problem.clone(), Change(0), Vec::new()),
            plans: 0,
            seconds: 0.0,
            utilization: 0.0,
            crashes: 0,
            exhausted: None,
            notes: Vec::new(),
        };
        let state = State {
            options: self,
            test,
            seed: Seed(problem.seed()),
            problem,
            trials: BTreeMap::new(),
            queue: VecDeque::new(),
            events: BinaryHeap::new(),
            enqueued: self.enqueued.clone().into(),
            resumed: BTreeSet::new(),
            points: BTreeSet::new(),
            running: 0,
            sequence: 0,
            change: 0,
            now: 0.0,
            busy: 0.0,
            trace,
        };
        state.run(solver)
    }

    /// The checked problem that [`Simulation::run`] gives to the solver.
    pub fn problem(&self, test: &dyn TestProblem) -> Result<Problem, ProblemError> {
        let mut spec = test.spec();
        spec.seed = self.seed;
        spec.max_trials = self.max_trials.or(spec.max_trials);
        spec.check()
    }
}

impl State<'_> {
    fn run(mut self, solver: &dyn Solver) -> Result<Trace, SimulationError> {
        let deadline = self.options.deadline_seconds.unwrap_or(f64::INFINITY);
        self.dispatch(solver)?;
        while let Some(event) = self.events.pop() {
            if event.seconds > deadline {
                self.now = deadline;
                let running = self.trials.values().filter(|record| record.leased_at.is_finite());
                self.busy += running.map(|record| deadline - record.leased_at).sum::<f64>();
                break;
            }
            self.now = event.seconds;
            self.happen(solver, event);
            self.dispatch(solver)?;
        }
        let view = self.view();
        self.trace.seconds = self.now;
        self.trace.utilization =
            if self.now > 0.0 { self.busy / (self.now * self.options.workers as f64) } else { 0.0 };
        Ok(Trace { view, ..self.trace })
    }

    fn view(&self) -> StudyView {
        let trials = self.trials.values().map(|record| record.view.clone()).collect();
        StudyView::new(self.problem.clone(), Change(self.change), trials)
    }

    /// Leases queued trials to free workers and asks for plans while some stay free.
    fn dispatch(&mut self, solver: &dyn Solver) -> Result<(), SimulationError> {
        loop {
            while self.running < self.options.workers {
                let Some(number) = self.queue.pop_front() else { break };
                self.lease(number);
            }
            let idle = self.options.workers - self.running;
            if idle == 0 {
                return Ok(());
            }
            if self.enqueued.front().is_some_and(|(after, ..)| *after <= self.trials.len()) {
                if let Some((_, point, rung)) = self.enqueued.pop_front() {
                    self.start(point, rung, Provenance::default(), Origin::User)?;
                }
                continue;
            }
            let view = self.view();
            let starts_left = self.problem.max_trials().map(|max| max.saturating_sub(view.started()));
            let ask = Ask { want: idle, starts_left };
            self.trace.plans += 1;
            let plan_number = self.trace.plans;
            let seed = self.seed.derive("plan", plan_number);
            let plan = solver
                .plan(&view, ask, seed, &StopFlag::default())
                .map_err(|source| SimulationError::Solver { plan: plan_number, source })?;
            let moves = plan.moves.len();
            let end = plan.end.clone();
            self.apply(plan, ask)?;
            if moves > 0 {
                continue;
            }
            match end {
                PlanEnd::More => return Err(self.broken("it promises more and brings no move")),
                PlanEnd::NotNow if self.running == 0 => {
                    return Err(self.broken("it waits with nothing pending"));
                }
                PlanEnd::NotNow => {}
                PlanEnd::Exhausted(reason) if reason.trim().is_empty() => {
                    return Err(self.broken("it ends without a reason"));
                }
                PlanEnd::Exhausted(reason) => self.trace.exhausted = Some(reason),
            }
            return Ok(());
        }
    }

    fn broken(&self, reason: impl Into<String>) -> SimulationError {
        SimulationError::Contract { plan: self.trace.plans, reason: reason.into() }
    }

    fn apply(&mut self, plan: Plan, ask: Ask) -> Result<(), SimulationError> {
        if plan.moves.len() > ask.want {
            return Err(self.broken(format!("{} moves where {} were wanted", plan.moves.len(), ask.want)));
        }
        if plan.moves.len() < ask.want && plan.end == PlanEnd::More {
            return Err(self.broken("fewer moves than wanted, and yet more"));
        }
        let starts = plan.moves.iter().filter(|planned| matches!(planned, Move::Start { .. })).count();
        if starts > ask.starts() {
            return Err(self.broken(format!("{starts} starts where the budget allows {}", ask.starts())));
        }
        self.trace.notes.extend(plan.diagnostics.notes);
        for planned in plan.moves {
            self.trace.moves.push(PlannedMove { plan: self.trace.plans, planned: planned.clone() });
            match planned {
                Move::Start { point, rung, mut provenance } => {
                    provenance.plan = self.trace.plans;
                    provenance.change = self.change;
                    self.start(point, rung, provenance, Origin::Solver)?;
                }
                Move::Resume { trial, rung, .. } => self.resume(trial, rung)?,
            }
        }
        Ok(())
    }

    fn start(
        &mut self,
        point: Point,
        rung: Rung,
        provenance: Provenance,
        origin: Origin,
    ) -> Result<(), SimulationError> {
        let space = self.problem.space();
        let canonical =
            space.canonical(&point).map_err(|error| self.broken(format!("{point:?}: {error}")))?;
        if canonical != point {
            return Err(self.broken(format!("{point:?} is not canonical, {canonical:?} is")));
        }
        if !space.is_valid(&point) {
            return Err(self.broken(format!("{point:?} breaks a rule of the space")));
        }
        if rung > self.problem.ladder().top() {
            return Err(self.broken(format!("rung {} does not exist", rung.0)));
        }
        let encoded = space.encode(&point).map_err(|error| self.broken(error.to_string()))?;
        if !self.points.insert(space.point_hash(&point)) && origin == Origin::Solver {
            return Err(self.broken(format!("{point:?} was tried before")));
        }
        self.change += 1;
        let number = TrialNumber(self.trials.len() as u32 + 1);
        let view = TrialView {
            number,
            point,
            encoded,
            origin,
            provenance,
            status: TrialStatus::Pending,
            target: rung,
            results: Vec::new(),
        };
        let record = Record { view, epoch: 0, leased_at: f64::NAN, slowness: 1.0 };
        self.trials.insert(number, record);
        self.queue.push_back(number);
        Ok(())
    }

    fn resume(&mut self, number: TrialNumber, rung: Rung) -> Result<(), SimulationError> {
        if !self.resumed.insert((number, rung)) {
            return Err(self.broken(format!("trial {} is resumed to rung {} twice", number.0, rung.0)));
        }
        let top = self.problem.ladder().top();
        let Some(record) = self.trials.get_mut(&number) else {
            return Err(self.broken(format!("trial {} does not exist", number.0)));
        };
        let reached = record.view.last().map(|result| result.rung);
        if record.view.status != TrialStatus::Paused || reached.is_some_and(|last| last >= rung) || rung > top
        {
            let status = record.view.status;
            return Err(self.broken(format!(
                "trial {} ({status:?}, measured to {reached:?}) is resumed to rung {}",
                number.0, rung.0
            )));
        }
        record.view.status = TrialStatus::Pending;
        record.view.target = rung;
        self.change += 1;
        self.queue.push_back(number);
        Ok(())
    }

    fn push(&mut self, seconds: f64, trial: TrialNumber, epoch: u32, happening: Happening) {
        self.sequence += 1;
        self.events.push(Event { seconds, sequence: self.sequence, trial, epoch, happening });
    }

    /// Seconds from the checkpoint (or from nothing) to a rung.
    fn duration(&self, record: &Record, rung: Rung) -> f64 {
        let point = &record.view.point;
        let total = self.test.seconds(point, self.problem.ladder().resource(rung));
        let reached = record.view.last().map(|result| self.problem.ladder().resource(result.rung));
        match reached {
            Some(resource) if self.test.keeps_checkpoints() => total - self.test.seconds(point, resource),
            _ => total,
        }
    }

    fn lease(&mut self, number: TrialNumber) {
        let options = self.options;
        let Some(record) = self.trials.get_mut(&number) else { return };
        record.epoch += 1;
        let epoch = record.epoch;
        let key = u64::from(number.0) << 16 | u64::from(epoch);
        let mut rng = self.seed.derive("lease", key).rng();
        let slow = rng.random::<f64>() < options.straggler_share;
        let crashes = rng.random::<f64>() < options.crash_share;
        let moment = rng.random::<f64>();
        record.slowness = if slow { options.straggler_factor } else { 1.0 };
        record.leased_at = self.now;
        let (target, slowness, first) = (record.view.target, record.slowness, epoch == 1);
        let record = &self.trials[&number];
        let whole = self.duration(record, target) * slowness;
        let next = next_rung(record);
        let arrival = self.duration(record, next) * slowness;
        self.running += 1;
        self.push(self.now + arrival, number, epoch, Happening::Rung(next));
        if crashes {
            self.push(self.now + moment * whole, number, epoch, Happening::Crash);
        } else if first && self.fate(number) == Fate::Cancelled {
            self.push(self.now + moment * whole, number, epoch, Happening::Cancel);
        }
    }

    fn fate(&self, number: TrialNumber) -> Fate {
        let mut rng = self.seed.derive("fate", u64::from(number.0)).rng();
        let (draw, rung) = (rng.random::<f64>(), rng.random_range(0..self.problem.ladder().len() as u32));
        let failed = self.options.failed_share;
        let infeasible = failed + self.options.infeasible_share;
        let cancelled = infeasible + self.options.cancelled_share;
        match draw {
            draw if draw < failed => Fate::Fails(Rung(rung)),
            draw if draw < infeasible => Fate::Infeasible(Rung(rung)),
            draw if draw < cancelled => Fate::Cancelled,
            _ => Fate::Fine,
        }
    }

    fn happen(&mut self, solver: &dyn Solver, event: Event) {
        let Some(record) = self.trials.get(&event.trial) else { return };
        if record.epoch != event.epoch || record.leased_at.is_nan() {
            return;
        }
        self.change += 1;
        match event.happening {
            Happening::Crash => {
                self.trace.crashes += 1;
                self.release(event.trial, TrialStatus::Pending);
                self.queue.push_back(event.trial);
            }
            Happening::Cancel => self.release(event.trial, TrialStatus::Cancelled),
            Happening::Rung(rung) => self.arrive(solver, event.trial, rung),
        }
    }

    /// Ends a lease.
    fn release(&mut self, number: TrialNumber, status: TrialStatus) {
        let Some(record) = self.trials.get_mut(&number) else { return };
        self.busy += self.now - record.leased_at;
        record.leased_at = f64::NAN;
        record.view.status = status;
        self.running -= 1;
    }

    /// A trial arrives at a rung: it fails, or the result counts, and it goes on, pauses or ends.
    fn arrive(&mut self, solver: &dyn Solver, number: TrialNumber, rung: Rung) {
        match self.fate(number) {
            Fate::Fails(at) if rung >= at => return self.release(number, TrialStatus::Failed),
            Fate::Infeasible(at) if rung >= at => return self.release(number, TrialStatus::Infeasible),
            _ => {}
        }
        let point = self.trials[&number].view.point.clone();
        let resource = self.problem.ladder().resource(rung);
        let draw = self.seed.derive("evaluate", u64::from(number.0));
        let result = match self.test.evaluate(&point, resource, draw) {
            Outcome::Measured(metrics) => self.result(&point, rung, resource, &metrics),
            Outcome::Infeasible(_) => return self.release(number, TrialStatus::Infeasible),
            Outcome::Failed(_) => None,
        };
        let Some(result) = result else { return self.release(number, TrialStatus::Failed) };
        self.improve(rung, &result);
        self.trace.arrivals.push(Arrival { seconds: self.now, trial: number, rung });
        let top = self.problem.ladder().top();
        let Some(record) = self.trials.get_mut(&number) else { return };
        record.view.results.push(result);
        if rung == record.view.target {
            let status = if rung == top { TrialStatus::Completed } else { TrialStatus::Paused };
            return self.release(number, status);
        }
        match solver.judge(&self.view(), number) {
            Verdict::Yield => self.release(number, TrialStatus::Paused),
            Verdict::Stop(_) => self.release(number, TrialStatus::Pruned),
            Verdict::Continue => {
                let record = &self.trials[&number];
                let next = next_rung(record);
                let seconds = |rung| self.test.seconds(&point, self.problem.ladder().resource(rung));
                let arrival = self.now + (seconds(next) - seconds(rung)) * record.slowness;
                let epoch = record.epoch;
                self.push(arrival, number, epoch, Happening::Rung(next));
            }
        }
    }

    fn result(&self, point: &Point, rung: Rung, resource: Resource, metrics: &Metrics) -> Option<RungResult> {
        Some(RungResult {
            rung,
            losses: self.problem.losses(metrics).ok()?.ok()?,
            violations: self.problem.violations(metrics).ok()?.ok()?,
            seconds: Some(self.test.seconds(point, resource)),
            change: Change(self.change),
        })
    }

    fn improve(&mut self, rung: Rung, result: &RungResult) {
        let feasible = result.violations.iter().all(|violation| *violation <= 0.0);
        let Some(loss) = result.losses.first().copied() else { return };
        let better = self.trace.best_loss().is_none_or(|best| loss < best);
        if rung == self.problem.ladder().top() && feasible && better {
            let started = self.trials.len() as u64;
            self.trace.improvements.push(Improvement { seconds: self.now, started, loss });
        }
    }
}

/// The next rung that a leased trial reports.
fn next_rung(record: &Record) -> Rung {
    record.view.last().map_or(Rung(0), |result| Rung(result.rung.0 + 1)).min(record.view.target)
}
