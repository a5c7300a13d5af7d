//! How often the rules that stop running trials are wrong, on formulas and, where the files are present, on real curves.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use boxwood_bench::{Stops, Task, stops, suite};
use boxwood_core::SolverSpec;
use serde_json::json;

/// Random trials of a study; ten studies per problem, seeds 1 to 10.
const TRIALS: u64 = 60;

/// A rule by its name, or a forecast by its curves and the probability that it stops below.
fn rule(name: &str) -> SolverSpec {
    let mut parts = name.split(' ');
    let mut spec = json!({"name": "random", "early_stopping": parts.next()});
    if let Some((curves, probability)) = parts.next().zip(parts.next()) {
        spec["stopping_curves"] = curves.into();
        spec["stopping_probability"] = probability.parse::<f64>().unwrap().into();
    }
    serde_json::from_value(spec).unwrap()
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
    // These curves are of the families that a parametric forecast knows: a strict one stops more and loses no more.
    let parametric = measure(&tasks, "forecast parametric 0.005");
    assert!(parametric.cost() < forecast.cost(), "{parametric:?}");
    assert!(parametric.false_stop_rate() <= 0.02, "{parametric:?}");
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
        // Both are level at equal shares of false stops; the own curve alone is not to be trusted on real curves.
        measure(&tasks, "forecast parametric 0.005");
        let both = measure(&tasks, "forecast both 0.1");
        assert!(both.false_stop_rate() <= 0.05 && both.cost() < 0.8, "{family}: {both:?}");
        assert!(forecast.stopped >= forecast.trials / 5 && forecast.cost() < 0.8, "{family}: {forecast:?}");
        assert!(forecast.false_stop_rate() <= 0.05, "{family}: {forecast:?}");
    }
}
