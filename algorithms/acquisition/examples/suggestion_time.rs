//! Prints how long one step over a Gaussian process takes, and how well a plain loop does on test functions.
//!
//! Run with `cargo run -p boxwood-acquisition --example suggestion_time`.

use boxwood_acquisition::{Budget, CandidateSpace, LogExpectedImprovement, maximize, noisy_incumbent};
use boxwood_numeric::{Rows, mix_seed, sobol_rows};
use boxwood_surrogate::{GaussianProcess, GpCache, GpOptions, Layout, refit_length};
use rand::{Rng, RngExt};
use std::error::Error;
use std::io::Write;
use std::time::Instant;

/// A box of numbers.
struct Cube {
    layout: Layout,
}

impl CandidateSpace for Cube {
    fn dimensions(&self) -> &Layout {
        &self.layout
    }

    fn sample(&self, rng: &mut dyn Rng) -> Vec<f64> {
        (0..self.layout.len()).map(|_| rng.random::<f64>()).collect()
    }

    fn snap(&self, row: &mut Vec<f64>) -> bool {
        for value in row.iter_mut() {
            *value = value.clamp(0.0, 1.0);
        }
        true
    }

    fn neighbours(&self, _row: &[f64], _dimension: usize, _rng: &mut dyn Rng) -> Vec<Vec<f64>> {
        Vec::new()
    }
}

/// Branin on the unit square; its minimum is 0.397887.
fn branin(u: &[f64]) -> f64 {
    let pi = std::f64::consts::PI;
    let (x, y) = (15.0 * u[0] - 5.0, 15.0 * u[1]);
    let bowl = y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0;
    bowl * bowl + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * x.cos() + 10.0
}

/// Hartmann's function of six variables; its minimum is -3.32237.
fn hartmann(u: &[f64]) -> f64 {
    const WEIGHTS: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    -(0..4)
        .map(|i| WEIGHTS[i] * (-(0..6).map(|j| A[i][j] * (u[j] - P[i][j]).powi(2)).sum::<f64>()).exp())
        .sum::<f64>()
}

/// Ackley's function on `[-15, 30]^d`; its minimum is 0.
fn ackley(u: &[f64]) -> f64 {
    let d = u.len() as f64;
    let tau = 2.0 * std::f64::consts::PI;
    let x: Vec<f64> = u.iter().map(|v| 45.0 * v - 15.0).collect();
    let square = x.iter().map(|v| v * v).sum::<f64>() / d;
    let wave = x.iter().map(|v| (tau * v).cos()).sum::<f64>() / d;
    20.0 + std::f64::consts::E - 20.0 * (-0.2 * square.sqrt()).exp() - wave.exp()
}

fn best_starts(rows: &Rows, losses: &[f64], count: usize) -> Rows {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
    order.truncate(count);
    rows.select(&order)
}

fn optimize(
    function: fn(&[f64]) -> f64,
    width: usize,
    trials: usize,
    seed: u64,
) -> Result<(f64, f64), Box<dyn Error>> {
    let space = Cube { layout: Layout::numeric(width) };
    let mut rows = sobol_rows(5.max(width), width, seed)?;
    let mut losses: Vec<f64> = rows.iter().map(function).collect();
    let cache = GpCache::new();
    let start = Instant::now();
    while rows.len() < trials {
        let options = GpOptions::default();
        let model =
            GaussianProcess::fit_scheduled(&space.layout, &rows, &losses, &options, seed, Some(&cache))?;
        let incumbent = noisy_incumbent(&model, &rows)?.map_or(0.0, |incumbent| incumbent.value);
        let acquisition = LogExpectedImprovement::new(&model, incumbent);
        let budget = Budget::for_gaussian_process(rows.len(), width);
        let step = mix_seed(seed, rows.len() as u64);
        let found = maximize(&acquisition, &space, &best_starts(&rows, &losses, 10), &budget, step)?;
        let row = found.first().ok_or("no candidate")?.row.clone();
        losses.push(function(&row));
        rows.push_row(&row)?;
    }
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    Ok((best, start.elapsed().as_secs_f64() / trials as f64))
}

fn time_step(count: usize, width: usize, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let space = Cube { layout: Layout::numeric(width) };
    let rows = sobol_rows(count, width, 1)?;
    let losses: Vec<f64> = rows.iter().map(ackley).collect();
    let options = GpOptions::default();
    let length = refit_length(count);
    let start = Instant::now();
    GaussianProcess::fit(&space.layout, &rows.slice(0, length), &losses[..length], &options, 1)?;
    let fit = start.elapsed().as_secs_f64();
    let cache = GpCache::new();
    GaussianProcess::fit_scheduled(&space.layout, &rows, &losses, &options, 1, Some(&cache))?;
    let start = Instant::now();
    let model = GaussianProcess::fit_scheduled(&space.layout, &rows, &losses, &options, 1, Some(&cache))?;
    let extend = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let incumbent = noisy_incumbent(&model, &rows)?.map_or(0.0, |incumbent| incumbent.value);
    let acquisition = LogExpectedImprovement::new(&model, incumbent);
    let budget = Budget::for_gaussian_process(count, width);
    maximize(&acquisition, &space, &best_starts(&rows, &losses, 10), &budget, 3)?;
    let maximize = start.elapsed().as_secs_f64();
    let interval = if count <= 50 { 1.0 } else { (count as f64 / 20.0).floor() };
    writeln!(
        out,
        "n {count:5} d {width:3}: fit {:8.1} ms, extend {:7.1} ms, maximize {:7.1} ms, amortized {:7.1} ms, warp {}",
        1e3 * fit,
        1e3 * extend,
        1e3 * maximize,
        1e3 * (fit / interval + extend + maximize),
        format!("{:?}", model.target_scale().warp()).split(' ').next().unwrap_or(""),
    )?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    for (count, width) in [(20, 6), (50, 6), (100, 6), (200, 6), (500, 10), (1000, 20), (2000, 20)] {
        time_step(count, width, &mut out)?;
    }
    for seed in 0..5 {
        let (value, seconds) = optimize(branin, 2, 50, seed)?;
        writeln!(
            out,
            "branin seed {seed}: gap {:.2e}, {:.1} ms per trial",
            value - 0.397_887_36,
            1e3 * seconds
        )?;
    }
    for seed in 0..10 {
        let (value, seconds) = optimize(hartmann, 6, 60, seed)?;
        writeln!(
            out,
            "hartmann seed {seed}: gap {:.2e}, {:.1} ms per trial",
            value + 3.322_368,
            1e3 * seconds
        )?;
    }
    for seed in 0..3 {
        let (value, seconds) = optimize(ackley, 2, 50, seed)?;
        writeln!(out, "ackley-2 seed {seed}: gap {value:.2e}, {:.1} ms per trial", 1e3 * seconds)?;
        let (value, seconds) = optimize(ackley, 16, 80, seed)?;
        writeln!(out, "ackley-16 seed {seed}: gap {value:.2e}, {:.1} ms per trial", 1e3 * seconds)?;
    }
    Ok(())
}
