//! Fetching the public data from the package registry.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::TrainerError;

/// Package whose wheel contains `MovieLens` 100K, pinned.
const PACKAGE: &str = "recbole==1.2.1";
/// Folder of the data inside the wheel.
const FOLDER_IN_WHEEL: &str = "recbole/dataset_example/ml-100k";
/// Files that are needed of it.
const FILES: [&str; 3] = ["ml-100k.inter", "ml-100k.user", "ml-100k.item"];

/// Folder with `MovieLens` 100K under `cache`, fetched through pip on the first call.
///
/// The data are `GroupLens`' and may not be redistributed, so they are not part of this project; the `recbole` package on
/// the Python package index carries a copy for examples. The folder appears at once and complete, or not at all, so
/// that several processes may call this at the same time.
///
/// # Errors
///
/// [`TrainerError::Fetch`] with advice where Python, pip or the network is missing.
pub fn get_movielens_100k(cache: &Path) -> Result<PathBuf, TrainerError> {
    get_with("python3", cache)
}

fn get_with(python: &str, cache: &Path) -> Result<PathBuf, TrainerError> {
    let target = cache.join("ml-100k");
    if FILES.iter().all(|file| target.join(file).is_file()) {
        return Ok(target);
    }
    fs::create_dir_all(cache).map_err(TrainerError::io("create", cache))?;
    let staging =
        tempfile::tempdir_in(cache).map_err(TrainerError::io("create a temporary folder in", cache))?;
    let advice = || {
        format!(
            "Connect to the network and try again, or put {} (or GroupLens' u.data, u.user, u.item) into {}, or use \
             synthetic data",
            FILES.join(", "),
            target.display()
        )
    };
    let wheel = download(python, staging.path(), &advice)?;
    let complete = staging.path().join("complete");
    fs::create_dir(&complete).map_err(TrainerError::io("create", &complete))?;
    extract(&wheel, &complete)?;
    match fs::rename(&complete, &target) {
        Ok(()) => Ok(target),
        // Another process was first, or an earlier folder is incomplete: fill in what it lacks, file by file.
        Err(_) if target.is_dir() => {
            for file in FILES {
                let (from, to) = (complete.join(file), target.join(file));
                fs::rename(&from, &to).map_err(TrainerError::io("write", to))?;
            }
            Ok(target)
        }
        Err(error) => Err(TrainerError::io("write", target)(error)),
    }
}

fn download(python: &str, folder: &Path, advice: &dyn Fn() -> String) -> Result<PathBuf, TrainerError> {
    let output = Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", PACKAGE, "-d"])
        .arg(folder)
        .output()
        .map_err(|error| TrainerError::Fetch {
            problem: format!("could not run {python} to download {PACKAGE}: {error}"),
            advice: advice(),
        })?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        let reason = log.lines().rev().find(|line| line.starts_with("ERROR")).unwrap_or_else(|| log.trim());
        return Err(TrainerError::Fetch {
            problem: format!("pip could not download {PACKAGE} ({reason})"),
            advice: advice(),
        });
    }
    fs::read_dir(folder)
        .map_err(TrainerError::io("read", folder))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| TrainerError::Fetch {
            problem: format!("pip left no wheel of {PACKAGE}"),
            advice: advice(),
        })
}

/// Copies the data files out of a wheel, which is a zip archive.
fn extract(wheel: &Path, folder: &Path) -> Result<(), TrainerError> {
    let damaged = |error: zip::result::ZipError| TrainerError::data(wheel, None, error.to_string());
    let file = File::open(wheel).map_err(TrainerError::io("open", wheel))?;
    let mut archive = zip::ZipArchive::new(file).map_err(damaged)?;
    for name in FILES {
        let mut entry = archive.by_name(&format!("{FOLDER_IN_WHEEL}/{name}")).map_err(damaged)?;
        let path = folder.join(name);
        let mut output = File::create(&path).map_err(TrainerError::io("create", &path))?;
        std::io::copy(&mut entry, &mut output).map_err(TrainerError::io("write", &path))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_complete_folder_is_used_without_fetching() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("ml-100k");
        fs::create_dir(&folder).unwrap();
        for file in FILES {
            fs::write(folder.join(file), "").unwrap();
        }
        assert_eq!(get_movielens_100k(cache.path()).unwrap(), folder);
    }

    #[test]
    fn without_python_or_pip_the_error_says_what_to_do() {
        let cache = tempfile::tempdir().unwrap();
        for (python, expected) in
            [("no-such-python", "could not run no-such-python"), ("false", "pip could not download")]
        {
            let error = get_with(python, cache.path()).unwrap_err();
            assert!(matches!(error, TrainerError::Fetch { .. }));
            let text = error.to_string();
            assert!(
                text.contains(expected) && text.contains("u.data") && text.contains("synthetic"),
                "{text}"
            );
            assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0, "nothing is left behind");
        }
    }

    #[test]
    fn a_wheel_gives_its_three_files_and_a_foreign_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        let write = |names: &[&str]| {
            let mut archive = zip::ZipWriter::new(File::create(&wheel).unwrap());
            for name in names {
                archive
                    .start_file(format!("{FOLDER_IN_WHEEL}/{name}"), zip::write::SimpleFileOptions::default())
                    .unwrap();
                archive.write_all(name.as_bytes()).unwrap();
            }
            archive.finish().unwrap();
        };
        write(&FILES);
        extract(&wheel, folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(FILES[1])).unwrap(), FILES[1]);
        write(&FILES[..1]);
        assert!(matches!(extract(&wheel, folder.path()), Err(TrainerError::Data { .. })));
    }
}
