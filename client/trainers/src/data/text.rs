//! Reading text files that may be compressed or in an old encoding.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::TrainerError;

/// The file itself, or the same name with `.gz` where only that exists.
pub(crate) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|path| path.is_file())
}

/// Whole content of a file; decompressed where its name ends with `.gz`, read as Latin-1 where it is not UTF-8.
pub(crate) fn read(path: &Path) -> Result<String, TrainerError> {
    let file = File::open(path).map_err(TrainerError::io("open", path))?;
    let mut bytes = Vec::new();
    let mut reader = BufReader::new(file);
    if path.extension().is_some_and(|extension| extension == "gz") {
        MultiGzDecoder::new(reader).read_to_end(&mut bytes)
    } else {
        reader.read_to_end(&mut bytes)
    }
    .map_err(TrainerError::io("read", path))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned),
        // Latin-1 bytes are the code points of the same number; GroupLens' older files are in it.
        Err(error) => error.as_bytes().iter().map(|&byte| char::from(byte)).collect(),
    })
}

/// A finite number, or an error that names the file and line.
pub(crate) fn number(text: &str, what: &str, path: &Path, line: u64) -> Result<f64, TrainerError> {
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(TrainerError::data(path, Some(line), format!("{what} `{text}` is not a finite number"))),
    }
}
