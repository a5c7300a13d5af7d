//! The problems of the benchmark suites take their stated optima, and agree with stored values.
#![allow(clippy::unwrap_used)]

use std::f64::consts::PI;

use boxwood_core::{Point, Resource, Seed, Value};

use super::{
    Bbob, Conditional4, CountingOnes16, FidelityBranin, FidelityCurrin, FidelityHartmann3, FloatProblem,
    Mixed8, Noisy, Outcome, SaturatingCurves, TestProblem, Uneven, constrained, multi, single,
};
use crate::hypervolume::hypervolume;

fn point(values: &[(&str, Value)]) -> Point {
    Point(values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn measured(problem: &dyn TestProblem, point: &Point, resource: u64) -> f64 {
    match problem.evaluate(point, Resource(resource), Seed(3)) {
        Outcome::Measured(metrics) => metrics.get("value").unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn formulas_take_their_minima() {
    let cases: [(FloatProblem, Vec<f64>, f64); 8] = [
        (single::branin(), vec![PI, 2.275], 1e-9),
        (single::hartmann3(), vec![0.114_614, 0.555_649, 0.852_547], 1e-6),
        (single::hartmann6(), vec![0.201_69, 0.150_011, 0.476_874, 0.275_332, 0.311_652, 0.6573], 1e-6),
        (single::ackley(5), vec![5.3, -11.2, 8.7, -3.9, 14.1], 1e-9),
        (single::ackley(7), vec![5.3, -11.2, 8.7, -3.9, 14.1, 5.3, -11.2], 1e-9),
        (single::levy(4), vec![1.0; 4], 1e-12),
        (single::rosenbrock(4), vec![1.0; 4], 1e-12),
        (single::styblinski_tang(3), vec![-2.903_534_027_771_178; 3], 1e-6),
    ];
    for (problem, at, tolerance) in cases {
        let found = problem.at(&at)[0];
        assert!((found - problem.optimum()).abs() < tolerance, "{}: {found}", problem.name());
    }
}

#[test]
fn constrained_problems_take_their_minima_at_feasible_points() {
    let root = 0.5_f64.sqrt();
    let cases: [(FloatProblem, Vec<f64>, f64); 5] = [
        (constrained::townsend(), vec![2.005_294_7, 1.194_450_1], 1e-3),
        (constrained::branin_disc(), vec![PI, 2.275], 1e-9),
        (constrained::mishra(), vec![-3.130_246_8, -1.582_142_2], 1e-4),
        (constrained::simionescu(), vec![1.2 * root, -1.2 * root], 1e-3),
        (constrained::ackley4c(), vec![0.0; 4], 1e-12),
    ];
    for (problem, at, tolerance) in cases {
        let values = problem.at(&at);
        assert!((values[0] - problem.optimum()).abs() < tolerance, "{}: {values:?}", problem.name());
        assert!(values[1..].iter().all(|c| *c <= 1e-3), "{}: {values:?}", problem.name());
    }
    let keane = constrained::keane10();
    let known = [3.123_873_8, 3.069_154_7, 3.014_246_9, 2.957_690_8, 1.465_877_3, 0.368_114_5, 0.363_424_6];
    let known: Vec<f64> = known.into_iter().chain([0.359_058_3, 0.354_943_7, 0.351_037_0]).collect();
    let values = keane.at(&known);
    assert!((values[0] - keane.optimum()).abs() < 5e-3 && values[1] < 5e-3 && values[2] < 0.0, "{values:?}");
}

#[test]
fn mixed_and_conditional_problems_take_their_minima() {
    let best = point(&[
        ("x1", Value::Float(0.7)),
        ("x2", Value::Float(0.5 * (1.0 + 0.7_f64.tanh()))),
        ("lr", Value::Float(1e-3)),
        ("n", Value::Integer(6)),
        ("k", Value::Integer(32)),
        ("c1", "a".into()),
        ("c2", "relu".into()),
        ("c3", "on".into()),
    ]);
    assert!(measured(&Mixed8, &best, 1).abs() < 1e-12);
    let floor = |values: &[(&str, Value)]| measured(&Conditional4, &point(values), 1);
    let x = Value::Float;
    assert!((floor(&[("algo", "A".into()), ("a_x", x(PI)), ("a_y", x(2.275))]) - 0.239_788_7).abs() < 1e-6);
    let arm_b = [("algo", "B".into()), ("b_0", x(0.114_614)), ("b_1", x(0.555_649)), ("b_2", x(0.852_547))];
    assert!(floor(&arm_b).abs() < 1e-6);
    let arm_c = [("algo", "C".into()), ("c_lr", x(1e-3)), ("c_n", Value::Integer(20)), ("c_k", "q".into())];
    assert!((floor(&arm_c) - 0.3).abs() < 1e-12);
    let ones = ["d_0", "d_1", "d_2", "d_3"].map(|name| (name, x(1.0)));
    let arm_d: Vec<_> = [("algo", "D".into())].into_iter().chain(ones).collect();
    assert!((floor(&arm_d) - 0.1).abs() < 1e-12);
}

#[test]
fn fronts_have_their_stated_volumes_and_no_point_beats_them() {
    let zdt1 = multi::zdt1(6);
    let (reference, largest) = zdt1.front().unwrap();
    let front: Vec<Vec<f64>> =
        (0..=400).map(|i| zdt1.at(&[f64::from(i) / 400.0, 0.0, 0.0, 0.0, 0.0, 0.0])).collect();
    let reached = hypervolume(&front, reference);
    assert!(reached < largest && reached > largest - 0.01, "{reached} {largest}");
    for problem in [
        multi::zdt1(6),
        multi::zdt2(6),
        multi::zdt3(6),
        multi::dtlz1(3, 7),
        multi::dtlz2(2, 6),
        multi::dtlz2(3, 6),
        multi::dtlz2(5, 8),
        multi::branin_currin(),
        multi::bnh(),
        multi::srn(),
        multi::constr(),
        multi::corners(),
    ] {
        let (reference, largest) = problem.front().unwrap();
        let rows = problem.spec().check().unwrap().space().sobol(1, 0, 60);
        let values: Vec<Vec<f64>> = rows
            .iter()
            .map(|row| {
                let x: Vec<f64> =
                    row.iter().zip(problem.bounds()).map(|(u, (l, h))| l + u * (h - l)).collect();
                problem.at(&x)
            })
            .filter(|values| values[reference.len()..].iter().all(|c| *c <= 0.0))
            .map(|values| values[..reference.len()].to_vec())
            .collect();
        let reached = hypervolume(&values, reference);
        assert!(reached > 0.0 && reached < largest * (1.0 + 1e-6), "{}: {reached} {largest}", problem.name());
    }
}

#[test]
fn fidelities_are_exact_at_the_top_and_wrong_below() {
    let at = |values: &[f64]| {
        Point(values.iter().enumerate().map(|(i, x)| (format!("x{}", i + 1), Value::Float(*x))).collect())
    };
    let best = at(&[0.114_614, 0.555_649, 0.852_547]);
    assert!((measured(&FidelityHartmann3, &best, 100) - FidelityHartmann3.optimum()).abs() < 1e-6);
    assert!(measured(&FidelityHartmann3, &best, 1) > FidelityHartmann3.optimum() + 0.5);
    let branin = point(&[("x0", Value::Float(PI)), ("x1", Value::Float(2.275))]);
    assert!((measured(&FidelityBranin, &branin, 27) - FidelityBranin.optimum()).abs() < 1e-6);
    assert!(measured(&FidelityBranin, &branin, 1) > FidelityBranin.optimum() + 0.1);
    let currin = at(&[0.216_667, 0.022_857]);
    assert!((measured(&FidelityCurrin, &currin, 27) - FidelityCurrin.optimum()).abs() < 1e-3);
    let curve = at(&[0.3, 0.7, 0.45, 0.4]);
    let losses: Vec<f64> = [1, 3, 9, 27, 81].map(|r| measured(&SaturatingCurves, &curve, r)).into();
    assert!(losses.windows(2).all(|pair| pair[0] > pair[1]) && losses[4] > SaturatingCurves.optimum());
    let bits = (0..8).map(|i| (format!("b{i}"), Value::from("1")));
    let shares = (0..8).map(|i| (format!("p{i}"), Value::Float(1.0)));
    let ones = Point(bits.chain(shares).collect());
    assert_eq!([9, 729].map(|tosses| measured(&CountingOnes16, &ones, tosses)), [-16.0, -16.0]);
}

#[test]
fn noise_and_durations_are_repeatable() {
    let noisy = Noisy { problem: single::branin(), deviation: 1.0 };
    let uneven = Uneven { problem: single::branin(), spread: 8.0 };
    let at = |x: f64| point(&[("x0", Value::Float(x)), ("x1", Value::Float(2.0))]);
    assert_eq!(measured(&noisy, &at(1.0), 1), measured(&noisy, &at(1.0), 1));
    assert_ne!(measured(&noisy, &at(1.0), 1), measured(&single::branin(), &at(1.0), 1));
    let seconds: Vec<f64> = (0..50).map(|i| uneven.seconds(&at(f64::from(i)), Resource(1))).collect();
    assert!(seconds.iter().all(|s| (1.0..=8.0).contains(s)) && seconds.iter().any(|s| *s > 4.0));
    assert_eq!(seconds[7], uneven.seconds(&at(7.0), Resource(1)));
}

#[test]
fn declarations_are_valid() {
    let problems: [Box<dyn TestProblem>; 7] = [
        Box::new(Mixed8),
        Box::new(Conditional4),
        Box::new(FidelityHartmann3),
        Box::new(CountingOnes16),
        Box::new(FidelityBranin),
        Box::new(FidelityCurrin),
        Box::new(SaturatingCurves),
    ];
    for problem in problems {
        problem.spec().check().unwrap_or_else(|error| panic!("{}: {error}", problem.name()));
    }
}

/// The golden values are the reference implementation's; these few stand for the file where it is absent.
#[test]
fn bbob_functions_agree_with_stored_values() {
    let cases = [
        (1, [-2.676_999, 3.281_057], 107.758_296_932_85),
        (4, [-4.618_636, 4.625_808], -332.138_822_164_899_47),
        (7, [-0.290_655, 1.630_652], 112.539_084_409_890_65),
        (12, [3.523_627, -2.668_575], 5_985_769_059.905_331),
        (16, [-4.228_64, 1.940_196], 217.973_988_295_023_7),
        (20, [-0.789_581, -2.661_456], 52_431.555_676_392_83),
        (22, [1.786_424, -4.582_109], -940.832_264_343_575_5),
        (24, [-1.641_069, -1.334_503], 120.048_234_826_383_32),
    ];
    for (function, x, expected) in cases {
        let found = Bbob::new(function, 1, 2).at(&x);
        assert!(
            (found - expected).abs() <= 1e-9 * expected.abs().max(1.0),
            "f{function}: {found} {expected}"
        );
    }
}
