//! Local threads, replayed from the trials.

use std::collections::BTreeMap;

use boxwood_core::space::DimensionKind;
use boxwood_core::{Origin, SearchSpace, StudyView, TrialNumber, TrialStatus};

use super::course::Course;
use crate::sampler::design::{categorical_columns, squared_distance};
use crate::sampler::population::Member;

/// How local searches go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// First length of a step, as a share of the diagonal.
    pub(super) step: f64,
    /// Trials without improvement after which steps get shorter, per dimension.
    pub(super) patience: f64,
}

/// What a step is shortened to. The paper takes the root of the share of the thread's trials up to its best one, after
/// 2^(d - 1) failures; a fixed share after d failures halved the gaps after 100 trials on the suite `single`.
const SHORTER: f64 = 0.7;
/// Most failures before that, in many dimensions: fewer were better on the suite `highdim`.
const MOST_PATIENCE: f64 = 10.0;
/// Shortest length of a step; a thread whose steps are shorter has converged.
const SHORTEST: f64 = 1e-4;
/// Steps from one point that may be pending, per dimension.
const PENDING: usize = 2;

/// A local search: a trial and everything that steps have made of it.
#[derive(Debug, Clone)]
pub(super) struct Thread<'a> {
    root: TrialNumber,
    /// Its best member, from which it steps.
    pub(super) incumbent: Member<'a>,
    /// Length of its steps.
    pub(super) length: f64,
    pub(super) course: Course,
    /// Steps in a row that did not improve, since the last shortening.
    failures: usize,
    /// Steps planned from the incumbent, whatever became of them.
    pub(super) steps: u64,
    /// Trials that are pending.
    pub(super) pending: usize,
}

impl<'a> Thread<'a> {
    fn new(root: Member<'a>, course: Course, pace: Pace) -> Self {
        Self {
            root: root.trial.number,
            incumbent: root,
            length: pace.step,
            course,
            failures: 0,
            steps: 0,
            pending: 0,
        }
    }

    fn add(&mut self, member: Member<'a>, pace: Pace) {
        let width = member.row().iter().filter(|value| !value.is_nan()).count();
        if member.compare(&self.incumbent).is_lt() {
            self.incumbent = member;
            self.failures = 0;
            return;
        }
        self.failures += 1;
        if self.failures as f64 >= (pace.patience * width as f64).clamp(2.0, MOST_PATIENCE) {
            self.length *= SHORTER;
            self.failures = 0;
        }
    }

    fn has_converged(&self) -> bool {
        self.length < SHORTEST
    }

    /// Whether one more step may be pending.
    pub(super) fn has_room(&self) -> bool {
        self.pending < PENDING * self.incumbent.row().len().max(1)
    }
}

/// All searches of a study by now.
#[derive(Debug)]
pub(super) struct Threads<'a> {
    pub(super) live: Vec<Thread<'a>>,
    /// Course of what no step has made.
    pub(super) global: Course,
    /// Trials pending there.
    pub(super) global_pending: usize,
    /// Cost of a trial on average.
    pub(super) mean_cost: f64,
}

impl<'a> Threads<'a> {
    /// Plays all threads again, in order of trial numbers.
    ///
    /// A trial that no step has made becomes a thread where it is better than half of those that live. Of two threads
    /// whose best points are a step apart the worse one ends, and so does one whose steps have become too short.
    pub(super) fn replay(view: &'a StudyView, members: &[Member<'a>], pace: Pace) -> Self {
        let ended: BTreeMap<TrialNumber, Member<'a>> =
            members.iter().map(|member| (member.trial.number, *member)).collect();
        let (values, costs) = (Values::new(members), Costs::new(members));
        let mut roots: BTreeMap<TrialNumber, TrialNumber> = BTreeMap::new();
        let mut found =
            Self { live: Vec::new(), global: Course::new(), global_pending: 0, mean_cost: costs.mean };
        for trial in view.trials() {
            let parent = trial.provenance.parent.filter(|_| trial.origin == Origin::Solver);
            let root = parent.and_then(|parent| roots.get(&parent)).copied();
            roots.insert(trial.number, root.unwrap_or(trial.number));
            let is_pending = trial.status == TrialStatus::Pending;
            let member = ended.get(&trial.number).copied();
            let Some(root) = root else {
                found.global_pending += usize::from(is_pending);
                if let Some(member) = member {
                    let (value, cost) = (values.of(&member), costs.of(&member));
                    found.global.add(value, cost);
                    found.admit(member, value, pace);
                }
                continue;
            };
            let Some(thread) = found.live.iter_mut().find(|thread| thread.root == root) else { continue };
            thread.pending += usize::from(is_pending);
            if let Some(member) = member {
                thread.add(member, pace);
                thread.course.add(values.of(&member), costs.of(&member));
                found.settle(view.problem().space(), root);
            }
        }
        for trial in view.trials() {
            let parent = trial.provenance.parent.filter(|_| trial.origin == Origin::Solver);
            let from = |thread: &&mut Thread<'_>| Some(thread.incumbent.trial.number) == parent;
            if let Some(thread) = found.live.iter_mut().find(from) {
                thread.steps += 1;
            }
        }
        found
    }

    fn admit(&mut self, member: Member<'a>, value: f64, pace: Pace) {
        let better = self.live.iter().filter(|thread| thread.incumbent.compare(&member).is_lt()).count();
        if member.result.is_none() || (!self.live.is_empty() && 2 * better >= self.live.len()) {
            return;
        }
        self.live.push(Thread::new(member, self.global.branch(value), pace));
    }

    /// Ends a thread that has converged, and those that it meets or that meet it.
    fn settle(&mut self, space: &SearchSpace, root: TrialNumber) {
        self.live.retain(|thread| !thread.has_converged());
        let Some(place) = self.live.iter().position(|thread| thread.root == root) else { return };
        let categorical = categorical_columns(space);
        let meets = |winner: &Thread<'_>, loser: &Thread<'_>| {
            let distance = squared_distance(winner.incumbent.row(), loser.incumbent.row(), &categorical);
            let numbers = space
                .dimensions()
                .iter()
                .filter(|dimension| !matches!(dimension.kind, DimensionKind::Categorical { .. }));
            winner.incumbent.compare(&loser.incumbent).is_lt()
                && distance <= winner.length * winner.length * numbers.count() as f64
        };
        let moved = self.live[place].clone();
        if self.live.iter().any(|other| other.root != root && meets(other, &moved)) {
            self.live.remove(place);
        } else {
            self.live.retain(|other| other.root == root || !meets(&moved, other));
        }
    }
}

/// Values of members on one scale: losses, above the worst of which come violations.
struct Values {
    worst: f64,
}

impl Values {
    fn new(members: &[Member<'_>]) -> Self {
        let feasible = members.iter().filter(|member| member.violation() <= 0.0);
        let losses = feasible.filter_map(|member| member.result).filter_map(|result| result.losses.first());
        Self { worst: losses.copied().reduce(f64::max).unwrap_or(0.0) }
    }

    fn of(&self, member: &Member<'_>) -> f64 {
        let violation = member.violation();
        let loss = member.result.and_then(|result| result.losses.first().copied());
        match loss {
            Some(loss) if violation <= 0.0 => loss,
            _ => self.worst + violation,
        }
    }
}

/// Costs of members: measured seconds where every result has them, else one each.
struct Costs {
    measured: bool,
    mean: f64,
}

impl Costs {
    fn new(members: &[Member<'_>]) -> Self {
        let results: Vec<_> = members.iter().filter_map(|member| member.result).collect();
        let measured = !results.is_empty()
            && results.iter().all(|result| result.seconds.is_some_and(|seconds| seconds > 0.0));
        let total: f64 = results.iter().filter_map(|result| result.seconds).sum();
        Self { measured, mean: if measured { total / results.len() as f64 } else { 1.0 } }
    }

    fn of(&self, member: &Member<'_>) -> f64 {
        let seconds = member.result.and_then(|result| result.seconds);
        if self.measured { seconds.unwrap_or(self.mean) } else { 1.0 }
    }
}
