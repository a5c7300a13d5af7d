//! Problems with earlier studies to learn from: families of shifted functions, and classifiers on other data sets.

use std::f64::consts::PI;
use std::path::Path;

use boxwood_core::{Metrics, Point, ProblemSpec, Resource, Seed, SourceSpec, SourceTrial};
use boxwood_testkit::problems::{FloatProblem, constrained as held, multi as many, single as one};
use boxwood_testkit::{Outcome, TestProblem};

use super::{Measure, Suite, Task};
use crate::report::Skipped;
use crate::tables::{PlainTable, mindware};

/// Budget: what earlier studies give shows in the first trials.
const TRIALS: u64 = 30;
/// Trials of each source.
const SOURCE_TRIALS: usize = 40;
/// Largest shift of a related source in a dimension, as a share of its range.
const SHIFT: f64 = 0.1;
/// Data sets that a table's study is given as sources.
const TABLE_SOURCES: usize = 8;
/// Classifiers with tables of numbers and choices, and data sets held out for each.
const CLASSIFIERS: [&str; 3] = ["random_forest", "libsvm_svc", "lightgbm"];
const HELD_OUT: usize = 2;

/// A problem that comes with sources.
struct WithSources<P> {
    problem: P,
    sources: Vec<SourceSpec>,
}

impl<P: TestProblem> TestProblem for WithSources<P> {
    fn name(&self) -> String {
        self.problem.name()
    }

    fn spec(&self) -> ProblemSpec {
        ProblemSpec { sources: self.sources.clone(), ..self.problem.spec() }
    }

    fn optimum(&self) -> f64 {
        self.problem.optimum()
    }

    fn evaluate(&self, point: &Point, resource: Resource, draw: Seed) -> Outcome {
        self.problem.evaluate(point, resource, draw)
    }
}

/// What a source has to do with the problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kin {
    /// The function, moved by up to [`SHIFT`] and in another unit.
    Related,
    /// The function mirrored in every dimension and turned upside down; constraints are mirrored only.
    Unrelated,
    /// Another function: a wave along every dimension, for every objective and constraint.
    Foreign,
}

/// A number in [-1, 1) that depends on nothing but the arguments.
fn draw(source: usize, dimension: usize) -> f64 {
    let bits = Seed(source as u64).derive("shift", dimension as u64).0;
    (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Results of an earlier study at quasi-random points.
fn source(problem: &FloatProblem, index: usize, kin: Kin) -> SourceSpec {
    let spec = problem.spec();
    let space = spec.clone().check().expect("test problems are well-formed").space().clone();
    let bounds = problem.bounds();
    let objectives = spec.objectives.len();
    let metrics = spec.objectives.iter().map(|objective| &objective.metric);
    let metrics: Vec<String> =
        metrics.chain(spec.constraints.iter().map(|constraint| &constraint.metric)).cloned().collect();
    let scale = 1.0 + index as f64;
    let wave = |place: usize, unit: &[f64]| -> f64 {
        let term = |(dimension, unit): (usize, &f64)| {
            let [turns, phase] = [0, 1].map(|part| draw(index, 100 * (place + 1) + 2 * dimension + part));
            (2.0 * PI * (1.0 + turns.abs()) * unit + PI * phase).sin()
        };
        unit.iter().enumerate().map(term).sum()
    };
    let trial = |row: Vec<f64>| {
        let moved = |(dimension, unit): (usize, &f64)| {
            let unit = match kin {
                Kin::Related => unit + SHIFT * draw(index, dimension),
                Kin::Unrelated | Kin::Foreign => 1.0 - unit,
            };
            let (low, high) = bounds[dimension];
            low + unit * (high - low)
        };
        let values = problem.at(&row.iter().enumerate().map(moved).collect::<Vec<_>>());
        let value = |(place, value): (usize, f64)| match kin {
            Kin::Related if place < objectives => scale * value + 10.0 * scale,
            Kin::Unrelated if place < objectives => -value,
            Kin::Related | Kin::Unrelated => value,
            Kin::Foreign => wave(place, &row),
        };
        let values = values.into_iter().enumerate().map(value);
        SourceTrial {
            metrics: Metrics(metrics.iter().cloned().zip(values).collect()),
            point: space.decode(&row),
        }
    };
    let rows = space.sobol(index as u64 + 1, 0, SOURCE_TRIALS);
    SourceSpec { name: format!("source{index}"), trials: rows.into_iter().map(trial).collect() }
}

fn task(problem: FloatProblem, suffix: &str, kin: &[Kin]) -> Task {
    let label = format!("{}_{suffix}", problem.name());
    let sources = kin.iter().enumerate().map(|(index, kin)| source(&problem, index, *kin)).collect();
    let measure = problem.front().map_or(Measure::Regret, |(reference, largest)| Measure::Hypervolume {
        reference: reference.to_vec(),
        largest,
    });
    Task { label: Some(label), measure, ..Task::trials(WithSources { problem, sources }, TRIALS) }
}

/// Each function with related sources, with sources of both kinds, and with unrelated and foreign ones, which must do no
/// harm.
pub(super) fn closed() -> Suite {
    let functions: [fn() -> FloatProblem; 8] = [
        one::branin,
        one::hartmann3,
        one::hartmann6,
        || one::ackley(5),
        || one::rosenbrock(4),
        held::townsend,
        many::branin_currin,
        || many::dtlz2(2, 6),
    ];
    let kinds: [(&str, &[Kin]); 4] = [
        ("related", &[Kin::Related; 4]),
        ("mixed", &[Kin::Unrelated, Kin::Related, Kin::Unrelated, Kin::Related]),
        ("unrelated", &[Kin::Unrelated; 3]),
        ("foreign", &[Kin::Foreign; 3]),
    ];
    let tasks = kinds.iter().flat_map(|(suffix, kin)| {
        functions.iter().map(move |function| task(function(), &format!("from_{suffix}"), kin))
    });
    Suite::of(tasks.collect())
}

/// Classifiers on data sets left out one by one, with other data sets as sources.
pub(super) fn tables(data: Option<&Path>) -> Suite {
    let Some(data) = data else {
        let why = "no folder of tables was given (--data DIR)";
        let skipped = vec![Skipped { what: "mindware classifiers".into(), why: why.into() }];
        return Suite { tasks: Vec::new(), skipped };
    };
    let mut suite = Suite::default();
    for classifier in CLASSIFIERS {
        let loaded = mindware::by_data_set(&data.join("cash/mindware_runhistory"), classifier);
        let tables = match loaded {
            Ok(tables) => tables,
            Err(error) => {
                suite.skipped.push(Skipped { what: classifier.into(), why: error.to_string() });
                continue;
            }
        };
        for held in 0..HELD_OUT.min(tables.len()) {
            suite.tasks.push(held_out(classifier, &tables, held));
        }
    }
    suite
}

/// One data set, with those that follow it in the order of names, in a circle, as its sources.
fn held_out(classifier: &str, tables: &[(String, crate::tables::NearestTable)], held: usize) -> Task {
    let (set, table) = &tables[held];
    let others = tables.iter().cycle().skip(held + 1).take(TABLE_SOURCES.min(tables.len() - 1));
    let source = |(name, table): &(String, crate::tables::NearestTable)| {
        let trial = |index: usize| SourceTrial {
            point: table.point(index),
            metrics: Metrics::from([("value", table.score(index))]),
        };
        let most = table.len().min(boxwood_core::MAX_SOURCE_TRIALS);
        SourceSpec { name: name.clone(), trials: (0..most).map(trial).collect() }
    };
    let sources = others.map(source).collect();
    let problem = PlainTable::new(format!("{classifier}_{set}"), table.clone(), boxwood_core::Goal::Maximize);
    Task::trials(WithSources { problem, sources }, TRIALS)
}
