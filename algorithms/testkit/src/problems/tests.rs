#![allow(clippy::unwrap_used)]

use boxwood_core::{Point, Resource, Seed, Value};

use super::*;

fn point(values: &[f64]) -> Point {
    Point(values.iter().enumerate().map(|(i, x)| (format!("x{}", i + 1), Value::Float(*x))).collect())
}

fn measured(problem: &dyn TestProblem, point: &Point) -> f64 {
    match problem.evaluate(point, Resource(1_000_000), Seed(1)) {
        Outcome::Measured(metrics) => metrics.get("value").unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn functions_take_their_known_minima() {
    let cases: [(&dyn TestProblem, Vec<f64>, f64); 5] = [
        (&Branin, vec![std::f64::consts::PI, 2.275], 1e-9),
        (&Hartmann6, vec![0.20169, 0.150_011, 0.476_874, 0.275_332, 0.311_652, 0.6573], 1e-6),
        (&Ackley { dimensions: 4 }, vec![Ackley::SHIFT; 4], 1e-9),
        (&Rosenbrock { dimensions: 3 }, vec![1.0; 3], 1e-12),
        (&StyblinskiTang { dimensions: 3 }, vec![-2.903_534_027_771_178; 3], 1e-6),
    ];
    for (problem, at, tolerance) in cases {
        let found = measured(problem, &point(&at));
        assert!((found - problem.optimum()).abs() < tolerance, "{}: {found}", problem.name());
    }
}

#[test]
fn declarations_are_valid() {
    let problems: [&dyn TestProblem; 8] = [
        &Branin,
        &Mixed,
        &Conditional,
        &Simionescu,
        &Finite,
        &NoisyHartmann6::default(),
        &CountingOnes::default(),
        &CashArms { max_resource: 9, ..CashArms::default() },
    ];
    for problem in problems {
        problem.spec().check().unwrap_or_else(|error| panic!("{}: {error}", problem.name()));
    }
}

/// The area that nondominated points of a square grid dominate, sorted by their first loss.
fn area(mut points: Vec<[f64; 2]>, reference: &[f64]) -> f64 {
    points.retain(|point| point[0] < reference[0] && point[1] < reference[1]);
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let (mut total, mut height) = (0.0, reference[1]);
    for point in points {
        if point[1] < height {
            total += (reference[0] - point[0]) * (height - point[1]);
            height = point[1];
        }
    }
    total
}

#[test]
fn no_grid_dominates_more_than_a_known_front_and_a_dense_one_almost_as_much() {
    const SIDE: usize = 1200;
    let problems = [
        multi::zdt1(2),
        multi::zdt2(2),
        multi::zdt3(2),
        multi::branin_currin(),
        multi::bnh(),
        multi::srn(),
        multi::constr(),
        multi::dtlz2(2, 2),
    ];
    for problem in problems {
        let (reference, largest) = problem.front().unwrap();
        let bounds = problem.bounds();
        let at = |k: usize, step: usize| {
            bounds[k].0 + (bounds[k].1 - bounds[k].0) * step as f64 / (SIDE - 1) as f64
        };
        let cells = (0..SIDE * SIDE).map(|cell| problem.at(&[at(0, cell / SIDE), at(1, cell % SIDE)]));
        let feasible = cells.filter(|values| values[2..].iter().all(|violation| *violation <= 0.0));
        let found = area(feasible.map(|values| [values[0], values[1]]).collect(), reference);
        let name = problem.name();
        assert!(found <= largest * (1.0 + 1e-6), "{name}: a grid has {found}, the front {largest}");
        assert!(found >= largest * 0.995, "{name}: a grid has {found}, the front {largest}");
    }
}

#[test]
fn the_corners_have_the_volume_of_a_dense_triangle() {
    let problem = multi::corners();
    let (reference, largest) = problem.front().unwrap();
    let volume = |side: usize| {
        let corners = [[0.2, 0.2], [0.8, 0.25], [0.45, 0.85]];
        let mut points = Vec::new();
        for i in 0..=side {
            for j in 0..=side - i {
                let (a, b) = (i as f64 / side as f64, j as f64 / side as f64);
                let mix = |k: usize| a * corners[0][k] + b * corners[1][k] + (1.0 - a - b) * corners[2][k];
                points.push(problem.at(&[mix(0), mix(1)]));
            }
        }
        crate::hypervolume(&points, reference)
    };
    // What a grid lacks shrinks with its distance.
    let (coarse, fine) = (volume(20), volume(40));
    assert!(coarse < fine && fine < largest, "{coarse} {fine} {largest}");
    let limit = 2.0 * fine - coarse;
    assert!((limit - largest).abs() < 2e-3, "{limit} against {largest}");
}
