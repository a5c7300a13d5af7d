//! Evolutionary algorithms in steady state: every proposal has its parents among the trials that have ended.

use boxwood_core::space::DimensionKind;
use boxwood_core::{Problem, SearchSpace, Seed, SeedRng, SolverError, Unsupported};
use rand::RngExt;

use super::model::{Design, mix};
use super::population::{Fitness, Member, activate, cross, fitness, mutate, reflect};
use super::{Proposal, Proposals, Request, Sampler};
use crate::history::Known;
use crate::parameters::{ParameterInfo, ParameterKind, Parameters};

/// Parameters of the evolution.
pub(crate) const PARAMETERS: &[ParameterInfo] = &[
    ParameterInfo {
        name: "variant",
        kind: ParameterKind::Choice {
            default: "auto",
            choices: &["auto", "nsga2", "differential", "regularized"],
        },
        meaning: "Algorithm: `nsga2` (any number of objectives), `differential` or `regularized` (aging) evolution of one \
                  objective; `auto` is `nsga2` for several objectives and `differential` for one.",
    },
    ParameterInfo {
        name: "population",
        kind: ParameterKind::Integer { default: 0, low: 0, high: 10_000 },
        meaning: "Members that can be parents; as many Sobol points come first. 0 is a fifth of the budget, between 10 and \
                  30.",
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
                  best/1.",
    },
];

/// Children drawn per proposal until one is new.
const CHILDREN: usize = 32;
/// Gaussian steps per number in a neighbourhood.
const NEIGHBOUR_DRAWS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Auto,
    Nsga2,
    Differential,
    Regularized,
}

/// NSGA-II (Deb et al., 2002), differential evolution (Storn and Price, 1997) or aging evolution (Real et al., 2019),
/// asynchronous: the population is read out of the history, and pending trials are simply not in it yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvolutionSampler {
    variant: Variant,
    population: usize,
    tournament: usize,
    scale_factor: f64,
    crossover_rate: f64,
    greed: f64,
}

impl EvolutionSampler {
    pub(crate) fn read(parameters: &Parameters<'_>) -> Result<Self, Unsupported> {
        let variant = match parameters.choice("variant")? {
            "nsga2" => Variant::Nsga2,
            "differential" => Variant::Differential,
            "regularized" => Variant::Regularized,
            _ => Variant::Auto,
        };
        Ok(Self {
            variant,
            population: parameters.integer("population")? as usize,
            tournament: parameters.integer("tournament")? as usize,
            scale_factor: parameters.number("scale_factor")?,
            crossover_rate: parameters.number("crossover_rate")?,
            greed: parameters.number("greed")?,
        })
    }

    fn variant(&self, problem: &Problem) -> Variant {
        match self.variant {
            Variant::Auto if problem.objectives().len() > 1 => Variant::Nsga2,
            Variant::Auto => Variant::Differential,
            given => given,
        }
    }

    fn population(&self, problem: &Problem) -> usize {
        match self.population {
            0 => problem.max_trials().map_or(30, |budget| (budget / 5).clamp(10, 30) as usize),
            given => given,
        }
    }

    fn breeder<'a>(
        &self,
        problem: &'a Problem,
        members: &[Member<'a>],
    ) -> Result<Option<Breeder<'a>>, SolverError> {
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
                let slots = slots(members, population);
                let ready = slots.iter().flatten().filter(|member| member.result.is_some()).count() >= 4;
                ready.then_some(Breeder::Differential { slots })
            }
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
}

/// The members of differential evolution: trial number k competes for slot k modulo the number of slots, so that the
/// competition can be played again from the history. A free slot takes whatever ends first.
fn slots<'a>(members: &[Member<'a>], count: usize) -> Vec<Option<Member<'a>>> {
    let mut slots: Vec<Option<Member<'a>>> = vec![None; count];
    for member in members {
        let slot = &mut slots[member.trial.number.0 as usize % count];
        if slot.is_none_or(|holder| member.compare(&holder).is_lt()) {
            *slot = Some(*member);
        }
    }
    slots
}

/// Parents of one plan.
enum Breeder<'a> {
    /// The best by fronts and crowding.
    Nsga2 { parents: Vec<(Fitness, Member<'a>)>, tournament: usize },
    /// One member per slot.
    Differential { slots: Vec<Option<Member<'a>>> },
    /// The last ones started, whatever they are worth.
    Aging { youngest: Vec<Member<'a>>, tournament: usize },
}

impl Breeder<'_> {
    fn child(
        &self,
        sampler: &EvolutionSampler,
        space: &SearchSpace,
        number: usize,
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
                let mut row = if rng.random::<f64>() < sampler.crossover_rate {
                    cross(space, a, b, rng)
                } else {
                    a.to_vec()
                };
                mutate(space, &mut row, rng);
                row
            }
            Self::Differential { slots } => sampler.mutant(space, slots, number, rng)?,
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
    /// The trial vector against the holder of a trial number's slot: `base + F (b - c)` with binomial crossover; a choice
    /// in which b and c differ follows b with probability F.
    fn mutant(
        &self,
        space: &SearchSpace,
        slots: &[Option<Member<'_>>],
        number: usize,
        rng: &mut SeedRng,
    ) -> Option<Vec<f64>> {
        let members: Vec<Member<'_>> = slots.iter().flatten().copied().collect();
        let best = members.iter().copied().min_by(Member::compare)?;
        let target = slots[number % slots.len()].unwrap_or(best).row();
        let mut order: Vec<usize> =
            (0..members.len()).filter(|index| members[*index].row() != target).collect();
        let mut draw = |rng: &mut SeedRng| {
            let place = rng.random_range(0..order.len().max(1));
            (place < order.len()).then(|| members[order.swap_remove(place)].row())
        };
        let (a, b, c) = (draw(rng)?, draw(rng)?, draw(rng)?);
        let factor = self.scale_factor + (1.0 - self.scale_factor).max(0.0) * rng.random::<f64>();
        let certain = rng.random_range(0..target.len().max(1));
        let columns = space.dimensions().iter().enumerate();
        let row = columns.map(|(column, dimension)| {
            let inherits = rng.random::<f64>() < self.crossover_rate || column == certain;
            let chance = rng.random::<f64>();
            if !inherits {
                return target[column];
            }
            if matches!(dimension.kind, DimensionKind::Categorical { .. }) {
                let base = if chance < self.greed { best.row()[column] } else { a[column] };
                let differs = b[column] != c[column] && !b[column].is_nan();
                return if differs && rng.random::<f64>() < factor { b[column] } else { base };
            }
            let or = |value: f64, other: f64| if value.is_nan() { other } else { value };
            let base = or(a[column], target[column]);
            let toward = or(best.row()[column], base) - base;
            let difference = b[column] - c[column];
            reflect(base + self.greed * toward + factor * or(difference, 0.0))
        });
        Some(row.collect())
    }
}

impl Sampler for EvolutionSampler {
    fn accepts(&self, problem: &Problem) -> Result<(), String> {
        let single = matches!(self.variant, Variant::Differential | Variant::Regularized);
        if single && problem.objectives().len() > 1 {
            return Err("objectives: this `variant` ranks trials by one objective, use `nsga2`".into());
        }
        Ok(())
    }

    fn starts_from_default(&self, _problem: &Problem) -> bool {
        true
    }

    fn propose(&self, request: &Request<'_>, known: &mut Known) -> Result<Proposals, SolverError> {
        let problem = request.view.problem();
        let members = request.history.levels.last().map(Member::all).unwrap_or_default();
        let breeder = self.breeder(problem, &members)?;
        let design = Design::of_trials(self.population(problem));
        let next = request.view.trials().last().map_or(1, |trial| trial.number.0 as usize + 1);
        let mut pick = |chosen: &[Vec<f64>], seed: Seed, known: &Known| {
            let Some(breeder) = &breeder else { return Ok(None) };
            let mut rng = seed.rng();
            let number = next + chosen.len();
            let mut children =
                (0..CHILDREN).filter_map(|_| breeder.child(self, problem.space(), number, &mut rng));
            let child = children.find(|row| !known.contains(row));
            Ok(child.map(|row| Proposal::plain(row, "evolution")))
        };
        mix(request, known, &design, breeder.is_some(), &mut pick)
    }
}
