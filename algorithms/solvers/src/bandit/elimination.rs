//! Which arms of a CASH study are still worth pulling (Li et al., "Efficient automatic CASH via rising bandits", 2020).
//!
//! A *pull* of an arm is `pull_trials` trials of it that measured something. The reward after `n` pulls is the best loss
//! so far, `y(n)`. With best-so-far curves that flatten, the gain of further pulls is at most the present slope times
//! their number, so that an arm's final reward lies between its best (lower bound) and its best plus slope times
//! remaining pulls (upper bound). An arm leaves when its upper bound does not reach another arm's best.
//!
//! Deviations from the paper: rewards are native losses with no cap at 1 (only at the objective's own limit); the slope
//! over a window of `C` pulls spans `C` steps; the arm with the best result never leaves; a slack in shares of the spread
//! between arms guards against noise; with rungs, an arm can only be dropped once it has a result at the top.
//!
//! The window is 15, where the paper has 7: short ones lose the best arm where curves cross (of 21 drawn comparisons of
//! eight arms it ended first in 20 with 15, in 19 with 7 and in 13 with 3), and with the leader tuned first they save little.
//!
//! The rule is a fold over results in the order in which they became visible. A longer history has the shorter one as
//! its prefix, so an arm that left never comes back.

use boxwood_core::{Loss, StudyView, TrialStatus, TrialView};

use super::options::BanditOptions;

/// Where an arm stands. Values are native units of the first objective.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ArmReport {
    /// Name of the arm.
    pub name: String,
    /// Whether it still gets trials.
    pub alive: bool,
    /// Pulls made.
    pub pulls: u64,
    /// Trials started, cancelled ones left out.
    pub started: u64,
    /// Training seconds spent, as far as they were reported.
    pub spent_seconds: f64,
    /// Best feasible result at any rung; the lower bound of what the arm will reach.
    pub best: Option<f64>,
    /// What the arm can still reach at best; unknown before its window is full. For an arm that left, the bound it
    /// left with.
    pub upper: Option<f64>,
    /// Arm whose result it could not reach; none when it failed too often.
    pub eliminated_by: Option<String>,
    /// Pulls of the whole study at that moment.
    pub at_pull: Option<u64>,
    /// Why it left, one sentence.
    pub reason: Option<String>,
}

/// What is known of one arm while the history is folded.
#[derive(Debug, Clone, Default)]
struct Arm {
    trials: u64,
    /// Best loss after each pull; none while nothing feasible was measured.
    curve: Vec<Option<f64>>,
    best: Option<f64>,
    reached_top: bool,
    spent_seconds: f64,
    left: Option<Leaving>,
}

/// How an arm left.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    by: usize,
    at_pull: u64,
    upper: f64,
    beaten_by: f64,
}

struct Event {
    key: (u64, u32, u32),
    arm: usize,
    loss: Option<f64>,
    first: bool,
    at_top: bool,
    seconds: f64,
}

/// Every arm's report, and who leads.
pub(crate) struct Standings {
    pub(crate) reports: Vec<ArmReport>,
    /// Arm with the best result among those that are left, while that result improves.
    pub(crate) improving_leader: Option<usize>,
}

/// Reports every arm of a CASH study in the space's order; empty for a plain space. Pure.
pub fn arm_report(view: &StudyView, options: &BanditOptions) -> Vec<ArmReport> {
    standings(view, options).reports
}

/// Folds the history.
pub(crate) fn standings(view: &StudyView, options: &BanditOptions) -> Standings {
    let problem = view.problem();
    let space = problem.space();
    let names = space.arms();
    let place = |trial: &TrialView| {
        let arm = space.arm_of(&trial.point)?;
        names.iter().position(|name| name == arm)
    };
    let mut events: Vec<Event> = Vec::new();
    let mut by_arm: Vec<Vec<&TrialView>> = vec![Vec::new(); names.len()];
    for trial in view.trials() {
        let Some(arm) = place(trial) else { continue };
        by_arm[arm].push(trial);
        events.extend(trial_events(trial, arm, problem.ladder().top()));
    }
    events.sort_by_key(|event| event.key);
    let limit = problem.objectives()[0].limit.and_then(|limit| problem.objectives()[0].loss(limit).ok());
    let mut fold = Fold {
        arms: vec![Arm::default(); names.len()],
        options,
        total_pulls: problem.max_trials().map(|max| max / options.pull_trials),
        limit: limit.map(Loss::get),
    };
    for event in &events {
        fold.take(event);
    }
    let failing = failing(&by_arm, options.failures);
    let alive = fold.alive(&failing);
    let native = |loss: f64| Loss::new(loss).ok().map(|loss| problem.objectives()[0].native(loss));
    let report = |(index, name): (usize, &String)| {
        let arm = &fold.arms[index];
        let started = by_arm[index].iter().filter(|trial| trial.status != TrialStatus::Cancelled).count();
        let mut report = ArmReport {
            name: name.clone(),
            alive: alive[index],
            pulls: arm.curve.len() as u64,
            started: started as u64,
            spent_seconds: arm.spent_seconds,
            best: arm.best.and_then(native),
            upper: fold.upper(index).and_then(native),
            eliminated_by: None,
            at_pull: None,
            reason: None,
        };
        if alive[index] {
            return report;
        }
        if let Some(left) = arm.left {
            let (upper, best) = (native(left.upper), native(left.beaten_by));
            report.upper = upper;
            report.eliminated_by = Some(names[left.by].clone());
            report.at_pull = Some(left.at_pull);
            report.reason = Some(format!(
                "it can reach {:.6} at best, and `{}` has {:.6}",
                upper.unwrap_or(f64::NAN),
                names[left.by],
                best.unwrap_or(f64::NAN)
            ));
        } else {
            report.reason = Some(format!("its first {} trials all failed", options.failures));
        }
        report
    };
    let reports = names.iter().enumerate().map(report).collect();
    let improving_leader = fold.leader(&alive).filter(|leader| fold.is_improving(*leader));
    Standings { reports, improving_leader }
}

/// Results of one trial; those of a cancelled one count, or else an arm could come back.
fn trial_events(trial: &TrialView, arm: usize, top: boxwood_core::Rung) -> impl Iterator<Item = Event> {
    let mut before = 0.0;
    trial.results.iter().enumerate().map(move |(index, result)| {
        let seconds = result.seconds.unwrap_or(before);
        let spent = (seconds - before).max(0.0);
        before = seconds;
        let feasible = result.violations.iter().all(|violation| *violation <= 0.0);
        Event {
            key: (result.change.0, trial.number.0, result.rung.0),
            arm,
            loss: result.losses.first().copied().filter(|_| feasible),
            first: index == 0,
            at_top: result.rung == top,
            seconds: spent,
        }
    })
}

/// Arms whose first `count` trials, by number, all ended without a result, with the number of the last of these trials.
fn failing(by_arm: &[Vec<&TrialView>], count: usize) -> Vec<Option<u32>> {
    let verdict = |trials: &Vec<&TrialView>| {
        let counted = trials.iter().filter(|trial| trial.status != TrialStatus::Cancelled);
        let first: Vec<&&TrialView> = counted.take(count).collect();
        let failed = |trial: &&&TrialView| {
            matches!(trial.status, TrialStatus::Failed | TrialStatus::Infeasible) && trial.results.is_empty()
        };
        let hopeless = first.len() == count && first.iter().all(failed);
        hopeless.then(|| first.last().map_or(0, |trial| trial.number.0))
    };
    by_arm.iter().map(verdict).collect()
}

struct Fold<'a> {
    arms: Vec<Arm>,
    options: &'a BanditOptions,
    total_pulls: Option<u64>,
    limit: Option<f64>,
}

impl Fold<'_> {
    fn take(&mut self, event: &Event) {
        let arm = &mut self.arms[event.arm];
        arm.trials += u64::from(event.first);
        arm.spent_seconds += event.seconds;
        arm.reached_top |= event.at_top;
        if let Some(loss) = event.loss {
            arm.best = Some(arm.best.map_or(loss, |best| best.min(loss)));
        }
        let pulls = arm.trials.div_ceil(self.options.pull_trials) as usize;
        arm.curve.resize(pulls, None);
        if let Some(last) = arm.curve.last_mut() {
            *last = arm.best;
        }
        self.eliminate();
    }

    fn pulls(&self) -> u64 {
        self.arms.iter().map(|arm| arm.curve.len() as u64).sum()
    }

    /// Pulls that an arm could still get if it got all that is left (or, patiently, all but those it had).
    fn remaining(&self, arm: &Arm) -> f64 {
        let made = self.pulls();
        let total = match self.options.horizon_pulls {
            0 => self.total_pulls.unwrap_or(2 * made),
            given => given,
        };
        let counted = if self.options.patient { arm.curve.len() as u64 } else { made };
        let left = total.saturating_sub(counted) as f64;
        let spent: f64 = self.arms.iter().map(|arm| arm.spent_seconds).sum();
        let pulls = arm.curve.len() as f64;
        if !self.options.cost_aware || arm.spent_seconds <= 0.0 || pulls == 0.0 {
            return left;
        }
        // u = y + slope B' / c: the time left over the arm's own mean cost of a pull (solvers.md 2.4.4).
        let seconds_left = match self.options.budget_seconds {
            Some(budget) => (budget - spent).max(0.0),
            None => left * spent / made.max(1) as f64,
        };
        seconds_left / (arm.spent_seconds / pulls)
    }

    /// The least loss that an arm can still reach; none before it can be said.
    fn upper(&self, index: usize) -> Option<f64> {
        let arm = &self.arms[index];
        let window = self.options.window;
        if arm.curve.len() <= window || !arm.reached_top {
            return None;
        }
        let now = (*arm.curve.last()?)?;
        let then = arm.curve[arm.curve.len() - 1 - window]?;
        let slope = (then - now) / window as f64;
        let bound = now - slope * self.remaining(arm);
        Some(self.limit.map_or(bound, |limit| bound.max(limit)))
    }

    fn eliminate(&mut self) {
        let bests: Vec<(f64, usize)> =
            self.arms.iter().enumerate().filter_map(|(i, arm)| arm.best.map(|best| (best, i))).collect();
        let order = |a: &&(f64, usize), b: &&(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        let (Some(&(best, leader)), Some(&(worst, _))) =
            (bests.iter().min_by(order), bests.iter().max_by(order))
        else {
            return;
        };
        let slack = self.options.slack * (worst - best);
        for index in 0..self.arms.len() {
            if index == leader || self.arms[index].left.is_some() {
                continue;
            }
            let Some(upper) = self.upper(index) else { continue };
            if best <= upper - slack {
                let at_pull = self.pulls();
                self.arms[index].left = Some(Leaving { by: leader, at_pull, upper, beaten_by: best });
            }
        }
    }

    /// The arm with the best result among those that are left.
    fn leader(&self, alive: &[bool]) -> Option<usize> {
        let left = self.arms.iter().enumerate().filter(|(index, _)| alive[*index]);
        let bests = left.filter_map(|(index, arm)| arm.best.map(|best| (best, index)));
        bests.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, index)| index)
    }

    /// Whether the best result of an arm still gains over the last half of its pulls, against the spread between arms.
    fn is_improving(&self, index: usize) -> bool {
        let curve = &self.arms[index].curve;
        if curve.len() < self.options.leader_pulls {
            return true;
        }
        let (Some(Some(now)), Some(before)) = (curve.last(), curve.get(curve.len().div_ceil(2) - 1)) else {
            return false;
        };
        let bests: Vec<f64> = self.arms.iter().filter_map(|arm| arm.best).collect();
        let mean = bests.iter().sum::<f64>() / bests.len() as f64;
        let variance = bests.iter().map(|best| (best - mean).powi(2)).sum::<f64>() / bests.len() as f64;
        // A first feasible result within that half is a gain too.
        before.is_none_or(|before| before - now >= self.options.leader_gain * variance.sqrt())
    }

    /// Arms that still get trials; never none.
    fn alive(&self, failing: &[Option<u32>]) -> Vec<bool> {
        let mut alive: Vec<bool> = self
            .arms
            .iter()
            .zip(failing)
            .map(|(arm, failed)| arm.left.is_none() && failed.is_none())
            .collect();
        if alive.contains(&true) || alive.is_empty() {
            return alive;
        }
        let best = self.arms.iter().enumerate().filter_map(|(i, arm)| arm.best.map(|best| (best, i)));
        let leader = best.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, i)| i);
        let last = failing.iter().enumerate().max_by_key(|(_, failed)| **failed).map(|(i, _)| i);
        if let Some(kept) = leader.or(last) {
            alive[kept] = true;
        }
        alive
    }
}
