//! Rust SDK of Boxwood: create a study, suggest, report, finish.
//!
//! [`Client`] is asynchronous, [`blocking::Client`] is not. A [`Trial`] holds a lease that one background task per
//! client keeps alive; calls are repeated with the same request id while the server is away, up to the deadline of the
//! [`RetryPolicy`]. Programs that a worker runs use [`child::Session`] instead.
//!
//! ```no_run
//! # async fn tune() -> Result<(), boxwood_client::Error> {
//! use boxwood_client::{Client, ClientOptions, Space, StudyBuilder};
//!
//! let client = Client::connect(ClientOptions::new("http://127.0.0.1:7717")).await?;
//! let space = Space::new().float("lr", 1e-5, 1e-1).log().integer("layers", 1, 4);
//! let study = StudyBuilder::new("digits", space).maximize("accuracy").budget_trials(50);
//! let study = client.create_or_open_study(&study).await?;
//! while let Some(trial) = study.suggest().await? {
//!     let accuracy = 1.0 - (trial.float("lr")?.log10() + 2.0).powi(2);
//!     trial.finish([("accuracy", accuracy)]).await?;
//! }
//! # Ok(())
//! # }
//! ```

mod analysis;
pub mod blocking;
#[cfg(unix)]
pub mod child;
mod client;
mod error;
mod keeper;
mod lists;
mod model;
mod optimize;
mod options;
mod point;
mod retry;
mod space;
mod specification;
mod study;
mod transport;
mod trial;

pub use analysis::Analysis;
pub use boxwood_wire::ErrorCode;
pub use client::Client;
pub use error::Error;
pub use lists::{Trials, Watch};
pub use model::{
    CurveInfo, Ending, Finished, ReplayInfo, StudyChange, StudyFilter, StudyInfo, StudyState, TrialCurve,
    TrialFilter, TrialInfo, TrialOrder, TrialState, Verdict, WorkerInfo,
};
pub use optimize::Evaluation;
pub use options::ClientOptions;
pub use point::Point;
pub use retry::{Backoff, RetryPolicy};
pub use space::Space;
pub use specification::{StudyBuilder, StudySource};
pub use study::Study;
pub use transport::Transport;
pub use trial::Trial;

/// A new request id: a call repeated with the same one takes effect once.
pub fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
