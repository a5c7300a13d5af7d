//! Checkpoints on a file system that all workers share.
//!
//! A child writes into a folder of its own beside the final ones; the worker renames it when the child has ended well. So
//! a reader sees a whole checkpoint or none, and two attempts of one trial never write to the same place.

use std::io;
use std::path::{Component, Path, PathBuf};

use boxwood_wire::v1;

/// A folder that holds `study-ID/trial-NUMBER/RESOURCE-UNITS-lease-EPOCH`.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointStore {
    root: PathBuf,
}

const SCHEME: &str = "file:";

impl CheckpointStore {
    /// Creates the folder if it is not there.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// The path of a checkpoint; `None` for one that is not in this store or has been removed. The server's word is not
    /// trusted to stay inside the store.
    pub(crate) fn resolve(&self, uri: &str) -> Option<PathBuf> {
        let relative = Path::new(uri.strip_prefix(SCHEME)?);
        let is_inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
        let path = self.root.join(relative);
        (is_inside && !relative.as_os_str().is_empty() && path.exists()).then_some(path)
    }

    /// An empty folder for a child to write into.
    pub(crate) fn begin(&self, lease: &v1::Lease) -> io::Result<PathBuf> {
        let path = self.root.join(trial_folder(lease)).join(format!(".writing-lease-{}", lease.epoch));
        self.discard(&path);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Makes what a child wrote visible under its own name; `None` if the child wrote nothing.
    pub(crate) fn keep(&self, written: &Path, lease: &v1::Lease, units: u64) -> io::Result<Option<String>> {
        if std::fs::read_dir(written)?.next().is_none() {
            self.discard(written);
            return Ok(None);
        }
        let resource: String = lease
            .resource
            .chars()
            .map(|letter| if letter.is_alphanumeric() { letter } else { '_' })
            .collect();
        let relative = trial_folder(lease).join(format!("{resource}-{units}-lease-{}", lease.epoch));
        std::fs::rename(written, self.root.join(&relative))?;
        Ok(Some(format!("{SCHEME}{}", relative.display())))
    }

    /// Removes what a child wrote.
    pub(crate) fn discard(&self, written: &Path) {
        debug_assert!(written.starts_with(&self.root));
        match std::fs::remove_dir_all(written) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, path = %written.display(), "remove unfinished checkpoint"),
        }
    }
}

fn trial_folder(lease: &v1::Lease) -> PathBuf {
    PathBuf::from(format!("study-{}", lease.study)).join(format!("trial-{}", lease.number))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_checkpoints_become_visible() {
        let root = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(root.path()).unwrap();
        let lease =
            v1::Lease { study: 3, number: 7, epoch: 2, resource: "epochs".into(), ..v1::Lease::default() };
        let written = store.begin(&lease).unwrap();
        std::fs::write(written.join("model"), "x").unwrap();
        let again = store.begin(&lease).unwrap();
        assert_eq!(std::fs::read_dir(&again).unwrap().count(), 0, "a new attempt starts empty");
        assert_eq!(store.keep(&again, &lease, 9).unwrap(), None);
        let written = store.begin(&lease).unwrap();
        std::fs::write(written.join("model"), "x").unwrap();
        let uri = store.keep(&written, &lease, 9).unwrap().unwrap();
        assert_eq!(uri, "file:study-3/trial-7/epochs-9-lease-2");
        assert_eq!(std::fs::read_to_string(store.resolve(&uri).unwrap().join("model")).unwrap(), "x");
    }

    #[test]
    fn a_uri_cannot_leave_the_store() {
        let root = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(root.path()).unwrap();
        for uri in ["file:../x", "file:/etc/passwd", "file:", "file:a/../../b", "s3:x", "", "file:missing"] {
            assert_eq!(store.resolve(uri), None, "{uri}");
        }
    }
}
