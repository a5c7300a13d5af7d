//! Checkpoints: the state of a run in one small binary file.
//!
//! File `state.bin` in the checkpoint folder: magic `BWTRAIN1`, digest of (arm, hyperparameters, seed, data), steps done
//! and three lengths as u64, then parameters, first moments, second moments, running statistics as f32, then the SHA-256
//! of everything before it; all little-endian. Random streams are addressed by (seed, step), so the step is also their
//! position.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::optimizer::Moments;
use crate::TrainerError;

const MAGIC: &[u8; 8] = b"BWTRAIN1";
const FILE: &str = "state.bin";
const DIGEST: usize = 32;
/// Magic, identity, step count, number of parameters and of statistics.
const HEADER: usize = MAGIC.len() + DIGEST + 3 * 8;

/// Everything that the next step depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    /// Steps done.
    pub(crate) step: u64,
    pub(crate) parameters: Vec<f32>,
    pub(crate) moments: Moments,
    /// Running statistics of batch normalizations.
    pub(crate) running: Vec<f32>,
}

/// Writes the state into a folder; a reader sees the old file or the new one, never a part.
pub(crate) fn save(folder: &Path, identity: &[u8; DIGEST], state: &State) -> Result<(), TrainerError> {
    fs::create_dir_all(folder).map_err(TrainerError::io("create", folder))?;
    let mut bytes =
        Vec::with_capacity(HEADER + DIGEST + 4 * (3 * state.parameters.len() + state.running.len()));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(identity);
    for number in [state.step, state.parameters.len() as u64, state.running.len() as u64] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for values in [&state.parameters, &state.moments.first, &state.moments.second, &state.running] {
        for value in values {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .map_err(TrainerError::io("create a temporary file in", folder))?;
    file.write_all(&bytes).map_err(TrainerError::io("write", file.path()))?;
    file.as_file().sync_all().map_err(TrainerError::io("write", file.path()))?;
    let target = folder.join(FILE);
    file.persist(&target).map_err(|error| TrainerError::io("write", &target)(error.error))?;
    // The new name itself must survive a power cut too.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(TrainerError::io("write", folder))
}

/// Reads a state that belongs to `identity`.
pub(crate) fn load(folder: &Path, identity: &[u8; DIGEST]) -> Result<State, TrainerError> {
    let path = folder.join(FILE);
    let bytes = fs::read(&path).map_err(TrainerError::io("read", &path))?;
    let refuse =
        |problem: &str| TrainerError::Checkpoint { path: folder.to_owned(), problem: problem.to_owned() };
    if bytes.len() < HEADER + DIGEST || &bytes[..MAGIC.len()] != MAGIC {
        return Err(refuse("is not a checkpoint of this program"));
    }
    let (content, digest) = bytes.split_at(bytes.len() - DIGEST);
    if Sha256::digest(content)[..] != *digest {
        return Err(refuse("is damaged"));
    }
    if content[MAGIC.len()..MAGIC.len() + DIGEST] != identity[..] {
        return Err(refuse("belongs to other parameters, another seed or other data"));
    }
    let number = |index: usize| {
        let start = MAGIC.len() + DIGEST + 8 * index;
        u64::from_le_bytes(content[start..start + 8].try_into().expect("eight bytes"))
    };
    let (step, parameters, running) = (number(0), number(1) as usize, number(2) as usize);
    let mut values = content[HEADER..]
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")));
    let mut take = |count: usize| values.by_ref().take(count).collect::<Vec<f32>>();
    let state = State {
        step,
        parameters: take(parameters),
        moments: Moments { first: take(parameters), second: take(parameters) },
        running: take(running),
    };
    if content.len() - HEADER != 4 * (3 * state.parameters.len() + state.running.len()) {
        return Err(refuse("has a wrong length"));
    }
    Ok(state)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            step: 7,
            parameters: vec![1.0, -2.5, f32::MIN_POSITIVE],
            moments: Moments { first: vec![0.1, 0.2, 0.3], second: vec![1.0, 2.0, 3.0] },
            running: vec![0.5, 1.5],
        }
    }

    #[test]
    fn a_saved_state_comes_back_and_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er");
        save(&path, &[1; 32], &State { step: 1, ..state() }).unwrap();
        save(&path, &[1; 32], &state()).unwrap();
        assert_eq!(load(&path, &[1; 32]).unwrap(), state());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn damage_and_foreign_identity_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(load(folder.path(), &[1; 32]), Err(TrainerError::Io { .. })));
        save(folder.path(), &[1; 32], &state()).unwrap();
        let problem = |identity: [u8; 32]| load(folder.path(), &identity).unwrap_err().to_string();
        assert!(problem([2; 32]).contains("belongs to other"));
        let file = folder.path().join(FILE);
        let bytes = fs::read(&file).unwrap();
        let mut flipped = bytes.clone();
        flipped[90] ^= 1;
        fs::write(&file, flipped).unwrap();
        assert!(problem([1; 32]).contains("damaged"));
        fs::write(&file, &bytes[..50]).unwrap();
        assert!(problem([1; 32]).contains("not a checkpoint"));
    }
}
