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
