//! List the trials of a study.

use boxwood_store::{Page, Role, Store, TrialFilter, TrialOrder};
use boxwood_study::{StudyId, TrialId, TrialRecord, TrialState};

use crate::error::AppError;
use crate::{App, Principal};

/// Trials on a page unless the request says otherwise.
const DEFAULT_PAGE: u32 = 100;

/// Which trials to list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListTrials {
    /// Study.
    pub study: StudyId,
    /// Only these states; all when empty.
    pub states: Vec<TrialState>,
    /// Order.
    pub order: TrialOrder,
    /// Items after this trial in the order.
    pub after: Option<TrialId>,
    /// Page size; 0 is the default of 100.
    pub limit: u32,
}

impl<S: Store> App<S> {
    /// Trials of a study in the order asked for.
    pub async fn trials(&self, caller: &Principal, list: ListTrials) -> Result<Page<TrialRecord>, AppError> {
        caller.require(Role::Viewer)?;
        self.check_study(caller, list.study).await?;
        if list.after.is_some_and(|after| after.study() != list.study) {
            return Err(AppError::invalid("after", "it is a trial of another study"));
        }
        let limit = self.page_size(list.limit, DEFAULT_PAGE)?;
        let ListTrials { study, states, order, after, .. } = list;
        Ok(self.inner.store.trials(TrialFilter { study, states, order, after, limit }).await?)
    }
}
