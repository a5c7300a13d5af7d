//! Loaders on tiny files.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use boxwood_bench::tables::{Array, NearestTable, bars, curves, grids, lcdb, mindware, moot};
use boxwood_core::{Point, Resource, Seed, Value};
use boxwood_testkit::{Outcome, TestProblem};
use flate2::Compression;
use flate2::write::GzEncoder;

fn packed(path: &Path, content: &[u8]) {
    let mut encoder = GzEncoder::new(std::fs::File::create(path).unwrap(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap();
}

fn npy(kind: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), body].concat()
}

fn score(problem: &dyn TestProblem, values: &[(&str, Value)], resource: u64) -> Outcome {
    let point = Point(values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
    problem.evaluate(&point, Resource(resource), Seed(1))
}

fn measured(outcome: Outcome) -> f64 {
    match outcome {
        Outcome::Measured(metrics) => metrics.get("value").unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_becomes_a_space_and_answers_by_the_nearest_row() {
    let names = ["rate", "kind", "fixed", "size"].map(String::from);
    let cells = [["1e-4", "a", "7", "1"], ["1e-1", "b", "7", "3"], ["1e-1", "a", "7", "2"]];
    let cells: Vec<Vec<String>> = cells.iter().map(|row| row.map(String::from).to_vec()).collect();
    let table = NearestTable::new(&names, &cells, vec![1.0, 2.0, 3.0]);
    let parameters = table.parameters();
    assert_eq!(parameters.len(), 3);
    assert_eq!(parameters[0]["choices"][1], 0.1, "few numbers are levels");
    assert_eq!(parameters[2]["type"], "ordinal");
    assert_eq!(parameters[1]["choices"][1], "b");
    let point = |rate: f64, kind: &str, size: f64| {
        let values = [("rate", Value::Float(rate)), ("kind", kind.into()), ("size", Value::Float(size))];
        Point(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let nearest =
        [point(1e-3, "a", 1.0), point(0.05, "b", 3.0), point(0.05, "a", 2.0)].map(|p| table.nearest(&p, ""));
    assert_eq!(nearest, [0, 1, 2]);
    assert_eq!(table.point(1), point(1e-1, "b", 3.0));
    let many: Vec<Vec<String>> =
        (1..=20).map(|k| vec![f64::powi(2.0, k).to_string(), k.to_string()]).collect();
    let table = NearestTable::new(&names[..2], &many, vec![0.0; 20]);
    let scales = table.parameters().iter().map(|parameter| parameter["scale"].clone()).collect::<Vec<_>>();
    assert_eq!(scales, ["log", "linear"], "many numbers are a range");
}

#[test]
fn arrays_are_read_and_bad_ones_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy.gz");
    let body: Vec<u8> = [1.5_f32, -2.0, 0.25, f32::NAN].iter().flat_map(|x| x.to_le_bytes()).collect();
    packed(&path, &npy("<f4", "2, 2", &body));
    let array = Array::read(&path).unwrap();
    assert_eq!((array.shape, &array.values[..3]), (vec![2, 2], [1.5, -2.0, 0.25].as_slice()));
    packed(&path, &npy("<f4", "3,", &body));
    assert!(Array::read(&path).unwrap_err().to_string().contains("does not fit 4 values"));
    packed(&path, b"nonsense");
    assert!(Array::read(&path).unwrap_err().to_string().contains("a.npy.gz"));
    assert!(Array::read(&folder.path().join("absent.npy")).unwrap_err().to_string().contains("absent.npy"));
}

#[test]
fn learning_curves_are_looked_up_by_step() {
    let folder = tempfile::tempdir().unwrap();
    let hyperparameters: Vec<u8> = [1e-4_f64, 0.1, 1e-1, 0.9].iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.path().join("hps.npy"), npy("<f8", "2, 2", &hyperparameters)).unwrap();
    // Two configurations, three splits, three steps; the second diverges.
    let curves_of =
        [[9.0, 9.0, 9.0, 3.0, 2.0, 1.0, 0.0, 0.0, 0.0], [9.0, 9.0, 9.0, 3.0, 4.0, f32::NAN, 0.0, 0.0, 0.0]];
    let body: Vec<u8> = curves_of.iter().flatten().flat_map(|x: &f32| x.to_le_bytes()).collect();
    packed(&folder.path().join("t.npy.gz"), &npy("<f4", "2, 3, 3", &body));
    let spec = r#"{"hp_names": ["learning_rate", "beta1"], "hps_file": "hps.npy", "tasks": {"t": {"file": "t.npy.gz"}}}"#;
    std::fs::write(folder.path().join("spec.json"), spec).unwrap();
    let tables = curves::taskset(folder.path(), 5).unwrap();
    let table = &tables[0];
    table.spec().check().unwrap();
    assert_eq!((table.name().as_str(), table.optimum()), ("taskset_t", 1.0));
    let good = [("learning_rate", Value::Float(1e-4)), ("beta1", Value::Float(0.1))];
    let bad = [("learning_rate", Value::Float(1e-1)), ("beta1", Value::Float(0.9))];
    assert_eq!([1, 2].map(|step| measured(score(table, &good, step))), [2.0, 1.0]);
    assert_eq!(measured(score(table, &bad, 1)), 4.0);
    assert!(matches!(score(table, &bad, 2), Outcome::Failed(_)));
}

#[test]
fn arms_come_from_one_file_per_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |arm: usize| -> String {
        let row = |i: usize| {
            format!(
                "iris,{},{},{}\n",
                i,
                if i.is_multiple_of(2) { "l1" } else { "l2" },
                0.5 + 0.01 * (i + arm) as f64
            )
        };
        let more: String = (0..25).map(row).collect();
        format!("dataset,C,penalty,perf\n{more}tiny,1,l1,0.9\n")
    };
    packed(&folder.path().join("hpo_bal_acc_svc.csv.gz"), rows(0).as_bytes());
    packed(&folder.path().join("hpo_bal_acc_logistic.csv.gz"), rows(3).as_bytes());
    packed(&folder.path().join("hpo_mse_ridge.csv.gz"), b"ignored");
    let tables = mindware::load(folder.path(), 9).unwrap();
    assert_eq!((tables.len(), tables[0].arms(), tables[0].name()), (1, 2, "mindware_iris".to_owned()));
    assert_eq!(tables[0].optimum(), 0.5 + 0.01 * 27.0);
    tables[0].spec().check().unwrap();
    let at = [("arm", "svc".into()), ("svc.C", Value::Float(24.0)), ("svc.penalty", "l1".into())];
    assert_eq!(measured(score(&tables[0], &at, 1)), 0.5 + 0.01 * 24.0);
    assert!(matches!(score(&tables[0], &[("arm", "none".into())], 1), Outcome::Infeasible(_)));
}

#[test]
fn runs_of_recommenders_and_software_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = |i: usize| {
        format!("S,FM,t{i},0.{},\"{{\"\"dropout\"\":{},\"\"units\"\":[{},4]}}\"\n", 70 + i, 0.1 * i as f64, i)
    };
    let runs: String = (0..9).map(run).collect();
    let text = format!("dataset,model,trial,val_AUC,config\n{runs}S,Rare,t,0.99,\"{{}}\"\n");
    packed(&folder.path().join("S.csv.gz"), text.as_bytes());
    let tables = bars::load(folder.path(), &["S"]).unwrap();
    assert_eq!((tables[0].arms(), tables[0].optimum()), (1, 0.78));
    tables[0].spec().check().unwrap();
    packed(&folder.path().join("db.csv.gz"), b"Cache,Mode,Speed+,Size-\n1,a,10,5\n2,b,30,6\n4,a,?,7\n");
    let table = moot::load(&folder.path().join("db.csv.gz")).unwrap();
    assert_eq!((table.name().as_str(), table.optimum()), ("moot_db", 30.0));
    assert_eq!(measured(score(&table, &[("Cache", Value::Float(1.1)), ("Mode", "a".into())], 1)), 10.0);
    assert!(bars::load(folder.path(), &["absent"]).unwrap_err().to_string().contains("absent.csv.gz"));
}

#[test]
fn a_grid_answers_every_combination() {
    let folder = tempfile::tempdir().unwrap();
    let spec = r#"{"families": {"small": {"main_metric": "acc", "columns": ["acc_rep0", "acc_rep1", "size"],
        "directions": {"acc": "maximize"}, "space": [{"name": "op", "choices": ["none", "conv"]},
        {"name": "width", "choices": [8, 16]}], "datasets": {"toy": {"file": "toy.npy.gz"}, "absent": {"file": "no"}}}}}"#;
    std::fs::write(folder.path().join("spec.json"), spec).unwrap();
    let rows = [[0.5_f32, 0.7, 1.0], [0.1, f32::NAN, 1.0], [0.9, 0.9, 1.0], [f32::NAN, f32::NAN, 1.0]];
    let body: Vec<u8> = rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
    packed(&folder.path().join("toy.npy.gz"), &npy("<f4", "4, 3", &body));
    let tables = grids::tabular(folder.path()).unwrap();
    let [table] = &tables[..] else { panic!("{tables:?}") };
    assert_eq!(table.spec().check().unwrap().space().cardinality(), Some(4));
    let at = |op: &str, width: i64| score(table, &[("op", op.into()), ("width", Value::Integer(width))], 1);
    assert!((measured(at("none", 8)) - 0.6).abs() < 1e-6, "the mean of both repetitions");
    assert!((measured(at("none", 16)) - 0.1).abs() < 1e-6, "of those that are there");
    assert!((measured(at("conv", 8)) - table.optimum()).abs() < 1e-12);
    assert!(matches!(at("conv", 16), Outcome::Failed(_)));
}

#[test]
fn a_kernel_that_was_not_timed_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.csv.gz");
    packed(&path, b"block,tile,pad,time_ms\n16,1,0,3.5\n32,1,0,2.5\n16,2,0,\n");
    let table = grids::kernel(&path).unwrap();
    assert_eq!(table.spec().space.parameters.len(), 2, "a column of one value is no parameter");
    let at = |block: i64, tile: i64| {
        score(&table, &[("block", Value::Integer(block)), ("tile", Value::Integer(tile))], 1)
    };
    assert_eq!((measured(at(16, 1)), table.optimum()), (3.5, 2.5));
    assert!(matches!(at(16, 2), Outcome::Failed(_)) && matches!(at(32, 2), Outcome::Failed(_)));
    packed(&path, b"block,time_ms\nx,1\n");
    assert!(grids::kernel(&path).unwrap_err().to_string().contains("no number"));
}

#[test]
fn learners_climb_the_numbers_of_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lcdb.csv.gz");
    let header = "openmlid,learner,size_train,n,valid,valid_sd,test,train,time\n";
    // Sixteen learners on data set 7; one more was not run on all rows, and data set 3 has too few rows.
    let curve = |learner: usize, set: usize, sizes: &[u64]| -> String {
        let row = |size: &u64| {
            let accuracy = 0.5 + 0.01 * learner as f64 - 1.0 / *size as f64;
            format!("{set},sklearn.x.L{learner},{size},9,{accuracy},0.1,,,1\n")
        };
        sizes.iter().map(row).collect()
    };
    let complete: String = (0..16).map(|learner| curve(learner, 7, &[16, 64, 256, 1024, 3000])).collect();
    let small: String = (0..16).map(|learner| curve(learner, 3, &[16, 64, 100])).collect();
    let text = [header, &complete, &curve(40, 7, &[64, 256]), &small, "7,L1,64,9,,,,,\n"].concat();
    packed(&path, text.as_bytes());
    let tables = lcdb::load(&path, 5).unwrap();
    assert_eq!((tables.len(), tables[0].name(), tables[0].arms()), (1, "lcdb_7".to_owned(), 16));
    let problem = tables[0].spec().check().unwrap();
    let rows: Vec<u64> = problem.ladder().rungs().map(|(_, rows)| rows.0).collect();
    assert_eq!(rows, [64, 256, 1024, 3000]);
    assert!((tables[0].optimum() - (0.65 - 1.0 / 3000.0)).abs() < 1e-12);
    let at = |rows: u64| measured(score(&tables[0], &[("arm", "L15".into())], rows));
    assert_eq!([64, 1024].map(at), [64.0, 1024.0].map(|rows| 0.65 - 1.0 / rows));
    assert!(matches!(score(&tables[0], &[("arm", "L40".into())], 64), Outcome::Infeasible(_)));
    assert!(tables[0].curves().iter().all(|curve| curve.windows(2).all(|pair| pair[0] <= pair[1])));
    packed(&path, [header, &small].concat().as_bytes());
    assert!(lcdb::load(&path, 5).unwrap_err().to_string().contains("16 learners"));
}

#[test]
fn the_real_tables_of_learners_load() {
    let Some(folder) = std::env::var_os("BOXWOOD_SHARED") else {
        eprintln!("skipped: BOXWOOD_SHARED does not name the folder with cash/lcdb_accuracy_mean.csv.gz");
        return;
    };
    let path = Path::new(&folder).join("cash/lcdb_accuracy_mean.csv.gz");
    if !path.exists() {
        eprintln!("skipped: there is no file cash/lcdb_accuracy_mean.csv.gz under BOXWOOD_SHARED");
        return;
    }
    let tables = lcdb::load(&path, usize::MAX).unwrap();
    println!("{} data sets", tables.len());
    assert!(tables.len() >= 50);
    for table in &tables {
        table.spec().check().unwrap_or_else(|error| panic!("{}: {error}", table.name()));
        assert!(table.arms() >= 16 && table.optimum() <= 1.0, "{}", table.name());
    }
}
