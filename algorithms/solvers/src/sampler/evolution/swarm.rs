//! A particle swarm whose state is the history.

use boxwood_core::space::DimensionKind;
use boxwood_core::{SearchSpace, SeedRng, StudyView, TrialNumber, TrialStatus};
use rand::RngExt;

use crate::parameters::{ParameterInfo, ParameterKind, Parameters};
use crate::sampler::population::{Member, mutate};

/// Parameters of the swarm.
pub(super) const INERTIA: ParameterInfo = ParameterInfo {
    name: "inertia",
    kind: ParameterKind::Number { default: 0.6, low: 0.0, high: 1.0 },
    meaning: "Share of its last step that a particle keeps at first (`swarm`).",
};
pub(super) const FINAL_INERTIA: ParameterInfo = ParameterInfo {
    name: "final_inertia",
    kind: ParameterKind::Number { default: 0.4, low: 0.0, high: 1.0 },
    meaning: "What the inertia falls to, evenly, until the budget of trials is used; without a budget it stays (`swarm`).",
};
pub(super) const OWN_PULL: ParameterInfo = ParameterInfo {
    name: "own_pull",
    kind: ParameterKind::Number { default: 1.5, low: 0.0, high: 4.0 },
    meaning: "Most that a particle moves toward the best point of its own, as a share of the way (`swarm`).",
};
pub(super) const SWARM_PULL: ParameterInfo = ParameterInfo {
    name: "swarm_pull",
    kind: ParameterKind::Number { default: 1.5, low: 0.0, high: 4.0 },
    meaning: "The same toward the best point of all particles (`swarm`).",
};

/// Share of the choices that are drawn anew, divided by the number of parameters.
const RESTLESSNESS: f64 = 0.5;

/// How particles move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Motion {
    inertia: f64,
    final_inertia: f64,
    own_pull: f64,
    swarm_pull: f64,
}

impl Motion {
    pub(super) fn read(parameters: &Parameters<'_>) -> Result<Self, boxwood_core::Unsupported> {
        Ok(Self {
            inertia: parameters.number(INERTIA.name)?,
            final_inertia: parameters.number(FINAL_INERTIA.name)?,
            own_pull: parameters.number(OWN_PULL.name)?,
            swarm_pull: parameters.number(SWARM_PULL.name)?,
        })
    }
}

/// One particle: trial number k is a place of particle k modulo their number.
#[derive(Debug, Clone, Copy, Default)]
struct Particle<'a> {
    /// Where it is, measured or not.
    here: Option<&'a [f64]>,
    /// Where it was.
    before: Option<&'a [f64]>,
    /// The best place that it has seen.
    best: Option<Member<'a>>,
}

/// Particle swarm optimization (Kennedy and Eberhart, 1995) with falling inertia (Shi and Eberhart, 1998).
///
/// A particle's velocity is the way between its last two places, so that the trials are the whole state. Numbers move by
/// velocity and stop at the ends of their range; choices are copied from the particle's own best place or the swarm's, in
/// proportion to the pulls. Failures are places, never bests.
#[derive(Debug)]
pub(super) struct Swarm<'a> {
    particles: Vec<Particle<'a>>,
    leader: Member<'a>,
    motion: Motion,
    /// The inertia by now.
    inertia: f64,
}

impl<'a> Swarm<'a> {
    /// None before anything was measured.
    pub(super) fn of(
        view: &'a StudyView,
        members: &[Member<'a>],
        count: usize,
        motion: Motion,
    ) -> Option<Self> {
        let leader =
            members.iter().copied().filter(|member| member.result.is_some()).min_by(Member::compare)?;
        let mut particles = vec![Particle::default(); count];
        for trial in view.trials().iter().filter(|trial| trial.status != TrialStatus::Cancelled) {
            let particle = &mut particles[trial.number.0 as usize % count];
            particle.before = particle.here.replace(&trial.encoded);
        }
        for member in members.iter().filter(|member| member.result.is_some()) {
            let best = &mut particles[member.trial.number.0 as usize % count].best;
            if best.is_none_or(|best| member.compare(&best).is_lt()) {
                *best = Some(*member);
            }
        }
        let used = |budget: u64| (view.started() as f64 / budget as f64).min(1.0);
        let progress = view.problem().max_trials().map_or(0.0, used);
        let inertia = motion.inertia + (motion.final_inertia - motion.inertia) * progress;
        Some(Self { particles, leader, motion, inertia })
    }

    /// The next place of a trial number's particle; shaken where an earlier attempt was not new.
    pub(super) fn child(
        &self,
        space: &SearchSpace,
        number: TrialNumber,
        attempt: usize,
        rng: &mut SeedRng,
    ) -> Vec<f64> {
        let particle = &self.particles[number.0 as usize % self.particles.len()];
        let leader = self.leader.row();
        let here = particle.here.unwrap_or(leader);
        let own = particle.best.map_or(leader, |best| best.row());
        let width = here.len().max(1) as f64;
        let mut row: Vec<f64> = Vec::with_capacity(here.len());
        for (column, dimension) in space.dimensions().iter().enumerate() {
            let (mine, best) = (own[column], leader[column]);
            let known = [here[column], mine, best].into_iter().find(|value| !value.is_nan());
            // Where nobody has a value, whoever gives the parameter a meaning gives it a random one.
            let Some(known) = known else {
                row.push(f64::NAN);
                continue;
            };
            let or = |value: f64, other: f64| if value.is_nan() { other } else { value };
            let from = or(here[column], known);
            let (mine, best) = (or(mine, from), or(best, from));
            if let DimensionKind::Categorical { choices } = dimension.kind {
                row.push(self.choice(choices, [from, mine, best], width, rng));
                continue;
            }
            let velocity = match particle.before {
                Some(before) => from - or(before[column], from),
                None => (rng.random::<f64>() - from) / 2.0,
            };
            let own_pull = self.motion.own_pull * rng.random::<f64>();
            let swarm_pull = self.motion.swarm_pull * rng.random::<f64>();
            let step = self.inertia * velocity + own_pull * (mine - from) + swarm_pull * (best - from);
            row.push((from + step).clamp(0.0, 1.0));
        }
        if attempt > 0 {
            mutate(space, &mut row, rng);
        }
        row
    }

    /// A choice stays by the inertia, or is one's own best or the swarm's, in proportion to the pulls; rarely another.
    fn choice(&self, choices: u64, [from, mine, best]: [f64; 3], width: f64, rng: &mut SeedRng) -> f64 {
        if rng.random::<f64>() * width < RESTLESSNESS {
            return (rng.random_range(0..choices.max(1)) as f64 + 0.5) / choices as f64;
        }
        let Motion { own_pull, swarm_pull, .. } = self.motion;
        let drawn = rng.random::<f64>() * (self.inertia + own_pull + swarm_pull);
        if drawn < self.inertia {
            from
        } else if drawn < self.inertia + own_pull {
            mine
        } else {
            best
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use boxwood_core::{Change, Origin, Problem, ProblemSpec, Provenance, Rung, RungResult, Seed, TrialView};

    use super::*;
    use crate::history::History;

    /// Trials by number at the places x with c always the first choice; no loss is a pending one, a loss below zero a failure.
    fn view(trials: &[(u32, f64, Option<f64>)]) -> StudyView {
        let spec: ProblemSpec = serde_json::from_value(serde_json::json!({
            "space": {"parameters": [
                {"name": "x", "type": "float", "low": 0, "high": 1},
                {"name": "c", "type": "categorical", "choices": ["a", "b"]},
            ]},
            "objectives": [{"metric": "loss", "goal": "minimize"}],
        }))
        .unwrap();
        let problem: Arc<Problem> = Arc::new(spec.check().unwrap());
        let trial = |&(number, x, loss): &(u32, f64, Option<f64>)| {
            let result = |loss: f64| RungResult {
                rung: Rung(0),
                losses: vec![loss],
                violations: vec![],
                seconds: None,
                change: Change(u64::from(number)),
            };
            let failed = loss.is_some_and(|loss| loss < 0.0);
            let results: Vec<RungResult> = loss.filter(|loss| *loss >= 0.0).map(result).into_iter().collect();
            let status = match (failed, results.is_empty()) {
                (true, _) => TrialStatus::Failed,
                (_, true) => TrialStatus::Pending,
                _ => TrialStatus::Completed,
            };
            TrialView {
                number: TrialNumber(number),
                point: problem.space().decode(&[x, 0.25]),
                encoded: vec![x, 0.25],
                origin: Origin::Solver,
                provenance: Provenance::default(),
                status,
                target: Rung(0),
                results,
            }
        };
        let trials = trials.iter().map(trial).collect();
        StudyView::new(problem.clone(), Change(99), trials)
    }

    fn child(trials: &[(u32, f64, Option<f64>)], motion: Motion, number: u32) -> Option<Vec<f64>> {
        let view = view(trials);
        let history = History::new(&view);
        let members = Member::all(&history.levels[0]);
        let swarm = Swarm::of(&view, &members, 2, motion)?;
        Some(swarm.child(view.problem().space(), TrialNumber(number), 0, &mut Seed(1).rng()))
    }

    #[test]
    fn without_pulls_a_particle_goes_on_and_stops_at_the_end_of_the_range() {
        let motion = Motion { inertia: 0.5, final_inertia: 0.5, own_pull: 0.0, swarm_pull: 0.0 };
        // Particle 1 went from 0.2 to 0.6, and the second place is still pending; particle 0 went from 0.7 to 0.9 and failed.
        let trials = [
            (1, 0.2, Some(1.0)),
            (2, 0.7, Some(2.0)),
            (3, 0.6, None),
            (4, 0.9, Some(-1.0)),
            (6, 0.995, None),
        ];
        assert!((child(&trials, motion, 5).unwrap()[0] - 0.8).abs() < 1e-12);
        assert!((child(&trials[..4], motion, 6).unwrap()[0] - 1.0).abs() < 1e-12);
        assert_eq!(child(&trials, motion, 8).unwrap()[0], 1.0);
    }

    #[test]
    fn pulls_lead_to_measured_bests_only() {
        let motion = Motion { inertia: 0.0, final_inertia: 0.0, own_pull: 1.0, swarm_pull: 1.0 };
        // The leader is particle 0's place 0.8; particle 1 stands at its own best, so that only the leader moves it.
        let trials = [(1, 0.2, Some(1.0)), (2, 0.8, Some(0.5)), (4, 0.1, Some(-1.0))];
        let moved = child(&trials, motion, 3).unwrap()[0];
        assert!(0.2 < moved && moved < 0.8, "{moved}");
        // A failure is a place to come from, not to go to.
        let moved = child(&trials, motion, 6).unwrap()[0];
        assert!(0.1 < moved && moved <= 0.8 + 0.7, "{moved}");
        assert!(child(&[(1, 0.2, Some(-1.0)), (2, 0.4, None)], motion, 3).is_none(), "nothing to be led by");
    }
}
