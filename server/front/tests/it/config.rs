//! Where a configuration comes from, and what is refused.

use boxwood_front::{Config, ConfigError, LimitOptions, LogFormat, Options, VARIABLES};

fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boxwood.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn defaults_give_way_to_the_file_then_variables_then_flags() {
    let (_folder, path) = file(
        "grpc_address = \"127.0.0.1:1\"\n[limits]\npage = 10\nbody_bytes = 1\n[log]\nlevel = \"warn\"\n",
    );
    let environment =
        variables(&[("BOXWOOD_LIMITS_PAGE", "20"), ("BOXWOOD_LOG_FORMAT", "json"), ("HOME", "/")]);
    let limits = LimitOptions { body_bytes: Some(3), ..LimitOptions::default() };
    let flags = Options { limits, ..Options::default() };
    let config = Config::load(Some(&path), environment, flags).unwrap();
    assert_eq!(config.grpc_address, "127.0.0.1:1".parse().unwrap());
    assert_eq!(config.rest_address, Config::default().rest_address);
    assert_eq!((config.limits.page, config.limits.body_bytes), (20, 3));
    assert_eq!((config.log.level.as_str(), config.log.format), ("warn", LogFormat::Json));
}

#[test]
fn unknown_names_refuse_to_start() {
    let (_folder, path) = file("grpc_adress = \"127.0.0.1:1\"\n");
    let error = Config::load(Some(&path), Vec::new(), Options::default()).unwrap_err();
    assert!(error.to_string().contains("grpc_adress"), "{error}");
    let (_folder, path) = file("[limits]\npages = 3\n");
    let error = Config::load(Some(&path), Vec::new(), Options::default()).unwrap_err();
    assert!(error.to_string().contains("pages"), "{error}");
    let error = Config::load(None, variables(&[("BOXWOOD_DATABSE", "x")]), Options::default()).unwrap_err();
    assert!(matches!(&error, ConfigError::UnknownVariable { name } if name == "BOXWOOD_DATABSE"));
    assert!(error.to_string().contains("BOXWOOD_DATABASE"));
    assert!(Config::load(None, variables(&[("BOXWOOD_TOKEN", "bw_x")]), Options::default()).is_ok());
}

#[test]
fn wrong_values_refuse_to_start() {
    for (pair, named) in [
        (("BOXWOOD_GRPC_ADDRESS", "localhost"), "BOXWOOD_GRPC_ADDRESS"),
        (("BOXWOOD_LIMITS_PAGE", "-1"), "BOXWOOD_LIMITS_PAGE"),
        (("BOXWOOD_LIMITS_PAGE", "0"), "limits.page"),
        (("BOXWOOD_PLAN_DEADLINE_SECONDS", "NaN"), "plan_deadline_seconds"),
        (("BOXWOOD_TLS_KEY", "key.pem"), "tls.certificate"),
        (("BOXWOOD_LOG_FORMAT", "xml"), "BOXWOOD_LOG_FORMAT"),
        (("BOXWOOD_LOG_LEVEL", "loud=very"), "log.level"),
        (("BOXWOOD_DATABASE", " "), "database"),
    ] {
        let error = Config::load(None, variables(&[pair]), Options::default()).unwrap_err();
        assert!(error.to_string().contains(named), "{pair:?}: {error}");
    }
}

#[test]
fn what_is_printed_holds_no_secret_and_can_be_read_back() {
    let database = Some("postgres://ann:hidden@db.example/boxwood?password=hidden".into());
    let config = Config::resolve([Options { database, ..Options::default() }]).unwrap();
    let text = config.redacted();
    assert!(!text.contains("hidden") && text.contains("ann:***@db.example"), "{text}");
    let (_folder, path) = file(&Config::default().redacted());
    assert_eq!(Config::load(Some(&path), Vec::new(), Options::default()).unwrap(), Config::default());
}

#[test]
fn every_variable_is_named_once_and_explained() {
    let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
    names.dedup();
    assert_eq!(names.len(), VARIABLES.len());
    assert!(VARIABLES.iter().all(|v| v.name.starts_with("BOXWOOD_") && !v.meaning.is_empty()));
}
