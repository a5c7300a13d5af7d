//! Suites of problems given by formulas.

use std::sync::Arc;

use boxwood_core::Seed;
use boxwood_testkit::problems::{
    Bbob, CashArms, Conditional, Conditional4, CountingOnes16, DrawnArms, FidelityBranin, FidelityCurrin,
    FidelityHartmann3, FloatProblem, Mixed, Mixed8, Noisy, NoisyHartmann6, SaturatingCurves, Shifted, Uneven,
    constrained as held, multi as many, single as one,
};

use super::{Measure, Suite, Task};

/// A task measured by hypervolume.
fn front(problem: FloatProblem, trials: u64) -> Task {
    let (reference, largest) = problem.front().expect("these problems have several objectives");
    let measure = Measure::Hypervolume { reference: reference.to_vec(), largest };
    Task { measure, ..Task::trials(problem, trials) }
}

/// Seconds: one small problem of each kind.
pub(super) fn smoke() -> Suite {
    Suite::of(vec![
        Task::trials(one::branin(), 15),
        Task::trials(Mixed8, 15),
        Task::trials(held::townsend(), 15),
        front(many::zdt1(6), 12),
        Task::full_runs(FidelityHartmann3, 3.0, 1),
    ])
}

/// The problems and budgets that other libraries were measured on.
pub(super) fn public() -> Suite {
    Suite::of(vec![
        Task::trials(one::branin(), 50),
        Task::trials(one::hartmann6(), 100),
        Task::trials(one::ackley(5), 100),
        Task::trials(Mixed8, 100),
        Task::trials(Conditional4, 150),
        front(many::branin_currin(), 100),
        front(many::zdt1(6), 100),
        Task::trials(held::townsend(), 80),
        Task::trials(held::branin_disc(), 80),
        Task::full_runs(FidelityHartmann3, 25.0, 1),
        Task::full_runs(CountingOnes16, 25.0, 1),
    ])
}

pub(super) fn single() -> Suite {
    let mut tasks = vec![
        Task::trials(one::branin(), 50),
        Task::trials(one::hartmann3(), 60),
        Task::trials(one::hartmann6(), 100),
        Task::trials(one::ackley(2), 50),
        Task::trials(one::ackley(5), 100),
        Task::trials(one::ackley(16), 150),
        Task::trials(one::levy(4), 80),
        Task::trials(one::rosenbrock(4), 80),
        Task::trials(one::styblinski_tang(4), 80),
        Task::trials(Mixed8, 100),
        Task::trials(Mixed, 80),
        Task::trials(Conditional4, 150),
        Task::trials(Conditional, 80),
    ];
    // One function of each of the benchmark's five groups, and Katsuura's.
    tasks.extend([3, 8, 13, 15, 21, 23].map(|function| Task::trials(Bbob::new(function, 1, 5), 100)));
    Suite::of(tasks)
}

/// All functions in five dimensions; instance 1.
pub(super) fn bbob() -> Suite {
    Suite::of((1..=24).map(|function| Task::trials(Bbob::new(function, 1, 5), 100)).collect())
}

pub(super) fn constrained() -> Suite {
    Suite::of(vec![
        Task::trials(held::townsend(), 80),
        Task::trials(held::branin_disc(), 80),
        Task::trials(held::mishra(), 80),
        Task::trials(held::simionescu(), 80),
        Task::trials(held::ackley4c(), 100),
        Task::trials(held::keane10(), 150),
    ])
}

pub(super) fn multi() -> Suite {
    Suite::of(vec![
        front(many::branin_currin(), 100),
        front(many::zdt1(6), 100),
        front(many::zdt2(6), 100),
        front(many::zdt3(6), 100),
        front(many::corners(), 60),
        front(many::dtlz1(3, 7), 100),
        front(many::dtlz2(2, 6), 100),
        front(many::dtlz2(3, 6), 100),
        front(many::dtlz2(5, 8), 60),
        front(many::bnh(), 60),
        front(many::srn(), 60),
        front(many::constr(), 60),
    ])
}

/// Deviations of about a tenth of the range that matters and of all of it.
pub(super) fn noisy() -> Suite {
    let noisy = |make: fn() -> FloatProblem, deviation, trials| Task {
        truth: Some(Arc::new(make())),
        ..Task::trials(Noisy { problem: make(), deviation }, trials)
    };
    Suite::of(vec![
        noisy(one::branin, 1.0, 80),
        noisy(one::branin, 10.0, 80),
        noisy(one::hartmann6, 0.1, 100),
        noisy(one::hartmann6, 0.5, 100),
        noisy(|| one::ackley(5), 1.0, 100),
    ])
}

pub(super) fn highdim() -> Suite {
    Suite::of(vec![
        Task::trials(one::ackley(20), 200),
        Task::trials(one::hartmann6_among(50), 200),
        Task::trials(one::hartmann6_among(200), 200),
        Task::trials(one::rosenbrock(50), 200),
        Task::trials(one::levy(100), 200),
        Task::trials(one::styblinski_tang(200), 200),
        Task::trials(Bbob::new(10, 1, 20), 200),
    ])
}

/// Trials that last between one and eight seconds, on up to 256 workers.
pub(super) fn parallel() -> Suite {
    let on = |problem: FloatProblem, trials, workers| Task {
        workers,
        ..Task::trials(Uneven { problem, spread: 8.0 }, trials)
    };
    Suite::of(vec![
        on(one::branin(), 60, 4),
        on(one::hartmann6(), 128, 16),
        on(one::ackley(5), 256, 64),
        on(one::hartmann3(), 512, 256),
    ])
}

pub(super) fn multifidelity() -> Suite {
    Suite::of(vec![
        Task::full_runs(FidelityHartmann3, 25.0, 1),
        Task::full_runs(CountingOnes16, 25.0, 1),
        Task::full_runs(FidelityBranin, 25.0, 1),
        Task::full_runs(FidelityCurrin, 25.0, 1),
        Task::full_runs(SaturatingCurves, 20.0, 4),
        Task::full_runs(NoisyHartmann6::default(), 40.0, 8),
        Task::full_runs(Shifted(held::branin_disc()), 25.0, 1),
        Task::full_runs(Shifted(held::ackley4c()), 25.0, 4),
    ])
}

/// Concave arms of different height, width and lag. The drawn ones are harder, as their curves cross; the last task is like
/// a comparison of models on a pool: rungs, few trials per arm, and noise as large as the gap between good arms.
pub(super) fn cash() -> Suite {
    let sixteen = (0..16).map(|i| {
        let i = f64::from(i);
        // Heights fall from 0.9; wide arms are hard to tune, slow ones look bad early.
        [0.9 - 0.012 * i, 0.1 + 0.05 * (i % 4.0), 0.02 + 0.03 * (i % 3.0)]
    });
    let graded = Task::full_runs(CashArms { max_resource: 27, ..CashArms::default() }, 40.0, 4);
    let noisy = DrawnArms::new(7, 9, Seed(2));
    let few = Task::trials(Noisy { problem: noisy.clone(), deviation: 0.015 }, 170);
    Suite::of(vec![
        Task::trials(CashArms::default(), 80),
        Task::trials(CashArms { arms: sixteen.collect(), max_resource: 1, broken: Some(5) }, 200),
        Task { label: Some("cash4_epochs".into()), ..graded },
        Task::trials(DrawnArms::new(8, 1, Seed(1)), 120),
        Task {
            label: Some("drawn7_noisy_epochs".into()),
            workers: 4,
            truth: Some(Arc::new(noisy.clone())),
            ..few
        },
    ])
}
