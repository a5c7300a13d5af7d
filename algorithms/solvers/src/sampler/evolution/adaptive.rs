//! Differential evolution that learns its rates from what succeeded.

use std::f64::consts::PI;

use boxwood_core::{SearchSpace, Seed, SeedRng, TrialNumber};
use rand::RngExt;

use super::NAME;
use super::differential::{Parents, Rates, Slots, draw};
use crate::sampler::population::{Member, normal};

/// Pairs of rates remembered.
const MEMORY: usize = 5;
/// Spread of the rates drawn around a remembered pair.
const SPREAD: f64 = 0.1;
/// Rates before anything was learned.
const FIRST: Rates = Rates { factor: 0.5, crossover: 0.5 };

/// Success-history based adaptive differential evolution (Tanabe and Fukunaga, "SHADE", 2013): mutants move from their target
/// toward one of the best members, along a difference that may end in the archive of beaten members (Zhang and Sanderson,
/// "JADE", 2009).
///
/// A trial's rates are drawn by its number around a pair that the memory held when its generation, as many trials as there
/// are slots, began; so what succeeded with which rates can be played again. Successes weigh alike (JADE), because losses may
/// be on any scale. A result that comes after the next generation has begun counts for the later ones.
#[derive(Debug)]
pub(super) struct Adaptive<'a> {
    slots: Slots<'a>,
    /// Beaten members, as many as there are slots, the newest ones.
    archive: Vec<&'a [f64]>,
    memory: Memory,
    /// The generation that the memory serves, and what has succeeded in it.
    generation: usize,
    successes: Vec<Rates>,
    count: usize,
    seed: Seed,
}

#[derive(Debug, Clone)]
struct Memory {
    pairs: [Rates; MEMORY],
    next: usize,
}

impl Memory {
    /// The rates of a trial: a normal crossover rate and a Cauchy factor around a remembered pair.
    fn rates(&self, seed: Seed, number: TrialNumber) -> Rates {
        let mut rng = seed.derive("rates", u64::from(number.0)).rng();
        let center = self.pairs[rng.random_range(0..MEMORY)];
        let crossover = (center.crossover + SPREAD * normal(&mut rng)).clamp(0.0, 1.0);
        let mut factor = 0.0;
        while factor <= 0.0 {
            factor = center.factor + SPREAD * (PI * (rng.random::<f64>() - 0.5)).tan();
        }
        Rates { factor: factor.min(1.0), crossover }
    }

    /// Takes in a generation's successes: the Lehmer mean of their factors, which favours large ones, and the mean of their
    /// crossover rates.
    fn learn(&mut self, successes: &[Rates]) {
        if successes.is_empty() {
            return;
        }
        let sum = |value: fn(&Rates) -> f64| successes.iter().map(value).sum::<f64>();
        let factor = sum(|rates| rates.factor * rates.factor) / sum(|rates| rates.factor);
        let crossover = sum(|rates| rates.crossover) / successes.len() as f64;
        self.pairs[self.next] = Rates { factor, crossover };
        self.next = (self.next + 1) % MEMORY;
    }
}

impl<'a> Adaptive<'a> {
    /// Plays all competitions again.
    pub(super) fn replay(members: &[Member<'a>], count: usize, seed: Seed) -> Self {
        let memory = Memory { pairs: [FIRST; MEMORY], next: 0 };
        let (archive, successes) = (Vec::new(), Vec::new());
        let mut found =
            Self { slots: Slots::new(count), archive, memory, generation: 0, successes, count, seed };
        for member in members {
            let number = member.trial.number;
            let generation = number.0 as usize / count;
            if generation > found.generation {
                found.generation = generation;
                found.memory.learn(&found.successes);
                found.successes.clear();
            }
            let Some(beaten) = found.slots.enter(*member) else { continue };
            if beaten.result.is_some() && member.trial.provenance.sampler == NAME {
                found.successes.push(found.memory.rates(seed, number));
            }
            found.archive.push(beaten.row());
            if found.archive.len() > count {
                found.archive.remove(0);
            }
        }
        found
    }

    pub(super) fn is_ready(&self) -> bool {
        self.slots.is_ready()
    }

    /// The rates of a trial that is to be started.
    fn rates(&self, number: TrialNumber) -> Rates {
        let mut memory = self.memory.clone();
        if number.0 as usize / self.count > self.generation {
            memory.learn(&self.successes);
        }
        memory.rates(self.seed, number)
    }

    /// The mutant against the holder of a trial number's slot: `x + F (p - x) + F (b - c)`, p one of the best.
    pub(super) fn child(
        &self,
        space: &SearchSpace,
        number: TrialNumber,
        greed: f64,
        rng: &mut SeedRng,
    ) -> Option<Vec<f64>> {
        let mut members = self.slots.holders();
        members.sort_by(Member::compare);
        let best = members.first()?;
        let target = self.slots.holder(number).unwrap_or(*best).row();
        let elite = ((members.len() as f64 * greed).ceil() as usize).clamp(1, members.len());
        let leader = members[rng.random_range(0..elite)].row();
        let mut rows: Vec<&[f64]> = members.iter().map(Member::row).filter(|row| *row != target).collect();
        let first = rng.random_range(0..rows.len().max(1));
        let b = (first < rows.len()).then(|| rows.swap_remove(first))?;
        rows.extend(self.archive.iter().copied());
        let mut left: Vec<usize> = (0..rows.len()).collect();
        let c = rows[draw(&mut left, rng)?];
        let rates = self.rates(number);
        let parents = Parents { target, base: target, toward: (leader, rates.factor), difference: (b, c) };
        Some(parents.mutant(space, rates, rng))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use boxwood_core::{Change, Origin, Point, Provenance, Rung, RungResult, TrialStatus, TrialView};

    use super::*;

    const SLOTS: usize = 5;

    fn trials(count: u32) -> Vec<TrialView> {
        let mut rng = Seed(3).rng();
        let mut trial = |number: u32| TrialView {
            number: TrialNumber(number),
            point: Point::default(),
            encoded: vec![f64::from(number) / f64::from(count + 1)],
            origin: Origin::Solver,
            provenance: Provenance { sampler: NAME.into(), ..Provenance::default() },
            status: TrialStatus::Completed,
            target: Rung(0),
            results: vec![RungResult {
                rung: Rung(0),
                losses: vec![rng.random::<f64>() - f64::from(number) / 20.0],
                violations: vec![],
                seconds: None,
                change: Change(u64::from(number)),
            }],
        };
        (1..=count).map(&mut trial).collect()
    }

    fn members(trials: &[TrialView]) -> Vec<Member<'_>> {
        trials.iter().map(|trial| Member { trial, result: trial.results.first() }).collect()
    }

    #[test]
    fn successes_are_credited_with_the_rates_that_they_were_made_with() {
        let trials = trials(40);
        let all = members(&trials);
        let mut credited = 0;
        for last in SLOTS + 1..all.len() {
            let before = Adaptive::replay(&all[..last], SLOTS, Seed(7));
            let used = before.rates(all[last].trial.number);
            let after = Adaptive::replay(&all[..=last], SLOTS, Seed(7));
            let holder = before.slots.holder(all[last].trial.number);
            if holder.is_some_and(|holder| all[last].compare(&holder).is_lt()) {
                let found = after.successes.last().unwrap();
                assert_eq!((found.factor, found.crossover), (used.factor, used.crossover), "trial {last}");
                credited += 1;
            }
        }
        assert!(credited > 5, "{credited}");
    }

    #[test]
    fn the_memory_keeps_the_means_of_what_succeeded() {
        let mut memory = Memory { pairs: [FIRST; MEMORY], next: 0 };
        memory.learn(&[]);
        assert_eq!(memory.next, 0, "nothing succeeded, nothing is learned");
        memory.learn(&[Rates { factor: 0.2, crossover: 0.1 }, Rates { factor: 1.0, crossover: 0.5 }]);
        let Rates { factor, crossover } = memory.pairs[0];
        assert!((factor - 1.04 / 1.2).abs() < 1e-12 && (crossover - 0.3).abs() < 1e-12);
        let mut drawn: Vec<f64> = (1..2000).map(|k| memory.rates(Seed(1), TrialNumber(k)).factor).collect();
        assert!(drawn.iter().all(|factor| 0.0 < *factor && *factor <= 1.0));
        drawn.sort_by(f64::total_cmp);
        assert!(drawn.iter().filter(|factor| **factor > 0.75).count() > 200, "the new pair is drawn around");
    }
}
