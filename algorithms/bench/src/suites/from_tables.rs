//! Problems that are looked up in tables under `--data`.

use std::path::Path;

use super::{Suite, Task};
use crate::error::BenchError;
use crate::report::Skipped;
use crate::tables::{bars, curves, grids, lcbench, lcdb, mindware, moot};

/// Data sets of each kind that a suite takes.
const PER_KIND: usize = 2;

/// Budget of a study of learners, in runs on all rows: fewer than there are learners, so that not each can be run in full.
const LEARNER_RUNS: f64 = 8.0;

/// Adds what a loader gives, or says why it gave nothing.
fn add(suite: &mut Suite, what: &str, loaded: Result<Vec<Task>, BenchError>) {
    match loaded {
        Ok(tasks) => suite.tasks.extend(tasks),
        Err(error) => suite.skipped.push(Skipped { what: what.into(), why: error.to_string() }),
    }
}

fn without_data(kinds: &[&str]) -> Suite {
    let why = "no folder of tables was given (--data DIR)";
    let skipped = kinds.iter().map(|what| Skipped { what: (*what).into(), why: why.into() }).collect();
    Suite { tasks: Vec::new(), skipped }
}

/// Learning curves of `TaskSet` and surrogates of those of `LCBench`.
pub(super) fn multifidelity(data: Option<&Path>) -> Suite {
    let Some(data) = data else { return without_data(&["TaskSet curves", "LCBench surrogates"]) };
    let mut suite = Suite::default();
    let tasks = curves::taskset(&data.join("hpo/taskset"), PER_KIND);
    let tasks = tasks.map(|tables| tables.into_iter().map(|table| Task::full_runs(table, 20.0, 4)).collect());
    add(&mut suite, "TaskSet curves", tasks);
    let tasks = lcbench::load(&data.join("hpo/yahpo"));
    let tasks = tasks.map(|tasks| tasks.into_iter().map(|task| Task::full_runs(task, 25.0, 4)).collect());
    add(&mut suite, "LCBench surrogates", tasks);
    suite
}

/// mindware histories, BARS runs and LCDB's learners: arms by table.
pub(super) fn cash(data: Option<&Path>) -> Suite {
    let Some(data) = data else { return without_data(&["mindware histories", "BARS runs", "LCDB learners"]) };
    let mut suite = Suite::default();
    let by_trials = |tables: Vec<crate::tables::ArmTable>, trials| {
        tables.into_iter().map(|table| Task::trials(table, trials)).collect()
    };
    let histories = mindware::load(&data.join("cash/mindware_runhistory"), PER_KIND);
    add(&mut suite, "mindware histories", histories.map(|tables| by_trials(tables, 100)));
    let runs = bars::load(&data.join("bars"), &["Frappe_x1", "Criteo_x1"]);
    add(&mut suite, "BARS runs", runs.map(|tables| by_trials(tables, 100)));
    let learners = lcdb::load(&data.join("cash/lcdb_accuracy_mean.csv.gz"), PER_KIND);
    let learners = learners
        .map(|tables| tables.into_iter().map(|table| Task::full_runs(table, LEARNER_RUNS, 1)).collect());
    add(&mut suite, "LCDB learners", learners);
    suite
}

/// Measured configurations of software, and whole grids of networks and kernels.
pub(super) fn tables(data: Option<&Path>) -> Suite {
    let Some(data) = data else { return without_data(&["software configurations", "grids", "kernels"]) };
    let mut suite = Suite::default();
    for name in ["redis", "LLVM", "SS-A"] {
        let table = moot::load(&data.join(format!("blackbox/moot/{name}.csv.gz")));
        add(&mut suite, name, table.map(|table| vec![Task::trials(table, 60)]));
    }
    let grids = grids::tabular(&data.join("hpo/tabular"));
    let tasks = grids.map(|tables| tables.into_iter().map(|table| Task::trials(table, 100)).collect());
    add(&mut suite, "grids", tasks);
    for name in ["convolution_A100", "convolution_W6600"] {
        let table = grids::kernel(&data.join(format!("blackbox/gpu_kernel/{name}.csv.gz")));
        add(&mut suite, name, table.map(|table| vec![Task::trials(table, 100)]));
    }
    suite
}
