//! Populations read out of a history, and how rows vary; what the evolutionary samplers share.
//!
//! Letters: n members, m objectives, d encoded dimensions.

use std::cmp::Ordering;

use boxwood_core::space::DimensionKind;
use boxwood_core::{RungResult, SearchSpace, SeedRng, SolverError, TrialView};
use boxwood_numeric::{Rows, nondominated_ranks, normal_quantile};
use rand::RngExt;

use super::model::numeric;
use crate::history::{Entry, Level};

/// Distribution indices of crossover and mutation (Deb and Agrawal, 1995; Deb et al., 2002).
const CROSSOVER_INDEX: f64 = 15.0;
const MUTATION_INDEX: f64 = 20.0;

/// A trial that came to an end: measured, or failed without a result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) trial: &'a TrialView,
    pub(crate) result: Option<&'a RungResult>,
}

impl<'a> Member<'a> {
    /// Everything that ended its way to a rung, in order of trial numbers.
    pub(crate) fn all(level: &Level<'a>) -> Vec<Self> {
        let measured =
            level.entries.iter().map(|entry| Self { trial: entry.trial, result: Some(entry.result) });
        let failed = level.failed.iter().map(|trial| Self { trial, result: None });
        let mut members: Vec<Self> = measured.chain(failed).collect();
        members.sort_by_key(|member| member.trial.number);
        members
    }

    pub(crate) fn row(&self) -> &'a [f64] {
        &self.trial.encoded
    }

    fn entry(&self) -> Option<Entry<'a>> {
        self.result.map(|result| Entry { trial: self.trial, result })
    }

    /// Total violation of the constraints, infinite for a failure.
    pub(crate) fn violation(&self) -> f64 {
        self.entry().map_or(f64::INFINITY, |entry| entry.violation())
    }

    /// Better first: least violation, then least first loss; failures last, the older trial before the younger.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self.entry(), other.entry()) {
            (Some(a), Some(b)) => a.compare(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.trial.number.cmp(&other.trial.number),
        }
    }
}

/// A member's place under constrained domination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fitness {
    /// Front, from 0; members that violate constraints come behind all feasible ones, failures last.
    pub(crate) rank: usize,
    /// Crowding distance within the front; infinite at its ends.
    pub(crate) crowding: f64,
}

impl Fitness {
    /// Better first.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank).then(other.crowding.total_cmp(&self.crowding))
    }
}

/// Constrained non-dominated sorting with crowding distances (Deb et al., "NSGA-II", 2002): feasible members by fronts,
/// then violating ones by their total violation, then failures.
pub(crate) fn fitness(members: &[Member<'_>]) -> Result<Vec<Fitness>, SolverError> {
    let mut fitness = vec![Fitness { rank: usize::MAX, crowding: 0.0 }; members.len()];
    let violation = |index: usize| members[index].entry().map(|entry| entry.violation());
    let (mut feasible, mut violating) = (Vec::new(), Vec::new());
    for index in 0..members.len() {
        match violation(index) {
            Some(amount) if amount <= 0.0 => feasible.push(index),
            Some(amount) => violating.push((amount, index)),
            None => {}
        }
    }
    let losses: Vec<&[f64]> = feasible
        .iter()
        .filter_map(|index| members[*index].result.map(|result| result.losses.as_slice()))
        .collect();
    let width = losses.first().map_or(1, |losses| losses.len());
    let rows = Rows::from_rows(width, &losses).map_err(|error| numeric(&error))?;
    let ranks = nondominated_ranks(&rows);
    let fronts = ranks.iter().max().map_or(0, |most| most + 1);
    for front in 0..fronts {
        let places: Vec<usize> = (0..feasible.len()).filter(|place| ranks[*place] == front).collect();
        for (place, crowding) in places.iter().zip(crowding(&rows.select(&places))) {
            fitness[feasible[*place]] = Fitness { rank: front, crowding };
        }
    }
    violating.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    for (place, (_, index)) in violating.into_iter().enumerate() {
        fitness[index].rank = fronts + place;
    }
    Ok(fitness)
}

/// Crowding distance of each row of a front, `(n, m)` losses: the sum over objectives of the gap between its neighbours
/// as a share of the front's range.
fn crowding(front: &Rows) -> Vec<f64> {
    let mut distances = vec![0.0; front.len()];
    for objective in 0..front.width() {
        let value = |index: usize| front.row(index)[objective];
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|a, b| value(*a).total_cmp(&value(*b)).then(a.cmp(b)));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else { continue };
        let range = value(last) - value(first);
        distances[first] = f64::INFINITY;
        distances[last] = f64::INFINITY;
        if range > 0.0 {
            for triple in order.windows(3) {
                distances[triple[1]] += (value(triple[2]) - value(triple[0])) / range;
            }
        }
    }
    distances
}

/// A standard normal number.
pub(crate) fn normal(rng: &mut SeedRng) -> f64 {
    // The middle of one of 2^53 cells, so that neither end of the interval is drawn.
    normal_quantile(rng.random::<f64>() + (-54_f64).exp2())
}

/// A number folded back into the unit interval at its ends.
pub(crate) fn reflect(value: f64) -> f64 {
    let folded = value.rem_euclid(2.0);
    if folded > 1.0 { 2.0 - folded } else { folded }
}

/// Gives inactive columns random numbers, so that a parameter which becomes active varies from its first moment;
/// snapping marks those that stay inactive again.
pub(crate) fn activate(row: &mut [f64], rng: &mut SeedRng) {
    for value in row.iter_mut().filter(|value| value.is_nan()) {
        *value = rng.random::<f64>();
    }
}

/// One child of two rows: simulated binary crossover of numbers (Deb and Agrawal, 1995), each with probability one half;
/// choices come from either parent.
pub(crate) fn cross(space: &SearchSpace, a: &[f64], b: &[f64], rng: &mut SeedRng) -> Vec<f64> {
    let columns = space.dimensions().iter().zip(a.iter().zip(b));
    columns
        .map(|(dimension, (&a, &b))| {
            let first = rng.random::<bool>();
            let (near, far) = if first { (a, b) } else { (b, a) };
            let mixes = rng.random::<bool>();
            let share = rng.random::<f64>();
            if near.is_nan() || far.is_nan() || matches!(dimension.kind, DimensionKind::Categorical { .. }) {
                return near;
            }
            if !mixes {
                return a;
            }
            let exponent = 1.0 / (CROSSOVER_INDEX + 1.0);
            let spread = if share < 0.5 {
                (2.0 * share).powf(exponent)
            } else {
                (1.0 / (2.0 * (1.0 - share))).powf(exponent)
            };
            reflect(0.5 * ((1.0 + spread) * near + (1.0 - spread) * far))
        })
        .collect()
}

/// Changes each column with probability `1 / d`, and at least one: polynomial mutation of numbers (Deb et al., 2002), at
/// least one level of a discrete one, another choice of a categorical one.
pub(crate) fn mutate(space: &SearchSpace, row: &mut [f64], rng: &mut SeedRng) {
    let active: Vec<usize> = (0..row.len()).filter(|column| !row[*column].is_nan()).collect();
    if active.is_empty() {
        return;
    }
    let certain = active[rng.random_range(0..active.len())];
    for &column in &active {
        let chosen = rng.random::<f64>() * (active.len() as f64) < 1.0;
        if column == certain || chosen {
            row[column] = mutated(space.dimensions()[column].kind, row[column], rng);
        }
    }
}

fn mutated(kind: DimensionKind, value: f64, rng: &mut SeedRng) -> f64 {
    let step = |rng: &mut SeedRng| {
        let share = rng.random::<f64>();
        let exponent = 1.0 / (MUTATION_INDEX + 1.0);
        // The bounded form: steps shrink toward the side on which there is little room.
        let edge = |room: f64| (1.0 - room).powf(MUTATION_INDEX + 1.0);
        if share < 0.5 {
            (2.0 * share + (1.0 - 2.0 * share) * edge(value)).powf(exponent) - 1.0
        } else {
            1.0 - (2.0 * (1.0 - share) + (2.0 * share - 1.0) * edge(1.0 - value)).powf(exponent)
        }
    };
    match kind {
        DimensionKind::Continuous => (value + step(rng)).clamp(0.0, 1.0),
        DimensionKind::Discrete { levels } => {
            let step = step(rng);
            reflect(value + step.abs().max(1.0 / levels as f64).copysign(step))
        }
        DimensionKind::Categorical { choices } if choices > 1 => {
            let choices = choices as usize;
            let here = ((value * choices as f64) as usize).min(choices - 1);
            let other = (here + 1 + rng.random_range(0..choices - 1)) % choices;
            (other as f64 + 0.5) / choices as f64
        }
        DimensionKind::Categorical { .. } => value,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use boxwood_core::{Change, Origin, Point, Provenance, Rung, Seed, TrialNumber, TrialStatus};
    use proptest::prelude::*;

    use super::*;

    fn trial(index: usize, losses: Vec<f64>, violation: f64) -> TrialView {
        let result = RungResult {
            rung: Rung(0),
            losses,
            violations: vec![violation],
            seconds: None,
            change: Change(1),
        };
        TrialView {
            number: TrialNumber(index as u32 + 1),
            point: Point::default(),
            encoded: vec![0.5],
            origin: Origin::Solver,
            provenance: Provenance::default(),
            status: TrialStatus::Completed,
            target: Rung(0),
            results: vec![result],
        }
    }

    /// Whether a is better by the definition of constrained domination.
    fn beats(a: &Member<'_>, b: &Member<'_>) -> bool {
        let (Some(x), Some(y)) = (a.result, b.result) else {
            return a.result.is_some() && b.result.is_none();
        };
        match (a.violation() > 0.0, b.violation() > 0.0) {
            (false, true) => true,
            (true, false) => false,
            (true, true) => a.violation() < b.violation(),
            (false, false) => {
                let pairs = || x.losses.iter().zip(&y.losses);
                pairs().all(|(x, y)| x <= y) && pairs().any(|(x, y)| x < y)
            }
        }
    }

    proptest! {
        #[test]
        fn fronts_and_crowding_are_those_of_a_brute_force(seed in 0_u64..1000, count in 1_usize..40, objectives in 2_usize..5) {
            let mut rng = Seed(seed).rng();
            let trials: Vec<TrialView> = (0..count)
                .map(|index| {
                    let losses = (0..objectives).map(|_| rng.random::<f64>()).collect();
                    let violation = if rng.random::<f64>() < 0.3 { rng.random::<f64>() } else { -1.0 };
                    trial(index, losses, violation)
                })
                .collect();
            let members: Vec<Member<'_>> = trials
                .iter()
                .map(|trial| Member { trial, result: (rng.random::<f64>() < 0.9).then(|| &trial.results[0]) })
                .collect();
            let found = fitness(&members).unwrap();
            let mut left: Vec<usize> = (0..count).filter(|index| members[*index].result.is_some()).collect();
            let mut rank = 0;
            while !left.is_empty() {
                let is_free = |index: &usize| !left.iter().any(|other| beats(&members[*other], &members[*index]));
                let front: Vec<usize> = left.iter().copied().filter(is_free).collect();
                for index in &front {
                    prop_assert_eq!(found[*index].rank, rank, "member {}", index);
                    if members[*index].violation() <= 0.0 {
                        let wanted = distance(&members, &front, *index);
                        let crowding = found[*index].crowding;
                        prop_assert!(crowding == wanted || (crowding - wanted).abs() < 1e-9, "{} {}", crowding, wanted);
                    }
                }
                left.retain(|index| !front.contains(index));
                rank += 1;
            }
            for index in (0..count).filter(|index| members[*index].result.is_none()) {
                prop_assert!(found[index].rank > rank, "failures come last");
            }
        }
    }

    /// Crowding by its definition: gaps to the next better and worse value of each objective; infinite without one.
    fn distance(members: &[Member<'_>], front: &[usize], index: usize) -> f64 {
        let losses = |index: usize| &members[index].result.unwrap().losses;
        let mut total = 0.0;
        for objective in 0..losses(index).len() {
            let values = || front.iter().map(|other| losses(*other)[objective]);
            let here = losses(index)[objective];
            let below = values().filter(|value| *value < here).reduce(f64::max);
            let above = values().filter(|value| *value > here).reduce(f64::min);
            let range = values().fold(f64::MIN, f64::max) - values().fold(f64::MAX, f64::min);
            total += match (below, above) {
                (Some(below), Some(above)) => (above - below) / range,
                _ => f64::INFINITY,
            };
        }
        total
    }
}
