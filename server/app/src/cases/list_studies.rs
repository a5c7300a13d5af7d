//! List the studies of a project.

use boxwood_store::{Page, Role, Store, StudyFilter};
use boxwood_study::{ProjectId, StudyId, StudyRecord, StudyState};

use crate::error::AppError;
use crate::{App, Principal};

/// Studies on a page unless the request says otherwise.
const DEFAULT_PAGE: u32 = 50;

/// Which studies to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListStudies {
    /// Only these states; all when empty.
    pub states: Vec<StudyState>,
    /// Only names that contain this.
    pub name_contains: Option<String>,
    /// Whether archived ones are shown.
    pub archived: bool,
    /// Only ids below this one.
    pub before: Option<StudyId>,
    /// Page size; 0 is the default of 50.
    pub limit: u32,
}

impl<S: Store> App<S> {
    /// Studies of a project by falling id.
    pub async fn studies(
        &self,
        caller: &Principal,
        project: ProjectId,
        list: ListStudies,
    ) -> Result<Page<StudyRecord>, AppError> {
        caller.require(Role::Viewer)?;
        if !caller.sees(project) {
            return Err(AppError::NotFound { what: "project" });
        }
        let limit = self.page_size(list.limit, DEFAULT_PAGE)?;
        let filter = StudyFilter {
            project,
            states: list.states,
            name_contains: list.name_contains.filter(|text| !text.is_empty()),
            archived: list.archived,
            before: list.before,
            limit,
        };
        Ok(self.inner.store.studies(filter).await?)
    }

    /// A page size within the limit.
    pub(crate) fn page_size(&self, asked: u32, default: u32) -> Result<u32, AppError> {
        let most = self.inner.settings.limits.page;
        match asked {
            0 => Ok(default.min(most)),
            asked if asked <= most => Ok(asked),
            _ => Err(AppError::invalid("limit", format!("it is limited to {most}"))),
        }
    }
}
