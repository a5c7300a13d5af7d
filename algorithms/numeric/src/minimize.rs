//! Smooth minimization by L-BFGS with More-Thuente line search, from `argmin`.

use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use nalgebra::DVector;
use std::cell::RefCell;

/// Limits of one minimization.
///
/// | name | default | meaning |
/// |---|---|---|
/// | `iterations` | 50 | L-BFGS steps |
/// | `evaluations` | 100 | calls of the function, line searches included |
/// | `gradient_tolerance` | 1e-6 | stop when the norm of the gradient falls below this part of its first value |
/// | `value_tolerance` | 1e-9 | stop when a step changes the value by less than this |
/// | `first_step` | 0.5 | length of the first step in the units of the parameters |
/// | `memory` | 8 | stored curvature pairs |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinimizeOptions {
    /// Most L-BFGS steps.
    pub iterations: u64,
    /// Most calls of the function.
    pub evaluations: usize,
    /// Relative tolerance on the norm of the gradient.
    pub gradient_tolerance: f64,
    /// Absolute tolerance on the change of the value in one step.
    pub value_tolerance: f64,
    /// Length of the first trial step.
    pub first_step: f64,
    /// Stored curvature pairs.
    pub memory: usize,
}

impl Default for MinimizeOptions {
    fn default() -> Self {
        Self {
            iterations: 50,
            evaluations: 100,
            gradient_tolerance: 1e-6,
            value_tolerance: 1e-9,
            first_step: 0.5,
            memory: 8,
        }
    }
}

/// The best point that a minimization met.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    /// Where the value was found.
    pub point: Vec<f64>,
    /// The value; positive infinity when the function was finite nowhere.
    pub value: f64,
    /// Calls of the function.
    pub evaluations: usize,
}

/// Minimizes a function that returns its value and gradient.
///
/// With `bounds`, each coordinate is written `center + half * sin(u)` and the search runs over `u`; starts on a
/// bound are moved a little inside, because the transform is flat there. The answer is the best point SEEN, the
/// start included, so it is never worse than the start and never NaN: a value, gradient or point that is not
/// finite ends the search. The function is called at most `options.evaluations` times.
pub fn minimize<F>(
    function: F,
    start: &[f64],
    bounds: Option<&[(f64, f64)]>,
    options: &MinimizeOptions,
) -> Minimum
where
    F: FnMut(&[f64]) -> (f64, Vec<f64>),
{
    let bounds = bounds.filter(|bounds| bounds.len() == start.len());
    let watched = RefCell::new(Watched {
        function,
        bounds,
        best: Minimum { point: start.to_vec(), value: f64::INFINITY, evaluations: 0 },
        latest: None,
        limit: options.evaluations.max(1),
        scale: 1.0,
    });
    let mut position = DVector::from_iterator(
        start.len(),
        start.iter().enumerate().map(|(k, &x)| bounds.map_or(x, |bounds| to_free(x, bounds[k]))),
    );
    // The start itself counts, also where the transform had to move it inside.
    if bounds.is_some() {
        let mut watched = watched.borrow_mut();
        watched.see(start);
    }
    // A second round from the best point rescues a line search that broke down early.
    for _ in 0..2 {
        let before = watched.borrow().best.value;
        if start.is_empty() || !run_once(&watched, &position, options) {
            break;
        }
        let watched = watched.borrow();
        if watched.best.evaluations >= watched.limit || before - watched.best.value <= options.value_tolerance
        {
            break;
        }
        position = DVector::from_iterator(
            start.len(),
            watched
                .best
                .point
                .iter()
                .enumerate()
                .map(|(k, &x)| bounds.map_or(x, |bounds| to_free(x, bounds[k]))),
        );
    }
    let mut watched = watched.into_inner();
    if watched.best.evaluations == 0 {
        watched.see(start);
    }
    watched.best
}

/// One run of L-BFGS from `position`; says whether a further run could help.
fn run_once<F>(watched: &RefCell<Watched<'_, F>>, position: &DVector<f64>, options: &MinimizeOptions) -> bool
where
    F: FnMut(&[f64]) -> (f64, Vec<f64>),
{
    watched.borrow_mut().scale = 1.0;
    watched.borrow_mut().latest = None;
    let Ok((_, gradient)) = watched.borrow_mut().evaluate(position) else {
        return false;
    };
    let norm = gradient.norm();
    if norm < 1e-14 {
        return false;
    }
    // L-BFGS begins with the negative gradient as its step: scaling the function sets that step's length.
    let scale = options.first_step / norm;
    watched.borrow_mut().scale = scale;
    watched.borrow_mut().latest = None;
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), options.memory.max(1))
        .with_tolerance_grad(options.gradient_tolerance * options.first_step)
        .and_then(|solver| solver.with_tolerance_cost(options.value_tolerance * scale));
    let Ok(solver) = solver else {
        return false;
    };
    let outcome = Executor::new(Problem { watched }, solver)
        .configure(|state| state.param(position.clone()).max_iters(options.iterations))
        .timer(false)
        .run();
    match outcome {
        // Convergence and the iteration limit are answers; a broken line search deserves one more round.
        Ok(result) => matches!(
            result.state.termination_status,
            argmin::core::TerminationStatus::Terminated(argmin::core::TerminationReason::SolverExit(_))
        ),
        Err(_) => true,
    }
}

/// The function with its bounds, the best point seen and the latest evaluation, shared by value and gradient calls.
struct Watched<'a, F> {
    function: F,
    bounds: Option<&'a [(f64, f64)]>,
    best: Minimum,
    latest: Option<(DVector<f64>, f64, DVector<f64>)>,
    limit: usize,
    scale: f64,
}

impl<F> Watched<'_, F>
where
    F: FnMut(&[f64]) -> (f64, Vec<f64>),
{
    /// Evaluates at a point in the caller's coordinates and remembers the best.
    fn see(&mut self, point: &[f64]) -> (f64, Vec<f64>) {
        self.best.evaluations += 1;
        let (value, gradient) = (self.function)(point);
        if value.is_finite() && value < self.best.value {
            self.best.value = value;
            self.best.point = point.to_vec();
        }
        (value, gradient)
    }

    fn evaluate(&mut self, free: &DVector<f64>) -> Result<(f64, DVector<f64>), Error> {
        if let Some((at, value, gradient)) = &self.latest
            && at == free
        {
            return Ok((*value, gradient.clone()));
        }
        if self.best.evaluations >= self.limit || free.iter().any(|value| !value.is_finite()) {
            return Err(Error::msg("no further evaluation"));
        }
        let point: Vec<f64> = match self.bounds {
            None => free.iter().copied().collect(),
            Some(bounds) => free.iter().zip(bounds).map(|(&u, &bound)| from_free(u, bound)).collect(),
        };
        let (value, slope) = self.see(&point);
        if !value.is_finite() || slope.len() != free.len() || slope.iter().any(|part| !part.is_finite()) {
            return Err(Error::msg("value or gradient is not finite"));
        }
        let mut gradient = DVector::from_vec(slope);
        if let Some(bounds) = self.bounds {
            for (k, part) in gradient.iter_mut().enumerate() {
                *part *= 0.5 * (bounds[k].1 - bounds[k].0) * free[k].cos();
            }
        }
        gradient *= self.scale;
        let value = value * self.scale;
        self.latest = Some((free.clone(), value, gradient.clone()));
        Ok((value, gradient))
    }
}

/// From the box to the free coordinate of the sine transform, away from its flat ends.
fn to_free(x: f64, (low, high): (f64, f64)) -> f64 {
    let half = 0.5 * (high - low);
    if half <= 0.0 {
        return 0.0;
    }
    ((x - low - half) / half).clamp(-0.999, 0.999).asin()
}

fn from_free(u: f64, (low, high): (f64, f64)) -> f64 {
    let half = 0.5 * (high - low);
    (low + half + half * u.sin()).clamp(low.min(high), high.max(low))
}

/// The view of the watched function that `argmin` needs.
struct Problem<'a, 'b, F> {
    watched: &'a RefCell<Watched<'b, F>>,
}

impl<F> CostFunction for Problem<'_, '_, F>
where
    F: FnMut(&[f64]) -> (f64, Vec<f64>),
{
    type Param = DVector<f64>;
    type Output = f64;

    fn cost(&self, param: &Self::Param) -> Result<f64, Error> {
        self.watched.borrow_mut().evaluate(param).map(|(value, _)| value)
    }
}

impl<F> Gradient for Problem<'_, '_, F>
where
    F: FnMut(&[f64]) -> (f64, Vec<f64>),
{
    type Param = DVector<f64>;
    type Gradient = DVector<f64>;

    fn gradient(&self, param: &Self::Param) -> Result<DVector<f64>, Error> {
        self.watched.borrow_mut().evaluate(param).map(|(_, gradient)| gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
    }

    #[test]
    fn rosenbrock_is_solved_with_and_without_bounds() {
        let options = MinimizeOptions { iterations: 200, evaluations: 500, ..MinimizeOptions::default() };
        let free = minimize(rosenbrock, &[-1.2, 1.0], None, &options);
        assert!(free.value < 1e-8, "{free:?}");
        let boxed = minimize(rosenbrock, &[-1.2, 1.0], Some(&[(-2.0, 2.0), (-2.0, 2.0)]), &options);
        assert!(boxed.value < 1e-8, "{boxed:?}");
    }

    #[test]
    fn a_minimum_on_the_bound_is_reached_from_the_bound() {
        let slope = |x: &[f64]| (x[0] + 2.0 * x[1], vec![1.0, 2.0]);
        let options = MinimizeOptions::default();
        let found = minimize(slope, &[1.0, 1.0], Some(&[(0.0, 1.0), (0.0, 1.0)]), &options);
        assert!(found.value < 1e-6, "{found:?}");
        assert!(found.point.iter().all(|x| (0.0..=1.0).contains(x)));
    }

    #[test]
    fn bad_functions_never_give_nan_or_a_worse_point() {
        let options = MinimizeOptions::default();
        let nowhere = minimize(|_| (f64::NAN, vec![f64::NAN]), &[0.3], None, &options);
        assert_eq!((nowhere.point, nowhere.value), (vec![0.3], f64::INFINITY));
        let cliff = |x: &[f64]| if x[0] > 1.0 { (f64::NAN, vec![0.0]) } else { (-x[0], vec![-1.0]) };
        let found = minimize(cliff, &[0.0], None, &options);
        assert!(found.value <= 0.0 && found.point[0] <= 1.0);
        let wrong_slope = |x: &[f64]| (x[0] * x[0], vec![-2.0 * x[0]]);
        assert!(minimize(wrong_slope, &[1.0], None, &options).value <= 1.0);
        let unbounded = |x: &[f64]| (-x[0], vec![-1.0]);
        let far = minimize(unbounded, &[0.0], None, &options);
        assert!(far.value.is_finite() && far.evaluations <= options.evaluations);
        assert_eq!(minimize(|_| (1.0, vec![]), &[], None, &options).value, 1.0);
    }
}
