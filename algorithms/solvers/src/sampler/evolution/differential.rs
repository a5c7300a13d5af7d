//! Differential evolution in steady state (Storn and Price, 1997).

use boxwood_core::SearchSpace;
use boxwood_core::space::DimensionKind;
use boxwood_core::{SeedRng, TrialNumber};
use rand::RngExt;

use crate::sampler::population::{Member, reflect};

/// The members of differential evolution: trial number k competes for slot k modulo the number of slots, so that the
/// competition can be played again from the history. A free slot takes whatever ends first.
#[derive(Debug, Clone)]
pub(super) struct Slots<'a>(Vec<Option<Member<'a>>>);

impl<'a> Slots<'a> {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![None; count])
    }

    /// The winners of all competitions.
    pub(super) fn of(members: &[Member<'a>], count: usize) -> Self {
        let mut slots = Self::new(count);
        for member in members {
            slots.enter(*member);
        }
        slots
    }

    /// Lets a member compete; returns the holder that it has beaten, if there was one.
    pub(super) fn enter(&mut self, member: Member<'a>) -> Option<Member<'a>> {
        let count = self.0.len();
        let slot = &mut self.0[member.trial.number.0 as usize % count];
        if slot.is_none_or(|holder| member.compare(&holder).is_lt()) {
            return slot.replace(member);
        }
        None
    }

    pub(super) fn holders(&self) -> Vec<Member<'a>> {
        self.0.iter().flatten().copied().collect()
    }

    /// The member that a trial competes with.
    pub(super) fn holder(&self, number: TrialNumber) -> Option<Member<'a>> {
        self.0[number.0 as usize % self.0.len()]
    }

    /// Whether there are enough measured members for a difference of two.
    pub(super) fn is_ready(&self) -> bool {
        self.0.iter().flatten().filter(|member| member.result.is_some()).count() >= 4
    }
}

/// How far and how often a mutant leaves its target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// F.
    pub(super) factor: f64,
    /// CR.
    pub(super) crossover: f64,
}

/// The rows that a mutant is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parents<'a> {
    /// What crossover keeps.
    pub(super) target: &'a [f64],
    /// Where the difference is added.
    pub(super) base: &'a [f64],
    /// What the base moves toward first, by this share.
    pub(super) toward: (&'a [f64], f64),
    /// Ends of the difference.
    pub(super) difference: (&'a [f64], &'a [f64]),
}

impl Parents<'_> {
    /// The trial vector `base + share (toward - base) + F (b - c)` with binomial crossover; a choice comes from `toward` with
    /// the share as probability, and one in which b and c differ follows b with probability F.
    pub(super) fn mutant(&self, space: &SearchSpace, rates: Rates, rng: &mut SeedRng) -> Vec<f64> {
        let Self { target, base, toward: (best, share), difference: (b, c) } = *self;
        let certain = rng.random_range(0..target.len().max(1));
        let columns = space.dimensions().iter().enumerate();
        let row = columns.map(|(column, dimension)| {
            let inherits = rng.random::<f64>() < rates.crossover || column == certain;
            let chance = rng.random::<f64>();
            if !inherits {
                return target[column];
            }
            if matches!(dimension.kind, DimensionKind::Categorical { .. }) {
                let base = if chance < share { best[column] } else { base[column] };
                let differs = b[column] != c[column] && !b[column].is_nan();
                return if differs && rng.random::<f64>() < rates.factor { b[column] } else { base };
            }
            let or = |value: f64, other: f64| if value.is_nan() { other } else { value };
            let base = or(base[column], target[column]);
            let toward = or(best[column], base) - base;
            let difference = b[column] - c[column];
            reflect(base + share * toward + rates.factor * or(difference, 0.0))
        });
        row.collect()
    }
}

/// Takes one of the indices that are left.
pub(super) fn draw(left: &mut Vec<usize>, rng: &mut SeedRng) -> Option<usize> {
    let place = rng.random_range(0..left.len().max(1));
    (place < left.len()).then(|| left.swap_remove(place))
}
