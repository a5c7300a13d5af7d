//! The runner, the comparison and the table of peers, end to end on small studies.
#![allow(clippy::unwrap_used)]

use boxwood_bench::{Cell, Options, Report, Run, compare, latency, names, peers, run, suite};

fn options(suite: &str, solvers: &[&str]) -> Options {
    Options {
        suite: suite.into(),
        solvers: solvers.iter().map(|name| (*name).to_owned()).collect(),
        seeds: 2,
        command: "test".into(),
        ..Options::default()
    }
}

#[test]
fn every_suite_loads_without_data_and_says_what_is_missing() {
    for name in names() {
        let loaded = suite(name, None).unwrap();
        for task in &loaded.tasks {
            task.problem.spec().check().unwrap_or_else(|error| panic!("{}: {error}", task.name()));
            assert!(task.trials.is_some() != task.full_runs.is_some(), "{} has one budget", task.name());
        }
        let mut problems: Vec<String> = loaded.tasks.iter().map(boxwood_bench::Task::name).collect();
        problems.sort();
        problems.dedup();
        assert_eq!(problems.len(), loaded.tasks.len(), "{name} has a problem twice");
        let needs_tables = ["multifidelity", "cash", "transfer", "tables"].contains(&name);
        assert_eq!(!loaded.skipped.is_empty(), needs_tables, "{name}");
    }
    let absent = suite("cash", Some(std::path::Path::new("nowhere"))).unwrap();
    assert!(absent.skipped.iter().all(|skipped| skipped.why.contains("nowhere")) && !absent.tasks.is_empty());
}

#[test]
fn wrong_names_are_answered_with_the_known_ones() {
    let message = |options: Options| run(&options).unwrap_err().to_string();
    assert!(message(options("nonesuch", &["random"])).contains("smoke"));
    assert!(message(options("smoke", &["nonesuch"])).contains("random"));
    let problems = vec!["nonesuch".into()];
    assert!(message(Options { problems, ..options("smoke", &["random"]) }).contains("branin2"));
    let target_of = Some("bo".into());
    assert!(
        message(Options { target_of, ..options("smoke", &["random"]) }).contains("`bo` is none of random")
    );
    assert!(message(Options { seeds: 0, ..options("smoke", &["random"]) }).contains("seed"));
}

#[test]
fn seeds_start_where_they_are_told_to() {
    let few = Options { trials: Some(4), problems: vec!["branin2".into()], ..options("smoke", &["random"]) };
    let all = run(&few).unwrap();
    let late = run(&Options { seeds: 1, first_seed: 2, ..few }).unwrap();
    assert_eq!((&all.seeds[..], &late.seeds[..]), (&[1, 2][..], &[2][..]));
    assert_eq!(late.cells[0].runs[0].course, all.cells[0].runs[1].course);
}

#[test]
fn a_run_repeats_itself_and_survives_its_file() {
    let small = Options { trials: Some(8), ..options("smoke", &["random", "sobol"]) };
    let first = run(&Options { target_of: Some("random".into()), ..small.clone() }).unwrap();
    assert_eq!(first.targets.len(), first.cells.len());
    let second = run(&Options { threads: Some(1), ..small }).unwrap();
    let courses = |report: &Report| -> Vec<Vec<(f64, f64)>> {
        report.cells.iter().flat_map(|cell| cell.runs.iter().map(|run| run.course.clone())).collect()
    };
    assert_eq!(courses(&first), courses(&second));
    assert_eq!(first.cells.len(), 10);
    for cell in &first.cells {
        assert_eq!(cell.runs.len(), 2);
        for run in &cell.runs {
            assert!(run.course.windows(2).all(|pair| pair[0].0 < pair[1].0), "{}", cell.problem);
            assert!(run.course.iter().all(|(_, gap)| *gap > -1e-9), "{}", cell.problem);
            if cell.measure == "regret" && cell.unit == "trials" {
                assert!(run.course.windows(2).all(|pair| pair[0].1 > pair[1].1), "{}", cell.problem);
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    first.write(&path).unwrap();
    assert_eq!(Report::read(&path).unwrap(), first);
    assert!(first.text().contains("mean rank"));
    let same = compare::compare(&first, &second).unwrap();
    assert!(same.rows.iter().all(|row| row.signed_rank == 1.0 && row.first_better == 0));
}

#[test]
fn the_least_busy_run_is_printed() {
    let mut idle = cell("p", "a", &[1.0, 2.0]);
    idle.runs[1].utilization = 0.625;
    assert_eq!(idle.least_utilization(), 0.625);
    let text = report(vec![idle]).text();
    assert!(text.contains("least busy") && text.contains("0.625"), "{text}");
}

#[test]
fn unsupported_problems_are_skipped_by_name() {
    let problems = vec!["zdt1_6".into()];
    let report = run(&Options { problems, ..options("smoke", &["random", "forest"]) }).unwrap();
    let ran_or_named = report.cells.len() + report.skipped.len();
    assert_eq!(ran_or_named, 2, "{:?}", report.skipped);
}

fn cell(problem: &str, solver: &str, finals: &[f64]) -> Cell {
    let run = |(i, gap): (usize, &f64)| Run {
        seed: i as u64 + 1,
        course: vec![(1.0, 9.0), (5.0, *gap)],
        trials: 10,
        plan_seconds: 0.1,
        slowest_plan_seconds: 0.05,
        suggestions: 10,
        utilization: 1.0,
    };
    Cell {
        problem: problem.into(),
        solver: solver.into(),
        budget: 10.0,
        unit: "trials".into(),
        workers: 1,
        measure: "regret".into(),
        runs: finals.iter().enumerate().map(run).collect(),
    }
}

fn report(cells: Vec<Cell>) -> Report {
    Report {
        suite: "test".into(),
        command: "test".into(),
        seeds: vec![1, 2, 3, 4, 5],
        versions: std::collections::BTreeMap::new(),
        cells,
        skipped: Vec::new(),
        latency: Vec::new(),
        targets: Vec::new(),
    }
}

#[test]
fn comparisons_pair_seeds_and_standings_rank_medians() {
    let a = report(vec![cell("p", "a", &[1.0, 2.0, 3.0, 4.0, 5.0]), cell("q", "a", &[3.0; 5])]);
    let b = report(vec![cell("p", "b", &[1.5, 2.7, 3.9, 5.1, 6.3]), cell("q", "b", &[2.0; 5])]);
    let found = compare::compare(&a, &b).unwrap();
    assert_eq!((found.rows[0].first_better, found.rows[0].signed_rank), (5, 0.0625));
    assert_eq!((found.first_better, found.second_better, found.sign), (1, 1, 1.0));
    let mut other = b.clone();
    other.cells[0].budget = 20.0;
    assert!(compare::compare(&a, &other).unwrap_err().to_string().contains("budgets differ"));
    let both = report([a.cells, b.cells].concat());
    let standings = both.standings();
    assert_eq!((standings[0].mean_rank, standings[0].wins, standings[0].problems), (1.5, 1, 2));
    assert_eq!(both.cells[0].gaps(0.25), [9.0; 5]);
}

#[test]
fn peers_are_read_from_their_files_and_ranked_at_equal_budgets() {
    let folder = tempfile::tempdir().unwrap();
    let peer = |lib: &str, values: &str, length: usize| {
        let text = format!(
            r#"{{"lib": "{lib}", "task": "p", "budget": 10, "optimum": 1.0, "ref": null,
                "runs": [{{"seed": 0, "n": {length}, "spent": {length}.0, "trace": [{values}], "final": 1.0}}]}}"#
        );
        std::fs::write(folder.path().join(format!("{lib}.json")), text).unwrap();
    };
    peer("good", "Infinity, 3, 3, 3, 3, 3, 3, 3, 3, 1.5", 10);
    peer("bad", "9, 9, 9, 9, 9, 9, 9, 9, 9, 9", 10);
    peer("short", "1.1, 1.1", 2);
    std::fs::write(folder.path().join("other.json"), "{}").unwrap();
    let report = report(vec![cell("p", "mine", &[2.0; 5])]);
    let found = peers::beside(&report, folder.path()).unwrap();
    let last = found.checkpoints.iter().find(|checkpoint| checkpoint.spent == 10.0).unwrap();
    let names: Vec<&str> = last.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["good", "boxwood/mine", "bad"]);
    assert_eq!(last.entries[0].gaps, [0.5]);
    assert_eq!(found.ignored, ["other.json"]);
    assert_eq!(found.standings()[0].0, "good");
    let empty = tempfile::tempdir().unwrap();
    assert!(peers::beside(&report, empty.path()).is_err());
}

#[test]
fn suggestions_are_timed_after_random_trials() {
    let report = latency(&options("latency", &["random"]), &[6], &[20]).unwrap();
    let row = &report.latency[0];
    assert_eq!((row.seconds.len(), row.trials, row.failed.as_deref()), (8, 20, None));
    assert!(report.text().contains("mean of further"));
}
