//! Several objectives, all minimized, with the hypervolume of the true front.

use std::f64::consts::{E, PI};

use super::{Branin, FloatProblem};

/// Steps of the numeric integrals over a known front.
const STEPS: usize = 100_000;

fn zdt_g(x: &[f64]) -> f64 {
    1.0 + 9.0 * x[1..].iter().sum::<f64>() / (x.len() - 1) as f64
}

/// Hypervolume of a front of two objectives given as a curve over `[0, 1]`.
fn curve(reference: [f64; 2], at: impl Fn(f64) -> [f64; 2]) -> f64 {
    let points: Vec<Vec<f64>> = (0..=STEPS).map(|i| at(i as f64 / STEPS as f64).to_vec()).collect();
    // A sorted sweep of many points; each lies on the front or is covered by one that does.
    let mut inside: Vec<Vec<f64>> =
        points.into_iter().filter(|p| p[0] < reference[0] && p[1] < reference[1]).collect();
    inside.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let mut height = reference[1];
    inside.retain(|point| {
        let better = point[1] < height;
        if better {
            height = point[1];
        }
        better
    });
    let mut total = 0.0;
    let mut height = reference[1];
    for point in &inside {
        total += (reference[0] - point[0]) * (height - point[1]);
        height = point[1];
    }
    total
}

/// The first problem of Zitzler, Deb and Thiele (2000): a convex front.
pub fn zdt1(dimensions: usize) -> FloatProblem {
    let front = (vec![11.0, 11.0], 121.0 - 1.0 / 3.0);
    FloatProblem::several(format!("zdt1_{dimensions}"), vec![(0.0, 1.0); dimensions], 0, front, |x| {
        let g = zdt_g(x);
        vec![x[0], g * (1.0 - (x[0] / g).sqrt())]
    })
}

/// The second one: a concave front.
pub fn zdt2(dimensions: usize) -> FloatProblem {
    let front = (vec![11.0, 11.0], 121.0 - 2.0 / 3.0);
    FloatProblem::several(format!("zdt2_{dimensions}"), vec![(0.0, 1.0); dimensions], 0, front, |x| {
        let g = zdt_g(x);
        vec![x[0], g * (1.0 - (x[0] / g).powi(2))]
    })
}

/// The third one: a front of five pieces.
pub fn zdt3(dimensions: usize) -> FloatProblem {
    let shape = |x: f64, g: f64| g * (1.0 - (x / g).sqrt() - x / g * (10.0 * PI * x).sin());
    let front = (vec![11.0, 11.0], curve([11.0, 11.0], |t| [t, shape(t, 1.0)]));
    FloatProblem::several(format!("zdt3_{dimensions}"), vec![(0.0, 1.0); dimensions], 0, front, move |x| {
        vec![x[0], shape(x[0], zdt_g(x))]
    })
}

/// Volume of the unit ball in `m` dimensions.
fn ball(m: usize) -> f64 {
    match m {
        0 => 1.0,
        1 => 2.0,
        m => 2.0 * PI / m as f64 * ball(m - 2),
    }
}

/// The first problem of Deb, Thiele, Laumanns and Zitzler (2005): a flat front `sum f = 1/2` behind many local ones.
pub fn dtlz1(objectives: usize, dimensions: usize) -> FloatProblem {
    let factorial: f64 = (1..=objectives).map(|i| i as f64).product();
    let below = 0.5_f64.powi(objectives as i32) / factorial;
    let front = (vec![400.0; objectives], 400_f64.powi(objectives as i32) - below);
    let name = format!("dtlz1_{objectives}_{dimensions}");
    FloatProblem::several(name, vec![(0.0, 1.0); dimensions], 0, front, move |x| {
        let (head, tail) = x.split_at(objectives - 1);
        let ripple: f64 = tail.iter().map(|x| (x - 0.5).powi(2) - (20.0 * PI * (x - 0.5)).cos()).sum();
        let g = 100.0 * (tail.len() as f64 + ripple);
        let value = |i: usize| {
            let product: f64 = head[..objectives - 1 - i].iter().product();
            let last = if i == 0 { 1.0 } else { 1.0 - head[objectives - 1 - i] };
            0.5 * (1.0 + g) * product * last
        };
        (0..objectives).map(value).collect()
    })
}

/// The second one: an eighth of a sphere, in any number of objectives.
pub fn dtlz2(objectives: usize, dimensions: usize) -> FloatProblem {
    let octant = ball(objectives) / 2_f64.powi(objectives as i32);
    let front = (vec![2.5; objectives], 2.5_f64.powi(objectives as i32) - octant);
    let name = format!("dtlz2_{objectives}_{dimensions}");
    FloatProblem::several(name, vec![(0.0, 1.0); dimensions], 0, front, move |x| {
        let (head, tail) = x.split_at(objectives - 1);
        let g: f64 = tail.iter().map(|x| (x - 0.5).powi(2)).sum();
        let value = |i: usize| {
            let product: f64 = head[..objectives - 1 - i].iter().map(|x| (x * PI / 2.0).cos()).product();
            let last = if i == 0 { 1.0 } else { (head[objectives - 1 - i] * PI / 2.0).sin() };
            (1.0 + g) * product * last
        };
        (0..objectives).map(value).collect()
    })
}

/// Currin's exponential function (1988) on the unit square.
pub(crate) fn currin_at(a: f64, b: f64) -> f64 {
    let decay = if b > 0.0 { (-1.0 / (2.0 * b)).exp() } else { 0.0 };
    let top = 2300.0 * a.powi(3) + 1900.0 * a * a + 2092.0 * a + 60.0;
    let bottom = 100.0 * a.powi(3) + 500.0 * a * a + 4.0 * a + 20.0;
    (1.0 - decay) * top / bottom
}

/// Branin's and Currin's functions on one square (Belakaria et al., 2019); the volume is that of three million points that
/// were moved along the front until it grew by less than 1e-5 (`BoTorch` states 59.3601, which a grid of 6000 by 6000
/// points exceeds).
pub fn branin_currin() -> FloatProblem {
    let front = (vec![18.0, 6.0], 59.406_52);
    FloatProblem::several("branincurrin", vec![(0.0, 1.0); 2], 0, front, |x| {
        vec![Branin::at(15.0 * x[0] - 5.0, 15.0 * x[1]), currin_at(x[0], x[1])]
    })
}

/// Binh and Korn's problem (1997) with two constraints.
pub fn bnh() -> FloatProblem {
    let values = |x: f64, y: f64| [4.0 * x * x + 4.0 * y * y, (x - 5.0).powi(2) + (y - 5.0).powi(2)];
    // The front: x = y up to 3, then y stays at 3.
    let largest = curve([140.0, 50.0], |t| values(5.0 * t, (5.0 * t).min(3.0)));
    FloatProblem::several("bnh", vec![(0.0, 5.0), (0.0, 3.0)], 2, (vec![140.0, 50.0], largest), move |x| {
        let [f1, f2] = values(x[0], x[1]);
        let inner = (x[0] - 5.0).powi(2) + x[1] * x[1] - 25.0;
        let outer = 7.7 - (x[0] - 8.0).powi(2) - (x[1] + 3.0).powi(2);
        vec![f1, f2, inner, outer]
    })
}

/// Srinivas and Deb's problem (1994) with two constraints.
pub fn srn() -> FloatProblem {
    let values = |x: f64, y: f64| [(x - 2.0).powi(2) + (y - 1.0).powi(2) + 2.0, 9.0 * x - (y - 1.0).powi(2)];
    // The front: along the second constraint from the point nearest to (2, 1), then x = -2.5 up to the disc's edge, then
    // along the edge, where a little of the second loss is still bought with much of the first.
    let edge = (225.0_f64 - 6.25).sqrt();
    let angle = edge.atan2(-2.5);
    let along = |t: f64| match 3.0 * t {
        t if t < 1.0 => values(1.1 - 3.6 * t, 3.7 - 1.2 * t),
        t if t < 2.0 => values(-2.5, 2.5 + (t - 1.0) * (edge - 2.5)),
        t => {
            let turn = angle + (t - 2.0) * (PI - angle);
            values(15.0 * turn.cos(), 15.0 * turn.sin())
        }
    };
    let largest = curve([300.0, 50.0], along);
    FloatProblem::several("srn", vec![(-20.0, 20.0); 2], 2, (vec![300.0, 50.0], largest), move |x| {
        let [f1, f2] = values(x[0], x[1]);
        vec![f1, f2, x[0] * x[0] + x[1] * x[1] - 225.0, x[0] - 3.0 * x[1] + 10.0]
    })
}

/// Deb's CONSTR (2001) with two constraints.
pub fn constr() -> FloatProblem {
    let values = |x: f64, y: f64| [x, (1.0 + y) / x];
    // The front: along the first constraint while it binds, then y = 0.
    let largest = curve([1.2, 10.0], |t| {
        let x = 7.0 / 18.0 + t * (1.0 - 7.0 / 18.0);
        values(x, (6.0 - 9.0 * x).max(0.0))
    });
    FloatProblem::several("constr", vec![(0.1, 1.0), (0.0, 5.0)], 2, (vec![1.2, 10.0], largest), move |x| {
        let [f1, f2] = values(x[0], x[1]);
        vec![f1, f2, 6.0 - x[1] - 9.0 * x[0], 1.0 + x[1] - 9.0 * x[0]]
    })
}

/// Three objectives of two floats whose best trade-offs fill a triangle: squared distances to its corners, each rescaled.
pub fn corners() -> FloatProblem {
    const CORNERS: [[f64; 2]; 3] = [[0.2, 0.2], [0.8, 0.25], [0.45, 0.85]];
    let values = |x: &[f64]| -> Vec<f64> {
        CORNERS.iter().map(|c| 1.0 - (-((x[0] - c[0]).powi(2) + (x[1] - c[1]).powi(2)) * E).exp()).collect()
    };
    // The integral over two of the losses of what the nearest point of both discs leaves of the third, by the midpoint rule
    // on 8000 by 8000 cells.
    let front = (vec![1.0; 3], 0.661_312);
    FloatProblem::several("corners3", vec![(0.0, 1.0); 2], 0, front, values)
}
