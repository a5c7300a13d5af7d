//! The use cases, one per file.

mod acquire;
mod analyze;
mod cancel_trial;
mod create_study;
mod enqueue;
mod explain;
mod finish;
mod get_study;
mod get_trial;
mod heartbeat;
mod list_studies;
mod list_trials;
mod projects;
mod replay;
mod report;
mod retry_trial;
mod suggest;
mod tokens;
mod update_study;
mod watch;
mod workers;

pub use analyze::{Analysis, AnalysisKind, AnalysisRequest};
pub use explain::{ArmSummary, Explanation, PlanSummary};
pub use get_study::{Best, StudyDetail};
pub use heartbeat::HeartbeatReply;
pub use list_studies::ListStudies;
pub use list_trials::ListTrials;
pub use replay::ReplayReport;
pub use suggest::Suggestion;
pub(crate) use tokens::TokenCache;
pub use tokens::{IssuedToken, NewTokenRequest};
pub use update_study::UpdateStudy;
pub use watch::FeedItem;
