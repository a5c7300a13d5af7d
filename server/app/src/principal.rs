//! Who calls, and what that allows.

use boxwood_store::Role;
use boxwood_study::ProjectId;

use crate::error::AppError;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Name of the token, for the log.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The only project it may see; `None` is every project.
    pub project: Option<ProjectId>,
}

impl Principal {
    /// The caller of a server without tokens, and of the server itself.
    pub fn local() -> Self {
        Self { name: "local".into(), role: Role::Admin, project: None }
    }

    /// Refuses a caller whose role is below `needs`.
    pub fn require(&self, needs: Role) -> Result<(), AppError> {
        if self.role >= needs { Ok(()) } else { Err(AppError::Forbidden { needs }) }
    }

    /// Whether the caller may know of things in this project.
    pub fn sees(&self, project: ProjectId) -> bool {
        self.project.is_none_or(|own| own == project)
    }
}
