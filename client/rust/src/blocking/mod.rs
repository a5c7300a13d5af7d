//! The same SDK without `async`: each client runs a small runtime of its own. Not for use inside a Tokio runtime.

mod study;
mod trial;

use std::sync::Arc;

pub use study::Study;
use tokio::runtime::Runtime;
pub use trial::Trial;

use crate::error::Error;
use crate::model::{StudyFilter, StudyInfo, TrialCurve};
use crate::options::ClientOptions;
use crate::specification::StudySource;

/// See [`crate::Client`].
#[derive(Debug, Clone)]
pub struct Client {
    inner: crate::Client,
    // Declared last: the client's tasks end before their runtime.
    runtime: Arc<Runtime>,
}

impl Client {
    /// Connects and checks that the server answers and takes the token.
    pub fn connect(options: ClientOptions) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("boxwood-client")
            .enable_all()
            .build()
            .map_err(|error| Error::Options { field: "runtime", reason: error.to_string() })?;
        let inner = runtime.block_on(crate::Client::connect(options))?;
        Ok(Self { inner, runtime: Arc::new(runtime) })
    }

    /// Creates a study, or opens the one of that name if its specification is equal.
    pub fn create_or_open_study(&self, specification: &impl StudySource) -> Result<Study, Error> {
        self.runtime.block_on(self.inner.create_or_open_study(specification)).map(|study| self.wrap(study))
    }

    /// Opens a study by name.
    pub fn open_study(&self, name: &str) -> Result<Study, Error> {
        self.runtime.block_on(self.inner.open_study(name)).map(|study| self.wrap(study))
    }

    /// Opens a study by id.
    pub fn open_study_id(&self, id: i64) -> Result<Study, Error> {
        self.runtime.block_on(self.inner.open_study_id(id)).map(|study| self.wrap(study))
    }

    /// Every study that passes the filter, newest first.
    pub fn list_studies(&self, filter: &StudyFilter) -> Result<Vec<StudyInfo>, Error> {
        self.runtime.block_on(self.inner.list_studies(filter))
    }

    /// A trial with its curve.
    pub fn trial(&self, id: i64) -> Result<TrialCurve, Error> {
        self.runtime.block_on(self.inner.trial(id))
    }

    fn wrap(&self, study: crate::Study) -> Study {
        Study::new(study, Arc::clone(&self.runtime))
    }
}
