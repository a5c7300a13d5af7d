//! How often the rules that stop running trials are wrong, on formulas and, where the files are present, on real curves.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use boxwood_bench::{Stops, Task, stops, suite};
use boxwood_core::SolverSpec;
use serde_json::json;

/// Random trials of a study; ten studies per problem, seeds 1 to 10.
const TRIALS: u64 = 60;

fn rule(name: &str) -> SolverSpec {
    serde_json::from_value(json!({"name": "random", "early_stopping": name})).unwrap()
}

/// What a rule does on each problem, and on all.
fn measure(tasks: &[Task], rule_name: &str) -> Stops {
    let mut all = Stops::default();
    for task in tasks {
        let found = stops(task.problem.as_ref(), &rule(rule_name), TRIALS, 1..11).unwrap();
        println!(
            "{rule_name} on {}: {} of {} stopped, {} wrong ({:.1} %), cost {:.2}",
            task.name(),
            found.stopped,
            found.trials,
            found.wrong,
            100.0 * found.false_stop_rate(),
            found.cost()
        );
        all.trials += found.trials;
        all.stopped += found.stopped;
        all.wrong += found.wrong;
        all.trained += found.trained;
        all.in_full += found.in_full;
    }
    all
}

fn named(names: &[&str], data: Option<&std::path::Path>) -> Vec<Task> {
    let tasks = suite("multifidelity", data).unwrap().tasks;
    tasks.into_iter().filter(|task| names.iter().any(|name| task.name().starts_with(name))).collect()
}

/// Fixed seeds: no chance is involved. Curves that cross fool the median rule, which the forecast sees through.
#[test]
fn a_forecast_is_seldom_wrong_on_curves_that_cross() {
    let tasks = named(&["saturating_curves"], None);
    let (median, forecast) = (measure(&tasks, "median"), measure(&tasks, "forecast"));
    assert_eq!((median.trials, forecast.trials), (600, 600));
    assert!(forecast.stopped >= 100 && forecast.cost() < 0.8, "{forecast:?}");
    assert!(forecast.false_stop_rate() <= 0.05, "{forecast:?}");
    assert!(median.false_stop_rate() > forecast.false_stop_rate(), "{median:?}");
}

#[test]
fn forecasts_on_real_curves_keep_their_false_stop_rate() {
    let Some(folder) = std::env::var_os("BOXWOOD_SHARED").map(PathBuf::from) else {
        eprintln!("skipped: BOXWOOD_SHARED does not name the folder of hpo/taskset and hpo/yahpo");
        return;
    };
    for family in ["taskset", "lcbench"] {
        let tasks = named(&[family], Some(&folder));
        if tasks.is_empty() {
            eprintln!("skipped: there are no curves of {family} under BOXWOOD_SHARED");
            continue;
        }
        measure(&tasks, "median");
        measure(&tasks, "percentile");
        let forecast = measure(&tasks, "forecast");
        assert!(forecast.stopped >= forecast.trials / 5 && forecast.cost() < 0.8, "{family}: {forecast:?}");
        assert!(forecast.false_stop_rate() <= 0.05, "{family}: {forecast:?}");
    }
}
