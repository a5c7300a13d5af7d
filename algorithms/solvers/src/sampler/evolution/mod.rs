//! Evolutionary algorithms in steady state: every proposal has its parents among the trials that have ended.

mod adaptive;
mod differential;
mod swarm;

use boxwood_core::{Problem, SearchSpace, Seed, SeedRng, SolverError, TrialNumber, Unsupported};
use rand::RngExt;

use self::adaptive::Adaptive;
use self::differential::{Parents, Rates, Slots, draw};
use self::swarm::{FINAL_INERTIA, INERTIA, Motion, OWN_PULL, SWARM_PULL, Swarm};
use super::forest::{Forests, Screen};
use super::model::{Design, mix};
use super::population::{Fitness, Member, activate, cross, fitness, mutate};
use super::{Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of the evolution.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "variant",
        kind: ParameterKind::Choice {
            default: "auto",
            choices: &["auto", "nsga2", "differential", "adaptive", "regularized", "swarm"],
        },
        meaning: "Algorithm: `nsga2` (any number of objectives); for one objective `differential`, `adaptive` (differential \
                  evolution that learns its rates from what succeeded, SHADE) or `regularized` (aging) evolution, or a \
                  particle `swarm`. `auto` is `nsga2` for several objectives and `swarm` for one.",
    },
    ParameterInfo {
        name: "population",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 10_000 },
        meaning: "Members that can be parents; as many Sobol points come first. 0 is a fifth of the budget, between 10 and \
                  30; a fiftieth, between 6 and 30, for `adaptive` and `swarm`.",
    },
    ParameterInfo {
        name: "tournament",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 10_000 },
        meaning: "Members drawn to find a parent; 0 is 2 for `nsga2` and a third of the population for `regularized`.",
    },
    ParameterInfo {
        name: "scale_factor",
        kind: ParameterKind::Number { default: 0.5, low: 0.0, high: 2.0 },
        meaning: "Factor of difference vectors (`differential`), drawn anew between this and one for each trial.",
    },
    ParameterInfo {
        name: "crossover_rate",
        kind: ParameterKind::Number { default: 0.9, low: 0.0, high: 1.0 },
        meaning: "Probability that a parameter comes from the mutant (`differential`) or that two parents are crossed \
                  (`nsga2`).",
    },
    ParameterInfo {
        name: "greed",
        kind: ParameterKind::Number { default: 1.0, low: 0.0, high: 1.0 },
        meaning: "How far the mutant's base lies from a random member to the best one (`differential`): 0 is rand/1, 1 is \
                  best/1. With `adaptive` a fifth of it is the share of the best members among which one is drawn.",
    },
    INERTIA,
    FINAL_INERTIA,
    OWN_PULL,
    SWARM_PULL,
    ParameterInfo {
        name: "screening",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 1000 },
        meaning: "Offspring made per trial, of which a random forest on the results picks the one with the most expected \
                  improvement (one objective, a surrogate-assisted evolution); 0 and 1 take the first. 10 pay on the suite \
                  `single` for every variant but `swarm`.",
    },
];

/// Name in the provenance of trials.
const NAME: &str = "evolution";

/// Children drawn per proposal until one is new.
const CHILDREN: usize = 32;
/// Gaussian steps per number in a neighbourhood.
const NEIGHBOUR_DRAWS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Auto,
    Nsga2,
    Differential,
    Adaptive,
    Regularized,
    Swarm,
}

/// NSGA-II (Deb et al., 2002), differential evolution (Storn and Price, 1997), its adaptive form, aging evolution (Real et
/// al., 2019) or a particle swarm, asynchronous: the population is read out of the history, and pending trials are simply
/// not in it yet.
#[derive(Debug)]
pub(crate) struct EvolutionSampler {
    variant: Variant,
    population: usize,
    tournament: usize,
    rates: Rates,
    greed: f64,
    motion: Motion,
    screening: usize,
    forests: Forests,
}

impl EvolutionSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let variant = match parameters.choice("variant")? {
            "nsga2" => Variant::Nsga2,
            "differential" => Variant::Differential,
            "adaptive" => Variant::Adaptive,
            "regularized" => Variant::Regularized,
            "swarm" => Variant::Swarm,
            _ => Variant::Auto,
        };
        let factor = parameters.number("scale_factor")?;
        let crossover = parameters.number("crossover_rate")?;
        Ok(Self {
            variant,
            population: parameters.integer("population")? as usize,
            tournament: parameters.integer("tournament")? as usize,
            rates: Rates { factor, crossover },
            greed: parameters.number("greed")?,
            motion: Motion::read(parameters)?,
            screening: parameters.integer("screening")? as usize,
            forests: Forests::default(),
        })
    }

    fn variant(&self, problem: &Problem) -> Variant {
        match self.variant {
            Variant::Auto if problem.objectives().len() > 1 => Variant::Nsga2,
            Variant::Auto => Variant::Swarm,
            given => given,
        }
    }

    fn population(&self, problem: &Problem) -> usize {
        if self.population > 0 {
            return self.population;
        }
        let budget = problem.max_trials();
        match self.variant(problem) {
            Variant::Adaptive | Variant::Swarm => {
                budget.map_or(10, |budget| (budget / 50).clamp(6, 30) as usize)
            }
            _ => budget.map_or(30, |budget| (budget / 5).clamp(10, 30) as usize),
        }
    }

    /// Parents for the next trials, once there are enough.
    fn breeder<'a>(
        &self,
        request: &Request<'a>,
        members: &[Member<'a>],
    ) -> Result<Option<Breeder<'a>>, SolverError> {
        let problem = request.view.problem();
        let population = self.population(problem);
        let measured = members.iter().filter(|member| member.result.is_some()).count();
        Ok(match self.variant(problem) {
            Variant::Regularized => {
                let youngest = members[members.len().saturating_sub(population)..].to_vec();
                let tournament = if self.tournament == 0 { population.div_ceil(3) } else { self.tournament };
                let breeder = Breeder::Aging { youngest, tournament };
                (measured > 0).then_some(breeder)
            }
            Variant::Differential => {
                let slots = Slots::of(members, population);
                slots.is_ready().then_some(Breeder::Differential(slots))
            }
            Variant::Adaptive => {
                let seed = Seed(problem.seed()).derive("adaptive", 0);
                let adaptive = Adaptive::replay(members, population, seed);
                adaptive.is_ready().then_some(Breeder::Adaptive(adaptive))
            }
            Variant::Swarm => Swarm::of(request.view, members, population, self.motion).map(Breeder::Swarm),
            Variant::Nsga2 | Variant::Auto => {
                let fitness = fitness(members)?;
                let mut parents: Vec<(Fitness, Member<'a>)> =
                    fitness.into_iter().zip(members.to_vec()).collect();
                parents.sort_by(|a, b| a.0.compare(&b.0).then(a.1.trial.number.cmp(&b.1.trial.number)));
                parents.truncate(population);
                let tournament = if self.tournament == 0 { 2 } else { self.tournament };
                (measured > 1).then_some(Breeder::Nsga2 { parents, tournament })
            }
        })
    }

    /// New children of one trial, as many as are screened; fewer where parents are too much alike.
    fn children(
        &self,
        breeder: &Breeder<'_>,
        space: &SearchSpace,
        number: TrialNumber,
        known: &Known,
        rng: &mut SeedRng,
    ) -> Vec<Vec<f64>> {
        let wanted = self.screening.max(1);
        let mut fresh = known.clone();
        let mut children = Vec::with_capacity(wanted);
        for attempt in 0..CHILDREN.max(2 * wanted) {
            let child = breeder.child(self, space, number, attempt, rng);
            children.extend(child.filter(|row| fresh.insert(row)));
            if children.len() == wanted {
                break;
            }
        }
        children
    }
}

/// Parents of one plan.
enum Breeder<'a> {
    /// The best by fronts and crowding.
    Nsga2 { parents: Vec<(Fitness, Member<'a>)>, tournament: usize },
    /// One member per slot.
    Differential(Slots<'a>),
    /// The same with learned rates.
    Adaptive(Adaptive<'a>),
    /// The last ones started, whatever they are worth.
    Aging { youngest: Vec<Member<'a>>, tournament: usize },
    /// Particles with their places.
    Swarm(Swarm<'a>),
}

impl Breeder<'_> {
    fn child(
        &self,
        sampler: &EvolutionSampler,
        space: &SearchSpace,
        number: TrialNumber,
        attempt: usize,
        rng: &mut SeedRng,
    ) -> Option<Vec<f64>> {
        let mut row = match self {
            Self::Nsga2 { parents, tournament } => {
                let mut parent = || {
                    let drawn = (0..*tournament).map(|_| rng.random_range(0..parents.len()));
                    // Parents are sorted, best first.
                    drawn.min().map(|index| parents[index].1.row())
                };
                let (a, b) = (parent()?, parent()?);
                let mut row = if rng.random::<f64>() < sampler.rates.crossover {
                    cross(space, a, b, rng)
                } else {
                    a.to_vec()
                };
                mutate(space, &mut row, rng);
                row
            }
            Self::Differential(slots) => sampler.mutant(space, slots, number, rng)?,
            Self::Adaptive(adaptive) => adaptive.child(space, number, sampler.greed / 5.0, rng)?,
            Self::Swarm(swarm) => swarm.child(space, number, attempt, rng),
            Self::Aging { youngest, tournament } => {
                let drawn = (0..*tournament).map(|_| youngest[rng.random_range(0..youngest.len())]);
                let parent = drawn.min_by(Member::compare)?.row();
                let active: Vec<usize> =
                    (0..parent.len()).filter(|column| !parent[*column].is_nan()).collect();
                let column = *active.get(rng.random_range(0..active.len().max(1)))?;
                let mut rows = space.neighbours(parent, column, NEIGHBOUR_DRAWS, rng);
                if rows.is_empty() {
                    return None;
                }
                return Some(rows.swap_remove(rng.random_range(0..rows.len())));
            }
        };
        activate(&mut row, rng);
        space.snap(&mut row).then_some(row)
    }
}

impl EvolutionSampler {
    /// The mutant against the holder of a trial number's slot.
    fn mutant(
        &self,
        space: &SearchSpace,
        slots: &Slots<'_>,
        number: TrialNumber,
        rng: &mut SeedRng,
    ) -> Option<Vec<f64>> {
        let members = slots.holders();
        let best = members.iter().copied().min_by(Member::compare)?;
        let target = slots.holder(number).unwrap_or(best).row();
        let mut left: Vec<usize> =
            (0..members.len()).filter(|index| members[*index].row() != target).collect();
        let mut parent = || draw(&mut left, rng).map(|index| members[index].row());
        let (base, b, c) = (parent()?, parent()?, parent()?);
        let factor = self.rates.factor + (1.0 - self.rates.factor).max(0.0) * rng.random::<f64>();
        let parents = Parents { target, base, toward: (best.row(), self.greed), difference: (b, c) };
        Some(parents.mutant(space, Rates { factor, ..self.rates }, rng))
    }
}

impl Sampler for EvolutionSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        if problem.objectives().len() < 2 {
            return Ok(());
        }
        if !matches!(self.variant, Variant::Auto | Variant::Nsga2) {
            return Err("objectives: this `variant` ranks trials by one objective, use `nsga2`".into());
        }
        if self.screening > 1 {
            return Err("objectives: `screening` predicts one objective, set it to 0".into());
        }
        Ok(())
    }

    fn starts_from_default(&self, _problem: &Problem) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let members = request.history.levels.last().map(Member::all).unwrap_or_default();
        let breeder = self.breeder(request, &members)?;
        let design = Design::of_trials(self.population(problem));
        let next = request.view.trials().last().map_or(1, |trial| trial.number.0 + 1);
        let mut screen = Screen::new(request, problem.ladder().top(), &self.forests);
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            let Some(breeder) = &breeder else { return Ok(None) };
            let mut rng = seed.rng();
            let number = TrialNumber(next + chosen.len() as u32);
            let children = self.children(breeder, problem.space(), number, known, &mut rng);
            screen.pick(children, chosen, NAME)
        };
        mix(request, known, &design, breeder.is_some(), &mut pick)
    }
}
