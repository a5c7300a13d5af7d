//! Prints what options of the Gaussian process are worth on three functions (input warps, kernels), and
//! what scoring 2000 rows by hypervolume improvement takes.
//!
//! Run with `cargo run -p boxwood-acquisition --example process_options`.

use boxwood_acquisition::{
    Acquisition, Budget, CandidateSpace, LogExpectedHypervolumeImprovement, LogExpectedImprovement,
    LogNoisyExpectedHypervolumeImprovement, contenders, maximize, noisy_incumbent,
};
use boxwood_numeric::{Rows, inferred_reference, mix_seed, nondominated, sobol_rows};
use boxwood_surrogate::{GaussianProcess, GpModel, GpOptions, InputWarps, KernelFunction, Layout, Posterior};
use rand::{Rng, RngExt};
use std::error::Error;
use std::io::Write;

const SEEDS: u64 = 4;
const TRIALS: usize = 30;

/// A loss over the unit cube.
type Function = fn(&[f64]) -> f64;

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

/// Branin on the unit square, above its minimum.
fn branin(u: &[f64]) -> f64 {
    let pi = std::f64::consts::PI;
    let (x, y) = (15.0 * u[0] - 5.0, 15.0 * u[1]);
    let bowl = y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0;
    bowl * bowl + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * x.cos() + 10.0 - 0.397_887_36
}

/// Rosenbrock's valley in four numbers on `[-2, 2]`.
fn rosenbrock(u: &[f64]) -> f64 {
    let x: Vec<f64> = u.iter().map(|v| 4.0 * v - 2.0).collect();
    x.windows(2).map(|p| 100.0 * (p[1] - p[0] * p[0]).powi(2) + (1.0 - p[0]).powi(2)).sum()
}

/// A learning rate on the wrong scale: everything happens near zero.
fn steep(u: &[f64]) -> f64 {
    let log = |v: f64| (1e-4 + v).log10() + 2.5;
    log(u[0]).powi(2) + 0.5 * (log(u[1]) - 0.7).powi(2) + 0.2 * (1.0 + (3.0 * log(u[0])).sin())
}

#[derive(Clone, Copy)]
enum Choice {
    Default,
    InputWarps,
    IsotropicSquaredExponential,
}

fn optimize(function: Function, width: usize, choice: Choice, seed: u64) -> Result<f64, Box<dyn Error>> {
    let space = Cube { layout: Layout::numeric(width) };
    let mut rows = sobol_rows(6, width, seed)?;
    let mut losses: Vec<f64> = rows.iter().map(function).collect();
    let plain = GpOptions::default();
    let options = match choice {
        Choice::Default => plain,
        Choice::InputWarps => GpOptions { warp_inputs: InputWarps::On, ..plain },
        Choice::IsotropicSquaredExponential => {
            GpOptions { isotropic: true, kernel: KernelFunction::SquaredExponential, ..plain }
        }
    };
    while rows.len() < TRIALS {
        let model = GaussianProcess::fit(&space.layout, &rows, &losses, &options, seed)?;
        let incumbent = noisy_incumbent(&model, &rows)?.map_or(0.0, |incumbent| incumbent.value);
        let acquisition = LogExpectedImprovement::new(&model, incumbent);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        order.truncate(10);
        let budget = Budget { candidates: 500, refined: 3, ..Budget::default() };
        let step = mix_seed(seed, rows.len() as u64);
        let found = maximize(&acquisition, &space, &rows.select(&order), &budget, step)?;
        let row: Rows = Rows::from_rows(width, &[&found.first().ok_or("no candidate")?.row])?;
        losses.extend(row.iter().map(function));
        rows.push_rows(&row)?;
    }
    Ok(losses.iter().copied().fold(f64::INFINITY, f64::min))
}

/// Times hypervolume improvement over n observations of m objectives in six numbers.
fn time_hypervolume(count: usize, objectives: usize, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let rows = sobol_rows(count, 6, 1)?;
    let options = GpOptions { warp_targets: false, starts: 1, ..GpOptions::default() };
    let mut models: Vec<GpModel> = Vec::new();
    for objective in 0..objectives {
        // Distances to corners: a front without end.
        let loss = |row: &[f64]| -> f64 {
            row.iter().enumerate().map(|(k, x)| (x - if k == objective { 1.0 } else { 0.3 }).powi(2)).sum()
        };
        let losses: Vec<f64> = rows.iter().map(loss).collect();
        models.push(GaussianProcess::fit(&Layout::numeric(6), &rows, &losses, &options, 1)?);
    }
    let mut values = Rows::new(objectives);
    for row in 0..count {
        values.push_row(&models.iter().map(|model| model.values()[row]).collect::<Vec<f64>>())?;
    }
    let front = values.select(&nondominated(&values));
    let reference = inferred_reference(&front);
    let posteriors: Vec<&dyn Posterior> = models.iter().map(|model| -> &dyn Posterior { model }).collect();
    let probe = sobol_rows(2000, 6, 9)?;
    let start = std::time::Instant::now();
    let gain = LogExpectedHypervolumeImprovement::new(posteriors.clone(), &front, &reference)?;
    gain.log_value(&probe)?;
    let exact = start.elapsed().as_secs_f64();
    let start = std::time::Instant::now();
    let base = rows.select(&contenders(&posteriors, &rows, 2.0, 32)?);
    let references: Vec<&GpModel> = models.iter().collect();
    let noisy = LogNoisyExpectedHypervolumeImprovement::new(&references, &base, &reference, 16, 3)?;
    noisy.log_value(&probe)?;
    let sampled = start.elapsed().as_secs_f64();
    writeln!(
        out,
        "n {count} m {objectives}: front of {}, exact {:.0} ms, noisy over 16 draws of {} rows {:.0} ms",
        front.len(),
        1e3 * exact,
        base.len(),
        1e3 * sampled
    )?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    for objectives in [2, 3, 4] {
        time_hypervolume(100, objectives, &mut out)?;
    }
    let choices = [
        ("default", Choice::Default),
        ("input warps", Choice::InputWarps),
        ("isotropic squared exponential", Choice::IsotropicSquaredExponential),
    ];
    let functions: [(&str, Function, usize); 3] =
        [("branin", branin, 2), ("rosenbrock-4", rosenbrock, 4), ("steep", steep, 2)];
    for (name, function, width) in functions {
        for (label, choice) in choices {
            let start = std::time::Instant::now();
            let mut gaps = Vec::new();
            for seed in 0..SEEDS {
                gaps.push(optimize(function, width, choice, seed)?);
            }
            gaps.sort_by(f64::total_cmp);
            let seconds = start.elapsed().as_secs_f64() / (SEEDS as f64 * TRIALS as f64);
            let gaps: Vec<String> = gaps.iter().map(|gap| format!("{gap:.1e}")).collect();
            let gaps = gaps.join(" ");
            writeln!(out, "{name:13} {label:30} gaps {gaps}, {:.0} ms per trial", 1e3 * seconds)?;
        }
    }
    Ok(())
}
