//! Projects: the unit of tenancy.

use boxwood_store::{NewProject, ProjectRecord, Role, Store};
use boxwood_study::ProjectId;

use crate::error::AppError;
use crate::hub::lock;
use crate::{App, Principal};

/// The project that exists from the start.
const DEFAULT: &str = "default";

impl<S: Store> App<S> {
    /// Creates a project, or finds the one of that name.
    pub async fn create_project(&self, caller: &Principal, name: &str) -> Result<ProjectRecord, AppError> {
        caller.require(Role::Admin)?;
        if caller.project.is_some() {
            return Err(AppError::Forbidden { needs: Role::Admin });
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
            return Err(AppError::invalid("name", "use 1 to 100 letters, digits, `.`, `_` and `-`"));
        }
        Ok(self.inner.store.create_project(NewProject { name: name.into() }).await?)
    }

    /// Projects that the caller may see, by name.
    pub async fn projects(&self, caller: &Principal) -> Result<Vec<ProjectRecord>, AppError> {
        caller.require(Role::Viewer)?;
        let mut projects = self.inner.store.projects().await?;
        projects.retain(|project| caller.sees(project.id));
        Ok(projects)
    }

    /// The project of a request: the named one, else the caller's own, else `default`.
    pub async fn project(&self, caller: &Principal, name: &str) -> Result<ProjectId, AppError> {
        if name.is_empty()
            && let Some(own) = caller.project
        {
            return Ok(own);
        }
        let name = if name.is_empty() { DEFAULT } else { name };
        let known = lock(&self.inner.project_names).get(name).copied();
        let id = match known {
            Some(id) => id,
            None => self.find_project(name).await?,
        };
        if caller.sees(id) { Ok(id) } else { Err(AppError::NotFound { what: "project" }) }
    }

    async fn find_project(&self, name: &str) -> Result<ProjectId, AppError> {
        let projects = self.inner.store.projects().await?;
        let mut names = lock(&self.inner.project_names);
        names.extend(projects.into_iter().map(|project| (project.name, project.id)));
        names.get(name).copied().ok_or(AppError::NotFound { what: "project" })
    }

    /// Name of a project, for answers.
    pub async fn project_name(&self, id: ProjectId) -> Result<String, AppError> {
        let find = || {
            let names = lock(&self.inner.project_names);
            names.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone())
        };
        if let Some(name) = find() {
            return Ok(name);
        }
        self.find_project(DEFAULT).await?;
        find().ok_or(AppError::NotFound { what: "project" })
    }
}
