//! Rows of a space as rows of a smaller one, and back.
//!
//! Letters: d encoded dimensions, k of the smaller space, z a row of it.

use std::sync::Arc;

use boxwood_core::space::{DimensionKind, Domain, ParameterSpec, Scale};
use boxwood_core::{SearchSpace, Seed, SolverError, SpaceSpec, StudyView, TrialView, Value};
use boxwood_numeric::{Cholesky, DMatrix, normal_quantile};
use rand::RngExt;

use crate::sampler::model::numeric;

/// Most levels of a column that keep their own number in the smaller space; of more, it is a float.
const MOST_LEVELS: u64 = 1000;
/// Root mean square by which a row may differ from its image in an embedding and still be data of it.
const TOLERANCE: f64 = 0.02;
/// Length of the weights of a mixture: with it, the values of a column have a deviation of 0.58 about its middle and one of
/// twelve values is cut at a bound. The paper's weights and box cut most columns to one of their bounds already in eight
/// dimensions (Binois, Ginsbourger and Roustant, "On the choice of the low-dimensional domain for global optimization via
/// random embeddings", Journal of Global Optimization 2020).
const REACH: f64 = 1.0;
/// Numbers that are tried for columns of which none is a float.
const PLACES: u32 = 64;
/// Share of the diagonal that is added where a mixture is inverted.
const RIDGE: f64 = 1e-9;

/// A map between a space and a smaller one.
#[derive(Debug)]
pub(super) struct Projection {
    /// The smaller space: all of its columns are always active.
    space: Arc<SearchSpace>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Each column follows one number, as it is or mirrored.
    Hashed { follows: Vec<usize>, mirrored: Vec<bool> },
    /// `x = A y`, `(d, k)`, on `[-1, 1]^d` and `[-1, 1]^k`, cut at the bounds.
    Mixed { matrix: DMatrix<f64> },
    /// Some columns; the rest are as in `base`, with `NAN` for the default.
    Columns { list: Vec<Own>, base: Vec<f64> },
}

/// A column of the space that is one of the smaller space.
#[derive(Debug)]
struct Own {
    column: usize,
    /// Its unit numbers by level of the smaller space; empty for a float.
    units: Vec<f64>,
}

impl Own {
    fn expand(&self, z: f64) -> f64 {
        match self.units.len() {
            0 => z,
            levels => self.units[((z * levels as f64) as usize).min(levels - 1)],
        }
    }

    /// The nearest place; the middle one for an inactive value.
    fn shrink(&self, value: f64) -> f64 {
        let levels = self.units.len();
        if levels == 0 {
            return if value.is_nan() { 0.5 } else { value };
        }
        let mut nearest = if value.is_nan() { levels / 2 } else { 0 };
        for (level, unit) in self.units.iter().enumerate() {
            if (unit - value).abs() < (self.units[nearest] - value).abs() {
                nearest = level;
            }
        }
        (nearest as f64 + 0.5) / levels as f64
    }
}

impl Projection {
    /// k numbers of at most `steps` values, each of which a drawn part of the columns follows.
    pub(super) fn hashed(space: &SearchSpace, k: usize, steps: u64, seed: Seed) -> Result<Self, SolverError> {
        let d = space.dimensions().len();
        let mut rng = seed.derive("hashed", k as u64).rng();
        let follows = (0..d).map(|_| rng.random_range(0..k)).collect();
        let mirrored = (0..d).map(|_| rng.random::<bool>()).collect();
        Ok(Self { space: numbers(k, steps)?, kind: Kind::Hashed { follows, mirrored } })
    }

    /// k numbers of at most `steps` values, of which every column is a mixture with normal weights.
    pub(super) fn mixed(space: &SearchSpace, k: usize, steps: u64, seed: Seed) -> Result<Self, SolverError> {
        let d = space.dimensions().len();
        let mut rng = seed.derive("mixed", k as u64).rng();
        let mut matrix =
            DMatrix::from_fn(d, k, |_, _| normal_quantile(rng.random::<f64>().clamp(1e-12, 1.0 - 1e-12)));
        for mut weights in matrix.row_iter_mut() {
            let norm = weights.norm().max(f64::MIN_POSITIVE);
            weights *= REACH / norm;
        }
        Ok(Self { space: numbers(k, steps)?, kind: Kind::Mixed { matrix } })
    }

    /// The given columns, their numbers with at most `steps` values; the others are as in `base`.
    pub(super) fn columns(
        space: &SearchSpace,
        columns: Vec<usize>,
        base: Vec<f64>,
        steps: u64,
    ) -> Result<Self, SolverError> {
        let mut parameters = Vec::with_capacity(columns.len());
        let mut list = Vec::with_capacity(columns.len());
        for column in columns {
            let dimension = &space.dimensions()[column];
            let level = |level| space.unit_of_level(column, level);
            let (domain, units) = match dimension.kind {
                DimensionKind::Categorical { choices } => {
                    let names = (0..choices).map(|choice| Value::Text(choice.to_string())).collect();
                    let domain = Domain::Categorical { choices: names, weights: None };
                    (domain, (0..choices).map(level).collect())
                }
                DimensionKind::Continuous if steps == 0 => (float(), Vec::new()),
                DimensionKind::Continuous => {
                    let units: Vec<f64> = (0..steps).map(|k| k as f64 / (steps - 1) as f64).collect();
                    (integer(steps), units)
                }
                DimensionKind::Discrete { levels } => {
                    let kept = if steps == 0 { levels } else { levels.min(steps) };
                    if kept > MOST_LEVELS && steps == 0 {
                        (float(), Vec::new())
                    } else {
                        let spread = |k: u64| {
                            let place = (levels - 1) as f64 * k as f64 / (kept - 1).max(1) as f64;
                            level(place.round() as u64)
                        };
                        (integer(kept), (0..kept).map(spread).collect())
                    }
                }
            };
            parameters.push(parameter(format!("z{column}"), domain));
            list.push(Own { column, units });
        }
        Ok(Self { space: check(parameters)?, kind: Kind::Columns { list, base } })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let k = self.space.dimensions().len();
        match &self.kind {
            Kind::Hashed { .. } | Kind::Mixed { .. } => format!("embedded in {k} dimensions"),
            Kind::Columns { base, .. } => format!("on {k} of {} dimensions", base.len()),
        }
    }

    /// The row of a space that a row of the smaller one stands for; nothing where the space's rules forbid it.
    pub(super) fn expand(&self, space: &SearchSpace, z: &[f64]) -> Option<Vec<f64>> {
        let mut row = self.image(z);
        space.snap(&mut row).then_some(row)
    }

    /// Before levels, conditions and rules.
    fn image(&self, z: &[f64]) -> Vec<f64> {
        match &self.kind {
            Kind::Hashed { follows, mirrored } => follows
                .iter()
                .zip(mirrored)
                .map(|(at, mirrored)| if *mirrored { 1.0 - z[*at] } else { z[*at] })
                .collect(),
            Kind::Mixed { matrix } => {
                let at = |i: usize| {
                    let mixed: f64 =
                        z.iter().enumerate().map(|(j, z)| matrix[(i, j)] * (2.0 * z - 1.0)).sum();
                    f64::midpoint(1.0, mixed.clamp(-1.0, 1.0))
                };
                (0..matrix.nrows()).map(at).collect()
            }
            Kind::Columns { list, base } => {
                let mut row = base.clone();
                for (own, z) in list.iter().zip(z) {
                    row[own.column] = own.expand(*z);
                }
                row
            }
        }
    }

    /// The row of the smaller space that stands for a canonical row; nothing where the row does not lie in it. The values
    /// of columns that are left out do not count.
    pub(super) fn shrink(&self, space: &SearchSpace, row: &[f64]) -> Option<Vec<f64>> {
        let mut z = match &self.kind {
            Kind::Columns { list, .. } => list.iter().map(|own| own.shrink(row[own.column])).collect(),
            Kind::Hashed { follows, mirrored } => self.followed(space, follows, mirrored, row),
            Kind::Mixed { matrix } => unmixed(space, matrix, row)?,
        };
        self.space.snap(&mut z);
        if matches!(self.kind, Kind::Columns { .. }) {
            return Some(z);
        }
        let mut image = self.image(&z);
        space.snap(&mut image);
        let squares: f64 = image.iter().zip(row).map(|(a, b)| difference(*a, *b).powi(2)).sum();
        (squares <= TOLERANCE * TOLERANCE * row.len() as f64).then_some(z)
    }

    /// Of the values that the columns of each number show, the one that explains most of them: a float shows it exactly, a
    /// level only about, so that others are tried too.
    fn followed(&self, space: &SearchSpace, follows: &[usize], mirrored: &[bool], row: &[f64]) -> Vec<f64> {
        let k = self.space.dimensions().len();
        let mut shown: Vec<Vec<f64>> = vec![Vec::new(); k];
        let mut exact = vec![false; k];
        for column in 0..row.len() {
            if row[column].is_nan() {
                continue;
            }
            let value = if mirrored[column] { 1.0 - row[column] } else { row[column] };
            let values = &mut shown[follows[column]];
            if space.dimensions()[column].kind == DimensionKind::Continuous {
                values.insert(0, value);
                exact[follows[column]] = true;
            } else {
                values.push(value);
            }
        }
        for (values, exact) in shown.iter_mut().zip(exact) {
            if !exact && values.len() > 1 {
                values.push(values.iter().sum::<f64>() / values.len() as f64);
                values.extend((0..PLACES).map(|place| (f64::from(place) + 0.5) / f64::from(PLACES)));
            }
        }
        let tries = shown.iter().map(Vec::len).max().unwrap_or(0);
        let mut best: Vec<(f64, f64)> = vec![(f64::INFINITY, 0.5); k];
        for attempt in 0..tries {
            let mut z: Vec<f64> =
                (0..k).map(|j| shown[j].get(attempt).copied().unwrap_or(best[j].1)).collect();
            self.space.snap(&mut z);
            let mut image = self.image(&z);
            space.snap(&mut image);
            let mut errors = vec![0.0; k];
            for (column, at) in follows.iter().enumerate() {
                // What is active is decided by other columns, which are tried at the same time.
                let error = image[column] - row[column];
                errors[*at] += if error.is_nan() { 0.0 } else { error * error };
            }
            for (j, error) in errors.into_iter().enumerate() {
                if error < best[j].0 {
                    best[j] = (error, z[j]);
                }
            }
            if best.iter().all(|(error, _)| *error < 1e-16) {
                break;
            }
        }
        best.into_iter().map(|(_, z)| z).collect()
    }

    /// The study on the smaller space: trials whose rows lie in it, under their own numbers.
    pub(super) fn view(&self, view: &StudyView) -> Result<StudyView, SolverError> {
        let problem = view.problem();
        let smaller = problem.on_space(Arc::clone(&self.space)).with_sources(&[]);
        let smaller = smaller.map_err(|error| SolverError::Bug(format!("a smaller space: {error}")))?;
        let trial = |trial: &TrialView| {
            let encoded = self.shrink(problem.space(), &trial.encoded)?;
            Some(TrialView { point: self.space.decode(&encoded), encoded, ..trial.clone() })
        };
        let trials = view.trials().iter().filter_map(trial).collect();
        Ok(StudyView::new(Arc::new(smaller), view.change(), trials))
    }
}

/// One where only one of two values is active.
fn difference(a: f64, b: f64) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) => a - b,
        _ => 1.0,
    }
}

/// The mixture that gives a row, by least squares over the floats inside their bounds, or where these are fewer than k over
/// all active columns.
fn unmixed(space: &SearchSpace, matrix: &DMatrix<f64>, row: &[f64]) -> Option<Vec<f64>> {
    let k = matrix.ncols();
    let inside = |column: &usize| {
        space.dimensions()[*column].kind == DimensionKind::Continuous
            && row[*column] > 1e-9
            && row[*column] < 1.0 - 1e-9
    };
    let mut columns: Vec<usize> = (0..row.len()).filter(inside).collect();
    if columns.len() < k {
        columns = (0..row.len()).filter(|column| !row[*column].is_nan()).collect();
    }
    let mut normal = DMatrix::<f64>::zeros(k, k);
    let mut right = vec![0.0; k];
    for column in columns {
        for i in 0..k {
            right[i] += matrix[(column, i)] * (2.0 * row[column] - 1.0);
            for j in 0..k {
                normal[(i, j)] += matrix[(column, i)] * matrix[(column, j)];
            }
        }
    }
    let diagonal = RIDGE * (normal.trace() / k as f64).max(f64::MIN_POSITIVE);
    for i in 0..k {
        normal[(i, i)] += diagonal;
    }
    Cholesky::factorize(&normal).ok()?.solve(&mut right).ok()?;
    Some(right.iter().map(|y| f64::midpoint(1.0, y.clamp(-1.0, 1.0))).collect())
}

fn float() -> Domain {
    Domain::Float { low: 0.0, high: 1.0, scale: Scale::Linear, step: None }
}

fn integer(levels: u64) -> Domain {
    Domain::Integer { low: 0, high: levels.saturating_sub(1) as i64, scale: Scale::Linear, step: None }
}

fn parameter(name: String, domain: Domain) -> ParameterSpec {
    ParameterSpec { name, domain, default: None, when: None }
}

/// A space of k numbers.
fn numbers(k: usize, steps: u64) -> Result<Arc<SearchSpace>, SolverError> {
    let domain = if steps == 0 { float() } else { integer(steps) };
    check((0..k).map(|index| parameter(format!("z{index}"), domain.clone())).collect())
}

fn check(parameters: Vec<ParameterSpec>) -> Result<Arc<SearchSpace>, SolverError> {
    let spec = SpaceSpec { parameters, ..SpaceSpec::default() };
    spec.check().map(Arc::new).map_err(|error| numeric(&error))
}

#[cfg(test)]
mod tests;
