//! Work on a database without serving it: the schema, and the first token of a server that others shall reach.

use boxwood_app::{App, AppError, IssuedToken, NewTokenRequest, Principal, Settings, role_by_name};
use boxwood_store::{Store, TokenRecord};
use boxwood_study::TokenId;

use crate::config::Config;
use crate::front::ServerApp;
use crate::server::ServeError;
use crate::stores::AnyStore;

/// Opens the configured database.
pub(crate) async fn open(config: &Config) -> Result<AnyStore, ServeError> {
    let failed = |source| ServeError::Store { database: crate::config::redact(&config.database), source };
    let store = AnyStore::open(&config.database).await.map_err(failed)?;
    store.migrate().await.map_err(failed)?;
    Ok(store)
}

/// Brings the schema of the configured database to the newest version.
pub async fn migrate(config: &Config) -> Result<(), ServeError> {
    open(config).await.map(drop)
}

/// The use cases over the configured database, for whoever may open it.
async fn app(config: &Config) -> Result<ServerApp, ServeError> {
    Ok(App::new(open(config).await?, Settings::default()))
}

/// Issues a token. `role` is `viewer`, `worker`, `operator` or `admin`; `project` is a name, created where absent.
pub async fn create_token(
    config: &Config,
    name: &str,
    role: &str,
    project: Option<&str>,
    expires_in_seconds: Option<f64>,
) -> Result<IssuedToken, ServeError> {
    let role = role_by_name(role).ok_or_else(|| {
        ServeError::Request(AppError::invalid("role", "it is one of viewer, worker, operator, admin"))
    })?;
    let (app, caller) = (app(config).await?, Principal::local());
    let project = match project {
        Some(name) => Some(app.create_project(&caller, name).await.map_err(ServeError::Request)?.id),
        None => None,
    };
    let request = NewTokenRequest { name: name.to_owned(), role, project, expires_in_seconds };
    app.create_token(&caller, request).await.map_err(ServeError::Request)
}

/// Tokens that are not revoked.
pub async fn tokens(config: &Config) -> Result<Vec<TokenRecord>, ServeError> {
    app(config).await?.tokens(&Principal::local()).await.map_err(ServeError::Request)
}

/// Revokes a token.
pub async fn revoke_token(config: &Config, id: i64) -> Result<(), ServeError> {
    app(config).await?.revoke_token(&Principal::local(), TokenId(id)).await.map_err(ServeError::Request)
}
