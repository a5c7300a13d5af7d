//! Which arms the slots of one plan go to.

use boxwood_core::{Ask, StudyView};

use super::options::BanditOptions;
use crate::composed::Placed;
use crate::history::History;
use crate::scheduler::Schedule;

/// An arm in one plan.
pub(super) struct Turn<'a> {
    pub(super) index: usize,
    pub(super) view: &'a StudyView,
    pub(super) history: History<'a>,
    pub(super) schedule: Schedule,
    /// Trials started (or seconds spent), which the next turn goes by.
    pub(super) load: f64,
    /// What one more trial adds to it.
    pub(super) step: f64,
    /// Most starts that the arm's space still gives, once that is known.
    pub(super) cap: Option<usize>,
    pub(super) resumes: usize,
    pub(super) starts: usize,
    pub(super) placed: Placed,
}

impl Turn<'_> {
    /// Whether a promotion is open that this plan has not given yet.
    fn can_resume(&self) -> bool {
        self.resumes < self.schedule.resumes.len()
    }

    /// Whether a start is open that this plan has not given yet.
    fn can_start(&self) -> bool {
        self.starts < self.schedule.starts.len().min(self.cap.unwrap_or(usize::MAX))
    }
}

/// Gives slots one by one: to arms without a trial, to the improving leader until it has its share, else to the
/// least loaded arm; an arm's resumes come before its starts.
///
/// `elsewhere` is the load of the arms that left.
pub(super) fn to_leader(
    turns: &mut [Turn<'_>],
    ask: Ask,
    options: &BanditOptions,
    leader: Option<usize>,
    elsewhere: f64,
) {
    for turn in &mut *turns {
        (turn.resumes, turn.starts) = (0, 0);
    }
    let load = |turn: &Turn<'_>| turn.load + (turn.resumes + turn.starts) as f64 * turn.step;
    let mut starts = ask.starts();
    for _ in 0..ask.want {
        let total = elsewhere + turns.iter().map(load).sum::<f64>();
        let is_owed =
            |turn: &Turn<'_>| leader == Some(turn.index) && load(turn) < options.leader_share * total;
        let open = turns.iter_mut().filter(|turn| turn.can_resume() || (starts > 0 && turn.can_start()));
        let order = |turn: &Turn<'_>| (load(turn) > 0.0, !is_owed(turn));
        let first = open.min_by(|a, b| {
            order(a).cmp(&order(b)).then(load(a).total_cmp(&load(b))).then(a.index.cmp(&b.index))
        });
        let Some(turn) = first else { break };
        if turn.can_resume() {
            turn.resumes += 1;
        } else {
            turn.starts += 1;
            starts -= 1;
        }
    }
}

/// Gives resumes in turn to the least loaded arms, then starts one by one to the least loaded.
pub(super) fn in_turn(turns: &mut [Turn<'_>], ask: Ask) {
    for turn in &mut *turns {
        (turn.resumes, turn.starts) = (0, 0);
    }
    let mut left = ask.want;
    while left > 0 {
        let open = turns.iter_mut().filter(|turn| turn.can_resume());
        let Some(turn) = open.min_by_key(|turn| turn.resumes) else { break };
        turn.resumes += 1;
        left -= 1;
    }
    let mut starts = left.min(ask.starts());
    while starts > 0 {
        let open = turns.iter_mut().filter(|turn| turn.can_start());
        let load = |turn: &Turn<'_>| turn.load + turn.starts as f64 * turn.step;
        let least = open.min_by(|a, b| load(a).total_cmp(&load(b)).then(a.index.cmp(&b.index)));
        let Some(turn) = least else { break };
        turn.starts += 1;
        starts -= 1;
    }
}
