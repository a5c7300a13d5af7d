//! Work on a database without serving it: the schema, and the first token of a server that others shall reach.

use boxwood_app::{App, AppError, IssuedToken, NewTokenRequest, Principal, Settings, role_by_name};
use boxwood_store::{AnyStore, Store, TokenRecord, connect};
use boxwood_study::TokenId;

use crate::config::Config;
use crate::front::ServerApp;
use crate::server::ServeError;

/// Opens the configured database.
pub(crate) async fn open(config: &Config) -> Result<AnyStore, ServeError> {
    let failed = |source| ServeError::Store { database: crate::config::redact(&config.database), source };
    let store = connect(&config.database).await.map_err(failed)?;
    store.migrate().await.map_err(failed)?;
    Ok(store)
}

/// Brings the schema of the configured database to the newest version.
pub async fn migrate(config: &Config) -> Result<(), ServeError> {
    open(config).await?.close().await;
    Ok(())
}

/// Calls use cases over the configured database, then closes it.
async fn with_app<T>(
    config: &Config,
    work: impl AsyncFnOnce(ServerApp, Principal) -> Result<T, AppError>,
) -> Result<T, ServeError> {
    let store = open(config).await?;
    let result = work(App::new(store.clone(), Settings::default()), Principal::local()).await;
    store.close().await;
    result.map_err(ServeError::Request)
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
    with_app(config, async |app, caller| {
        let project = match project {
            Some(name) => Some(app.create_project(&caller, name).await?.id),
            None => None,
        };
        let request = NewTokenRequest { name: name.to_owned(), role, project, expires_in_seconds };
        app.create_token(&caller, request).await
    })
    .await
}

/// Tokens that are not revoked.
pub async fn tokens(config: &Config) -> Result<Vec<TokenRecord>, ServeError> {
    with_app(config, async |app, caller| app.tokens(&caller).await).await
}

/// Revokes a token.
pub async fn revoke_token(config: &Config, id: i64) -> Result<(), ServeError> {
    with_app(config, async |app, caller| app.revoke_token(&caller, TokenId(id)).await).await
}
