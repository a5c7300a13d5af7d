//! Bearer tokens: issue, list, revoke, and who a secret belongs to.
//!
//! A secret is `bw_` and 32 random bytes in hexadecimal. Only its SHA-256 is stored; the store looks it up by that
//! digest, and the cache of the last seconds compares digests in constant time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use boxwood_store::{NewToken, Role, Store, TokenRecord};
use boxwood_study::{ProjectId, TokenId};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::AppError;
use crate::hub::lock;
use crate::{App, Principal};

/// Start of every secret.
const SECRET_PREFIX: &str = "bw_";
/// Characters of a secret that are kept to tell tokens apart: 32 of its 256 bits.
const SHOWN: usize = 11;
/// A revoked token is refused at the latest after this time.
const CACHED: Duration = Duration::from_secs(2);

/// A token to issue.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTokenRequest {
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Project that it is valid for; `None` is every project.
    pub project: Option<ProjectId>,
    /// Not valid after this many seconds; `None` is for ever.
    pub expires_in_seconds: Option<f64>,
}

/// An issued token. The secret is shown this once.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The secret.
    pub secret: String,
    /// What is stored.
    pub token: TokenRecord,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IssuedToken").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Tokens seen in the last seconds, by their shown characters.
#[derive(Debug, Default)]
pub(crate) struct TokenCache {
    known: Mutex<HashMap<String, Known>>,
    /// Whether any token is stored, and when that was looked up.
    any: Mutex<Option<(bool, Instant)>>,
}

#[derive(Debug, Clone)]
struct Known {
    digest: [u8; 32],
    token: TokenRecord,
    at: Instant,
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

impl<S: Store> App<S> {
    /// Who calls with this secret. Without a stored token, and unless the settings require one, everybody is local.
    pub async fn authenticate(&self, secret: Option<&str>) -> Result<Principal, AppError> {
        if !self.inner.settings.require_token && !self.has_tokens().await? {
            return Ok(Principal::local());
        }
        let secret = secret.ok_or(AppError::Unauthenticated)?;
        let shown = secret.get(..SHOWN).ok_or(AppError::Unauthenticated)?;
        let digest = digest(secret);
        let known = lock(&self.inner.tokens.known).get(shown).cloned();
        if let Some(known) = known
            && known.at.elapsed() < CACHED
            && bool::from(known.digest.ct_eq(&digest))
        {
            return Ok(principal(&known.token));
        }
        let found = self.inner.store.token_by_hash(&hexadecimal(&digest)).await?;
        let token = found.ok_or(AppError::Unauthenticated)?;
        let mut cache = lock(&self.inner.tokens.known);
        cache.retain(|_, known| known.at.elapsed() < CACHED);
        cache.insert(shown.to_owned(), Known { digest, token: token.clone(), at: Instant::now() });
        Ok(principal(&token))
    }

    /// Whether any token is stored.
    pub async fn has_tokens(&self) -> Result<bool, AppError> {
        if let Some((any, at)) = *lock(&self.inner.tokens.any)
            && at.elapsed() < CACHED
        {
            return Ok(any);
        }
        let any = !self.inner.store.tokens().await?.is_empty();
        *lock(&self.inner.tokens.any) = Some((any, Instant::now()));
        Ok(any)
    }

    /// Issues a token. The secret is in the answer and nowhere else.
    pub async fn create_token(
        &self,
        caller: &Principal,
        request: NewTokenRequest,
    ) -> Result<IssuedToken, AppError> {
        caller.require(Role::Admin)?;
        if caller.project.is_some() && caller.project != request.project {
            return Err(AppError::Forbidden { needs: Role::Admin });
        }
        if request.name.trim().is_empty() || request.name.len() > 100 {
            return Err(AppError::invalid("name", "it must have 1 to 100 characters"));
        }
        let expires_at = match request.expires_in_seconds {
            None => None,
            Some(seconds) if seconds.is_finite() && seconds > 0.0 => {
                Some(self.inner.store.now().await?.plus_seconds(seconds))
            }
            Some(_) => return Err(AppError::invalid("expires_in_seconds", "it must be finite and positive")),
        };
        // Three version 4 identifiers hold 366 random bits from the operating system; their digest spreads them.
        let random =
            [uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::into_bytes);
        let secret = format!("{SECRET_PREFIX}{}", hexadecimal(&Sha256::digest(random.concat())));
        let new = NewToken {
            hash: hexadecimal(&digest(&secret)),
            prefix: secret[..SHOWN].to_owned(),
            name: request.name,
            project: request.project,
            role: request.role,
            expires_at,
        };
        let token = self.inner.store.create_token(new).await?;
        *lock(&self.inner.tokens.any) = Some((true, Instant::now()));
        Ok(IssuedToken { secret, token })
    }

    /// Tokens that are not revoked.
    pub async fn tokens(&self, caller: &Principal) -> Result<Vec<TokenRecord>, AppError> {
        caller.require(Role::Admin)?;
        let mut tokens = self.inner.store.tokens().await?;
        tokens.retain(|token| caller.project.is_none() || token.project == caller.project);
        Ok(tokens)
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, caller: &Principal, id: TokenId) -> Result<(), AppError> {
        if !self.tokens(caller).await?.iter().any(|token| token.id == id) {
            return Err(AppError::NotFound { what: "token" });
        }
        self.inner.store.revoke_token(id).await?;
        lock(&self.inner.tokens.known).retain(|_, known| known.token.id != id);
        *lock(&self.inner.tokens.any) = None;
        Ok(())
    }
}

fn principal(token: &TokenRecord) -> Principal {
    Principal { name: token.name.clone(), role: token.role, project: token.project }
}
